"""The beginning of a data set: options, pictures judged and divided, and the plan, or the one left there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import MdeasError, __version__
from . import parallel
from .assets import BUNDLED_ORIGIN, Folders, Inspection, InspectionTask, Kind, Source, inspect, list_sources
from .encoders import encoders, refuse_other_encoders
from .licence import check_licences, check_some_left, credit_of, first_difference, refusal, with_origins
from .manifest import (
    BACKGROUNDS_NAME,
    FORMAT_VERSION,
    MANIFEST_NAME,
    SAMPLES_NAME,
    SAMPLES_PER_SHARD,
    Asset,
    DatasetManifest,
    Rejected,
    background_name,
    read_manifest,
    read_samples,
    shard_count,
    shard_name,
    write_manifest,
)
from .mask import check_threshold
from .options import MakeDatasetConfig
from .paint import prepared_name
from .plan import side_range
from .progress import Progress
from .shards import ShardWriter
from .split import split_assets
from .work import (
    FOREGROUNDS_NAME,
    PLAN_NAME,
    PREPARED_NAME,
    WORK_NAME,
    is_there,
    own_files,
    remove_own,
    remove_work,
    write_record,
)

log = logging.getLogger(__name__)

_KINDS: tuple[Kind, ...] = ("fg", "bg")
_MIN_SIZE, _MAX_SIZE = 16, 4096


def options_of(config: MakeDatasetConfig) -> dict[str, object]:
    """The options that decide the bytes, checked, as ``dataset.json`` holds them.

    Raises:
        MdeasError: If one is out of its range.
    """
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


def find_sources(config: MakeDatasetConfig, folders: Folders) -> list[Source]:
    """The pictures with what is known of their origin, cut-outs first.

    Raises:
        MdeasError: If there are none of a kind, or none under the licences asked for.
    """
    return [source for kind in _KINDS for source in _sources_of(config, folders, kind)]


def _sources_of(config: MakeDatasetConfig, folders: Folders, kind: Kind) -> list[Source]:
    folder = folders.fg if kind == "fg" else folders.bg
    sources = list_sources(folder, kind)
    if folders.bundled:
        sources = [replace(source, origin=BUNDLED_ORIGIN) for source in sources]
    else:
        sources = with_origins(sources, folder)
    check_some_left(sources, folder, kind, check_licences(config.licence))
    return sources


def refuse_other(
    out: Path, manifest: DatasetManifest, options: dict[str, object], sources: list[Source]
) -> None:
    """Raise if the data set at ``out`` was begun with other options or other assets.

    Raises:
        MdeasError: Naming the first difference.
    """
    for name, asked in options.items():
        there = manifest.options.get(name)
        if there != asked:
            raise _other(out, f"made with {as_typed(name, there)}, asked for {as_typed(name, asked)}")
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


def as_typed(name: str, value: object) -> str:
    """An option of ``dataset.json`` as one would type it; of one that was not given, that it was not."""
    option = name.replace("_", "-")
    if value is None:
        return f"no --{option}"
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    if isinstance(value, list):
        value = ("," if name == "licence" else " ").join(map(str, value))
    return f"--{option} {value}"


# ---------------------------------------------------------------- assets, splits, the plan


def begin(config: MakeDatasetConfig, options: dict[str, object], sources: list[Source]) -> DatasetManifest:
    """The plan to work on: the one left by a stopped run of the same command, or a new one.

    Raises:
        MdeasError: If something else is there, or no picture of a kind can be used.
    """
    out, work = config.out, config.out / WORK_NAME
    reopens = (out / MANIFEST_NAME).exists() and not config.overwrite
    if reopens:
        before = read_manifest(out)
        refuse_other_encoders(out, before.encoders, config.quality)
        remove_work(out)
    else:
        left = _plan_left(config, options, sources)
        if left is not None:
            return left
        remove_own(out)
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


def _plan_left(
    config: MakeDatasetConfig, options: dict[str, object], sources: list[Source]
) -> DatasetManifest | None:
    """The plan of a stopped run of the same command; None where there is none, or it is to be overwritten."""
    out = config.out
    if (out / WORK_NAME / PLAN_NAME).exists():
        try:
            manifest = read_manifest(out / WORK_NAME, PLAN_NAME)
            refuse_other(out, manifest, options, sources)
            refuse_other_encoders(out, manifest.encoders, config.quality)
            return manifest
        except MdeasError:
            if not config.overwrite:
                raise
    orphans = own_files(out)
    if orphans and not config.overwrite:
        raise MdeasError(
            f"files of a data set without its {MANIFEST_NAME}: {orphans[0]}; choose another --out, "
            "or start afresh with --overwrite"
        )
    return None


def _judge(config: MakeDatasetConfig, options: dict[str, object], sources: list[Source]) -> DatasetManifest:
    """Inspect the pictures that may be used, divide the good ones, store their prepared form in ``.work``."""
    prepared = config.out / WORK_NAME / PREPARED_NAME
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
    found = inspect_all(tasks, config.jobs)
    found |= {source: Inspection(source, reason=reason) for source, reason in reasons.items() if reason}
    assets: dict[Kind, tuple[Asset, ...]] = {}
    for kind in _KINDS:
        usable = [task for task in tasks if task.source.kind == kind and not found[task.source].reason]
        judged = [found[task.source] for task in usable]
        if not judged:
            raise _none_usable(config, kind, found)
        assets[kind] = _divide(judged, config.seed, kind)
        _store(config.out, kind, [task.prepared for task in usable])
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


def _store(out: Path, kind: Kind, prepared: list[Path]) -> None:
    """One archive of prepared pictures, in the order of their assets."""
    name = FOREGROUNDS_NAME if kind == "fg" else BACKGROUNDS_NAME
    with ShardWriter(out / WORK_NAME / name) as writer:
        for number, path in enumerate(prepared):
            entry = background_name(number, len(prepared)) if kind == "bg" else prepared_name(number)
            writer.add(entry, path.read_bytes())


def inspect_all(tasks: Sequence[InspectionTask], jobs: int) -> dict[Source, Inspection]:
    """What ``inspect`` says of every source."""
    found: dict[Source, Inspection] = {}
    with Progress(len(tasks), "reading pictures", "pictures") as progress:
        for inspection in parallel.run(inspect, tasks, jobs):
            found[inspection.source] = inspection
            progress.update()
    return found


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
        if all(is_there(out, record) for record in pair):
            write_record(out, number, pair, pixels[start : start + SAMPLES_PER_SHARD].tolist())
