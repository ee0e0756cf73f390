"""Fetch candidate pictures from a source, each with its origin and licence in the folder's ledger."""

from __future__ import annotations

import datetime
import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from pathlib import Path

from .. import MdeasError
from .http_client import Client, Fetched, FetchError
from .ledger import (
    ASSETS_NAME,
    FAILURES_NAME,
    Failure,
    LedgerEntry,
    LedgerWriter,
    Origin,
    licence_code,
    read_assets,
    read_failures,
    write_failures,
)
from .lock import locked
from .manifest import write_bytes
from .options import CrawlConfig
from .picture_header import NotAPictureError, read_header
from .progress import Progress
from .shards import PART_SUFFIX
from .sources import SOURCES
from .sources.base import Source, SourceError
from .sources.urls import UrlList

DEFAULT_LIMIT = 100
ACCEPT = "image/png,image/webp,image/jpeg,image/*;q=0.8"
DUPLICATE = "duplicate"


@dataclass(frozen=True)
class QueryReport:
    """One query: pictures that were asked for, that are there, and that are new."""

    query: str
    asked: int
    held: int
    new: int


@dataclass(frozen=True)
class CrawlReport:
    """What a crawl brought: pictures and bytes of this run, addresses that failed by reason."""

    folder: str
    source: str
    asked: int
    held: int
    new: int
    new_bytes: int
    seconds: float
    queries: tuple[QueryReport, ...]
    failures: dict[str, int]

    def summary(self) -> str:
        """A line a query, then what failed."""
        lines = [
            f"{self.folder}: {self.new:,} new pictures ({self.new_bytes / 1e6:,.1f} MB) from {self.source} "
            f"in {self.seconds:,.0f} s"
        ]
        lines += [f"  {q.query}: {q.held:,} of {q.asked:,}, {q.new:,} new" for q in self.queries]
        if self.failures:
            lines.append(f"  not kept: {_counts(self.failures)}; each is in {FAILURES_NAME}")
        return "\n".join(lines)


def crawl(config: CrawlConfig, client: Client | None = None, source: Source | None = None) -> CrawlReport:
    """Fetch pictures for every query until there are as many as asked for, into ``out``/``kind``.

    What is in the ledger is not fetched again; what failed is tried again. It may be stopped at any time.

    Args:
        config: The options.
        client: Fetches; None makes one from the options.
        source: Finds addresses; None is the one that the options name.

    Raises:
        MdeasError: If fewer pictures came than were asked for, after all that came is kept.
    """
    if config.source not in SOURCES:
        raise MdeasError(f"no such source: {config.source}; --source; use one of {', '.join(SOURCES)}")
    if not config.queries:
        raise MdeasError("nothing to look for; QUERY; name one or more things, or with --source urls a file")
    if not (config.contact.isascii() and config.contact.isprintable()):
        raise MdeasError(f"not plain text: {config.contact!r}; --contact; use letters that fit a header line")
    source = source or SOURCES[config.source]()
    client = client or Client(
        allow_private=config.allow_private, ignore_robots=config.ignore_robots, contact=config.contact
    )
    folder = config.out / config.kind
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with locked(folder), _Harvest(config, client, source, folder) as harvest:
        queries = tuple(harvest.gather(query) for query in dict.fromkeys(config.queries))
    report = CrawlReport(
        folder=str(folder),
        source=source.name,
        asked=sum(query.asked for query in queries),
        held=sum(query.held for query in queries),
        new=sum(query.new for query in queries),
        new_bytes=harvest.new_bytes,
        seconds=round(time.monotonic() - start, 3),
        queries=queries,
        failures=dict(harvest.reasons.most_common()),
    )
    if any(query.held < query.asked for query in queries):
        raise MdeasError(_shortage(report, harvest.problems))
    return report


def _counts(failures: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in failures.items())


def _shortage(report: CrawlReport, problems: list[str]) -> str:
    """The one line that says what is missing, why, and what to do."""
    short = [f"{q.query} {q.held:,} of {q.asked:,}" for q in report.queries if q.held < q.asked]
    parts = [
        f"only {report.held:,} of {report.asked:,} pictures came ({', '.join(short)})",
        report.folder,
        *problems,
    ]
    if report.failures:
        parts.append(f"not kept: {_counts(report.failures)} (each is in {FAILURES_NAME})")
    return "; ".join(
        [*parts, "run the same command to try those again, or use other words or another source"]
    )


