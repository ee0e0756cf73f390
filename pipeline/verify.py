"""``mdeas verify``: every archive and every row of a data set against what is recorded; changes nothing."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import MdeasError
from .depth_record import MAX_VALUE, STATE_NAME
from .lockfile import LOCKFILE_NAME, read_lockfile
from .manifest import (
    BACKGROUNDS_NAME,
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    SAMPLES_NAME,
    SPLITS,
    DatasetManifest,
    DepthInfo,
    Samples,
    background_name,
    key_digits,
    read_depth_info,
    read_manifest,
    read_samples,
    sample_name,
    shard_count,
    shard_name,
)
from .options import VerifyConfig
from .parallel import run
from .plan import Plan, plan_of
from .progress import Progress
from .shards import KEPT_SUFFIX, PART_SUFFIX
from .verify_archive import ArchiveTask, Finding, check_archive, shortened


@dataclass(frozen=True)
class VerifyReport:
    """What ``mdeas verify`` found: ``problems`` are faults, ``notes`` what is merely unfinished."""

    dataset: str
    samples: int
    archives: int
    decoded: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """One line a fault, and what was looked at."""
        lines = [
            *(f"fault: {problem}" for problem in self.problems),
            *(f"note: {note}" for note in self.notes),
            f"{self.samples:,} samples, {self.archives} archives, {self.decoded:,} pictures decoded in "
            f"{self.seconds:,.1f} s: {self.dataset}",
            "No fault found" if not self.problems else f"{len(self.problems)} faults found",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Examination:
    """All that was looked at: faults of the files beside the archives by file name, and of every archive."""

    manifest: DatasetManifest
    documents: dict[str, list[str]]
    tasks: tuple[ArchiveTask, ...]
    findings: tuple[Finding, ...]
    strangers: tuple[str, ...]

    def problems(self) -> tuple[str, ...]:
        """Every fault, a line each."""
        lines = [line for faults in self.documents.values() for line in faults]
        lines += [line for finding in self.findings for line in finding.problems]
        return (*lines, *(f"{name}: recorded nowhere" for name in self.strangers))


def verify_dataset(config: VerifyConfig) -> VerifyReport:
    """Checks ``dataset.json``, the sample table, every archive and (all or some of) the pictures in them.

    Raises:
        MdeasError: If there is no data set, or its ``dataset.json`` cannot be read.
    """
    start = time.monotonic()
    found = examine(config)
    return VerifyReport(
        dataset=str(config.dataset),
        samples=int(found.manifest.totals["samples"]),
        archives=len(found.tasks),
        decoded=sum(finding.decoded for finding in found.findings),
        problems=found.problems(),
        notes=tuple(_left_overs(config.dataset)),
        seconds=round(time.monotonic() - start, 3),
    )


def examine(config: VerifyConfig) -> Examination:
    """Looks at everything.

    Raises:
        MdeasError: If there is no data set, or its ``dataset.json`` cannot be read.
    """
    folder = config.dataset
    manifest = read_manifest(folder)
    plan = readable_plan(folder, manifest)
    samples, table_problems = _check_table(folder, manifest, plan)
    info, depth_problems = _check_depth_info(folder, manifest)
    tasks = tuple(_tasks(config, manifest, samples, info))
    found: dict[Path, Finding] = {}
    with Progress(len(tasks), "verify", "archives") as progress:
        for finding in run(check_archive, tasks, config.jobs):
            found[finding.path] = finding
            progress.update()
    known = {task.path.name for task in tasks}
    examination = Examination(
        manifest=manifest,
        documents={
            MANIFEST_NAME: _check_manifest(manifest, plan, known),
            SAMPLES_NAME: table_problems,
            DEPTH_INFO_NAME: depth_problems,
        },
        tasks=tasks,
        findings=tuple(found[task.path] for task in tasks),
        strangers=tuple(_strangers(folder, known)),
    )
    # A second copy says nothing of a set that is at fault itself.
    examination.documents[LOCKFILE_NAME] = _check_lockfile(folder, manifest, info, examination.problems())
    return examination


def readable_plan(folder: Path, manifest: DatasetManifest) -> Plan:
    """The plan that a data set follows.

    Raises:
        MdeasError: If what ``dataset.json`` says makes none.
    """
    try:
        plan = plan_of(manifest)
        plan.rows(0, 1)
        int(manifest.totals["samples"])
        return plan
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise MdeasError(
            f"damaged file: {folder / MANIFEST_NAME} (options or pictures are missing); mend it with "
            "`mdeas verify --repair`"
        ) from error


def _check_manifest(manifest: DatasetManifest, plan: Plan, known: set[str]) -> list[str]:
    """Faults of ``dataset.json``: its totals follow from its options, assets and records."""
    total = len(plan)
    expected = {"samples": total, "fg": len(manifest.fg), "bg": len(manifest.bg)}
    expected["shards"] = shard_count(total, manifest.samples_per_shard)
    counts: Counter[str] = Counter()
    for start in range(0, total, manifest.samples_per_shard):
        counts.update(plan.rows(start, min(start + manifest.samples_per_shard, total)).split.tolist())
    expected |= {name: counts[name] for name in SPLITS}
    problems = [
        f"{MANIFEST_NAME}: totals: {name} is {manifest.totals.get(name)}, expected {value}"
        for name, value in expected.items()
        if manifest.totals.get(name) != value
    ]
    problems += [
        f"{MANIFEST_NAME}: {record.name} is recorded, but does not belong to these samples"
        for record in manifest.shards
        if record.name not in known
    ]
    return shortened(problems, MANIFEST_NAME)


def _check_table(folder: Path, manifest: DatasetManifest, plan: Plan) -> tuple[Samples | None, list[str]]:
    """The rows of ``samples.parquet`` where they can be read, and its faults."""
    path, total = folder / SAMPLES_NAME, int(manifest.totals["samples"])
    if not path.exists():
        return None, [f"{path.name}: missing; `mdeas verify --repair` makes it again from the masks"]
    try:
        table = pq.read_table(path)
        empty = {name: table[name].null_count for name in table.column_names if table[name].null_count}
        if empty:
            return None, [f"{path.name}: {name}: {count} values missing" for name, count in empty.items()]
        keys = table["key"].to_pylist()
        samples = read_samples(path)
    except (MdeasError, KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        return None, [f"{path.name}: cannot be read ({str(error).splitlines()[0]})"]
    if len(samples) != total:
        return None, [f"{path.name}: {len(samples)} rows, expected {total}"]
    digits = key_digits(total)
    wrong = [row for row, key in enumerate(keys) if key != f"{row:0{digits}d}"]
    problems = [f"{path.name}: row {row}: key is {keys[row]}" for row in wrong]
    # The table follows from dataset.json alone, the areas aside, which are held against the masks.
    planned = plan.rows(0, total)
    for field in fields(Samples):
        if field.name != "mask_area":
            there, expected = getattr(samples, field.name), getattr(planned, field.name)
            problems += [
                f"{path.name}: row {row}: {field.name} is {there[row]}, expected {expected[row]}"
                for row in np.flatnonzero(there != expected)
            ]
    return samples, shortened(problems, path.name)


def _check_depth_info(folder: Path, manifest: DatasetManifest) -> tuple[DepthInfo | None, list[str]]:
    """``depth.json`` where it can be read, and its faults; None without labels."""
    try:
        info = read_depth_info(folder)
    except MdeasError as error:
        return None, [str(error)]
    if info is None:
        return None, []
    problems = []
    total = int(manifest.totals["samples"])
    if info.samples != total:
        problems.append(f"{DEPTH_INFO_NAME}: {info.samples} labels for {total} samples")
    dataset_sha256 = hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()
    if info.dataset_sha256 != dataset_sha256:
        problems.append(
            f"{DEPTH_INFO_NAME}: made for another {MANIFEST_NAME}; run `mdeas label-depth --overwrite`"
        )
    return info, problems


def _check_lockfile(
    folder: Path, manifest: DatasetManifest, info: DepthInfo | None, others: tuple[str, ...]
) -> list[str]:
    """Faults of the lock file, which holds the records once more; sets of the first release have none."""
    path = folder / LOCKFILE_NAME
    if not path.exists():
        return []
    try:
        lockfile = read_lockfile(path)
    except MdeasError as error:
        return [f"{LOCKFILE_NAME}: {str(error).split(';', maxsplit=1)[0]}"]
    if others:
        return []
    problems = []
    if lockfile.manifest != manifest:
        problems.append(f"{LOCKFILE_NAME}: says something else than {MANIFEST_NAME}")
    if lockfile.depth is not None and info is not None and lockfile.depth != info:
        problems.append(f"{LOCKFILE_NAME}: says something else than {DEPTH_INFO_NAME}")
    return problems


def _tasks(
    config: VerifyConfig, manifest: DatasetManifest, samples: Samples | None, info: DepthInfo | None
) -> Iterator[ArchiveTask]:
    """A task an archive, in the order of their names in the contract."""
    total, per_shard = int(manifest.totals["samples"]), manifest.samples_per_shard
    size, backgrounds = int(manifest.options["size"]), len(manifest.bg)
    records = {record.name: record for record in (*manifest.shards, *(info.shards if info else ()))}
    yield ArchiveTask(
        kind="bg",
        path=config.dataset / BACKGROUNDS_NAME,
        record=records.get(BACKGROUNDS_NAME),
        names=tuple(background_name(number, backgrounds) for number in range(backgrounds)),
        size=size,
        decode=tuple(range(backgrounds)),
    )
    chosen = np.arange(total)
    if config.sample is not None and config.sample < total:
        chosen = np.sort(np.random.default_rng(0).choice(total, config.sample, replace=False))
    for kind in ("fg_bg", "mask", "depth") if info else ("fg_bg", "mask"):
        for shard in range(shard_count(total, per_shard)):
            first, stop = shard * per_shard, min((shard + 1) * per_shard, total)
            name = shard_name(kind, shard)
            inside = chosen[(chosen >= first) & (chosen < stop)] - first
            yield ArchiveTask(
                kind=kind,
                path=config.dataset / name,
                record=records.get(name),
                names=tuple(sample_name(kind, number, total) for number in range(first, stop)),
                size=size,
                decode=tuple(inside.tolist()),
                rows=_slice(samples, first, stop) if kind == "mask" and samples is not None else None,
                value_range=_value_range(info) if kind == "depth" else None,
            )


def _slice(samples: Samples, first: int, stop: int) -> Samples:
    return Samples(**{field.name: getattr(samples, field.name)[first:stop] for field in fields(Samples)})


def _value_range(info: DepthInfo | None) -> tuple[int, int] | None:
    """Least and highest value of all labels, as ``depth.json`` says."""
    if info is None or not {"min", "max"} <= info.values.keys():
        return None
    return round(info.values["min"] * MAX_VALUE), round(info.values["max"] * MAX_VALUE)


def _strangers(folder: Path, known: set[str]) -> list[str]:
    """Archives that no record knows; those of unfinished labels are not recorded yet."""
    there = sorted(path.name for path in folder.glob("*.zip"))
    if (folder / STATE_NAME).exists():
        there = [name for name in there if not name.startswith("depth-")]
    return [name for name in there if name not in known]


def _left_overs(folder: Path) -> list[str]:
    """What a stopped command has left; running it again goes on from there."""
    notes = []
    for path in sorted(folder.glob("*" + PART_SUFFIX)):
        command = "label-depth" if path.name.startswith("depth") else "make-dataset"
        notes.append(f"{path.name}: unfinished; `mdeas {command}` goes on from here")
    for path in sorted(folder.glob("*" + KEPT_SUFFIX)):
        notes.append(f"{path.name}: saved from a damaged archive; `mdeas label-depth` takes them")
    if (folder / STATE_NAME).exists():
        notes.append("depth labels: unfinished; `mdeas label-depth` goes on from here")
    return notes
