"""Shards: STORED zip archives that can be killed at any byte, and their reader.

``ShardWriter`` and ``ShardReader`` mirror each other. The same entries always give the same bytes: fixed
dates, no extra fields, ZIP64 records only where an archive needs them.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from .. import MdeasError
from .inflate import crc32

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGNATURE, _LOCATOR64_SIGNATURE = b"PK\x06\x06", b"PK\x06\x07"

_DATE_1980 = 0x0021  # 1 January 1980, the first day that a zip can hold
_UTF8_NAME = 0x0800
_UNIX, _VERSION, _VERSION_ZIP64 = 3 << 8, 20, 45
_REGULAR_0644 = 0o100644 << 16
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_ZIP64_EXTRA = 0x0001

PART_SUFFIX = ".part"
# The good entries of a damaged archive, with gaps, from which the archive is made again.
KEPT_SUFFIX = ".kept"
# What is written, and hashed, at once.
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class ShardRecord:
    """What is known of a finished archive."""

    name: str
    entries: int
    bytes: int
    sha256: str


class _Entry(NamedTuple):
    name: str
    crc: int
    size: int
    offset: int


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot sync a folder; the data itself is synced
        pass
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of an open file, of a full disk for one, do not say which file it is: here they do."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def part_path(path: Path) -> Path:
    """Where the unfinished form of ``path`` is written."""
    return path.with_name(path.name + PART_SUFFIX)


def publish(path: Path) -> None:
    """Give the archive written as ``path.part`` its name, once its bytes survive a power cut.

    The name itself survives after the folder's next ``sync_folder``; before, the archive is at worst still
    called ``.part``.
    """
    part = part_path(path)
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    part.replace(path)


def kept_path(path: Path) -> Path:
    """Where the good entries of a damaged ``path`` are."""
    return path.with_name(path.name + KEPT_SUFFIX)


class ShardWriter:
    """Writes ``path`` as a STORED zip under the name ``path.part`` until ``close``.

    With ``resume`` a ``.part`` left by a killed process goes on: its whole entries are kept (``names``),
    whatever follows them is cut off. A full disk raises OSError and leaves the ``.part``, which is harmless.
    As a context manager it closes on success and leaves the ``.part`` where it is on an exception.
    """

    def __init__(self, path: Path, resume: bool = False) -> None:
        """Start ``path`` (or go on with it)."""
        self.path = path
        self._part = part_path(path)
        self._entries: list[_Entry] = []
        self._sha256 = hashlib.sha256()
        self._offset = 0
        self._pending: list[bytes] = []
        self._written = 0  # bytes of the archive that have left ``_pending``
        keeps = resume and self._part.exists()
        self._file = self._part.open("r+b" if keeps else "wb")
        if keeps:
            self._recover()

    @property
    def names(self) -> tuple[str, ...]:
        """The entries held so far."""
        return tuple(entry.name for entry in self._entries)

    def __len__(self) -> int:
        """Number of entries held so far."""
        return len(self._entries)

    def add(self, name: str, data: bytes) -> None:
        """Append one entry; names must ascend, so that entries are in key order and none comes twice."""
        if self._entries and name <= self._entries[-1].name:
            raise ValueError(f"expected names in ascending order, got {name} after {self._entries[-1].name}")
        if len(data) >= _MAX32:
            raise ValueError(f"expected less than 4 GiB an entry, got {len(data)} bytes for {name}")
        entry = _Entry(name, zlib.crc32(data), len(data), self._offset)
        self._append(_local_header(entry))
        self._append(data)
        self._entries.append(entry)
        if self._offset - self._written >= _CHUNK_BYTES:
            self._write()

    def commit(self) -> None:
        """Everything added so far survives a kill and a power cut."""
        self._write()
        with naming(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> ShardRecord:
        """Finish the archive and give it its name; see ``publish``."""
        record = self.finish()
        publish(self.path)
        return record

    def finish(self) -> ShardRecord:
        """Write the directory; the archive is whole, but not yet on disk for certain and called ``.part``.

        ``publish``, which waits for the disk, may then be called by somebody else meanwhile.
        """
        start = self._offset
        for entry in self._entries:
            self._append(_central_header(entry))
        self._append(_end_records(len(self._entries), start, self._offset - start))
        self._write()
        self._file.close()
        return ShardRecord(self.path.name, len(self._entries), self._offset, self._sha256.hexdigest())

    def abort(self) -> None:
        """Let go of the file; the ``.part`` stays."""
        # Writing can fail again on a full disk: that error was reported already.
        with contextlib.suppress(OSError):
            self._write()
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> ShardWriter:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close on success, leave the ``.part`` on an exception."""
        if self._file.closed:
            return
        if kind is None:
            self.close()
        else:
            self.abort()

    def _append(self, data: bytes) -> None:
        self._pending.append(data)
        self._offset += len(data)

    def _write(self) -> None:
        data = b"".join(self._pending)
        self._pending.clear()
        self._written = self._offset
        self._sha256.update(data)
        with naming(self.path):
            self._file.write(data)
            self._file.flush()

    def _recover(self) -> None:
        """Keep the whole entries of a killed writer, cut off the torn tail."""
        while (found := self._next_entry()) is not None:
            entry, raw = found
            self._entries.append(entry)
            self._sha256.update(raw)
            self._offset += len(raw)
        self._written = self._offset
        self._file.seek(self._offset)
        self._file.truncate()

    def _next_entry(self) -> tuple[_Entry, bytes] | None:
        header = self._file.read(_LOCAL.size)
        if len(header) < _LOCAL.size:
            return None
        signature, *_, crc, size, _, name_length, extra_length = _LOCAL.unpack(header)
        if signature != _LOCAL_SIGNATURE or extra_length:
            return None
        raw_name, data = self._file.read(name_length), self._file.read(size)
        try:
            entry = _Entry(raw_name.decode(), crc, size, self._offset)
        except UnicodeDecodeError:
            return None
        ascends = not self._entries or entry.name > self._entries[-1].name
        if len(data) < size or zlib.crc32(data) != crc or not ascends or header != _local_header(entry)[:30]:
            return None
        return entry, header + raw_name + data


