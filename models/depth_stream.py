"""An endless, repeatable stream of rendered scenes: drawn by other processes into a ring on disk.

Scene ``i`` is a pure function of (seed, i). They are drawn in chunks; the ring holds the newest ones in two
memory-mapped files, and a third says which chunk each place holds, so that a restarted run finds its scenes
again. Which scenes a training step may use depends on the step alone, never on how fast they were drawn.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.parallel import die_with

Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]
DrawScene = Callable[[int, int, int, int], Scene]  # seed, index, height, width -> (H, W, 3), (H, W) metres

CHUNK = 64
_EMPTY = -1
_stop: Event | None = None  # in a drawing process: whether to leave a chunk half drawn


@dataclass(frozen=True)
class StreamConfig:
    """``draw`` is a module's own function; ``window`` scenes are held, ``ahead`` chunks drawn early."""

    draw: DrawScene
    seed: int
    folder: Path
    height: int
    width: int
    window: int
    ahead: int = 6
    processes: int = 1


class SceneRing:
    """The ring as a reader sees it; opens the files of ``folder``, which a :class:`SceneStream` made."""

    def __init__(self, folder: Path) -> None:
        """Map the files; pages are read when touched."""
        self._rgb = np.load(folder / "rgb.npy", mmap_mode="r")
        self._depth = np.load(folder / "depth.npy", mmap_mode="r")

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Scenes that ``SceneStream.need`` made available: (B, H, W, 3) uint8 and (B, H, W) metres."""
        rows = indices % len(self._rgb)  # whole chunks lie in order, so places follow from the number
        return self._rgb[rows], self._depth[rows]


class SceneStream:
    """The processes that fill the ring. Use as a context manager."""

    def __init__(self, config: StreamConfig) -> None:
        """Open or create the ring's files in ``config.folder`` and start the drawing processes."""
        self.config = config
        # A window may begin inside a chunk, and a batch that was asked for may not have been read yet.
        self._places = -(-config.window // CHUNK) + 2 + config.ahead
        config.folder.mkdir(parents=True, exist_ok=True)
        shape = (self._places * CHUNK, config.height, config.width)
        self._held = _open_map(config.folder / "held.npy", (self._places,), np.int64, _EMPTY)
        _open_map(config.folder / "rgb.npy", (*shape, 3), np.uint8, 0)
        _open_map(config.folder / "depth.npy", shape, np.float16, 0)
        self._pending: dict[int, Future[None]] = {}
        # spawn: a forked child would inherit torch's thread pools in an unknown state
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._pool = (
            ProcessPoolExecutor(config.processes, context, _start_worker, (os.getpid(), self._stop))
            if config.processes
            else None
        )

    def __enter__(self) -> SceneStream:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the drawing processes; the files stay."""
        if self._pool is not None:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)

    def need(self, first: int, last: int) -> None:
        """Wait until scenes ``first`` to ``last`` - 1 are drawn, and start the next ones.

        Raises:
            MdeasError: If a drawing process was killed.
        """
        chunks = range(first // CHUNK, -(-last // CHUNK))
        if len(chunks) >= self._places:
            raise ValueError(f"{len(chunks)} chunks do not fit into {self._places} places")
        stop = min(chunks.stop + self.config.ahead, chunks.start + self._places - 1)
        try:
            for chunk in range(chunks.start, stop):
                if chunk not in self._pending and self._held[chunk % self._places] != chunk:
                    self._start(chunk)
            for chunk in [chunk for chunk, drawn in self._pending.items() if drawn.done() or chunk in chunks]:
                self._pending.pop(chunk).result()
        except BrokenProcessPool as error:
            raise MdeasError(
                "a process that draws scenes was killed: perhaps too little memory; "
                "run the same command again, it goes on from the last checkpoint"
            ) from error

    def _start(self, chunk: int) -> None:
        config = self.config
        task = (config.draw, config.seed, chunk, chunk % self._places, config.folder)
        if self._pool is None:
            draw_chunk(*task)
        else:
            self._pending[chunk] = self._pool.submit(draw_chunk, *task)


def draw_chunk(draw: DrawScene, seed: int, chunk: int, place: int, folder: Path) -> None:
    """Draw the scenes of ``chunk`` into ``place`` of the ring in ``folder``, then say so."""
    held = np.load(folder / "held.npy", mmap_mode="r+")
    rgb = np.load(folder / "rgb.npy", mmap_mode="r+")
    depth = np.load(folder / "depth.npy", mmap_mode="r+")
    held[place] = _EMPTY
    _, height, width, _ = rgb.shape
    for i in range(CHUNK):
        if _stop is not None and _stop.is_set():
            return
        picture, metres = draw(seed, chunk * CHUNK + i, height, width)
        rgb[place * CHUNK + i] = picture
        depth[place * CHUNK + i] = np.minimum(metres, 1000.0)
    held[place] = chunk


def _start_worker(parent: int, stop: Event) -> None:
    global _stop
    _stop = stop
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run, which ends this process
    die_with(parent)


def _open_map(path: Path, shape: tuple[int, ...], dtype: type, fill: int) -> NDArray[Any]:
    """The array in ``path``, made anew and filled with ``fill`` where it is missing or of another shape."""
    if path.exists():
        held: NDArray[Any] = np.load(path, mmap_mode="r+")
        if held.shape == shape:
            return held
        del held
    created = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if fill:
        created[...] = fill
    return created
