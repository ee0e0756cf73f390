"""``clean.csv``: a row a file, with the verdict and the reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from .assets import Kind
from .cleaning import CleanRecord
from .manifest import printable, write_bytes
from .raw_files import KINDS, RawFile

CSV_NAME = "clean.csv"
REVIEW_DIR = "review"
COLUMNS = (
    "kind",
    "file",
    "verdict",
    "reason",
    "done",
    "output",
    "cluster",
    "duplicate_of",
    "hash",
    "sha256",
    "format",
    "width",
    "height",
    "review",
)

Row = dict[str, str]


def row_of(out: Path, file: RawFile, record: CleanRecord) -> Row:
    """The row of a file that was decoded."""
    review = f"{REVIEW_DIR}/{record.id}.jpg"
    values = {
        "kind": file.kind,
        "file": file.name,
        "verdict": record.verdict,
        "reason": record.reason,
        "done": record.done,
        "hash": record.hashes[0],
        "sha256": file.sha256,
        "format": record.format,
        "width": str(record.width or ""),
        "height": str(record.height or ""),
        "review": review if (out / review).exists() else "",
    }
    return dict.fromkeys(COLUMNS, "") | values


def unread_row(file: RawFile, dropped: bool) -> Row:
    """The row of a file that was not decoded: ignored, unreadable, or not wanted."""
    verdict, reason = ("ignored" if file.is_ignored else "rejected"), file.reason
    if dropped:
        reason = "listed in drop.txt"
    values = {
        "kind": file.kind,
        "file": file.name,
        "verdict": verdict,
        "reason": reason,
        "sha256": file.sha256,
    }
    return dict.fromkeys(COLUMNS, "") | values


def with_other_kinds(out: Path, rows: list[Row], folders: Iterable[Kind]) -> list[Row]:
    """The rows with those of a kind whose raw folder was not there this time, from the earlier table."""
    absent = {kind for kind in KINDS if kind not in folders}
    earlier: list[Row] = []
    if absent and (out / CSV_NAME).exists():
        with (out / CSV_NAME).open(encoding="utf-8", newline="") as file:
            earlier = [row for row in csv.DictReader(file) if row.get("kind") in absent]
    complete = [
        dict.fromkeys(COLUMNS, "") | {key: row[key] or "" for key in COLUMNS if key in row} for row in earlier
    ]
    return sorted(rows + complete, key=lambda row: (KINDS.index(cast(Kind, row["kind"])), row["file"]))


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, printable(text.getvalue()).encode())
