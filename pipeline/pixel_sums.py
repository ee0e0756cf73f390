"""Exact sums over the pixels of any number of pictures, which merge in any order to the same figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import png

BINS = 256
# OpenCV hands histograms back as float32, exact to 2^24, and float64 is exact to 2^53, above 65535^2 * 2^20:
# so a picture is summed in strips of at most this many pixels.
STRIP_PIXELS = 1 << 20


@dataclass(frozen=True)
class PixelSums:
    """Exact sums over the pixels of any number of pictures, a value per channel.

    Args:
        levels: The largest value a pixel can have, 255 or 65535; it is 1.0 on the scale of the figures.
        pictures: Pictures summed.
        count: Pixels summed, per channel.
        total: Sum of the values.
        squares: Sum of the squared values.
        low: Smallest value (``levels`` while there is none).
        high: Largest value (0 while there is none).
        histogram: 256 equal bins over 0..levels, both ends included.
    """

    levels: int
    pictures: int
    count: int
    total: tuple[int, ...]
    squares: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    histogram: tuple[tuple[int, ...], ...]

    @classmethod
    def empty(cls, channels: int, levels: int) -> PixelSums:
        """The sums over no picture at all: merging them changes nothing."""
        zeros = (0,) * channels
        return cls(levels, 0, 0, zeros, zeros, (levels,) * channels, zeros, ((0,) * BINS,) * channels)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PixelSums:
        """The inverse of ``dataclasses.asdict`` after a round trip through JSON."""
        return cls(
            levels=values["levels"],
            pictures=values["pictures"],
            count=values["count"],
            total=tuple(values["total"]),
            squares=tuple(values["squares"]),
            low=tuple(values["low"]),
            high=tuple(values["high"]),
            histogram=tuple(tuple(row) for row in values["histogram"]),
        )

    def merge(self, other: PixelSums) -> PixelSums:
        """The sums over the pictures of both; commutative and associative, being integers.

        Raises:
            ValueError: If levels or numbers of channels differ.
        """
        if (self.levels, len(self.total)) != (other.levels, len(other.total)):
            raise ValueError(
                f"expected levels and channels {(self.levels, len(self.total))}, "
                f"got {(other.levels, len(other.total))}"
            )
        return PixelSums(
            levels=self.levels,
            pictures=self.pictures + other.pictures,
            count=self.count + other.count,
            total=_add(self.total, other.total),
            squares=_add(self.squares, other.squares),
            low=tuple(map(min, self.low, other.low)),
            high=tuple(map(max, self.high, other.high)),
            histogram=tuple(map(_add, self.histogram, other.histogram)),
        )

    def mean(self) -> list[float]:
        """Mean per channel on the 0-1 scale: the exact fraction, rounded once."""
        return [float(Fraction(total, self.count * self.levels)) for total in self.total]

    def std(self) -> list[float]:
        """Population standard deviation over all pixels per channel, on the 0-1 scale."""
        denominator = (self.count * self.levels) ** 2
        return [
            math.sqrt(Fraction(self.count * squares - total * total, denominator))
            for total, squares in zip(self.total, self.squares, strict=True)
        ]

    def figures(self) -> dict[str, object]:
        """What ``stats.json`` says of one kind; means, deviations and extremes on the 0-1 scale.

        Raises:
            ValueError: If no pixel was summed.
        """
        if self.count == 0:
            raise ValueError("expected at least one picture, got none")
        return {
            "pictures": self.pictures,
            "count": self.count,
            "levels": self.levels,
            "mean": self.mean(),
            "std": self.std(),
            "min": [low / self.levels for low in self.low],
            "max": [high / self.levels for high in self.high],
            "histogram": [list(row) for row in self.histogram],
        }


def _add(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(int.__add__, left, right))


def sum_pixels(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> PixelSums:
    """The exact sums over one picture, (H, W) or (H, W, C), uint8 or uint16."""
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16, got {picture.dtype}")
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    return sum_pictures([picture], channels, 255 if picture.dtype == np.uint8 else 65535)


def sum_pictures(pictures: Iterable[NDArray[Any]], channels: int, levels: int) -> PixelSums:
    """The exact sums over ``pictures``, (H, W) or (H, W, C), uint8 or uint16 as ``levels`` says.

    8 bit: the histogram holds everything, and ``cv2.calcHist`` is 2.5 times ``np.bincount``. 16 bit: sums in
    float64, which are exact in strips of ``STRIP_PIXELS``.

    Raises:
        ValueError: If a picture is of another form.
    """
    dtype = np.uint8 if levels == 255 else np.uint16
    histogram = np.zeros((channels, BINS), np.int64)
    wide, number = [_Wide() for _ in range(channels)], 0
    for picture in pictures:
        form = picture.reshape(*picture.shape[:2], -1)
        if picture.dtype != dtype or form.shape[2] != channels or not picture.size:
            raise ValueError(
                f"expected {dtype.__name__} of {channels} channels, got {picture.shape} {picture.dtype}"
            )
        rows = max(1, STRIP_PIXELS // form.shape[1])
        for top in range(0, form.shape[0], rows):
            strip = np.ascontiguousarray(form[top : top + rows])
            if levels == 65535:
                for channel, sums in enumerate(wide):
                    sums.add(strip[:, :, channel].ravel())
                strip = (strip >> 8).astype(np.uint8)  # the high byte is the bin
            histogram += _histogram(strip)
        number += 1
    if not number:
        return PixelSums.empty(channels, levels)
    narrow = dataclasses.replace(_sum_histogram(histogram), pictures=number)
    if levels == 255:
        return narrow
    return dataclasses.replace(
        narrow,
        levels=levels,
        total=tuple(sums.total for sums in wide),
        squares=tuple(sums.squares for sums in wide),
        low=tuple(sums.low for sums in wide),
        high=tuple(sums.high for sums in wide),
    )


def sum_masks(files: Iterable[bytes], decode: Callable[[bytes], NDArray[np.uint8]]) -> PixelSums:
    """The exact sums over 1-bit PNGs: their bits are counted as they are packed.

    Args:
        files: PNG files.
        decode: How one is read that ``png`` does not know, to (H, W) of 0 and 255.
    """
    white = pixels = number = 0
    sums = PixelSums.empty(1, 255)
    for data in files:
        found = png.foreground_pixels(data)
        if found is None:
            sums = sums.merge(sum_pictures([decode(data)], 1, 255))
            continue
        count, height, width = found
        white, pixels, number = white + count, pixels + height * width, number + 1
    histogram = np.zeros((1, BINS), np.int64)
    histogram[0, 0], histogram[0, 255] = pixels - white, white
    return sums.merge(dataclasses.replace(_sum_histogram(histogram), pictures=number))


@dataclass
class _Wide:
    """Sums of one channel of 16-bit pictures."""

    total: int = 0
    squares: int = 0
    low: int = 65535
    high: int = 0

    def add(self, values: NDArray[np.uint16]) -> None:
        """Add at most ``STRIP_PIXELS`` values."""
        # cv2.norm(NORM_L2SQR) would be four times as fast, but it squares a rounded root here and there.
        exact = values.astype(np.float64)
        self.total += int(cv2.sumElems(values)[0])  # adds whole numbers
        # Not exact @ exact: BLAS would wake its threads, ten times slower on a busy machine.
        self.squares += int(np.einsum("i,i->", exact, exact))
        self.low = min(self.low, int(values.min()))
        self.high = max(self.high, int(values.max()))


def _histogram(strip: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts of the 256 values in (H, W, C), as (C, 256)."""
    channels = range(strip.shape[2])
    counts = [cv2.calcHist([strip], [channel], None, [BINS], [0, BINS]).ravel() for channel in channels]
    return np.asarray(counts, np.int64)


def _sum_histogram(histogram: NDArray[np.int64]) -> PixelSums:
    """What the histogram (C, 256) of 8-bit pictures says of them, which is everything."""
    if not histogram.any():
        return PixelSums.empty(len(histogram), 255)
    # Python integers: squares over a large set pass 2^63.
    rows = histogram.astype(object)
    values = np.arange(BINS).astype(object)
    present = [np.flatnonzero(row) for row in histogram]
    return PixelSums(
        levels=255,
        pictures=0,
        count=int(histogram[0].sum()),
        total=tuple((rows @ values).tolist()),
        squares=tuple((rows @ (values * values)).tolist()),
        low=tuple(int(row[0]) for row in present),
        high=tuple(int(row[-1]) for row in present),
        histogram=tuple(tuple(row) for row in histogram.tolist()),
    )
