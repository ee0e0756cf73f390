"""Pairs a second of make-dataset against the published loop and against encoding alone, in the same run.

    python benchmarks/make_dataset.py [--fg DIR --bg DIR] [--backgrounds 4 24] [--repeats 3] [--short]

The published loop is a minimal re-creation of what the data sets before this one were made with: for every
pair the pictures are opened anew with Pillow, pasted, saved as JPEG with ``optimize=True`` (the mask too) and
appended to a zip. Its cut-outs have their final size on disk, so it never resizes; ours does. Encoding alone
writes nothing and blends nothing: whole composites and masks that lie in memory are encoded.

Candidates run in turn, each in processes of its own; a figure is the median of the repeats. Ours runs on two
numbers of backgrounds; the rate is that of the pairs between them, and what remains (starting processes,
reading pictures) is given apart, as are the peaks of memory at both.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import resource
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from joblib.externals.loky import get_reusable_executor
from mdeas.pipeline import composite, images, parallel
from mdeas.pipeline.assets import bundled_folder, list_sources
from mdeas.pipeline.manifest import read_manifest
from mdeas.pipeline.options import MakeDatasetConfig
from PIL import Image

SIZE = 224
# Longer side of the published cut-outs in pixels.
LEAST, MOST = 80, 109
PLACEMENTS = 20
JOBS = (1, 2)


@dataclass(frozen=True)
class Cost:
    """What something took: seconds on the clock and of all processors, and the largest process in bytes."""

    wall: float
    cpu: float
    memory: int


def _measure(action: Callable[[], object], warm_up: Callable[[], object] | None, answers: object) -> None:
    """Runs in a new process; an action may answer its processor time, where workers did more than that."""
    if warm_up:
        warm_up()
    before, started = _cpu_seconds(), time.perf_counter()
    result = action()
    wall = time.perf_counter() - started
    get_reusable_executor().shutdown(wait=True)  # only of processes that have ended is the time known
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    memory = max(resource.getrusage(one).ru_maxrss for one in who) * 1024
    cpu = result if isinstance(result, float) else _cpu_seconds() - before
    answers.send(Cost(wall, cpu, memory))  # type: ignore[attr-defined]


def _cpu_seconds() -> float:
    used = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost(action: Callable[[], object], warm_up: Callable[[], object] | None = None) -> Cost:
    """The cost of ``action`` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(action, warm_up, sender))
    process.start()
    sender.close()
    answer: Cost = receiver.recv()
    process.join()
    return answer


# ---------------------------------------------------------------- the candidates


