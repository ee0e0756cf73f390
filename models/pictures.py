"""Pictures of what a network predicts, for people to look at: (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..pipeline.images import Pixels
from ..pipeline.preview import colour_depth, colour_limits
from .base import Heads
from .dataset import Sample

COLUMNS = ("bg", "fg_bg", "mask", "mask predicted", "depth label", "depth predicted")
GAP = 4
TITLE_HEIGHT = 18
SMALLEST_TILE = 112  # below it titles run into each other: pixels are repeated
BACKGROUND = 24  # dark grey


def grey(values: NDArray[np.float32]) -> Pixels:
    """(H, W) in 0..1 as grey."""
    return np.repeat(np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8)[:, :, None], 3, axis=2)


def overlay(frame: Pixels, mask: NDArray[np.float32]) -> Pixels:
    """``frame`` (H, W, 3) with what the mask (H, W) leaves out darkened and the mask's outline in green."""
    outline = cv2.morphologyEx((mask > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    shown = frame * (0.35 + 0.65 * np.clip(mask, 0, 1))[:, :, None]
    shown[outline > 0] = (0, 255, 80)
    return np.asarray(shown, np.uint8)


def sample_row(sample: Sample, heads: Heads, row: int, nearer: str) -> list[Pixels]:
    """The pictures of one sample in the order of ``COLUMNS``, without depths where the network has none.

    Both depths share one range, bright is near.
    """
    bg, frame = (_rgb(part[row].cpu().numpy()) for part in (sample.bg, sample.fg_bg))
    masks = [grey(part[row, 0].float().cpu().numpy()) for part in (sample.mask, heads.mask)]
    if heads.depth is None:
        return [bg, frame, *masks]
    label, found = (part[row, 0].float().cpu().numpy() for part in (sample.depth, heads.depth))
    limits = colour_limits(label)
    return [bg, frame, *masks, colour_depth(label, nearer, limits), colour_depth(found, nearer, limits)]


def sheet(rows: list[list[Pixels]], columns: tuple[str, ...], names: list[str] | None = None) -> Pixels:
    """Rows of pictures of one size under as many titles; ``names`` go into the first picture of each row."""
    grow = -(-SMALLEST_TILE // rows[0][0].shape[1])
    columns = columns[: len(rows[0])]
    rows = [[picture.repeat(grow, axis=0).repeat(grow, axis=1) for picture in row] for row in rows]
    height, width = rows[0][0].shape[:2]
    canvas = np.full(
        (TITLE_HEIGHT + len(rows) * (height + GAP), len(columns) * (width + GAP) - GAP, 3),
        BACKGROUND,
        np.uint8,
    )
    for line, row in enumerate(rows):
        top = TITLE_HEIGHT + line * (height + GAP)
        for column, picture in enumerate(row):
            left = column * (width + GAP)
            canvas[top : top + height, left : left + width] = picture
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    for column, title in enumerate(columns):
        draw.text((column * (width + GAP) + 3, 2), title, fill=(235, 235, 235), font=font)
    for line, name in enumerate(names or []):
        top = TITLE_HEIGHT + line * (height + GAP)
        draw.text((3, top + 1), name, fill=(255, 255, 255), font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(image)


def _rgb(values: NDArray[np.float32]) -> Pixels:
    return np.ascontiguousarray(np.asarray(values * 255 + 0.5, np.uint8).transpose(1, 2, 0))
