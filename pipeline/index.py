"""Where every sample of a large data set lies, saved beside it: opening it then costs milliseconds.

``.index`` in the data set's folder holds a file for each kind of archive and one for the sample table,
written by whoever reads first and mapped into memory by everybody after. A file counts while the archives
that it is made from have their sizes of then and none is newer than it; otherwise it is made again. It holds
no dates, so equal data sets have equal indices, and nothing depends on it: it may be deleted at any time, and
where it cannot be written, every process keeps its own in memory. What it says is never believed blindly:
readers check each entry, and ask the archive itself where something is amiss.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import MdeasError
from .manifest import (
    SAMPLE_EXTENSIONS,
    SAMPLES_NAME,
    SPLITS,
    key_digits,
    sample_name,
    shard_count,
    shard_name,
)
from .shards import ShardReader

INDEX_NAME = ".index"
# Below, reading the directories takes milliseconds, and small data sets are spared the extra folder.
SAVED_FROM_SAMPLES = 20_000

ENTRY = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc", "<u4")])
MISSING = np.iinfo(np.uint64).max  # the offset of an entry that could not be found

_FORMAT = "mdeas index 1"
_ALIGNMENT = 16
_CENTRAL_BYTES = 46
_CENTRAL_SIGNATURE = int.from_bytes(b"PK\x01\x02", "little")

Arrays = dict[str, NDArray[np.generic]]
Layout = Mapping[str, tuple[DTypeLike, int]]


@dataclass(frozen=True)
class SampleIndex:
    """What reading needs of the sample table.

    Args:
        bg: Background of every sample, int32.
        by_split: The samples' numbers, those of each split of ``SPLITS`` together and ascending, int32.
        starts: Where in ``by_split`` each split begins, and the end, int64.
    """

    bg: NDArray[np.int32]
    by_split: NDArray[np.int32]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class EntryIndex:
    """Where the samples of one kind lie.

    Args:
        entries: An ``ENTRY`` for each sample: place, size and CRC in its archive; ``MISSING`` if not found.
        sizes: Of the archives in bytes, int64, -1 for one that was not there.
        modified_ns: When the newest of them was modified.
    """

    entries: NDArray[np.void]
    sizes: NDArray[np.int64]
    modified_ns: int

    def fits(self, number: int, size: int, modified_ns: int) -> bool:
        """Whether archive ``number`` can still be the one that this was made from."""
        return size == self.sizes[number] and modified_ns <= self.modified_ns


def entry_index(folder: Path, kind: str, total: int, per_shard: int, fresh: bool = False) -> EntryIndex:
    """Where the samples of ``kind`` lie, as it was saved, or made anew: ``fresh``, or nothing saved.

    Whoever opens an archive asks whether the index ``fits`` it: looking at all of a thousand archives
    beforehand would be most of the time that opening a data set takes.
    """
    shards = shard_count(total, per_shard)
    layout: Layout = {"sizes": (np.int64, shards), "entries": (ENTRY, total)}
    path = folder / INDEX_NAME / kind
    saved = None if fresh else _load(path, layout, total)
    if saved is not None:
        arrays, modified_ns = saved
        return EntryIndex(arrays["entries"], arrays["sizes"], modified_ns)  # type: ignore[arg-type]
    paths = [folder / shard_name(kind, number) for number in range(shards)]
    sizes, modified_ns = _state(paths)  # before reading: what changes meanwhile is newer than the index
    entries = np.zeros(total, ENTRY)
    entries["offset"] = MISSING
    for number, archive in enumerate(paths):
        start = number * per_shard
        with contextlib.suppress(MdeasError):  # reading one of its samples will say so
            _read_directory(archive, kind, start, total, entries[start : start + per_shard])
    _save(path, layout, {"sizes": sizes, "entries": entries}, modified_ns, total)
    return EntryIndex(entries, sizes, modified_ns)


def sample_index(folder: Path, total: int) -> SampleIndex:
    """Backgrounds and splits of all samples.

    Raises:
        MdeasError: If the sample table is missing, damaged or of another length.
    """
    layout: Layout = {
        "sizes": (np.int64, 1),
        "bg": (np.int32, total),
        "by_split": (np.int32, total),
        "starts": (np.int64, len(SPLITS) + 1),
    }
    table, path = folder / SAMPLES_NAME, folder / INDEX_NAME / "samples"
    sizes, modified_ns = _state([table])
    saved = _load(path, layout, total)
    if saved is not None and saved[0]["sizes"] == sizes and modified_ns <= saved[1]:
        arrays = saved[0]
    else:
        arrays = {"sizes": sizes, **_read_table(table, total)}
        _save(path, layout, arrays, modified_ns, total)
    return SampleIndex(arrays["bg"], arrays["by_split"], arrays["starts"])  # type: ignore[arg-type]


def _state(paths: Sequence[Path]) -> tuple[NDArray[np.int64], int]:
    """Size of each file, -1 where there is none, and when the newest was modified, in ns."""
    sizes, newest = np.full(len(paths), -1, np.int64), 0
    for number, path in enumerate(paths):
        with contextlib.suppress(OSError):
            found = path.stat()
            sizes[number] = found.st_size
            newest = max(newest, found.st_mtime_ns)
    return sizes, newest


def _load(path: Path, layout: Layout, total: int) -> tuple[Arrays, int] | None:
    """The arrays of a saved index, mapped into memory, and its date; None if there is none of this form."""
    if total < SAVED_FROM_SAMPLES:
        return None
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            modified_ns = os.fstat(file.fileno()).st_mtime_ns
    except (OSError, ValueError):
        return None
    head = _head(layout)
    if data[: len(head)] != head or len(data) != len(head) + sum(map(_padded, layout.values())):
        return None
    arrays: Arrays = {}
    position = len(head)
    for name, (dtype, count) in layout.items():
        arrays[name] = np.frombuffer(data, dtype, count, position)
        position += _padded((dtype, count))
    return arrays, modified_ns


def _head(layout: Layout) -> bytes:
    """What a file of this layout begins with."""
    text = f"{_FORMAT}: {', '.join(f'{count} {name}' for name, (_, count) in layout.items())}\n"
    return text.encode().ljust(-(-len(text) // _ALIGNMENT) * _ALIGNMENT, b"\0")


def _padded(form: tuple[DTypeLike, int]) -> int:
    return -(-np.dtype(form[0]).itemsize * form[1] // _ALIGNMENT) * _ALIGNMENT


def _save(path: Path, layout: Layout, arrays: Arrays, modified_ns: int, total: int) -> None:
    """Save the index of a large data set, dated as the newest file that it was made from.

    Of two writers at once, either may win. Where nothing can be written, nothing is.
    """
    if total < SAVED_FROM_SAMPLES:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_head(layout))
                for name, form in layout.items():
                    file.write(arrays[name].tobytes().ljust(_padded(form), b"\0"))
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).chmod(0o644)  # it holds no secrets, and others may read the data set too
            os.utime(unfinished, ns=(modified_ns, modified_ns))
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise


def _read_directory(path: Path, kind: str, start: int, total: int, entries: NDArray[np.void]) -> None:
    """Fill in the entries of the samples from ``start`` on, as far as the archive has them."""
    with contextlib.closing(ShardReader(path)) as reader:
        raw, count = reader.raw_directory()
        regular = _regular_entries(raw, count, kind, start, total) if count == len(entries) else None
        if regular is not None:
            entries[:] = regular
            return
        for position in range(len(entries)):  # written by another program, or not whole
            found = reader.find(sample_name(kind, start + position, total))
            if found is not None:
                entries[position] = found


def _regular_entries(raw: bytes, count: int, kind: str, start: int, total: int) -> NDArray[np.void] | None:
    """The entries of a directory of exactly the samples from ``start`` on, as ``ShardWriter`` lays it out.

    A hundred times faster than entry by entry. None for a directory of any other form.
    """
    name = np.frombuffer(sample_name(kind, start, total).encode(), np.uint8)
    record = np.dtype(
        {
            "names": ["signature", "method", "crc", "size", "full_size", "lengths", "offset", "name"],
            "formats": ["<u4", "<u2", "<u4", "<u4", "<u4", ("<u2", 3), "<u4", ("u1", len(name))],
            "offsets": [0, 10, 16, 20, 24, 28, 42, _CENTRAL_BYTES],
            "itemsize": _CENTRAL_BYTES + len(name),
        }
    )
    if len(raw) != count * record.itemsize:
        return None
    records = np.frombuffer(raw, record)
    digits = slice(len(kind) + 1, len(name) - len(SAMPLE_EXTENSIONS[kind]))
    numbers = records["name"][:, digits] - np.uint8(ord("0"))
    fixed = records["name"].copy()
    fixed[:, digits] = name[digits]
    expected = (
        (records["signature"] == _CENTRAL_SIGNATURE)
        & (records["method"] == 0)
        & (records["size"] == records["full_size"])
        & (records["offset"] != 0xFFFFFFFF)  # ZIP64
        & (records["lengths"] == (len(name), 0, 0)).all(axis=1)
        & (fixed == name).all(axis=1)
        & (numbers <= 9).all(axis=1)
        & (numbers @ 10 ** np.arange(key_digits(total))[::-1] == np.arange(start, start + count))
    )
    if not expected.all():
        return None
    entries = np.empty(count, ENTRY)
    for field in ("offset", "size", "crc"):
        entries[field] = records[field]
    return entries


def _read_table(path: Path, total: int) -> Arrays:
    import pyarrow as pa  # here: most processes find the index, and never load it
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["bg", "split"])
        bg = table["bg"].to_numpy().astype(np.int32)
        codes = pc.index_in(table["split"].cast(pa.string()), pa.array(SPLITS)).to_numpy()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise MdeasError(f"cannot read the sample table: {path} ({error}); run `mdeas verify`") from error
    if len(bg) != total:
        raise MdeasError(
            f"the sample table has {len(bg)} rows for {total} samples: {path}; run `mdeas verify`"
        )
    by_split = np.argsort(codes, kind="stable").astype(np.int32)
    starts = np.searchsorted(codes[by_split], np.arange(len(SPLITS) + 1)).astype(np.int64)
    return {"bg": bg, "by_split": by_split, "starts": starts}
