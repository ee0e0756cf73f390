"""``mdeas train``: the training loop, written out.

``train`` is read top to bottom; above it are its parts. A run is a folder: ``config.json`` says what it is,
``last.ckpt`` holds everything that the rest of the run depends on, so a run that was stopped anywhere ends
with the figures of one that was not (bit for bit on a CPU with the same number of threads).
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from .. import MdeasError
from ..pipeline.lock import locked
from ..pipeline.options import TrainConfig
from ..pipeline.progress import Progress
from . import create_model
from .base import DualHeadNet, heads, ready
from .baseline import fit_baseline
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .dataset import Batch, FgBgDataset, Sample, batches, epoch_order, label_meaning, subset
from .device import choose_device
from .evaluate import (
    Judge,
    Measured,
    Metrics,
    beside_baseline,
    metrics_table,
    network_predictor,
    open_strata,
)  # fmt: skip
from .losses import create_loss
from .metrics import DepthScale
from .run import LAST_NAME, Events, claim, plain_options, write_history
from .schedules import Length, create_schedule

log = logging.getLogger(__name__)

ADAM_BETAS = (0.5, 0.999)  # as MDEAS
CHECKPOINT_EVERY_S = 180.0  # within an epoch; at its end always
LOG_EVERY_STEPS = 20
PICTURED_SAMPLES = 8


@dataclass
class Position:
    """How far a run has come, and what it has found so far; saved in ``last.ckpt``."""

    epoch: int = 0  # epochs finished
    step: int = 0  # steps done of the epoch under way
    sums: dict[str, float] = field(default_factory=dict)  # of its loss terms
    seconds: float = 0.0  # spent on it
    waiting: float = 0.0  # of these, waiting for data
    history: list[dict[str, Any]] = field(default_factory=list)  # the lines of metrics.jsonl
    best: dict[str, float] = field(default_factory=dict)  # checkpoint name: its score, larger is better


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


class Trainer:
    """A network in training: what one step changes, and what ``last.ckpt`` restores."""

    def __init__(self, config: TrainConfig, size: int, device: torch.device, steps_per_epoch: int) -> None:
        """Fresh weights, drawn with the seed."""
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.length = Length(config.epochs, steps_per_epoch, config.batch_size)
        self.schedule = create_schedule(config.schedule)
        self.loss = create_loss(config.loss).to(device)
        self.model: DualHeadNet = create_model(config.model)
        self.model.check_size(size, size)
        # Convolutions over channels-last tensors: 1.6 times the steps a second on a CPU.
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = [*self.model.parameters(), *self.loss.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.lr, betas=ADAM_BETAS)
        self.position = Position()

    @property
    def steps_done(self) -> int:
        """Steps since the run began."""
        return self.position.epoch * self.length.steps_per_epoch + self.position.step

    def learning_rate(self) -> float:
        """The rate of the step that comes next."""
        losses = [line.get("val_loss", line["train"]["loss"]) for line in self.position.history]
        return self.config.lr * self.schedule(self.steps_done, self.length, losses)

    def step(self, sample: Sample, rate: float) -> dict[str, float] | None:
        """One step; the loss and its terms, or None, and no step taken, where the loss is no number."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        found = heads(self.model, self.model(sample.bg, sample.fg_bg))
        loss, terms = self.loss(found, sample)
        values = torch.stack([loss.detach(), *(term.detach() for term in terms.values())]).tolist()
        if not math.isfinite(values[0]):
            return None
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return dict(zip(("loss", *terms), values, strict=True))

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, besides the weights and the options."""
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return {
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.position),
            "loss": self.loss.state_dict(),
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from ``checkpoint``."""
        state = checkpoint.training or {}
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.load_state_dict(state.get("loss", {}))
        self.position = Position(**state["position"])
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda" and state["random"]["cuda"]:
            torch.cuda.set_rng_state_all(state["random"]["cuda"])


