"""make-dataset: every foreground on every background, with its mask, in shards that survive any stop.

The stage itself, its report, and its end; ``beginning`` has the beginning, ``shard_tasks`` the drawing, and
``work`` what unfinished work consists of.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import MdeasError
from .assets import Folders, find_folders
from .beginning import begin, find_sources, options_of, refuse_other
from .licence import asks_for_credit
from .lock import locked, locked_part, planning
from .lockfile import lock_dataset
from .manifest import (
    BACKGROUNDS_NAME,
    MANIFEST_NAME,
    SAMPLES_NAME,
    SAMPLES_PER_SHARD,
    Asset,
    DatasetManifest,
    Rejected,
    Samples,
    printable,
    read_manifest,
    shard_count,
    write_json,
    write_manifest,
    write_samples,
)
from .options import MakeDatasetConfig
from .part import PartReport, note_path, share
from .plan import Plan, plan_of
from .shard_tasks import make_missing_shards
from .shards import ShardRecord, file_sha256
from .work import is_complete, place_backgrounds, read_record, remove_work, sweep, writable

# Rows of the sample table that are in memory at once, in shards: 64 took 40 MiB to read and write again, and
# many row groups make the table of a huge set slow to open.
_SHARDS_PER_ROW_GROUP = 8


@dataclass(frozen=True)
class MakeDatasetReport:
    """What ``make_dataset`` did; ``made`` counts the samples of this run, ``samples`` those of the set.

    ``credits`` counts the pictures whose licence asks to name the author.
    """

    out: str
    samples: int
    made: int
    seconds: float
    bytes: int
    shards: int
    fg: int
    bg: int
    splits: dict[str, int]
    bundled: bool
    rejected: tuple[Rejected, ...]
    flagged: tuple[Asset, ...]
    credits: int

    def summary(self) -> str:
        """The report in words."""
        lines = [f"{self.samples:,} samples of {self.fg} foregrounds on {self.bg} backgrounds in {self.out}"]
        if self.bundled:
            lines.append("made of the bundled pictures: there is neither data/fg nor data/bg")
        if self.made:
            rate = self.made / max(self.seconds, 1e-9)
            lines.append(f"{self.made:,} made in {self.seconds:.1f} s, {rate:,.0f} a second")
        else:
            lines.append("nothing to do: the data set was complete")
        lines.append(f"{self.bytes / 1e6:,.1f} MB in {self.shards} archives")
        lines.append("splits: " + ", ".join(f"{name} {count:,}" for name, count in self.splits.items()))
        if self.rejected:
            lines.append(f"{len(self.rejected)} files left out:")
            lines += [f"  {one.kind}/{one.file}: {one.reason}" for one in self.rejected]
        lines += [f"used, but look at it: {one.file} ({one.note})" for one in self.flagged]
        if self.credits:
            one_or_more = "1 picture asks" if self.credits == 1 else f"{self.credits:,} pictures ask"
            lines.append(f"credits: {one_or_more} for attribution: see {MANIFEST_NAME}")
        return printable("\n".join(lines))


def make_dataset(config: MakeDatasetConfig) -> MakeDatasetReport:
    """Make the data set, or what is missing of it.

    The bytes depend on the assets, their ledgers and the options, not on ``jobs``, the order or restarts.

    Raises:
        MdeasError: If options or assets are unusable, the folder holds a data set made otherwise, another
            process works on it, or nothing can be written.
    """
    started = time.monotonic()
    options = options_of(config)
    folders = find_folders(config.fg, config.bg)
    sources = find_sources(config, folders)
    if not config.overwrite and (config.out / MANIFEST_NAME).exists():
        manifest = read_manifest(config.out)
        refuse_other(config.out, manifest, options, sources)
        if is_complete(config.out, manifest):
            sweep(config.out)
            return _report(config, manifest, folders, made=0, started=started)
    with writable(config.out):
        config.out.mkdir(parents=True, exist_ok=True)
        with locked(config.out):
            manifest = begin(config, options, sources)
            made = make_missing_shards(config, manifest)
            manifest = finish_dataset(config.out, manifest)
    return _report(config, manifest, folders, made, started)


def make_dataset_part(config: MakeDatasetConfig) -> PartReport:
    """Make the share of ``config.part``, or what is missing of it; ``mdeas merge`` ends the data set.

    Raises:
        MdeasError: As ``make_dataset``.
    """
    started = time.monotonic()
    part = config.part or (1, 1)
    if config.overwrite:
        raise MdeasError("--overwrite with --part: it would remove what other parts made; remove the folder")
    options = options_of(config)
    sources = find_sources(config, find_folders(config.fg, config.bg))
    out, made = config.out, 0
    if (out / MANIFEST_NAME).exists():
        manifest = read_manifest(out)
        refuse_other(out, manifest, options, sources)
        if not is_complete(out, manifest):
            raise MdeasError(f"files of a finished data set are missing: {out}; run once without --part")
    else:
        with writable(out):
            out.mkdir(parents=True, exist_ok=True)
            with locked_part(out, part):
                with planning(out):
                    manifest = begin(config, options, sources)
                    place_backgrounds(out)
                made = make_missing_shards(config, manifest)
                write_json(note_path(out, "dataset", part), {"part": part[0], "parts": part[1]})
    shards = len(share(shard_count(len(plan_of(manifest))), part))
    made = -(-made // SAMPLES_PER_SHARD)
    return PartReport("make-dataset", str(out), *part, shards, made, round(time.monotonic() - started, 3))


def _report(
    config: MakeDatasetConfig, manifest: DatasetManifest, folders: Folders, made: int, started: float
) -> MakeDatasetReport:
    totals = manifest.totals
    return MakeDatasetReport(
        out=str(config.out),
        samples=totals["samples"],
        made=made,
        seconds=time.monotonic() - started,
        bytes=totals["bytes"],
        shards=len(manifest.shards),
        fg=len(manifest.fg),
        bg=len(manifest.bg),
        splits={name: totals[name] for name in ("train", "seen", "new_bg", "new_fg", "new_both")},
        bundled=folders.bundled,
        rejected=manifest.rejected,
        flagged=tuple(one for one in (*manifest.fg, *manifest.bg) if one.note),
        credits=sum(asks_for_credit(one) for one in (*manifest.fg, *manifest.bg)),
    )


# ---------------------------------------------------------------- the end


def finish_dataset(out: Path, manifest: DatasetManifest) -> DatasetManifest:
    """Write the sample table and ``dataset.json``, remove ``.work``."""
    plan = plan_of(manifest)
    counts: Counter[str] = Counter()
    records: list[list[ShardRecord]] = []

    def mask_pixels(number: int) -> list[int]:
        shards, pixels = read_record(out, number)
        records.append(shards)
        return pixels

    def counted() -> Iterator[Samples]:
        for part in table_parts(plan, mask_pixels):
            counts.update(part.split.tolist())
            yield part

    write_samples(out / SAMPLES_NAME, counted(), len(plan))
    shards = [
        _background_record(out, len(plan.bg)),
        *(one for pair in zip(*records, strict=True) for one in pair),
    ]
    totals = {"samples": len(plan), "fg": len(plan.fg), "bg": len(plan.bg), "shards": len(records)}
    totals |= {name: counts[name] for name in ("train", "seen", "new_bg", "new_fg", "new_both")}
    totals["bytes"] = sum(one.bytes for one in shards)
    manifest = replace(manifest, totals=totals, shards=tuple(shards))
    lock_dataset(out, manifest)
    write_manifest(out, manifest)
    remove_work(out)
    return manifest


def table_parts(plan: Plan, mask_pixels: Callable[[int], list[int]]) -> Iterator[Samples]:
    """The sample table in parts, given the masks' numbers of pixels of each shard."""
    numbers = range(shard_count(len(plan)))
    for first in numbers[::_SHARDS_PER_ROW_GROUP]:
        some = numbers[first : first + _SHARDS_PER_ROW_GROUP]
        pixels = [count for number in some for count in mask_pixels(number)]
        start = first * SAMPLES_PER_SHARD
        rows = plan.rows(start, start + len(pixels))
        yield replace(rows, mask_area=np.array(pixels, np.float64) / plan.size**2)


def _background_record(out: Path, entries: int) -> ShardRecord:
    path = out / BACKGROUNDS_NAME
    return ShardRecord(BACKGROUNDS_NAME, entries, path.stat().st_size, file_sha256(path))
