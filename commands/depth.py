"""Depth labels, and the networks that give them."""

from __future__ import annotations

from typing import Any

import click

from ..pipeline.options import DepthTrainConfig, EvaluateDepthConfig, LabelDepthConfig
from .base import (
    FILE,
    FOLDER,
    Report,
    command,
    dataset_option,
    device_option,
    jobs_option,
    option,
    part_option,
    scheduler_option,
)


def check_bits(_ctx: click.Context, _param: click.Parameter, bits: int) -> int:
    """8, 12 or 16."""
    if bits not in (8, 12, 16):
        raise click.BadParameter("use 8, 12 or 16")
    return bits


@command("label-depth", "A depth label for every sample.")
@dataset_option(LabelDepthConfig)
@option(
    "--batch",
    of=LabelDepthConfig,
    type=click.IntRange(min=1),
    help="Samples a commit to disk; memory is given back after each.",
)
@option(
    "--micro-batch",
    of=LabelDepthConfig,
    type=click.IntRange(min=1),
    show_default="16; 4 for large networks on a CPU",
    help="Pictures a forward pass.",
)
@option("--model", of=LabelDepthConfig, help="Depth network; `mdeas models` lists them.")
@option("--weights", of=LabelDepthConfig, type=FILE, help="Weights file, for networks that need one.")
@option(
    "--mode",
    of=LabelDepthConfig,
    type=click.Choice(["model", "composed"]),
    help="model: the network sees every sample. composed: it sees every background and cut-out once, and the "
    "labels are put together as the pictures were.",
)
@option(
    "--bits",
    of=LabelDepthConfig,
    type=int,
    metavar="8|12|16",
    callback=check_bits,
    help="How many of a file's 16 are used: a label of 224x224 takes 67 kB at 16, 38 kB at 12, 14 kB at 8.",
)
@device_option(LabelDepthConfig)
@option(
    "--dtype",
    of=LabelDepthConfig,
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Precision of the network's arithmetic; auto is bfloat16 where the hardware has it.",
)
@option(
    "--runtime",
    of=LabelDepthConfig,
    type=click.Choice(["auto", "torch", "onnxruntime", "openvino"]),
    help="What computes; auto is openvino where it is installed, for large networks on a CPU, else torch.",
)
@option(
    "--accept-licence",
    of=LabelDepthConfig,
    is_flag=True,
    show_default=False,
    help="Fetch weights also under a licence that is not known to allow any use.",
)
@jobs_option(LabelDepthConfig)
@scheduler_option(LabelDepthConfig)
@part_option(LabelDepthConfig)
@option(
    "--pictures",
    of=LabelDepthConfig,
    type=FOLDER,
    help="Label this folder of pictures instead of a data set.",
)
@option("--out", of=LabelDepthConfig, type=FOLDER, help="With --pictures: where the labels go.")
@option(
    "--format",
    of=LabelDepthConfig,
    type=click.Choice(["png", "npy", "exr", "hdf5"]),
    help="With --pictures: png holds --bits of the network's range, the others its own numbers as float32.",
)
@option(
    "--overwrite",
    of=LabelDepthConfig,
    is_flag=True,
    show_default=False,
    help="Start afresh where labels exist.",
)
@option(
    "--relabel-bad",
    of=LabelDepthConfig,
    is_flag=True,
    show_default=False,
    help="Check all labels and make those at fault again.",
)
def label_depth(**options: Any) -> Report:
    """A depth label for every sample, by a pretrained monocular network, as 16-bit PNG.

    Each label is then held against what the network says of the bare background: samples.parquet gets a score
    and what is wrong. The bundled network works offline. depth.json states what the values mean: kind, unit,
    way, mapping.
    """
    from ..pipeline.depth import label_depth

    config = LabelDepthConfig(**options)
    if config.part is not None:
        from ..pipeline.depth_shards import label_depth_part

        return label_depth_part(config)
    return label_depth(config)


@command("train-depth", "Train the bundled depth network again.")
@option("--out", of=DepthTrainConfig, type=FOLDER, help="Folder of the run: checkpoint, log, weights.")
@option("--steps", of=DepthTrainConfig, type=click.IntRange(min=1), help="Training steps.")
@option("--seed", of=DepthTrainConfig, type=click.IntRange(min=0), help="Seed of scenes and weights.")
@option("--init-from", of=DepthTrainConfig, type=FILE, help="Weights to start from.  [default: fresh ones]")
def train_depth(**options: Any) -> Report:
    """Trains the bundled depth network again, on rendered rooms only (needs the extra `scenes`)."""
    from ..models.depth_train import train_depth

    return train_depth(DepthTrainConfig(**options))


@command("evaluate-depth", "Judge a depth network on RGB-D frames.")
@click.argument("pairs", type=FOLDER)
@option("--model", of=EvaluateDepthConfig, help="Depth network; `mdeas models` lists them.")
@option("--weights", of=EvaluateDepthConfig, type=FILE, help="Weights file, for networks that need one.")
@device_option(EvaluateDepthConfig)
def evaluate_depth(**options: Any) -> Report:
    """Judges a depth network on real RGB-D frames.

    PAIRS is a folder of PLACE_NUMBER_rgb.jpg beside PLACE_NUMBER_depth.png (16 bit, millimetres, 0 where
    unknown). Scale and shift are fitted in log inverse depth, frame by frame; every place counts the same. A
    constant and the best linear function of the row stand beside it.
    """
    from ..models.depth_eval import evaluate_depth

    return evaluate_depth(EvaluateDepthConfig(**options))
