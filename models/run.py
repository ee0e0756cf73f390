"""The folder of a training run: whose it is, and what is written into it for people."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from .. import MdeasError, __version__
from ..pipeline.images import encode_png
from ..pipeline.manifest import DEPTH_INFO_NAME, MANIFEST_NAME, read_json, write_bytes, write_json
from ..pipeline.options import TrainConfig
from .dataset import FgBgDataset, Sample
from .evaluate import Predictor
from .pictures import COLUMNS, sample_row, sheet

CONFIG_NAME, LAST_NAME, METRICS_NAME = "config.json", "last.ckpt", "metrics.jsonl"
PICTURES_NAME = "predictions"

# Options that decide the result: a run goes on only with the same. ``dataset`` is compared by content.
DECIDING = (
    "model", "size", "batch_size", "lr", "loss", "schedule", "limit", "val_limit", "seed", "epochs",
    "dataset",
)  # fmt: skip


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
        require_same(folder, read_json(path), wanted)
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
            same = old == new or (name == "epochs" and wanted["options"]["schedule"] == "constant")
        if not same:
            what = "the data set's content" if name == "dataset" else f"{old} there, {new} now"
            raise MdeasError(
                f"the run was made with another --{name.replace('_', '-')} ({what}): {folder}; "
                "use another --run, or --overwrite to start afresh"
            )


def clear(folder: Path) -> None:
    """Remove what a run writes, and nothing else, from its folder."""
    names = (CONFIG_NAME, METRICS_NAME, "*.ckpt", "*.part", "evaluation*.json", "events.out.tfevents.*")
    for path in [
        *(path for name in names for path in folder.glob(name)),
        *folder.glob(f"{PICTURES_NAME}/epoch-*.png"),
    ]:
        path.unlink()


def plain_options(config: TrainConfig) -> dict[str, Any]:
    """The options as JSON knows them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(config).items()}


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

    def epoch(self, line: dict[str, Any], predict: Predictor) -> None:
        """Figures of one epoch (a line of ``metrics.jsonl``) and its prediction pictures, also as a PNG."""
        step = line["step"]
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
