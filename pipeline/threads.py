"""One function over many tasks on the threads of this process, and its memory given back."""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_M_ARENA_MAX = -8  # of glibc's malloc.h


def in_order(
    function: Callable[[T], R], tasks: Iterator[T], threads: int, ahead: int
) -> Generator[tuple[T, R], None, None]:
    """Each task with its result, in the order of the tasks, with at most ``ahead`` of them under way."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mdeas")
    try:
        for task in tasks:
            waiting.append((task, pool.submit(function, task)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def share_heaps(threads: int) -> None:
    """Makes ``threads`` threads share a few heaps of the C library, where it is glibc, from now on.

    Otherwise most have one of their own, which keeps what its thread has freed from all others.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, max(2, threads // 4))


def give_back_memory() -> None:
    """Returns what the C library keeps of freed memory to the system, where it is one that can (glibc)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
