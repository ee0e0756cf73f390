"""``mdeas merge``: what parts have made becomes what one machine would have written, byte for byte.

Archives are finished when a part is; what is left is what there is one of for all: ``dataset.json`` and the
sample table, ``depth.json`` with the labels' scores, ``stats.json``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import MdeasError
from .composite import finish_dataset
from .depth_record import STATE_NAME, State
from .depth_shards import config_of
from .lock import locked
from .manifest import (
    BACKGROUNDS_NAME,
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    DatasetManifest,
    read_json,
    read_manifest,
    shard_count,
    shard_name,
    write_bytes,
)
from .options import LabelDepthConfig, MergeConfig
from .part import Part, part_of
from .plan import plan_of
from .shards import ShardRecord, file_sha256, part_path, sync_folder
from .stats import STATS_FILE, merge_stats
from .work import PLAN_NAME, WORK_NAME, is_made

_NOTE = re.compile(r"[a-z]+-part-(\d+)-of-(\d+)\.json")
_STATE = Path(STATE_NAME).name
_MOST_NAMED = 10


@dataclass(frozen=True)
class MergeReport:
    """What ``mdeas merge`` wrote."""

    dataset: str
    written: tuple[str, ...]
    samples: int
    seconds: float

    def summary(self) -> str:
        """One line for people."""
        written = ", ".join(self.written)
        return f"{written} of {self.samples:,} samples in {self.dataset}, {self.seconds:,.1f} s"


def merge(config: MergeConfig) -> MergeReport:
    """Writes what the parts of a command leave to be written, when all of them are there.

    Raises:
        MdeasError: If a part is missing, by name, or parts do not belong together.
    """
    start, folder = time.monotonic(), config.dataset
    others = [other for other in config.folders if not _is_same(other, folder)]
    for other in others:
        if not (other / WORK_NAME).is_dir():
            raise MdeasError(f"no part was made here: {other}; give folders that `--part` worked in")
    if config.folders:
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise MdeasError(f"no such folder: {folder}; give the one that the parts worked in with --dataset")
    written: list[str] = []
    depth: LabelDepthConfig | None = None
    with locked(folder):
        for other in others:
            with locked(other):  # no part is at work there still
                _take(other, folder)
        if (folder / WORK_NAME / PLAN_NAME).exists() and not (folder / MANIFEST_NAME).exists():
            _merge_dataset(folder)
            written.append(MANIFEST_NAME)
        if _notes(folder, "stats"):
            _merge_stats(folder)
            written.append(STATS_FILE)
        if _notes(folder, "depth"):
            depth = _ready_depth(folder)
            written.append(DEPTH_INFO_NAME)
        if not written:
            raise MdeasError(f"nothing to merge: {folder}; make parts first: `mdeas make-dataset --part 1/4`")
        samples = int(read_manifest(folder).totals["samples"])
    if depth is not None:
        _merge_depth(depth)
    return MergeReport(str(folder), tuple(written), samples, round(time.monotonic() - start, 3))


def _is_same(other: Path, folder: Path) -> bool:
    return folder.exists() and other.exists() and other.samefile(folder)


def _merge_dataset(folder: Path) -> DatasetManifest:
    manifest = read_manifest(folder / WORK_NAME, PLAN_NAME)
    count = shard_count(len(plan_of(manifest)))
    missing = [number for number in range(count) if not is_made(folder, number)]
    if missing:
        named = _named(folder, missing, count, "dataset")
        raise MdeasError(
            f"shards are missing: {folder} ({named}); run `mdeas make-dataset` for these, then `mdeas merge`"
        )
    return finish_dataset(folder, manifest)


def _named(folder: Path, missing: Sequence[int], count: int, what: str) -> str:
    """The parts that missing shards belong to, if the notes of the others say how many parts there are."""
    divisions = {parts for _, parts in _notes(folder, what).values()}
    if len(divisions) == 1:
        (parts,) = divisions
        numbers = sorted({part_of(number, count, parts) for number in missing})
        return _listed([f"--part {number}/{parts}" for number in numbers])
    return _listed([f"shard {number}" for number in missing])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _notes(folder: Path, what: str) -> dict[Path, Part]:
    """The notes of finished parts of ``what``, in the order of their numbers."""
    found = {}
    for path in (folder / WORK_NAME).glob(f"{what}-part-*.json"):
        if match := _NOTE.fullmatch(path.name):
            found[path] = int(match[1]), int(match[2])
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _ready_depth(folder: Path) -> LabelDepthConfig:
    """How the labels were made, when all of them are."""
    manifest = read_manifest(folder)
    count = shard_count(int(manifest.totals["samples"]), manifest.samples_per_shard)
    state = State.load(folder / STATE_NAME)
    names = [shard_name("depth", number) for number in range(count)]
    missing = [
        number for number, name in enumerate(names) if not ((folder / name).exists() and state.find(name))
    ]
    if missing:
        raise MdeasError(
            f"depth labels are missing: {folder} ({_named(folder, missing, count, 'depth')}); run "
            "`mdeas label-depth` for these, then `mdeas merge`"
        )
    return config_of(folder, read_json(next(iter(_notes(folder, "depth")))))


def _merge_depth(config: LabelDepthConfig) -> None:
    """Nothing is left to label: the check of the labels, and what describes them."""
    from .depth import label_depth  # torch, which no other merge needs

    label_depth(config)
    for path in _notes(config.dataset, "depth"):
        path.unlink()
    with contextlib.suppress(OSError):
        (config.dataset / WORK_NAME).rmdir()


def _merge_stats(folder: Path) -> None:
    notes = _notes(folder, "stats")
    divisions = sorted({parts for _, parts in notes.values()})
    if len(divisions) > 1:
        raise MdeasError(
            f"figures of {' and of '.join(map(str, divisions))} parts: {folder / WORK_NAME}; remove those of "
            "one division"
        )
    (parts,) = divisions
    there = {number for number, _ in notes.values()}
    missing = [f"--part {number}/{parts}" for number in range(1, parts + 1) if number not in there]
    if missing:
        raise MdeasError(
            f"parts are missing: {folder} ({_listed(missing)}); run `mdeas stats` for these, then "
            "`mdeas merge`"
        )
    merge_stats(folder, notes)
    for path in notes:
        path.unlink()
    with contextlib.suppress(OSError):
        (folder / WORK_NAME).rmdir()


# ---------------------------------------------------------------- parts that worked in folders of their own


def _take(other: Path, folder: Path) -> None:
    """Bring what a part has made elsewhere to ``folder``, archives before what says that they are there.

    Raises:
        MdeasError: If it follows another plan, or an archive is not what was recorded of it.
    """
    source, work = other / WORK_NAME, folder / WORK_NAME
    if (source / PLAN_NAME).exists() and not (folder / MANIFEST_NAME).exists():
        work.mkdir(exist_ok=True)
        if not (work / PLAN_NAME).exists():
            _bring(other / BACKGROUNDS_NAME, folder / BACKGROUNDS_NAME, None)
            write_bytes(work / PLAN_NAME, (source / PLAN_NAME).read_bytes())
        _refuse_other_plan(other, folder)
        for path in sorted(source.glob("shard-*.json")):
            for record in (ShardRecord(**one) for one in read_json(path)["shards"]):
                _bring(other / record.name, folder / record.name, record)
            write_bytes(work / path.name, path.read_bytes(), sync=False)
    if (source / _STATE).exists():
        _take_labels(other, folder)
    for what in ("dataset", "depth", "stats"):
        for path in _notes(other, what):
            work.mkdir(exist_ok=True)
            write_bytes(work / path.name, path.read_bytes(), sync=False)


def _take_labels(other: Path, folder: Path) -> None:
    source, work = other / WORK_NAME, folder / WORK_NAME
    work.mkdir(exist_ok=True)
    if not (work / _STATE).exists():
        write_bytes(work / _STATE, (source / _STATE).read_bytes())
    here, there = (read_json(one / _STATE) for one in (work, source))
    if here != there:
        names = [name for name, value in here["properties"].items() if there["properties"].get(name) != value]
        raise MdeasError(
            f"labels of another kind: {other} ({', '.join(names) or 'range'}); merge parts of one command"
        )
    for path in sorted(source.glob("depth-*.zip.json")):
        record = ShardRecord(**read_json(path)["record"])
        _bring(other / record.name, folder / record.name, record)
        write_bytes(work / path.name, path.read_bytes(), sync=False)


def _refuse_other_plan(other: Path, folder: Path) -> None:
    here, there = (read_manifest(one / WORK_NAME, PLAN_NAME) for one in (folder, other))
    if here == there:
        return
    names = [name for name, value in here.options.items() if there.options.get(name) != value]
    what = f"--{names[0].replace('_', '-')}" if names else "pictures or versions"
    raise MdeasError(f"a part of another data set: {other} (other {what}); merge parts of one command only")


def _bring(source: Path, target: Path, record: ShardRecord | None) -> None:
    """A second name for a finished archive or, on another disk, a copy that is checked."""
    if record is not None and target.exists() and target.stat().st_size == record.bytes:
        return
    part = part_path(target)
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except FileNotFoundError as error:
        raise MdeasError(f"an archive of a part is missing: {source}; run that part again") from error
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, part)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        if record is not None and file_sha256(part) != record.sha256:
            part.unlink()
            raise MdeasError(f"an archive is not as it was made: {source}; run that part again") from None
    part.replace(target)
    sync_folder(target.parent)
