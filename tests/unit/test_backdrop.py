"""Backgrounds: bars cut off, flat and long and small ones refused, squares at the size that is kept."""

from __future__ import annotations

import numpy as np
import pytest
from mdeas.pipeline.backdrop import BackdropLimits, check_backdrop, fit_backdrop, mend_backdrop
from mdeas.pipeline.decode import BadPictureError
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LIMITS = BackdropLimits(min_side=224, max_aspect=4.0, keep_side=512)


def photo(height: int = 300, width: int = 400) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    walls = 90 + 80 * ((rows // 60 + columns // 90) % 3 == 0) + 40 * columns / width
    noise = np.random.default_rng(1).normal(0, 5, (height, width, 3))
    return (walls[..., None] * [1, 0.9, 0.8] + noise).round().clip(0, 255).astype(np.uint8)


def gradient(least: int, most: int) -> Pixels:
    ramp = np.linspace(least, most, 400)[None, :, None] + np.linspace(0, 10, 300)[:, None, None]
    return ramp.repeat(3, axis=2).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "picture", [photo(), photo(600, 230), photo() // 6, np.dstack([photo()[:, :, 1]] * 3)]
)
def test_photos_pass(picture: Pixels) -> None:
    """Also upright, dark and grey ones."""
    mended, changes = mend_backdrop(picture)
    check_backdrop(mended, LIMITS)
    assert changes == []


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (photo(200, 400), "too small: 400x200"),
        (photo(230, 1600), "too long: 1600x230"),
        (np.full((300, 400, 3), 17, np.uint8), "flat: "),
        (photo() // 40 + 100, "flat: "),
        (gradient(100, 112), "flat: "),
        (gradient(20, 240), "nearly flat: a plain gradient"),
    ],
)
def test_others_are_refused(picture: Pixels, reason: str) -> None:
    with pytest.raises(BadPictureError, match=reason):
        check_backdrop(picture, LIMITS)


def test_a_painted_checkerboard_is_no_photo() -> None:
    rows, columns = np.mgrid[0:300, 0:400] // 10
    board = np.where((rows + columns) % 2, 255, 204).astype(np.uint8)[..., None].repeat(3, axis=2)
    board[100:200, 150:250] = photo()[100:200, 150:250]
    with pytest.raises(BadPictureError, match="checkerboard"):
        check_backdrop(board, LIMITS)


@pytest.mark.parametrize("level", [0, 12, 255])
@pytest.mark.parametrize("axis", [0, 1])
def test_bars_are_cut_off(level: int, axis: int) -> None:
    framed = photo()
    turned = framed if axis == 0 else framed.transpose(1, 0, 2)
    turned[:40] = turned[-45:] = level
    mended, changes = mend_backdrop(framed)
    assert mended.shape == ((215, 400, 3) if axis == 0 else (300, 315, 3))
    assert changes[0].was == "bars along the border"


def test_a_dark_ceiling_alone_is_no_bar() -> None:
    dark = photo()
    dark[:60] = 5
    assert mend_backdrop(dark)[0].shape == (300, 400, 3)


def test_an_opaque_alpha_channel_is_dropped_and_holes_are_refused() -> None:
    rgba = np.dstack([photo(), np.full((300, 400), 255, np.uint8)])
    mended, changes = mend_backdrop(rgba)
    np.testing.assert_array_equal(mended, photo())
    assert changes[0].done == "alpha dropped"
    rgba[:50, :50, 3] = 0
    with pytest.raises(BadPictureError, match="transparent: 2% of it"):
        mend_backdrop(rgba)


@pytest.mark.parametrize(("height", "width", "side"), [(300, 400, 300), (1200, 900, 512), (512, 700, 512)])
def test_squares_are_shrunk_and_never_enlarged(height: int, width: int, side: int) -> None:
    assert fit_backdrop(photo(height, width), LIMITS).shape == (side, side, 3)
