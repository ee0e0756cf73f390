"""Memory is used again only when no tensor shares it any more."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from mdeas.models.buffers import Buffers


def test_memory_comes_back_when_its_last_tensor_is_gone() -> None:
    buffers = Buffers()
    array, tensor = buffers.empty((4, 3), np.float32)
    where, part = tensor.data_ptr(), tensor.permute(1, 0)[1:]
    array[:] = 7
    del array, tensor
    other = buffers.empty((4, 3), np.float32)[1]
    other.fill_(1)
    assert other.data_ptr() != where
    assert bool((part == 7).all())
    view = part.numpy()
    del part
    assert buffers.empty((4, 3), np.float32)[1].data_ptr() != where
    assert (view == 7).all()
    del view
    assert buffers.empty((4, 3), np.float32)[1].data_ptr() == where


def test_other_shapes_and_types_have_their_own() -> None:
    buffers = Buffers()
    for shape, dtype in (((2, 2), np.uint8), ((4,), np.uint8), ((2, 2), np.float32)):
        array, tensor = buffers.empty(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype) == (tuple(tensor.shape), tensor.numpy().dtype)


def test_threads_never_share() -> None:
    buffers = Buffers()

    def use(number: int) -> bool:
        for _ in range(50):
            array, tensor = buffers.empty((64,), np.int64)
            array[:] = number
            del array
            if not bool(torch.all(tensor == number)):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(32)))


def test_nothing_travels() -> None:
    buffers = Buffers()
    buffers.empty((4,), np.uint8)
    assert pickle.loads(pickle.dumps(buffers))._free == {}
