"""A list of addresses that the user has: a text file, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from ... import MdeasError
from ..http_client import Client
from ..ledger import Origin, licence_code
from .base import MAX_URL, Kind, tidy

# Other names under which people keep the same thing.
_COLUMNS = {
    "address": "url",
    "image_url": "url",
    "license": "licence",
    "license_url": "licence_url",
    "creator": "author",
    "creator_url": "author_url",
    "foreign_landing_url": "page",
    "source_page": "page",
}

_logger = logging.getLogger(__name__)


class UrlList:
    """Reads the addresses from the file that the query names.

    ``.csv`` (with a heading) and ``.jsonl`` have the columns ``url``, ``page``, ``title``, ``author``,
    ``author_url``, ``licence``, ``licence_url``, of which only ``url`` must be there. Any other file has one
    address a line; empty lines and those that begin with ``#`` are passed over.
    """

    name = "urls"
    lists_all = True

    def search(self, client: Client, query: str, kind: Kind, licences: tuple[str, ...]) -> Iterator[Origin]:
        """See ``Source``; with licences, only the addresses that the file gives one of these for."""
        found = read_url_list(Path(query))
        wanted = [origin for origin in found if not licences or origin.licence in licences]
        other = len(found) - len(wanted)
        if not wanted:
            raise MdeasError(f"none of its {other} addresses has a wanted licence; {query}; change --licence")
        if other:
            _logger.warning("%s: %d of %d addresses have no wanted licence", query, other, len(found))
        yield from wanted


def read_url_list(path: Path) -> list[Origin]:
    """The addresses of a list, each once.

    Raises:
        MdeasError: If it cannot be read, or holds none.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MdeasError(f"cannot read: {path} ({error.strerror}); name a file of addresses") from error
    except UnicodeDecodeError as error:
        raise MdeasError(f"not a text file: {path}; name a file of addresses in UTF-8") from error
    rows: list[dict[str, str]] = {".csv": _csv, ".jsonl": _jsonl}.get(path.suffix.lower(), _lines)(path, text)
    origins = {row["url"]: _origin(row, path) for row in rows if row.get("url")}
    if not origins:
        raise MdeasError(f'no address in {path}; give it one a line, or in a column "url"')
    return list(origins.values())


def _lines(_path: Path, text: str) -> list[dict[str, str]]:
    lines = (line.strip() for line in text.split("\n"))
    return [{"url": tidy(line, MAX_URL)} for line in lines if line and not line.startswith("#")]


def _csv(path: Path, text: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise MdeasError(f"damaged CSV file: {path} ({error}); mend it") from error
    return [_named(row) for row in rows]


def _jsonl(path: Path, text: str) -> list[dict[str, str]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MdeasError(f"not JSON: {path} line {number}; mend or remove this line") from error
        rows.append(_named(value if isinstance(value, dict) else {"url": value}))
    return rows


def _named(row: dict[str | None, object]) -> dict[str, str]:
    """A row with our names for its columns."""
    named = {}
    for key, value in row.items():
        name = (key or "").strip().lower().replace(" ", "_")
        named[_COLUMNS.get(name, name)] = tidy(value, MAX_URL)
    return named


def _origin(row: dict[str, str], path: Path) -> Origin:
    texts = {name: tidy(row.get(name)) for name in ("page", "title", "author", "author_url", "licence_url")}
    licence = licence_code(tidy(row.get("licence")) or texts["licence_url"])
    # An address of a licence that is none of the known ones is no name for it.
    if not row.get("licence") and licence == texts["licence_url"].lower():
        licence = ""
    return Origin(url=row["url"], **texts, licence=licence, query=str(path), source=UrlList.name)
