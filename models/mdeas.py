"""MDEAS: depth and mask from a background and a frame with 1.5 million parameters.

Two stems, one encoder of depthwise "dense by addition" blocks, a bottleneck of dilated branches, and two
decoders that grow by nearest-neighbour doubling first and by pixel shuffle at the end (Shi et al. 2016,
arXiv:1609.05158). The depth head is linear, the mask head ends in a sigmoid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import DualHeadNet, Outputs
from .blocks import conv, conv_norm_relu, conv_relu_norm

DILATIONS = (1, 3, 6, 9)


def stem(inputs: int, outputs: int) -> nn.Sequential:
    """A full-resolution and a stride-2 convolution: (B, 3, H, W) to (B, 32, H/2, W/2)."""
    return nn.Sequential(*conv_norm_relu(inputs, outputs, 3), *conv_norm_relu(outputs, outputs, 3, stride=2))


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution, ReLU, batch norm."""
    return nn.Sequential(*conv_relu_norm(inputs, outputs, 1))


def depthwise(channels: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """3x3 depthwise convolution straight into a pointwise unit."""
    spatial = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels)
    return nn.Sequential(spatial, *conv_relu_norm(channels, outputs, 1))


class DenseBlock(nn.Module):
    """Three depthwise units, each fed with the sum of all before it; then a pointwise unit to ``outputs``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs`` are channels; the side stays."""
        super().__init__()
        self.units = nn.ModuleList(depthwise(inputs, inputs) for _ in range(3))
        self.project = pointwise(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        for unit in self.units:
            x = x + unit(x)
        projected: Tensor = self.project(x)
        return projected


class NNConv(nn.Module):
    """Dense block, then nearest-neighbour doubling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs`` are channels."""
        super().__init__()
        self.dense = DenseBlock(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2H, 2W)."""
        return F.interpolate(self.dense(x), scale_factor=2, mode="nearest")


class ShuffleConv(nn.Module):
    """Dense block, then pixel shuffle: a quarter of the channels at twice the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``outputs`` counts channels before the shuffle."""
        super().__init__()
        self.dense = DenseBlock(inputs, outputs)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs / 4, 2H, 2W)."""
        grown: Tensor = self.shuffle(self.dense(x))
        return grown


class BottleNeckBlock(nn.Module):
    """Four dilated branches over a reduced map, mixed once for each decoder."""

    def __init__(self) -> None:
        """256 channels in; 128 for the mask and 256 for the depth out."""
        super().__init__()
        self.reduce = pointwise(256, 128)
        self.branches = nn.ModuleList(depthwise(128, 128, dilation) for dilation in DILATIONS)
        self.to_mask = pointwise(512, 128)
        self.to_depth = pointwise(512, 256)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 256, H, W) to the mask's (B, 128, H, W) and the depth's (B, 256, H, W)."""
        x = self.reduce(x)
        x = torch.cat([branch(x) for branch in self.branches], dim=1)  # (B, 512, H, W)
        return self.to_mask(x), self.to_depth(x)


class DepthDecoderBlock(nn.Module):
    """Two NNConv and two ShuffleConv with skips by addition; a linear head."""

    def __init__(self) -> None:
        """Takes 256 channels at H/16."""
        super().__init__()
        self.up1 = NNConv(256, 256)
        self.up2 = NNConv(256, 128)
        self.up3 = ShuffleConv(128, 128)
        self.up4 = ShuffleConv(32, 64)
        self.head = conv(16, 1, 1)

    def forward(self, x: Tensor, frame: Tensor, level1: Tensor, level2: Tensor) -> Tensor:
        """``frame`` is fg_bg's stem at H/2, ``level1`` and ``level2`` are the encoder's at H/4 and H/8."""
        x = self.up1(x) + level2  # (B, 256, H/8, W/8)
        x = self.up2(x) + level1  # (B, 128, H/4, W/4)
        x = self.up3(x) + frame  # (B, 32, H/2, W/2)
        depth: Tensor = self.head(self.up4(x))
        return depth


class MaskDecoderBlock(nn.Module):
    """Three NNConv and one ShuffleConv with skips by addition; a sigmoid head."""

    def __init__(self) -> None:
        """Takes 128 channels at H/16."""
        super().__init__()
        self.up1 = NNConv(128, 128)
        self.up2 = NNConv(128, 128)
        self.up3 = NNConv(128, 64)
        self.up4 = ShuffleConv(64, 64)
        self.head = conv(16, 1, 1)

    def forward(self, x: Tensor, stems: Tensor, level1: Tensor) -> Tensor:
        """``stems`` are both stems (B, 64, H/2, W/2), ``level1`` the encoder's (B, 128, H/4, W/4)."""
        x = self.up1(x)  # (B, 128, H/8, W/8)
        x = self.up2(x) + level1
        x = self.up3(x) + stems
        return torch.sigmoid(self.head(self.up4(x)))


class MDEAS(DualHeadNet):
    """The network of the MDEAS project: 1,521,026 parameters."""

    outputs = Outputs(depth="value", mask="probability")
    multiple = 16
    minimum = 32

    def __init__(self) -> None:
        """Weights as torch draws them; the original never applied its own initialiser."""
        super().__init__()
        self.bg_stem = stem(3, 32)
        self.frame_stem = stem(3, 32)
        self.level1 = nn.Sequential(DenseBlock(64, 128), nn.MaxPool2d(2))
        self.level2 = nn.Sequential(DenseBlock(128, 256), nn.MaxPool2d(2))
        self.level3 = nn.Sequential(DenseBlock(256, 256), nn.MaxPool2d(2))
        self.bottleneck = BottleNeckBlock()
        self.depth_decoder = DepthDecoderBlock()
        self.mask_decoder = MaskDecoderBlock()

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor, Tensor]:
        """Depth as a value, mask as a probability."""
        background = self.bg_stem(bg)
        frame = self.frame_stem(fg_bg)
        stems = torch.cat([background, frame], dim=1)  # (B, 64, H/2, W/2)
        level1 = self.level1(stems)  # (B, 128, H/4, W/4)
        level2 = self.level2(level1)  # (B, 256, H/8, W/8)
        level3 = self.level3(level2)  # (B, 256, H/16, W/16)
        for_mask, for_depth = self.bottleneck(level3)
        depth = self.depth_decoder(for_depth, frame, level1, level2)
        mask = self.mask_decoder(for_mask, stems, level1)
        return depth, mask
