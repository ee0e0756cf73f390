"""``mdeas demo``: the whole chain on the bundled pictures, small enough for a few minutes on two cores.

Every stage is the command's own with smaller options, so a demo that was stopped goes on like they do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.evaluate import evaluate
from ..models.predict import predict
from ..models.train import train
from ..pipeline.assets import bundled_folder
from ..pipeline.composite import make_dataset
from ..pipeline.depth import label_depth
from ..pipeline.images import encode_png
from ..pipeline.options import (
    DemoConfig,
    EvaluateConfig,
    LabelDepthConfig,
    MakeDatasetConfig,
    PredictConfig,
    PreviewConfig,
    StatsConfig,
    TrainConfig,
    VerifyConfig,
)
from ..pipeline.preview import make_preview
from ..pipeline.progress import announce
from ..pipeline.reader import DatasetReader
from ..pipeline.stats import compute_stats
from ..pipeline.verify import verify_dataset

# Small enough for five minutes on two cores, large enough that the masks and the depth come out by eye.
SIZE = 128
SAMPLES = 2400
TRAIN_SIZE = 64
EPOCHS = 6
BATCH_SIZE = 8
LEARNING_RATE = 2e-3
SCHEDULE = "onecycle"
AUGMENT = "none"  # three minutes are too few to learn the object and what a camera does as well
FRAMES = 3
FRAME_STRATUM = "new_both"


@dataclass(frozen=True)
class DemoReport:
    """What was made, how long each stage took, and what each of them reported."""

    out: str
    seconds: dict[str, float]
    reports: dict[str, str]
    look_at: dict[str, str]

    def summary(self) -> str:
        """Stage times, the evaluation, and the paths of what to look at."""
        times = "\n".join(f"  {name:<14}{seconds:7.1f} s" for name, seconds in self.seconds.items())
        paths = "\n".join(
            f"  {path:<{max(map(len, self.look_at))}}  {what}" for path, what in self.look_at.items()
        )
        return (
            f"{self.reports['evaluate']}\n\n"
            f"Stages\n{times}\n  {'in all':<14}{sum(self.seconds.values()):7.1f} s\n\n"
            f"Look at\n{paths}"
        )


def run_demo(config: DemoConfig) -> DemoReport:
    """Make, label, measure, check, train, judge and predict, all under ``config.out``."""
    dataset, runs = config.out / "dataset", config.out / "runs"
    sheet, predictions = config.out / "preview.png", config.out / "predictions"
    seconds: dict[str, float] = {}
    reports: dict[str, str] = {}

    def stage(name: str, function: Callable[[Any], Any], options: object) -> None:
        announce(f"mdeas {name} …")
        start = time.monotonic()
        reports[name] = function(options).summary()
        seconds[name] = round(time.monotonic() - start, 2)

    pictures = MakeDatasetConfig(
        fg=bundled_folder("fg"), bg=bundled_folder("bg"), out=dataset, size=SIZE, limit=SAMPLES,
        seed=config.seed, jobs=config.jobs,
    )  # fmt: skip
    stage("make-dataset", make_dataset, pictures)
    stage("label-depth", label_depth, LabelDepthConfig(dataset=dataset, jobs=config.jobs))
    stage("stats", compute_stats, StatsConfig(dataset=dataset, jobs=config.jobs))
    stage("verify", verify_dataset, VerifyConfig(dataset=dataset, jobs=config.jobs))
    stage("preview", make_preview, PreviewConfig(dataset=dataset, out=sheet, seed=config.seed))
    options = TrainConfig(
        dataset=dataset, runs=runs, size=TRAIN_SIZE, epochs=EPOCHS, batch_size=BATCH_SIZE, lr=LEARNING_RATE,
        schedule=SCHEDULE, seed=config.seed, augment=AUGMENT,
    )  # fmt: skip
    stage("train", train, options)
    stage("evaluate", evaluate, EvaluateConfig(dataset=dataset, runs=runs, robustness=0))
    background, frames = _frames(dataset, config.out / "frames")
    checkpoint = runs / options.run / "best.ckpt"
    stage("predict", predict, PredictConfig(background, frames, checkpoint, predictions))
    look_at = {
        str(sheet): "samples of the data set: background, composite, mask, depth",
        str(predictions): "what the network makes of frames whose background and object it has never seen",
        str(runs / options.run): "checkpoints, metrics.jsonl, pictures of every epoch, TensorBoard events",
        str(dataset): "the data set: archives, samples.parquet, dataset.json, depth.json, stats.json",
    }
    return DemoReport(str(config.out), seconds, reports, look_at)


def _frames(dataset: Path, folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """One validation background and frames with validation objects in front of it, as picture files."""
    reader = DatasetReader(dataset)
    samples = reader.indices(FRAME_STRATUM)
    bg = int(reader.samples.bg[samples[0]])
    chosen = [int(index) for index in samples if reader.samples.bg[index] == bg][::7][:FRAMES]
    folder.mkdir(parents=True, exist_ok=True)
    background = folder / "background.png"
    background.write_bytes(encode_png(reader.background(bg)))
    frames = tuple(folder / f"frame-{number}.jpg" for number in range(1, len(chosen) + 1))
    for path, index in zip(frames, chosen, strict=True):
        path.write_bytes(reader.encoded("fg_bg", index))
    return background, frames
