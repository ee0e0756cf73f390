"""``mdeas train``: the training loop, written out.

``train`` is read top to bottom, with ``train_epoch`` and ``end_epoch`` below it; ``trainer.py`` takes the
steps, ``run.py`` keeps the folder. A run is a folder: ``config.json`` says what it is, ``last.ckpt`` holds
everything that the rest of the run depends on, so a run that was stopped anywhere ends with the figures of
one that was not (bit for bit on a CPU with the same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.lock import locked
from ..pipeline.manifest import key_digits
from ..pipeline.options import TrainConfig
from ..pipeline.progress import Progress
from .augment import AugmentedDataset, check_augmentation
from .checkpoint import load_checkpoint
from .compiling import require_compiler
from .dataset import FgBgDataset, batches, epoch_order
from .engine import Engine
from .interrupt import noting_interrupts
from .judge import Measured, Metrics, beside_baseline, metrics_table, network_predictor, open_strata
from .normalise import check_normalisation
from .phases import Phase, plan_phases
from .report import write_report
from .run import LAST_NAME, REPORT_NAME, Watch, claim, watch, write_history
from .trainer import Trainer

CHECKPOINT_EVERY_S = 180.0  # within an epoch; at its end always
LOG_EVERY_STEPS = 20


@dataclass(frozen=True)
class TrainReport:
    """What came of a run; ``strata`` are the metrics of the last epoch."""

    run: str
    model: str
    parameters: int
    device: str
    size: int
    samples: int
    epochs: int
    best_epoch: int
    seconds: float
    samples_per_second: float
    waiting_share: float
    started_at_epoch: float  # 0 for a fresh run; as many as there are: it was done already
    strata: dict[str, Metrics]

    def summary(self) -> str:
        """The table of the last epoch and where everything lies."""
        table = f"\n{metrics_table(self.strata)}\nin brackets: without learning" if self.strata else ""
        return (
            f"{self.model} ({self.parameters:,} parameters) on {self.device}: {self.samples:,} samples at "
            f"{self.size}x{self.size}, {self.epochs} epochs, the best is {self.best_epoch}\n"
            f"{self.seconds:.1f} s, {self.samples_per_second:.1f} samples/s, "
            f"{self.waiting_share:.1%} of it waiting for data{table}\n{self.run}"
        )


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Fresh networks are full of denormals, which a CPU multiplies slowly; other code may want them back."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@flushing_denormals()
def train(config: TrainConfig) -> TrainReport:
    """Train a network into ``runs/NAME/``; a stopped run goes on, one that has ended is only reported.

    Raises:
        MdeasError: For a wrong name, size or device, a data set without depth labels, a run made with other
            options, or a loss that is no longer a number.
    """
    config, trainer = create_trainer(config)
    folder, engine = config.runs / config.run, trainer.engine
    training = open_training(config, trainer.phases[0].size)
    if engine.is_main:
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) if engine.is_main else nullcontext():
        if engine.is_main:
            claim(folder, config, training)
        if engine.from_main((folder / LAST_NAME).exists()):
            trainer.restore(load_checkpoint(folder / LAST_NAME))
        start = trainer.position.epoch + trainer.position.step / trainer.steps_per_epoch
        while trainer.position.epoch < trainer.epochs:
            phase = trainer.phase
            training = open_training(config, phase.size)
            with watch(folder, trainer, training) as watching:
                while trainer.position.epoch < phase.end:
                    train_epoch(trainer, training, watching)
                    end_epoch(trainer, phase, watching)
        if engine.is_main:
            history = trainer.position.history
            write_history(folder, history)
            if start < trainer.epochs or not (folder / REPORT_NAME).exists():
                size = trainer.phases[-1].size
                strata = open_strata(config.dataset, size, config.val_limit, config.seed)
                write_report(folder, strata, history, trainer.device)
    return report(folder, trainer, start)


def train_epoch(trainer: Trainer, training: FgBgDataset, watching: Watch | None) -> None:
    """The steps of an epoch that are still to do; the sums of the loss terms stay in the position."""
    position, config, engine = trainer.position, trainer.config, trainer.engine
    rows = batch_rows(len(training), trainer, position.epoch)
    mine = rows[position.step :, engine.share_batch(rows.shape[1])]
    augmented = AugmentedDataset(training, config.augment, config.seed, position.epoch)
    trainer.network.train()
    saved = before = time.monotonic()
    label = f"epoch {position.epoch + 1}/{trainer.epochs}"
    progress = Progress(len(rows), label, "steps", position.step, quiet=not engine.is_main)
    with progress, noting_interrupts() as interrupted:
        for _, batch in batches(augmented, mine.reshape(-1), mine.shape[1], config.workers):
            position.waiting += time.monotonic() - before
            rate = trainer.learning_rate()
            values = trainer.step(batch.to(trainer.device), rate)
            if values is None:
                raise not_a_number(trainer, training, rows[position.step])
            if watching is not None and position.steps % LOG_EVERY_STEPS == 0:
                watching.events.step(position.steps, {**values, "lr": rate})
            position.step, position.steps = position.step + 1, position.steps + 1
            position.sums = {name: position.sums.get(name, 0.0) + value for name, value in values.items()}
            now = time.monotonic()
            position.seconds += now - before
            progress.update(note=f"loss {values['loss']:.4f}")
            stopping = engine.any(interrupted.asked)
            if watching is not None and (stopping or now - saved > CHECKPOINT_EVERY_S):
                watching.save(LAST_NAME, trainer, trainer.state())
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt
            before = time.monotonic()


def end_epoch(trainer: Trainer, phase: Phase, watching: Watch | None) -> None:
    """Measure, note, draw, save; ``last.ckpt`` is written last and makes the epoch count."""
    position, best = trainer.position, trainer.position.best
    if watching is not None:
        predict = network_predictor(trainer.ready())
        line = epoch_line(trainer, watching, watching.judge(predict, "validate", trainer.loss))
        found = scores(line)
        improved = {name: score for name, score in found.items() if name not in best or score > best[name]}
        line["best"] = sorted(improved)
        best.update(improved)
        position.history.append(line)
        position.epoch, position.step = position.epoch + 1, 0
        position.sums, position.seconds, position.waiting = {}, 0.0, 0.0
        for name in improved:
            watching.save(f"{name}.ckpt", trainer)
        if has_stalled(position.history, phase, trainer.config.patience):
            position.epoch = phase.end
        if position.epoch == phase.end < trainer.epochs:
            best.clear()  # scores at one size say nothing about those at another
        watching.events.epoch(line, predict, trainer.model if trainer.config.histograms else None)
        watching.save(LAST_NAME, trainer, trainer.state())
        write_history(watching.folder, position.history)
    trainer.position = trainer.engine.from_main(position)


def has_stalled(history: list[dict[str, Any]], phase: Phase, patience: int | None) -> bool:
    """Whether the phase has had ``patience`` epochs without a better ``best``."""
    improved = [line["epoch"] for line in history if "best" in line["best"]]
    return patience is not None and history[-1]["epoch"] - max(phase.first, *improved, 0) >= patience


def batch_rows(count: int, trainer: Trainer, epoch: int) -> NDArray[np.int64]:
    """The batches of an epoch, (steps, batch), as indices of training samples.

    A last batch of a few samples would move the batch statistics as much as a full one: it is left out.
    """
    size = min(count, trainer.phase.batch_size)
    order = epoch_order(count, trainer.config.seed, epoch)
    return order[: trainer.steps_per_epoch * size].reshape(-1, size)


def epoch_line(trainer: Trainer, watching: Watch, found: dict[str, Measured]) -> dict[str, Any]:
    """The line of ``metrics.jsonl`` for the epoch that has just been trained."""
    position, steps = trainer.position, trainer.steps_per_epoch
    seconds = max(position.seconds, 1e-9)
    samples = steps * min(trainer.samples, trainer.phase.batch_size)
    line: dict[str, Any] = {
        "epoch": position.epoch + 1,
        "step": position.steps,
        "size": trainer.phase.size,
        "lr": trainer.optimizer.param_groups[0]["lr"],
        "train": {name: value / steps for name, value in position.sums.items()},
        "val": beside_baseline(found, watching.baseline),
        "seconds": round(position.seconds, 3),
        "samples_per_second": round(samples / seconds, 2),
        "waiting_share": round(position.waiting / seconds, 4),
    }
    if found:
        together = sum(found.values(), Measured())
        line["val_loss"] = together.loss / together.samples
    return line


def scores(line: dict[str, Any]) -> dict[str, float]:
    """What ``best``, ``best-mask`` and ``best-depth`` go by, over all strata together; larger is better."""
    if "val_loss" not in line:
        found = {"best": -line["train"]["loss"]}
    else:
        together = line["val"]["all"]
        found = {"best": -line["val_loss"], "best-mask": together["mask"]["iou"]}
        if "depth" in together:
            found["best-depth"] = -together["depth"]["rmse"]
    return {name: score if math.isfinite(score) else -math.inf for name, score in found.items()}


def create_trainer(config: TrainConfig) -> tuple[TrainConfig, Trainer]:
    """The trainer at the beginning of a run, and the options with the data set's own size filled in.

    Raises:
        MdeasError: For a name that does not exist, a size that the network cannot take, batches that cannot
            be shared, or a data set that cannot be trained on.
    """
    if Path(config.run).name != config.run or config.run in ("", ".", ".."):
        raise MdeasError(f"not a name for a run: {config.run!r}; use a plain name, and --runs for the folder")
    check_augmentation(config.augment)
    if config.normalise is not None:
        check_normalisation(config.normalise)
    engine = Engine(config.device, config.precision)
    if config.compile and engine.device.type == "cpu":
        require_compiler()
    training = open_training(config, None)
    if not len(training):
        raise MdeasError(
            f"no training samples: {config.dataset}; make a larger set with `mdeas make-dataset`"
        )
    config = replace(config, size=config.size or training.size)
    phases = plan_phases(config, training.size)
    for phase in phases:
        if phase.batch_size % engine.processes:
            raise MdeasError(
                f"a batch of {phase.batch_size} cannot be shared by {engine.processes} processes; "
                "choose a multiple with --batch-size"
            )
    return config, Trainer(config, phases, len(training), engine)


def open_training(config: TrainConfig, size: int | None) -> FgBgDataset:
    """The training samples at ``size``; None is the data set's own."""
    return FgBgDataset(config.dataset, "train", size, config.limit, config.seed)


