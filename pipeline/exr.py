"""OpenEXR files of one float channel, written and read without its library (which few installations have).

Scan lines, ZIP compression in blocks of 16 lines, as in "OpenEXR File Layout" (openexr.com). Files of other
layouts are not read.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError

_MAGIC = struct.pack("<II", 20000630, 2)
_FLOAT, _ZIP = 2, 3
_LINES = 16  # of a block
CHANNEL = b"Y"  # what viewers show as grey


def encode_exr(values: NDArray[np.float32]) -> bytes:
    """A file of (H, W) float32."""
    if values.dtype != np.float32 or values.ndim != 2:
        raise ValueError(f"expected (H, W) float32, got {values.shape} {values.dtype}")
    header, blocks = _header(*values.shape), []
    for top in range(0, len(values), _LINES):
        raw = np.ascontiguousarray(values[top : top + _LINES], "<f4").tobytes()
        packed = zlib.compress(_predicted(raw), 4)
        data = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<ii", top, len(data)) + data)
    lengths = [len(block) for block in blocks]
    first = len(header) + 8 * len(blocks)
    offsets = first + np.cumsum([0, *lengths[:-1]])
    return b"".join([header, offsets.astype("<u8").tobytes(), *blocks])


def decode_exr(data: bytes) -> NDArray[np.float32]:
    """(H, W) float32 of a file that :func:`encode_exr` wrote.

    Raises:
        MdeasError: If it is any other file, or damaged.
    """
    try:
        at = data.index(b"dataWindow\0box2i\0") + 17
        _, _, _, right, bottom = struct.unpack_from("<iiiii", data, at)
        height, width = bottom + 1, right + 1
        header = _header(height, width)
        if data[: len(header)] != header:
            raise ValueError("another layout")
        count = -(-height // _LINES)
        lines = []
        for offset in np.frombuffer(data, "<u8", count, len(header)).tolist():
            top, length = struct.unpack_from("<ii", data, offset)
            block = data[offset + 8 : offset + 8 + length]
            size = 4 * width * min(_LINES, height - top)
            raw = block if length == size else _unpredicted(zlib.decompress(block))
            lines.append(np.frombuffer(raw, "<f4").reshape(-1, width))
        return np.concatenate(lines).astype(np.float32)
    except (ValueError, struct.error, zlib.error) as error:
        raise MdeasError(f"no EXR file of one float channel as mdeas writes it ({error})") from error


def _header(height: int, width: int) -> bytes:
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    attributes: list[tuple[bytes, bytes, bytes]] = [
        (b"channels", b"chlist", CHANNEL + b"\0" + struct.pack("<iiii", _FLOAT, 0, 1, 1) + b"\0"),
        (b"compression", b"compression", bytes([_ZIP])),
        (b"dataWindow", b"box2i", window),
        (b"displayWindow", b"box2i", window),
        (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
        (b"screenWindowCenter", b"v2f", struct.pack("<ff", 0, 0)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    ]
    parts = [
        b"%b\0%b\0%b%b" % (n, kind, struct.pack("<i", len(value)), value) for n, kind, value in attributes
    ]
    return b"".join([_MAGIC, *parts, b"\0"])


def _predicted(raw: bytes) -> bytes:
    """Even bytes before odd ones, then each less the one before it, plus 128."""
    data = np.frombuffer(raw, np.uint8)
    halves = np.concatenate([data[0::2], data[1::2]])
    halves[1:] = halves[1:] - halves[:-1] + np.uint8(128)
    return halves.tobytes()


def _unpredicted(data: bytes) -> bytes:
    steps = np.frombuffer(data, np.uint8).copy()
    steps[1:] += np.uint8(128)  # less 128, in a byte
    halves = np.cumsum(steps, dtype=np.uint8)
    middle = (len(halves) + 1) // 2
    raw = np.empty_like(halves)
    raw[0::2], raw[1::2] = halves[:middle], halves[middle:]
    return raw.tobytes()