def prepare(fg: Path, bg: Path, out: Path) -> None:
    """The pictures as the published loop found them on disk: final size, masks beside the cut-outs."""
    for name in ("bg", "fg", "fg_mask"):
        (out / name).mkdir(parents=True)
    sides = random.Random(0)
    for number, source in enumerate(list_sources(bg, "bg")):
        rgb = images.square(images.read_background(source.path), SIZE)
        Image.fromarray(rgb).save(out / "bg" / f"{number:03d}.jpg", quality=60, optimize=True)
    cutouts = list_sources(fg, "fg")
    # 25 of them fill a shard of a background, as the published 100 fill four.
    for number, source in enumerate(cutouts[: max(25, len(cutouts) // 25 * 25)]):
        rgba = images.read_foreground(source.path)
        rgba = images.resize_rgba(rgba, *images.fit(*rgba.shape[1::-1], sides.randint(LEAST, MOST)))
        Image.fromarray(rgba).save(out / "fg" / f"{number:03d}.png")
        mask = np.where(rgba[:, :, 3] > 0, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(out / "fg_mask" / f"{number:03d}.jpg", quality=30)


def some_backgrounds(prepared: Path, count: int) -> Path:
    """A folder of ``count`` backgrounds; where there are fewer, they come again, one grey level darker."""
    folder = prepared / f"{count} backgrounds"
    if not folder.exists():
        folder.mkdir()
        paths = sorted((prepared / "bg").iterdir())
        for number in range(count):
            less, which = divmod(number, len(paths))
            picture = cv2.subtract(cv2.imread(str(paths[which])), (less, less, less, 0))
            cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return folder


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
                    for _ in range(PLACEMENTS):
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


def encode_some(task: tuple[Path, int, int]) -> float:
    """Encode so many whole composites and masks that are in memory already; returns the processor time."""
    prepared, quality, pairs = task
    paths = sorted((prepared / "bg").iterdir())[:20]
    pictures = [cv2.imread(str(path)) for path in paths]
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    mask = np.where(np.hypot(rows - 100, (columns - 120) * 1.4) < 50, 255, 0).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    started = time.process_time()
    for number in range(pairs):
        cv2.imencode(".jpg", pictures[number % len(pictures)], options)
        images.encode_mask(mask)
    return time.process_time() - started


def encoding_alone(prepared: Path, quality: int, pairs: int, jobs: int) -> float:
    """``encode_some`` in ``jobs`` processes, all their processor time."""
    return sum(parallel.run(encode_some, [(prepared, quality, pairs // jobs)] * jobs, jobs))


def ours(config: MakeDatasetConfig) -> None:
    """The whole command, into a folder that is not there yet."""
    composite.make_dataset(config)


# ---------------------------------------------------------------- the table


@dataclass
class Rates:
    """What was measured of one candidate: pairs a second and microseconds of processor time a pair."""

    pairs_s: list[float]
    cpu_us: list[float]

    def add(self, pairs: int, wall: float, cpu: float) -> None:
        """One more turn."""
        self.pairs_s.append(pairs / wall)
        self.cpu_us.append(cpu / pairs * 1e6)

    @property
    def rate(self) -> float:
        """Pairs a second, the median."""
        return statistics.median(self.pairs_s)


class Comparison:
    """All candidates at one JPEG quality."""

    def __init__(self, prepared: Path, scratch: Path, quality: int, backgrounds: tuple[int, int]) -> None:
        """Nothing is run yet."""
        self._prepared, self._scratch, self._quality = prepared, scratch, quality
        cutouts = len(list((prepared / "fg").iterdir()))
        self._sizes = [(count, count * cutouts * PLACEMENTS * 2) for count in backgrounds]
        self._few = max(500, self._sizes[1][1] // 20)
        self.rates = {"published loop, 1 process": Rates([], [])}
        for jobs in JOBS:
            self.rates[f"encoding alone, {jobs} worker{'s' * (jobs > 1)}"] = Rates([], [])
        for jobs in JOBS:
            self.rates[f"make-dataset, {jobs} worker{'s' * (jobs > 1)}"] = Rates([], [])
        self.start_s: dict[int, list[float]] = {jobs: [] for jobs in JOBS}
        self.memory: dict[tuple[int, int], int] = {}
        self.mask_bytes = 0.0

    def run(self) -> None:
        """One turn of every candidate."""
        names = iter(self.rates)
        out = self._scratch / "published"
        out.mkdir()
        took = cost(partial(published_loop, self._prepared, out, self._quality, self._few))
        shutil.rmtree(out)
        self.rates[next(names)].add(self._few, took.wall, took.cpu)
        for jobs in JOBS:
            pairs = self._few * 4 * jobs
            encode = partial(encoding_alone, self._prepared, self._quality)
            took = cost(partial(encode, pairs, jobs), warm_up=partial(encode, jobs, jobs))
            self.rates[next(names)].add(pairs, took.wall, took.cpu)
        for jobs in JOBS:
            costs = [self._ours(count, jobs) for count, _ in self._sizes]
            (_, few), (_, many) = self._sizes
            wall, cpu = costs[1].wall - costs[0].wall, costs[1].cpu - costs[0].cpu
            self.rates[next(names)].add(many - few, wall, cpu)
            self.start_s[jobs].append(costs[0].wall - wall / (many - few) * few)

    def _ours(self, backgrounds: int, jobs: int) -> Cost:
        out = self._scratch / "ours"
        config = MakeDatasetConfig(
            fg=self._prepared / "fg",
            bg=some_backgrounds(self._prepared, backgrounds),
            out=out,
            size=SIZE,
            scale=(LEAST / SIZE, MOST / SIZE),
            placements=PLACEMENTS,
            quality=self._quality,
            jobs=jobs,
        )
        took = cost(partial(ours, config))
        manifest = read_manifest(out)
        masks = [record for record in manifest.shards if record.name.startswith("mask")]
        # Of an entry, 106 bytes are its names and headers, and of an archive 22 its end.
        total = sum(record.bytes - 106 * record.entries - 22 for record in masks)
        self.mask_bytes = total / sum(record.entries for record in masks)
        key = (backgrounds, jobs)
        self.memory[key] = max(self.memory.get(key, 0), took.memory)
        shutil.rmtree(out)
        return took

    def show(self) -> None:
        """Print what was measured."""
        (least, few), (most, many) = self._sizes
        print(f"\nJPEG quality {self._quality}, {SIZE}x{SIZE}, masks included, pairs {few:,} to {many:,}")
        base = self.rates["published loop, 1 process"].rate
        for name, rates in self.rates.items():
            line = f"  {name:27} {rates.rate:8,.0f} pairs/s   x {rates.rate / base:5.2f}"
            line += f" {statistics.median(rates.cpu_us):7,.0f} us of processors a pair"
            if name.startswith("make"):
                alone = self.rates[name.replace("make-dataset", "encoding alone")].rate
                line += f"   {rates.rate / alone:.2f} of encoding alone"
            print(line)
        one, two = (self.rates[name].rate for name in list(self.rates)[-2:])
        print(f"  two workers / one: {two / one:.2f}; a mask has {self.mask_bytes:.0f} bytes on average")
        for jobs in JOBS:
            start = statistics.median(self.start_s[jobs])
            peaks = [f"{self.memory[count, jobs] / 2**20:.0f}" for count in (least, most)]
            print(
                f"  {jobs} worker{'s' * (jobs > 1)}: {start:.1f} s to start and end; the largest process "
                f"{peaks[0]} MiB at {few:,} pairs, {peaks[1]} at {many:,}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fg", type=Path, default=bundled_folder("fg"))
    parser.add_argument("--bg", type=Path, default=bundled_folder("bg"))
    parser.add_argument("--backgrounds", type=int, nargs=2, default=[10, 60], metavar=("FEW", "MANY"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", type=int, nargs="+", default=[30, 75])
    parser.add_argument("--short", action="store_true", help="fewer backgrounds: about a minute")
    arguments = parser.parse_args()
    few, many = (2, 14) if arguments.short else arguments.backgrounds
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prepare(arguments.fg, arguments.bg, scratch / "prepared")
        every = [Comparison(scratch / "prepared", scratch, q, (few, many)) for q in arguments.quality]
        for _ in range(arguments.repeats):
            for comparison in every:
                comparison.run()
        for comparison in every:
            comparison.show()


if __name__ == "__main__":
    import make_dataset as itself  # under this name the workers of a process find its functions, too

    itself.main()
