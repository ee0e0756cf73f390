"""Random access to a finished data set: pixels by sample number, straight from the archives."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from . import images
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
_BACKGROUND_CACHE_BYTES = 150 * 1024 * 1024
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


class DatasetReader:
    """A finished data set; picklable, safe in worker processes (no file position is shared)."""

    def __init__(self, root: Path) -> None:
        """Read ``dataset.json``; archives are opened when first asked for.

        Raises:
            MdeasError: If there is no finished data set at ``root``.
        """
        self.root = Path(root)
        self.manifest: DatasetManifest = read_manifest(self.root)
        self.size: int = int(self.manifest.options["size"])
        self._total: int = int(self.manifest.totals["samples"])
        _allow_open_files(3 * shard_count(self._total, self.manifest.samples_per_shard))
        self._shards: dict[str, ShardReader] = {}
        self._backgrounds: OrderedDict[int, images.Pixels] = OrderedDict()

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
        """The sample table."""
        samples = read_samples(self.root / SAMPLES_NAME)
        if len(samples) != len(self):
            raise MdeasError(
                f"the sample table has {len(samples)} rows for {len(self)} samples: "
                f"{self.root / SAMPLES_NAME}; run `mdeas verify`"
            )
        return samples

    def indices(self, split: str) -> NDArray[np.int64]:
        """Numbers of the samples of a split, ascending."""
        if split not in SPLITS:
            raise MdeasError(f"no such split: {split}; choose one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.samples.split == split).astype(np.int64)

    def background(self, bg_id: int) -> images.Pixels:
        """Background ``bg_id`` as RGB (S, S, 3); do not write into it, it is shared."""
        pixels = self._backgrounds.get(bg_id)
        if pixels is None:
            name = background_name(bg_id, len(self.manifest.bg))
            pixels = images.decode_png(self._shard(BACKGROUNDS_NAME).read(name))
            while len(self._backgrounds) * pixels.nbytes >= _BACKGROUND_CACHE_BYTES:
                self._backgrounds.popitem(last=False)
        self._backgrounds[bg_id] = pixels
        self._backgrounds.move_to_end(bg_id)
        return pixels

    def fg_bg(self, index: int) -> images.Pixels:
        """The composite of a sample, RGB (S, S, 3)."""
        return images.decode_jpeg(self.encoded("fg_bg", index))

    def mask(self, index: int) -> images.Pixels:
        """The mask of a sample, (S, S) of 0 and 255."""
        return images.decode_mask(self.encoded("mask", index))

    def depth(self, index: int) -> NDArray[np.uint16]:
        """The depth label of a sample, (S, S) uint16; ``depth_info`` says what it means."""
        return images.decode_gray16(self.encoded("depth", index))

    def encoded(self, kind: str, index: int) -> bytes:
        """The file of sample ``index`` in the archives of ``kind``: fg_bg, mask or depth."""
        if not 0 <= index < len(self):
            raise IndexError(f"expected a sample number below {len(self)}, got {index}")
        shard = self._shard(shard_name(kind, index // self.manifest.samples_per_shard))
        return shard.read(sample_name(kind, index, len(self)))

    @property
    def depth_info(self) -> DepthInfo | None:
        """What the depth labels are; None before ``mdeas label-depth`` has ended."""
        return read_depth_info(self.root)

    @property
    def has_depth(self) -> bool:
        """Whether every sample has its depth label."""
        if self.depth_info is None:
            return False
        shards = shard_count(len(self), self.manifest.samples_per_shard)
        return all((self.root / shard_name("depth", number)).exists() for number in range(shards))

    def _shard(self, name: str) -> ShardReader:
        if name not in self._shards:
            self._shards[name] = ShardReader(self.root / name)
        return self._shards[name]
