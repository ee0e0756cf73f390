"""``mdeas rebuild``: a data set, or one shard of it, made again from its lock file and the same pictures.

Pictures are found by their hash, whatever they are called. Bytes are held against the recorded hashes; where
an encoder of another version writes other bytes, decoded pixels are compared instead: with the archives
beside the lock file where they are, else with the fingerprints inside it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import MdeasError, __version__
from .assets import Inspection, InspectionTask, Kind, Source, find_folders
from .beginning import inspect_all
from .composite import finish_dataset
from .encoders import differences, encoders, writes_same_bytes
from .lock import locked
from .lockfile import Lockfile, fingerprint, read_lockfile
from .manifest import (
    BACKGROUNDS_NAME,
    MANIFEST_NAME,
    Asset,
    DatasetManifest,
    background_name,
    read_manifest,
    sample_name,
    shard_count,
    shard_name,
    write_manifest,
)
from .options import MakeDatasetConfig, RebuildConfig
from .paint import prepared_name
from .plan import plan_of, side_range
from .shard_tasks import make_missing_shards
from .shards import ShardReader, ShardRecord, ShardWriter, file_sha256
from .verify import readable_plan
from .verify_archive import DECODERS, has_recorded_hash
from .work import FOREGROUNDS_NAME, PLAN_NAME, PREPARED_NAME, WORK_NAME, remove_work, writable

# An encoder of another version may round a few values otherwise, which moves pixels by some levels, but on
# average by next to nothing; another picture is off by far more.
_MOST_MEAN_LEVELS = 1.0
_MOST_FINGERPRINT_LEVELS = 2
# So many missing pictures are named, the others counted.
_MOST_NAMED = 5


@dataclass(frozen=True)
class RebuildReport:
    """What ``rebuild`` made: archives that are ``identical``, pictures of others that were ``compared``."""

    out: str
    samples: int
    archives: int
    identical: int
    compared: int
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """The verdict, and what it rests on."""
        same = f"{self.identical} of {self.archives} archives identical to the recorded ones"
        if self.compared:
            same += f", {self.compared:,} pictures of the others compared"
        return "\n".join(
            [
                *(f"note: {note}" for note in self.notes),
                *(f"fault: {problem}" for problem in self.problems),
                f"{self.samples:,} samples in {self.seconds:,.1f} s: {self.out}",
                same,
            ]
        )


def rebuild(config: RebuildConfig) -> RebuildReport:
    """Make the data set of a lock file again, or its shard ``config.shard`` alone.

    Raises:
        MdeasError: If the lock file or one of its pictures is missing or another one, or the folder holds
            something else.
    """
    start = time.monotonic()
    lockfile = read_lockfile(config.lock)
    manifest = lockfile.manifest
    plan = readable_plan(config.lock.parent, manifest)
    shards = shard_count(len(plan), manifest.samples_per_shard)
    if config.shard is not None and not 0 <= config.shard < shards:
        raise MdeasError(f"no such shard: --shard {config.shard}; give 0 to {shards - 1}")
    here = encoders(int(manifest.options["quality"]))
    notes = _notes(manifest, here)
    # Of encoders that write the same bytes, the recorded versions stay: dataset.json is the same then too.
    recorded = manifest.encoders if writes_same_bytes(manifest.encoders, here) else here
    begun = replace(manifest, totals={}, shards=(), encoders=recorded)
    with writable(config.out):
        config.out.mkdir(parents=True, exist_ok=True)
        with locked(config.out):
            if _is_there(config, manifest):
                remove_work(config.out)  # what a kill after the very last step leaves
            else:
                _begin(config, begun)
                part = None if config.shard is None else (config.shard + 1, shards)
                make_missing_shards(MakeDatasetConfig(out=config.out, jobs=config.jobs, part=part), begun)
                if part is None:
                    finish_dataset(config.out, begun)
                else:
                    (config.out / BACKGROUNDS_NAME).unlink(missing_ok=True)
                    shutil.rmtree(config.out / WORK_NAME)
    return _compared(config, lockfile, notes, start)


def _notes(manifest: DatasetManifest, here: dict[str, str]) -> list[str]:
    notes = []
    if manifest.mdeas_version != __version__:
        notes.append(f"made with mdeas {manifest.mdeas_version}, this is {__version__}")
    changed = differences(manifest.encoders, here)
    if not manifest.encoders:
        notes.append("the lock file does not say which encoders were used")
    elif not writes_same_bytes(manifest.encoders, here):
        notes.append(
            f"encoders here write other bytes ({changed or 'same versions, built otherwise'}): "
            "where bytes differ, decoded pixels are compared"
        )
    elif changed:
        notes.append(f"other versions here, which write the same bytes ({changed})")
    return notes


def _is_there(config: RebuildConfig, manifest: DatasetManifest) -> bool:
    """Whether an earlier run has made it all; a folder with something else in it is refused."""
    names = {record.name for record in _records(config, manifest)}
    if config.shard is not None and all((config.out / name).exists() for name in names):
        return not (config.out / WORK_NAME).exists()
    if (config.out / MANIFEST_NAME).exists():
        there = read_manifest(config.out)
        if config.shard is None and (there.options, there.fg) == (manifest.options, manifest.fg):
            return True
        raise MdeasError(f"another data set is there: {config.out}; choose another --out")
    return False


def _records(config: RebuildConfig, manifest: DatasetManifest) -> tuple[ShardRecord, ...]:
    if config.shard is None:
        return manifest.shards
    names = {shard_name(kind, config.shard) for kind in ("fg_bg", "mask")}
    return tuple(record for record in manifest.shards if record.name in names)


# ---------------------------------------------------------------- the pictures


def _begin(config: RebuildConfig, begun: DatasetManifest) -> None:
    """The prepared pictures and the plan in ``.work``, unless an earlier run has left them there."""
    work = config.out / WORK_NAME
    if (work / PLAN_NAME).exists() and read_manifest(work, PLAN_NAME) == begun:
        return
    assets = _needed(config, begun)
    sources = _find(config, assets)
    shutil.rmtree(work, ignore_errors=True)
    (work / PREPARED_NAME).mkdir(parents=True)
    options = begun.options
    least, most = side_range(tuple(options["scale"]), options["size"])
    tasks = {
        (kind, asset.id): InspectionTask(
            sources[kind, asset.id],
            options["size"],
            options["mask_threshold"],
            least,
            most,
            work / PREPARED_NAME / f"{kind}-{asset.id}",
        )
        for kind, asset in assets
    }
    found = inspect_all(list(tasks.values()), config.jobs)
    archives: dict[Kind, str] = {"bg": BACKGROUNDS_NAME, "fg": FOREGROUNDS_NAME}
    for kind, name in archives.items():
        with ShardWriter(work / name) as writer:
            for asset in (asset for one, asset in assets if one == kind):
                _check(found[sources[kind, asset.id]], asset)
                entry = background_name(asset.id, len(begun.bg)) if kind == "bg" else prepared_name(asset.id)
                writer.add(entry, tasks[kind, asset.id].prepared.read_bytes())
    shutil.rmtree(work / PREPARED_NAME)
    write_manifest(work, begun, PLAN_NAME)


def _needed(config: RebuildConfig, manifest: DatasetManifest) -> list[tuple[Kind, Asset]]:
    """All pictures, or those of the one shard."""
    if config.shard is None:
        return [*(("bg", asset) for asset in manifest.bg), *(("fg", asset) for asset in manifest.fg)]
    plan, start = plan_of(manifest), config.shard * manifest.samples_per_shard
    rows = plan.rows(start, min(start + manifest.samples_per_shard, len(plan)))
    return [
        *(("bg", manifest.bg[number]) for number in np.unique(rows.bg).tolist()),
        *(("fg", manifest.fg[number]) for number in np.unique(rows.fg).tolist()),
    ]


def _find(config: RebuildConfig, assets: list[tuple[Kind, Asset]]) -> dict[tuple[Kind, int], Source]:
    """Where each picture is, by its hash; both folders are searched, and folders in them."""
    folders = find_folders(config.fg, config.bg)
    paths: dict[str, Path] = {}
    names: set[str] = set()
    for folder in (folders.fg, folders.bg):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            paths.setdefault(file_sha256(path), path)
            names.add(path.name)
    lost = [
        f"{kind} {asset.file} ({'changed' if asset.file in names else 'missing'}, sha256 {asset.sha256[:12]})"
        for kind, asset in assets
        if asset.sha256 not in paths
    ]
    if lost:
        where = " or ".join(dict.fromkeys(map(str, (folders.fg, folders.bg))))
        more = f" and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        raise MdeasError(
            f"{len(lost)} of {len(assets)} pictures of the lock file are not there: "
            f"{', '.join(lost[:_MOST_NAMED])}{more}; put them into {where}, under any name"
        )
    return {(kind, asset.id): Source(kind, paths[asset.sha256], asset.sha256) for kind, asset in assets}


def _check(inspection: Inspection, asset: Asset) -> None:
    there, recorded = (inspection.width, inspection.height), (asset.width, asset.height)
    if inspection.reason or there != recorded:
        what = inspection.reason or f"{there[0]}x{there[1]}, recorded {recorded[0]}x{recorded[1]}"
        raise MdeasError(
            f"a picture is read otherwise by this installation: {inspection.source.path} ({what}); "
            "install the versions that the lock file names"
        )


# ---------------------------------------------------------------- the comparison


def _compared(config: RebuildConfig, lockfile: Lockfile, notes: list[str], start: float) -> RebuildReport:
    manifest = lockfile.manifest
    records = _records(config, manifest)
    others = [record.name for record in records if not has_recorded_hash(config.out / record.name, record)]
    problems, compared = [], 0
    for name in others:
        original = config.lock.parent / name
        if original.exists() and original.resolve() != (config.out / name).resolve():
            count, faults = _compare_archives(config.out / name, original)
            compared += count
            problems += faults
    distances = _distances(config, lockfile, set(others)) if others and not compared else ()
    for number, distance in distances:
        compared += 1
        if distance > _MOST_FINGERPRINT_LEVELS:
            problems.append(f"sample {number}: another picture than recorded (by its fingerprint)")
    if others and not compared:
        problems.append(
            f"{len(others)} archives have other bytes, and there is nothing to compare their pictures with; "
            "put the lock file beside the archives, or rebuild a shard of which it holds a fingerprint"
        )
    return RebuildReport(
        out=str(config.out),
        samples=len(plan_of(manifest)) if config.shard is None else records[0].entries,
        archives=len(records),
        identical=len(records) - len(others),
        compared=compared,
        notes=tuple(notes),
        problems=tuple(problems),
        seconds=round(time.monotonic() - start, 3),
    )


def _compare_archives(made: Path, original: Path) -> tuple[int, list[str]]:
    """Every picture of two archives; composites may differ by rounding, masks and backgrounds not at all."""
    kind = made.name.split("-")[0].removesuffix(".zip")
    problems, count = [], 0
    with closing(ShardReader(made)) as new, closing(ShardReader(original)) as old:
        if new.names != old.names:
            return 0, [f"{made.name}: other entries than {original}"]
        for name in new.names:
            count += 1
            one, other = DECODERS[kind](new.read(name)), DECODERS[kind](old.read(name))
            levels = float(np.abs(one.astype(int) - other).mean()) if one.shape == other.shape else 255.0
            if levels > (_MOST_MEAN_LEVELS if kind == "fg_bg" else 0.0):
                problems.append(f"{made.name}: {name}: other pixels, {levels:.2f} levels on average")
    return count, problems


def _distances(config: RebuildConfig, lockfile: Lockfile, others: set[str]) -> Iterator[tuple[int, int]]:
    """How far samples in those archives are from their fingerprints."""
    manifest = lockfile.manifest
    total = len(plan_of(manifest))
    for number, recorded in lockfile.fingerprints.items():
        names = [shard_name(kind, number // manifest.samples_per_shard) for kind in ("fg_bg", "mask")]
        if others.isdisjoint(names) or not all((config.out / name).exists() for name in names):
            continue
        files = []
        for kind, name in zip(("fg_bg", "mask"), names, strict=True):
            with closing(ShardReader(config.out / name)) as reader:
                files.append(reader.read(sample_name(kind, number, total)))
        yield number, recorded.distance(fingerprint(*files))
