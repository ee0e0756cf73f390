"""make-dataset: every foreground on every background, with its mask, in shards that survive any stop.

Unfinished work lives in ``.work`` inside the data set's folder: ``plan.json`` (options, assets, splits), the
prepared foregrounds, and a record for each finished shard. ``dataset.json`` appears last and ``.work`` goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from .. import MdeasError, __version__
from . import parallel
from .assets import (
    BUNDLED_ORIGIN,
    Folders,
    Inspection,
    InspectionTask,
    Kind,
    Source,
    find_folders,
    inspect,
    list_sources,
)
from .encoders import encoders, refuse_other_encoders
from .licence import (
    asks_for_credit,
    check_licences,
    check_some_left,
    credit_of,
    first_difference,
    refusal,
    with_origins,
)
from .lock import LOCK_NAME, locked, locked_part, planning
from .lockfile import LOCKFILE_NAME, lock_dataset
from .manifest import (
    BACKGROUNDS_NAME,
    FORMAT_VERSION,
    MANIFEST_NAME,
    SAMPLES_NAME,
    SAMPLES_PER_SHARD,
    Asset,
    DatasetManifest,
    Rejected,
    Samples,
    background_name,
    printable,
    read_json,
    read_manifest,
    read_samples,
    shard_count,
    shard_name,
    write_bytes,
    write_json,
    write_manifest,
    write_samples,
)
from .mask import check_threshold
from .options import MakeDatasetConfig
from .paint import PaintedShard, Painter, paint_shards, prepared_name, together
from .part import PartReport, note_path, share
from .plan import Plan, side_range
from .plan import plan_of as plan_of
from .progress import Progress
from .shards import KEPT_SUFFIX, PART_SUFFIX, ShardRecord, ShardWriter, part_path, publish
from .split import split_assets

log = logging.getLogger(__name__)

WORK_NAME = ".work"
PLAN_NAME = "plan.json"
_FOREGROUNDS_NAME = "fg.zip"
_PREPARED_NAME = "prepared"
_APART = "apart-"
_KINDS: tuple[Kind, ...] = ("fg", "bg")
# What a data set consists of, all that --overwrite may remove.
_OWN_FILES = re.compile(
    r"((fg_bg|mask|depth)-\d{5,}\.zip|bg\.zip|dataset\.json|samples\.parquet|depth\.json|stats\.json"
    rf"|{re.escape(LOCKFILE_NAME)})({re.escape(PART_SUFFIX)}|{re.escape(KEPT_SUFFIX)})*"
)
_MIN_SIZE, _MAX_SIZE = 16, 4096
# Threads that wait for the disk; a system writes faster what several ask for.
_WAITING_FOR_DISK = 4
# Rows of the sample table that are in memory at once, in shards; few row groups keep the file quick to read.
_SHARDS_PER_ROW_GROUP = 64


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
    options = _options(config)
    folders = find_folders(config.fg, config.bg)
    sources = [*_sources(config, folders, "fg"), *_sources(config, folders, "bg")]
    if not config.overwrite and (config.out / MANIFEST_NAME).exists():
        manifest = read_manifest(config.out)
        _refuse_other(config.out, manifest, options, sources)
        if _is_complete(config.out, manifest):
            _sweep(config.out)
            return _report(config, manifest, folders, made=0, started=started)
    with _writable(config.out):
        config.out.mkdir(parents=True, exist_ok=True)
        with locked(config.out):
            manifest = _begin(config, options, sources)
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
    options = _options(config)
    folders = find_folders(config.fg, config.bg)
    sources = [*_sources(config, folders, "fg"), *_sources(config, folders, "bg")]
    out, made = config.out, 0
    if (out / MANIFEST_NAME).exists():
        manifest = read_manifest(out)
        _refuse_other(out, manifest, options, sources)
        if not _is_complete(out, manifest):
            raise MdeasError(f"files of a finished data set are missing: {out}; run once without --part")
    else:
        with _writable(out):
            out.mkdir(parents=True, exist_ok=True)
            with locked_part(out, part):
                with planning(out):
                    manifest = _begin(config, options, sources)
                    _place_backgrounds(out)
                made = make_missing_shards(config, manifest)
                write_json(note_path(out, "dataset", part), {"part": part[0], "parts": part[1]})
    shards = len(share(shard_count(len(plan_of(manifest))), part))
    made = -(-made // SAMPLES_PER_SHARD)
    return PartReport("make-dataset", str(out), *part, shards, made, round(time.monotonic() - started, 3))


@contextlib.contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MdeasError(
            f"cannot write: {error.filename or out} ({error.strerror or error}); free some space or make it "
            f"writable and run the same command again, it goes on from here"
        ) from error


def _sources(config: MakeDatasetConfig, folders: Folders, kind: Kind) -> list[Source]:
    """The pictures of one kind with what is known of their origin; some must be under the licences asked."""
    folder = folders.fg if kind == "fg" else folders.bg
    sources = list_sources(folder, kind)
    if folders.bundled:
        sources = [replace(source, origin=BUNDLED_ORIGIN) for source in sources]
    else:
        sources = with_origins(sources, folder)
    check_some_left(sources, folder, kind, check_licences(config.licence))
    return sources


# ---------------------------------------------------------------- options and what is there already


def _options(config: MakeDatasetConfig) -> dict[str, object]:
    """The options that decide the bytes, checked."""
    low, high = config.scale
    checks = [
        (_MIN_SIZE <= config.size <= _MAX_SIZE, "size", config.size, f"{_MIN_SIZE} to {_MAX_SIZE}"),
        (config.placements >= 1, "placements", config.placements, "1 or more"),
        (0 < low <= high <= _MAX_SIZE, "scale", f"{low} {high}", "MIN MAX with 0 < MIN <= MAX"),
        (1 <= config.quality <= 100, "quality", config.quality, "1 to 100"),
        (config.limit is None or config.limit >= 1, "limit", config.limit, "1 or more"),
    ]
    for holds, name, value, advice in checks:
        if not holds:
            raise MdeasError(f"bad option: --{name} {value}; give {advice}")
    check_threshold(config.mask_threshold)
    parallel.worker_count(config.jobs, 1)
    return {
        "size": config.size,
        "placements": config.placements,
        "flips": config.flips,
        "scale": [low, high],
        "quality": config.quality,
        "mask_threshold": config.mask_threshold,
        "seed": config.seed,
        "limit": config.limit,
        "licence": list(check_licences(config.licence)) or None,
    }


def _refuse_other(
    out: Path, manifest: DatasetManifest, options: dict[str, object], sources: list[Source]
) -> None:
    """Raise if the data set at ``out`` was begun with other options or other assets."""
    for name, asked in options.items():
        there = manifest.options.get(name)
        if there != asked:
            raise _other(out, f"made with {_shown(name, there)}, asked for {_shown(name, asked)}")
    if manifest.mdeas_version != __version__:
        raise _other(out, f"made with mdeas {manifest.mdeas_version}, this is mdeas {__version__}")
    for kind in _KINDS:
        there_files = {one.file: one.sha256 for one in (manifest.fg if kind == "fg" else manifest.bg)}
        there_files |= {one.file: one.sha256 for one in manifest.rejected if one.kind == kind}
        files = {source.path.name: source.sha256 for source in sources if source.kind == kind}
        for name in sorted(there_files.keys() | files.keys()):
            if name not in files:
                raise _other(out, f"made with {kind} {name}, which is gone")
            if name not in there_files:
                raise _other(out, f"made without {kind} {name}, which is new")
            if files[name] != there_files[name]:
                raise _other(out, f"made with another content of {kind} {name}")
        name = first_difference(manifest, sources, kind, manifest.options.get("licence") or ())
        if name:
            raise _other(out, f"made when the ledger said something else of {kind} {name}")


def _other(out: Path, what: str) -> MdeasError:
    return MdeasError(
        f"the data set is another one: {out} ({what}); choose another --out, or start afresh with --overwrite"
    )


def _shown(name: str, value: object) -> str:
    """An option as one would type it."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    if isinstance(value, list):
        value = ("," if name == "licence" else " ").join(map(str, value))
    return f"--{option} {value}"


