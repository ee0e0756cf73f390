"""One function over many tasks in worker processes that may die: who kills its worker is lost alone.

``parallel.run`` is for tasks that we trust. Here a decoder may crash or hang on a hostile file: the task then
ends as ``Lost`` with the reason, a fresh worker takes its place, and the run goes on.
"""

from __future__ import annotations

import contextlib
import enum
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import cv2

from .. import MdeasError
from .parallel import worker_count

T = TypeVar("T")
R = TypeVar("R")

# Far beyond what the largest picture that is let through needs.
TIMEOUT_S = 120.0
_messages: io.FileIO | None = None


class _Ready(enum.Enum):
    """What a worker says first: one that cannot even begin is told from one that a task has killed."""

    READY = 0


@dataclass(frozen=True)
class Lost(Generic[T]):
    """A task that ended without a result, and why."""

    task: T
    reason: str


def standard_error() -> io.FileIO | None:
    """In a worker, the file behind its standard error, where C libraries write; None elsewhere."""
    return _messages


def run_isolated(
    function: Callable[[T], R], tasks: Sequence[T], jobs: int, timeout_s: float = TIMEOUT_S
) -> Iterator[R | Lost[T]]:
    """Results of ``function`` over ``tasks`` as they finish, each from a process that may die over it.

    Args:
        function: Top-level function (it is pickled by name); what it raises is passed on.
        tasks: Handed out one at a time.
        jobs: Processes, at least one besides this; -1 takes every usable core.
        timeout_s: A task that takes longer is given up and its worker killed.
    """
    if not tasks:
        return
    waiting = list(reversed(tasks))
    workers: list[_Worker[T]] = []
    try:
        for _ in range(worker_count(jobs, len(tasks))):
            workers.append(_Worker(function))
            workers[-1].give(waiting.pop())
        while busy := [worker for worker in workers if worker.task is not None]:
            nearest = min(worker.started for worker in busy) + timeout_s - time.monotonic()
            ready = set(wait([worker.pipe for worker in busy], timeout=max(nearest, 0)))
            for position, worker in enumerate(workers):
                if worker.task is None:
                    continue
                if worker.pipe in ready:
                    outcome: Any = worker.take(worker.task)
                    if outcome is _Ready.READY:
                        continue  # it has only said that it is there
                elif time.monotonic() - worker.started >= timeout_s:
                    outcome = Lost(worker.task, f"decoding it took longer than {timeout_s:g} s")
                else:
                    continue
                if isinstance(outcome, Lost):
                    worker.kill()
                    workers[position] = worker = _Worker(function)
                worker.task = None
                if waiting:
                    worker.give(waiting.pop())
                yield outcome
    finally:
        for worker in workers:
            worker.kill()


class _Worker(Generic[T]):
    """A process with a pipe, and the task it is busy with."""

    def __init__(self, function: Callable[[T], Any]) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = _context().Process(target=_serve, args=(theirs, function), daemon=True)
        with _main_left_out():
            self.process.start()
        theirs.close()  # so that the death of the process is the end of the pipe
        self.task: T | None = None
        self.started = 0.0
        self.is_ready = False

    def give(self, task: T) -> None:
        self.task, self.started = task, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it died before: take() will see the end
            self.pipe.send(task)

    def take(self, task: T) -> Any:
        """The result, or ``Lost`` if the process has died over the task; first of all, ``READY``."""
        try:
            result, error = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return Lost(task, f"decoding it crashed ({self._death()})")
        if error is not None:
            raise error
        if result is _Ready.READY:
            self.is_ready = True
        return result

    def _death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode or 0
        if not self.is_ready:
            raise MdeasError(f"worker processes cannot start: exit code {code}; run with --debug to see why")
        if code == -signal.SIGKILL:
            return "killed: perhaps too little memory"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _context() -> Any:
    """Workers come from a clean server process with the modules loaded: a fresh one costs milliseconds."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mdeas.pipeline.cleaning"])
    return context


@contextlib.contextmanager
def _main_left_out() -> Iterator[None]:
    """Keep ``multiprocessing`` from running the caller's script again in every worker."""
    main = sys.modules["__main__"]
    spec, file = main.__spec__, main.__dict__.pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """The life of a worker: one task, one answer, until the pipe closes."""
    global _messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    cv2.setNumThreads(1)
    with tempfile.TemporaryFile(buffering=0) as file:
        os.dup2(file.fileno(), 2)  # decoders in C tell of damage there, and only there
        _messages = file
        pipe.send((_Ready.READY, None))
        while True:
            try:
                task = pipe.recv()
            except (EOFError, OSError):
                return
            answer: tuple[Any, Exception | None]
            try:
                answer = (function(task), None)
            except Exception as error:
                answer = (None, error)
            try:
                pipe.send(answer)
            except BrokenPipeError:
                return
