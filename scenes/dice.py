"""Cheap scalar random numbers: a scene asks for thousands, and numpy is slow one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_POOL = 2048


class Dice:
    """Scalar draws from ``numpy.random.default_rng(entropy)``, taken in blocks."""

    def __init__(self, entropy: Sequence[int]) -> None:
        self._generator = np.random.default_rng(list(entropy))
        self._pool: list[float] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._pool:
            self._pool = self._generator.random(_POOL).tolist()
        return self._pool.pop()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def log_uniform(self, low: float, high: float) -> float:
        """A number in [low, high), its logarithm uniform."""
        return float(low * (high / low) ** self.unit())

    def integer(self, low: int, high: int) -> int:
        """A whole number, low <= n <= high."""
        return low + int((high - low + 1) * self.unit())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(len(options) * self.unit())]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the (option, weight) pairs' options."""
        left = self.unit() * sum(weight for _, weight in options)
        for option, weight in options:
            left -= weight
            if left < 0:
                return option
        return options[-1][0]

    def normal(self, mean: float, deviation: float) -> float:
        """A normally distributed number (Box and Muller)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return mean + deviation * radius * math.cos(2.0 * math.pi * self.unit())

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.unit() < 0.5 else -1
