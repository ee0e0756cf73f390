"""Stopping a run between two steps, by Ctrl-C or as schedulers of clusters do it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted:
    """Turns the first Ctrl-C into a flag, so that a step is never cut in two; the second stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def note(self, _signal: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log.warning("stopping after this step; once more to stop at once")


@contextmanager
def noting_interrupts() -> Iterator[Interrupted]:
    """Signals as a flag within this block; as always where they cannot be caught (not the main thread)."""
    interrupted = Interrupted()
    try:
        before = [signal.signal(number, interrupted.note) for number in SIGNALS]
    except ValueError:
        yield interrupted
        return
    try:
        yield interrupted
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