def _is_complete(out: Path, manifest: DatasetManifest) -> bool:
    """Whether every file of a finished data set is there in its size."""
    return (out / SAMPLES_NAME).exists() and all(_is_there(out, record) for record in manifest.shards)


def _is_there(out: Path, record: ShardRecord) -> bool:
    path = out / record.name
    return path.exists() and path.stat().st_size == record.bytes


def _sweep(out: Path) -> None:
    """Remove what a kill after the very last step leaves, unless another command works here just now."""
    if (out / WORK_NAME).exists() or (out / LOCK_NAME).exists():
        with contextlib.suppress(MdeasError), locked(out):
            _remove_work(out)


def _remove_work(out: Path) -> None:
    """Remove what unfinished work has left in ``.work``; the state of unfinished depth labels stays."""
    work = out / WORK_NAME
    shutil.rmtree(work / _PREPARED_NAME, ignore_errors=True)
    for name in (PLAN_NAME, BACKGROUNDS_NAME, _FOREGROUNDS_NAME):
        for path in (work / name, part_path(work / name)):
            path.unlink(missing_ok=True)
    for path in (*work.glob("shard-*.json*"), *work.glob("dataset-part-*.json")):
        path.unlink()
    for path in work.glob(f"{_APART}*"):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        work.rmdir()


