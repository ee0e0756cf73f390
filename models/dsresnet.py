"""DSResNet: two residual encoders that meet, two decoders that part; 10,343,490 parameters."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import DualHeadNet, Outputs
from .blocks import conv, conv_relu_norm


class DoubleConvBlock(nn.Sequential):
    """Twice 3x3 convolution, ReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs`` are channels."""
        super().__init__(*conv_relu_norm(inputs, outputs, 3), *conv_relu_norm(outputs, outputs, 3))


class ResEncoderBlock(nn.Module):
    """Double convolution beside a 1x1 convolution, then half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """``inputs`` and ``outputs`` are channels."""
        super().__init__()
        self.skip = conv(inputs, outputs, 1)
        self.convs = DoubleConvBlock(inputs, outputs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, H, W) to the pooled (B, outputs, H/2, W/2) and the whole (B, outputs, H, W)."""
        skip = self.skip(x)
        whole = self.convs(x) + skip
        return self.pool(whole), whole


class ResDecoderBlock(nn.Module):
    """1x1 convolution, bilinear doubling, the encoder's map beside it, a residual double convolution."""

    def __init__(self, inputs: int, outputs: int, merges: bool) -> None:
        """``merges``: two encoders' maps of ``outputs`` channels are reduced to one first."""
        super().__init__()
        self.transition = conv(inputs, outputs, 1)
        self.merge = conv(2 * outputs, outputs, 1) if merges else None
        self.skip = conv(2 * outputs, outputs, 1)
        self.convs = DoubleConvBlock(2 * outputs, outputs)

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(B, inputs, H, W) and the encoder's (B, outputs or twice that, 2H, 2W) to (B, outputs, 2H, 2W)."""
        x = F.interpolate(self.transition(x), scale_factor=2, mode="bilinear", align_corners=False)
        if self.merge is not None:
            encoded = self.merge(encoded)
        x = torch.cat([x, encoded], dim=1)
        skip = self.skip(x)
        decoded: Tensor = self.convs(x) + skip
        return decoded


class _Decoder(nn.ModuleList):
    """Five decoder blocks and a head; not a row of the layer table."""

    def __init__(self) -> None:
        blocks = [
            ResDecoderBlock(2 * channels, channels, merges=channels <= 32)
            for channels in (256, 128, 64, 32, 16)
        ]
        super().__init__([*blocks, conv(16, 1, 1)])

    def decode(self, x: Tensor, encoded: list[Tensor]) -> Tensor:
        """Logits from the deepest map, with the encoders' maps from deep to shallow."""
        *blocks, head = self
        for block, skip in zip(blocks, encoded, strict=True):
            x = block(x, skip)
        logits: Tensor = head(x)
        return logits


class DSResNet(DualHeadNet):
    """The network of the Depth-Segmentation project; both heads are logits.

    The original also held merging convolutions that it never called (344,960 parameters); they are left out.
    """

    outputs = Outputs(depth="logit", mask="logit")
    multiple = 32
    minimum = 64

    def __init__(self) -> None:
        """Weights as torch draws them."""
        super().__init__()
        self.bg1, self.bg2 = ResEncoderBlock(3, 16), ResEncoderBlock(16, 32)
        self.frame1, self.frame2 = ResEncoderBlock(3, 16), ResEncoderBlock(16, 32)
        self.merge = conv(64, 32, 1)
        channels = (32, 64, 128, 256, 512)
        self.encoder = nn.ModuleList(
            ResEncoderBlock(inputs, outputs) for inputs, outputs in pairwise(channels)
        )
        self.mask_decoder = _Decoder()
        self.depth_decoder = _Decoder()

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor, Tensor]:
        """Depth and mask as logits."""
        bg, bg1 = self.bg1(bg)
        bg, bg2 = self.bg2(bg)
        frame, frame1 = self.frame1(fg_bg)
        frame, frame2 = self.frame2(frame)
        x = self.merge(torch.cat([bg, frame], dim=1))  # (B, 32, H/4, W/4)
        wholes = []
        for block in self.encoder:
            x, whole = block(x)
            wholes.append(whole)
        *skips, deepest = wholes  # (B, 512, H/32, W/32)
        shallow = [torch.cat(pair, dim=1) for pair in ((bg2, frame2), (bg1, frame1))]
        encoded = [*reversed(skips), *shallow]
        mask = self.mask_decoder.decode(deepest, encoded)
        return self.depth_decoder.decode(deepest, encoded), mask
