"""label-depth end to end beside the network alone, and its peak memory by the number of samples.

`python benchmarks/label_depth.py --fg data/fg --bg data/bg --samples 1000 4000`

Each size runs in a process of its own, so that its peak is its own. The network alone runs in the same
process on as many threads, on pictures that are decoded already.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MIB = 1024  # ru_maxrss counts KiB


def measure(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    from mdeas.models.depth import create_depth_network
    from mdeas.models.device import choose_device
    from mdeas.pipeline.depth import Labeller
    from mdeas.pipeline.depth_archives import label_archives
    from mdeas.pipeline.reader import DatasetReader

    where, dataset, micro_batch = choose_device(options.device), options.measure, options.micro_batch
    network = create_depth_network("bundled", options.weights, where)
    labeller = Labeller(network, where, micro_batch, options.jobs, options.bits)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with labeller.ready():
        report = label_archives(dataset, labeller, options.batch, mode=options.mode)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fg", type=Path)
    parser.add_argument("--bg", type=Path)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--micro-batch", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--mode", default="model", choices=["model", "composed"])
    parser.add_argument("--bits", type=int, default=12, choices=[8, 12, 16])
    parser.add_argument("--weights", type=Path, help="other weights than the bundled ones")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        figures = measure(options)
        print(json.dumps(figures))
        return
    from mdeas.pipeline.composite import make_dataset
    from mdeas.pipeline.options import MakeDatasetConfig

    for samples in options.samples:
        with tempfile.TemporaryDirectory() as folder:
            dataset = Path(folder) / "dataset"
            make_dataset(MakeDatasetConfig(fg=options.fg, bg=options.bg, out=dataset, limit=samples))
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(dataset)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = json.loads(done.stdout)
        rate, alone = figures["images_per_second"], figures["network_alone"]
        print(
            f"{figures['samples']:,} samples: {rate:.1f} a second end to end, {alone:.1f} the network alone "
            f"({rate / alone:.2f}); peak {figures['peak_mib']:.0f} MiB, {figures['before_mib']:.0f} before "
            f"the first picture; {figures['bytes_each'] / 1000:.1f} kB a label"
        )


if __name__ == "__main__":
    main()
