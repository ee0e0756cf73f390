"""What one depth label says beside its background's own label: numbers that ``depth_quality`` judges.

Every sample is a known background with a known object on it. Outside the object, a label must agree with what
the same network says of the bare background, up to scale and shift, and in two ways: as a whole, and in its
detail, which is what a blur takes away. Scenes bend as a whole when an object comes into them; detail stays
where it is, to a fraction of a pixel. What differs in detail is the object, and must be where the mask is.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .depth_record import Mapping

Grid = NDArray[np.float32]
Cells = NDArray[np.bool_]

# Cells along a side: of the grid on which detail is compared, of the one for everything else, and of the one
# on which backgrounds compete.
FINE_CELLS, CELLS, COARSE_CELLS = 112, 56, 28
# Detail is what a Gaussian of this deviation takes away; it reaches that far from the object that it is of.
# Both and the window in which detail beside the object is summed up, as shares of the side.
DETAIL = 0.022
REACH = 0.036
WINDOW = 0.15
# A label whose detail correlates less is searched for elsewhere: on other backgrounds, and up to this share
# of its side further.
SUSPICIOUS = 0.6
LARGEST_SHIFT = 0.18
# What of the detail that does not fit a small move must explain.
LEAST_EXPLAINED = 0.2
# Correlations above this are all the same: what is left is the object's light on the room.
FULL_CORRELATION = 0.9995
END_OF_RANGE = 0.1  # what of the range a background may have where a label is 0
# Where the difference to the background does not follow the mask at all, it is this much of what would.
_LEAST_FOLLOWING = 0.02
_KEPT_GROUNDS = 16  # samples come background by background

MEASURES = (
    "agreement",  # correlation with the background's label outside the object
    "detail",  # the same of detail
    "moved",  # how far the detail has moved, as a share of the side
    "astray",  # detail that is not the background's: beside the mask, as a multiple of that within
    "flatness",  # the background's standard deviation as a multiple of the label's
    "holes",  # share of the pixels that are 0 without a reason
    "elsewhere",  # how many times as much the background leaves unexplained here as some pixels further
    "rivalry",  # the same, as the best of all backgrounds
    "behind",  # by how many standard deviations of the label the object is behind what it covers
)


@dataclass(frozen=True)
class Ground:
    """A background's own label, its detail, and how that changes across and down."""

    grid: Grid
    parts: Grid  # (3, n, n): detail, and what a move by one cell across and down adds to it


class Reference:
    """What the network says of the backgrounds."""

    def __init__(self, backgrounds: int, side: int) -> None:
        """To be filled by :meth:`put`; ``side`` is that of the finest grid."""
        self.side = side
        # Half the memory of floats, at a precision that no label has.
        self._grids = np.zeros((backgrounds, side, side), np.uint16)
        self._lows, self._steps = (np.zeros(backgrounds, np.float32) for _ in range(2))
        self.coarse = np.zeros((backgrounds, min(COARSE_CELLS, side) ** 2), np.float32)
        self.ground = functools.lru_cache(_KEPT_GROUNDS)(self._ground)

    def put(self, bg: int, quantity: Grid) -> None:
        """What the network says of a background, (S, S)."""
        grid = shrunk(quantity, self.side)
        self._lows[bg], self._steps[bg] = grid.min(), max(float(np.ptp(grid)), 1e-12) / 65535
        self._grids[bg] = np.rint((grid - self._lows[bg]) / self._steps[bg])
        self.coarse[bg] = shrunk(grid, min(COARSE_CELLS, self.side)).ravel()

    def _ground(self, bg: int) -> Ground:
        fine = self._grids[bg] * self._steps[bg] + self._lows[bg]
        detail = detail_of(fine)
        slope = np.array([[-0.5, 0, 0.5]], np.float32)
        parts = np.stack([detail, cv2.filter2D(detail, -1, slope), cv2.filter2D(detail, -1, slope.T)])
        return Ground(shrunk(fine, min(CELLS, self.side)), parts)


def measure_label(
    values: NDArray[np.uint16],
    mask: Cells,
    bg: int,
    reference: Reference,
    mapping: Mapping,
    larger_is_nearer: bool,
) -> Grid:
    """``MEASURES`` of a label, as numbers (M,).

    Args:
        values: The stored label (S, S).
        mask: (S, S), true where the object is.
        bg: Its background.
        reference: What the backgrounds' labels are.
        mapping: Between values and quantities.
        larger_is_nearer: Of two quantities.
    """
    ground = reference.ground(bg)
    found = dict.fromkeys(MEASURES, 0.0)
    found["agreement"] = found["detail"] = FULL_CORRELATION
    fine = shrunk(mapping.quantity(values), reference.side)
    covered = shrunk(mask.astype(np.float32), reference.side)
    step = mapping.scale * (1 << (16 - mapping.bits))
    label, covered_cells = shrunk(fine, len(ground.grid)), shrunk(covered, len(ground.grid))
    outside = _beside(covered_cells, 1)
    if outside.sum() < len(label):
        outside = covered_cells < 1
    if outside.sum() >= len(label):  # else the object is nearly all there is
        found |= _as_a_whole(label, outside, covered_cells, ground.grid, larger_is_nearer)
        if found["flatness"] < np.inf:
            found |= _in_detail(fine, covered, ground, step)
        if found["detail"] < SUSPICIOUS:
            found["elsewhere"] = _unexplained(label, ground.grid, outside)
            found["rivalry"] = _rivalry(label, outside, bg, reference)
    found["holes"] = _holes(values, mask, ground.grid, mapping)
    return np.array([found[name] for name in MEASURES], np.float32)


