"""``label-depth --mode composed``: the network sees each background and each cut-out once, not every sample.

A sample's label is its background's own label with the object put where the picture has it: inside the mask,
which is the thresholded alpha. The object stands where its lowest pixels meet the background, at least as
near as nearly everything that it covers, and carries a modest relief of its own. All of this happens in the
logarithm of nearness (disparity, or one over depth), where a scale is a shift.

A data set does not keep its cut-outs; the largest sample of each shows it best.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from .depth_sources import Backgrounds, Pictures, padded
from .images import Pixels
from .threads import in_order

if TYPE_CHECKING:
    from .depth import Labeller

# Rows at an object's bottom that count as standing, as a share of its height.
CONTACT = 0.06
# An object is nearer than this share of what it covers; the rest is outliers of the label.
COVERED = 0.95
# And by this much nearer still: what is pasted on a wall is not part of it.
GAP = 0.02
# The relief of an object spans at most this in log nearness, times its width as a share of the frame: under a
# field of view of about 55 degrees, the front half of something as deep as wide.
RELIEF = 0.4
# Where a network gives 0 or less for the far end, the logarithm begins at this share of the highest.
FARTHEST = 1e-3
# A cut-out is shown on grey, filling this share of the frame.
FILL = 0.8
GREY = 127
_ROWS_AT_ONCE = 50_000


class ComposedSource:
    """Labels composed of what the network says of backgrounds and cut-outs."""

    def __init__(self, pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller) -> None:
        """Nothing is labelled before the first use."""
        self._pictures, self._backgrounds, self._labeller = pictures, backgrounds, labeller
        self._larger = labeller.info.nearer == "larger"
        self._once = threading.Lock()

    @functools.cached_property
    def _reliefs(self) -> dict[int, NDArray[np.float32]]:
        """Log nearness of each foreground, a micro-batch of them at a time."""
        shown = list(largest_samples(self._pictures).items())
        size = self._labeller.micro_batch
        chunks = (shown[start : start + size] for start in range(0, len(shown), size))
        found: dict[int, NDArray[np.float32]] = {}
        jobs = self._labeller.jobs
        with closing(in_order(self._label_cutouts, chunks, jobs, jobs + 1)) as done:
            for _, reliefs in done:
                found.update(reliefs)
        return found

    def quantities(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """See :class:`.depth_sources.Source`."""
        with self._once:
            reliefs = self._reliefs
        found = []
        for number in numbers:
            row = self._pictures.rows(number, number + 1)
            background = self._nearness(self._backgrounds.quantity(int(row.bg[0])))
            relief = reliefs[int(row.fg[0])]
            if row.flip[0]:
                relief = relief[:, ::-1]
            x, y, width, height = (int(column[0]) for column in (row.x, row.y, row.width, row.height))
            box = slice(y, y + height), slice(x, x + width)
            mask = self._pictures.mask(number)
            relief = _resized(np.ascontiguousarray(relief), width, height)
            background[box] = stand(background[box], mask[box], relief, len(mask))
            found.append(self._quantity(background))
        return np.stack(found)

    def _label_cutouts(self, shown: list[tuple[int, int]]) -> dict[int, NDArray[np.float32]]:
        """The relief of each foreground, seen in one sample, at its size there, not mirrored."""
        views = [self._view(number) for _, number in shown]
        answers = self._labeller.answer(padded([view for view, _ in views], self._labeller.micro_batch))
        reliefs = {}
        for (fg, number), (_, box), answer in zip(shown, views, answers, strict=False):
            row = self._pictures.rows(number, number + 1)
            width, height = int(row.width[0]), int(row.height[0])
            relief = _resized(self._nearness(answer)[box], width, height)
            reliefs[fg] = np.ascontiguousarray(relief[:, ::-1]) if row.flip[0] else relief
        return reliefs

    def _view(self, number: int) -> tuple[Pixels, tuple[slice, slice]]:
        """The object of a sample on grey, enlarged, and where it is."""
        row, size = self._pictures.rows(number, number + 1), self._pictures.size
        x, y, width, height = (int(column[0]) for column in (row.x, row.y, row.width, row.height))
        picture, mask = self._pictures.composite(number), self._pictures.mask(number)
        cutout = np.where(mask[..., None], picture, np.uint8(GREY))[y : y + height, x : x + width]
        factor = FILL * size / max(width, height)
        wide, high = (min(size, max(1, round(side * factor))) for side in (width, height))
        left, top = (size - wide) // 2, (size - high) // 2
        box = slice(top, top + high), slice(left, left + wide)
        view = np.full((size, size, 3), GREY, np.uint8)
        view[box] = cv2.resize(cutout, (wide, high), interpolation=cv2.INTER_LINEAR)
        return view, box

    def _nearness(self, quantity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logarithm of disparity, or of one over depth."""
        most = float(np.nanmax(quantity, initial=0.0))
        logarithm = np.log(np.maximum(quantity, max(most * FARTHEST, 1e-12)))
        return np.asarray(logarithm if self._larger else -logarithm, np.float32)

    def _quantity(self, nearness: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.exp(nearness if self._larger else -nearness), np.float32)


def _resized(relief: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    shrinks = width * height < relief.size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(relief, (width, height), interpolation=how), np.float32)


def largest_samples(pictures: Pictures) -> dict[int, int]:
    """The sample in which each foreground has the largest box, the first of equal ones."""
    best: dict[int, tuple[int, int]] = {}
    for start in range(0, pictures.samples, _ROWS_AT_ONCE):
        rows = pictures.rows(start, min(start + _ROWS_AT_ONCE, pictures.samples))
        areas = rows.width.astype(np.int64) * rows.height
        # By foreground, then from large to small; sorting keeps the order of equal ones.
        order = np.lexsort((-areas, rows.fg))
        first = np.unique(rows.fg[order], return_index=True)[1]
        for position in order[first].tolist():
            fg, area = int(rows.fg[position]), int(areas[position])
            if area > best.get(fg, (0, 0))[0]:
                best[fg] = area, start + position
    return {fg: number for fg, (_, number) in sorted(best.items())}


def stand(
    background: NDArray[np.float32], mask: NDArray[np.bool_], relief: NDArray[np.float32], size: int
) -> NDArray[np.float32]:
    """Log nearness (H, W) of an object's box with the object in it.

    Args:
        background: Log nearness of the box without the object.
        mask: Where the object is.
        relief: Log nearness of the object on any scale.
        size: The frame's side in pixels.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return background
    standing = mask.copy()
    standing[: rows[-1] + 1 - max(1, round(CONTACT * len(rows)))] = False
    contact = float(np.median(background[standing]))
    base = max(contact, float(np.quantile(background[mask], COVERED))) + GAP
    low, high = np.quantile(relief[mask], (0.05, 0.95))
    most = RELIEF * mask.shape[1] / size
    own = (relief - low) * min(1.0, most / max(float(high - low), 1e-9))
    # The far side of the relief stands at the base, the rest comes nearer; nothing reaches behind.
    object_ = np.maximum(base + np.clip(own, 0, most), background)
    return np.where(mask, object_, background).astype(np.float32)
