"""Files for depth labels of single pictures: 16-bit PNG, or the network's own numbers as npy, EXR or HDF5."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .exr import decode_exr, encode_exr

Quantities = NDArray[np.float32]

FLOAT_BITS = 32
HDF5_DATASET = "depth"


@dataclass(frozen=True)
class FloatFormat:
    """A file of (H, W) float32, quantities as the network gives them."""

    suffix: str
    encode: Callable[[Quantities], bytes]
    decode: Callable[[bytes], Quantities]


def _encode_npy(values: Quantities) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _decode_npy(data: bytes) -> Quantities:
    return _checked(np.load(io.BytesIO(data), allow_pickle=False))


def _encode_hdf5(values: Quantities) -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.create_dataset(HDF5_DATASET, data=values, compression="gzip", shuffle=True)
    return memory.getvalue()


def _decode_hdf5(data: bytes) -> Quantities:
    with h5py.File(io.BytesIO(data), "r") as file:
        return _checked(file[HDF5_DATASET][()])


def _checked(values: NDArray[np.float32]) -> Quantities:
    if values.dtype != np.float32 or values.ndim != 2:
        raise MdeasError(f"no depth label: {values.shape} {values.dtype} instead of (H, W) float32")
    return values


FLOAT_FORMATS = {
    "npy": FloatFormat(".npy", _encode_npy, _decode_npy),
    "exr": FloatFormat(".exr", encode_exr, decode_exr),
    "hdf5": FloatFormat(".h5", _encode_hdf5, _decode_hdf5),
}
PNG = "png"
