"""The ledger of a folder of pictures: where each one comes from and what may be done with it, as JSON lines.

``assets.jsonl`` has a line a picture, ``failures.jsonl`` a line an address that brought none. A line is on
the disk before the next one is begun; one torn by a kill is ignored by readers and mended by the next writer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from .. import MdeasError
from .manifest import write_bytes
from .shards import sync_folder

ASSETS_NAME = "assets.jsonl"
FAILURES_NAME = "failures.jsonl"

# Creative Commons and public domain, by the codes that Openverse uses, from the freest on.
LICENCES = (
    "cc0",
    "pdm",
    "by",
    "by-sa",
    "by-nc",
    "by-nc-sa",
    "by-nd",
    "by-nc-nd",
    "sampling+",
    "nc-sampling+",
)
# A composite is a changed picture, which the "no derivatives" licences do not allow.
CHANGES_ALLOWED = ("cc0", "pdm", "by", "by-sa", "by-nc", "by-nc-sa")

_LICENCE_ADDRESS = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)")
_LICENCE_WORDS = {
    "creative-commons": "cc",
    "attribution": "by",
    "share-?alike": "sa",
    "non-?commercial": "nc",
    "no-?deriv(ative)?(s|-works)?": "nd",
}


@dataclass(frozen=True)
class Origin:
    """Where a picture is and who made it, as its source says; an empty text is "not known"."""

    url: str
    page: str = ""
    title: str = ""
    author: str = ""
    author_url: str = ""
    licence: str = ""  # one of LICENCES where it is one, otherwise the source's own word
    licence_url: str = ""
    query: str = ""
    source: str = ""


@dataclass(frozen=True)
class LedgerEntry(Origin):
    """A picture that is kept: its file beside the ledger, its bytes, when and how it was fetched."""

    file: str = ""
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    date: str = ""  # ISO 8601, UTC
    robots: str = ""  # "allowed", "none" (the host has no robots.txt) or "ignored"


@dataclass(frozen=True)
class Failure(Origin):
    """An address that brought no picture: ``reason`` from a short list, ``detail`` in words."""

    reason: str = ""
    detail: str = ""
    sha256: str = ""  # of a duplicate: the picture that is held
    date: str = ""


Record = TypeVar("Record", LedgerEntry, Failure)


def licence_code(text: str) -> str:
    """The code of a licence, whatever way it is written; other licences keep their name, in lower case.

    ``CC BY-SA 4.0``, ``cc-by-sa`` and ``https://creativecommons.org/licenses/by-sa/4.0/`` are all ``by-sa``.
    """
    text = text.strip().lower()
    address = _LICENCE_ADDRESS.search(text)
    word = address.group(1) if address else text
    word = re.sub(r"[\s_-]+", "-", word)
    for long, short in _LICENCE_WORDS.items():
        word = re.sub(long, short, word)
    word = re.sub(r"-?v?[0-9]\.[0-9].*$", "", word)  # the version, and a country behind it
    if word in {"cc0", "cc-0", "zero", "cc-zero"}:
        return "cc0"
    if word in {"pdm", "mark", "pd", "public-domain", "publicdomain", "public-domain-mark", "cc-pdm"}:
        return "pdm"
    word = word.removeprefix("cc-")
    return word if word in LICENCES else text


def read_assets(folder: Path) -> list[LedgerEntry]:
    """The pictures that the folder's ledger knows, in its order; the last line for a file holds.

    A folder without a ledger has none. It may be written by hand: only ``file`` or ``url`` must be there.

    Raises:
        MdeasError: If a line is no such record; the last line of a killed run is no error.
    """
    entries = {entry.file or entry.url: entry for entry in _read(folder / ASSETS_NAME, LedgerEntry)}
    return list(entries.values())


def read_failures(folder: Path) -> list[Failure]:
    """The addresses that brought no picture; the last line for each holds. Raises as ``read_assets``."""
    return list({failure.url: failure for failure in _read(folder / FAILURES_NAME, Failure)}.values())


def write_failures(folder: Path, failures: Iterable[Failure]) -> None:
    """Replace the ledger of failures; without any, there is no file."""
    lines = "".join(_line(failure) for failure in failures)
    if lines:
        write_bytes(folder / FAILURES_NAME, lines.encode())
    else:
        (folder / FAILURES_NAME).unlink(missing_ok=True)


class LedgerWriter(Generic[Record]):
    """Appends records to a JSON lines file; each is on the disk when ``append`` returns."""

    def __init__(self, path: Path) -> None:
        _mend_tail(path)
        is_new = not path.exists()
        self._file = path.open("ab")
        if is_new:
            sync_folder(path.parent)

    def append(self, record: Record) -> None:
        """Write one line, through to the disk."""
        self._file.write(_line(record).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> LedgerWriter[Record]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(record: LedgerEntry | Failure) -> str:
    return json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n"


def _lines(data: bytes) -> list[bytes]:
    """Lines as this module writes them: ``bytes.splitlines`` would also split at a lone carriage return."""
    return data.split(b"\n")


def _parse(line: bytes) -> dict[str, Any] | None:
    """The object on a line, or None where the line holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return value if isinstance(value, dict) else None


def _mend_tail(path: Path) -> None:
    """End the file with a whole line: what a kill has torn is cut off, a missing line end is added."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    tail = _lines(data)[-1]
    if not tail:
        return
    with path.open("r+b") as file:
        if _parse(tail) is None:
            file.truncate(len(data) - len(tail))
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, record: type[Record]) -> list[Record]:
    try:
        lines = _lines(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except FileNotFoundError:
        return []
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        values = _parse(line)
        if values is None and number == len(lines):  # without a line end: torn
            continue
        problem = "not a JSON object" if values is None else _problem(values, record)
        if values is None or problem:
            raise MdeasError(f"damaged ledger; {path} line {number}: {problem}; mend or remove this line")
        records.append(
            record(**{"url": "", **{name: values[name] for name in _types(record) if name in values}})
        )
    return records


def _types(record: type[Record]) -> dict[str, type]:
    return {field.name: int if field.type == "int" else str for field in dataclasses.fields(record)}


def _problem(values: dict[str, Any], record: type[Record]) -> str:
    """What is wrong with the fields of a line, or an empty text; fields that nobody knows are passed over."""
    for name, kind in _types(record).items():
        if name in values and (not isinstance(values[name], kind) or isinstance(values[name], bool)):
            return f'"{name}" should be a {"number" if kind is int else "text"}'
    file = values.get("file", "")
    if file and (Path(file).name != file or file in {".", ".."} or "\\" in file):
        return f'"file" should be a name in this folder, not {file}'
    return "" if file or values.get("url") else 'neither "file" nor "url"'
