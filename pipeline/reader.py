"""Random access to a finished data set: pixels by sample number, straight from the archives."""

from __future__ import annotations

import gc
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from . import images
from .index import MISSING, EntryIndex, SampleIndex, entry_index, sample_index
from .manifest import (
    BACKGROUNDS_NAME,
    SAMPLES_NAME,
    SPLITS,
    DatasetManifest,
    DepthInfo,
    Samples,
    background_name,
    read_depth_info,
    read_manifest,
    read_samples,
    sample_name,
    shard_count,
    shard_name,
)
from .shards import ShardReader

# Decoded backgrounds are kept up to this many bytes: a thousand of 224 x 224.
BACKGROUND_CACHE_BYTES = 150 * 1024 * 1024
# Files that a process has open besides the archives: libraries, logs, sockets.
_OTHER_FILES = 256


def _allow_open_files(count: int) -> None:
    """Let this process hold ``count`` archives open: many systems begin with a limit of 1,024 files."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage is collected within: a large set has thousands of records, and with torch loaded, one
    collection set off by making them takes ten times as long as they do.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class PictureCache:
    """The pictures asked for last, up to so many bytes; safe in threads."""

    def __init__(self, limit_bytes: int = BACKGROUND_CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pictures: OrderedDict[int, images.Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int, make: Callable[[int], images.Pixels]) -> images.Pixels:
        """Picture ``number``, by ``make(number)`` where it is not here; all must be of the same size."""
        with self._lock:
            found = self._pictures.get(number)
            if found is not None:
                self._pictures.move_to_end(number)
                return found
        # Without the lock: two threads may make the same picture, which costs less than waiting.
        made = make(number)
        with self._lock:
            self._pictures[number] = made
            while len(self._pictures) > 1 and len(self._pictures) * made.nbytes > self._limit_bytes:
                self._pictures.popitem(last=False)
        return made


class DatasetReader:
    """A finished data set; picklable, safe in threads and worker processes (no file position is shared)."""

    def __init__(self, root: Path) -> None:
        """Read ``dataset.json``; index and archives are opened when first asked for.

        Raises:
            MdeasError: If there is no finished data set at ``root``.
        """
        self.root = Path(root)
        with _collector_paused():
            self.manifest: DatasetManifest = read_manifest(self.root)
        self.size: int = int(self.manifest.options["size"])
        self._total: int = int(self.manifest.totals["samples"])
        _allow_open_files(3 * shard_count(self._total, self.manifest.samples_per_shard))
        self._lock = threading.Lock()
        self._indices: dict[str, EntryIndex] = {}
        self._archives: dict[tuple[str, int], ShardReader] = {}
        self._name_bytes: dict[str, int] = {}
        self._backgrounds = PictureCache()

    def __len__(self) -> int:
        """Number of samples."""
        return self._total

    def __getstate__(self) -> Path:
        """Only the path travels to another process."""
        return self.root

    def __setstate__(self, root: Path) -> None:
        """Open again."""
        self.__init__(root)  # type: ignore[misc]

    @cached_property
    def samples(self) -> Samples:
        """The whole sample table; of a large set, megabytes that reading pictures does not need."""
        samples = read_samples(self.root / SAMPLES_NAME)
        if len(samples) != len(self):
            raise MdeasError(
                f"the sample table has {len(samples)} rows for {len(self)} samples: "
                f"{self.root / SAMPLES_NAME}; run `mdeas verify`"
            )
        return samples

    @cached_property
    def _table(self) -> SampleIndex:
        return sample_index(self.root, len(self))

    @property
    def bg(self) -> NDArray[np.int32]:
        """The background of every sample."""
        return self._table.bg

    def indices(self, split: str) -> NDArray[np.int32]:
        """Numbers of the samples of a split, ascending; not to be written to."""
        if split not in SPLITS:
            raise MdeasError(f"no such split: {split}; choose one of {', '.join(SPLITS)}")
        number = SPLITS.index(split)
        start, stop = self._table.starts[number : number + 2]
        return self._table.by_split[start:stop]

    def background(self, bg_id: int) -> images.Pixels:
        """Background ``bg_id`` as RGB (S, S, 3); do not write into it, it is shared."""
        return self._backgrounds.get(bg_id, self.read_background)

    def read_background(self, bg_id: int) -> images.Pixels:
        """Background ``bg_id``, decoded anew."""
        return images.decode_png(self._bg_archive.read(background_name(bg_id, len(self.manifest.bg))))

    def fg_bg(self, index: int) -> images.Pixels:
        """The composite of a sample, RGB (S, S, 3)."""
        return images.decode_jpeg(self._encoded("fg_bg", index))

    def mask(self, index: int) -> images.Pixels:
        """The mask of a sample, (S, S) of 0 and 255."""
        return images.decode_mask(self._encoded("mask", index))

    def depth(self, index: int) -> NDArray[np.uint16]:
        """The depth label of a sample, (S, S) uint16; ``depth_info`` says what it means."""
        return images.decode_gray16(self._encoded("depth", index))

    def encoded(self, kind: str, index: int) -> bytes:
        """The file of sample ``index`` in the archives of ``kind``: fg_bg, mask or depth."""
        return bytes(self._encoded(kind, index))

    def _encoded(self, kind: str, index: int) -> bytes | memoryview:
        """``encoded`` without a copy, which for a depth label is a hundredth of decoding it."""
        if not 0 <= index < self._total:
            raise IndexError(f"expected a sample number below {len(self)}, got {index}")
        shard = index // self.manifest.samples_per_shard
        archive = self._archives.get((kind, shard))
        if archive is None:
            archive = self._archive(kind, shard)
        offset, size, crc = self._indices[kind].entries[index].item()
        if offset != MISSING:
            data = archive.read_at(offset, size, crc, self._name_bytes[kind])
            if data is not None:
                return data
        # Not in the index, or not as it says: the archive itself tells, or says what is wrong with it.
        with closing(ShardReader(self.root / shard_name(kind, shard))) as reader:
            return reader.read(sample_name(kind, index, len(self)))

    @property
    def depth_info(self) -> DepthInfo | None:
        """What the depth labels are; None before ``mdeas label-depth`` has ended."""
        with _collector_paused():
            return read_depth_info(self.root)

    @property
    def has_depth(self) -> bool:
        """Whether every sample has its depth label."""
        if self.depth_info is None:
            return False
        there = set(os.listdir(self.root))  # noqa: PTH208 - a thousand names, no paths
        shards = shard_count(len(self), self.manifest.samples_per_shard)
        return all(shard_name("depth", number) in there for number in range(shards))

    def _archive(self, kind: str, shard: int) -> ShardReader:
        """Open an archive, and make the index anew if it is not of this archive."""
        archive = ShardReader(self.root / shard_name(kind, shard))
        form = self.root, kind, len(self), self.manifest.samples_per_shard
        with self._lock:
            if kind not in self._indices:
                self._name_bytes[kind] = len(sample_name(kind, 0, len(self)).encode())
                self._indices[kind] = entry_index(*form)
            if not self._indices[kind].fits(shard, *archive.state()):
                self._indices[kind] = entry_index(*form, fresh=True)
            return self._archives.setdefault((kind, shard), archive)

    @cached_property
    def _bg_archive(self) -> ShardReader:
        return ShardReader(self.root / BACKGROUNDS_NAME)