def not_a_number(trainer: Trainer, training: FgBgDataset, indices: NDArray[np.int64]) -> MdeasError:
    """The error that names the step and the batch."""
    digits = key_digits(len(training.reader))
    keys = ", ".join(f"{number:0{digits}d}" for number in training.samples[indices])
    position = trainer.position
    return MdeasError(
        f"the loss or its gradient is no longer a number; epoch {position.epoch + 1}, step "
        f"{position.step + 1}, batch of samples {keys}; lower --lr and start afresh with --overwrite"
    )


def report(folder: Path, trainer: Trainer, start: float) -> TrainReport:
    """What the history adds up to."""
    history = trainer.position.history
    seconds = sum(line["seconds"] for line in history)
    waiting = sum(line["seconds"] * line["waiting_share"] for line in history)
    samples = sum(line["seconds"] * line["samples_per_second"] for line in history)
    return TrainReport(
        run=str(folder),
        model=trainer.config.model,
        parameters=trainer.model.parameters_count,
        device=str(trainer.device),
        size=trainer.phases[-1].size,
        samples=trainer.samples,
        epochs=len(history),
        best_epoch=next(line["epoch"] for line in reversed(history) if "best" in line["best"]),
        seconds=round(seconds, 2),
        samples_per_second=round(samples / max(seconds, 1e-9), 2),
        waiting_share=round(waiting / max(seconds, 1e-9), 4),
        started_at_epoch=round(start, 3),
        strata=history[-1]["val"],
    )
