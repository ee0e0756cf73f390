"""Where a network is trained: device, precision, and the processes that share a batch.

One process needs torch alone. Several, started by ``torchrun -m -- mdeas train``, are brought together by
accelerate, on CPUs, GPUs and nodes alike: each takes its part of every batch, gradients are averaged, batch
norm counts the whole batch, and the first process alone measures and writes. What comes out is that of one
process up to rounding, as far as the loss is a mean over samples.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

from .. import MdeasError
from .device import choose_device

T = TypeVar("T")

PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Engine:
    """The processes of a run as this one sees them.

    Args:
        device: As in ``--device``; several processes take a GPU each, or all the CPU.
        precision: auto, float32, bf16 or fp16; auto is bf16 on GPUs that have it and float32 elsewhere.

    Raises:
        MdeasError: For an unknown device or precision, or several processes without accelerate.
    """

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        if precision not in ("auto", *PRECISIONS):
            raise MdeasError(
                f"no precision is called {precision!r}; there are: auto, {', '.join(PRECISIONS)}; "
                "choose with --precision"
            )
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self._accelerator = _accelerator(device) if self.processes > 1 else None
        self.device: torch.device = (
            choose_device(device) if self._accelerator is None else self._accelerator.device
        )
        if precision == "auto":
            has_bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
            precision = "bf16" if has_bf16 else "float32"
        self.dtype: torch.dtype | None = PRECISIONS[precision]

    @property
    def is_main(self) -> bool:
        """Whether this process measures and writes."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the network's forward pass; losses stay in float32, outside of it."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps gradients of fp16 in its range; does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)

    def share_batch(self, count: int) -> slice:
        """The part of a batch of ``count`` that is this process's."""
        part = count // self.processes
        return slice(self.rank * part, (self.rank + 1) * part)

    def distribute(self, network: nn.Module) -> nn.Module:
        """``network`` with gradients averaged over all processes; its batch norms are replaced in place."""
        if self._accelerator is None:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        else:
            share_batch_norms(network)
        prepared: nn.Module = self._accelerator.prepare_model(network)
        return prepared

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self._accelerator is None:
            return values
        reduced: Tensor = self._accelerator.reduce(values, "mean")
        return reduced

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self._accelerator is None:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def from_main(self, value: T) -> T:
        """What the first process has."""
        if self._accelerator is None:
            return value
        from accelerate.utils import broadcast_object_list

        values = [value]
        broadcast_object_list(values)
        return values[0]


def _accelerator(device: str) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MdeasError(
            "several processes need accelerate; install mdeas[train], or start without torchrun"
        ) from error
    return Accelerator(cpu=device == "cpu")


class _Sum(torch.autograd.Function):
    """The sum over all processes, of values and of gradients."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.clone()
        torch.distributed.all_reduce(gradient)
        return gradient


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the parts of all processes, on any device; torch's own needs a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        if not self.training:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        processes = torch.distributed.get_world_size()
        count = processes * (x.numel() // x.shape[1])
        mean = _sum(wide.sum(dim=(0, 2, 3))) / count
        centred = wide - mean[:, None, None]  # the mean of squares less the square of the mean would cancel
        variance = _sum((centred * centred).sum(dim=(0, 2, 3))) / count
        self._track(mean.detach(), variance.detach(), count)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        normal = centred * scale[:, None, None]
        shifted: Tensor = normal if self.bias is None else normal + self.bias[:, None, None]
        return shifted.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / max(1, count - 1), share)


def share_batch_norms(network: nn.Module) -> None:
    """Make every batch norm of ``network`` count the parts of all processes."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
