"""Copied JPEG rows give the very bytes of encoding everything; prepared sizes look like a careful resize."""

from __future__ import annotations

import numpy as np
import pytest
from mdeas.pipeline import images
from mdeas.pipeline.canvas import Canvas, Foreground, Layer, Press


def _picture(height: int, width: int, channels: int, seed: int) -> images.Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), np.uint8)
    fine = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
    return np.asarray(fine // 2 + rng.integers(0, 128, fine.shape, np.uint8), np.uint8)


@pytest.mark.parametrize("size", [16, 60, 64, 224, 250])
@pytest.mark.parametrize("quality", [30, 90])
def test_spliced_jpeg_equals_the_full_one(size: int, quality: int) -> None:
    """Of several composites on two backgrounds, encoded in one go."""
    backgrounds = [_picture(size, size, 3, seed=size + number) for number in range(2)]
    canvases = [Canvas(bg, quality) for bg in backgrounds]
    press = Press(size, size, quality)
    rng = np.random.default_rng(quality)
    expected = []
    for seed in range(24):
        height, width = (int(side) for side in rng.integers(1, size + 1, 2))
        x, y = int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1))
        rgba = _picture(height, width, 4, seed)
        expected.append(images.encode_jpeg(images.paste(backgrounds[seed % 2], rgba, x, y), quality))
        press.add(canvases[seed % 2], Layer(images.premultiply(rgba)), x, y)
    assert press.take() == expected
    assert press.take() == []


def test_what_was_dropped_is_not_encoded() -> None:
    canvas, press = Canvas(_picture(32, 32, 3, seed=1), 90), Press(32, 32, 90)
    layers = [Layer(images.premultiply(_picture(10, 12, 4, seed))) for seed in (2, 3)]
    press.add(canvas, layers[0], 3, 4)
    press.drop()
    press.add(canvas, layers[1], 3, 4)
    dropped = press.take()
    press.add(canvas, layers[1], 3, 4)
    assert press.take() == dropped


def test_spliced_jpeg_decodes_to_the_composite() -> None:
    bg, rgba = np.full((224, 224, 3), 90, np.uint8), np.full((40, 50, 4), 255, np.uint8)
    press = Press(224, 224, 95)
    press.add(Canvas(bg, 95), Layer(images.premultiply(rgba)), 100, 150)
    rgb = images.decode_jpeg(press.take()[0])
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
