"""ResUNeXt: ResUNet with grouped bottlenecks (Xie et al. 2017, arXiv:1611.05431); 16,409,856 parameters."""

from __future__ import annotations

from torch import nn

from .resunet import ResUNet, norm_relu_conv

GROUPS = 32


def grouped_bottleneck(inputs: int, outputs: int) -> list[nn.Module]:
    """Pre-activated 1x1, grouped 3x3 and 1x1 convolutions; in between, about 5 * ``outputs`` channels."""
    width = GROUPS * (64 * outputs // 384)
    return [
        *norm_relu_conv(inputs, width, 1),
        *norm_relu_conv(width, width, 3, groups=GROUPS),
        *norm_relu_conv(width, outputs, 1),
    ]


class ResUNeXt(ResUNet):
    """The grouped variant of the vathos project; both heads are logits."""

    layers = staticmethod(grouped_bottleneck)
