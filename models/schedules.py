"""Learning-rate schedules: pure functions of the step and of what validation found after each epoch.

A resumed run therefore needs no schedule state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .. import MdeasError

# MDEAS, in epochs of the data set that is trained on.
WARMUP_EPOCHS = 5
EDGE_EPOCHS = 5
CYCLES = 3
LOWEST = 0.01  # lr_min as a fraction of lr
DECAY = 0.1
ORIGINAL_SAMPLES = 7000  # training samples that the code of MDEAS believed in, whatever the data set

# torch's OneCycleLR defaults.
RISE_SHARE = 0.3
START_DIVISOR = 25.0
FINAL_DIVISOR = 1e4

STEPS = 3  # stretches of equal length of the step schedule

# DSResNet's ReduceLROnPlateau; the threshold is torch's default.
PATIENCE = 2
PLATEAU_LOWEST = 1e-4  # 1e-6 of its rate of 0.01
PLATEAU_THRESHOLD = 1e-4


@dataclass(frozen=True)
class Length:
    """How long a run is."""

    epochs: int
    steps_per_epoch: int
    batch_size: int = 32

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.steps_per_epoch


class Schedule(Protocol):
    """Gives the factor of the learning rate at a step counted from 0."""

    def __call__(self, step: int, length: Length, losses: Sequence[float] = ()) -> float:
        """``losses`` are those of validation after every epoch so far."""


def constant(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """1 at every step."""
    return 1.0


def step_down(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """1 in the first third of the epochs, a tenth in the second, a hundredth in the last."""
    stretch = max(1, -(-length.epochs // STEPS))
    return float(DECAY ** (step // (stretch * length.steps_per_epoch)))


def cosine(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """Half a cosine from 1 to ``LOWEST`` at the last step."""
    return _cosine(1.0, LOWEST, step / max(1, length.steps - 1))


def onecycle(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """Rise from 1/25 to 1 over 30 % of the steps, then fall to 1/250,000 (Smith 2018, arXiv:1803.09820)."""
    last = max(1, length.steps - 1)
    peak = max(1e-9, RISE_SHARE * length.steps - 1)
    if step <= peak:
        return _cosine(1 / START_DIVISOR, 1.0, step / peak)
    return _cosine(1.0, 1 / START_DIVISOR / FINAL_DIVISOR, (step - peak) / max(1e-9, last - peak))


def plateau(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """A tenth each time that the loss has not improved for more than two epochs, down to 1e-4."""
    factor, best, waited = 1.0, math.inf, 0
    for loss in losses:
        if loss < best * (1 - PLATEAU_THRESHOLD):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > PATIENCE:
            factor, waited = max(PLATEAU_LOWEST, factor * DECAY), 0
    return factor


def mdeas(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """The schedule that MDEAS meant: warm-up, three triangular cycles, then a tenth at every further edge.

    The published code did something else, see ``mdeas_original``; here the warm-up is a ramp and everything
    counts the steps of this run.
    """
    warmup, edge = WARMUP_EPOCHS * length.steps_per_epoch, EDGE_EPOCHS * length.steps_per_epoch
    if step < warmup:
        return LOWEST + (1 - LOWEST) * (step + 1) / warmup
    edges = (step - warmup) // edge
    if edges >= 2 * CYCLES:
        return float(DECAY ** (edges - 2 * CYCLES + 1))
    return _triangle((step - warmup) / edge)


def mdeas_original(step: int, length: Length, losses: Sequence[float] = ()) -> float:
    """What the code of MDEAS did.

    Its "warm-up" holds the highest rate, the decay never comes and the rate jumps back to the highest; an
    epoch of the schedule has the batches of 7,000 samples, and every real epoch begins at its own number.
    """
    epoch, index = divmod(step, length.steps_per_epoch)
    believed = max(1, ORIGINAL_SAMPLES // length.batch_size)
    edge = EDGE_EPOCHS * believed
    since = epoch * believed + index - WARMUP_EPOCHS * believed
    if since < 0 or since >= 2 * CYCLES * edge:
        return 1.0
    return _triangle(since / edge)


def _triangle(edges: float) -> float:
    """From ``LOWEST`` to 1 along even edges and back along odd ones."""
    return LOWEST + (1 - LOWEST) * (1 - abs(edges % 2 - 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "step": step_down,
    "mdeas": mdeas,
    "mdeas-original": mdeas_original,
    "onecycle": onecycle,
    "plateau": plateau,
    "cosine": cosine,
}


def create_schedule(name: str) -> Schedule:
    """A schedule by name.

    Raises:
        MdeasError: If there is none of this name.
    """
    if name not in SCHEDULES:
        raise MdeasError(
            f"no schedule is called {name!r}; there are: {', '.join(SCHEDULES)}; choose with --schedule"
        )
    return SCHEDULES[name]
