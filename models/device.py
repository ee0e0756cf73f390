"""Where a network runs: chosen once, at the entry of a command."""

from __future__ import annotations

import torch

from .. import MdeasError


def choose_devices(names: str) -> list[torch.device]:
    """Devices with commas between them, such as ``cuda:0,cuda:1``, each as :func:`choose_device` takes it.

    Raises:
        MdeasError: If one is not here, or they are of several sorts, which round differently.
    """
    devices = [choose_device(name.strip()) for name in names.split(",")]
    if len({device.type for device in devices}) > 1:
        raise MdeasError(
            f"devices of several sorts: {names}; they round differently, use one sort (--device)"
        )
    return devices


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU; anything else is taken at its word.

    Raises:
        MdeasError: If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise MdeasError(f"no such device: {name}; use auto, cpu, cuda, cuda:N or mps (--device)") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MdeasError(
            f"no such device: {name}; CUDA devices: {torch.cuda.device_count()}; use --device auto or cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise MdeasError(f"no such device: {name}; this torch has no MPS; use --device auto or cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise MdeasError(f"no such device: {name}; use auto, cpu, cuda, cuda:N or mps (--device)")
    return device
