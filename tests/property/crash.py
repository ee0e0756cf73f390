"""Ends a command at every call to the file system, and looks whether the same command goes on from there.

``python crash.py STAGE MODES ASSETS FOLDER EVERY`` prints a JSON object: how many calls there were, how often
the command was ended (at every EVERY-th, in one of MODES after the other), and what was wrong afterwards.
Modes:

kill    the process is gone before the call
torn    it is gone in the middle of the call: half of what was to be written is written
data    the power fails: what was written and not synced is lost, every name is there
names   the power fails: names that came, went or changed since their folder's last sync are as before, too
full    the disk is full from this call on: writing fails, the process lives

With the mode ``random``, EVERY is how often the command is to be killed by SIGKILL, at any moment, and often
again before it has ended once.

Every run is a fork of this process, which has imported everything and done nothing.
"""

# What pathlib calls is what is replaced here.
# ruff: noqa: PTH110, PTH112, PTH120, PTH208
from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet  # noqa: F401 - before the forks
from green_network import GreenNetwork
from mdeas import MdeasError
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.depth_archives import label_archives
from mdeas.pipeline.options import MakeDatasetConfig, RebuildConfig, VerifyConfig
from mdeas.pipeline.rebuild import rebuild
from mdeas.pipeline.repair import repair_dataset
from mdeas.pipeline.verify import verify_dataset  # noqa: F401 - before the forks

CRASHED, FAILED, ENDED = 77, 1, 0


