"""Structural similarity, its blur a banded matrix product on both sides of a picture."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .loss_terms import ROOT_EPS, require_same_shape, rmse_loss, wide

# Wang et al. 2004 with a data range of 1: (0.01 * 1)^2 and (0.03 * 1)^2.
SSIM_C1 = 1e-4
SSIM_C2 = 9e-4
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SEVERAL_WINDOWS = (5, 11)


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
    fraction of the time of plain 11x11 convolutions on one channel (``benchmarks/ssim.py``), which no kernel
    is tuned for.
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
        window: Side of the window, odd.
        sigma: Of the Gaussian, in pixels.

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


def valid_ssim_map(pred: Tensor, target: Tensor, window: int = SSIM_WINDOW) -> Tensor:
    """``ssim_map`` only where the whole window lies inside the picture, as scikit-image averages it.

    Raises:
        ValueError: If shapes differ or a side is shorter than the window.
    """
    if min(pred.shape[-2:]) < window:
        raise ValueError(f"expected sides of at least {window}, got {tuple(pred.shape)}")
    reach = window // 2
    return ssim_map(pred, target, window)[..., reach : pred.shape[-2] - reach, reach : pred.shape[-1] - reach]


def ssim_loss(pred: Tensor, target: Tensor, windows: tuple[int, ...] = (SSIM_WINDOW,)) -> Tensor:
    """1 - mean SSIM over every pixel, borders (zero padding) included, and over the windows; 0..2.

    Inputs are those of ``ssim_map``, here and below.
    """
    losses = [1 - ssim_map(pred, target, window).mean() for window in windows]
    return torch.stack(losses).mean()


def several_ssim_loss(pred: Tensor, target: Tensor) -> Tensor:
    """``ssim_loss`` averaged over windows of 5 and of 11 pixels."""
    return ssim_loss(pred, target, SEVERAL_WINDOWS)


def dssim_loss(pred: Tensor, target: Tensor, window: int) -> Tensor:
    """Mean of (1 - SSIM) / 2 clamped to 0..1/2, as kornia gives it: blind where SSIM is below 0."""
    return ((1 - ssim_map(pred, target, window)).clamp(0, 1) / 2).mean()


def rmse_ssim_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Root of ``several_ssim_loss``, and four times the RMSE."""
    return (several_ssim_loss(pred, target) + ROOT_EPS).sqrt() + 4 * rmse_loss(pred, target)
