"""MaskDepthGenerator: a ResNet-18 (He et al. 2016, arXiv:1512.03385) under two up-projecting decoders.

16,181,090 parameters. Its decoders have no skips: the encoder's maps lend them only their sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import create_backbone
from .base import DualHeadNet, Outputs
from .blocks import conv, conv_norm_relu


class UpProjection(nn.Module):
    """Bilinear growth, then two added branches of 5x5 convolutions (Laina et al. 2016, arXiv:1606.00373)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs`` are channels."""
        super().__init__()
        self.long = nn.Sequential(
            *conv_norm_relu(inputs, outputs, 5),
            conv(outputs, outputs, 3, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short = nn.Sequential(conv(inputs, outputs, 5, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, *size)."""
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        return F.relu(self.long(x) + self.short(x))


class Decoder(nn.Module):
    """From (B, 512, H/16, W/16) to one channel at full size."""

    def __init__(self) -> None:
        """Four up-projections."""
        super().__init__()
        self.reduce = nn.Sequential(*conv_norm_relu(512, 256, 1))
        self.ups = nn.ModuleList(UpProjection(channels, channels // 2) for channels in (256, 128, 64, 32))
        self.head = conv(16, 1, 5)

    def forward(self, x: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """``sizes`` are those of the four outputs."""
        x = self.reduce(x)
        for up, size in zip(self.ups, sizes, strict=True):
            x = up(x, size)
        one: Tensor = self.head(x)
        return one


class MaskDepthNet(DualHeadNet):
    """The network of the MaskDepthGenerator project: a linear depth head, the mask as logits."""

    outputs = Outputs(depth="value", mask="logit")
    multiple = 2
    minimum = 32
    backbone = "resnet18"

    def __init__(self) -> None:
        """Weights as timm and torch draw them; the original's were ImageNet's (``encoder.load_encoder``)."""
        super().__init__()
        encoder = create_backbone(self.backbone)
        first = conv(6, 64, 3, bias=False)
        self.stem = nn.Sequential(first, encoder.get_submodule("bn1"), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.levels = nn.ModuleList(encoder.get_submodule(f"layer{level}") for level in (1, 2, 3, 4))
        self.mask_decoder = Decoder()
        self.depth_decoder = Decoder()

    def encoder_parts(self) -> dict[str, nn.Module]:
        """All but the first convolution, which takes six channels at another stride."""
        levels = {f"layer{number}": level for number, level in enumerate(self.levels, 1)}
        return {"bn1": self.stem[1], **levels}

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor, Tensor]:
        """Depth as a value, mask as logits."""
        x = self.stem(torch.cat([fg_bg, bg], dim=1))
        sizes: list[tuple[int, int]] = [(bg.shape[2], bg.shape[3])]
        for level in self.levels:
            x = level(x)
            sizes.insert(0, (x.shape[2], x.shape[3]))
        sizes = sizes[1:]  # the deepest map has its size already
        return self.depth_decoder(x, sizes), self.mask_decoder(x, sizes)
