"""Everything that can be wrong with one archive of a data set: form, entries, and the pictures in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import MdeasError
from .images import decode_gray16, decode_jpeg, decode_mask, decode_png
from .manifest import SAMPLES_NAME, Samples
from .shards import ShardReader, ShardRecord, file_sha256

# An archive of a thousand broken entries says so in this many lines.
MOST_LINES = 20
# What a picture of each kind must be for Pillow, which tells 1-bit from 8-bit and grey from colour.
_MODES = {"bg": ("PNG", "RGB"), "fg_bg": ("JPEG", "RGB"), "mask": ("PNG", "1"), "depth": ("PNG", "I;16")}
DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "bg": decode_png,
    "fg_bg": decode_jpeg,
    "mask": decode_mask,
    "depth": decode_gray16,
}


@dataclass(frozen=True)
class ArchiveTask:
    """An archive and what is to be found in it.

    Args:
        kind: bg, fg_bg, mask or depth.
        path: Where it is.
        record: What is recorded of it; None where nothing is.
        names: Its entries, in order.
        size: Side of its pictures.
        decode: Positions of the entries whose pictures are looked at.
        rows: Of its samples, where its pictures can be held against them (masks).
        value_range: Least and highest value that its pictures may hold (depth labels).
    """

    kind: str
    path: Path
    record: ShardRecord | None
    names: tuple[str, ...]
    size: int
    decode: tuple[int, ...]
    rows: Samples | None = None
    value_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """What is wrong with an archive, a line a fault, and how many of its pictures were looked at."""

    path: Path
    problems: tuple[str, ...]
    decoded: int


def check_archive(task: ArchiveTask) -> Finding:
    """Everything about one archive."""
    try:
        problems, decoded = _archive_problems(task)
    except OSError as error:  # a folder of that name, a bad sector below the directory
        problems, decoded = [f"cannot be read ({error.strerror or error})"], 0
    name = task.path.name
    return Finding(task.path, tuple(shortened([f"{name}: {line}" for line in problems], name)), decoded)


def shortened(problems: list[str], name: str) -> list[str]:
    """The first faults of a file, and how many there are more."""
    if len(problems) <= MOST_LINES:
        return problems
    return [*problems[:MOST_LINES], f"{name}: {len(problems) - MOST_LINES} faults more"]


def has_recorded_hash(path: Path, record: ShardRecord) -> bool:
    """Whether a file has the bytes that are recorded of it."""
    return path.stat().st_size == record.bytes and file_sha256(path) == record.sha256


def _archive_problems(task: ArchiveTask) -> tuple[list[str], int]:
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
        problems += _name_problems(names, len(reader), task.names)
        if len(task.names) != task.record.entries:
            problems.append(f"recorded with {task.record.entries} entries, expected {len(task.names)}")
        entry_problems, decoded = _entry_problems(reader, names, task)
    problems += entry_problems
    if not problems:
        # A damaged byte outside the entries, or a whole other archive: named once, by its hash.
        problems += _second_opinion(task.path)
        if not has_recorded_hash(task.path, task.record):
            problems.append("other bytes than recorded (sha256)")
    return problems, decoded


def _name_problems(there: tuple[str, ...], entries: int, expected: tuple[str, ...]) -> list[str]:
    """Missing and strange entries, entries twice or out of order; ``there`` holds each name once."""
    present, wanted = set(there), set(expected)
    problems = [f"{name}: missing" for name in expected if name not in present]
    problems += [f"{name}: not expected here" for name in there if name not in wanted]
    if entries != len(there):
        problems.append(f"{entries - len(there)} entries come twice")
    if not problems and there != expected:
        problems.append("entries out of order")
    return problems


def _entry_problems(reader: ShardReader, names: tuple[str, ...], task: ArchiveTask) -> tuple[list[str], int]:
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
        except OSError as error:
            problems.append(f"{name}: cannot be read ({error.strerror or error})")
            continue
        position = positions.get(name)
        if position in decode:
            decoded += 1
            problems += [f"{name}: {fault}" for fault in picture_faults(data, position, task)]
    return problems, decoded


def picture_faults(data: bytes, position: int, task: ArchiveTask) -> list[str]:
    """What is wrong with the picture ``data`` as entry number ``position`` of an archive."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            form = (header.format, header.mode)
        pixels: NDArray[Any] = DECODERS[task.kind](data)
    except (MdeasError, OSError, SyntaxError, ValueError) as error:
        return [f"cannot be decoded ({error})"]
    if form != _MODES[task.kind]:
        return [f"is {' '.join(map(str, form))}, expected {' '.join(_MODES[task.kind])}"]
    height, width = pixels.shape[:2]
    if (height, width) != (task.size, task.size):
        return [f"is {width}x{height}, expected {task.size}x{task.size}"]
    if task.kind == "mask":
        return _mask_faults(pixels, task.rows, position)
    return _label_faults(pixels, task.value_range) if task.kind == "depth" else []


def _mask_faults(mask: NDArray[np.uint8], rows: Samples | None, position: int) -> list[str]:
    """A mask against its row: never empty, the area exactly, and nothing outside the box."""
    foreground = int(np.count_nonzero(mask))
    if foreground == 0:
        return ["is empty: no foreground at all"]
    if rows is None:
        return []
    share = float(rows.mask_area[position]) * mask.size
    expected = str(round(share)) if np.isfinite(share) else "nothing"
    if str(foreground) != expected:
        return [f"{foreground} foreground pixels, its row in {SAMPLES_NAME} says {expected}"]
    left, top = int(rows.x[position]), int(rows.y[position])
    box = mask[top : top + int(rows.height[position]), left : left + int(rows.width[position])]
    if int(np.count_nonzero(box)) != foreground:
        return [f"foreground outside the box of its row in {SAMPLES_NAME}"]
    return []


def _label_faults(label: NDArray[np.uint16], value_range: tuple[int, int] | None) -> list[str]:
    """A depth label says something, and nothing beyond what is recorded of all labels."""
    low, high = int(label.min()), int(label.max())
    if low == high:
        return [f"is empty: {low} everywhere"]
    if value_range is not None and not value_range[0] <= low <= high <= value_range[1]:
        return [f"values from {low} to {high}, those of all labels are {value_range[0]} to {value_range[1]}"]
    return []


def _second_opinion(path: Path) -> list[str]:
    """What Python's own ``zipfile`` says of an archive that ours finds whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        return [f"zipfile cannot read it ({error})"]
    return [f"{bad}: zipfile finds it damaged"] if bad else []
