"""``mdeas stats``: exact mean and standard deviation of every kind of picture, over the decoded files.

All sums are integers, so a mean does not depend on the order of the pictures, on ``--jobs`` or on how the
work was cut: an archive gives one :class:`PixelSums`, and these merge in any order to the same figures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from .pixel_sums import PixelSums, sum_masks, sum_pictures
from .progress import Progress
from .reader import DatasetReader
from .shards import ShardReader

STATS_FILE = "stats.json"


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
    """How the pictures of a kind are decoded: ``channels`` of ``bits`` bits."""

    decode: Callable[[bytes], NDArray[Any]]
    channels: int
    bits: int

    @property
    def levels(self) -> int:
        """The largest value of a decoded pixel; a mask's bits are 0 and 255."""
        return 65535 if self.bits == 16 else 255

    def sums(self, files: Iterable[bytes]) -> PixelSums:
        """The exact sums over the pictures in ``files``."""
        if self.bits == 1:
            return sum_masks(files, self.decode)
        return sum_pictures(map(self.decode, files), self.channels, self.levels)


KINDS = {
    "bg": _Kind(decode_png, 3, 8),
    "fg_bg": _Kind(decode_jpeg, 3, 8),
    "mask": _Kind(decode_mask, 1, 1),
    "depth": _Kind(decode_gray16, 1, 16),
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
        if not isinstance(note, dict) or note.get("of") != there:
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
    name = ""

    def files(reader: ShardReader) -> Iterator[bytes]:
        nonlocal name
        for name in reader.names:
            yield reader.read(name)

    with closing(ShardReader(task.path)) as reader:
        try:
            return task.kind, KINDS[task.kind].sums(files(reader))
        except (MdeasError, ValueError) as error:
            if str(task.path) in str(error):  # a damaged archive says so itself
                raise
            raise MdeasError(f"damaged picture: {task.path} ({name}); run `mdeas verify`") from error