def first_entry(path: Path) -> tuple[str, bytes]:
    """Name and bytes of an archive's first entry, without reading its directory.

    Raises:
        MdeasError: If the archive is damaged there, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            signature, *_, crc, size, _, name_length, extra_length = _LOCAL.unpack(file.read(_LOCAL.size))
            name, _, data = file.read(name_length), file.read(extra_length), file.read(size)
        if signature != _LOCAL_SIGNATURE or zlib.crc32(data) != crc:
            raise ValueError("no entry")
        return name.decode(), data
    except (OSError, ValueError, struct.error) as error:
        raise MdeasError(f"damaged archive: {path} (first entry); run `mdeas verify` to see more") from error


def local_entries(raw: bytes | mmap.mmap) -> dict[str, slice]:
    """Where the data of every whole entry of an archive is, by the headers before the entries alone.

    Works on any piece of an archive: without its directory, with damaged entries, with bytes missing.
    """
    found: dict[str, slice] = {}
    position = raw.find(_LOCAL_SIGNATURE)
    while 0 <= position <= len(raw) - _LOCAL.size:
        _, _, _, method, _, _, crc, size, full_size, name_length, extra_length = _LOCAL.unpack(
            raw[position : position + _LOCAL.size]
        )
        name_end = position + _LOCAL.size + name_length
        start, stop = name_end + extra_length, name_end + extra_length + size
        if method == 0 and size == full_size and stop <= len(raw) and zlib.crc32(raw[start:stop]) == crc:
            with contextlib.suppress(UnicodeDecodeError):
                found.setdefault(raw[position + _LOCAL.size : name_end].decode(), slice(start, stop))
            position = raw.find(_LOCAL_SIGNATURE, stop)
        else:
            position = raw.find(_LOCAL_SIGNATURE, position + 1)
    return found


def _flags(raw_name: bytes) -> int:
    return 0 if raw_name.isascii() else _UTF8_NAME


def _local_header(entry: _Entry) -> bytes:
    name = entry.name.encode()
    return (
        _LOCAL.pack(
            _LOCAL_SIGNATURE, _VERSION, _flags(name), 0, 0, _DATE_1980,
            entry.crc, entry.size, entry.size, len(name), 0,
        )
        + name
    )  # fmt: skip


def _central_header(entry: _Entry) -> bytes:
    name = entry.name.encode()
    far = entry.offset >= _MAX32
    extra = struct.pack("<HHQ", _ZIP64_EXTRA, 8, entry.offset) if far else b""
    version = _VERSION_ZIP64 if far else _VERSION
    return (
        _CENTRAL.pack(
            _CENTRAL_SIGNATURE, _UNIX | version, version, _flags(name), 0, 0, _DATE_1980,
            entry.crc, entry.size, entry.size, len(name), len(extra), 0, 0, 0, _REGULAR_0644,
            _MAX32 if far else entry.offset,
        )
        + name
        + extra
    )  # fmt: skip


def _end_records(count: int, start: int, length: int) -> bytes:
    """The end of the directory, with its ZIP64 form before it where 16 or 32 bits are too few."""
    end = _END.pack(
        _END_SIGNATURE,
        0,
        0,
        min(count, _MAX16),
        min(count, _MAX16),
        min(length, _MAX32),
        min(start, _MAX32),
        0,
    )
    if count < _MAX16 and start < _MAX32 and length < _MAX32:
        return end
    wide = _END64.pack(
        _END64_SIGNATURE,
        _END64.size - 12,
        _UNIX | _VERSION_ZIP64,
        _VERSION_ZIP64,
        0,
        0,
        count,
        count,
        length,
        start,
    )
    return wide + _LOCATOR64.pack(_LOCATOR64_SIGNATURE, 0, start + length, 1) + end


class ShardReader:
    """Random access to a STORED zip; picklable, opens the file again in another process; safe in threads."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first use."""
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._entries: list[_Entry] | None = None
        self._positions: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The entries in the order of the archive."""
        self._directory()
        return tuple(self._positions)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._directory())

    def read(self, entry: str | int) -> bytes:
        """The bytes of an entry by name or position, checked against its CRC.

        Raises:
            MdeasError: If there is no such entry or the archive is damaged.
        """
        entries = self._directory()
        if isinstance(entry, str):
            if entry not in self._positions:
                raise MdeasError(
                    f"no entry {entry} in {self.path}; run `mdeas verify` to see what is missing"
                )
            entry = self._positions[entry]
        found = entries[entry]
        data = self.read_at(found.offset, found.size, found.crc, len(found.name.encode()))
        if data is None:
            raise self._damaged(found.name)
        return bytes(data)

    def read_at(self, offset: int, size: int, crc: int, name_bytes: int) -> memoryview | None:
        """The bytes of the entry whose local header is at ``offset`` (see ``find``); None if they are others.

        The archive's directory is not needed, and not read.

        Raises:
            MdeasError: If the archive cannot be opened.
        """
        descriptor, start = self._open(), _LOCAL.size + name_bytes
        # One read for header and data: our archives have no extra field before the data.
        raw = os.pread(descriptor, start + size, offset)
        if raw[:4] != _LOCAL_SIGNATURE or len(raw) < start:
            return None
        *_, name_length, extra_length = _LOCAL.unpack_from(raw)
        shift = _LOCAL.size + name_length + extra_length
        data = memoryview(raw)[start:]
        if shift != start:
            data = memoryview(os.pread(descriptor, size, offset + shift))
        return data if crc32(data) == crc else None

    def state(self) -> tuple[int, int]:
        """Bytes of the open archive, and when it was last modified, in ns.

        Raises:
            MdeasError: If the archive cannot be opened.
        """
        found = os.fstat(self._open())
        return found.st_size, found.st_mtime_ns

    def find(self, name: str) -> tuple[int, int, int] | None:
        """Offset, size and CRC of an entry, as ``read_at`` takes them; None if there is no such entry."""
        entries = self._directory()
        if name not in self._positions:
            return None
        entry = entries[self._positions[name]]
        return entry.offset, entry.size, entry.crc

    def raw_directory(self) -> tuple[bytes, int]:
        """The bytes of the archive's directory, not parsed, and the number of its entries.

        Raises:
            MdeasError: If there is no archive, or its directory cannot be found.
        """
        descriptor = self._open()
        try:
            start, length, count = self._end(descriptor)
            return os.pread(descriptor, length, start), count
        except (struct.error, ValueError, OSError, OverflowError) as error:
            raise self._damaged("its directory cannot be read") from error

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = self._entries = None

    def __del__(self) -> None:
        """Let go of the file."""
        # At interpreter exit `os` may be gone already.
        with contextlib.suppress(Exception):
            self.close()

    def __getstate__(self) -> dict[str, Path]:
        """Only the path travels to another process."""
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        """As freshly made."""
        self.__init__(state["path"])  # type: ignore[misc]

    def _damaged(self, what: str) -> MdeasError:
        return MdeasError(
            f"damaged archive: {self.path} ({what}); run `mdeas verify` to see what can be mended"
        )

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        with self._lock:
            if self._descriptor is None:
                try:
                    self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                except OSError as error:
                    raise MdeasError(
                        f"cannot open the archive: {self.path} ({error.strerror}); "
                        "run the command that makes it again, or `mdeas verify`"
                    ) from error
            return self._descriptor

    def _directory(self) -> list[_Entry]:
        """Parse the central directory: several times faster than ``zipfile`` and a fraction of its memory."""
        if self._entries is not None:
            return self._entries
        raw, count = self.raw_directory()
        try:
            entries = _central_entries(raw, count)
        except (struct.error, ValueError) as error:
            self.close()
            raise self._damaged("its directory cannot be read") from error
        self._positions = {entry.name: number for number, entry in enumerate(entries)}
        self._entries = entries
        return entries

    def _end(self, descriptor: int) -> tuple[int, int, int]:
        """Offset and length of the directory and its number of entries."""
        size = os.fstat(descriptor).st_size
        tail_start = max(0, size - _END.size - _MAX16 - _LOCATOR64.size)
        tail = os.pread(descriptor, size - tail_start, tail_start)
        position = tail.rfind(_END_SIGNATURE)
        if position < 0:
            raise ValueError("no end record")
        _, _, _, _, count, length, start, _ = _END.unpack_from(tail, position)
        locator = position - _LOCATOR64.size
        if locator >= 0 and tail[locator : locator + 4] == _LOCATOR64_SIGNATURE:
            _, _, wide_offset, _ = _LOCATOR64.unpack_from(tail, locator)
            wide = os.pread(descriptor, _END64.size, wide_offset)
            *_, count, length, start = _END64.unpack(wide)
        return start, length, count


def _central_entries(raw: bytes, count: int) -> list[_Entry]:
    entries, position = [], 0
    for _ in range(count):
        (
            signature, _, _, _, method, _, _, crc, size, full_size, name_length, extra_length, comment_length,
            _, _, _, offset,
        ) = _CENTRAL.unpack_from(raw, position)  # fmt: skip
        if signature != _CENTRAL_SIGNATURE or method != 0 or size != full_size:
            raise ValueError("expected a STORED entry")
        name_end = position + _CENTRAL.size + name_length
        name = raw[position + _CENTRAL.size : name_end].decode()
        if offset == _MAX32:
            kind, _, offset = struct.unpack_from("<HHQ", raw, name_end)
            if kind != _ZIP64_EXTRA:
                raise ValueError("expected a ZIP64 offset")
        entries.append(_Entry(name, crc, size, offset))
        position = name_end + extra_length + comment_length
    return entries
