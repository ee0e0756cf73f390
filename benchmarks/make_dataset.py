"""Pairs a second of make-dataset against the published loop and against encoding alone, in the same run.

    python benchmarks/make_dataset.py [--fg DIR --bg DIR] [--pairs 20000] [--repeats 3]

The published loop is a minimal re-creation of what the data sets before this one were made with: for every
pair the pictures are opened anew with Pillow, pasted, saved as JPEG with ``optimize=True`` (the mask too) and
appended to a zip. Its cut-outs have their final size on disk, so it never resizes; ours does. Candidates run
in turn, and each figure is the median of the repeats.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mdeas.pipeline import images, parallel
from mdeas.pipeline.assets import bundled_folder, list_sources
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.options import MakeDatasetConfig
from PIL import Image

SIZE = 224
# Longer side of the published cut-outs in pixels.
LEAST, MOST = 80, 109


def prepare(fg: Path, bg: Path, out: Path) -> None:
    """The pictures as the published loop found them on disk: final size, masks beside the cut-outs."""
    for name in ("bg", "fg", "fg_mask"):
        (out / name).mkdir(parents=True)
    sides = random.Random(0)
    for number, source in enumerate(list_sources(bg, "bg")):
        rgb = images.square(images.read_background(source.path), SIZE)
        Image.fromarray(rgb).save(out / "bg" / f"{number:03d}.jpg", quality=60, optimize=True)
    for number, source in enumerate(list_sources(fg, "fg")):
        rgba = images.read_foreground(source.path)
        rgba = images.resize_rgba(rgba, *images.fit(*rgba.shape[1::-1], sides.randint(LEAST, MOST)))
        Image.fromarray(rgba).save(out / "fg" / f"{number:03d}.png")
        mask = np.where(rgba[:, :, 3] > 0, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(out / "fg_mask" / f"{number:03d}.jpg", quality=30)


def published_loop(prepared: Path, out: Path, quality: int, pairs: int) -> None:
    """One process, every file opened for every pair, Pillow, a zip a background opened for appending."""
    draw = random.Random(0)
    cutouts = sorted((prepared / "fg").iterdir())
    made = 0
    for bg_path in sorted((prepared / "bg").iterdir()):
        with (
            zipfile.ZipFile(out / "fg_bg.zip", "a") as composites,
            zipfile.ZipFile(out / "fg_bg_mask.zip", "a") as masks,
        ):
            for fg_path in cutouts:
                for flip in (True, False):
                    for _ in range(20):
                        if made == pairs:
                            return
                        with (
                            Image.open(bg_path) as bg,
                            Image.open(fg_path) as fg,
                            Image.open(prepared / "fg_mask" / f"{fg_path.stem}.jpg") as fg_mask,
                        ):
                            if flip:
                                fg = fg.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                                fg_mask = fg_mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                            place = draw.randrange(SIZE - fg.width), draw.randrange(SIZE - fg.height)
                            bg.paste(fg, place, fg)
                            mask = Image.new("L", bg.size)
                            mask.paste(fg_mask, place, fg_mask)
                        for archive, picture in ((composites, bg), (masks, mask)):
                            buffer = io.BytesIO()
                            picture.save(buffer, "JPEG", quality=quality, optimize=True)
                            archive.writestr(f"{made:06d}.jpg", buffer.getvalue())
                        made += 1


def encode_alone(task: tuple[Path, int, int]) -> int:
    """Whole composites and masks that are in memory already are encoded, nothing else."""
    prepared, quality, pairs = task
    paths = sorted((prepared / "bg").iterdir())
    pictures = [np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1].copy() for path in paths]
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    mask = np.where(np.hypot(rows - 100, (columns - 120) * 1.4) < 50, 255, 0).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    for number in range(pairs):
        cv2.imencode(".jpg", pictures[number % len(pictures)], options)
        images.encode_mask(mask)
    return pairs


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(prepared: Path, scratch: Path, quality: int, pairs: int, repeats: int) -> dict[str, float]:
    """Pairs a second of every candidate, the median of ``repeats`` turns."""
    few = max(500, pairs // 10)

    def published() -> float:
        out = scratch / "published"
        out.mkdir()
        rate = few / seconds(lambda: published_loop(prepared, out, quality, few))
        shutil.rmtree(out)
        return rate

    def encoding(jobs: int) -> float:
        tasks = [(prepared, quality, pairs // 2 // jobs)] * jobs
        list(parallel.run(encode_alone, [(prepared, quality, 1)] * jobs, jobs))  # workers are up
        return sum(task[2] for task in tasks) / seconds(lambda: list(parallel.run(encode_alone, tasks, jobs)))

    def ours(jobs: int) -> float:
        out = scratch / "ours"
        config = MakeDatasetConfig(
            fg=prepared / "fg",
            bg=prepared / "bg",
            out=out,
            size=SIZE,
            scale=(LEAST / SIZE, MOST / SIZE),
            quality=quality,
            limit=pairs,
            jobs=jobs,
        )
        rate = pairs / seconds(lambda: make_dataset(config))
        shutil.rmtree(out)
        return rate

    candidates: dict[str, Callable[[], float]] = {
        "published loop, 1 process": published,
        "encoding alone, 1 process": lambda: encoding(1),
        "encoding alone, 2 processes": lambda: encoding(2),
        "make-dataset, 1 process": lambda: ours(1),
        "make-dataset, 2 processes": lambda: ours(2),
    }
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, candidate in candidates.items():
            rates[name].append(candidate())
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fg", type=Path, default=bundled_folder("fg"))
    parser.add_argument("--bg", type=Path, default=bundled_folder("bg"))
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", type=int, nargs="+", default=[30, 75, 90])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prepare(arguments.fg, arguments.bg, scratch / "prepared")
        for quality in arguments.quality:
            rates = measure(scratch / "prepared", scratch, quality, arguments.pairs, arguments.repeats)
            base = rates["published loop, 1 process"]
            print(f"\nJPEG quality {quality}, {SIZE}x{SIZE}, {arguments.pairs:,} pairs, masks included")
            for name, rate in rates.items():
                print(f"  {name:30} {rate:9,.0f} pairs/s   x {rate / base:5.1f}")


if __name__ == "__main__":
    main()