def _remove_own(out: Path) -> None:
    """Remove what belongs to a data set, ``dataset.json`` first: without it nothing looks whole."""
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    for path in _own_files(out):
        path.unlink(missing_ok=True)
    shutil.rmtree(out / WORK_NAME, ignore_errors=True)


def _own_files(out: Path) -> list[Path]:
    return [path for path in sorted(out.iterdir()) if _OWN_FILES.fullmatch(path.name)]


# ---------------------------------------------------------------- beginning: assets, splits, the plan


def _begin(config: MakeDatasetConfig, options: dict[str, object], sources: list[Source]) -> DatasetManifest:
    """The plan to work on: the one left by a stopped run of the same command, or a new one."""
    out, work = config.out, config.out / WORK_NAME
    reopens = (out / MANIFEST_NAME).exists() and not config.overwrite
    if not reopens and (work / PLAN_NAME).exists():
        manifest = read_manifest(work, PLAN_NAME)
        try:
            _refuse_other(out, manifest, options, sources)
            refuse_other_encoders(out, manifest.encoders, config.quality)
            return manifest
        except MdeasError:
            if not config.overwrite:
                raise
    orphans = _own_files(out)
    if orphans and not config.overwrite and not reopens:
        raise MdeasError(
            f"files of a data set without its {MANIFEST_NAME}: {orphans[0]}; choose another --out, "
            "or start afresh with --overwrite"
        )
    if reopens:
        before = read_manifest(out)
        refuse_other_encoders(out, before.encoders, config.quality)
        _remove_work(out)
    else:
        _remove_own(out)
    work.mkdir(exist_ok=True)
    manifest = _judge(config, options, sources)
    if reopens:
        if (manifest.fg, manifest.bg, manifest.rejected) != (before.fg, before.bg, before.rejected):
            raise _other(out, "its pictures are read otherwise by this installation")
        manifest = replace(manifest, encoders=before.encoders)
        _keep_records(out)
    write_manifest(work, manifest, PLAN_NAME)
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    return manifest


def _judge(config: MakeDatasetConfig, options: dict[str, object], sources: list[Source]) -> DatasetManifest:
    """Inspect the pictures that may be used, divide the good ones, store their prepared form in ``.work``."""
    work = config.out / WORK_NAME
    prepared = work / _PREPARED_NAME
    prepared.mkdir()
    least, most = side_range(config.scale, config.size)
    licences = check_licences(config.licence)
    reasons = {source: refusal(source, licences) for source in sources}
    tasks = [
        InspectionTask(
            source, config.size, config.mask_threshold, least, most, prepared / f"{number:06d}.png"
        )
        for number, source in enumerate(sources)
        if not reasons[source]
    ]
    found: dict[Source, Inspection] = {}
    with Progress(len(tasks), "reading pictures", "pictures") as progress:
        for inspection in parallel.run(inspect, tasks, config.jobs):
            found[inspection.source] = inspection
            progress.update()
    found |= {source: Inspection(source, reason=reason) for source, reason in reasons.items() if reason}
    assets: dict[Kind, tuple[Asset, ...]] = {}
    for kind in _KINDS:
        usable = [task for task in tasks if task.source.kind == kind and not found[task.source].reason]
        judged = [found[task.source] for task in usable]
        if not judged:
            raise _none_usable(config, kind, found)
        assets[kind] = _divide(judged, config.seed, kind)
        name = _FOREGROUNDS_NAME if kind == "fg" else BACKGROUNDS_NAME
        with ShardWriter(work / name) as writer:
            for number, task in enumerate(usable):
                entry = background_name(number, len(usable)) if kind == "bg" else prepared_name(number)
                writer.add(entry, task.prepared.read_bytes())
    shutil.rmtree(prepared)
    rejected = [found[source] for source in sources if found[source].reason]
    for one in rejected:
        log.warning("left out %s: %s", one.source.path, one.reason)
    return DatasetManifest(
        format_version=FORMAT_VERSION,
        mdeas_version=__version__,
        options=options,
        seed=config.seed,
        totals={},
        samples_per_shard=SAMPLES_PER_SHARD,
        fg=assets["fg"],
        bg=assets["bg"],
        rejected=tuple(
            Rejected(one.source.kind, one.source.path.name, one.source.sha256, one.reason) for one in rejected
        ),
        shards=(),
        encoders=encoders(config.quality),
    )


