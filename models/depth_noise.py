"""Noise on the statistics of early features, so that a network learns to live with others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .depth_net import DepthNet, picture_moments

NOISY_STAGES = 3  # the stem and the stages at strides 4 and 8: they carry colour, light and texture
SHARE = 0.5  # of the pictures, at each of them
_SMALLEST_SPREAD = 1e-3


class StatisticsNoise:
    """Shifts mean and spread of every channel of a training network's early features, picture by picture.

    By normal noise as wide as these statistics differ within the batch (Li et al. 2022, arXiv:2202.03958).
    Rendered pictures and photographs differ there more than in shapes. Does nothing in evaluation.
    """

    def __init__(self, network: DepthNet) -> None:
        """Hooks into the first stages of ``network``'s backbone."""
        self._generator = torch.Generator()
        for stage in list(network.backbone.children())[:NOISY_STAGES]:
            stage.register_forward_hook(self._disturb)

    def reseed(self, seed: int, step: int) -> None:
        """Make the noise of the next pass a function of ``seed`` and ``step``."""
        self._generator.manual_seed(seed * 1_000_003 + step)

    def _disturb(self, stage: nn.Module, inputs: tuple[Tensor, ...], x: Tensor) -> Tensor | None:
        if not stage.training:
            return None
        scale, shift = self._draw(x.detach())
        return torch.addcmul(shift, x, scale)

    def _draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and summand, (B, C, 1, 1) in the type of ``x`` (B, C, H, W)."""
        _, mean, square = picture_moments(x)
        spread = (square - mean.square()).clamp(min=_SMALLEST_SPREAD**2).sqrt()
        chosen = (torch.rand(len(x), 1, generator=self._generator) < SHARE).float()

        def noise(statistic: Tensor) -> Tensor:
            draw = torch.randn(statistic.shape, generator=self._generator)
            return draw * statistic.std(dim=0) * chosen

        scale = 1 + noise(spread) / spread
        shift = mean + noise(mean) - mean * scale
        return scale.to(x.dtype)[:, :, None, None], shift.to(x.dtype)[:, :, None, None]
