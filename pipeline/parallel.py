"""One function over many tasks behind a plain iterator: joblib's loky processes, or a dask cluster."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from .. import MdeasError

T = TypeVar("T")
R = TypeVar("R")

# Shorter than it takes to start a new run.
_WATCH_EVERY_S = 0.1


@dataclass(frozen=True)
class Cluster:
    """A dask cluster: its scheduler's address, and what every worker must see under the same path.

    Args:
        scheduler: ``tcp://host:port``.
        folder: Where the tasks work.
        needs: Files that they need besides.
    """

    scheduler: str
    folder: Path
    needs: tuple[Path, ...] = ()


def usable_cores() -> int:
    """Cores that this process may use, which in a container is often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(jobs: int, tasks: int) -> int:
    """Processes for ``tasks`` tasks; ``jobs`` -1 means every usable core.

    Raises:
        MdeasError: If ``jobs`` is neither -1 nor positive.
    """
    if jobs != -1 and jobs < 1:
        raise MdeasError(f"bad number of jobs: --jobs {jobs}; give 1 or more, or -1 for every core")
    return max(1, min(usable_cores() if jobs == -1 else jobs, tasks))


def run(
    function: Callable[[T], R], tasks: Sequence[T], jobs: int, cluster: Cluster | None = None
) -> Iterator[R]:
    """Results of ``function`` over ``tasks`` as they finish, in no fixed order.

    Args:
        function: Top-level function (it is pickled by name), one task to one result.
        tasks: Handed out a few at a time.
        jobs: Processes; 1 stays in this process, -1 takes every usable core.
        cluster: Where to run instead of on this machine. There, threads of one process run ``function``.

    Raises:
        MdeasError: If a worker was killed; whatever ``function`` raises is passed on. On a cluster: in the
            end, naming the tasks that failed.
    """
    if cluster is not None:
        from .cluster import run_on_cluster  # here, because dask is an extra

        return run_on_cluster(function, tasks, cluster)
    workers = worker_count(jobs, len(tasks))
    return _in_process(function, tasks) if workers == 1 else _in_workers(function, tasks, workers)


def _single_threaded(function: Callable[[T], R], task: T) -> R:
    # loky limits BLAS through the environment; OpenCV has to be told.
    cv2.setNumThreads(1)
    return function(task)


def die_with(parent: int) -> None:
    """End this process soon after ``parent`` was killed: an orphan must not write beside a new run."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_process(function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    threads = cv2.getNumThreads()
    try:
        for task in tasks:
            yield _single_threaded(function, task)
    finally:
        cv2.setNumThreads(threads)


def _in_workers(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    with joblib.parallel_config(backend="loky", initializer=die_with, initargs=(os.getpid(),)):
        pool = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )
    call = joblib.delayed(functools.partial(_single_threaded, function))
    try:
        results = pool(call(task) for task in tasks)  # a worker may die before the first tasks are handed out
        try:
            yield from results
        finally:
            results.close()  # stops the workers at once if the caller left early or was interrupted
    except TerminatedWorkerError as error:
        raise MdeasError(
            "a worker process was killed: perhaps too little memory; "
            "run the same command again, it goes on from here (fewer --jobs need less memory)"
        ) from error
