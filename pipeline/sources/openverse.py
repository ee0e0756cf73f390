"""Openverse: some 800 million pictures under Creative Commons licences, by an interface that needs no key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from ... import MdeasError
from ..http_client import Client, FetchError
from ..ledger import CHANGES_ALLOWED, LICENCES, Origin, licence_code
from .base import MAX_URL, Kind, SourceError, tidy

# What it allows without an account: 20 results a page, 20 requests a minute.
PAGE_SIZE = 20
PAUSE_S = 3.0
MAX_ANSWER_BYTES = 4 << 20

# Cut-outs come in formats with alpha; backgrounds are photographs.
FILTERS: dict[Kind, dict[str, str]] = {
    "fg": {"extension": "png,webp"},
    "bg": {"category": "photograph"},
}


class Openverse:
    """Searches ``api.openverse.org``, whose terms allow programs: robots.txt of the interface is not asked.

    Args:
        base: Address of the interface.
        pause_s: Seconds between two requests.
    """

    name = "openverse"
    lists_all = False

    def __init__(self, base: str = "https://api.openverse.org", pause_s: float = PAUSE_S) -> None:
        self._base = base
        self._pause_s = pause_s

    def search(self, client: Client, query: str, kind: Kind, licences: tuple[str, ...]) -> Iterator[Origin]:
        """See ``Source``; without licences, all that allow changes, which a composite is."""
        wanted = licences or CHANGES_ALLOWED
        if unknown := [licence for licence in wanted if licence not in LICENCES]:
            raise MdeasError(f"openverse has no licence {unknown[0]}; --licence; use {', '.join(LICENCES)}")
        for page in itertools.count(1):
            fields = {"q": query, "license": ",".join(wanted), **FILTERS[kind]}
            fields |= {"page": str(page), "page_size": str(PAGE_SIZE)}
            try:
                answer = client.get(
                    f"{self._base}/v1/images/?{urlencode(fields)}",
                    "application/json",
                    MAX_ANSWER_BYTES,
                    robots=False,
                    pause_s=self._pause_s,
                )
            except FetchError as error:
                # In one of these ways it refuses to show more than a few hundred results without an account.
                if page > 1 and error.reason in {"HTTP 400", "HTTP 401", "HTTP 403", "HTTP 404"}:
                    return
                raise
            results, pages = _parse(answer.data)
            for result in results:
                origin = _origin(result, query)
                if origin.url and origin.licence in wanted:
                    yield origin
            if not results or page >= pages:
                return


def _parse(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Results and number of pages of an answer.

    Raises:
        SourceError: If it is no such answer.
    """
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError("its answer is no JSON: the interface may have changed") from error
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise SourceError("its answer has no list of results: the interface may have changed")
    if results and not any(isinstance(result.get("url"), str) for result in results):
        raise SourceError("its results have no addresses: the interface may have changed")
    pages = answer.get("page_count")
    return results, pages if isinstance(pages, int) else 1


def _origin(result: dict[str, Any], query: str) -> Origin:
    return Origin(
        url=tidy(result.get("url"), MAX_URL),
        page=tidy(result.get("foreign_landing_url"), MAX_URL),
        title=tidy(result.get("title")),
        author=tidy(result.get("creator")),
        author_url=tidy(result.get("creator_url")),
        licence=licence_code(tidy(result.get("license"))),
        licence_url=tidy(result.get("license_url")),
        query=query,
        source=Openverse.name,
    )
