"""What exact statistics cost beside decoding alone: `python benchmarks/stats.py data/dataset`.

One process, pictures in memory, every variant in turn, medians; the figure that counts is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mdeas.pipeline.manifest import BACKGROUNDS_NAME, shard_name
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardReader
from mdeas.pipeline.stats import KINDS


def decode_alone(kind: str, pictures: list[bytes]) -> None:
    for data in pictures:
        KINDS[kind].decode(data)


def exact_sums(kind: str, pictures: list[bytes]) -> None:
    KINDS[kind].sums(pictures)


def float_numpy(kind: str, pictures: list[bytes]) -> None:
    """What is usually written: float64 mean and mean of squares per picture, no histogram, not exact."""
    for data in pictures:
        values = KINDS[kind].decode(data).astype(np.float64) / KINDS[kind].levels
        values.mean(axis=(0, 1))
        (values * values).mean(axis=(0, 1))


def seconds(function: Callable[[str, list[bytes]], None], kind: str, pictures: list[bytes]) -> float:
    start = time.perf_counter()
    function(kind, pictures)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    reader = DatasetReader(options.dataset)
    variants = {"decoding alone": decode_alone, "exact sums": exact_sums, "float64 numpy": float_numpy}
    for kind in KINDS:
        if kind == "depth" and not reader.has_depth:
            continue
        shard = ShardReader(options.dataset / (BACKGROUNDS_NAME if kind == "bg" else shard_name(kind, 0)))
        pictures = [shard.read(position) for position in range(min(options.pictures, len(shard)))]
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(options.repeats):
            for name, function in variants.items():
                times[name].append(seconds(function, kind, pictures))
        base = statistics.median(times["decoding alone"])
        for name, measured in times.items():
            median = statistics.median(measured)
            rate = len(pictures) / median
            print(f"{kind:6} {name:15} {rate:8,.0f} pictures a second, {median / base:5.2f} x decoding")


if __name__ == "__main__":
    main()
