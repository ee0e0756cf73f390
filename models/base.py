"""What every dual-head network promises, and the one place that turns raw outputs into depth and mask."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from .. import MdeasError
from .normalise import Normalisation

# Where a ReLU comes before a batch norm, a channel that was all but dead in training has nearly no variance,
# and an input unlike the training set is multiplied by up to 300 there, in one block after another: single
# pixels of a linear depth head reached 1e11. Flooring the variances when predicting brought the RMSE of the
# depth from 0.118 to 0.048 on new backgrounds after a short training, and moved no IoU by 0.001.
VARIANCE_FLOOR = 1e-3


@dataclass(frozen=True)
class Outputs:
    """What a network's two numbers a pixel are: its raw outputs differ from system to system.

    ``depth``: ``value`` is the label itself, unbounded; ``logit`` needs a sigmoid; ``none``: no depth head.
    ``mask``: ``probability`` has been through a sigmoid inside the network; ``logit`` has not.
    """

    depth: Literal["value", "logit", "none"]
    mask: Literal["probability", "logit"]


class Heads(NamedTuple):
    """Outputs on the scale of the labels, (B, 1, H, W) each; what losses and metrics read."""

    depth: Tensor | None  # label scale; may leave 0..1 where the head is linear
    mask: Tensor  # probability of foreground
    depth_logit: Tensor | None = None  # before the sigmoid, where the network gives that
    mask_logit: Tensor | None = None


class DualHeadNet(nn.Module, ABC):
    """A network called as ``model(bg, fg_bg)``, both float (B, 3, H, W) in 0..1.

    It returns ``(depth, mask)``, each (B, 1, H, W) as ``outputs`` says; depth is None without a depth head.
    """

    outputs: ClassVar[Outputs]
    multiple: ClassVar[int]  # both sides must be multiples of this
    minimum: ClassVar[int]  # smallest side that the network can be trained on
    backbone: ClassVar[str | None] = None  # timm's name of it, where ImageNet weights fit
    input_mean: Tensor | None
    input_std: Tensor | None

    def __init__(self) -> None:
        """Inputs are taken as they come."""
        super().__init__()
        self.normalise(None)

    def normalise(self, by: Normalisation | None) -> None:
        """Normalise inputs from now on; no part of the weights, so that these fit with and without."""
        mean, std = (None, None) if by is None else by.tensors()
        self.register_buffer("input_mean", mean, persistent=False)
        self.register_buffer("input_std", std, persistent=False)

    def forward(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor | None, Tensor]:
        """Raw outputs.

        Raises:
            ValueError: If the inputs are not two (B, 3, H, W) of one shape.
            MdeasError: If the network cannot take the size; names the nearest it can.
        """
        if bg.ndim != 4 or bg.shape[1] != 3 or bg.shape != fg_bg.shape:
            raise ValueError(
                f"expected bg and fg_bg of one (B, 3, H, W), got {tuple(bg.shape)}, {tuple(fg_bg.shape)}"
            )
        self.check_size(bg.shape[2], bg.shape[3])
        if self.input_mean is not None and self.input_std is not None:
            bg, fg_bg = (
                (x - m) / s for x, m, s in zip((bg, fg_bg), self.input_mean, self.input_std, strict=True)
            )
        return self.run(bg, fg_bg)

    @abstractmethod
    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor | None, Tensor]:
        """The architecture itself: checked (B, 3, H, W) to depth, if it has one, and mask, (B, 1, H, W)."""

    def encoder_parts(self) -> dict[str, nn.Module]:
        """The modules that ImageNet weights fit, by their name in timm."""
        return {}

    @classmethod
    def check_size(cls, height: int, width: int) -> None:
        """Raise MdeasError, naming the nearest sizes, if the network cannot take ``height`` x ``width``."""
        if all(side >= cls.minimum and side % cls.multiple == 0 for side in (height, width)):
            return
        below = "x".join(str(cls._nearest(side, up=False)) for side in (height, width))
        above = "x".join(str(cls._nearest(side, up=True)) for side in (height, width))
        nearest = above if below == above else f"{below} or {above}"
        raise MdeasError(
            f"{cls.__name__} takes sides from {cls.minimum} in steps of {cls.multiple}; "
            f"got {height}x{width}; the nearest is {nearest} (--size)"
        )

    @classmethod
    def _nearest(cls, side: int, up: bool) -> int:
        steps = -(-side // cls.multiple) if up else side // cls.multiple
        return max(cls.minimum, steps * cls.multiple)

    @property
    def parameters_count(self) -> int:
        """Number of trainable and frozen parameters, without running statistics."""
        return sum(parameter.numel() for parameter in self.parameters())


def heads(model: DualHeadNet, raw: tuple[Tensor | None, Tensor]) -> Heads:
    """Raw outputs (B, 1, H, W) of ``model`` on the scale of the labels: a sigmoid where it left that out."""
    depth, mask = raw
    depth_logit = depth if model.outputs.depth == "logit" else None
    mask_logit = mask if model.outputs.mask == "logit" else None
    return Heads(
        depth if depth_logit is None else torch.sigmoid(depth_logit),
        mask if mask_logit is None else torch.sigmoid(mask_logit),
        depth_logit,
        mask_logit,
    )


def ready(network: DualHeadNet) -> DualHeadNet:
    """A copy of ``network`` for predicting: evaluation mode, batch norm variances floored."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.clamp_(min=VARIANCE_FLOOR)
    return network


def nearest_size(model: DualHeadNet, height: int, width: int) -> tuple[int, int]:
    """The size nearest to ``height`` x ``width`` that ``model`` takes."""

    def fit(side: int) -> int:
        return max(model.minimum, round(side / model.multiple) * model.multiple)

    return fit(height), fit(width)
