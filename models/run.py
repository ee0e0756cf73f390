"""The folder of a training run: whose it is, what is measured for it, and what people see of it."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from .. import MdeasError, __version__
from ..pipeline.images import encode_png
from ..pipeline.manifest import DEPTH_INFO_NAME, MANIFEST_NAME, read_json, write_bytes, write_json
from ..pipeline.options import TrainConfig
from .base import DualHeadNet
from .baseline import fit_baseline
from .checkpoint import Checkpoint, save_checkpoint
from .dataset import Batch, FgBgDataset, Sample, label_meaning, subset
from .judge import Judge, Measured, Predictor, open_strata
from .metrics import DepthScale
from .pictures import COLUMNS, sample_row, sheet

if TYPE_CHECKING:
    from .trainer import Trainer

log = logging.getLogger(__name__)

CONFIG_NAME, LAST_NAME, METRICS_NAME = "config.json", "last.ckpt", "metrics.jsonl"
REPORT_NAME = "report.html"
PICTURES_NAME, PICTURED_SAMPLES = "predictions", 8

# Options that decide the result: a run goes on only with the same. ``dataset`` is compared by content.
DECIDING = (
    "model", "size", "batch_size", "lr", "loss", "schedule", "optimizer", "momentum", "weight_decay",
    "augment", "normalise", "ema", "patience", "init_from", "encoder_weights", "precision", "limit",
    "val_limit", "seed", "epochs", "dataset",
)  # fmt: skip

_AFRESH = "use another --run, or --overwrite to start afresh"


def claim(folder: Path, config: TrainConfig, training: FgBgDataset) -> None:
    """Make sure that ``folder`` is this run's: fresh, or made with the same options."""
    path = folder / CONFIG_NAME
    wanted = {
        "mdeas_version": __version__,
        "options": plain_options(config),
        "dataset_sha256": fingerprint(training),
    }
    if config.overwrite:
        clear(folder)
    if path.exists():
        there = read_json(path, _AFRESH)
        try:
            require_same(folder, there, wanted)
        except (KeyError, TypeError, AttributeError) as error:
            raise MdeasError(f"damaged file: {path} (options are missing); {_AFRESH}") from error
        if not config.resume:
            raise MdeasError(
                f"the run exists: {folder}; go on with --resume, or start afresh with --overwrite"
            )
    write_json(path, wanted)


def require_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise MdeasError naming the first deciding option that differs."""
    for name in DECIDING:
        old, new = there["options"].get(name), wanted["options"].get(name)
        if name == "dataset":
            same = there["dataset_sha256"] == wanted["dataset_sha256"]
        else:
            # A constant rate knows no end, so such a run can be made longer.
            endless = wanted["options"]["schedule"] == "constant" and isinstance(new, int)
            same = old == new or (name == "epochs" and endless)
        if not same:
            what = "the data set's content" if name == "dataset" else f"{old} there, {new} now"
            raise MdeasError(
                f"the run was made with another --{name.replace('_', '-')} ({what}): {folder}; {_AFRESH}"
            )


def clear(folder: Path) -> None:
    """Remove what a run writes, and nothing else, from its folder."""
    names = (
        CONFIG_NAME, METRICS_NAME, REPORT_NAME, "*.ckpt", "*.part", "evaluation*.json",
        "evaluation*.png", "compared.json", "events.out.tfevents.*",
    )  # fmt: skip
    for path in [
        *(path for name in names for path in folder.glob(name)),
        *folder.glob(f"{PICTURES_NAME}/epoch-*.png"),
    ]:
        path.unlink()


def plain_options(config: TrainConfig) -> dict[str, Any]:
    """The options as JSON knows them."""
    plain: dict[str, Any] = {}
    for name, value in vars(config).items():
        if isinstance(value, tuple):
            value = value[0] if len(value) == 1 else list(value)
        plain[name] = str(value) if isinstance(value, Path) else value
    return plain


def fingerprint(dataset: FgBgDataset) -> str:
    """What tells one labelled data set from another, wherever it lies."""
    digest = hashlib.sha256()
    for name in (MANIFEST_NAME, DEPTH_INFO_NAME):
        digest.update((dataset.reader.root / name).read_bytes())
    return digest.hexdigest()


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write ``metrics.jsonl`` as ``last.ckpt`` knows it: also right after a stop between the two."""
    write_bytes(folder / METRICS_NAME, "".join(json.dumps(line) + "\n" for line in history).encode())


@dataclass(frozen=True)
class Watch:
    """What the first process measures, shows and saves while a phase is trained."""

    folder: Path
    training: FgBgDataset
    judge: Judge
    baseline: dict[str, Measured]
    events: Events

    def save(self, name: str, trainer: Trainer, state: dict[str, Any] | None = None) -> None:
        """Write a checkpoint of the network as it stands; with ``state`` the run can go on from it."""
        position = trainer.position
        checkpoint = Checkpoint(
            model=trainer.config.model,
            size=self.training.size,
            weights=trainer.weights(),
            depth=label_meaning(self.training.depth_info),
            options=plain_options(trainer.config),
            epoch=position.epoch,
            metrics=position.history[-1]["val"] if position.history else {},
            training=state,
            normalisation=asdict(trainer.normalisation) if trainer.normalisation else None,
        )
        save_checkpoint(self.folder / name, checkpoint)


