"""``mdeas verify --repair``: mends what can be mended, drops what cannot be trusted, says what to run next.

What is trusted: an archive with the bytes that are recorded of it; else each of its entries that passes its
CRC and decodes. Nothing is made up: composites and masks that are lost are made again by ``make-dataset``,
labels by ``label-depth``, which take what is left.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import MdeasError
from .beginning import as_typed
from .composite import table_parts
from .depth_record import STATE_NAME
from .depth_scores import has_scores
from .lock import locked
from .lockfile import LOCKFILE_NAME, Lockfile, fingerprints_of, read_lockfile, write_lockfile
from .manifest import (
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    SAMPLES_NAME,
    DatasetManifest,
    read_depth_info,
    read_manifest,
    read_samples,
    shard_count,
    shard_name,
    write_json,
    write_manifest,
    write_samples,
)
from .options import VerifyConfig
from .parallel import run
from .plan import plan_of
from .shards import ShardReader, ShardWriter, kept_path, sync_folder
from .verify import Examination, examine, readable_plan
from .verify_archive import DECODERS, ArchiveTask, has_recorded_hash, picture_faults
from .work import PLAN_NAME, WORK_NAME
from .zip_format import local_entries


@dataclass(frozen=True)
class RepairReport:
    """What ``repair_dataset`` did: ``problems`` are the faults that it could not mend."""

    dataset: str
    mended: tuple[str, ...]
    dropped: tuple[str, ...]
    problems: tuple[str, ...]
    next: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """A line for everything done, and what to run next."""
        lines = [
            *(f"mended: {line}" for line in self.mended),
            *(f"dropped: {line}" for line in self.dropped),
            *(f"fault: {line}" for line in self.problems),
            *(f"next: {line}" for line in self.next),
            f"{len(self.mended)} mended, {len(self.dropped)} dropped, {len(self.problems)} left in "
            f"{self.seconds:,.1f} s: {self.dataset}",
        ]
        return "\n".join(lines)


def repair_dataset(config: VerifyConfig) -> RepairReport:
    """Mends a data set as far as its own files allow.

    Raises:
        MdeasError: If there is no data set, nothing is left to say what it was, or another process works
            on it.
    """
    start = time.monotonic()
    folder = config.dataset
    if not folder.is_dir():
        raise MdeasError(f"no data set: {folder}; give its folder with --dataset")
    with locked(folder):
        lockfile = _lockfile(folder)
        mended = [*_mend_manifest(folder, lockfile), *_mend_depth_info(folder, lockfile)]
        found = examine(replace(config, sample=None))
        dropped: list[str] = []
        damaged = _damaged(found)
        for task in damaged:
            (mended if _mend_archive(task) else dropped).append(_what_became(task))
        if found.documents[SAMPLES_NAME]:
            _write_table(config, found)
            mended.append(f"{SAMPLES_NAME}: made again from the plan and the masks")
            found = examine(replace(config, sample=None))
            damaged = []
        left = _left(found, damaged)
        mended += _mend_lockfile(folder, found, lockfile)
    return RepairReport(
        dataset=str(folder),
        mended=tuple(mended),
        dropped=tuple(dropped),
        problems=tuple(left),
        next=tuple(_next(found)),
        seconds=round(time.monotonic() - start, 3),
    )


# ---------------------------------------------------------------- dataset.json, depth.json, the lock file


def _lockfile(folder: Path) -> Lockfile | None:
    try:
        return read_lockfile(folder / LOCKFILE_NAME)
    except MdeasError:
        return None


def _mend_manifest(folder: Path, lockfile: Lockfile | None) -> list[str]:
    """``dataset.json`` from the lock file where it is damaged, or no more like the archives than that."""
    if (folder / WORK_NAME / PLAN_NAME).exists() and not (folder / MANIFEST_NAME).exists():
        raise MdeasError(f"no finished data set: {folder}; run the same `mdeas make-dataset` again first")
    try:
        there = read_manifest(folder)
        readable_plan(folder, there)
    except MdeasError as error:
        if lockfile is None:
            raise MdeasError(
                f"{str(error).split(';', maxsplit=1)[0]}; there is no good {LOCKFILE_NAME} to mend it from: "
                "put back a copy of either, or start afresh with `mdeas make-dataset --overwrite`"
            ) from error
        write_manifest(folder, lockfile.manifest)
        return [f"{MANIFEST_NAME}: restored from {LOCKFILE_NAME}"]
    if lockfile is None or lockfile.manifest == there:
        return []
    # The lock file holds a hash of itself, so it is whole; but it may be that of another data set.
    if _likeness(folder, lockfile.manifest) < _likeness(folder, there):
        return []
    write_manifest(folder, lockfile.manifest)
    return [f"{MANIFEST_NAME}: restored from {LOCKFILE_NAME}, which says something else"]


def _likeness(folder: Path, manifest: DatasetManifest) -> int:
    """How many archives have the recorded bytes, and how many rows follow from the plan."""
    alike = sum(
        (folder / record.name).exists() and has_recorded_hash(folder / record.name, record)
        for record in manifest.shards
    )
    try:
        samples, plan = read_samples(folder / SAMPLES_NAME), readable_plan(folder, manifest)
    except MdeasError:
        return alike
    if len(samples) != len(plan):
        return alike
    planned = plan.rows(0, len(plan))
    return alike + int(np.count_nonzero((samples.x == planned.x) & (samples.split == planned.split)))


def _mend_depth_info(folder: Path, lockfile: Lockfile | None) -> list[str]:
    """``depth.json`` from the lock file, where it is damaged or lost though labels are complete."""
    if (folder / STATE_NAME).exists() or lockfile is None or lockfile.depth is None:
        return []
    try:
        if read_depth_info(folder) is not None or not any(folder.glob("depth-*.zip")):
            return []
    except MdeasError:
        pass
    write_json(folder / DEPTH_INFO_NAME, lockfile.depth)
    return [f"{DEPTH_INFO_NAME}: restored from {LOCKFILE_NAME}"]


def _mend_lockfile(folder: Path, found: Examination, lockfile: Lockfile | None) -> list[str]:
    """A lock file for a set that has none, or none that says the same."""
    try:
        info = read_depth_info(folder)
    except MdeasError:
        return []
    if lockfile is not None and lockfile.manifest == found.manifest and lockfile.depth in (info, None):
        return []
    try:
        fingerprints = fingerprints_of(folder, found.manifest)
    except MdeasError:
        return []  # of archives that are to be made again: make-dataset writes it then
    write_lockfile(folder, Lockfile(found.manifest, fingerprints, info))
    return [f"{LOCKFILE_NAME}: written again"]


# ---------------------------------------------------------------- archives


def _damaged(found: Examination) -> list[ArchiveTask]:
    """Archives that have other bytes than were recorded."""
    return [
        task
        for task, finding in zip(found.tasks, found.findings, strict=True)
        if finding.problems
        and task.record is not None
        and task.path.is_file()
        and not has_recorded_hash(task.path, task.record)
    ]


def _mend_archive(task: ArchiveTask) -> bool:
    """Make an archive again from what is good in it; false if it was dropped because that is not all."""
    kept = kept_path(task.path)
    writer = ShardWriter(kept)
    for name, data in _good_entries(task):
        writer.add(name, data)
    made = writer.close()
    is_whole = task.record is not None and made.sha256 == task.record.sha256
    if is_whole:
        kept.replace(task.path)
    else:
        if task.kind != "depth" or not made.entries:
            kept.unlink()
        task.path.unlink()
    sync_folder(task.path.parent)
    return is_whole


def _good_entries(task: ArchiveTask) -> Iterator[tuple[str, bytes]]:
    """Entries in order whose bytes pass a CRC and whose picture is as it should be.

    Local headers alone tell where entries are, so a torn directory does not matter; where a header is
    damaged, the directory helps out.
    """
    with task.path.open("rb") as file:
        if not file.seek(0, 2):
            return
        with closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as raw:
            spans = local_entries(raw)
            with closing(ShardReader(task.path)) as reader:
                for position, name in enumerate(task.names):
                    data = raw[spans[name]] if name in spans else _by_directory(reader, name)
                    if data is not None and not picture_faults(data, position, replace(task, rows=None)):
                        yield name, data


def _by_directory(reader: ShardReader, name: str) -> bytes | None:
    try:
        return reader.read(name)
    except (MdeasError, OSError):
        return None


def _what_became(task: ArchiveTask) -> str:
    name = task.path.name
    if task.path.exists():
        return f"{name}: directory made again from the local headers, bytes as recorded"
    if not kept_path(task.path).exists():
        return f"{name}: {len(task.names)} entries, not to be told good from bad"
    with closing(ShardReader(kept_path(task.path))) as reader:
        lost = len(task.names) - len(reader)
    return f"{name}: {lost} of {len(task.names)} labels; the others are kept"


# ---------------------------------------------------------------- the sample table


@dataclass(frozen=True)
class _AreaTask:
    shard: int
    path: Path
    names: tuple[str, ...]


def mask_pixels(task: _AreaTask) -> tuple[int, list[int]]:
    """Foreground pixels of every mask of an archive; 0 where the archive is lost and to be made again."""
    if not task.path.exists():
        return task.shard, [0] * len(task.names)
    with closing(ShardReader(task.path)) as reader:
        return task.shard, [int(np.count_nonzero(DECODERS["mask"](reader.read(name)))) for name in task.names]


def _write_table(config: VerifyConfig, found: Examination) -> None:
    plan, manifest = plan_of(found.manifest), found.manifest
    masks = {task.path.name: task for task in found.tasks if task.kind == "mask"}
    tasks = []
    for shard in range(shard_count(len(plan), manifest.samples_per_shard)):
        task = masks[shard_name("mask", shard)]
        tasks.append(_AreaTask(shard, task.path, task.names))
    pixels = dict(run(mask_pixels, tasks, config.jobs))
    write_samples(config.dataset / SAMPLES_NAME, table_parts(plan, pixels.__getitem__), len(plan))


# ---------------------------------------------------------------- what is left


def _left(found: Examination, mended: list[ArchiveTask]) -> list[str]:
    """Faults that stay: of files that are as they were recorded, and of those that are not ours."""
    lines = [line for name, faults in found.documents.items() for line in faults if name != LOCKFILE_NAME]
    for task, finding in zip(found.tasks, found.findings, strict=True):
        if not any(task is one for one in mended) and task.path.exists():
            lines += finding.problems
    return [*lines, *(f"{name}: recorded nowhere" for name in found.strangers)]


def _next(found: Examination) -> Iterator[str]:
    missing = {task.kind for task in found.tasks if not task.path.exists()}
    if missing - {"depth"}:
        given = {name: value for name, value in found.manifest.options.items() if value is not None}
        options = " ".join(as_typed(name, value) for name, value in given.items())
        yield f"`mdeas make-dataset` with the same options ({options}) makes what is missing"
    folder = found.tasks[0].path.parent
    if "depth" in missing:
        yield "`mdeas label-depth` with the same options makes the labels that are missing"
    elif (folder / DEPTH_INFO_NAME).exists() and not has_scores(folder):
        yield "`mdeas label-depth` with the same options scores the labels anew"
