"""How far depth labels can be trusted: each held against its background's own label, and a score a sample.

Every sample is a known background with a known object on it. Outside the object, a label must agree with what
the same network says of the bare background, up to scale and shift; it must agree with it better than with
another background, or with the same one a few pixels further; and the object must not lie behind what it
covers. All of this is looked at on grids of cells of a few pixels: a label is smooth, and a score must cost
less than a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from .depth_scores import FAULTS
from .depth_sources import Backgrounds, Pictures
from .progress import Progress
from .threads import in_order

if TYPE_CHECKING:
    from .depth import Labeller

Grid = NDArray[np.float32]

# Cells along a side: of the grid on which labels are compared, and of the one on which backgrounds compete.
CELLS, COARSE_CELLS = 56, 28
# A label may be found shifted by up to this share of its side.
LARGEST_SHIFT = 0.18
# Limits of what passes. The first two are of the background's own standard deviation and of all pixels.
LEAST_SPREAD = 0.1
MOST_HOLES = 0.002
LEAST_CORRELATION = 0.3
# How many times as much of a label another background or another place may leave unexplained... at most.
MOST_SWAPPED = 1.8
MOST_SHIFTED = 1.8
MOST_BEHIND = 0.5  # of the label's standard deviation
# Correlations above this are all the same: what is left is the object's light on the room.
_FULL_CORRELATION = 0.9995
_SAMPLES_A_TASK = 32


class Reference:
    """The backgrounds' own labels on the grids, (N, cells, cells)."""

    def __init__(self, pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller) -> None:
        count, micro_batch = pictures.backgrounds, labeller.micro_batch
        side = min(CELLS, pictures.size)
        self.grids: Grid = np.empty((count, side, side), np.float32)
        chunks = iter(range(-(-count // micro_batch)))
        with closing(in_order(backgrounds.chunk, chunks, labeller.jobs, labeller.jobs + 1)) as answers:
            for chunk, answer in answers:
                for row, quantity in enumerate(answer, chunk * micro_batch):
                    self.grids[row] = shrunk(np.nan_to_num(quantity), side)
        coarse = np.stack([shrunk(grid, min(COARSE_CELLS, side)) for grid in self.grids])
        self.coarse: Grid = coarse.reshape(count, -1)


def check_labels(
    pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores in 0..1 of all samples, 0.5 at the limit of what passes, and indices into ``FAULTS``."""
    reference = Reference(pictures, backgrounds, labeller)
    scores, faults = np.zeros(pictures.samples, np.float32), np.zeros(pictures.samples, np.int8)

    def check(numbers: range) -> list[tuple[float, int]]:
        found = []
        for number, bg in zip(numbers, pictures.rows(numbers.start, numbers.stop).bg.tolist(), strict=True):
            found.append(check_label(pictures.depth(number), pictures.mask(number), bg, reference, labeller))
        return found

    tasks = _ranges(pictures.samples)
    results = in_order(check, tasks, labeller.jobs, 2 * labeller.jobs)
    with closing(results), Progress(pictures.samples, "checking labels", "samples") as progress:
        for numbers, found in results:
            for number, (score, fault) in zip(numbers, found, strict=True):
                scores[number], faults[number] = score, fault
            progress.update(len(numbers))
    return scores, faults


def _ranges(total: int) -> Iterator[range]:
    for start in range(0, total, _SAMPLES_A_TASK):
        yield range(start, min(start + _SAMPLES_A_TASK, total))


def summarise(scores: NDArray[np.float32], faults: NDArray[np.int8]) -> dict[str, float]:
    """What ``depth.json`` says: labels by fault, and the mean score."""
    counts = np.bincount(faults, minlength=len(FAULTS)).tolist()
    return {**dict(zip(FAULTS, counts, strict=True)), "mean_score": round(float(scores.mean(dtype=float)), 6)}


def check_label(
    values: NDArray[np.uint16], mask: NDArray[np.bool_], bg: int, reference: Reference, labeller: Labeller
) -> tuple[float, int]:
    """Score and fault of one label.

    Args:
        values: The stored label (S, S).
        mask: (S, S), true where the object is.
        bg: Its background.
        reference: What the backgrounds' labels are.
        labeller: Whose mapping the values have, and whose quantity is nearer one way.
    """
    grid = reference.grids[bg]
    side = len(grid)
    label = shrunk(labeller.mapping.quantity(values), side)
    covered = shrunk(mask.astype(np.float32), side)
    # Cells that the object touches or lies next to say nothing of the background.
    outside = cv2.erode((covered == 0).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    if not outside.any():
        outside = covered < 1
    margins = _margins(label, outside, covered, bg, reference, labeller.info.nearer == "larger")
    margins["hole"] = _holes(values, mask, grid, labeller) / MOST_HOLES
    worst = max(FAULTS[1:], key=lambda name: margins[name])
    # The limit gives one half. Four digits: the last ones of a float differ from machine to machine.
    score = round(1 / (1 + margins[worst]), 4)
    return score, FAULTS.index(worst) if margins[worst] > 1 else 0


def _margins(
    label: Grid, outside: NDArray[np.bool_], covered: Grid, bg: int, reference: Reference, larger: bool
) -> dict[str, float]:
    """How far a label goes towards each limit: 0 is perfect, 1 is the limit."""
    grid = reference.grids[bg]
    x, y = grid[outside], label[outside]
    spread, own_spread = float(y.std()), float(x.std())
    if spread <= LEAST_SPREAD * own_spread or spread == 0:
        return {**dict.fromkeys(FAULTS[1:], 0.0), "flat": 1e6 if own_spread else 0.0}
    correlation = float(_correlations(x[None], y)[0])
    slope = correlation * spread / max(own_spread, 1e-12)
    inside = covered > 0.5
    if not inside.any():
        inside = covered > 0
    # What the object covers, on the scale of this label.
    behind = float(np.median(slope * (grid[inside] - x.mean()) + y.mean() - label[inside])) / spread
    return {
        "flat": LEAST_SPREAD * own_spread / spread,
        "inverted": max(0.0, -correlation) / LEAST_CORRELATION,
        "shifted": _unexplained(label, grid, outside) / MOST_SHIFTED,
        "swapped": _rivalry(label, outside, bg, reference) / MOST_SWAPPED,
        "disagrees": (1 - max(correlation, 0.0)) / (1 - LEAST_CORRELATION),
        "behind": max(0.0, behind if larger else -behind) / MOST_BEHIND,
    }


def _unexplained(label: Grid, grid: Grid, outside: NDArray[np.bool_]) -> float:
    """How many times as much the background leaves unexplained here as where it fits best; 0: fits here."""
    reach = max(1, round(LARGEST_SHIFT * len(label)))
    if len(label) <= 4 * reach:
        return 0.0
    middle = slice(reach, -reach)
    weights = outside[middle, middle].astype(np.float32)
    if weights.sum() < reach * reach:
        return 0.0
    fits = cv2.matchTemplate(
        grid, np.ascontiguousarray(label[middle, middle]), cv2.TM_CCOEFF_NORMED, mask=weights
    )
    fits = np.nan_to_num(fits, nan=0.0, posinf=0.0, neginf=0.0)
    here, best = float(fits[reach, reach]), float(fits.max())
    return _left(here) / _left(best) if best > here else 0.0


def _rivalry(label: Grid, outside: NDArray[np.bool_], bg: int, reference: Reference) -> float:
    """How many times as much its own background leaves unexplained as the best of all; 0: it is the best."""
    side = round(reference.coarse.shape[1] ** 0.5)
    cells = (shrunk(outside.astype(np.float32), side) == 1).ravel()
    if cells.sum() < side or len(reference.coarse) < 2:
        return 0.0
    fits = _correlations(reference.coarse[:, cells], shrunk(label, side).ravel()[cells])
    own, fits[bg] = float(fits[bg]), -1.0
    best = float(fits.max())
    return _left(own) / _left(best) if best > own else 0.0


def _left(correlation: float) -> float:
    """Share of the variance that a fit with this correlation leaves."""
    return 1 - min(max(correlation, 0.0), _FULL_CORRELATION) ** 2


def _holes(values: NDArray[np.uint16], mask: NDArray[np.bool_], grid: Grid, labeller: Labeller) -> float:
    """Share of pixels at 0, where NaN ends up, in a picture whose background has no such value."""
    empty = np.count_nonzero(values == 0)
    if not empty:
        return 0.0
    # The far end of a background may truly be 0, and an object may stand before it.
    expected = float(np.mean(labeller.mapping.values(grid[None]) == 0))
    return max(0.0, empty / values.size - 1.5 * expected)


def _correlations(rows: Grid, y: Grid) -> Grid:
    """Pearson's correlation of each of (N, n) rows with (n,); 0 where one is constant."""
    rows, y = rows - rows.mean(axis=1, keepdims=True), y - y.mean()
    # einsum: BLAS may sum in another order with other threads, and scores must not differ.
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows) * np.einsum("j,j->", y, y))
    return np.asarray(np.einsum("ij,j->i", rows, y) / np.maximum(norms, 1e-20), np.float32)


def shrunk(picture: Grid, side: int) -> Grid:
    """(side, side) averages of a square picture."""
    if len(picture) == side:
        return picture
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)