@contextmanager
def watch(folder: Path, trainer: Trainer, training: FgBgDataset) -> Iterator[Watch | None]:
    """Open the validation strata, measure the baseline on them, choose the samples of the pictures.

    None in every process but the first.
    """
    if not trainer.engine.is_main:
        yield None
        return
    config, info = trainer.config, training.depth_info
    strata = open_strata(config.dataset, training.size, config.val_limit, config.seed)
    if not strata:
        log.warning(
            "no validation samples in %s: the best checkpoint goes by the training loss", config.dataset
        )
    judge = Judge(
        strata, DepthScale(info.scale, info.offset), trainer.phase.batch_size, config.workers, trainer.device
    )
    baseline = judge(fit_baseline(training, config.seed, config.workers), "baseline")
    pictured, names = pictured_samples(strata or {"train": training}, config.seed)
    with SummaryWriter(str(folder), purge_step=trainer.position.steps + 1) as writer:
        events = Events(folder, writer, pictured.to(trainer.device), names, info.nearer)
        if trainer.position.steps == 0:
            events.graph(trainer.ready())
        yield Watch(folder, training, judge, baseline, events)


def pictured_samples(strata: Mapping[str, FgBgDataset], seed: int) -> tuple[Batch, list[str]]:
    """A few samples of every stratum, the same at every epoch, and the names of their strata."""
    parts: list[Batch] = []
    names: list[str] = []
    for name, dataset in strata.items():
        chosen = subset(np.arange(len(dataset)), PICTURED_SAMPLES // len(strata), seed)
        parts.append(dataset.read(chosen))
        names += [name] * len(chosen)
    return Batch(*(torch.cat(part) for part in zip(*parts, strict=True))), names


class _Traced(nn.Module):
    """A network whose outputs are tensors only, as the tracer wants them."""

    def __init__(self, network: DualHeadNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor, ...]:
        """The heads that there are."""
        return tuple(part for part in self.network(bg, fg_bg) if part is not None)


@dataclass(frozen=True)
class Events:
    """What a run shows while it trains: TensorBoard events and prediction pictures of fixed samples."""

    folder: Path
    writer: SummaryWriter
    pictured: Sample
    names: list[str]  # the stratum of each pictured sample
    nearer: str  # as in depth.json

    def step(self, step: int, values: dict[str, float]) -> None:
        """Figures of one step: loss terms and learning rate."""
        for name, value in values.items():
            self.writer.add_scalar(f"step/{name}", value, step)

    def graph(self, network: DualHeadNet) -> None:
        """The network's graph."""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about checks of shapes, which a trace does not repeat
            pair = (self.pictured.bg[:1], self.pictured.fg_bg[:1])
            # Traced here, because the writer would check the trace, which takes several times longer.
            traced = torch.jit.trace(_Traced(network), pair, check_trace=False)  # type: ignore[no-untyped-call]
            self.writer.add_graph(traced, pair)

    def epoch(self, line: dict[str, Any], predict: Predictor, model: nn.Module | None = None) -> None:
        """Figures of one epoch (a line of ``metrics.jsonl``) and its prediction pictures, also as a PNG.

        With ``model``, histograms of its weights and of their last gradients.
        """
        step = line["step"]
        for name, parameter in model.named_parameters() if model is not None else ():
            self.writer.add_histogram(f"weights/{name}", parameter, step)
            if parameter.grad is not None:
                self.writer.add_histogram(f"gradients/{name}", parameter.grad, step)
        self.writer.add_scalar("lr", line["lr"], step)
        for name, value in line["train"].items():
            self.writer.add_scalar(f"train/{name}", value, step)
        if "val_loss" in line:
            self.writer.add_scalar("val/loss", line["val_loss"], step)
        for stratum, metrics in line["val"].items():
            for kind in ("mask", "depth"):
                for name, value in metrics.get(kind, {}).items():
                    self.writer.add_scalar(f"{stratum}/{kind}_{name}", value, step)
        with torch.no_grad():
            found = predict(self.pictured)
        rows = [sample_row(self.pictured, found, row, self.nearer) for row in range(len(self.names))]
        picture = sheet(rows, COLUMNS, self.names)
        self.writer.add_image("predictions", picture, step, dataformats="HWC")
        self.writer.flush()
        pictures = self.folder / PICTURES_NAME
        pictures.mkdir(exist_ok=True)
        write_bytes(pictures / f"epoch-{line['epoch']:03d}.png", encode_png(picture))
