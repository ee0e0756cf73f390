"""A data set as tensors, straight from its archives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from .. import MdeasError
from ..pipeline.depth_quantity import Quantity, check_quantity, refuse_mixture, to_quantity
from ..pipeline.images import Pixels
from ..pipeline.manifest import DepthInfo
from ..pipeline.reader import DatasetReader, PictureCache
from ..pipeline.threads import in_order
from .buffers import Buffers
from .metrics import LABEL_STEPS

HALF = 127  # of a mask's 255
Value = TypeVar("Value", np.uint8, np.uint16)
Number = TypeVar("Number", np.int32, np.int64)


class Sample(NamedTuple):
    """One sample, or a batch of them, ready for a network: float32 in 0..1."""

    bg: Tensor  # (3, H, W), or (B, 3, H, W)
    fg_bg: Tensor
    mask: Tensor  # (1, H, W) of 0 and 1, or (B, 1, H, W)
    depth: Tensor  # the 16-bit label / 65535, which depth.json explains, or the quantity that was asked for


class Batch(NamedTuple):
    """Samples as they are read: small until they are on the device."""

    bg: Tensor  # uint8 (B, 3, H, W), channels last in memory
    fg_bg: Tensor
    mask: Tensor  # uint8 (B, 1, H, W) of 0 and 255
    depth: Tensor  # float32 (B, 1, H, W) in 0..1, or a quantity

    def to(self, device: torch.device) -> Sample:
        """Floats in 0..1 on ``device``."""
        moved = [part.to(device, non_blocking=True) for part in self]
        pictures = [part.float().div_(255) for part in moved[:3]]
        return Sample(pictures[0], pictures[1], pictures[2], moved[3])


class Readable(Protocol):
    """What ``batches`` reads from."""

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """The samples at ``indices``, decoded into one batch."""


class FgBgDataset(Dataset[Sample]):
    """A split of a data set: ``bg``, ``fg_bg``, ``mask`` and ``depth`` as float tensors in 0..1.

    Safe in threads and in worker processes. ``read`` gives whole batches, which is what training uses.

    Args:
        path: The data set's folder.
        split: train, seen, new_bg, new_fg or new_both.
        size: Side of the tensors; None is the data set's own. Pictures and depth are resized by area
            (bilinear when growing); masks too, and cut at one half, so that they stay 0 or 1.
        limit: At most this many samples, a subset drawn with ``seed``.
        seed: Of that subset.
        depth: What ``depth`` holds: ``disparity``, ``depth`` or ``metres``; None is the stored value in 0..1.

    Raises:
        MdeasError: If there is no finished data set, it has no depth labels, or no such ones.
    """

    def __init__(
        self,
        path: Path | str,
        split: str = "train",
        size: int | None = None,
        limit: int | None = None,
        seed: int = 0,
        depth: Quantity | None = None,
    ) -> None:
        self.reader = DatasetReader(Path(path))
        if not self.reader.has_depth:
            raise MdeasError(f"no depth labels: {path}; run `mdeas label-depth --dataset {path}` first")
        self._info = self.depth_info
        if depth is not None:
            check_quantity(self._info, depth, path)
        self.split, self.depth = split, depth
        self.size = size or self.reader.size
        self.samples = subset(self.reader.indices(split), limit, seed)
        self._backgrounds = PictureCache()
        self._buffers = Buffers()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index`` of the split."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected an index below {len(self)}, got {index}")
        batch = self.read(np.asarray([index])).to(torch.device("cpu"))
        return Sample(*(part[0] for part in batch))

    def __add__(self, other: Dataset[Sample]) -> ConcatDataset[Sample]:
        """Both, one after the other.

        Raises:
            MdeasError: If their depths do not compare.
        """
        if isinstance(other, FgBgDataset):
            if self.depth != other.depth:
                raise MdeasError(f"two quantities of depth: {self.depth} and {other.depth}; ask for one")
            refuse_mixture(self.depth_info, other.depth_info, self.depth)
        return ConcatDataset([self, other])

    def __getstate__(self) -> dict[str, object]:
        """Everything but the decoded backgrounds."""
        return {**self.__dict__, "_backgrounds": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """As freshly made, in another process."""
        self.__dict__.update(state, _backgrounds=PictureCache())

    @property
    def depth_info(self) -> DepthInfo:
        """What the depth labels are."""
        info = self.reader.depth_info
        if info is None:
            raise MdeasError(f"no depth labels: {self.reader.root}; run `mdeas label-depth` first")
        return info

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """The samples at ``indices`` of the split, decoded into one batch."""
        count, size = len(indices), self.size
        picture, plane = (count, size, size, 3), (count, size, size)
        forms = ((picture, np.uint8), (picture, np.uint8), (plane, np.uint8), (plane, np.float32))
        made = [self._buffers.empty(shape, dtype) for shape, dtype in forms]
        bg, fg_bg, mask, depth = (array for array, _ in made)
        for row, number in enumerate(self.samples[indices]):
            sample = int(number)
            bg[row] = self._backgrounds.get(int(self.reader.bg[sample]), self._background)
            fg_bg[row] = _resize(self.reader.fg_bg(sample), size)
            mask[row] = _resize_mask(self.reader.mask(sample), size)
            depth[row] = _resize(self.reader.depth(sample), size)
            depth[row] /= LABEL_STEPS
        tensors = [tensor for _, tensor in made]
        if self.depth is not None:
            tensors[3] = torch.from_numpy(to_quantity(depth, self._info, self.depth))
        pictures = [tensor.permute(0, 3, 1, 2) for tensor in tensors[:2]]
        return Batch(pictures[0], pictures[1], tensors[2][:, None], tensors[3][:, None])

    def _background(self, number: int) -> Pixels:
        return _resize(self.reader.read_background(number), self.size)


def label_meaning(info: DepthInfo) -> dict[str, str | float | None]:
    """The part of ``depth.json`` that a trained network has to carry: what its depth output stands for."""
    return {
        "model": info.model,
        "kind": info.kind,
        "nearer": info.nearer,
        "unit": info.unit,
        "scale": info.scale,
        "offset": info.offset,
    }


def subset(numbers: NDArray[Number], limit: int | None, seed: int) -> NDArray[Number]:
    """``limit`` of ``numbers``, drawn with ``seed``, in their order; all of them without a limit."""
    if limit is None or limit >= len(numbers):
        return numbers
    chosen = np.random.default_rng([seed, len(numbers)]).choice(len(numbers), limit, replace=False)
    return numbers[np.sort(chosen)]


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch: a permutation that depends on nothing but its arguments."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches(
    dataset: Readable, order: NDArray[np.int64], batch_size: int, workers: int
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Batches in ``order``, each with its indices; ``workers`` threads decode ahead of their use.

    Threads, not processes: the codecs work outside the interpreter lock, and two threads read more samples
    a second than two worker processes, which have to send every batch. The result does not depend on
    ``workers``; 0 decodes in the calling thread.
    """
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if workers == 0:
        for chunk in chunks:
            yield chunk, dataset.read(chunk)
        return
    yield from in_order(dataset.read, iter(chunks), workers, ahead=workers + 2)


def _resize(pixels: NDArray[Value], size: int) -> NDArray[Value]:
    side = pixels.shape[0]
    if side == size:
        return pixels
    kind = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cast("NDArray[Value]", cv2.resize(pixels, (size, size), interpolation=kind))


def _resize_mask(mask: Pixels, size: int) -> Pixels:
    if mask.shape[0] == size:
        return mask
    # A pixel is what most of its area is: nearest neighbour would shift the mask by up to half a pixel.
    return np.where(_resize(mask, size) > HALF, np.uint8(255), np.uint8(0))
