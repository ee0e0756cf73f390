"""Training the network that learns from the data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from .. import MdeasError
from ..pipeline.options import TRAIN_PRESETS, LrFindConfig, TrainConfig
from .base import (
    FILE,
    FOLDER,
    Command,
    Report,
    Several,
    command,
    dataset_option,
    device_option,
    option,
    preset_option,
)

POSITIVE = click.FloatRange(min=0, min_open=True)


def step_options(of: Any) -> Callable[[Command], Command]:
    """What a step of training is made of: ``train`` and ``lr-find`` share these."""
    options = (
        dataset_option(of),
        option("--model", of=of, help="Dual-head network; `mdeas models` lists them."),
        option("--run", of=of, help="Name of the run."),
        option("--runs", of=of, type=FOLDER, help="Folder of all runs."),
        option(
            "--size",
            of=of,
            type=Several(click.IntRange(min=16)),
            metavar="N[,N...]",
            show_default="the data set's own",
            help="Side of the pictures it trains on; several, one after another.",
        ),
        option(
            "--batch-size",
            of=of,
            type=Several(click.IntRange(min=1)),
            metavar="N[,N...]",
            help="Samples a step, over all processes.",
        ),
        option(
            "--loss",
            of=of,
            type=Several(click.STRING, "/"),
            metavar="NAME[/NAME...]",
            help="A preset such as mdeas or vathos, or a sum: mask=bce+2dice,depth=rmse (docs/losses.md).",
        ),
        option("--optimizer", of=of, help="adam, adamw or sgd."),
        option(
            "--momentum",
            of=of,
            type=Several(click.FloatRange(0, 1, max_open=True)),
            metavar="X[,X]",
            help="Of sgd, or beta1 of adam; two: the first at the highest rate.",
        ),
        option("--weight-decay", of=of, type=click.FloatRange(min=0), help="Pull of weights towards 0."),
        option("--augment", of=of, help="none, flip, colour or camera."),
        option(
            "--normalise",
            of=of,
            show_default="inputs as they are, in 0..1",
            help="dataset: inputs by the means and deviations of stats.json; dsresnet-original: in B, G, R.",
        ),
        option(
            "--init-from", of=of, type=FILE, show_default="fresh", help="Checkpoint with the first weights."
        ),
        option(
            "--encoder-weights",
            of=of,
            metavar="imagenet|FILE",
            help="For maskdepth's ResNet-18: ImageNet weights, fetched or from a file.  [default: fresh]",
        ),
        option("--limit", of=of, type=click.IntRange(min=1), help="Only this many training samples."),
        option("--seed", of=of, type=click.IntRange(min=0), help="Seed of weights, order and augmentation."),
        device_option(of),
        option("--precision", of=of, help="auto, float32, bf16 or fp16; auto is bf16 on a GPU."),
        option("--compile", of=of, is_flag=True, show_default=False, help="Let torch compile the network."),
        option("--workers", of=of, type=click.IntRange(min=0), help="Threads that read and decode."),
    )

    def decorate(function: Command) -> Command:
        for one in reversed(options):
            function = one(function)
        return function

    return decorate


@command("train", "Train a network for depth and mask.")
@preset_option(TRAIN_PRESETS, "Network and training of a published system.")
@step_options(TrainConfig)
@option(
    "--epochs",
    of=TrainConfig,
    type=Several(click.IntRange(min=1)),
    metavar="N[,N...]",
    help="Passes over the training samples; several, one for each size.",
)
@option("--lr", of=TrainConfig, type=POSITIVE, help="Learning rate; `mdeas lr-find` suggests one.")
@option(
    "--schedule",
    of=TrainConfig,
    help="constant, step, plateau, cosine, onecycle, mdeas or mdeas-original.",
)
@option(
    "--ema",
    of=TrainConfig,
    type=click.FloatRange(0, 1, max_open=True),
    help="Decay of averaged weights, 0.999 for instance; 0: none.",
)
@option(
    "--patience",
    of=TrainConfig,
    type=click.IntRange(min=1),
    show_default="never",
    help="Stop after this many epochs without a better one.",
)
@option(
    "--val-limit",
    of=TrainConfig,
    type=click.IntRange(min=1),
    help="Samples of each validation stratum to measure after an epoch.",
)
@option(
    "--histograms",
    of=TrainConfig,
    is_flag=True,
    show_default=False,
    help="Weights and gradients in TensorBoard.",
)
@option("--resume/--no-resume", of=TrainConfig, help="Go on from last.ckpt where there is one.")
@option(
    "--overwrite", of=TrainConfig, is_flag=True, show_default=False, help="Start afresh where the run exists."
)
def train(**options: Any) -> Report:
    """Trains a network that takes (bg, fg_bg) and predicts depth and mask, into runs/NAME.

    Splits are by asset: no validation picture shares what it is judged on with training. A stopped run goes
    on and ends with the same figures. Several processes: torchrun --nproc-per-node N -m -- mdeas train.
    """
    from ..models.train import train

    if os.environ.get("RANK", "0") == "0":
        return train(TrainConfig(**options))
    try:  # under torchrun the first process speaks for all
        train(TrainConfig(**options))
    except MdeasError as error:
        raise SystemExit(1) from error
    raise SystemExit(0)


@command("lr-find", "Suggest a learning rate.")
@preset_option(TRAIN_PRESETS, "Network and training of a published system.")
@step_options(LrFindConfig)
@option("--start", of=LrFindConfig, type=POSITIVE, help="Lowest rate.")
@option("--end", of=LrFindConfig, type=POSITIVE, help="Highest rate.")
@option("--steps", of=LrFindConfig, type=click.IntRange(min=10), help="Steps from one to the other.")
def lr_find(**options: Any) -> Report:
    """Trains for some steps while the rate grows, and suggests the one where the loss falls fastest.

    Writes lr-find.svg and lr-find.json into runs/NAME; the weights are thrown away.
    """
    from ..models.lr_find import find_lr

    return find_lr(LrFindConfig(**options))
