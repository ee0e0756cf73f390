"""label-depth end to end beside the network alone, and its peak memory by the number of samples.

`python benchmarks/label_depth.py --fg data/fg --bg data/bg --samples 1000 4000`

Memory by the number of samples alone, with small pictures and the network of this file, in a few minutes:
`python benchmarks/label_depth.py --fg data/fg --bg data/bg --samples 1000 100000 --size 64 --placements 40
--model benchmarks/label_depth.py:tiny_network`

Each number of samples runs in a process of its own, which is the only one, so that its peak is its own: the
most memory it ever had, mapped files included, as Linux counts it (VmHWM). The network alone runs in the same
process on as many threads, on pictures that are decoded already.

`--published` adds the loop of the data sets before this one, re-created around the same network: 1,000
pictures at a time, each resized to 640x480 and divided by 255 as float64, all stacked, answers encoded one by
one.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from mdeas.models.depth import DepthNetworkInfo, create_depth_network
from mdeas.models.device import choose_device
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.depth import Labeller, usual_micro_batch
from mdeas.pipeline.depth_archives import label_archives
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from PIL import Image

MIB = 1024  # the kernel counts KiB
PUBLISHED_CHUNK = 1000
PUBLISHED_SIZE = (640, 480)  # width and height
PUBLISHED_BATCH = 32


def peak_kib() -> int:
    """The most memory that this process ever had; ru_maxrss begins with what the parent had (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def tiny_network(weights: Path | None, device: torch.device) -> TinyNetwork:
    """For `--model benchmarks/label_depth.py:tiny_network`."""
    return TinyNetwork()


class TinyNetwork:
    """Two convolutions with fixed random weights on top of the brightness: something to wait for."""

    value_range = (0.0, 4.0)

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 1, 3, padding=1)
        )
        self.info = DepthNetworkInfo(
            name="tiny",
            parameters=sum(parameter.numel() for parameter in self.layers.parameters()),
            licence="MIT",
            kind="relative_disparity",
            nearer="larger",
            unit=None,
            weights_sha256=None,
            source="benchmarks/label_depth.py",
            resize="none",
        )

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def predict(self, rgb: torch.Tensor) -> torch.Tensor:
        pictures = rgb.float() / 255
        return pictures.mean(dim=1) + 1 + 0.1 * self.layers(pictures)[:, 0]


def measure(options: argparse.Namespace) -> dict[str, float]:
    where, dataset = choose_device(options.device), options.measure
    network = create_depth_network(options.model, options.weights, where)
    micro_batch = options.micro_batch or usual_micro_batch(network, where)
    labeller = Labeller(network, where, micro_batch, options.jobs, options.bits)
    before = peak_kib()
    with labeller.ready():
        report = label_archives(dataset, labeller, options.batch, mode=options.mode)
        peak = peak_kib()
        reader = DatasetReader(dataset)
        pictures = np.stack([reader.fg_bg(index) for index in range(micro_batch)])
        passes = max(2 * labeller.jobs, min(len(reader), 1000) // micro_batch)
        start = time.perf_counter()
        with ThreadPoolExecutor(labeller.jobs) as pool:
            list(pool.map(lambda _: labeller.label(pictures).shape, range(passes)))
        alone = passes * micro_batch / (time.perf_counter() - start)
    return {
        "samples": report.samples,
        "images_per_second": report.images_per_second,
        "network_alone": alone,
        "peak_mib": peak / MIB,
        "before_mib": before / MIB,
        "bytes_each": report.bytes / report.samples,
    }


def measure_published(options: argparse.Namespace) -> dict[str, float]:
    """Samples a second and peak of the published loop on the first chunks of the data set."""
    device = choose_device(options.device)
    network = create_depth_network(options.model, options.weights, device)
    reader = DatasetReader(options.measure)
    start, count, total = time.perf_counter(), 0, 0
    for first in range(0, len(reader), PUBLISHED_CHUNK):
        chunk = range(first, min(first + PUBLISHED_CHUNK, len(reader)))
        resized = [Image.fromarray(reader.fg_bg(index)).resize(PUBLISHED_SIZE) for index in chunk]
        pictures = np.stack([np.clip(np.asarray(picture) / 255, 0, 1) for picture in resized])
        answers = []
        for batch in range(0, len(pictures), PUBLISHED_BATCH):
            rgb = torch.from_numpy((pictures[batch : batch + PUBLISHED_BATCH] * 255).astype(np.uint8))
            answers.append(network.predict(rgb.permute(0, 3, 1, 2).contiguous()).float().numpy())
        for answer in np.concatenate(answers):
            stretched = (answer - answer.min()) / (answer.max() - answer.min()) * 255
            file = io.BytesIO()
            Image.fromarray(stretched.astype(np.uint8)).resize((options.size, options.size)).save(file, "PNG")
            total += file.tell()
        count += len(chunk)
    rate = count / (time.perf_counter() - start)
    return {"images_per_second": rate, "peak_mib": peak_kib() / MIB, "bytes_each": total / count}


def run_alone(dataset: Path, *more: str) -> dict[str, float]:
    """The figures that this file prints for ``dataset`` in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(dataset), *more]
    figures: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fg", type=Path)
    parser.add_argument("--bg", type=Path)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--size", type=int, default=MakeDatasetConfig.size)
    parser.add_argument("--placements", type=int, default=MakeDatasetConfig.placements)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--micro-batch", type=int, help="what label-depth takes, if it is not given")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--mode", default="model", choices=["model", "composed"])
    parser.add_argument("--bits", type=int, default=12, choices=[8, 12, 16])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--weights", type=Path, help="other weights than the bundled ones")
    parser.add_argument("--published", action="store_true", help="also the loop of earlier data sets")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure-published", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure_published(options) if options.measure_published else measure(options)))
        return
    for samples in options.samples:
        with tempfile.TemporaryDirectory() as folder:
            dataset = Path(folder) / "dataset"
            make_dataset(
                MakeDatasetConfig(
                    fg=options.fg,
                    bg=options.bg,
                    out=dataset,
                    size=options.size,
                    placements=options.placements,
                    limit=samples,
                )
            )
            figures = run_alone(dataset)
            published = run_alone(dataset, "--measure-published") if options.published else None
        rate, alone = figures["images_per_second"], figures["network_alone"]
        print(
            f"{figures['samples']:,} samples: {rate:.1f} a second end to end, {alone:.1f} the network alone "
            f"({rate / alone:.2f}); peak {figures['peak_mib']:.0f} MiB, {figures['before_mib']:.0f} before "
            f"the first picture; {figures['bytes_each'] / 1000:.1f} kB a label"
        )
        if published is not None:
            slow, large = published["images_per_second"], published["peak_mib"]
            print(
                f"    published loop: {slow:.1f} a second, peak {large:,.0f} MiB; "
                f"here {rate / slow:.1f} times the speed in {figures['peak_mib'] / large:.3f} of the memory"
            )


if __name__ == "__main__":
    main()
