"""``mdeas stats``: exact mean and standard deviation of every kind of picture, over the decoded files.

All sums are integers, so a mean does not depend on the order of the pictures, on ``--jobs`` or on how the
work was cut: an archive gives one :class:`PixelSums`, and these merge in any order to the same figures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError, __version__
from .images import decode_gray16, decode_jpeg, decode_mask, decode_png
from .manifest import (
    BACKGROUNDS_NAME,
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    read_json,
    shard_count,
    shard_name,
    write_json,
)
from .options import StatsConfig
from .parallel import Cluster, run
from .part import PartReport, note_path, share
from .progress import Progress
from .reader import DatasetReader
from .shards import ShardReader

STATS_FILE = "stats.json"
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
    sums, number = PixelSums.empty(channels, levels), 0
    for picture in pictures:
        form = picture.reshape(*picture.shape[:2], -1)
        if picture.dtype != dtype or form.shape[2] != channels or not picture.size:
            raise ValueError(
                f"expected {dtype.__name__} of {channels} channels, got {picture.shape} {picture.dtype}"
            )
        rows = max(1, STRIP_PIXELS // form.shape[1])
        for top in range(0, form.shape[0], rows):
            strip = np.ascontiguousarray(form[top : top + rows])
            if levels == 255:
                histogram += _histogram(strip)
            else:
                sums = sums.merge(_sum_16bit(strip))
        number += 1
    sums = _sum_histogram(histogram) if levels == 255 else sums
    return dataclasses.replace(sums, pictures=number)


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


def _sum_16bit(strip: NDArray[np.uint16]) -> PixelSums:
    # The high byte is the bin.
    histogram = _histogram((strip >> 8).astype(np.uint8))
    # cv2.norm(NORM_L2SQR) would be ten times as fast, but it squares a rounded root here and there.
    planes = [plane.ravel() for plane in np.moveaxis(strip.astype(np.float64), 2, 0)]
    return PixelSums(
        levels=65535,
        pictures=0,
        count=strip.shape[0] * strip.shape[1],
        total=tuple(int(plane.sum()) for plane in planes),
        # Not plane @ plane: BLAS would wake its threads, ten times slower on a busy machine.
        squares=tuple(int(np.einsum("i,i->", plane, plane)) for plane in planes),
        low=tuple(int(plane.min()) for plane in planes),
        high=tuple(int(plane.max()) for plane in planes),
        histogram=tuple(tuple(row) for row in histogram.tolist()),
    )


@dataclass(frozen=True)
class StatsReport:
    """What ``mdeas stats`` found: per kind its ``figures``, without the histogram."""

    path: str
    kinds: dict[str, dict[str, Any]]
    missing: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """A table for people."""
        lines = [f"{'':6} {'pictures':>9}  mean{'':21} std"]
        for kind, figures in self.kinds.items():
            mean, std = (" ".join(f"{value:.5f}" for value in figures[name]) for name in ("mean", "std"))
            lines.append(f"{kind:6} {figures['pictures']:>9,}  {mean:24} {std}")
        if self.missing:
            lines.append(f"Not there yet: {', '.join(self.missing)} (`mdeas label-depth` makes it)")
        lines.append(f"Population figures over all pixels, 0-1 scale, channels R G B: {self.path}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Kind:
    """How the pictures of a kind are decoded, and what their values mean."""

    decode: Callable[[bytes], NDArray[Any]]
    channels: int
    levels: int


KINDS = {
    "bg": _Kind(decode_png, 3, 255),
    "fg_bg": _Kind(decode_jpeg, 3, 255),
    "mask": _Kind(decode_mask, 1, 255),
    "depth": _Kind(decode_gray16, 1, 65535),
}


@dataclass(frozen=True)
class _Task:
    kind: str
    path: Path

    def __str__(self) -> str:
        return self.path.name


def compute_stats(config: StatsConfig) -> StatsReport:
    """Writes ``stats.json`` beside the data set: exact figures over every decoded file, in one pass.

    A background counts once, not once a sample. Without depth labels, the figures are of the rest.

    Raises:
        MdeasError: If there is no data set, or a file of it is damaged.
    """
    start = time.monotonic()
    tasks = _tasks(config.dataset)
    return _write(config.dataset, _sum(config, tasks), start)


def compute_stats_part(config: StatsConfig) -> PartReport:
    """The sums over the share of ``config.part``, noted in ``.work`` for ``merge_stats``.

    Raises:
        MdeasError: As ``compute_stats``.
    """
    start, part = time.monotonic(), config.part or (1, 1)
    tasks = _tasks(config.dataset)
    mine = [tasks[number] for number in share(len(tasks), part)]
    sums = _sum(config, mine)
    as_json = {kind: dataclasses.asdict(one) for kind, one in sums.items()}
    path = note_path(config.dataset, "stats", part)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"of": _described(config.dataset), "sums": as_json})
    return PartReport(
        "stats", str(config.dataset), *part, len(mine), len(mine), round(time.monotonic() - start, 3)
    )


def merge_stats(dataset: Path, notes: Iterable[Path]) -> StatsReport:
    """Writes ``stats.json`` from what all parts have noted: integers, so the same as in one go.

    Raises:
        MdeasError: If a note is of another data set, or was made before the depth labels.
    """
    start, there = time.monotonic(), _described(dataset)
    sums = _empty_sums(_tasks(dataset))
    for path in notes:
        note = read_json(path)
        if note["of"] != there:
            raise MdeasError(f"figures of other pictures: {path}; remove it and run that part of stats again")
        for kind, one in note["sums"].items():
            sums[kind] = sums[kind].merge(PixelSums.from_json(one))
    return _write(dataset, sums, start)


def _described(dataset: Path) -> dict[str, str]:
    """What the figures are of, by the hashes of the files that describe it."""
    paths = [dataset / name for name in (MANIFEST_NAME, DEPTH_INFO_NAME)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def _tasks(dataset: Path) -> list[_Task]:
    """An archive each; without finished depth labels, of the other kinds."""
    reader = DatasetReader(dataset)
    folder = dataset.absolute()  # workers on other machines have other current folders
    kinds = [kind for kind in KINDS if kind != "bg" and (kind != "depth" or reader.has_depth)]
    tasks = [_Task("bg", folder / BACKGROUNDS_NAME)]
    for number in range(shard_count(len(reader), reader.manifest.samples_per_shard)):
        tasks += [_Task(kind, folder / shard_name(kind, number)) for kind in kinds]
    return tasks


def _empty_sums(tasks: Sequence[_Task]) -> dict[str, PixelSums]:
    kinds = {task.kind for task in tasks}
    return {kind: PixelSums.empty(how.channels, how.levels) for kind, how in KINDS.items() if kind in kinds}


def _sum(config: StatsConfig, tasks: Sequence[_Task]) -> dict[str, PixelSums]:
    """The sums over all tasks, by kind."""
    sums = _empty_sums(tasks)
    cluster = Cluster(config.scheduler, config.dataset) if config.scheduler else None
    with Progress(len(tasks), "stats", "archives") as progress:
        for kind, part in run(sum_archive, tasks, config.jobs, cluster):
            sums[kind] = sums[kind].merge(part)
            progress.update()
    return sums


def _write(dataset: Path, sums: Mapping[str, PixelSums], start: float) -> StatsReport:
    figures = {kind: one.figures() for kind, one in sums.items()}
    about = (
        "Over all pixels of the decoded files, on the 0-1 scale (value / levels); std is the population's; "
        "channels in R, G, B order; bg counts each background once; 256 equal histogram bins."
    )
    path = dataset / STATS_FILE
    write_json(path, {"mdeas_version": __version__, "about": about, **figures})
    brief = {kind: {k: v for k, v in one.items() if k != "histogram"} for kind, one in figures.items()}
    missing = tuple(kind for kind in KINDS if kind not in sums)
    return StatsReport(str(path), brief, missing, round(time.monotonic() - start, 3))


def sum_archive(task: _Task) -> tuple[str, PixelSums]:
    """The sums over all pictures of one archive.

    Raises:
        MdeasError: Naming archive and entry, if a picture is damaged.
    """
    how = KINDS[task.kind]
    name = ""

    def pictures(reader: ShardReader) -> Iterator[NDArray[Any]]:
        nonlocal name
        for name in reader.names:
            yield how.decode(reader.read(name))

    with closing(ShardReader(task.path)) as reader:
        try:
            return task.kind, sum_pictures(pictures(reader), how.channels, how.levels)
        except (MdeasError, ValueError) as error:
            if str(task.path) in str(error):  # a damaged archive says so itself
                raise
            raise MdeasError(f"damaged picture: {task.path} ({name}); run `mdeas verify`") from error
