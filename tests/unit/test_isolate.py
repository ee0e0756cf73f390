"""Workers that may die: a task that kills its worker is lost alone."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline import isolate
from mdeas.pipeline.isolate import Lost, run_isolated

# Tasks and functions are the standard library's: a worker finds them by name.


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_has_its_result(jobs: int) -> None:
    assert sorted(run_isolated(abs, range(-9, 1), jobs)) == list(range(10))
    assert list(run_isolated(abs, [], jobs)) == []


def test_a_task_that_crashes_is_lost_alone() -> None:
    results = list(run_isolated(ctypes.string_at, [b"good", 1, b"also good", 2], jobs=1))
    lost = [result for result in results if isinstance(result, Lost)]
    assert [result for result in results if not isinstance(result, Lost)] == [b"good", b"also good"]
    assert [(one.task, one.reason) for one in lost] == [
        (1, "decoding it crashed (SIGSEGV)"),
        (2, "decoding it crashed (SIGSEGV)"),
    ]


def test_a_process_that_ends_itself_is_told() -> None:
    assert list(run_isolated(os._exit, [7], jobs=1)) == [Lost(7, "decoding it crashed (exit code 7)")]


def test_a_task_that_hangs_is_given_up() -> None:
    started = time.monotonic()
    results = list(run_isolated(time.sleep, [600, 0.01], jobs=2, timeout_s=2))
    assert sorted(results, key=str) == [Lost(600, "decoding it took longer than 2 s"), None]
    assert time.monotonic() - started < 60


def test_an_exception_is_passed_on() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(run_isolated(int, ["1", "no number"], jobs=1))


def test_workers_that_cannot_begin_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "_serve", os._exit)  # with a pipe for an exit code it fails at once
    with pytest.raises(MdeasError, match="worker processes cannot start"):
        list(run_isolated(abs, [1], jobs=1))


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Workers do not run the script that starts them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from mdeas.pipeline.isolate import run_isolated\n"
        "print(sorted(run_isolated(abs, [-2, -1], 2)), __file__ is not None)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 2] True\n"


def test_leaving_early_stops_the_workers() -> None:
    results = run_isolated(time.sleep, [0, 600, 600], jobs=2)
    assert next(results) is None
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 30
