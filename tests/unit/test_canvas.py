"""Copied JPEG rows give the very bytes of encoding everything; prepared sizes look like a careful resize."""

from __future__ import annotations

import numpy as np
import pytest
from mdeas.pipeline import images
from mdeas.pipeline.canvas import Canvas, Foreground


def _picture(height: int, width: int, channels: int, seed: int) -> images.Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), np.uint8)
    fine = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
    return np.asarray(fine // 2 + rng.integers(0, 128, fine.shape, np.uint8), np.uint8)


@pytest.mark.parametrize("size", [16, 60, 64, 224, 250])
@pytest.mark.parametrize("quality", [30, 90])
def test_spliced_jpeg_equals_the_full_one(size: int, quality: int) -> None:
    bg = _picture(size, size, 3, seed=size)
    canvas = Canvas(bg, quality)
    rng = np.random.default_rng(quality)
    for seed in range(12):
        height, width = (int(side) for side in rng.integers(1, size + 1, 2))
        x, y = int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1))
        rgba = _picture(height, width, 4, seed)
        expected = images.encode_jpeg(images.paste(bg, rgba, x, y), quality)
        placed = images.premultiply(rgba)
        assert canvas.composite(placed, images.alpha_of(placed), x, y) == expected


def test_spliced_jpeg_decodes_to_the_composite() -> None:
    bg, rgba = np.full((224, 224, 3), 90, np.uint8), np.full((40, 50, 4), 255, np.uint8)
    placed = images.premultiply(rgba)
    rgb = images.decode_jpeg(Canvas(bg, 95).composite(placed, images.alpha_of(placed), 100, 150))
    assert abs(int(rgb[170, 125, 0]) - 255) <= 3
    assert abs(int(rgb[20, 20, 0]) - 90) <= 2


def test_foreground_sizes_stay_close_to_area_averaging() -> None:
    rows, columns = np.mgrid[0:150, 0:110]
    alpha = np.clip((1 - np.hypot((rows - 75) / 70, (columns - 55) / 50)) * 10, 0, 1) * 255
    rgba = np.dstack([rows, columns, 255 - rows, alpha]).round().astype(np.uint8)
    premultiplied = images.premultiply(rgba)
    foreground = Foreground(premultiplied, least=40)
    assert np.array_equal(foreground.at(110, 150), premultiplied)
    for longer in range(40, 150, 7):
        width, height = images.fit(110, 150, longer)
        placed = foreground.at(width, height)
        assert placed.shape == (height, width, 4)
        area = images.resize_premultiplied(premultiplied, width, height)
        assert np.abs(placed.astype(int) - area).mean() / 255 < 1.5
        assert (placed[:, :, :3].max(axis=2) <= placed[:, :, 3]).all()


def test_small_foregrounds_are_enlarged() -> None:
    foreground = Foreground(images.premultiply(_picture(20, 30, 4, 1)), least=60)
    assert foreground.at(90, 60).shape == (60, 90, 4)
