"""What a source is: from a query to addresses of pictures, with all that is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Protocol

from ..http_client import Client
from ..ledger import Origin

Kind = Literal["fg", "bg"]

# Longer titles and names are cut: a ledger is read by people.
MAX_TEXT = 500
# Servers refuse longer addresses, which are mostly pictures in ``data:`` form anyway.
MAX_URL = 8000


class SourceError(Exception):
    """The answer of a source cannot be used: one line that says what was found instead."""


class Source(Protocol):
    """Finds addresses of pictures."""

    name: str
    lists_all: bool  # True where the query itself lists the pictures: then all of them are asked for

    def search(self, client: Client, query: str, kind: Kind, licences: tuple[str, ...]) -> Iterator[Origin]:
        """The pictures for a query, best first, asking for further pages only as they are needed.

        Args:
            client: Fetches the pages.
            query: What the user is looking for.
            kind: ``fg`` for cut-outs with alpha, ``bg`` for backgrounds.
            licences: Codes of the licences that are wanted; without any, what suits a data set.

        Raises:
            SourceError: If an answer has not the shape that it should have.
            FetchError: If there is no answer.
            MdeasError: If the source cannot do what is asked.
        """


def tidy(text: object, longest: int = MAX_TEXT) -> str:
    """A text from a stranger, fit for one line: no control characters, no broken Unicode, not endless."""
    if not isinstance(text, str):
        return ""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()[:longest]
