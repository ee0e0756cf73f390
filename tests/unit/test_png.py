"""Our own PNGs read without a library: the same pixels as with one, and no other PNG is taken for ours."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from mdeas.pipeline import images, inflate, png
from numpy.typing import NDArray
from PIL import Image

RNG = np.random.default_rng(0)
MASKS = [RNG.integers(0, 2, shape).astype(np.uint8) * 255 for shape in ((1, 1), (5, 8), (7, 13), (64, 50))]
LABELS = [RNG.integers(0, 65536, shape).astype(np.uint16) for shape in ((1, 1), (3, 7), (64, 50))]


def pillow(pixels: NDArray[np.uint8] | NDArray[np.uint16], mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("mask", MASKS)
def test_masks_are_read_and_counted(mask: NDArray[np.uint8]) -> None:
    data = images.encode_mask(mask)
    found = png.packed_mask(data)
    assert found is not None
    assert np.array_equal(np.unpackbits(found[0], axis=1, count=found[1]) * 255, mask)
    assert png.foreground_pixels(data) == (np.count_nonzero(mask), *mask.shape)
    assert np.array_equal(images.decode_mask(data), cv2.imdecode(np.frombuffer(data, np.uint8), 0))


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_read(label: NDArray[np.uint16]) -> None:
    data = images.encode_gray16(label)
    assert np.array_equal(png.gray16(data), label)
    assert np.array_equal(images.decode_gray16(data), label)


def test_what_fills_up_the_last_byte_is_not_counted() -> None:
    rows = np.array([[0, 0xFF, 0xFF], [0, 0x00, 0x1F]], np.uint8)  # 11 pixels wide: 5 bits too many
    data = images._grey_png(rows.tobytes(), 11, 2, bits=1, level=1)
    assert png.foreground_pixels(data) == (11, 2, 11)
    assert np.count_nonzero(images.decode_mask(data)) == 11


def test_pngs_of_others_are_left_to_a_library() -> None:
    mask, label = MASKS[3], LABELS[2]
    for data in (pillow(mask, "L"), pillow(np.dstack([mask] * 3), "RGB"), pillow(mask, "P")):
        assert png.packed_mask(data) is None
        assert png.foreground_pixels(data) is None
        assert png.gray16(data) is None
    sub = cv2.imencode(".png", label)[1].tobytes()
    assert png.gray16(sub) is None
    assert np.array_equal(images.decode_gray16(sub), label)
    assert png.packed_mask(images.encode_gray16(label)) is None
    assert png.gray16(images.encode_mask(mask)) is None


def test_other_filters_are_left_to_a_library() -> None:
    rows = np.zeros((4, 9), np.uint8)
    rows[:, 0] = (2, 2, 1, 2)
    assert png.gray16(images._grey_png(rows.tobytes(), 4, 4, bits=16, level=1)) is None
    rows = np.zeros((4, 2), np.uint8)
    rows[2, 0] = 2
    assert png.packed_mask(images._grey_png(rows.tobytes(), 8, 4, bits=1, level=1)) is None


def test_damage_is_never_read() -> None:
    data = images.encode_gray16(LABELS[2])
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x40
        found = png.gray16(bytes(damaged))
        assert found is None or np.array_equal(found, LABELS[2]), position
    for length in range(0, len(data), 7):
        assert png.gray16(data[:length]) is None


def test_sizes_that_cannot_be_are_not_believed() -> None:
    data = images.encode_gray16(LABELS[2])
    for height, width in ((0, 50), (64, 0), (1 << 30, 50), (64, 1 << 30)):
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
        assert png.gray16(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]) is None


def test_without_isal_zlib_reads_the_same() -> None:
    pytest.importorskip("isal")
    code = (
        "import sys; sys.modules['isal'] = None; sys.modules['isal.isal_zlib'] = None\n"
        "import zlib; from mdeas.pipeline import inflate\n"
        "assert inflate.decompress is zlib.decompress and inflate.ERRORS == (zlib.error,)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""})
    data = RNG.bytes(1000)
    assert inflate.crc32(data) == zlib.crc32(data)
    assert inflate.decompress(zlib.compress(data)) == data