class _Harvest:
    """Fills one folder: holds its ledgers, the downloads under way and the counts of this run."""

    def __init__(self, config: CrawlConfig, client: Client, source: Source, folder: Path) -> None:
        self._config = config
        self._client = client
        self._source = source
        self._folder = folder
        self._licences = tuple(dict.fromkeys(licence_code(licence) for licence in config.licence))
        for part in folder.glob(f"*{PART_SUFFIX}"):  # of a killed run: we hold the lock
            part.unlink()
        there = [entry for entry in read_assets(folder) if _is_there(folder, entry)]
        self._entries = {entry.url: entry for entry in there}
        self._files = {entry.sha256: entry.file for entry in there}
        failures = {failure.url: failure for failure in read_failures(folder)}
        self._failures = {url: failure for url, failure in failures.items() if url not in self._entries}
        self._tried: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self.problems: list[str] = []
        self.new = 0
        self.new_bytes = 0

    def __enter__(self) -> _Harvest:
        self._assets_file: LedgerWriter[LedgerEntry] = LedgerWriter(self._folder / ASSETS_NAME)
        self._failures_file: LedgerWriter[Failure] = LedgerWriter(self._folder / FAILURES_NAME)
        self._pool = ThreadPoolExecutor(self._config.parallel, thread_name_prefix="crawl")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._client.stop()
        self._pool.shutdown(cancel_futures=True)
        self._assets_file.close()
        self._failures_file.close()
        write_failures(self._folder, self._failures.values())

    def gather(self, query: str) -> QueryReport:
        """Fetch for one query until enough is there or the source has no more."""
        limit = self._config.limit
        if self._source.lists_all:
            listed = list(self._source.search(self._client, query, self._config.kind, self._licences))
            asked = min(limit or len(listed), len(listed))
            held = sum(self._is_held(origin) for origin in listed)
            origins = iter(listed)
        else:
            asked = limit or DEFAULT_LIMIT
            held = sum(e.query == query and e.source == self._source.name for e in self._entries.values())
            origins = self._candidates(query)
        new_before = self.new
        with Progress(max(asked, held), f"crawl {query}", "pictures", done=held) as progress:
            for _ in self._fetch(origins, query, asked - held):
                held += 1
                progress.update()
        return QueryReport(query, asked, held, self.new - new_before)

    def _is_held(self, origin: Origin) -> bool:
        """Whether the picture of this address is there, under this address or another one."""
        failure = self._failures.get(origin.url)
        duplicate = failure is not None and failure.reason == DUPLICATE and failure.sha256 in self._files
        return duplicate or origin.url in self._entries

    def _candidates(self, query: str) -> Iterator[Origin]:
        """What failed before, then what the source finds."""
        for failure in list(self._failures.values()):
            fits = failure.query == query and failure.source == self._source.name
            if fits and (not self._licences or failure.licence in self._licences):
                yield failure
        yield from self._source.search(self._client, query, self._config.kind, self._licences)

    def _fetch(self, origins: Iterator[Origin], query: str, missing: int) -> Iterator[None]:
        """Download, several at a time and never more than are missing; yields once a picture that came."""
        pending: dict[Future[Fetched], Origin] = {}
        while True:
            while len(pending) < min(self._config.parallel, missing):
                origin = self._next(origins, query)
                if origin is None:
                    break
                pending[self._pool.submit(self._client.get, origin.url, ACCEPT)] = origin
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                if self._settle(pending.pop(future), future):
                    missing -= 1
                    yield

    def _next(self, origins: Iterator[Origin], query: str) -> Origin | None:
        """The next address that was not tried yet; None where there is no more or the source fails."""
        while True:
            try:
                origin = next(origins, None)
            except (SourceError, FetchError) as error:
                self.problems.append(f"{self._source.name}, {query}: {error}")
                return None
            if origin is None:
                return None
            if self._is_held(origin):
                held = self._entries.get(origin.url)
                self.reasons["held for another query"] += held is not None and held.query != query
            elif origin.url not in self._tried:
                self._tried.add(origin.url)
                return origin

    def _settle(self, origin: Origin, download: Future[Fetched]) -> bool:
        """Keep what a download brought, or note why not; whether the picture of this address is there now."""
        try:
            fetched = download.result()
            extension, width, height = read_header(fetched.data)
            if min(width, height) < self._config.min_size:
                raise FetchError("too small", f"{width}x{height}")
        except FetchError as error:
            self._fail(origin, error.reason, error.detail)
            return False
        except NotAPictureError as error:
            self._fail(origin, "not a picture", str(error))
            return False
        sha256 = hashlib.sha256(fetched.data).hexdigest()
        if sha256 in self._files:
            self._fail(origin, DUPLICATE, f"same as {self._files[sha256]}", sha256)
            return self._source.lists_all
        name = (
            f"{_slug(origin)}-{hashlib.sha256(origin.url.encode()).hexdigest()[:10]}-{sha256[:10]}{extension}"
        )
        write_bytes(self._folder / name, fetched.data)
        entry = LedgerEntry(
            **_plain(origin),
            file=name,
            sha256=sha256,
            bytes=len(fetched.data),
            width=width,
            height=height,
            date=_now(),
            robots=fetched.robots,
        )
        self._assets_file.append(entry)
        self._entries[origin.url] = entry
        self._files[sha256] = name
        self._failures.pop(origin.url, None)
        self.new += 1
        self.new_bytes += len(fetched.data)
        return True

    def _fail(self, origin: Origin, reason: str, detail: str, sha256: str = "") -> None:
        failure = Failure(**_plain(origin), reason=reason, detail=detail, sha256=sha256, date=_now())
        self._failures_file.append(failure)
        self._failures[origin.url] = failure
        self.reasons[reason] += 1


def _is_there(folder: Path, entry: LedgerEntry) -> bool:
    """Whether the entry's file is there, with as many bytes as it should have."""
    path = folder / entry.file
    return bool(entry.file) and path.is_file() and entry.bytes in {0, path.stat().st_size}


def _plain(origin: Origin) -> dict[str, str]:
    """The fields of an origin, also of a failure that is tried again."""
    return {field.name: getattr(origin, field.name) for field in fields(Origin)}


def _slug(origin: Origin) -> str:
    """The query as part of a file name."""
    text = Path(origin.query).stem if origin.source == UrlList.name else origin.query
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "picture"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
