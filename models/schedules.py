"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# MDEAS, in epochs of the data set that is trained on.
WARMUP_EPOCHS = 5
EDGE_EPOCHS = 5
CYCLES = 3
LOWEST = 0.01  # lr_min as a fraction of lr
DECAY = 0.1

# torch's OneCycleLR defaults.
RISE_SHARE = 0.3
START_DIVISOR = 25.0
FINAL_DIVISOR = 1e4


@dataclass(frozen=True)
class Length:
    """How long a run is."""

    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.steps_per_epoch


Schedule = Callable[[int, Length], float]


def constant(step: int, length: Length) -> float:
    """1 at every step."""
    return 1.0


def cosine(step: int, length: Length) -> float:
    """Half a cosine from 1 to ``LOWEST`` at the last step."""
    return _cosine(1.0, LOWEST, step / max(1, length.steps - 1))


def onecycle(step: int, length: Length) -> float:
    """Rise from 1/25 to 1 over 30 % of the steps, then fall to 1/250,000 (Smith 2018, arXiv:1803.09820)."""
    last = max(1, length.steps - 1)
    peak = max(1e-9, RISE_SHARE * length.steps - 1)
    if step <= peak:
        return _cosine(1 / START_DIVISOR, 1.0, step / peak)
    return _cosine(1.0, 1 / START_DIVISOR / FINAL_DIVISOR, (step - peak) / max(1e-9, last - peak))


def mdeas(step: int, length: Length) -> float:
    """The schedule that MDEAS meant: warm-up, three triangular cycles, then a tenth at every further edge.

    The published code held the highest rate during the "warm-up", never reached the decay, and counted
    10,000 pictures an epoch; here the warm-up is a ramp and everything counts the steps of this run.
    """
    warmup, edge = WARMUP_EPOCHS * length.steps_per_epoch, EDGE_EPOCHS * length.steps_per_epoch
    if step < warmup:
        return LOWEST + (1 - LOWEST) * (step + 1) / warmup
    edges, part = divmod(step - warmup, edge)
    if edges >= 2 * CYCLES:
        return float(DECAY ** (edges - 2 * CYCLES + 1))
    height = part / edge if edges % 2 == 0 else 1 - part / edge
    return LOWEST + (1 - LOWEST) * height


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2


# Each gives the factor of the learning rate at a step counted from 0.
SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "mdeas": mdeas,
    "onecycle": onecycle,
    "cosine": cosine,
}
