"""Foregrounds laid on backgrounds fast: prepared sizes, and JPEG rows encoded only where they changed."""

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
# RST0 to RST7: they come in turn after the rows of blocks of a JPEG.
_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))

# What is encoded at once: enough that starting the encoder costs nothing, and still in a core's own cache.
_STRIP_BYTES = 1 << 20
# libjpeg encodes no higher picture (65,500 rows), in whole blocks.
_MOST_ROWS = 65_488


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
    def nbytes(self) -> int:
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


class Layer:
    """A foreground at one size in the form that blending needs, for any number of backgrounds."""

    def __init__(self, premultiplied: Premultiplied) -> None:
        """Derive it from ``Foreground.at``."""
        self.height, self.width = premultiplied.shape[:2]
        self.alpha = images.alpha_of(premultiplied)
        self.colours, self.transparency = images.blend_terms(premultiplied, self.alpha, bgr=True)


class Canvas:
    """A background of which composites need not encode all: the JPEG of the bare picture, cut into rows.

    The JPEG carries a restart marker after every row of blocks. Rows between two markers depend on nothing
    outside, so those of a composite that equal the background's are copied, and the result is byte for byte
    what ``images.encode_jpeg`` makes of the whole picture.
    """

    def __init__(self, bg: Pixels, quality: int) -> None:
        """Encode the bare background, an RGB picture."""
        self.pixels = images.to_bgr(bg)
        self._stream = images.encode_jpeg_bgr(self.pixels, quality)
        self.header = _scan_start(self._stream)
        self.rows = -(-bg.shape[0] // images.JPEG_BLOCK)
        self._starts = [self.header]  # where each row begins in the stream, after the marker before it
        for row in range(self.rows - 1):
            self._starts.append(self._stream.index(_RESTARTS[row % 8], self._starts[-1]) + 2)

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return self.pixels.nbytes + len(self._stream)

    def splice(self, first: int, rows: list[bytes]) -> bytes:
        """The JPEG with other ``rows`` from row ``first`` on."""
        pieces = [self._stream[: self._starts[first]]]
        for number, row in enumerate(rows, first):
            pieces += (row, _RESTARTS[number % 8])
        last = first + len(rows)
        if last < self.rows:
            pieces.append(self._stream[self._starts[last] :])
        else:
            pieces[-1] = _END_OF_IMAGE
        return b"".join(pieces)


class Press:
    """Composites of canvases of one size and quality: the bands that change are encoded many at a time."""

    def __init__(self, height: int, width: int, quality: int) -> None:
        """Nothing is waiting yet."""
        block = images.JPEG_BLOCK
        rows = max(-(-height // block) * block, min(_STRIP_BYTES // (3 * width), _MOST_ROWS))
        self._strip = np.empty((rows, width, 3), np.uint8)
        self._quality = quality
        self._used = 0  # rows of pixels in the strip
        self._waiting: list[tuple[Canvas, int, int]] = []
        self._done: list[bytes] = []

    def add(self, canvas: Canvas, layer: Layer, x: int, y: int) -> None:
        """One more composite: ``layer`` on ``canvas`` at column ``x``, row ``y``."""
        block = images.JPEG_BLOCK
        first, last = y // block, -(-(y + layer.height) // block)
        changed = canvas.pixels[first * block : last * block]
        if self._used + len(changed) > len(self._strip):
            self._encode()
        band = self._strip[self._used : self._used + len(changed)]
        band[:] = changed
        top = y - first * block
        region = band[top : top + layer.height, x : x + layer.width]
        region[:] = images.over(region, layer.colours, layer.transparency)
        self._waiting.append((canvas, first, last))
        self._used += len(changed)
        if self._used % block:  # the frame ends within a row of blocks, which only the encoder can fill up
            self._encode()

    def take(self) -> list[bytes]:
        """The JPEGs of all that was added since the last call, in that order."""
        if self._waiting:
            self._encode()
        done, self._done = self._done, []
        return done

    def drop(self) -> None:
        """Forget what was added."""
        self._used = 0
        self._waiting, self._done = [], []

    def _encode(self) -> None:
        data = images.encode_jpeg_bgr(self._strip[: self._used], self._quality)
        start, number = self._waiting[0][0].header, 0
        for canvas, first, last in self._waiting:
            rows = []
            for _ in range(first, last):
                end = data.find(_RESTARTS[number % 8], start)
                rows.append(data[start : end if end >= 0 else -len(_END_OF_IMAGE)])
                start, number = end + 2, number + 1
            self._done.append(canvas.splice(first, rows))
        self._used = 0
        self._waiting = []


def _scan_start(stream: bytes) -> int:
    """Offset of the entropy-coded data of a baseline JPEG."""
    position = 2
    while True:
        kind, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        position += 2 + length
        if kind == _START_OF_SCAN:
            return position
