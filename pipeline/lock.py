"""One writer a folder: a lock that the system gives back however its process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .. import MdeasError

try:
    import fcntl
except ImportError:  # no such lock on this system: two commands at once are then the user's care
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"
_BUSY = "another mdeas process is working on this data set"
_SHARED, _EXCLUSIVE, _WAITING = (
    (fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX) if fcntl else (0, 1, 2)
)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file; the file is removed in the end.

    Raises:
        MdeasError: If another process holds it or a part of it, or the folder cannot be written.
    """
    with _held(folder / LOCK_NAME, _EXCLUSIVE, f"{_BUSY}: {folder}"):
        for path in folder.glob(f"{LOCK_NAME}-*"):  # of parts that were killed
            path.unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def locked_part(folder: Path, part: tuple[int, int]) -> Iterator[None]:
    """Hold a part of the folder's work: meanwhile other parts may be held, this one and the whole may not.

    Parts of another division are refused too: they may have some of the same work.

    Raises:
        MdeasError: As ``locked``.
    """
    number, parts = part
    own = folder / f"{LOCK_NAME}-{number}-of-{parts}"
    with (
        _held(folder / LOCK_NAME, _SHARED, f"{_BUSY}: {folder}"),
        _held(own, _EXCLUSIVE, f"another mdeas process is working on part {number}/{parts}: {folder}"),
    ):
        for path in folder.glob(f"{LOCK_NAME}-*-of-*"):
            if path.name.rpartition("-")[2] != str(parts):
                refusal = f"another mdeas process is working on a part of another division: {path}"
                with _held(path, _EXCLUSIVE, refusal):
                    pass
        yield


@contextlib.contextmanager
def planning(folder: Path) -> Iterator[None]:
    """Hold, when its turn comes, what only one part may do at a time."""
    with _held(folder / f"{LOCK_NAME}-plan", _WAITING, ""):
        yield


@contextlib.contextmanager
def _held(path: Path, how: int, refusal: str) -> Iterator[None]:
    descriptor = _acquire(path, how, refusal)
    try:
        yield
    finally:
        try:
            if how != _SHARED:  # others hold it still
                with contextlib.suppress(OSError):
                    path.unlink()
        finally:
            os.close(descriptor)


def _acquire(path: Path, how: int, refusal: str) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise MdeasError(
                f"cannot write: {path.parent} ({error.strerror}); make the folder writable or choose another"
            ) from error
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, how)
            # The holder before us may have removed this very file after we had opened it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            os.close(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise MdeasError(f"{refusal}; wait for it to end") from error
