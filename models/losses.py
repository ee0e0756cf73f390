"""Losses: functions on tensors, and the named presets that ``mdeas train --loss`` chooses from.

Everything here reads (B, 1, H, W) float tensors on the scale of the labels (see ``models.base.heads``) and
works in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn

from .. import MdeasError
from .base import Heads

# Wang et al. 2004 with a data range of 1: (0.01 * 1)^2 and (0.03 * 1)^2.
SSIM_C1 = 1e-4
SSIM_C2 = 9e-4
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5

LossTerms = dict[str, Tensor]
Terms = Callable[[Heads, "Labels"], LossTerms]


class Labels(Protocol):
    """What a prediction is compared with: a batch, or the labels alone."""

    @property
    def depth(self) -> Tensor | None:
        """Labels in 0..1, (B, 1, H, W)."""

    @property
    def mask(self) -> Tensor:
        """0 or 1, (B, 1, H, W)."""


def require_same_shape(pred: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are (B, 1, H, W) of one shape."""
    if pred.shape != target.shape or pred.ndim != 4 or pred.shape[1] != 1:
        raise ValueError(
            f"expected two tensors of one shape (B, 1, H, W), got {tuple(pred.shape)}, {tuple(target.shape)}"
        )


def wide(x: Tensor) -> Tensor:
    """At least float32: variances and small errors cancel in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gaussian_taps(window: int = SSIM_WINDOW, sigma: float = SSIM_SIGMA) -> Tensor:
    """Weights of a one-dimensional Gaussian that sum to 1, float64 (window,)."""
    offsets = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


@lru_cache(maxsize=32)
def _gaussian_band(side: int, window: int, sigma: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(side, side) matrix whose product with a signal is its Gaussian blur with zero padding; symmetric."""
    reach = window // 2
    with torch.inference_mode(False):  # it is kept, and a later call may need gradients through it
        positions = torch.arange(side)
        distance = positions[:, None] - positions[None, :]
        taps = gaussian_taps(window, sigma)[(distance + reach).clamp(0, window - 1)]
        return torch.where(distance.abs() <= reach, taps, 0.0).to(device=device, dtype=dtype)


def gaussian_blur(x: Tensor, window: int = SSIM_WINDOW, sigma: float = SSIM_SIGMA) -> Tensor:
    """Blur float (N, H, W) with zero padding.

    A banded matrix product on both sides: on two CPU cores, forward and backward of the whole loss take a
    twentieth of the time of plain 11x11 convolutions on one channel, which no kernel is tuned for.
    """
    count, height, width = x.shape
    columns = _gaussian_band(width, window, sigma, x.device, x.dtype)
    rows = _gaussian_band(height, window, sigma, x.device, x.dtype)
    return torch.matmul(rows, (x.reshape(count * height, width) @ columns).reshape(count, height, width))


def ssim_map(pred: Tensor, target: Tensor, window: int = SSIM_WINDOW, sigma: float = SSIM_SIGMA) -> Tensor:
    """Structural similarity at every pixel (Wang et al. 2004), Gaussian window, zero padding, data range 1.

    Args:
        pred: Float (B, 1, H, W), about 0..1.
        target: Same shape; receives no gradient.

    Returns:
        (B, 1, H, W), at most 1.

    Raises:
        ValueError: If shapes differ.
    """
    require_same_shape(pred, target)
    x, y = wide(pred[:, 0]), wide(target[:, 0].detach())
    # Targets are blurred apart: nothing flows back into them, so half of the backward pass is not needed.
    mean_y, square_y = gaussian_blur(torch.cat([y, y * y]), window, sigma).chunk(2)
    mean_x, square_x, product = gaussian_blur(torch.cat([x, x * x, x * y]), window, sigma).chunk(3)
    means = mean_x * mean_y
    mean_squares = mean_x * mean_x + mean_y * mean_y
    covariance = product - means
    variances = square_x + square_y - mean_squares
    luminance = (2 * means + SSIM_C1) / (mean_squares + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    return (luminance * structure).unsqueeze(1)


def ssim_loss(pred: Tensor, target: Tensor) -> Tensor:
    """1 - mean SSIM over every pixel, borders (zero padding) included; scalar, 0 at best."""
    return 1 - ssim_map(pred, target).mean()


def mse_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error; scalar."""
    require_same_shape(pred, target)
    return torch.mean((wide(pred) - wide(target)) ** 2)


def l1_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error; scalar."""
    require_same_shape(pred, target)
    return torch.mean((wide(pred) - wide(target)).abs())


def mdeas_loss(pred: Heads, target: Labels) -> LossTerms:
    """The compound loss of MDEAS: mostly SSIM of the depth, with SSIM and squared error of the mask.

    Its "L1 regularisation" is the difference of prediction and target, weighed so that it is nearly nothing;
    it is kept because the preset reproduces that system. Without a depth head the mask terms remain.
    """
    terms = {
        "mask_ssim": 0.4 * ssim_loss(pred.mask, target.mask),
        "mask_mse": 1.0 * mse_loss(pred.mask, target.mask),
        "mask_l1": 1e-6 * l1_loss(pred.mask, target.mask),
    }
    if pred.depth is not None and target.depth is not None:
        terms["depth_ssim"] = 2.0 * ssim_loss(pred.depth, target.depth)
        terms["depth_mse"] = 0.1 * mse_loss(pred.depth, target.depth)
        terms["depth_l1"] = 1e-6 * l1_loss(pred.depth, target.depth)
    return terms


# Every preset gives its weighted terms by name; their sum is the loss.
LOSSES: dict[str, Terms] = {"mdeas": mdeas_loss}


class Loss(nn.Module):
    """``loss(prediction, batch)`` gives the scalar to minimise and its weighted terms by name.

    Always float32, outside of any autocast. Parameters, where it has some, are trained with the network's.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, pred: Heads, target: Labels) -> tuple[Tensor, LossTerms]:
        """The loss, and the terms that it is the sum of."""
        with torch.autocast(pred.mask.device.type, enabled=False):
            terms = self.terms(pred, target)
            return total(terms), terms


def create_loss(name: str) -> Loss:
    """A loss by name.

    Raises:
        MdeasError: If there is none of this name.
    """
    if name not in LOSSES:
        raise MdeasError(f"no loss is called {name!r}; there are: {', '.join(LOSSES)}; choose with --loss")
    return Loss(LOSSES[name])


def total(terms: LossTerms) -> Tensor:
    """The scalar to minimise."""
    return torch.stack(list(terms.values())).sum()
