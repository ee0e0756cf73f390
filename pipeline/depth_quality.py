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
END_OF_RANGE = 0.1  # what of the range a background may have where a label is 0
LEAST_CORRELATION = 0.3  # and, with the other sign, of what is upside down
# How many times as much of a label its background may leave unexplained as another one does, or as it does
# itself a few pixels further.
MOST_SWAPPED = 1.8
MOST_SHIFTED = 1.8
MOST_BEHIND = 0.5  # of the label's standard deviation
# How many standard deviations a label may agree less with its background than labels on it usually do.
MOST_DEVIATIONS = 2.5
# Correlations above this are all the same: what is left is the object's light on the room.
FULL_CORRELATION = 0.9995
_LEAST_DEVIATION = 0.25
_FEWEST_SAMPLES = 5  # of a background that say what is usual on it
_CORRELATION = 0  # where margins hold a correlation: ``fine`` has no margin
_SAMPLES_A_TASK = 32


class Reference:
    """What the network says of the backgrounds, on the grids."""

    def __init__(self, grids: Grid) -> None:
        """``grids`` are (N, cells, cells)."""
        self.grids = grids
        coarse = np.stack([shrunk(grid, min(COARSE_CELLS, len(grid))) for grid in grids])
        self.coarse: Grid = coarse.reshape(len(grids), -1)


