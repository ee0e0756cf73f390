"""The same tasks as ``parallel.run``, on a dask cluster that exists already (extra ``dask``).

Not through joblib's dask backend: there, a task that always kills its worker makes the call wait for ever.
Here every task that can be done is done, and the others are named. Workers need no more than this package and
the folder that the tasks work in, under the same path.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import cv2

from .. import MdeasError, __version__
from .parallel import Cluster

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

CONNECT_S = 10
# A lost worker or a hiccup of the network costs another try, not the run.
_RETRIES = 2
# Tasks under way for each thread of the cluster: one at work and two on their way to it.
_AHEAD = 3
# How often a quiet cluster is asked whether it still has workers, and how long it may be without any.
_LOOK_EVERY_S = 2.0
_PATIENCE_S = 60.0
# A scheduler gives out a few hundred tasks a second, and many cores make more shards than that: then some go
# together, as long as each thread has this many turns, so that all end at about the same time.
_SHARES = 8
_MOST_TOGETHER = 16
# A full disk fails every task: no use in trying a hundred thousand.
_MOST_FAILURES = 100
_MOST_NAMED = 5


@functools.cache
def versions() -> dict[str, str]:
    """What decides the bytes that a worker makes."""
    found = {"mdeas": __version__, "opencv": cv2.__version__}
    for name in ("numpy", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def run_on_cluster(function: Callable[[T], R], tasks: Sequence[T], cluster: Cluster) -> Iterator[R]:
    """Results of ``function`` over ``tasks`` as they finish; ``str(task)`` is what a failure is named by.

    Args:
        function: As in ``parallel.run``.
        tasks: Sent a few at a time.
        cluster: Where to.

    Raises:
        MdeasError: If the cluster cannot do the work; in the end, if some of the tasks failed.
    """
    if not tasks:
        return
    with _connected(cluster.scheduler) as client:
        _check_workers(client, cluster)
        yield from _Work(client, cluster.scheduler, function).results(tasks)


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MdeasError(
            "--scheduler needs dask, which is not installed; pip install 'mdeas[dask]', or leave it out"
        ) from error
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MdeasError(
            f"no dask cluster: {scheduler} (no answer in {CONNECT_S} s); start one with `dask scheduler` and "
            "`dask worker`, or leave out --scheduler"
        ) from error
    with client:
        yield client


# ---------------------------------------------------------------- before the first task


@dataclass(frozen=True)
class _Sight:
    """What a worker is, and which of the paths it was asked for it does not see."""

    versions: dict[str, str]
    unseen: tuple[str, ...]


def _look(paths: Sequence[tuple[str, int]]) -> _Sight:
    """Runs on a worker: whether it sees each path, with that size."""
    unseen = []
    for path, size in paths:
        try:
            if Path(path).stat().st_size != size:
                unseen.append(path)
        except OSError:
            unseen.append(path)
    return _Sight(versions(), tuple(unseen))


def _check_workers(client: Client, cluster: Cluster) -> None:
    """Every worker is there, of our version, and sees the folder.

    Raises:
        MdeasError: Naming the first worker of which that is not so.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        raise MdeasError(
            f"the cluster has no workers: {cluster.scheduler}; start some with `dask worker ADDRESS`"
        ) from error
    token = cluster.folder / f".token-{uuid.uuid4().hex}"
    token.write_text(token.name)
    try:
        paths = [(str(path.absolute()), path.stat().st_size) for path in (token, *cluster.needs)]
        sights = client.run(_look, paths, on_error="return")
    finally:
        token.unlink(missing_ok=True)
    for worker, sight in sights.items():
        if not isinstance(sight, _Sight):
            raise MdeasError(
                f"a worker cannot run mdeas: {worker} ({_reason(sight)}); install mdeas {__version__} there"
            )
        _refuse_other(worker, sight.versions, versions())
        if sight.unseen:
            what = cluster.folder if Path(sight.unseen[0]).name == token.name else sight.unseen[0]
            raise MdeasError(
                f"a worker does not see the same files: {worker} ({what}); use a path that all machines share"
            )


def _refuse_other(worker: str, there: dict[str, str], here: dict[str, str]) -> None:
    for name, version in here.items():
        if there.get(name) != version:
            raise MdeasError(
                f"a worker has another version: {worker} ({name} {there.get(name, 'missing')}, here {version}"
                "); install the same on all machines: other versions may make other bytes"
            )


# ---------------------------------------------------------------- the tasks


@dataclass(frozen=True)
class _Call(Generic[T, R]):
    """What is sent to a worker. One that joined later was not checked: it refuses the task itself."""

    function: Callable[[T], R]
    versions: dict[str, str]

    def __call__(self, tasks: Sequence[T]) -> list[R]:
        _refuse_other("one that joined late", versions(), self.versions)
        cv2.setNumThreads(1)  # one thread a task: the cluster says how many tasks a worker has at a time
        return [self.function(task) for task in tasks]


