"""Memory for batches that is used again: fresh megabytes from the system cost a tenth of reading."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor


class Buffers:
    """Arrays for tensors; the memory of one comes back when the last tensor that shares it is gone.

    Safe in threads; of another object of this class in another process.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[tuple[int, ...], np.dtype[Any]], list[NDArray[Any]]] = {}

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[NDArray[Any], Tensor]:
        """An array of any content, and the tensor that shares its memory.

        Only the tensor keeps the memory: the array must not be used longer.
        """
        free = self._free.setdefault((shape, np.dtype(dtype)), [])
        try:
            memory = free.pop()  # one step, so no other thread can take the same
        except IndexError:
            memory = np.empty(shape, dtype)
        # numpy's own views refer to ``memory``, torch's tensors to what they were made from: it is gone when
        # they are.
        handle = memory.view()
        weakref.finalize(handle, free.append, memory).atexit = False
        return memory, torch.from_numpy(handle)

    def __reduce__(self) -> tuple[type[Buffers], tuple[()]]:
        """Nothing travels to another process."""
        return Buffers, ()
