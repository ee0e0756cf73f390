"""Progress with rate and ETA on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

PLAIN_LINE_EVERY_S = 30.0


def _clock(seconds: float) -> str:
    """``75`` as ``1:15``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def announce(text: str) -> None:
    """One line on stderr: what begins now."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Counts ``total`` steps of a job; the rate and the ETA count only the steps of this run.

    Args:
        total: Steps of the whole job.
        label: What is being done, a few words.
        unit: What one step is, plural.
        done: Steps that an earlier run has left finished.
        quiet: Show nothing, as processes do that share the job with one that does.
    """

    def __init__(
        self, total: int, label: str, unit: str = "steps", done: int = 0, quiet: bool = False
    ) -> None:
        self._total = total
        self._label = label
        self._unit = unit
        self._done = done
        self._first = done
        self._start = self._last_line = time.monotonic()
        self._bar: Any = None
        self._quiet = quiet
        if sys.stderr.isatty() and not quiet:
            self._bar = tqdm(
                total=total, initial=done, desc=label, unit=f" {unit}", unit_scale=total >= 10_000,
                file=sys.stderr, mininterval=0.2, dynamic_ncols=True, leave=False,
            )  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def update(self, steps: int = 1, note: str = "") -> None:
        """Counts ``steps`` more as done; ``note`` is shown behind the figures."""
        self._done += steps
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(steps)
            return
        now = time.monotonic()
        if now - self._last_line >= PLAIN_LINE_EVERY_S and not self._quiet:
            self._last_line = now
            print(self._line(now, note), file=sys.stderr, flush=True)

    def _line(self, now: float, note: str) -> str:
        rate = (self._done - self._first) / max(now - self._start, 1e-9)
        eta = f", {_clock((self._total - self._done) / rate)} left" if rate > 0 else ""
        tail = f", {note}" if note else ""
        return f"{self._label}: {self._done:,}/{self._total:,} {self._unit}, {rate:,.3g}/s{eta}{tail}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