def look_at_backgrounds(pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller) -> Reference:
    """Ask the network about every background."""
    count, micro_batch = pictures.backgrounds, labeller.micro_batch
    side = min(CELLS, pictures.size)
    grids = np.empty((count, side, side), np.float32)
    chunks = iter(range(-(-count // micro_batch)))
    with closing(in_order(backgrounds.chunk, chunks, labeller.jobs, labeller.jobs + 1)) as answers:
        for chunk, answer in answers:
            # Clipped as the labels are.
            stored = labeller.mapping.quantity(labeller.mapping.values(answer))
            for row, quantity in enumerate(stored, chunk * micro_batch):
                grids[row] = shrunk(quantity, side)
    return Reference(grids)


def check_labels(
    pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores in 0..1 of all samples, 0.5 at the limit of what passes, and indices into ``FAULTS``."""
    reference = look_at_backgrounds(pictures, backgrounds, labeller)
    margins = np.zeros((pictures.samples, len(FAULTS)), np.float32)
    used = np.zeros(pictures.samples, np.int32)

    def check(numbers: range) -> tuple[Grid, NDArray[np.int32]]:
        rows = pictures.rows(numbers.start, numbers.stop)
        found = [
            label_margins(pictures.depth(number), pictures.mask(number), bg, reference, labeller)
            for number, bg in zip(numbers, rows.bg.tolist(), strict=True)
        ]
        return np.stack(found), rows.bg

    tasks = _ranges(pictures.samples)
    results = in_order(check, tasks, labeller.jobs, 2 * labeller.jobs)
    with closing(results), Progress(pictures.samples, "checking labels", "samples") as progress:
        for numbers, (found, bg) in results:
            margins[numbers.start : numbers.stop], used[numbers.start : numbers.stop] = found, bg
            progress.update(len(numbers))
    return judge(margins, used)


def _ranges(total: int) -> Iterator[range]:
    for start in range(0, total, _SAMPLES_A_TASK):
        yield range(start, min(start + _SAMPLES_A_TASK, total))


def summarise(scores: NDArray[np.float32], faults: NDArray[np.int8]) -> dict[str, float]:
    """What ``depth.json`` says: labels by fault, and the mean score."""
    counts = np.bincount(faults, minlength=len(FAULTS)).tolist()
    return {**dict(zip(FAULTS, counts, strict=True)), "mean_score": round(float(scores.mean(dtype=float)), 6)}


def judge(margins: Grid, bg: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores and faults from the margins of all samples (N, faults) and their backgrounds (N,).

    How well labels agree with their background differs from background to background and from network to
    network, so the limit is taken from the set: a label must not be much worse than others on its background.
    """
    margins = margins.copy()
    agreement = np.arctanh(margins[:, _CORRELATION].astype(np.float64))  # Fisher's: of even spread
    usual = np.full(int(bg.max()) + 1, np.median(agreement))
    order = np.argsort(bg, kind="stable")
    numbers, starts = np.unique(bg[order], return_index=True)
    for number, members in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if len(members) >= _FEWEST_SAMPLES:
            usual[number] = np.median(agreement[members])
    worse = usual[bg] - agreement
    spread = max(_LEAST_DEVIATION, 1.4826 * float(np.median(np.abs(worse))))
    disagrees = np.maximum(
        worse / (MOST_DEVIATIONS * spread), (1 - np.tanh(agreement)) / (1 - LEAST_CORRELATION)
    )
    # A label without any spread is flat; it neither agrees nor not.
    disagrees[margins[:, FAULTS.index("flat")] > 1] = 0
    margins[:, _CORRELATION] = 0
    margins[:, FAULTS.index("disagrees")] = np.maximum(disagrees, 0)
    worst = margins.argmax(axis=1)
    most = margins.max(axis=1)
    for name in ("inverted", "hole", "flat"):  # these explain whatever else is wrong
        worst[margins[:, FAULTS.index(name)] > 1] = FAULTS.index(name)
    # The limit gives one half. Four digits: the last ones of a float differ from machine to machine.
    return np.round(1 / (1 + most), 4).astype(np.float32), np.where(most > 1, worst, 0).astype(np.int8)


def label_margins(
    values: NDArray[np.uint16], mask: NDArray[np.bool_], bg: int, reference: Reference, labeller: Labeller
) -> Grid:
    """How far one label goes towards each limit: (faults,), 0 is perfect and 1 the limit.

    The first number is the correlation with the background's label, of which :func:`judge` makes one more.

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
    if outside.sum() < side:
        outside = covered < 1
    margins = dict.fromkeys(FAULTS, 0.0)
    margins[FAULTS[_CORRELATION]] = FULL_CORRELATION
    if outside.sum() >= side:  # else the object is nearly all there is
        margins |= _margins(label, outside, covered, bg, reference, labeller.info.nearer == "larger")
    margins["hole"] = _holes(values, mask, grid, labeller) / MOST_HOLES
    return np.array([margins[name] for name in FAULTS], np.float32)


def _margins(
    label: Grid, outside: NDArray[np.bool_], covered: Grid, bg: int, reference: Reference, larger: bool
) -> dict[str, float]:
    """What can be said where there is enough of the background to see."""
    grid = reference.grids[bg]
    x, y = grid[outside], label[outside]
    spread, own_spread = float(y.std()), float(x.std())
    if spread <= LEAST_SPREAD * own_spread or spread == 0:
        return {"flat": 1e6 if own_spread else 0.0}
    correlation = float(_correlations(x[None], y)[0])
    slope = correlation * spread / max(own_spread, 1e-12)
    inside = covered > 0.5
    if not inside.any():
        inside = covered > 0
    # What the object covers, on the scale of this label.
    behind = float(np.median(slope * (grid[inside] - x.mean()) + y.mean() - label[inside])) / spread
    return {
        FAULTS[_CORRELATION]: float(np.clip(correlation, -FULL_CORRELATION, FULL_CORRELATION)),
        "flat": LEAST_SPREAD * own_spread / spread,
        "inverted": max(0.0, -correlation) / LEAST_CORRELATION,
        "shifted": _unexplained(label, grid, outside) / MOST_SHIFTED,
        "swapped": _rivalry(label, outside, bg, reference) / MOST_SWAPPED,
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
    return 1 - min(max(correlation, 0.0), FULL_CORRELATION) ** 2


def _holes(values: NDArray[np.uint16], mask: NDArray[np.bool_], grid: Grid, labeller: Labeller) -> float:
    """Share of pixels at 0, where NaN ends up, that have no reason to be at the far end of the range."""
    if values.all():
        return 0.0
    mapping = labeller.mapping
    # A sky may truly be 0; then the background is there too, or nearly. An object never is.
    near_end = grid < mapping.low + END_OF_RANGE * (mapping.high - mapping.low)
    near_end = cv2.resize(near_end.astype(np.uint8), values.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return float(np.mean((values == 0) & (mask | ~near_end)))


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
