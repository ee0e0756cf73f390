"""What a data set costs as it grows: measured up to what fits, then counted on to 400 million pairs.

    python benchmarks/scale.py make [--pairs 20000]       pairs a second, bytes a pair, on this machine
    python benchmarks/scale.py metadata [--samples 400000 4000000]   what there is one of for a whole set
    python benchmarks/scale.py tasks [--tasks 2000]        tasks a second through a dask scheduler

``metadata`` writes by the real code the sample table and ``dataset.json`` of sets whose archives are made up
(their records are drawn by lot), and reads them again: each size in a process of its own, for its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from mdeas.pipeline import cluster, parallel
from mdeas.pipeline.assets import bundled_folder
from mdeas.pipeline.composite import make_dataset, table_parts
from mdeas.pipeline.manifest import (
    SAMPLES_PER_SHARD,
    DatasetManifest,
    Samples,
    read_manifest,
    read_samples,
    shard_count,
    shard_name,
    write_manifest,
    write_samples,
)
from mdeas.pipeline.options import MakeDatasetConfig, StatsConfig
from mdeas.pipeline.parallel import Cluster
from mdeas.pipeline.plan import plan_of
from mdeas.pipeline.shards import ShardRecord
from mdeas.pipeline.stats import compute_stats

# Above, its seconds are counted on from below: they and its bytes grow with the rows.
LARGEST_TABLE = 10_000_000


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def make(pairs: int) -> None:
    """A real set of the bundled pictures, made and measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        config = MakeDatasetConfig(
            fg=bundled_folder("fg"), bg=bundled_folder("bg"), out=out, placements=10_000, limit=pairs
        )
        spent = seconds(lambda: make_dataset(config))
        sizes = {
            kind: sum(path.stat().st_size for path in out.glob(f"{kind}-*")) for kind in ("fg_bg", "mask")
        }
        measured = seconds(lambda: compute_stats(StatsConfig(out)))
    cores = parallel.usable_cores()
    print(f"make-dataset: {pairs:,} pairs in {spent:.1f} s, {pairs / spent:,.0f} a second on {cores} cores")
    for kind, size in sizes.items():
        print(f"  {kind}: {size / pairs:,.0f} bytes a pair, zip headers included")
    print(f"stats: {pairs / measured:,.0f} pairs a second")


def made_up(manifest: DatasetManifest, samples: int) -> tuple[DatasetManifest, Callable[[int], list[int]]]:
    """A manifest of ``samples`` pairs with records drawn by lot, and its masks' numbers of pixels."""
    draw = random.Random(0)
    names = [shard_name(kind, number) for kind in ("fg_bg", "mask") for number in range(shard_count(samples))]
    records = [
        ShardRecord(name, SAMPLES_PER_SHARD, 17_000_000, f"{draw.getrandbits(256):064x}") for name in names
    ]
    options = {**manifest.options, "limit": samples, "placements": 10**6}
    totals = {**manifest.totals, "samples": samples}
    pixels = np.random.default_rng(0).integers(2000, 9000, SAMPLES_PER_SHARD).tolist()
    return replace(manifest, options=options, totals=totals, shards=tuple(records)), lambda _: pixels


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def metadata_of(samples: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        config = MakeDatasetConfig(
            fg=bundled_folder("fg"), bg=bundled_folder("bg"), out=out / "set", limit=100, jobs=1
        )
        make_dataset(config)
        manifest, pixels = made_up(read_manifest(out / "set"), samples)
        table = out / "samples.parquet"
        result = {"samples": float(samples), "MiB at first": peak_mib()}
        if samples <= LARGEST_TABLE:
            parts: Iterator[Samples] = table_parts(plan_of(manifest), pixels)
            result["table written, s"] = seconds(lambda: write_samples(table, parts, samples))
            result["table, MB"] = table.stat().st_size / 1e6
            result["MiB after that"] = peak_mib()
            result["table read whole, s"] = seconds(lambda: read_samples(table))
            result["MiB after reading"] = peak_mib()
        result["dataset.json written, s"] = seconds(lambda: write_manifest(out, manifest))
        result["dataset.json, MB"] = (out / "dataset.json").stat().st_size / 1e6
        result["MiB after writing"] = peak_mib()
        result["dataset.json read, s"] = seconds(lambda: read_manifest(out))
        result["MiB after all"] = peak_mib()
    return result


def metadata(sizes: list[int]) -> None:
    rows = []
    for samples in sizes:
        command = [sys.executable, __file__, "one", "--samples", str(samples)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for name in rows[0]:
        print(f"{name:24}" + "".join(f"{row.get(name, float('nan')):14,.1f}" for row in rows))


def nothing(number: int) -> int:
    return number


def tasks(count: int) -> None:
    """Empty tasks: what the scheduler can give out at most, on loopback."""
    from distributed import LocalCluster

    sys.path.insert(0, str(Path(__file__).parent))  # its workers import this file
    import scale

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=1, threads_per_worker=8, dashboard_address=None) as running,
    ):
        there = Cluster(running.scheduler_address, Path(folder))
        list(parallel.run(scale.nothing, range(100), 1, there))
        for together in (1, cluster._MOST_TOGETHER):
            cluster._MOST_TOGETHER = together
            used = time.process_time()
            spent = seconds(lambda: list(parallel.run(scale.nothing, range(count), 1, there)))
            used = time.process_time() - used
            print(
                f"up to {together} together: {count / spent:,.0f} empty shards a second through a scheduler,"
            )
            print(f"  {1000 * used / count:.1f} ms of a core each, the command and the scheduler together")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["make", "metadata", "tasks", "one"])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--samples", type=int, nargs="+", default=[400_000, 4_000_000])
    parser.add_argument("--tasks", type=int, default=2000)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.what == "make":
        make(arguments.pairs)
    elif arguments.what == "metadata":
        metadata(arguments.samples)
    elif arguments.what == "tasks":
        tasks(arguments.tasks)
    else:
        print(json.dumps(metadata_of(arguments.samples[0])))


if __name__ == "__main__":
    main()
