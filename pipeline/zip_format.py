"""The zip format, as far as shards need it: STORED entries with fixed dates, ZIP64 only where it must be.

Names of fields and their order: PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from typing import NamedTuple

LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGNATURE, _LOCATOR64_SIGNATURE = b"PK\x06\x06", b"PK\x06\x07"

_DATE_1980 = 0x0021  # 1 January 1980, the first day that a zip can hold
_UTF8_NAME = 0x0800
_UNIX, _VERSION, _VERSION_ZIP64 = 3 << 8, 20, 45
_REGULAR_0644 = 0o100644 << 16
MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_ZIP64_EXTRA = 0x0001


class Entry(NamedTuple):
    """One entry: CRC-32 and bytes of its data, and where its local header begins."""

    name: str
    crc: int
    size: int
    offset: int


def _flags(raw_name: bytes) -> int:
    return 0 if raw_name.isascii() else _UTF8_NAME


def local_header(entry: Entry) -> bytes:
    """What stands before an entry's data."""
    name = entry.name.encode()
    return (
        LOCAL.pack(
            LOCAL_SIGNATURE, _VERSION, _flags(name), 0, 0, _DATE_1980,
            entry.crc, entry.size, entry.size, len(name), 0,
        )
        + name
    )  # fmt: skip


def central_header(entry: Entry) -> bytes:
    """An entry's row in the directory."""
    name = entry.name.encode()
    far = entry.offset >= MAX32
    extra = struct.pack("<HHQ", _ZIP64_EXTRA, 8, entry.offset) if far else b""
    version = _VERSION_ZIP64 if far else _VERSION
    return (
        _CENTRAL.pack(
            _CENTRAL_SIGNATURE, _UNIX | version, version, _flags(name), 0, 0, _DATE_1980,
            entry.crc, entry.size, entry.size, len(name), len(extra), 0, 0, 0, _REGULAR_0644,
            MAX32 if far else entry.offset,
        )
        + name
        + extra
    )  # fmt: skip


def end_records(count: int, start: int, length: int) -> bytes:
    """The end of the directory, with its ZIP64 form before it where 16 or 32 bits are too few."""
    end = _END.pack(
        _END_SIGNATURE,
        0,
        0,
        min(count, _MAX16),
        min(count, _MAX16),
        min(length, MAX32),
        min(start, MAX32),
        0,
    )
    if count < _MAX16 and start < MAX32 and length < MAX32:
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


def find_directory(descriptor: int) -> tuple[int, int, int]:
    """Offset and length in bytes of the directory of an open archive, and its number of entries.

    Raises:
        ValueError: If there is no end record; struct.error and OSError likewise for a damaged one.
    """
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


def central_entries(raw: bytes, count: int) -> list[Entry]:
    """The ``count`` entries of the directory ``raw``.

    Raises:
        ValueError: If one is damaged or not STORED; struct.error if the directory is too short.
    """
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
        if offset == MAX32:
            kind, _, offset = struct.unpack_from("<HHQ", raw, name_end)
            if kind != _ZIP64_EXTRA:
                raise ValueError("expected a ZIP64 offset")
        entries.append(Entry(name, crc, size, offset))
        position = name_end + extra_length + comment_length
    return entries


def local_entries(raw: bytes | mmap.mmap) -> dict[str, slice]:
    """Where the data of every whole entry of an archive is, by the headers before the entries alone.

    Works on any piece of an archive: without its directory, with damaged entries, with bytes missing.
    """
    found: dict[str, slice] = {}
    position = raw.find(LOCAL_SIGNATURE)
    while 0 <= position <= len(raw) - LOCAL.size:
        _, _, _, method, _, _, crc, size, full_size, name_length, extra_length = LOCAL.unpack(
            raw[position : position + LOCAL.size]
        )
        name_end = position + LOCAL.size + name_length
        start, stop = name_end + extra_length, name_end + extra_length + size
        if method == 0 and size == full_size and stop <= len(raw) and zlib.crc32(raw[start:stop]) == crc:
            with contextlib.suppress(UnicodeDecodeError):
                found.setdefault(raw[position + LOCAL.size : name_end].decode(), slice(start, stop))
            position = raw.find(LOCAL_SIGNATURE, stop)
        else:
            position = raw.find(LOCAL_SIGNATURE, position + 1)
    return found
