"""MaskNet: the mask alone, at full resolution throughout, with 59,745 parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import DualHeadNet, Outputs
from .blocks import conv, conv_relu_norm


class MaskNet(DualHeadNet):
    """The mask-only study of the DSResNet project; logits, and no depth."""

    outputs = Outputs(depth="none", mask="logit")
    multiple = 1
    minimum = 16

    def __init__(self) -> None:
        """Weights as torch draws them; its dropout has a probability of 0."""
        super().__init__()
        self.bg = nn.Sequential(*conv_relu_norm(3, 32, 3), nn.Dropout(0))
        self.frame = nn.Sequential(*conv_relu_norm(3, 32, 3), nn.Dropout(0))
        self.rest = nn.Sequential(
            conv(64, 32, 1),
            *conv_relu_norm(32, 64, 3),
            nn.Dropout(0),
            *conv_relu_norm(64, 64, 3),
            nn.Dropout(0),
            conv(64, 1, 1),
        )

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[None, Tensor]:
        """The mask as logits."""
        return None, self.rest(torch.cat([self.bg(bg), self.frame(fg_bg)], dim=1))
