from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import cv2
import pytest
from joblib.externals.loky import reusable_executor
from mdeas import MdeasError
from mdeas.pipeline import parallel


def _square(number: int) -> int:
    return number * number


def _fail(number: int) -> int:
    if number == 3:
        raise MdeasError("three: is bad; do not")
    return number


def _die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class _Late(tuple[int, ...]):
    """Holds back what comes after the first two until the pool knows that one of them killed its worker."""

    def __iter__(self) -> Iterator[int]:
        yield from self[:2]
        while not reusable_executor._executor._flags.broken:
            time.sleep(0.01)
        yield from self[2:]


def _process(_: int) -> tuple[int, int]:
    time.sleep(0.05)
    return os.getpid(), cv2.getNumThreads()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_gives_its_result(jobs: int) -> None:
    assert sorted(parallel.run(_square, range(30), jobs)) == [number**2 for number in range(30)]
    assert list(parallel.run(_square, [], jobs)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_pass_through(jobs: int) -> None:
    with pytest.raises(MdeasError, match="three: is bad"):
        list(parallel.run(_fail, range(30), jobs))


def test_a_killed_worker_says_to_run_again() -> None:
    with pytest.raises(MdeasError, match=r"a worker process was killed.*run the same command again"):
        list(parallel.run(_die, range(30), 2))
    assert sorted(parallel.run(_square, range(4), 2)) == [0, 1, 4, 9]


@pytest.mark.timeout(60)
def test_a_worker_killed_before_every_task_is_handed_out_says_so_too() -> None:
    with pytest.raises(MdeasError, match="a worker process was killed"):
        list(parallel.run(_die, _Late([2, 2, 0, 1]), 2))


def test_one_job_stays_here_and_more_do_not() -> None:
    threads = cv2.getNumThreads()
    assert set(parallel.run(_process, range(3), 1)) == {(os.getpid(), 1)}
    assert cv2.getNumThreads() == threads
    others = set(parallel.run(_process, range(8), 2))
    assert os.getpid() not in {process for process, _ in others}
    assert {count for _, count in others} == {1}


def test_worker_count() -> None:
    assert parallel.worker_count(4, 2) == 2
    assert parallel.worker_count(-1, 10**6) == parallel.usable_cores()
    assert parallel.worker_count(1, 0) == 1
    for jobs in (0, -2):
        with pytest.raises(MdeasError, match=f"--jobs {jobs}"):
            parallel.worker_count(jobs, 5)