class Disk:
    """Counts the calls below ``root`` that change something, and ends the process at one of them."""

    def __init__(self, root: Path, stop: int, mode: str, stash: Path) -> None:
        self.root, self.stop, self.mode, self.stash = str(root), stop, mode, stash
        self.calls = 0
        self.lock = threading.RLock()
        self.synced: dict[int, int] = {}  # bytes of an inode that survive a power cut
        self.dirty: dict[int, str] = {}  # inodes with more than that, and their names
        self.undo: list[tuple[str, Callable[[], object]]] = []  # by folder
        self.folders: dict[int, str] = {}  # open descriptors

    def step(self, do: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        with self.lock:
            self.calls += 1
            if self.mode == "full" and self.calls >= self.stop:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.calls == self.stop:
                if self.mode == "torn" and half is not None:
                    half()
                self.cut()
            return do()

    def cut(self) -> None:
        if self.mode in ("data", "names"):
            for inode, name in self.dirty.items():
                with contextlib.suppress(FileNotFoundError):
                    if REAL.stat(name).st_ino == inode:
                        REAL.truncate(name, self.synced.get(inode, 0))
        if self.mode == "names":
            for _, undo in reversed(self.undo):
                with contextlib.suppress(OSError):
                    undo()
        os._exit(CRASHED)

    def keep(self, name: str) -> str | None:
        """Another name of a file that is about to lose this one."""
        if self.mode != "names" or not os.path.exists(name):
            return None
        other = str(self.stash / str(len(os.listdir(self.stash))))
        REAL.link(name, other)
        return other

    def covers(self, name: object) -> bool:
        return isinstance(name, (str, os.PathLike)) and os.fspath(name).startswith(self.root)

    # -- what stands for the functions of os and io

    def open_file(self, name: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if not (self.covers(name) and "b" in mode and set(mode) & set("wa+x")):
            return REAL.open_file(name, mode, *rest, **more)
        path = os.fspath(name)

        def do() -> io.FileIO:
            is_new = not os.path.exists(path)
            raw = Raw(path, mode.replace("b", ""))
            raw.disk = self
            inode = os.fstat(raw.fileno()).st_ino
            if is_new:
                self.undo.append((os.path.dirname(path), lambda: REAL.unlink(path)))
            elif inode not in self.synced and inode not in self.dirty:
                self.synced[inode] = os.fstat(raw.fileno()).st_size
            return raw

        raw = self.step(do)
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def open(self, name: Any, flags: int, *rest: Any, **more: Any) -> int:
        do = lambda: REAL.open(name, flags, *rest, **more)  # noqa: E731
        descriptor: int = self.step(do) if self.covers(name) and flags & os.O_CREAT else do()
        if self.covers(name) and os.path.isdir(name):
            self.folders[descriptor] = os.fspath(name)
        return descriptor

    def close(self, descriptor: int) -> None:
        self.folders.pop(descriptor, None)
        REAL.close(descriptor)

    def fsync(self, descriptor: int) -> None:
        def do() -> None:
            REAL.fsync(descriptor)
            folder = self.folders.get(descriptor)
            if folder is not None:
                self.undo = [(where, undo) for where, undo in self.undo if where != folder]
            found = os.fstat(descriptor)
            self.synced[found.st_ino] = found.st_size
            self.dirty.pop(found.st_ino, None)

        self.step(do)

    def replace(self, source: Any, target: Any, **more: Any) -> None:
        if not self.covers(target):
            return REAL.replace(source, target, **more)
        old, new = os.fspath(source), os.fspath(target)

        def do() -> None:
            kept = self.keep(new)
            inode = REAL.stat(old).st_ino
            REAL.replace(old, new)
            if inode in self.dirty:
                self.dirty[inode] = new

            def undo() -> None:
                REAL.replace(new, old)
                if kept:
                    REAL.link(kept, new)

            self.undo.append((os.path.dirname(new), undo))

        return self.step(do)

    def unlink(self, name: Any, **more: Any) -> None:
        if not self.covers(name) and not more.get("dir_fd"):
            return REAL.unlink(name, **more)

        def do() -> None:
            kept = None if more.get("dir_fd") else self.keep(os.fspath(name))
            REAL.unlink(name, **more)
            if kept:
                self.undo.append((os.path.dirname(os.fspath(name)), lambda: REAL.link(kept, name)))

        return self.step(do)

    def mkdir(self, name: Any, *rest: Any, **more: Any) -> None:
        def do() -> None:
            REAL.mkdir(name, *rest, **more)
            self.undo.append((os.path.dirname(os.fspath(name)), lambda: REAL.rmdir(name)))

        return self.step(do) if self.covers(name) else REAL.mkdir(name, *rest, **more)

    def rmdir(self, name: Any, **more: Any) -> None:
        return self.step(lambda: REAL.rmdir(name, **more))

    def install(self) -> None:
        io.open = self.open_file  # type: ignore[assignment]
        for name in ("open", "close", "fsync", "replace", "unlink", "mkdir", "rmdir"):
            setattr(os, name, getattr(self, name))
        os.rename, os.remove = self.replace, self.unlink  # type: ignore[assignment]


REAL = SimpleNamespace(
    open_file=io.open, open=os.open, close=os.close, fsync=os.fsync, replace=os.replace, unlink=os.unlink,
    mkdir=os.mkdir, rmdir=os.rmdir, link=os.link, stat=os.stat, truncate=os.truncate,
)  # fmt: skip


class Raw(io.FileIO):
    """A file whose every write is a step."""

    disk: Disk

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")

        def do(part: memoryview = view) -> int:
            inode = os.fstat(self.fileno()).st_ino
            self.disk.dirty.setdefault(inode, str(self.name))
            return super(Raw, self).write(part)

        return int(self.disk.step(do, lambda: do(view[: len(view) // 2])))

    def truncate(self, size: int | None = None) -> int:
        return int(self.disk.step(lambda: super(Raw, self).truncate(size)))


# ---------------------------------------------------------------- the commands


def make(assets: Path, out: Path, placements: int = 140) -> None:
    """1,120 samples, the smallest there are: two archives a kind."""
    folders = {"fg": assets / "fg", "bg": assets / "bg", "out": out}
    make_dataset(MakeDatasetConfig(**folders, size=16, placements=placements, jobs=1))


def make_few(assets: Path, out: Path) -> None:
    """40 samples."""
    make(assets, out, placements=5)


def label(_assets: Path, out: Path) -> None:
    network: Any = GreenNetwork()
    label_archives(out, network, batch=10)


def mend(assets: Path, out: Path) -> None:
    """Every kind of damage, mended; then the commands for the rest."""
    with contextlib.suppress(MdeasError):  # an earlier run was ended while make-dataset was at work
        repair_dataset(VerifyConfig(dataset=out, jobs=1))
    make_few(assets, out)
    label(assets, out)


def again(assets: Path, out: Path) -> None:
    lock = out.parent / "dataset.lock.json"
    rebuild(RebuildConfig(lock=lock, fg=assets / "fg", bg=assets / "bg", out=out, jobs=1))


def damage(out: Path) -> None:
    for name in ("samples.parquet", "dataset.json", "depth.json"):
        (out / name).write_bytes(b"\0" * 50)
    for name, place in (("mask-00000.zip", 600), ("depth-00000.zip", 2000)):
        data = bytearray((out / name).read_bytes())
        data[place] ^= 1
        (out / name).write_bytes(data)
    os.truncate(out / "fg_bg-00000.zip", (out / "fg_bg-00000.zip").stat().st_size - 9)


STAGES = {"make": make, "label": label, "mend": mend, "again": again}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_fork(function: Callable[[], object]) -> int:
    process = os.fork()
    if not process:
        code = FAILED
        try:
            function()
            code = ENDED
        except MdeasError as error:
            code = CRASHED if "\n" not in str(error) else FAILED
        except OSError as error:  # the command line makes one line of it
            code = CRASHED if error.errno == errno.ENOSPC else FAILED
        finally:
            if code == FAILED:
                traceback.print_exc()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def prepare(stage: str, assets: Path, folder: Path) -> Path:
    """What the command finds when it starts."""
    start = folder / "start"
    start.mkdir()
    if stage != "make":
        in_fork(lambda: (make if stage == "again" else make_few)(assets, start))
        shutil.copy(start / "dataset.lock.json", folder)
    if stage == "mend":
        in_fork(lambda: label(assets, start))
        damage(start)
    if stage == "again":
        shutil.rmtree(start)
        start.mkdir()
    return start


def half_made(stage: str, out: Path, whole: dict[str, bytes]) -> list[str]:
    """Files that are not whole under their final name."""
    if stage == "mend":  # they are damaged to begin with
        return []
    # Labels add to these when they are finished.
    may_differ = {"dataset.lock.json", "samples.parquet"} if stage == "label" else set()
    there = content(out)
    return [name for name in whole if name in there and name not in may_differ and there[name] != whole[name]]


def different(there: dict[str, bytes], whole: dict[str, bytes]) -> str:
    return ", ".join(
        sorted(name for name in there.keys() | whole.keys() if there.get(name) != whole.get(name))
    )


def reset(start: Path, out: Path, stash: Path) -> None:
    for folder in (out, stash):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(start, out)
    stash.mkdir()


def main(stage: str, modes: list[str], assets: Path, folder: Path, every: int) -> None:
    run, out, stash, start = STAGES[stage], folder / "out", folder / "stash", prepare(stage, assets, folder)
    reset(start, out, stash)
    begun = time.monotonic()
    assert in_fork(lambda: run(assets, out)) == ENDED
    seconds, whole = time.monotonic() - begun, content(out)
    faults: list[str] = []

    def look(when: str, goes_on: bool = True) -> None:
        faults.extend(f"{when}: {name} is not whole" for name in half_made(stage, out, whole))
        if goes_on and in_fork(lambda: run(assets, out)) != ENDED:
            faults.append(f"{when}: does not go on")
        elif goes_on and content(out) != whole:
            faults.append(f"{when}: other bytes in {different(content(out), whole)}")

    if modes == ["random"]:
        moments, killed = random.Random(every), 0
        reset(start, out, stash)
        while killed < every:
            was_killed = killed_after(moments.uniform(0, 1.1 * seconds), lambda: run(assets, out))
            killed += was_killed
            goes_on = not was_killed or moments.random() < 0.3
            look(f"kill {killed}", goes_on)
            if goes_on:
                reset(start, out, stash)
        print(json.dumps({"calls": 0, "tried": killed, "faults": faults}))
        return
    stop, tried = 1, 0
    while True:
        reset(start, out, stash)
        mode = modes[tried % len(modes)]

        def disturbed(stop: int = stop, mode: str = mode) -> None:
            Disk(out, stop, mode, stash).install()
            run(assets, out)

        ended = in_fork(disturbed)
        if ended == ENDED:
            break
        tried += 1
        if ended != CRASHED:
            faults.append(f"{mode} at call {stop}: ended with {ended}")
        look(f"{mode} at call {stop}")
        stop += every
    print(json.dumps({"calls": stop - every, "tried": tried, "faults": faults}))


def killed_after(seconds: float, function: Callable[[], object]) -> bool:
    """Run it in a process that is killed after a while; false if it had ended before."""
    process = os.fork()
    if not process:
        with contextlib.suppress(BaseException):
            function()
        os._exit(ENDED)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
