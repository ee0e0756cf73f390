"""``mdeas verify``: every archive and every row of a data set against what is recorded; changes nothing."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from .. import MdeasError
from .composite import plan_of
from .depth_record import STATE_NAME
from .images import decode_gray16, decode_jpeg, decode_mask, decode_png
from .manifest import (
    BACKGROUNDS_NAME,
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    SAMPLES_NAME,
    DatasetManifest,
    Samples,
    background_name,
    key_digits,
    read_depth_info,
    read_manifest,
    read_samples,
    sample_name,
    shard_count,
    shard_name,
)
from .options import VerifyConfig
from .parallel import run
from .progress import Progress
from .shards import PART_SUFFIX, ShardReader, ShardRecord

# An archive of a thousand broken entries says so in this many lines.
MOST_LINES = 20
# What a picture of each kind must be for Pillow, which tells 1-bit from 8-bit and grey from colour.
_MODES = {"bg": ("PNG", "RGB"), "fg_bg": ("JPEG", "RGB"), "mask": ("PNG", "1"), "depth": ("PNG", "I;16")}
_DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "bg": decode_png,
    "fg_bg": decode_jpeg,
    "mask": decode_mask,
    "depth": decode_gray16,
}


@dataclass(frozen=True)
class VerifyReport:
    """What ``mdeas verify`` found: ``problems`` are faults, ``notes`` what is merely unfinished."""

    dataset: str
    samples: int
    archives: int
    decoded: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """One line a fault, and what was looked at."""
        lines = [
            *(f"fault: {problem}" for problem in self.problems),
            *(f"note: {note}" for note in self.notes),
            f"{self.samples:,} samples, {self.archives} archives, {self.decoded:,} pictures decoded in "
            f"{self.seconds:,.1f} s: {self.dataset}",
            "No fault found" if not self.problems else f"{len(self.problems)} faults found",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Task:
    """An archive and what is to be found in it."""

    kind: str
    path: Path
    record: ShardRecord | None
    names: tuple[str, ...]
    size: int
    decode: tuple[int, ...]  # positions
    rows: Samples | None  # of the archive's samples, where its pictures can be held against them


@dataclass(frozen=True)
class _Finding:
    path: Path
    problems: tuple[str, ...]
    decoded: int


def verify_dataset(config: VerifyConfig) -> VerifyReport:
    """Checks ``dataset.json``, the sample table, every archive and (all or some of) the pictures in them.

    Raises:
        MdeasError: If there is no data set, or its ``dataset.json`` cannot be read.
    """
    start = time.monotonic()
    folder = config.dataset
    manifest = read_manifest(folder)
    problems, samples = _check_table(folder, manifest)
    depth_problems, depth_records = _check_depth_info(folder, manifest)
    problems += depth_problems
    tasks = list(_tasks(config, manifest, samples, depth_records))
    found: dict[Path, _Finding] = {}
    with Progress(len(tasks), "verify", "archives") as progress:
        for finding in run(check_archive, tasks, config.jobs):
            found[finding.path] = finding
            progress.update()
    problems += [line for task in tasks for line in found[task.path].problems]
    problems += _strangers(folder, {task.path.name for task in tasks})
    return VerifyReport(
        dataset=str(folder),
        samples=int(manifest.totals["samples"]),
        archives=len(tasks),
        decoded=sum(finding.decoded for finding in found.values()),
        problems=tuple(problems),
        notes=tuple(_left_overs(folder)),
        seconds=round(time.monotonic() - start, 3),
    )


def _check_table(folder: Path, manifest: DatasetManifest) -> tuple[list[str], Samples | None]:
    """Faults of ``samples.parquet``, and its rows where they can be read."""
    path, total = folder / SAMPLES_NAME, int(manifest.totals["samples"])
    if not path.exists():
        return [f"{path.name}: missing; run `mdeas make-dataset` again"], None
    try:
        samples = read_samples(path)
        keys = pq.read_table(path, columns=["key"])["key"].to_pylist()
    except (MdeasError, KeyError, ValueError, pa.ArrowException) as error:
        return [f"{path.name}: cannot be read ({error})"], None
    if len(samples) != total:
        return [f"{path.name}: {len(samples)} rows, expected {total}"], None
    digits = key_digits(total)
    wrong = [row for row, key in enumerate(keys) if key != f"{row:0{digits}d}"]
    problems = [f"{path.name}: row {row}: key is {keys[row]}" for row in wrong]
    # The table follows from dataset.json alone, the areas aside, which are held against the masks.
    planned = plan_of(manifest).rows(0, total)
    for field in fields(Samples):
        if field.name != "mask_area":
            there, expected = getattr(samples, field.name), getattr(planned, field.name)
            problems += [
                f"{path.name}: row {row}: {field.name} is {there[row]}, expected {expected[row]}"
                for row in np.flatnonzero(there != expected)
            ]
    return _shortened(problems, path.name), samples


def _check_depth_info(
    folder: Path, manifest: DatasetManifest
) -> tuple[list[str], tuple[ShardRecord, ...] | None]:
    """Faults of ``depth.json``, and the archives that it names; None without labels."""
    try:
        info = read_depth_info(folder)
    except MdeasError as error:
        return [str(error)], None
    if info is None:
        return [], None
    problems = []
    total = int(manifest.totals["samples"])
    if info.samples != total:
        problems.append(f"{DEPTH_INFO_NAME}: {info.samples} labels for {total} samples")
    dataset_sha256 = hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()
    if info.dataset_sha256 != dataset_sha256:
        problems.append(
            f"{DEPTH_INFO_NAME}: made for another {MANIFEST_NAME}; run `mdeas label-depth --overwrite`"
        )
    return problems, info.shards


def _tasks(
    config: VerifyConfig,
    manifest: DatasetManifest,
    samples: Samples | None,
    depth_records: tuple[ShardRecord, ...] | None,
) -> Iterator[_Task]:
    """A task an archive, in the order of their names in the contract."""
    total, per_shard = int(manifest.totals["samples"]), manifest.samples_per_shard
    size, backgrounds = int(manifest.options["size"]), len(manifest.bg)
    records = {record.name: record for record in (*manifest.shards, *(depth_records or ()))}
    names = tuple(background_name(number, backgrounds) for number in range(backgrounds))
    yield _Task(
        kind="bg",
        path=config.dataset / BACKGROUNDS_NAME,
        record=records.get(BACKGROUNDS_NAME),
        names=names,
        size=size,
        decode=tuple(range(backgrounds)),
        rows=None,
    )
    chosen = np.arange(total)
    if config.sample is not None and config.sample < total:
        chosen = np.sort(np.random.default_rng(0).choice(total, config.sample, replace=False))
    for kind in ("fg_bg", "mask") if depth_records is None else ("fg_bg", "mask", "depth"):
        for shard in range(shard_count(total, per_shard)):
            first, stop = shard * per_shard, min((shard + 1) * per_shard, total)
            name = shard_name(kind, shard)
            inside = chosen[(chosen >= first) & (chosen < stop)] - first
            yield _Task(
                kind=kind,
                path=config.dataset / name,
                record=records.get(name),
                names=tuple(sample_name(kind, number, total) for number in range(first, stop)),
                size=size,
                decode=tuple(inside.tolist()),
                rows=_slice(samples, first, stop) if kind == "mask" and samples is not None else None,
            )


def _slice(samples: Samples, first: int, stop: int) -> Samples:
    return Samples(**{field.name: getattr(samples, field.name)[first:stop] for field in fields(Samples)})


def check_archive(task: _Task) -> _Finding:
    """Everything about one archive."""
    problems, decoded = _archive_problems(task)
    name = task.path.name
    return _Finding(task.path, tuple(_shortened([f"{name}: {line}" for line in problems], name)), decoded)


def _archive_problems(task: _Task) -> tuple[list[str], int]:
    if not task.path.exists():
        command = "label-depth" if task.kind == "depth" else "make-dataset"
        return [f"missing; run `mdeas {command}` again, it makes what is missing"], 0
    if task.record is None:
        return ["not recorded"], 0
    there = task.path.stat().st_size
    problems = [] if there == task.record.bytes else [f"{there} bytes, expected {task.record.bytes}"]
    with closing(ShardReader(task.path)) as reader:
        try:
            names = reader.names
        except MdeasError:
            return [*problems, "its directory cannot be read: no zip, or cut short"], 0
        problems += _name_problems(names, task.names)
        if len(task.names) != task.record.entries:
            problems.append(f"recorded with {task.record.entries} entries, expected {len(task.names)}")
        entry_problems, decoded = _entry_problems(reader, names, task)
    problems += entry_problems
    if not problems:
        # A damaged byte outside the entries, or a whole other archive: named once, by its hash.
        problems += _second_opinion(task.path)
        with task.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != task.record.sha256:
                problems.append("other bytes than recorded (sha256)")
    return problems, decoded


def _name_problems(there: tuple[str, ...], expected: tuple[str, ...]) -> list[str]:
    """Missing and strange entries, or entries out of order."""
    present, wanted = set(there), set(expected)
    problems = [f"{name}: missing" for name in expected if name not in present]
    problems += [f"{name}: not expected here" for name in there if name not in wanted]
    if not problems and there != expected:
        problems.append("entries out of order or twice")
    return problems


def _entry_problems(reader: ShardReader, names: tuple[str, ...], task: _Task) -> tuple[list[str], int]:
    """CRC of every entry; the pictures at ``task.decode``."""
    positions = {name: position for position, name in enumerate(task.names)}
    decode = set(task.decode)
    problems, decoded = [], 0
    for name in names:
        try:
            data = reader.read(name)
        except MdeasError:
            problems.append(f"{name}: damaged bytes (CRC)")
            continue
        position = positions.get(name)
        if position in decode:
            decoded += 1
            problems += [f"{name}: {fault}" for fault in _picture_faults(data, position, task)]
    return problems, decoded


def _picture_faults(data: bytes, position: int, task: _Task) -> list[str]:
    try:
        with Image.open(io.BytesIO(data)) as header:
            form = (header.format, header.mode)
        pixels: NDArray[Any] = _DECODERS[task.kind](data)
    except (MdeasError, OSError, SyntaxError, ValueError) as error:
        return [f"cannot be decoded ({error})"]
    if form != _MODES[task.kind]:
        return [f"is {' '.join(map(str, form))}, expected {' '.join(_MODES[task.kind])}"]
    height, width = pixels.shape[:2]
    if (height, width) != (task.size, task.size):
        return [f"is {width}x{height}, expected {task.size}x{task.size}"]
    return [] if task.rows is None else _mask_faults(pixels, task.rows, position)


def _mask_faults(mask: NDArray[np.uint8], rows: Samples, position: int) -> list[str]:
    """A mask against its row: the area exactly, and nothing outside the box."""
    foreground = int(np.count_nonzero(mask))
    expected = round(float(rows.mask_area[position]) * mask.size)
    if foreground != expected:
        return [f"{foreground} foreground pixels, its row in {SAMPLES_NAME} says {expected}"]
    left, top = int(rows.x[position]), int(rows.y[position])
    box = mask[top : top + int(rows.height[position]), left : left + int(rows.width[position])]
    if int(np.count_nonzero(box)) != foreground:
        return [f"foreground outside the box of its row in {SAMPLES_NAME}"]
    return []


def _second_opinion(path: Path) -> list[str]:
    """What Python's own ``zipfile`` says of an archive that ours finds whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        return [f"zipfile cannot read it ({error})"]
    return [f"{bad}: zipfile finds it damaged"] if bad else []


def _shortened(problems: list[str], name: str) -> list[str]:
    if len(problems) <= MOST_LINES:
        return problems
    return [*problems[:MOST_LINES], f"{name}: {len(problems) - MOST_LINES} faults more"]


def _strangers(folder: Path, known: set[str]) -> list[str]:
    """Archives that no record knows; those of unfinished labels are not recorded yet."""
    there = sorted(path.name for path in folder.glob("*.zip"))
    if (folder / STATE_NAME).exists():
        there = [name for name in there if not name.startswith("depth-")]
    return [f"{name}: recorded nowhere" for name in there if name not in known]


def _left_overs(folder: Path) -> list[str]:
    """What a stopped command has left; running it again goes on from there."""
    notes = []
    for path in sorted(folder.glob("*" + PART_SUFFIX)):
        command = "label-depth" if path.name.startswith("depth") else "make-dataset"
        notes.append(f"{path.name}: unfinished; `mdeas {command}` goes on from here")
    if (folder / STATE_NAME).exists():
        notes.append("depth labels: unfinished; `mdeas label-depth` goes on from here")
    return notes