def _divide(judged: list[Inspection], seed: int, kind: Kind) -> tuple[Asset, ...]:
    sides = split_assets([one.source.sha256 for one in judged], [one.hashes for one in judged], seed, kind)
    return tuple(
        Asset(
            number,
            one.source.path.name,
            one.source.sha256,
            side,
            one.width,
            one.height,
            one.note,
            **credit_of(one.source.origin),
        )
        for number, (one, side) in enumerate(zip(judged, sides, strict=True))
    )


def _none_usable(config: MakeDatasetConfig, kind: Kind, found: dict[Source, Inspection]) -> MdeasError:
    first = next(one for source, one in found.items() if source.kind == kind)
    what = "cut-out" if kind == "fg" else "background"
    return MdeasError(
        f"no usable {what}: {first.source.path.parent} ({first.source.path.name}: {first.reason}); "
        f"put others there or give another folder with --{kind}"
    )


def _keep_records(out: Path) -> None:
    """Records for the shards of a finished data set of which some files are missing."""
    manifest = read_manifest(out)
    try:
        samples = read_samples(out / SAMPLES_NAME)
    except MdeasError:
        return  # without the masks' areas every shard is made again
    pixels = np.rint(samples.mask_area * manifest.options["size"] ** 2).astype(int)
    records = {record.name: record for record in manifest.shards}
    for number in range(shard_count(len(samples))):
        pair = [records[shard_name(kind, number)] for kind in ("fg_bg", "mask")]
        start = number * SAMPLES_PER_SHARD
        # None of a missing shard: a power cut could bring it back in the place of the shard's own.
        if all(_is_there(out, record) for record in pair):
            _write_record(out, number, pair, pixels[start : start + SAMPLES_PER_SHARD].tolist())


# ---------------------------------------------------------------- the shards


@dataclass(frozen=True)
class ShardsTask:
    """Shards to draw together of the data set at ``out``, by the plan in its ``.work`` that has this hash.

    The plan itself would make a task of a hundred kilobytes for a thousand pictures, and there may be many.
    """

    out: Path
    numbers: tuple[int, ...]
    plan_sha256: str

    def __str__(self) -> str:
        return ", ".join(f"shard {number} ({shard_name('fg_bg', number)})" for number in self.numbers)


class _Kept(threading.local):
    """The last plan and its painter of this thread: on a cluster, several threads of a process draw."""

    key: tuple[Path, str] | None = None
    painter: Painter


_kept = _Kept()


def _painter(task: ShardsTask) -> Painter:
    if _kept.key != (task.out, task.plan_sha256):
        if _plan_sha256(task.out) != task.plan_sha256:
            raise MdeasError(f"another plan than the one to follow: {task.out}; run the same command again")
        manifest = read_manifest(task.out / WORK_NAME, PLAN_NAME)
        options = manifest.options
        _kept.painter = Painter(
            task.out / BACKGROUNDS_NAME,
            task.out / WORK_NAME / _FOREGROUNDS_NAME,
            plan_of(manifest),
            options["quality"],
            options["mask_threshold"],
        )
        _kept.key = task.out, task.plan_sha256
    return _kept.painter


def _plan_sha256(out: Path) -> str:
    return hashlib.sha256((out / WORK_NAME / PLAN_NAME).read_bytes()).hexdigest()


def make_shards(task: ShardsTask) -> list[PaintedShard]:
    """Draw some shards; ``settle`` makes their archives part of the data set."""
    return paint_shards(_painter(task), task.numbers, task.out)