@dataclass
class _Work(Generic[T, R]):
    """One run over the tasks of one command."""

    client: Client
    scheduler: str
    function: Callable[[T], R]
    _under_way: dict[Future, list[tuple[int, T]]] = field(default_factory=dict)
    _ended: queue.SimpleQueue[Future] = field(default_factory=queue.SimpleQueue)
    _failures: list[tuple[int, str]] = field(default_factory=list)
    _suspects: list[tuple[int, T]] = field(default_factory=list)
    _threads: int = 0
    _counted: float = float("-inf")
    _seen: float = field(default_factory=time.monotonic)  # when there were workers last

    def results(self, tasks: Sequence[T]) -> Iterator[R]:
        numbered = list(enumerate(tasks))
        size = max(1, min(_MOST_TOGETHER, len(tasks) // (_SHARES * max(1, self._count_threads()))))
        yield from self._run([numbered[first : first + size] for first in range(0, len(tasks), size)])
        # Of a group that failed, each by itself. And who shared a worker with a task that kills it may have
        # been blamed for that: once more, with nothing else under way.
        yield from self._run([[one] for one in self._taken()])
        yield from self._run([[one] for one in self._taken()], alone=True)
        if self._failures:
            raise MdeasError(self._verdict(len(tasks)))

    def _taken(self) -> list[tuple[int, T]]:
        suspects, self._suspects = self._suspects, []
        return suspects

    def _run(self, groups: Sequence[list[tuple[int, T]]], alone: bool = False) -> Iterator[R]:
        waiting = iter(groups)
        self._refill(waiting, alone)
        while self._under_way:
            try:
                future = self._ended.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                self._watch()
                continue
            group = self._under_way[future]
            try:
                results = future.result(timeout=_LOOK_EVERY_S)
            except CancelledError as error:
                raise self._lost() from error
            except Exception as error:  # whatever a task raised: it is named, and the others go on
                if future.status != "error":  # the result went with its worker: dask has it made again
                    self._ended.put(future)
                    self._watch()
                    continue
                self._note(group, error, alone)
            else:
                yield from results
            del self._under_way[future]
            self._refill(waiting, alone)

    def _refill(self, waiting: Iterator[list[tuple[int, T]]], alone: bool) -> None:
        if len(self._failures) >= _MOST_FAILURES:
            return
        room = (1 if alone else max(1, _AHEAD * self._count_threads())) - len(self._under_way)
        # range first: the other way round, zip takes a task that it then drops.
        for _, group in zip(range(room), waiting):  # noqa: B905
            call, tasks = _Call(self.function, versions()), [task for _, task in group]
            retries = _RETRIES if len(group) == 1 else 0  # of a group, each has its own tries afterwards
            future = self.client.submit(call, tasks, pure=False, retries=retries)
            self._under_way[future] = group
            future.add_done_callback(self._ended.put)

    def _count_threads(self) -> int:
        """Threads of the cluster, which may grow and shrink; asked for once in a while."""
        now = time.monotonic()
        if now - self._counted >= _LOOK_EVERY_S:
            self._counted = now
            self._threads = sum(self.client.nthreads().values())
            self._seen = now if self._threads else self._seen
        return self._threads

    def _watch(self) -> None:
        """Nothing has come for a while: are there workers?"""
        try:
            there = bool(self.client.nthreads())
        except OSError as error:
            raise self._lost() from error
        now = time.monotonic()
        self._seen = now if there else self._seen
        if now - self._seen > _PATIENCE_S:
            raise MdeasError(
                f"the cluster has no workers any more: {self.scheduler}; start some and run the same command "
                "again, it goes on from here"
            )

    def _note(self, group: list[tuple[int, T]], error: Exception, alone: bool) -> None:
        from distributed import KilledWorker

        killed = isinstance(error, KilledWorker)
        if len(group) > 1 or (killed and not alone):
            self._suspects += group
            return
        ((number, task),) = group
        reason = "its worker died each time: perhaps too little memory" if killed else _reason(error)
        self._failures.append((number, f"{task}: {reason}"))
        log.warning("%s", self._failures[-1][1])

    def _lost(self) -> MdeasError:
        return MdeasError(
            f"lost the dask cluster: {self.scheduler}; run the same command again, it goes on from here"
        )

    def _verdict(self, total: int) -> str:
        named = "; ".join(line for _, line in sorted(self._failures)[:_MOST_NAMED])
        more = len(self._failures) - _MOST_NAMED
        rest = "given up" if len(self._failures) >= _MOST_FAILURES else "the others are done"
        return (
            f"{len(self._failures)} of {total} tasks failed, {rest}: {named}"
            f"{f'; and {more} more' if more > 0 else ''}; "
            "run the same command again, it does only what is missing"
        )


def _reason(error: object) -> str:
    text = str(error).strip().partition("\n")[0]
    return text if isinstance(error, MdeasError) and text else f"{type(error).__name__}: {text}"
