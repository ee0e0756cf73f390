"""Bing's picture search, read from its result pages as people see them: it has no open interface."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlencode

from ... import MdeasError
from ..http_client import Client
from ..ledger import Origin
from .base import MAX_URL, Kind, SourceError, tidy

PAGE_SIZE = 35
# More than this it does not show, whatever is asked for.
MAX_RESULTS = 1000
MAX_PAGE_BYTES = 8 << 20

# The parts of its filter by licence: its menu has L1 as "public domain", L2 to L7 as "free to share and use".
LICENCE_FILTERS = {
    "cc0": "L1",
    "pdm": "L1",
    "by": "L2",
    "by-sa": "L3",
    "by-nd": "L4",
    "by-nc": "L5",
    "by-nc-sa": "L6",
    "by-nc-nd": "L7",
}
TYPE_FILTERS: dict[Kind, str] = {"fg": "photo-transparent", "bg": "photo-photo"}

# Bounded, so that a quote that is never closed costs little.
_DESCRIPTION = re.compile(r"""\sm=(?:"([^"]{1,20000})"|'([^']{1,20000})')""")


class Bing:
    """Searches ``www.bing.com``, as far as its robots.txt allows.

    It filters by licence, but does not say which one a picture has: the ledger leaves it empty.

    Args:
        base: Address of the site.
    """

    name = "bing"
    lists_all = False

    def __init__(self, base: str = "https://www.bing.com") -> None:
        self._base = base

    def search(self, client: Client, query: str, kind: Kind, licences: tuple[str, ...]) -> Iterator[Origin]:
        """See ``Source``; without licences, whatever there is."""
        filters = _filters(kind, licences)
        seen: set[str] = set()
        first = 1
        while first <= MAX_RESULTS:
            fields = {
                "q": query,
                "first": str(first),
                "count": str(PAGE_SIZE),
                "adlt": "strict",
                "qft": filters,
            }
            page = client.get(f"{self._base}/images/async?{urlencode(fields)}", "text/html", MAX_PAGE_BYTES)
            found = _parse(page.data.decode("utf-8", "replace"), query)
            if not found and first == 1:
                size = f"{len(page.data):,} bytes"
                raise SourceError(
                    f"no picture in its page of {size}: nothing matches, or the page has changed"
                )
            new = [origin for origin in found if origin.url not in seen]
            if not new:
                return
            seen |= {origin.url for origin in new}
            first += len(found)
            yield from new


def _filters(kind: Kind, licences: tuple[str, ...]) -> str:
    """The field ``qft``; in an address the blanks become ``+``."""
    if unknown := [licence for licence in licences if licence not in LICENCE_FILTERS]:
        raise MdeasError(f"bing has no filter for {unknown[0]}; --licence; use {', '.join(LICENCE_FILTERS)}")
    filters = f" filterui:{TYPE_FILTERS[kind]}"
    if groups := sorted({LICENCE_FILTERS[licence] for licence in licences}):
        filters += f" filterui:license-{'_'.join(groups)}"
    return filters


def _parse(html: str, query: str) -> list[Origin]:
    """The pictures of a result page: JSON in an attribute ``m`` describes each, its address is ``murl``."""
    found: dict[str, Origin] = {}
    for match in _DESCRIPTION.finditer(html):
        try:
            values = json.loads(unescape(match.group(1) or match.group(2)))
        except (ValueError, RecursionError):
            continue
        url = tidy(values.get("murl"), MAX_URL) if isinstance(values, dict) else ""
        if url:
            found[url] = Origin(
                url=url,
                page=tidy(values.get("purl"), MAX_URL),
                title=tidy(values.get("t")),
                query=query,
                source=Bing.name,
            )
    return list(found.values())