def make_shards_apart(task: ShardsTask) -> list[PaintedShard]:
    """As ``make_shards``, in a folder of its own until they are done, and with ``settle``.

    A cluster gives a task to another worker when the first is lost to it, which may be at work on it still;
    and parts of different divisions may overlap.
    """
    with tempfile.TemporaryDirectory(prefix=_APART, dir=task.out / WORK_NAME) as folder:
        painted = paint_shards(_painter(task), task.numbers, Path(folder))
        for one in painted:
            settle(task.out, Path(folder), one)
    return painted


def settle(out: Path, folder: Path, painted: PaintedShard) -> None:
    """Wait until the archives of a shard are on disk, put them in their place, and note what they are."""
    for record in painted.records:
        publish(folder / record.name)
        if folder != out:
            (folder / record.name).replace(out / record.name)
    _write_record(out, painted.number, painted.records, painted.mask_pixels)


def _record_path(out: Path, number: int) -> Path:
    return out / WORK_NAME / f"shard-{number:05d}.json"


def _write_record(out: Path, number: int, shards: Sequence[ShardRecord], mask_pixels: list[int]) -> None:
    content = {"shards": [asdict(one) for one in shards], "mask_pixels": mask_pixels}
    write_bytes(_record_path(out, number), json.dumps(content).encode(), sync=False)


def _read_record(out: Path, number: int) -> tuple[list[ShardRecord], list[int]]:
    content = read_json(_record_path(out, number))
    return [ShardRecord(**one) for one in content["shards"]], content["mask_pixels"]


def is_made(out: Path, number: int) -> bool:
    """Whether a shard of the plan in ``.work`` is finished."""
    try:
        return all(_is_there(out, record) for record in _read_record(out, number)[0])
    except (MdeasError, KeyError, TypeError):  # none yet, or torn by a power cut
        return False


def _samples_in(plan: Plan, number: int) -> int:
    return min(SAMPLES_PER_SHARD, len(plan) - number * SAMPLES_PER_SHARD)


def _place_backgrounds(out: Path) -> None:
    if (out / WORK_NAME / BACKGROUNDS_NAME).exists():
        (out / WORK_NAME / BACKGROUNDS_NAME).replace(out / BACKGROUNDS_NAME)


def make_missing_shards(config: MakeDatasetConfig, manifest: DatasetManifest) -> int:
    """Make the shards that are not there yet; returns the number of samples made."""
    # Workers on other machines have other current folders.
    out, plan = config.out.absolute(), plan_of(manifest)
    _place_backgrounds(out)
    sha256 = _plan_sha256(out)
    asked = share(shard_count(len(plan)), config.part)
    numbers = [number for number in asked if not is_made(out, number)]
    missing = sum(_samples_in(plan, number) for number in numbers)
    total = sum(_samples_in(plan, number) for number in asked)
    needs = (out / BACKGROUNDS_NAME, out / WORK_NAME / _FOREGROUNDS_NAME)
    cluster = parallel.Cluster(config.scheduler, out, needs) if config.scheduler else None
    if cluster:  # one shard a task: a task that fails takes no other shard with it
        groups: list[tuple[int, ...]] = [(number,) for number in numbers]
    else:
        groups = together(numbers, plan, parallel.worker_count(config.jobs, len(numbers)))
    tasks = [ShardsTask(out, group, sha256) for group in groups]
    apart = cluster is not None or config.part is not None
    make = make_shards_apart if apart else make_shards
    try:
        # Workers draw on while these threads wait for the disk.
        with (
            Progress(total, "compositing", "pairs", done=total - missing) as progress,
            ThreadPoolExecutor(_WAITING_FOR_DISK) as waiting,
        ):
            settled: deque[Future[None]] = deque()
            for painted in parallel.run(make, tasks, config.jobs, cluster):
                if not apart:
                    settled.extend(waiting.submit(settle, out, out, one) for one in painted)
                progress.update(sum(len(one.mask_pixels) for one in painted))
                while settled and settled[0].done():
                    settled.popleft().result()
            for one in settled:
                one.result()
    finally:
        _kept.__dict__.clear()
    return missing


# ---------------------------------------------------------------- the end


def finish_dataset(out: Path, manifest: DatasetManifest) -> DatasetManifest:
    """Write the sample table and ``dataset.json``, remove ``.work``."""
    plan = plan_of(manifest)
    counts: Counter[str] = Counter()
    records: list[list[ShardRecord]] = []

    def mask_pixels(number: int) -> list[int]:
        shards, pixels = _read_record(out, number)
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
    _remove_work(out)
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
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ShardRecord(BACKGROUNDS_NAME, entries, path.stat().st_size, sha256)


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
