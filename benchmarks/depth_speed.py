"""label-depth against transformers' own pipeline, and what lower precision does to the labels, in one run.

`python benchmarks/depth_speed.py --samples 96`

A network of the size of Depth Anything V2 small (24.8 million parameters, random weights scaled so that
pictures pass through them) looks at pictures at `--side`. End to end is JPEG to labels on disk; loading,
compiling and the first pass over a data set, which finds the range of its labels, are left out; its
backgrounds are looked at, each once, so there should be many samples to each. The network alone runs before
and after, on pictures that are decoded already. The effect on labels is measured with the bundled network,
which is trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from mdeas.models.depth import create_depth_network
from mdeas.models.depth_runtime import is_installed
from mdeas.models.depth_transformers import import_transformers
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.depth import FEW, Labeller
from mdeas.pipeline.depth_archives import label_archives, remove_labels
from mdeas.pipeline.depth_record import begin, properties_of
from mdeas.pipeline.manifest import MANIFEST_NAME
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from PIL import Image

CPU = torch.device("cpu")
PRECISE = ("torch", "float32")
WAYS = [PRECISE, ("torch", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16")]


def save_network(folder: Path, side: int) -> None:
    library = import_transformers()
    torch.manual_seed(0)
    config = library.DepthAnythingConfig()
    config.backbone_config.reshape_hidden_states = False
    model = library.DepthAnythingForDepthEstimation(config)
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and "embeddings" not in name:
            torch.nn.init.normal_(weight, std=1 / math.sqrt(weight[0].numel()))
    torch.nn.init.constant_(model.head.conv3.bias, 1.0)
    model.save_pretrained(folder)
    preprocessor = {
        "image_processor_type": "DPTImageProcessor", "size": {"height": side, "width": side}, "resample": 3,
        "ensure_multiple_of": 14, "keep_aspect_ratio": True, "do_rescale": True, "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def pipeline_rate(folder: Path, dataset: DatasetReader, out: Path, count: int) -> float:
    """Pictures a second of transformers' pipeline, from JPEG files to PNG files."""
    for index in range(count):
        (out / f"{index}.jpg").write_bytes(dataset.encoded("fg_bg", index))
    estimate = import_transformers().pipeline(
        "depth-estimation", model=str(folder), device="cpu", use_fast=False
    )

    def run(count: int) -> None:
        for index in range(count):
            with Image.open(out / f"{index}.jpg") as picture:
                estimate(picture)["depth"].save(out / f"{index}.png")

    run(2)
    return count / seconds(lambda: run(count))


def labeller_of(model: str, runtime: str, dtype: str, micro_batch: int) -> Labeller:
    network = create_depth_network(model, None, CPU, dtype, runtime)
    return Labeller(network, CPU, micro_batch, -1)


def our_rates(model: Path, dataset: Path, way: tuple[str, str], micro_batch: int) -> tuple[float, float]:
    """Pictures a second end to end, and of the network alone."""
    labeller = labeller_of(str(model), *way, micro_batch)
    reader = DatasetReader(dataset)
    pictures = np.stack([reader.fg_bg(index) for index in range(micro_batch)])
    remove_labels(dataset)
    passes = max(labeller.jobs, len(reader) // micro_batch // 2)

    def alone() -> float:
        with ThreadPoolExecutor(labeller.jobs) as pool:
            return seconds(lambda: list(pool.map(lambda _: labeller.answer(pictures).shape, range(passes))))

    with labeller.ready():
        answer = labeller.answer(pictures)  # compiles, where there is something to compile
        sha256 = hashlib.sha256((dataset / MANIFEST_NAME).read_bytes()).hexdigest()
        state = begin(dataset, properties_of(labeller, sha256), "depth-*")
        state.range = (0.0, float(answer.max()) * 1.25)
        state.save()
        before = alone()
        whole = len(reader) / seconds(lambda: label_archives(dataset, labeller, 1000))
        after = alone()
    return whole, 2 * passes * micro_batch / (before + after)


def effect_on_labels(dataset: Path, ways: list[tuple[str, str]]) -> None:
    """How far 16-bit labels of the bundled network are from those in float32."""
    reader = DatasetReader(dataset)
    pictures = np.stack(
        [reader.fg_bg(index) for index in range(0, len(reader), max(1, len(reader) // 32))][:32]
    )
    labels = {}
    for way in ways:
        labeller = labeller_of("bundled", *way, len(pictures))
        with labeller.ready():
            labels[way] = labeller.label(pictures).astype(np.float64)
    truth = labels[PRECISE]
    spread = np.mean([np.std(label) for label in truth])
    print("labels of the bundled network against torch float32: mean, 99.9 %, greatest difference")
    for way in ways[1:]:
        difference = np.abs(labels[way] - truth)
        share = difference / truth
        print(
            f"  {' '.join(way):18} {share.mean():.4%} {np.quantile(share, 0.999):.3%} {share.max():.3%} of "
            f"the value; mean {difference.mean() / spread:.3%} of a label's standard deviation"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--side", type=int, default=252)
    parser.add_argument("--micro-batch", type=int, default=FEW)
    parser.add_argument("--pipeline-samples", type=int, default=96, help="of them, for the pipeline")
    parser.add_argument("--way", nargs=2, metavar=("RUNTIME", "DTYPE"), help="only this one")
    parser.add_argument("--fg", type=Path)
    parser.add_argument("--bg", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    ways = [tuple(options.way)] if options.way else [way for way in WAYS if is_installed(way[0])]
    with tempfile.TemporaryDirectory() as scratch:
        dataset, model, pictures = (Path(scratch) / name for name in ("dataset", "network", "pictures"))
        pictures.mkdir()
        make_dataset(MakeDatasetConfig(fg=options.fg, bg=options.bg, out=dataset, limit=options.samples))
        save_network(model, options.side)
        theirs = pipeline_rate(model, DatasetReader(dataset), pictures, options.pipeline_samples)
        print(
            f"transformers' pipeline: {theirs:.2f} pictures a second at {options.side}x{options.side}",
            flush=True,
        )
        for way in ways:
            whole, alone = our_rates(model, dataset, way, options.micro_batch)
            print(
                f"  {' '.join(way):18} {whole:6.2f} end to end, {whole / theirs:.2f} times the pipeline; "
                f"network alone {alone:.2f} ({whole / alone:.2f})",
                flush=True,
            )
        if not options.way:
            effect_on_labels(dataset, ways)


if __name__ == "__main__":
    main()
