"""Shards: STORED zip archives that can be killed at any byte, and their reader.

``ShardWriter`` and ``ShardReader`` mirror each other. The same entries always give the same bytes: see
``zip_format``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .. import MdeasError
from .inflate import crc32
from .zip_format import (
    LOCAL,
    LOCAL_SIGNATURE,
    MAX32,
    Entry,
    central_entries,
    central_header,
    end_records,
    find_directory,
    local_header,
)

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


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot sync a folder; the data itself is synced
        pass
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits; the file need not fit into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        self._entries: list[Entry] = []
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
        if len(data) >= MAX32:
            raise ValueError(f"expected less than 4 GiB an entry, got {len(data)} bytes for {name}")
        entry = Entry(name, zlib.crc32(data), len(data), self._offset)
        self._append(local_header(entry))
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
            self._append(central_header(entry))
        self._append(end_records(len(self._entries), start, self._offset - start))
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

    def _next_entry(self) -> tuple[Entry, bytes] | None:
        header = self._file.read(LOCAL.size)
        if len(header) < LOCAL.size:
            return None
        signature, *_, crc, size, _, name_length, extra_length = LOCAL.unpack(header)
        if signature != LOCAL_SIGNATURE or extra_length:
            return None
        raw_name, data = self._file.read(name_length), self._file.read(size)
        try:
            entry = Entry(raw_name.decode(), crc, size, self._offset)
        except UnicodeDecodeError:
            return None
        ascends = not self._entries or entry.name > self._entries[-1].name
        if len(data) < size or zlib.crc32(data) != crc or not ascends or header != local_header(entry)[:30]:
            return None
        return entry, header + raw_name + data


def first_entry(path: Path) -> tuple[str, bytes]:
    """Name and bytes of an archive's first entry, without reading its directory.

    Raises:
        MdeasError: If the archive is damaged there, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            signature, *_, crc, size, _, name_length, extra_length = LOCAL.unpack(file.read(LOCAL.size))
            name, _, data = file.read(name_length), file.read(extra_length), file.read(size)
        if signature != LOCAL_SIGNATURE or zlib.crc32(data) != crc:
            raise ValueError("no entry")
        return name.decode(), data
    except (OSError, ValueError, struct.error) as error:
        raise MdeasError(f"damaged archive: {path} (first entry); run `mdeas verify` to see more") from error


class ShardReader:
    """Random access to a STORED zip; picklable, opens the file again in another process; safe in threads."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first use."""
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._entries: list[Entry] | None = None
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
        descriptor, start = self._open(), LOCAL.size + name_bytes
        # One read for header and data: our archives have no extra field before the data.
        raw = os.pread(descriptor, start + size, offset)
        if raw[:4] != LOCAL_SIGNATURE or len(raw) < start:
            return None
        *_, name_length, extra_length = LOCAL.unpack_from(raw)
        shift = LOCAL.size + name_length + extra_length
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
            start, length, count = find_directory(descriptor)
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

    def _directory(self) -> list[Entry]:
        """Parse the central directory: several times faster than ``zipfile`` and a fraction of its memory."""
        if self._entries is not None:
            return self._entries
        raw, count = self.raw_directory()
        try:
            entries = central_entries(raw, count)
        except (struct.error, ValueError) as error:
            self.close()
            raise self._damaged("its directory cannot be read") from error
        self._positions = {entry.name: number for number, entry in enumerate(entries)}
        self._entries = entries
        return entries
