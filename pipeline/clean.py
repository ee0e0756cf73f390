"""``mdeas clean``: ``data/raw/{fg,bg}`` to ``data/{fg,bg}``, a verdict and a reason for every file.

Files are named by the sha256 of their bytes together with the options, so a rerun does only what is new.
Unfinished work lives in ``.clean`` inside the output folder: ``records.jsonl`` (a line a finished file),
``pictures`` (cleaned, not yet or no longer under a final name) and ``outputs.json`` (which final names are
ours). A picture is moved to its final name only when it is known which of its near-duplicates is the best.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import MdeasError
from .assets import Kind, looks_like_picture
from .backdrop import BackdropLimits
from .clean_table import CSV_NAME, REVIEW_DIR, Row, row_of, unread_row, with_other_kinds, write_csv
from .cleaning import CleanRecord, CleanTask, examine
from .cutout import check_cutout
from .duplicates import Candidate, find_clusters, find_duplicates
from .isolate import Lost, run_isolated
from .ledger import ASSETS_NAME, LedgerEntry, read_assets
from .lock import locked
from .manifest import printable, read_json, write_bytes, write_json
from .matte import CutoutLimits
from .options import RAW_DIR, CleanConfig
from .progress import Progress
from .raw_files import KINDS, RawFile, Words, find_raw_folders, list_raw, output_names, read_words
from .review import write_review

REVIEW_NAME = "review.html"
STATE_DIR = ".clean"
# Raised when the rules change, so that pictures judged by older ones are judged again.
RULES = 1


@dataclass(frozen=True)
class CleanReport:
    """What became of the files; ``reasons`` counts the rejected ones by the first words of their reason."""

    out: str
    files: int
    kept: int
    fixed: int
    rejected: int
    duplicates: int
    ignored: int
    examined: int
    fg: int
    bg: int
    seconds: float
    csv: str
    review: str
    reasons: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """The text for stdout."""
        lines = [
            f"{self.files:,} files: {self.kept:,} kept, {self.fixed:,} fixed, {self.rejected:,} rejected "
            f"({self.duplicates:,} of them near-duplicates), {self.ignored:,} ignored",
            *(f"  {count:6,}  {reason}" for reason, count in self.reasons.items()),
            f"{self.examined:,} new or changed were decoded, in {self.seconds:.1f} s",
            f"{self.fg:,} cut-outs and {self.bg:,} backgrounds in {self.out}",
            f"why: {self.csv}; by eye: {self.review}",
        ]
        return "\n".join(lines)


def clean(config: CleanConfig) -> CleanReport:
    """Decode, judge, mend and de-duplicate all pictures of the raw folders into the output folder.

    One bad file never stops the run, not even one that crashes a decoder: it is a row with a reason.

    Raises:
        MdeasError: If there is nothing to clean, nothing is left, folders overlap or hold pictures of the
            user, or ``--cutout`` misses what it needs.
    """
    started = time.monotonic()
    folders = find_raw_folders(config)
    if config.cutout == "rembg":
        check_cutout()
    state = config.out / STATE_DIR
    for folder in (state / "pictures", config.out / REVIEW_DIR):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(state):
        files = [file for kind, folder in folders.items() for file in list_raw(kind, folder)]
        if not any(not file.is_ignored for file in files):
            where = " and ".join(str(folder) for folder in folders.values())
            raise MdeasError(f"no pictures to clean; {where}; put some there or run `mdeas crawl`")
        outputs = _read_outputs(config.out, folders)
        words = read_words(config.out)
        tasks = _plan(config, files, words)
        records, examined = _examine(config, tasks, outputs)
        if examined and hasattr(os, "sync"):
            os.sync()  # once for all pictures: a sync for each takes longer than cleaning it
        rows, wanted = _judge(config, files, words, tasks, records)
        _place(config.out, folders, outputs, wanted)
        _carry_ledger(config.out, folders, rows, wanted, records)
        rows = with_other_kinds(config.out, rows, folders)
        write_csv(config.out / CSV_NAME, rows)
        write_review(config.out / REVIEW_NAME, rows)
        _prune(config.out, records, rows)
    report = _report(config, rows, folders, examined, time.monotonic() - started)
    if not report.kept and not report.fixed:
        raise MdeasError(f"none of {report.files:,} files can be used; {report.csv} says why; add others")
    return report


# ---------------------------------------------------------------- what is there already


def _read_outputs(out: Path, folders: Iterable[Kind]) -> dict[str, str]:
    """Final names of earlier runs (``fg/x.png``) with the ids of what lies there.

    Raises:
        MdeasError: If the output folders hold pictures of the user, which would be mixed with ours.
    """
    path = out / STATE_DIR / "outputs.json"
    outputs = read_json(path) if path.exists() else {}
    if not isinstance(outputs, dict):
        raise MdeasError(f"damaged file; {path}; remove it, and the pictures that clean has made")
    for kind in folders:
        folder = out / kind
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(
            file.name
            for file in folder.iterdir()
            if f"{kind}/{file.name}" not in outputs and file.is_file() and looks_like_picture(file)
        )
        if foreign:
            raise MdeasError(
                f"{len(foreign)} pictures not made by mdeas clean, first {printable(foreign[0])}; {folder}; "
                f"move them to {RAW_DIR / kind}, or choose another --out"
            )
    return outputs


# ---------------------------------------------------------------- examining what is new


def _plan(config: CleanConfig, files: Sequence[RawFile], words: Words) -> dict[RawFile, CleanTask]:
    """What is asked of every file that is to be decoded."""
    cutouts = CutoutLimits(config.fg_min_side, config.fg_max_side, config.fg_min_coverage)
    backdrops = BackdropLimits(config.bg_min_side, config.bg_max_aspect, config.bg_size)
    tasks: dict[RawFile, CleanTask] = {}
    for file in files:
        if not file.sha256 or words.drops(file):
            continue
        limits = cutouts if file.kind == "fg" else backdrops
        forced = words.keeps(file)
        cutout = config.cutout if file.kind == "fg" else "none"
        options = json.dumps([RULES, dataclasses.asdict(limits), forced, cutout])
        key = hashlib.sha256(options.encode()).hexdigest()[:8]
        tasks[file] = CleanTask(
            f"{file.kind}-{file.sha256}-{key}",
            file.kind,
            file.path,
            file.sha256,
            forced,
            cutout,
            limits,
            config.out / STATE_DIR / "pictures",
            config.out / REVIEW_DIR,
        )
    return tasks


def _examine(
    config: CleanConfig, tasks: dict[RawFile, CleanTask], outputs: dict[str, str]
) -> tuple[dict[str, CleanRecord], int]:
    """The record of every task by id, and how many were made in this run."""
    journal = config.out / STATE_DIR / "records.jsonl"
    records = _read_records(journal)
    lies_at = {id_: config.out / name for name, id_ in outputs.items()}
    todo: dict[str, CleanTask] = {}
    for task in tasks.values():
        record = records.get(task.id)
        if record is None or not _is_there(record, task, lies_at.get(task.id)):
            todo[task.id] = task
    with (
        Progress(len(tasks), "clean", "pictures", done=len(tasks) - len(todo)) as progress,
        journal.open("a", encoding="utf-8") as lines,
    ):
        for result in run_isolated(examine, list(todo.values()), config.jobs):
            if isinstance(result, Lost):
                # Not written down: a crash may have been for want of memory, and is tried again.
                lost = CleanRecord(result.task.id, "rejected", result.reason, "", is_settled=False)
                records[lost.id] = lost
            else:
                records[result.id] = result
                if result.is_settled:
                    lines.write("\n" + json.dumps(dataclasses.asdict(result)))
                    lines.flush()
            progress.update()
    return records, len(todo)


def _is_there(record: CleanRecord, task: CleanTask, final: Path | None) -> bool:
    """Whether what an earlier run has made is still whole: before its sync, a power cut may have torn it."""
    if record.verdict == "rejected":
        return True
    for path in (final, task.folder / f"{task.id}.png"):
        if path is not None:
            with contextlib.suppress(OSError):
                return path.stat().st_size == record.out_bytes
    return False


def _read_records(journal: Path) -> dict[str, CleanRecord]:
    """What earlier runs have found out; a line torn by a kill is none."""
    records: dict[str, CleanRecord] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in journal.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                values = json.loads(line)
                record = CleanRecord(**{**values, "hashes": tuple(values["hashes"])})
                records[record.id] = record
    return records


# ---------------------------------------------------------------- verdicts


def _judge(
    config: CleanConfig,
    files: Sequence[RawFile],
    words: Words,
    tasks: dict[RawFile, CleanTask],
    records: dict[str, CleanRecord],
) -> tuple[list[Row], dict[str, str]]:
    """A row a file, and the id that belongs under each final name."""
    usable: dict[Kind, list[RawFile]] = {kind: [] for kind in KINDS}
    for file, its in tasks.items():
        if records[its.id].verdict != "rejected":
            usable[file.kind].append(file)
    twins: dict[RawFile, RawFile] = {}
    clusters: dict[RawFile, str] = {}
    for kind, some in usable.items():
        candidates = [_candidate(file, tasks[file], records[tasks[file].id]) for file in some]
        better = find_duplicates(candidates, config.duplicate_bits)
        for file, other, cluster in zip(some, better, find_clusters(candidates, better), strict=True):
            clusters[file] = f"{kind}-{cluster}"
            if other is not None:
                twins[file] = some[other]
    names = output_names(files)
    rows: list[Row] = []
    wanted: dict[str, str] = {}
    for file in files:
        task = tasks.get(file)
        if task is None:
            rows.append(unread_row(file, dropped=bool(file.sha256)))
            continue
        record = records[task.id]
        row = row_of(config.out, file, record) | {"cluster": clusters.get(file, "")}
        if file in twins:
            best = twins[file]
            same = "the same bytes as" if best.sha256 == file.sha256 else "a near-duplicate of"
            row |= {
                "verdict": "rejected",
                "reason": f"{same} {best.name}",
                "done": "",
                "duplicate_of": best.name,
            }
        elif record.verdict != "rejected":
            row["output"] = f"{file.kind}/{names[file]}"
            wanted[row["output"]] = task.id
        rows.append(row)
    return rows, wanted


def _candidate(file: RawFile, task: CleanTask, record: CleanRecord) -> Candidate:
    plain, mirrored = record.hashes
    return Candidate(
        file.name,
        file.sha256,
        (int(plain, 16), int(mirrored, 16)),
        bytes.fromhex(record.colours),
        record.worth,
        record.reason.count(";") + 1 if record.verdict == "fixed" else 0,
        file.size,
        task.forced,
    )


# ---------------------------------------------------------------- final names


def _place(out: Path, folders: Iterable[Kind], outputs: dict[str, str], wanted: dict[str, str]) -> None:
    """Bring the final names in line with ``wanted``; killed at any point, the next run goes on from there.

    ``outputs.json`` names a file before it is moved there and forgets it after it has been moved away, so a
    final name that it holds is either that very picture or missing.
    """
    state = out / STATE_DIR
    pictures = state / "pictures"
    kinds = tuple(f"{kind}/" for kind in folders)
    now = {
        name: id_ for name, id_ in outputs.items() if not name.startswith(kinds) or wanted.get(name) == id_
    }
    for name, id_ in outputs.items():
        if name not in now:
            with contextlib.suppress(FileNotFoundError):
                (out / name).replace(pictures / f"{id_}.png")
    now |= wanted
    write_json(state / "outputs.json", now)
    lies_at: dict[str, Path] = {}
    for name, id_ in wanted.items():
        path = out / name
        staged = pictures / f"{id_}.png"
        if staged.exists():
            staged.replace(path)
        elif not path.exists():  # two equal files that keep.txt both wants
            write_bytes(path, lies_at[id_].read_bytes())
        lies_at[id_] = path


def _carry_ledger(
    out: Path,
    folders: dict[Kind, Path],
    rows: Sequence[Row],
    wanted: dict[str, str],
    records: dict[str, CleanRecord],
) -> None:
    """``assets.jsonl`` beside the cleaned pictures: what the raw ledger says, under the new names."""
    for kind, folder in folders.items():
        origins = {entry.file: entry for entry in read_assets(folder)}
        lines = []
        for row in rows:
            if row["kind"] != kind or not row["output"]:
                continue
            origin = origins.get(row["file"]) or LedgerEntry(url="")
            record = records[wanted[row["output"]]]
            entry = dataclasses.asdict(origin) | {
                "file": Path(row["output"]).name,
                "sha256": record.out_sha256,
                "bytes": record.out_bytes,
                "width": record.out_width,
                "height": record.out_height,
                "raw_file": row["file"],
                "raw_sha256": row["sha256"],
                "cluster": row["cluster"],
            }
            lines.append(printable(json.dumps(entry, ensure_ascii=False)) + "\n")
        write_bytes(out / kind / ASSETS_NAME, "".join(lines).encode())


# ---------------------------------------------------------------- telling


def _prune(out: Path, records: dict[str, CleanRecord], rows: Sequence[Row]) -> None:
    """Forget what belongs to no file any more."""
    shown = {Path(row["review"]).name for row in rows if row["review"]}
    current = {name.removesuffix(".jpg") for name in shown}
    for path in (out / REVIEW_DIR).iterdir():
        if path.name not in shown:
            path.unlink()
    for path in (out / STATE_DIR / "pictures").iterdir():
        if path.stem not in current:
            path.unlink()
    hashes = {row["sha256"] for row in rows if row["sha256"]}
    lines = (
        json.dumps(dataclasses.asdict(record))
        for record in records.values()
        if record.is_settled
        and (record.id in current or (record.verdict == "rejected" and record.id.split("-")[1] in hashes))
    )
    write_bytes(out / STATE_DIR / "records.jsonl", "\n".join(lines).encode())


def _report(
    config: CleanConfig, rows: Sequence[Row], folders: Iterable[Kind], examined: int, seconds: float
) -> CleanReport:
    ours = [row for row in rows if row["kind"] in set(folders)]
    verdicts = Counter(row["verdict"] for row in ours)
    reasons: Counter[str] = Counter()
    for row in ours:
        if row["verdict"] == "rejected":
            reasons[
                "near-duplicate" if row["duplicate_of"] else row["reason"].split(":")[0].split(" (")[0]
            ] += 1
    outputs = Counter(row["kind"] for row in rows if row["output"])
    values: dict[str, Any] = {
        verdict: verdicts[verdict] for verdict in ("kept", "fixed", "rejected", "ignored")
    }
    return CleanReport(
        out=str(config.out),
        files=len(ours),
        duplicates=sum(1 for row in ours if row["duplicate_of"]),
        examined=examined,
        fg=outputs["fg"],
        bg=outputs["bg"],
        seconds=round(seconds, 3),
        csv=str(config.out / CSV_NAME),
        review=str(config.out / REVIEW_NAME),
        reasons=dict(reasons.most_common()),
        **values,
    )
