"""What every sample is: a pure function of (assets, options, seed), for any range of samples at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .manifest import SAMPLES_PER_SHARD, Asset, DatasetManifest, Samples

# Of the samples of training assets, those held out as ``seen``.
SEEN_SHARE = 0.1

# One stream of random numbers per use, so that a new use never shifts the others.
_SCALE, _X, _Y, _SEEN, _LIMIT = range(5)
_GOLDEN = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection of 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def random_bits(seed: int, stream: int, index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits for each ``index``: counter-based, so a draw depends on nothing but its number."""
    start = _mix(np.array([seed & _MASK64], np.uint64)) ^ _mix(np.array([stream + 1], np.uint64))
    return _mix(_mix(index.astype(np.uint64) * np.uint64(_GOLDEN) + start) + np.uint64(_GOLDEN))


def _uniform(seed: int, stream: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform in [0, 1) with 53 bits."""
    return (random_bits(seed, stream, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _integers(
    seed: int, stream: int, index: NDArray[np.int64], highest: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Uniform integers from 0 to ``highest``, both reachable."""
    bits = random_bits(seed, stream, index) >> np.uint64(32)
    return ((bits * (highest.astype(np.uint64) + np.uint64(1))) >> np.uint64(32)).astype(np.int64)


def side_range(scale: tuple[float, float], size: int) -> tuple[int, int]:
    """Longer side in pixels of the smallest and of the largest placement in a frame of ``size``."""
    low, high = (min(size, max(1, int(bound * size + 0.5))) for bound in scale)
    return low, high


@dataclass(frozen=True)
class Plan:
    """Everything that decides the samples."""

    fg: tuple[Asset, ...]
    bg: tuple[Asset, ...]
    size: int
    placements: int
    flips: bool
    scale: tuple[float, float]
    seed: int
    limit: int | None

    @property
    def grid(self) -> int:
        """Samples of the whole grid: every pair of assets, mirrored too, ``placements`` times."""
        return len(self.bg) * len(self.fg) * (2 if self.flips else 1) * self.placements

    def __len__(self) -> int:
        """Samples of the data set."""
        return self.grid if self.limit is None else min(self.limit, self.grid)

    def rows(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop`` as columns; ``mask_area`` is 0 until they are drawn."""
        number = np.arange(start, stop, dtype=np.int64)
        index = self._grid_index(number)
        rest, _ = np.divmod(index, self.placements)
        rest, flip = np.divmod(rest, 2 if self.flips else 1)
        bg, fg = np.divmod(rest, len(self.fg))
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * _uniform(self.seed, _SCALE, index)
        width, height = self._box(fg, scale)
        return Samples(
            shard=(number // SAMPLES_PER_SHARD).astype(np.int32),
            bg=bg.astype(np.int32),
            fg=fg.astype(np.int32),
            flip=flip.astype(np.bool_),
            scale=scale,
            x=_integers(self.seed, _X, index, self.size - width).astype(np.int32),
            y=_integers(self.seed, _Y, index, self.size - height).astype(np.int32),
            width=width.astype(np.int32),
            height=height.astype(np.int32),
            mask_area=np.zeros(len(number)),
            split=self._split(fg, bg, index),
        )

    def _grid_index(self, number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Place in the whole grid of each sample: one drawn from each of ``limit`` equal stretches of it."""
        total = len(self)
        if total == self.grid:
            return number
        low, high = number * self.grid // total, (number + 1) * self.grid // total
        return low + _integers(self.seed, _LIMIT, number, high - low - 1)

    def _box(
        self, fg: NDArray[np.int64], scale: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Size of the placed foreground: its longer side is ``scale`` of the frame, at most all of it."""
        wide, high = self._foreground_sizes
        longer = np.clip(np.floor(scale * self.size + 0.5), 1, self.size)
        most = np.maximum(wide, high)[fg]
        width = np.maximum(1, np.floor(wide[fg] * longer / most + 0.5)).astype(np.int64)
        height = np.maximum(1, np.floor(high[fg] * longer / most + 0.5)).astype(np.int64)
        return width, height

    @functools.cached_property
    def _foreground_sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.array([one.width for one in self.fg]), np.array([one.height for one in self.fg])

    def _split(
        self, fg: NDArray[np.int64], bg: NDArray[np.int64], index: NDArray[np.int64]
    ) -> NDArray[np.str_]:
        new_fg = np.array([asset.split == "val" for asset in self.fg])[fg]
        new_bg = np.array([asset.split == "val" for asset in self.bg])[bg]
        seen = _uniform(self.seed, _SEEN, index) < SEEN_SHARE
        return np.select(
            [new_fg & new_bg, new_fg, new_bg, seen], ["new_both", "new_fg", "new_bg", "seen"], "train"
        )


def plan_of(manifest: DatasetManifest) -> Plan:
    """The plan that a data set follows."""
    options = manifest.options
    low, high = options["scale"]
    return Plan(
        fg=manifest.fg,
        bg=manifest.bg,
        size=options["size"],
        placements=options["placements"],
        flips=options["flips"],
        scale=(low, high),
        seed=manifest.seed,
        limit=options["limit"],
    )
