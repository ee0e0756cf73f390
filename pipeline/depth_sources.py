"""Where labels of a data set come from, and the pictures that they are made of, by the number of the sample.

A source gives the labels of a micro-batch of samples: :class:`NetworkSource` asks the network about each
composite, ``depth_composed`` composes what it said of backgrounds and cut-outs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .images import Pixels, decode_gray16, decode_jpeg, decode_mask, decode_png
from .manifest import BACKGROUNDS_NAME, DatasetManifest, Samples, background_name, sample_name, shard_name
from .plan import plan_of
from .shards import ShardReader

if TYPE_CHECKING:
    from .depth import Labeller

# Archives that are open at a time: threads work on neighbours, and what is read of one is its directory.
OPEN_ARCHIVES = 8
# Micro-batches of labelled backgrounds that are kept: samples come background by background.
KEPT_CHUNKS = 4

Value = TypeVar("Value", np.uint8, np.uint16)


class Source(Protocol):
    """Labels by sample."""

    def quantities(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """What the labels of at most a micro-batch of samples stand for, (N, S, S); NaN where unknown."""
        ...


class Pictures:
    """The files of a data set, decoded, from any thread; memory does not grow with the set."""

    def __init__(self, folder: Path, manifest: DatasetManifest) -> None:
        """Archives are opened when first asked for."""
        self.size = int(manifest.options["size"])
        self.samples = int(manifest.totals["samples"])
        self.backgrounds = len(manifest.bg)
        self._folder, self._per_shard = folder, manifest.samples_per_shard
        self._plan = plan_of(manifest)
        self._open: OrderedDict[Path, ShardReader] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, start: int, stop: int) -> Samples:
        """What samples ``start`` to ``stop`` are made of."""
        return self._plan.rows(start, stop)

    def entries(self, shard: int) -> int:
        """Samples in archive ``shard``."""
        return min(self._per_shard, self.samples - shard * self._per_shard)

    def composite(self, number: int) -> Pixels:
        """RGB (S, S, 3)."""
        return self._sample("fg_bg", number, decode_jpeg)

    def mask(self, number: int) -> NDArray[np.bool_]:
        """(S, S), true where the object is."""
        return self._sample("mask", number, decode_mask) > 0

    def depth(self, number: int) -> NDArray[np.uint16]:
        """The stored label (S, S)."""
        return self._sample("depth", number, decode_gray16)

    def background(self, number: int) -> Pixels:
        """RGB (S, S, 3)."""
        path = self._folder / BACKGROUNDS_NAME
        name = background_name(number, self.backgrounds)
        return self._decoded(path, name, self._reader(path, self.backgrounds), decode_png)

    def forget(self, path: Path) -> None:
        """The archive at ``path`` is another one now."""
        with self._lock:
            self._open.pop(path, None)

    def _sample(self, kind: str, number: int, decode: Callable[[bytes], NDArray[Value]]) -> NDArray[Value]:
        shard = number // self._per_shard
        path = self._folder / shard_name(kind, shard)
        name = sample_name(kind, number, self.samples)
        return self._decoded(path, name, self._reader(path, self.entries(shard)), decode)

    def _reader(self, path: Path, entries: int) -> ShardReader:
        with self._lock:
            reader = self._open.get(path)
            if reader is None:
                reader = ShardReader(path)
                if len(reader) != entries:
                    raise MdeasError(
                        f"expected {entries} entries, found {len(reader)}: {path}; "
                        "run `mdeas verify` to see what is missing"
                    )
                self._open[path] = reader
                # Dropped, not closed: another thread may be reading; the last to let go closes it.
                if len(self._open) > OPEN_ARCHIVES:
                    self._open.popitem(last=False)
            self._open.move_to_end(path)
            return reader

    def _decoded(
        self, path: Path, name: str, reader: ShardReader, decode: Callable[[bytes], NDArray[Value]]
    ) -> NDArray[Value]:
        try:
            picture = decode(reader.read(name))
        except MdeasError as error:
            raise MdeasError(f"damaged picture: {path} ({name}); run `mdeas verify`") from error
        if picture.shape[:2] != (self.size, self.size):
            raise MdeasError(
                f"expected {self.size}x{self.size} pixels, found {picture.shape[1]}x{picture.shape[0]}: "
                f"{path} ({name}); run `mdeas verify`"
            )
        return picture


def padded(pictures: list[Pixels], count: int) -> Pixels:
    """Pictures as one array of ``count``, the last repeated.

    Kernels are chosen by shape: with every micro-batch full, a label depends on nothing but its picture.
    """
    return np.stack(pictures + [pictures[-1]] * (count - len(pictures)))


class NetworkSource:
    """What the network says of each composite."""

    def __init__(self, pictures: Pictures, labeller: Labeller) -> None:
        self._pictures, self._labeller = pictures, labeller

    def quantities(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """See :class:`Source`."""
        composites = [self._pictures.composite(number) for number in numbers]
        return self._labeller.answer(padded(composites, self._labeller.micro_batch))[: len(numbers)]


class Backgrounds:
    """What the network says of the bare backgrounds, each asked once in a while."""

    def __init__(self, pictures: Pictures, labeller: Labeller) -> None:
        self._pictures, self._labeller = pictures, labeller
        self._chunks: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def quantity(self, number: int) -> NDArray[np.float32]:
        """The network's answer (S, S) for background ``number``, NaN where it gave none."""
        chunk, row = divmod(number, self._labeller.micro_batch)
        with self._lock:
            if chunk not in self._chunks:
                self._chunks[chunk] = self.chunk(chunk)
                if len(self._chunks) > KEPT_CHUNKS:
                    self._chunks.popitem(last=False)
            self._chunks.move_to_end(chunk)
            return np.asarray(self._chunks[chunk][row], np.float32)

    def chunk(self, chunk: int) -> NDArray[np.float32]:
        """Answers for a micro-batch of backgrounds, (B, S, S)."""
        micro_batch = self._labeller.micro_batch
        first = chunk * micro_batch
        stop = min(first + micro_batch, self._pictures.backgrounds)
        pictures = [self._pictures.background(number) for number in range(first, stop)]
        return self._labeller.answer(padded(pictures, micro_batch))[: stop - first]
