"""ResUNet: a pre-activated U-Net whose mask decoder also reads the depth decoder; 15,855,712 parameters.

ResUNeXt (``models.resunext``) is the same wiring with other double convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from .base import DualHeadNet, Outputs
from .blocks import conv

Layers = Callable[[int, int], list[nn.Module]]


def norm_relu_conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> list[nn.Module]:
    """Batch norm, ReLU, then a convolution without bias."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), convolution]


def double_conv(inputs: int, outputs: int) -> list[nn.Module]:
    """Two pre-activated 3x3 convolutions."""
    return [*norm_relu_conv(inputs, outputs, 3), *norm_relu_conv(outputs, outputs, 3)]


class ResDoubleConv(nn.Sequential):
    """The double convolution of a network, without the addition."""

    def __init__(self, layers: list[nn.Module]) -> None:
        """``layers`` keep the side."""
        super().__init__(*layers)


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution and batch norm: the straight way past a double convolution."""
    return nn.Sequential(conv(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class ResDownBlock(nn.Module):
    """Residual double convolution, then half the side."""

    def __init__(self, inputs: int, outputs: int, layers: Layers) -> None:
        """``inputs`` and ``outputs`` are channels."""
        super().__init__()
        self.straight = projection(inputs, outputs)
        self.convs = ResDoubleConv(layers(inputs, outputs))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, H, W) to the pooled (B, outputs, H/2, W/2) and the whole (B, outputs, H, W)."""
        straight = self.straight(x)
        whole = self.convs(x) + straight
        return self.pool(whole), whole


class ResUpBlock(nn.Module):
    """Pixel shuffle, the encoder's map and the other decoder's added, residual double convolution."""

    def __init__(self, inputs: int, outputs: int, skip: int, other: int | None, layers: Layers) -> None:
        """``skip``, ``other``: channels of the encoder's map and of the other decoder's, if it reads one."""
        super().__init__()
        self.grow = nn.Sequential(conv(inputs, 4 * inputs, 1, bias=False), nn.PixelShuffle(2))
        self.skip = conv(skip, inputs, 1, bias=False)
        self.other = conv(other, inputs, 1, bias=False) if other is not None else None
        self.straight = projection(inputs, outputs)
        self.convs = ResDoubleConv(layers(inputs, outputs))

    def forward(self, x: Tensor, encoded: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2H, 2W)."""
        x = self.grow(x) + self.skip(encoded)
        if self.other is not None:
            x = x + self.other(other)
        straight = self.straight(x)
        grown: Tensor = self.convs(x) + straight
        return grown


class ResUNet(DualHeadNet):
    """The network of the vathos project; both heads are logits.

    The depth decoder's output at every scale is added in the mask decoder, so the mask's gradient reaches it.
    """

    outputs = Outputs(depth="logit", mask="logit")
    multiple = 16
    minimum = 32
    layers: Layers = staticmethod(double_conv)

    def __init__(self) -> None:
        """Weights as torch draws them."""
        super().__init__()
        down = (32, 64, 128, 256, 512)
        self.stem = conv(6, 32, 5, bias=False)
        self.encoder = nn.ModuleList(
            ResDownBlock(inputs, outputs, self.layers) for inputs, outputs in pairwise(down)
        )
        self.bridge = ResDoubleConv(self.layers(512, 512))
        skips, depths, masks = (512, 256, 128, 64), (512, 256, 128, 64, 16), (512, 64, 64, 32, 16)
        self.depth_decoder = nn.ModuleList(
            ResUpBlock(depths[level], depths[level + 1], skip, None, self.layers)
            for level, skip in enumerate(skips)
        )
        self.depth_head = conv(16, 1, 1, bias=False)
        self.mask_decoder = nn.ModuleList(
            ResUpBlock(masks[level], masks[level + 1], skip, depths[level + 1], self.layers)
            for level, skip in enumerate(skips)
        )
        self.mask_head = conv(16, 1, 1, bias=False)

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor, Tensor]:
        """Depth and mask as logits."""
        x = self.stem(torch.cat([bg, fg_bg], dim=1))  # (B, 32, H, W)
        encoded: list[Tensor] = []
        for block in self.encoder:
            x, whole = block(x)
            encoded.insert(0, whole)
        bridge = self.bridge(x)  # (B, 512, H/16, W/16)
        depth, depths = bridge, []
        for block, skip in zip(self.depth_decoder, encoded, strict=True):
            depth = block(depth, skip)
            depths.append(depth)
        depth = self.depth_head(depth)
        mask = bridge
        for block, skip, other in zip(self.mask_decoder, encoded, depths, strict=True):
            mask = block(mask, skip, other)
        return depth, self.mask_head(mask)
