"""Foregrounds laid on a background fast: prepared sizes, and JPEG rows encoded only where they changed."""

from __future__ import annotations

import cv2
import numpy as np

from . import images
from .images import Pixels, Premultiplied

# Between two prepared sizes lies this factor, so that a bilinear resize (four times faster than area
# averaging) never shrinks by more: below 1.5 it loses next to nothing.
_LEVEL_STEP = 2**0.5

_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_RESTART = 0xD0  # RST0; the markers count up to RST7 and begin again


class Foreground:
    """A premultiplied foreground in a few sizes, from which any size in between is cheap."""

    def __init__(self, premultiplied: Premultiplied, least: int) -> None:
        """Prepare sizes down to a longer side of ``least`` pixels."""
        self._levels = [premultiplied]
        height, width = premultiplied.shape[:2]
        longer = max(height, width)
        while longer / _LEVEL_STEP >= least:
            longer = round(longer / _LEVEL_STEP)
            self._levels.append(
                images.resize_premultiplied(premultiplied, *images.fit(width, height, longer))
            )

    @property
    def bytes(self) -> int:
        """Memory that it holds."""
        return sum(level.nbytes for level in self._levels)

    def at(self, width: int, height: int) -> Premultiplied:
        """The foreground at ``width`` x ``height``, from the smallest prepared size that is not smaller."""
        level = self._levels[0]
        for smaller in self._levels[1:]:
            if smaller.shape[0] < height or smaller.shape[1] < width:
                break
            level = smaller
        if level.shape[:2] == (height, width):
            return level
        return np.asarray(cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR), np.uint16)


class Canvas:
    """A background whose composites are encoded only in the rows of blocks that the foreground touches.

    The JPEG of the bare background carries a restart marker after every row of blocks. Rows between two
    markers depend on nothing outside, so those of a composite that equal the background's are copied, and the
    result is byte for byte what ``images.encode_jpeg`` makes of the whole picture.
    """

    def __init__(self, bg: Pixels, quality: int) -> None:
        """Encode the bare background, an RGB picture."""
        self._bg = images.to_bgr(bg)
        self._pixels = self._bg.copy()
        self._quality = quality
        self._stream = images.encode_jpeg_bgr(self._bg, quality)
        self._header = _scan_start(self._stream)
        self._rows = -(-bg.shape[0] // images.JPEG_BLOCK)
        self._starts = [self._header]  # where each row begins in the stream, after the marker before it
        for row in range(self._rows - 1):
            marker = bytes((0xFF, _RESTART + row % 8))
            self._starts.append(self._stream.index(marker, self._starts[-1]) + 2)

    def composite(self, placed: Premultiplied, alpha: Pixels, x: int, y: int) -> bytes:
        """The JPEG of the background with ``placed``, whose alpha is given, at column ``x``, row ``y``."""
        height, width = placed.shape[:2]
        region = self._pixels[y : y + height, x : x + width]
        region[:] = images.blend(region, placed, alpha, bgr=True)
        data = self._encode(y // images.JPEG_BLOCK, -(-(y + height) // images.JPEG_BLOCK))
        region[:] = self._bg[y : y + height, x : x + width]
        return data

    def _encode(self, first: int, last: int) -> bytes:
        """The stream with block rows ``first`` to ``last`` (exclusive) encoded anew."""
        block = images.JPEG_BLOCK
        band = images.encode_jpeg_bgr(self._pixels[first * block : last * block], self._quality)
        scan = bytearray(band[self._header : -len(_END_OF_IMAGE)])
        if first % 8:  # the band's markers count from 0, those of the picture go on from the row before
            position = 0
            for row in range(last - first - 1):
                position = scan.index(bytes((0xFF, _RESTART + row % 8)), position)
                scan[position + 1] = _RESTART + (first + row) % 8
                position += 2
        rest = self._stream[self._starts[last] - 2 :] if last < self._rows else _END_OF_IMAGE
        return b"".join((self._stream[: self._starts[first]], scan, rest))


def _scan_start(stream: bytes) -> int:
    """Offset of the entropy-coded data of a baseline JPEG."""
    position = 2
    while True:
        kind, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        position += 2 + length
        if kind == _START_OF_SCAN:
            return position
