"""``mdeas lr-find``: the learning-rate range test (Smith 2015, arXiv:1506.01186).

The rate grows exponentially from step to step. Where the smoothed loss falls fastest, training gets on best;
a tenth of the rate with the lowest loss is the cautious choice. Weights and optimizer are thrown away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from .. import MdeasError
from ..pipeline.manifest import write_bytes, write_json
from ..pipeline.options import LrFindConfig
from ..pipeline.progress import Progress
from .augment import AugmentedDataset
from .dataset import Sample, batches
from .plot import Plot
from .train import batch_rows, create_trainer, flushing_denormals, open_training
from .trainer import Trainer

SMOOTHING = 0.95  # share of the past in the running mean of the loss
DIVERGED = 4.0  # times the lowest smoothed loss


@dataclass(frozen=True)
class LrFindReport:
    """Rates, and the smoothed losses that they led to."""

    suggestion: float  # where the loss falls fastest
    cautious: float  # a tenth of the rate with the lowest loss
    steps: int
    plot: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def summary(self) -> str:
        """The suggestion and how it was found."""
        return (
            f"--lr {self.suggestion:.2g}: there the loss falls fastest "
            f"(a tenth of the rate with the lowest loss: {self.cautious:.2g})\n"
            f"{self.steps} steps up to a rate of {self.rates[-1]:.2g}\n{self.plot}"
        )


@flushing_denormals()
def find_lr(config: LrFindConfig) -> LrFindReport:
    """Sweep the rate, write the plot and the figures into ``runs/NAME``, and suggest a rate.

    Raises:
        MdeasError: As ``train``; or if the range is empty, or the loss is no number from the start.
    """
    if config.start >= config.end:
        raise MdeasError(
            f"an empty range: --start {config.start:g}, --end {config.end:g}; give a start below the end"
        )
    found, trainer = create_trainer(config)
    config = replace(config, size=found.size)
    rates, losses = sweep(trainer, config)
    if len(losses) < 2:
        raise MdeasError(
            f"the loss is no number at a rate of {config.start:g}; choose a lower --start, or another --loss"
        )
    fastest, cautious = suggest(rates, losses)
    folder = config.runs / config.run
    folder.mkdir(parents=True, exist_ok=True)
    report = LrFindReport(
        fastest, cautious, len(losses), str(folder / "lr-find.svg"), tuple(rates), tuple(losses)
    )
    plot = Plot(
        f"{config.model}: smoothed loss while the rate grows",
        "learning rate",
        {"loss": list(zip(rates, losses, strict=True))},
        marks={f"fastest {fastest:.2g}": fastest, f"cautious {cautious:.2g}": cautious},
        log_x=True,
    )
    write_bytes(folder / "lr-find.svg", plot.svg().encode())
    write_json(folder / "lr-find.json", asdict(report))
    return report


def sweep(trainer: Trainer, config: LrFindConfig) -> tuple[list[float], list[float]]:
    """Rates and smoothed losses, up to where the loss explodes."""
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    growth = (config.end / config.start) ** (1 / (config.steps - 1))
    trainer.network.train()
    with Progress(config.steps, "lr-find", "steps") as progress:
        for sample in itertools.islice(endless(trainer, config), config.steps):
            rate = config.start * growth ** len(rates)
            values = trainer.step(sample, rate)
            if values is None:
                break
            mean = SMOOTHING * mean + (1 - SMOOTHING) * values["loss"]
            rates.append(rate)
            losses.append(mean / (1 - SMOOTHING ** len(rates)))  # as if the past before the first were not
            progress.update(note=f"rate {rate:.2g}, loss {losses[-1]:.4f}")
            if losses[-1] > DIVERGED * min(losses):
                break
    return rates, losses


def endless(trainer: Trainer, config: LrFindConfig) -> Iterator[Sample]:
    """Batches of one epoch after another."""
    training = open_training(config, trainer.phase.size)
    for epoch in itertools.count():
        rows = batch_rows(len(training), trainer, epoch)
        augmented = AugmentedDataset(training, config.augment, config.seed, epoch)
        for _, batch in batches(augmented, rows.reshape(-1), rows.shape[1], config.workers):
            yield batch.to(trainer.device)


def suggest(rates: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """The rate of the steepest descent before the lowest loss, and a tenth of the rate of the lowest."""
    lowest = int(np.argmin(losses))
    if lowest == 0:
        return rates[0], rates[0] / 10
    slopes = np.gradient(np.asarray(losses), np.log([float(rate) for rate in rates]))
    return rates[int(np.argmin(slopes[: lowest + 1]))], rates[lowest] / 10
