"""Judge and mend a background photo: bars cut off, flat ones refused, a square at the size that is kept.

Photos are RGB uint8 (H, W, 3), before they are mended perhaps with an alpha channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .decode import BadPictureError, Change, Pixels
from .images import square
from .matte import has_checkerboard

# Below this alpha a pixel of a "photo" is a hole; a few at rounded corners do no harm.
HOLE_ALPHA = 250
MAX_HOLE_SHARE = 0.001
# Standard deviation of grey at 64 x 64 below which a picture is flat, and of what is left beside a plain
# slope.
FLAT_STD = 6.0
SLOPE_STD = 2.5
_FLAT_SIDE = 64
# A bar is at most this bright or at least this white, and varies by no more than this along a row.
BAR_BLACK, BAR_WHITE, BAR_SPREAD = 24, 250, 6
# Bars thinner than this share of the side are left: a dark ceiling is no bar.
MIN_BAR_SHARE = 0.02
# Where bars cover more than this, what is between them is a strip and no photo.
MAX_BARS_SHARE = 0.8
BOARD_SHARE = 0.4


@dataclass(frozen=True)
class BackdropLimits:
    """What a background must be: its shorter side in pixels, its shape, and the side it is kept at."""

    min_side: int
    max_aspect: float
    keep_side: int


def mend_backdrop(pixels: Pixels) -> tuple[Pixels, list[Change]]:
    """RGB without an opaque alpha channel and without black or white bars.

    Raises:
        BadPictureError: If pixels are transparent.
    """
    changes: list[Change] = []
    if pixels.shape[2] == 4:
        holes = float(np.mean(pixels[:, :, 3] < HOLE_ALPHA))
        if holes > MAX_HOLE_SHARE:
            raise BadPictureError(f"transparent: {holes:.0%} of it, not a background")
        changes.append(Change("alpha channel without transparency", "alpha dropped"))
        pixels = np.ascontiguousarray(pixels[:, :, :3])
    top, bottom, left, right = _bars(pixels)
    if top or bottom or left or right:
        height, width = pixels.shape[:2]
        pixels = np.ascontiguousarray(pixels[top : height - bottom, left : width - right])
        changes.append(Change("bars along the border", f"cut to {pixels.shape[1]}x{pixels.shape[0]}"))
    return pixels, changes


def check_backdrop(rgb: Pixels, limits: BackdropLimits) -> None:
    """Check size, shape and content.

    Raises:
        BadPictureError: Too small, too long, flat, nearly flat, or a painted checkerboard.
    """
    height, width = rgb.shape[:2]
    if max(height, width) > limits.max_aspect * min(height, width):
        raise BadPictureError(f"too long: {width}x{height} is beyond {limits.max_aspect:g}:1")
    if min(height, width) < limits.min_side:
        raise BadPictureError(f"too small: {width}x{height}, the shorter side needs {limits.min_side} pixels")
    small = cv2.resize(rgb, (_FLAT_SIDE, _FLAT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    spread = float(small.std(axis=(0, 1)).max())
    if spread < FLAT_STD:
        raise BadPictureError(f"flat: its colours vary by {spread:.1f} levels")
    if _beside_slope(small) < SLOPE_STD:
        raise BadPictureError("nearly flat: a plain gradient without content")
    if has_checkerboard(rgb, BOARD_SHARE):
        raise BadPictureError("a painted checkerboard, not a photo")


def fit_backdrop(rgb: Pixels, limits: BackdropLimits) -> Pixels:
    """The central square, shrunk to the side that is kept; never enlarged."""
    return square(rgb, min(limits.keep_side, *rgb.shape[:2]))


def _beside_slope(small: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Standard deviation of the worst channel around its best plane over rows and columns."""
    height, width = small.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    basis = np.stack([np.ones(height * width), rows.ravel(), columns.ravel()], axis=1)
    values = small.reshape(height * width, -1)
    fitted = basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
    return float((values - fitted).std(axis=0).max())


def _bars(rgb: Pixels) -> tuple[int, int, int, int]:
    """Rows and columns of black or white bars at top, bottom, left and right; bars come in equal pairs."""
    top, bottom = _bar_pair(rgb)
    left, right = _bar_pair(rgb.transpose(1, 0, 2))
    return top, bottom, left, right


def _bar_pair(rgb: Pixels) -> tuple[int, int]:
    """Rows of a bar at the top and of one like it at the bottom; zeros unless both are there."""
    length = rgb.shape[0]
    for is_bar in (_is_black, _is_white):
        if not (is_bar(rgb[0]) and is_bar(rgb[-1])):
            continue  # as in nearly every photo
        first = next((row for row in range(length) if not is_bar(rgb[row])), length)
        last = next((row for row in range(length) if not is_bar(rgb[-1 - row])), length)
        if min(first, last) >= MIN_BAR_SHARE * length and first + last < MAX_BARS_SHARE * length:
            return first, last
    return 0, 0


def _is_black(row: Pixels) -> bool:
    # JPEG rounds a bar, and lets the picture bleed into it at some places.
    return bool(np.mean(row > BAR_BLACK) < 0.02 and row.std() <= BAR_SPREAD)


def _is_white(row: Pixels) -> bool:
    return bool(np.mean(row < BAR_WHITE) < 0.02 and row.std() <= BAR_SPREAD)
