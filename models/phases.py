"""The phases of a run: sizes, batch sizes and losses that follow one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from .. import MdeasError
from ..pipeline.options import TrainConfig

T = TypeVar("T", int, str)


@dataclass(frozen=True)
class Phase:
    """Some epochs of a run at one size; most runs have one phase."""

    size: int
    batch_size: int  # over all processes
    loss: str
    first: int  # epochs of the run before it
    end: int  # epochs of the run with it


def plan_phases(config: TrainConfig, own_size: int) -> tuple[Phase, ...]:
    """One phase for each of the values given to an option; an option of one value has it in every phase.

    Raises:
        MdeasError: If two options have different numbers of values, other than one.
    """
    values: dict[str, tuple[int, ...] | tuple[str, ...]] = {
        "--size": several(own_size if config.size is None else config.size),
        "--epochs": several(config.epochs),
        "--batch-size": several(config.batch_size),
        "--loss": several(config.loss),
    }
    count = max(len(given) for given in values.values())
    for name, given in values.items():
        if len(given) not in (1, count):
            raise MdeasError(
                f"{len(given)} values for {name} ({', '.join(map(str, given))}), but {count} for another "
                "option; give one value or as many as there are phases"
            )
    phases: list[Phase] = []
    for index in range(count):
        size, epochs, batch_size, loss = (given[index % len(given)] for given in values.values())
        first = phases[-1].end if phases else 0
        phases.append(Phase(int(size), int(batch_size), str(loss), first, first + int(epochs)))
    return tuple(phases)


def several(value: T | tuple[T, ...]) -> tuple[T, ...]:
    """A value as a tuple of one; a tuple as it is."""
    return value if isinstance(value, tuple) else (value,)
