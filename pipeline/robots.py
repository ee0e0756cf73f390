"""What a server allows a program: robots.txt (RFC 9309) and the header X-Robots-Tag."""

from __future__ import annotations

from collections.abc import Iterable

from protego import Protego

# The name by which rules for us are looked up.
AGENT = "mdeas"
# Said of a picture, each of these forbids to learn from it.
NO_AI = frozenset({"noai", "noimageai"})


class RobotsRules:
    """The rules of one host.

    Args:
        text: Its robots.txt; None where there is none: then everything is allowed.
        verdict: The word for the ledger: "allowed", "none" or "ignored".
    """

    def __init__(self, text: str | None, verdict: str) -> None:
        self._rules = None if text is None else Protego.parse(text)
        self.verdict = verdict

    @property
    def delay_s(self) -> float:
        """Seconds between two requests that the host asks for; 0 where it does not."""
        return float((self._rules and self._rules.crawl_delay(AGENT)) or 0)

    def allows(self, url: str) -> bool:
        """Whether we may fetch this address of the host."""
        return self._rules is None or bool(self._rules.can_fetch(url, AGENT))


def forbids_ai(tags: Iterable[str]) -> bool:
    """Whether ``X-Robots-Tag`` headers forbid use for AI, for everybody or for us by name.

    A header is a list of words, of which those behind ``name:`` are meant for that program alone.
    """
    for tag in tags:
        agent = "*"
        for word in tag.lower().split(","):
            name, colon, rest = word.partition(":")
            agent, word = (name.strip(), rest) if colon else (agent, word)
            if word.strip() in NO_AI and agent in {"*", AGENT}:
                return True
    return False
