"""The PNGs that this package writes itself, read without a PNG library: 1-bit masks and 16-bit labels.

``images`` writes them with one IDAT chunk and one filter for all rows, so that reading is inflating and one
numpy call. Any other PNG gives None here, and the caller asks OpenCV. The CRC of the IDAT chunk is not looked
at: the checksum inside the compressed data covers every pixel.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from .inflate import ERRORS, crc32, decompress

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FILTER_NONE, FILTER_UP = 0, 2
# Deflate cannot do better: whoever claims more is damaged, and memory is not to be taken at its word.
MOST_INFLATED = 1032

# Signature 8 and IHDR chunk 25, then length and name of the IDAT chunk.
_IHDR, _IDAT, _DATA = 12, 33, 41
_END = b"IEND\xaeB`\x82"
_HEADER = struct.Struct(">IIBBBBB")


def packed_mask(data: bytes | memoryview) -> tuple[NDArray[np.uint8], int] | None:
    """The rows of a 1-bit PNG, (H, ceil(W / 8)) of packed bits, and W; None for a PNG of another form."""
    found = _rows(data, bits=1, row_filter=FILTER_NONE)
    return None if found is None else (found[0][:, 1:], found[1])


def foreground_pixels(data: bytes | memoryview) -> tuple[int, int, int] | None:
    """White pixels, height and width of a 1-bit PNG, nothing unpacked; None for a PNG of another form."""
    found = _rows(data, bits=1, row_filter=FILTER_NONE)
    if found is None:
        return None
    rows, width = found
    # The filter of every row is 0, so the bytes that hold it count nothing.
    count = int(np.bitwise_count(rows).sum(dtype=np.int64))
    if width % 8:  # the bits that fill up a row's last byte may be anything
        count -= int(np.bitwise_count(rows[:, -1] & np.uint8(0xFF >> width % 8)).sum(dtype=np.int64))
    return count, len(rows), width


def gray16(data: bytes | memoryview) -> NDArray[np.uint16] | None:
    """(H, W) of a 16-bit grey PNG whose rows all have the filter Up; None for a PNG of another form."""
    found = _rows(data, bits=16, row_filter=FILTER_UP)
    if found is None:
        return None
    # Up: each byte is less the one above it, modulo 256.
    values = np.add.accumulate(found[0][:, 1:], axis=0, dtype=np.uint8)
    return values.view(">u2").astype(np.uint16)


def _rows(data: bytes | memoryview, bits: int, row_filter: int) -> tuple[NDArray[np.uint8], int] | None:
    """The rows of a grey PNG, each with its filter before it, and its width."""
    if len(data) < _DATA + 16 or data[:8] != SIGNATURE or data[_IHDR : _IHDR + 4] != b"IHDR":
        return None
    width, height, depth, *form = _HEADER.unpack_from(data, _IHDR + 4)
    header_crc, length, name = struct.unpack_from(">II4s", data, _IDAT - 4)
    end = _DATA + length
    if (depth, form, name, data[end + 8 : end + 16]) != (bits, [0, 0, 0, 0], b"IDAT", _END):
        return None
    stride = 1 + (width * bits + 7) // 8
    if header_crc != crc32(data[_IHDR : _IDAT - 4]) or not 0 < height * stride <= MOST_INFLATED * length:
        return None
    try:
        raw = np.frombuffer(decompress(memoryview(data)[_DATA:end], bufsize=height * stride), np.uint8)
    except ERRORS:
        return None
    if raw.size != height * stride:
        return None
    rows = raw.reshape(height, stride)
    return (rows, width) if (rows[:, 0] == row_filter).all() else None
