"""Shards as tasks: drawn by workers here or on a cluster, put in their place, recorded in ``.work``."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .. import MdeasError
from . import parallel
from .manifest import (
    BACKGROUNDS_NAME,
    SAMPLES_PER_SHARD,
    DatasetManifest,
    read_manifest,
    shard_count,
    shard_name,
)
from .options import MakeDatasetConfig
from .paint import PaintedShard, Painter, paint_shards, together
from .part import share
from .plan import Plan, plan_of
from .progress import Progress
from .shards import publish
from .work import (
    APART,
    FOREGROUNDS_NAME,
    PLAN_NAME,
    WORK_NAME,
    is_made,
    place_backgrounds,
    plan_sha256,
    write_record,
)

# Threads that wait for the disk; a system writes faster what several ask for.
_WAITING_FOR_DISK = 4


@dataclass(frozen=True)
class ShardsTask:
    """Shards to draw together of the data set at ``out``, by the plan in its ``.work`` that has this hash.

    The plan itself would make a task of a hundred kilobytes for a thousand pictures, and there may be many.
    """

    out: Path
    numbers: tuple[int, ...]
    plan_sha256: str

    def __str__(self) -> str:
        return ", ".join(f"shard {number} ({shard_name('fg_bg', number)})" for number in self.numbers)


class _Kept(threading.local):
    """The last plan and its painter of this thread: on a cluster, several threads of a process draw."""

    key: tuple[Path, str] | None = None
    painter: Painter


_kept = _Kept()


def _painter(task: ShardsTask) -> Painter:
    if _kept.key != (task.out, task.plan_sha256):
        if plan_sha256(task.out) != task.plan_sha256:
            raise MdeasError(f"another plan than the one to follow: {task.out}; run the same command again")
        manifest = read_manifest(task.out / WORK_NAME, PLAN_NAME)
        options = manifest.options
        _kept.painter = Painter(
            task.out / BACKGROUNDS_NAME,
            task.out / WORK_NAME / FOREGROUNDS_NAME,
            plan_of(manifest),
            options["quality"],
            options["mask_threshold"],
        )
        _kept.key = task.out, task.plan_sha256
    return _kept.painter


def make_shards(task: ShardsTask) -> list[PaintedShard]:
    """Draw some shards; ``settle`` makes their archives part of the data set."""
    return paint_shards(_painter(task), task.numbers, task.out)


def make_shards_apart(task: ShardsTask) -> list[PaintedShard]:
    """As ``make_shards``, in a folder of its own until they are done, and with ``settle``.

    A cluster gives a task to another worker when the first is lost to it, which may be at work on it still;
    and parts of different divisions may overlap.
    """
    with tempfile.TemporaryDirectory(prefix=APART, dir=task.out / WORK_NAME) as folder:
        painted = paint_shards(_painter(task), task.numbers, Path(folder))
        for one in painted:
            settle(task.out, Path(folder), one)
    return painted


def settle(out: Path, folder: Path, painted: PaintedShard) -> None:
    """Wait until the archives of a shard are on disk, put them in their place, and note what they are."""
    for record in painted.records:
        publish(folder / record.name)
        if folder != out:
            (folder / record.name).replace(out / record.name)
    write_record(out, painted.number, painted.records, painted.mask_pixels)


def _samples_in(plan: Plan, number: int) -> int:
    return min(SAMPLES_PER_SHARD, len(plan) - number * SAMPLES_PER_SHARD)


def make_missing_shards(config: MakeDatasetConfig, manifest: DatasetManifest) -> int:
    """Make the shards that are not there yet; returns the number of samples made."""
    # Workers on other machines have other current folders.
    out, plan = config.out.absolute(), plan_of(manifest)
    place_backgrounds(out)
    sha256 = plan_sha256(out)
    asked = share(shard_count(len(plan)), config.part)
    numbers = [number for number in asked if not is_made(out, number)]
    missing = sum(_samples_in(plan, number) for number in numbers)
    total = sum(_samples_in(plan, number) for number in asked)
    needs = (out / BACKGROUNDS_NAME, out / WORK_NAME / FOREGROUNDS_NAME)
    cluster = parallel.Cluster(config.scheduler, out, needs) if config.scheduler else None
    if cluster:  # one shard a task: a task that fails takes no other shard with it
        groups: list[tuple[int, ...]] = [(number,) for number in numbers]
    else:
        groups = together(numbers, plan, parallel.worker_count(config.jobs, len(numbers)))
    tasks = [ShardsTask(out, group, sha256) for group in groups]
    apart = cluster is not None or config.part is not None
    make = make_shards_apart if apart else make_shards
    try:
        # Workers draw on while these threads wait for the disk.
        with (
            Progress(total, "compositing", "pairs", done=total - missing) as progress,
            ThreadPoolExecutor(_WAITING_FOR_DISK) as waiting,
        ):
            settled: deque[Future[None]] = deque()
            for painted in parallel.run(make, tasks, config.jobs, cluster):
                if not apart:
                    settled.extend(waiting.submit(settle, out, out, one) for one in painted)
                progress.update(sum(len(one.mask_pixels) for one in painted))
                while settled and settled[0].done():
                    settled.popleft().result()
            for one in settled:
                one.result()
    finally:
        _kept.__dict__.clear()
    return missing
