"""How a picture becomes a depth network's input, and the network's answer a map of the picture's size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preparation:
    """Sides in pixels, ``mean`` and ``std`` on the 0-1 scale.

    Args:
        height, width: What the network was made for; None: the picture's own.
        keep_aspect: Enlarge or shrink both sides alike, by the factor nearer to 1, so that one side fits.
        multiple: Sides are rounded to multiples of this by resizing, never by cropping.
        round_down: To the multiple below instead of to the nearest one.
        bicubic: The picture is resized bicubically, otherwise bilinearly; with antialiasing in both cases.
        mirror_border: Look at the picture with a mirrored border, cut off again (ZoeDepth's remedy for
            the frames that its training pictures had).
    """

    height: int | None = None
    width: int | None = None
    keep_aspect: bool = False
    multiple: int = 1
    round_down: bool = False
    bicubic: bool = False
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    mirror_border: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the network sees a picture of ``height`` x ``width``."""
        top, left = self._border(height, width)
        height, width = height + 2 * top, width + 2 * left
        by_height, by_width = (self.height or height) / height, (self.width or width) / width
        if self.keep_aspect:
            by_height = by_width = min(by_height, by_width, key=lambda factor: abs(1 - factor))
        return self._rounded(height * by_height), self._rounded(width * by_width)

    def prepare(self, rgb: Tensor) -> Tensor:
        """Normalised float32 (B, 3, h, w) of pictures uint8 (B, 3, H, W)."""
        height, width = rgb.shape[-2:]
        top, left = self._border(height, width)
        x = rgb.float() / 255
        if top or left:
            x = F.pad(x, (left, left, top, top), mode="reflect")
        size = self.size(height, width)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bicubic" if self.bicubic else "bilinear", antialias=True)
            x = x.clamp_(0, 1)  # bicubic weights overshoot
        mean, std = (torch.tensor(three, device=x.device)[:, None, None] for three in (self.mean, self.std))
        return (x - mean) / std

    def restore(self, answer: Tensor, height: int, width: int) -> Tensor:
        """The answer (B, h', w') resized bilinearly to (B, ``height``, ``width``)."""
        top, left = self._border(height, width)
        size = (height + 2 * top, width + 2 * left)
        if answer.shape[-2:] != size:
            answer = F.interpolate(answer[:, None], size, mode="bilinear", align_corners=False)[:, 0]
        return answer[:, top : top + height, left : left + width]

    def describe(self) -> str:
        """In words, for ``depth.json``."""
        words = ["bicubic" if self.bicubic else "bilinear", "with antialiasing"]
        if self.height and self.width:
            words.append(f"to {'fit ' if self.keep_aspect else ''}{self.height}x{self.width}")
        else:
            words.append("to about the picture's own size")
        words.append(f"in multiples of {self.multiple}" + (", rounded down" if self.round_down else ""))
        if self.mirror_border:
            words.append("with a mirrored border")
        return " ".join(words) + "; bilinear back"

    def _border(self, height: int, width: int) -> tuple[int, int]:
        """Rows above and below, columns left and right."""
        if not self.mirror_border:
            return 0, 0
        return int(math.sqrt(height / 2) * 3), int(math.sqrt(width / 2) * 3)

    def _rounded(self, side: float) -> int:
        count = math.floor(side / self.multiple) if self.round_down else round(side / self.multiple)
        return max(1, count) * self.multiple