def _as_a_whole(
    label: Grid, outside: Cells, covered: Grid, grid: Grid, larger_is_nearer: bool
) -> dict[str, float]:
    """What can be said where there is enough of the background to see."""
    x, y = grid[outside], label[outside]
    spread, own_spread = float(y.std()), float(x.std())
    if spread == 0:
        return {"flatness": np.inf if own_spread else 0.0}
    correlation = float(_correlations(x[None], y)[0])
    slope = correlation * spread / max(own_spread, 1e-12)
    inside = covered > 0.5
    if not inside.any():
        inside = covered > 0
    # What the object covers, on the scale of this label.
    behind = float(np.median(slope * (grid[inside] - x.mean()) + y.mean() - label[inside])) / spread
    return {
        "agreement": correlation,
        "flatness": own_spread / spread,
        "behind": behind if larger_is_nearer else -behind,
    }


def _in_detail(fine: Grid, covered: Grid, ground: Ground, step: float) -> dict[str, float]:
    """How well detail outside the object is the background's, and whether what is not is the object's."""
    side = len(fine)
    outside = _beside(covered, max(1, round(REACH * side)))
    near = (~outside).astype(np.float32)
    outside[[0, -1]] = outside[:, [0, -1]] = False  # no slopes there
    weights = outside.astype(np.float32)
    count = float(weights.sum())
    detail, parts = detail_of(fine), ground.parts
    weighted = parts * weights
    # einsum here and below: BLAS may sum in another order with other threads, and scores must not differ.
    products = np.einsum("iyx,jyx->ij", weighted, parts).astype(np.float64)
    if count < side or products[0, 0] <= count * step**2:
        return {}  # nothing that 12 bits would show
    fits = np.array([_sum(one, detail) for one in weighted])
    power = _sum(detail * weights, detail)
    slope = fits[0] / products[0, 0]
    correlation = fits[0] / np.sqrt(products[0, 0] * max(power, 1e-20))
    products[np.diag_indices(3)] += 1e-6 * products[0, 0]  # where all detail runs one way
    solved = np.linalg.solve(products, fits)
    left = power - fits[0] * slope
    explains = left - (power - float(fits @ solved)) > LEAST_EXPLAINED * left
    return {
        "detail": float(correlation),
        "moved": float(np.hypot(*solved[1:]) / max(abs(solved[0]), 1e-12)) / side if explains else 0.0,
        "astray": _astray(detail - np.float32(slope) * parts[0], weights, near, detail_of(covered), step),
    }


def _astray(difference: Grid, beside: Grid, near: Grid, outline: Grid, step: float) -> float:
    """Detail of a label that its background does not have: most beside the mask over that within.

    Over the fourth root of its correlation with the mask's own detail, too: within a mask, a difference that
    follows its outline is the object more surely than another.
    """
    window = max(3, round(WINDOW * len(difference)) | 1)
    most = float(cv2.boxFilter(difference * difference * beside, -1, (window, window)).max())
    there, outline = difference * near, outline * near
    within = _sum(there, there)
    norm = np.sqrt(_sum(outline, outline) * within)
    following = abs(_sum(outline, there)) / max(norm, 1e-12) + _LEAST_FOLLOWING
    rounding = step / 4
    ratio = (np.sqrt(max(most, 0.0)) + rounding) / (np.sqrt(within / max(float(near.sum()), 1)) + rounding)
    return float(ratio / following**0.25)


def _sum(one: Grid, other: Grid) -> float:
    """Of the products."""
    return float(np.einsum("ij,ij->", one, other))


def _unexplained(label: Grid, grid: Grid, outside: Cells) -> float:
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


def _rivalry(label: Grid, outside: Cells, bg: int, reference: Reference) -> float:
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


def _holes(values: NDArray[np.uint16], mask: Cells, grid: Grid, mapping: Mapping) -> float:
    """Share of pixels at 0, where NaN ends up, that have no reason to be at the far end of the range."""
    if values.all():
        return 0.0
    # A sky may truly be 0; then the background is there too, or nearly. An object never is.
    near_end = grid < mapping.low + END_OF_RANGE * (mapping.high - mapping.low)
    near_end = cv2.resize(near_end.astype(np.uint8), values.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return float(np.mean((values == 0) & (mask | ~near_end)))


def _beside(covered: Grid, reach: int) -> Cells:
    """Cells further than ``reach`` from any that the object touches: only they speak of the background."""
    around = np.ones((2 * reach + 1, 2 * reach + 1))
    return cv2.erode((covered == 0).astype(np.uint8), around, borderValue=1) > 0


def _correlations(rows: Grid, y: Grid) -> Grid:
    """Pearson's correlation of each of (N, n) rows with (n,); 0 where one is constant."""
    rows, y = rows - rows.mean(axis=1, keepdims=True), y - y.mean()
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows) * np.einsum("j,j->", y, y))
    return np.asarray(np.einsum("ij,j->i", rows, y) / np.maximum(norms, 1e-20), np.float32)


def detail_of(grid: Grid) -> Grid:
    """What a blur takes away."""
    return grid - cv2.GaussianBlur(grid, (0, 0), DETAIL * len(grid), borderType=cv2.BORDER_REFLECT)


def shrunk(picture: Grid, side: int) -> Grid:
    """(side, side) averages of a square picture."""
    if len(picture) == side:
        return picture
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)
