"""``--part i/n``: a command's share of the shards, for queues that know nothing of dask.

Every part makes its own shards, in one folder that all share or in a folder of its own, and leaves a note in
``.work``. ``mdeas merge`` then writes what is one file for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .work import WORK_NAME

Part = tuple[int, int]  # number of the part from 1, number of parts


def share(count: int, part: Part | None) -> range:
    """The numbers below ``count`` that are this part's: a stretch, as long as the others or one less."""
    if part is None:
        return range(count)
    number, parts = part
    return range((number - 1) * count // parts, number * count // parts)


def part_of(number: int, count: int, parts: int) -> int:
    """Which of ``parts`` parts has ``number`` of ``count`` in its share."""
    return next(one for one in range(1, parts + 1) if number in share(count, (one, parts)))


def note_path(folder: Path, what: str, part: Part) -> Path:
    """Where a part of ``what`` (dataset, depth, stats) notes that it is finished, in ``.work``."""
    return folder / WORK_NAME / f"{what}-part-{part[0]}-of-{part[1]}.json"


@dataclass(frozen=True)
class PartReport:
    """What one part of a command did; ``shards`` is its share, of which ``made`` are this run's."""

    command: str
    folder: str
    part: int
    parts: int
    shards: int
    made: int
    seconds: float

    def summary(self) -> str:
        """Two lines for people."""
        what = "archives" if self.command == "stats" else "shards"
        return (
            f"part {self.part}/{self.parts} of {self.command} in {self.folder}: {self.shards:,} {what}, "
            f"{self.made:,} made in {self.seconds:,.1f} s\n"
            f"When all {self.parts} parts are done: mdeas merge --dataset {self.folder}"
        )
