"""Networks that have learnt from the data set: judging, comparing and using them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..pipeline.options import CompareConfig, EvaluateConfig, PredictConfig
from .base import (
    FILE,
    FOLDER,
    Command,
    Commas,
    Report,
    command,
    dataset_option,
    device_option,
    option,
    whole_numbers,
)


def robustness_option(of: Any) -> Callable[[Command], Command]:
    """``--robustness``: what is judged is judged under disturbances, too."""
    return option(
        "--robustness",
        of=of,
        type=click.IntRange(min=0),
        help="Validation samples to disturb in many ways; 0: none.",
    )


@command("evaluate", "Metrics of a checkpoint, beside the baseline.")
@dataset_option(EvaluateConfig)
@option("--run", of=EvaluateConfig, help="Name of the run.")
@option("--runs", of=EvaluateConfig, type=FOLDER, help="Folder of all runs.")
@option(
    "--checkpoint", of=EvaluateConfig, type=FILE, show_default="best.ckpt of the run", help="Checkpoint file."
)
@option("--batch-size", of=EvaluateConfig, type=click.IntRange(min=1), help="Samples a forward pass.")
@option(
    "--limit",
    of=EvaluateConfig,
    type=click.IntRange(min=1),
    show_default="all",
    help="Only this many samples a stratum.",
)
@device_option(EvaluateConfig)
@option("--workers", of=EvaluateConfig, type=click.IntRange(min=0), help="Threads that read and decode.")
@robustness_option(EvaluateConfig)
@option(
    "--pair", type=FILE, nargs=2, metavar="BG FRAME", help="Judge one background and frame, not a data set."
)
@option("--mask", of=EvaluateConfig, type=FILE, help="True mask of --pair's frame.")
@option(
    "--cdnet",
    of=EvaluateConfig,
    type=FOLDER,
    help="Judge a change-detection benchmark: category/video with input and groundtruth.",
)
def evaluate(**options: Any) -> Report:
    """Metrics of a checkpoint on every validation stratum, beside the baseline that learns nothing.

    Then the same under shifts, changes of light, noise, coding, shadows and blur: evaluation.json, with a
    plot, beside the checkpoint.
    """
    config = EvaluateConfig(**options)
    if config.pair and config.cdnet:
        raise click.UsageError("--pair and --cdnet judge different things; give one of them")
    if config.mask and not config.pair:
        raise click.UsageError("--mask is the true mask of --pair's frame; give --pair too")
    if config.pair:
        from ..models.pairs import evaluate_pair

        return evaluate_pair(config)
    if config.cdnet:
        from ..models.cdnet import evaluate_cdnet

        return evaluate_cdnet(config)
    from ..models.evaluate import evaluate

    return evaluate(config)


@command("compare", "Several networks under one budget.")
@dataset_option(CompareConfig)
@option(
    "--models",
    default="",
    type=Commas(),
    metavar="NAME,NAME...",
    show_default="all of `mdeas models`",
    help="Networks to compare.",
)
@option("--out", of=CompareConfig, type=FOLDER, help="Folder of their runs and of the table.")
@option(
    "--size",
    of=CompareConfig,
    type=click.IntRange(min=16),
    show_default="the data set's own",
    help="Side of the pictures they are trained on.",
)
@option("--epochs", of=CompareConfig, type=click.IntRange(min=1), help="Passes over the training samples.")
@option("--batch-size", of=CompareConfig, type=click.IntRange(min=1), help="Samples a step.")
@option("--lr", of=CompareConfig, type=click.FloatRange(min=0, min_open=True), help="Learning rate.")
@option("--loss", of=CompareConfig, help="Loss of all of them.")
@option("--schedule", of=CompareConfig, help="Learning-rate schedule of all of them.")
@option(
    "--limit",
    of=CompareConfig,
    type=click.IntRange(min=1),
    show_default="all",
    help="Only this many training samples.",
)
@option(
    "--val-limit",
    of=CompareConfig,
    type=click.IntRange(min=1),
    help="Samples of each validation stratum to measure after an epoch.",
)
@option(
    "--eval-limit",
    of=CompareConfig,
    type=click.IntRange(min=1),
    show_default="all",
    help="Samples of each validation stratum to judge at the end.",
)
@robustness_option(CompareConfig)
@option(
    "--seeds",
    default="0",
    type=Commas(),
    callback=whole_numbers,
    metavar="N,N...",
    help="Train each with each of these.",
)
@device_option(CompareConfig)
@option(
    "--precision", of=CompareConfig, help="Of training: auto, float32, bf16 or fp16; auto is bf16 on a GPU."
)
@option("--workers", of=CompareConfig, type=click.IntRange(min=0), help="Threads that read and decode.")
@option("--overwrite", of=CompareConfig, is_flag=True, show_default=False, help="Start afresh.")
def compare(**options: Any) -> Report:
    """Trains networks on the same samples for the same steps, judges each, and prints one table.

    Accuracy on every stratum and disturbed, parameters, multiply-adds, latency and memory, beside the
    baseline that learns nothing. A stopped comparison goes on.
    """
    from ..models.compare import compare

    return compare(CompareConfig(**options))


@command("predict", "Depth and mask pictures from a checkpoint.")
@click.argument("background", metavar="BG", type=FILE)
@click.argument("frames", metavar="FRAME...", type=FILE, nargs=-1, required=True)
@option(
    "--checkpoint", of=PredictConfig, type=FILE, show_default="runs/mdeas/best.ckpt", help="Checkpoint file."
)
@option("--out", of=PredictConfig, type=FOLDER, help="Folder for the pictures.")
@device_option(PredictConfig)
def predict(**options: Any) -> Report:
    """Depth and mask pictures of what changed in each FRAME in front of the known background BG."""
    from ..models.predict import predict

    return predict(PredictConfig(**options))


@command("models", "The networks there are.")
def models() -> Report:
    """The networks: name, parameters, input sizes, licence, and where the weights come from."""
    from ..models.catalogue import list_models

    return list_models()