class Interrupted:
    """Turns the first Ctrl-C into a flag, so that a step is never cut in two; the second stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def note(self, _signal: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log.warning("stopping after this step; once more to stop at once")


@contextmanager
def noting_interrupts() -> Iterator[Interrupted]:
    """Ctrl-C as a flag within this block; as always where signals cannot be caught (not the main thread)."""
    interrupted = Interrupted()
    try:
        before = signal.signal(signal.SIGINT, interrupted.note)
    except ValueError:
        yield interrupted
        return
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Run:
    """What does not change while a run trains."""

    folder: Path
    config: TrainConfig
    training: FgBgDataset
    judge: Judge
    baseline: dict[str, Measured]
    events: Events

    def save(self, name: str, trainer: Trainer, state: dict[str, Any] | None = None) -> None:
        """Write a checkpoint of the network as it stands; with ``state`` the run can go on from it."""
        position = trainer.position
        checkpoint = Checkpoint(
            model=self.config.model,
            size=self.training.size,
            weights=trainer.model.state_dict(),
            depth=label_meaning(self.training.depth_info),
            options=plain_options(self.config),
            epoch=position.epoch,
            metrics=position.history[-1]["val"] if position.history else {},
            training=state,
        )
        save_checkpoint(self.folder / name, checkpoint)


def train(config: TrainConfig) -> TrainReport:
    """Train a network into ``runs/NAME/``; a stopped run goes on, one that has ended is only reported.

    Raises:
        MdeasError: For a wrong name, size or device, a data set without depth labels, a run made with other
            options, or a loss that is no longer a number.
    """
    check_names(config)
    device = choose_device(config.device)
    training = FgBgDataset(config.dataset, "train", config.size, config.limit, config.seed)
    if not len(training):
        raise MdeasError(
            f"no training samples: {config.dataset}; make a larger set with `mdeas make-dataset`"
        )
    config = replace(config, size=training.size)
    torch.set_flush_denormal(True)  # fresh networks are full of denormals, which a CPU multiplies slowly
    trainer = Trainer(config, training.size, device, max(1, len(training) // config.batch_size))
    folder = config.runs / config.run
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        claim(folder, config, training)
        if (folder / LAST_NAME).exists():
            trainer.restore(load_checkpoint(folder / LAST_NAME))
            write_history(folder, trainer.position.history)
        start = trainer.position.epoch + trainer.position.step / trainer.length.steps_per_epoch
        if trainer.position.epoch < config.epochs:
            with SummaryWriter(str(folder), purge_step=trainer.steps_done + 1) as writer:
                run = prepare(folder, config, training, device, writer)
                while trainer.position.epoch < config.epochs:
                    train_epoch(trainer, run)
                    end_epoch(trainer, run)
    return report(folder, trainer, training, start)


def train_epoch(trainer: Trainer, run: Run) -> None:
    """The steps of an epoch that are still to do; the sums of the loss terms stay in the position."""
    position, config, steps = trainer.position, run.config, trainer.length.steps_per_epoch
    order = epoch_order(len(run.training), config.seed, position.epoch)
    # A last batch of a few samples would move the batch statistics as much as a full one: it is left out.
    order = order[position.step * config.batch_size : steps * config.batch_size]
    trainer.model.train()
    saved = before = time.monotonic()
    label = f"epoch {position.epoch + 1}/{config.epochs}"
    with Progress(steps, label, "steps", position.step) as progress, noting_interrupts() as interrupted:
        for indices, batch in batches(run.training, order, config.batch_size, config.workers):
            position.waiting += time.monotonic() - before
            rate = trainer.learning_rate()
            values = trainer.step(batch.to(trainer.device), rate)
            if values is None:
                raise not_a_number(trainer, run, indices)
            if trainer.steps_done % LOG_EVERY_STEPS == 0:
                run.events.step(trainer.steps_done, {**values, "lr": rate})
            position.step += 1
            position.sums = {name: position.sums.get(name, 0.0) + value for name, value in values.items()}
            now = time.monotonic()
            position.seconds += now - before
            progress.update(note=f"loss {values['loss']:.4f}")
            if interrupted.asked or now - saved > CHECKPOINT_EVERY_S:
                run.save(LAST_NAME, trainer, trainer.state())
                saved = time.monotonic()
            if interrupted.asked:
                raise KeyboardInterrupt
            before = time.monotonic()


def end_epoch(trainer: Trainer, run: Run) -> None:
    """Measure, note, draw, save; ``last.ckpt`` is written last and makes the epoch count."""
    position = trainer.position
    predict = network_predictor(ready(trainer.model))
    line = epoch_line(trainer, run, run.judge(predict, "validate", trainer.loss))
    best = position.best
    improved = {name: score for name, score in scores(line).items() if name not in best or score > best[name]}
    line["best"] = sorted(improved)
    best.update(improved)
    position.history.append(line)
    position.epoch, position.step = position.epoch + 1, 0
    position.sums, position.seconds, position.waiting = {}, 0.0, 0.0
    run.events.epoch(line, predict)
    for name in improved:
        run.save(f"{name}.ckpt", trainer)
    run.save(LAST_NAME, trainer, trainer.state())
    write_history(run.folder, position.history)


def epoch_line(trainer: Trainer, run: Run, found: dict[str, Measured]) -> dict[str, Any]:
    """The line of ``metrics.jsonl`` for the epoch that has just been trained."""
    position, steps = trainer.position, trainer.length.steps_per_epoch
    seconds = max(position.seconds, 1e-9)
    samples = min(len(run.training), steps * run.config.batch_size)
    line: dict[str, Any] = {
        "epoch": position.epoch + 1,
        "step": trainer.steps_done,
        "lr": trainer.optimizer.param_groups[0]["lr"],
        "train": {name: value / steps for name, value in position.sums.items()},
        "val": beside_baseline(found, run.baseline),
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


def check_names(config: TrainConfig) -> None:
    """Raise MdeasError for a loss, a schedule or a run that cannot be."""
    create_loss(config.loss)
    create_schedule(config.schedule)
    if Path(config.run).name != config.run or config.run in ("", ".", ".."):
        raise MdeasError(f"not a name for a run: {config.run!r}; use a plain name, and --runs for the folder")


def prepare(
    folder: Path, config: TrainConfig, training: FgBgDataset, device: torch.device, writer: SummaryWriter
) -> Run:
    """Open the validation strata, measure the baseline on them, and choose the samples of the pictures."""
    info = training.depth_info
    strata = open_strata(config.dataset, training.size, config.val_limit, config.seed)
    if not strata:
        log.warning(
            "no validation samples in %s: the best checkpoint goes by the training loss", config.dataset
        )
    judge = Judge(strata, DepthScale(info.scale, info.offset), config.batch_size, config.workers, device)
    baseline = judge(fit_baseline(training, config.seed, config.workers), "baseline")
    pictured, names = pictured_samples(strata or {"train": training}, config.seed)
    events = Events(folder, writer, pictured.to(device), names, info.nearer)
    return Run(folder, config, training, judge, baseline, events)


def pictured_samples(strata: Mapping[str, FgBgDataset], seed: int) -> tuple[Batch, list[str]]:
    """A few samples of every stratum, the same at every epoch, and the names of their strata."""
    parts: list[Batch] = []
    names: list[str] = []
    for name, dataset in strata.items():
        chosen = subset(np.arange(len(dataset)), PICTURED_SAMPLES // len(strata), seed)
        parts.append(dataset.read(chosen))
        names += [name] * len(chosen)
    return Batch(*(torch.cat(part) for part in zip(*parts, strict=True))), names


def not_a_number(trainer: Trainer, run: Run, indices: NDArray[np.int64]) -> MdeasError:
    """The error that names the step and the batch."""
    numbers = ", ".join(str(number) for number in run.training.samples[indices])
    position = trainer.position
    return MdeasError(
        f"the loss is no longer a number; epoch {position.epoch + 1}, step {position.step + 1}, "
        f"batch of samples {numbers}; lower --lr and start afresh with --overwrite"
    )


def report(folder: Path, trainer: Trainer, training: FgBgDataset, start: float) -> TrainReport:
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
        size=training.size,
        samples=len(training),
        epochs=len(history),
        best_epoch=next(line["epoch"] for line in reversed(history) if "best" in line["best"]),
        seconds=round(seconds, 2),
        samples_per_second=round(samples / max(seconds, 1e-9), 2),
        waiting_share=round(waiting / max(seconds, 1e-9), 4),
        started_at_epoch=round(start, 3),
        strata=history[-1]["val"],
    )
