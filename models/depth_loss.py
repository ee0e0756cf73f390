"""The loss between log inverse depths, nearly indifferent to what one picture cannot tell: the shift."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

_SMALLEST_VARIANCE = 0.05  # a flat wall facing the camera must not blow the loss up
_SMALLEST_BAND = 0.002  # mean energy of a band
_SMALLEST_LEVEL = 2  # pixels of the coarsest level's shorter side


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts.

    ``unexplained``: variance of the difference over the target's, per picture (the scale-invariant error of
    Eigen et al. 2014, arXiv:1406.2283, normalised so that flat pictures count as much as deep ones). Only
    a shift is left out: the spread of log disparity is learned, so that its exponential is a disparity.
    ``bands``: the same in each band of a Laplacian pyramid, so that objects count beside the layout.
    ``gradient``: mean absolute gradients of the difference at four scales, over the target's deviation: sharp
    edges. ``absolute``: the squared mean difference, so that one fixed 16-bit mapping fits every picture.
    """

    unexplained: float = 1.0
    bands: float = 0.5
    gradient: float = 0.5
    absolute: float = 0.02


def depth_loss(pred: Tensor, target: Tensor, valid: Tensor, weights: LossWeights | None = None) -> Tensor:
    """The training loss: the weighted sum of :class:`LossWeights`' terms.

    The prediction is never divided by its own deviation (Ranftl et al. 2020, arXiv:1907.01341): trained from
    nothing, that let predictions shrink until one step of the optimizer was larger than they were. A squared
    error leaves the plateau where the network knows only the row much sooner than an absolute one.

    Args:
        pred: Log inverse depth, float (B, H, W).
        target: The same of the scene.
        valid: Bool (B, H, W), where ``target`` counts.
        weights: Of the terms.

    Returns:
        Scalar, >= 0.

    Raises:
        ValueError: If shapes differ.
    """
    if not pred.shape == target.shape == valid.shape:
        raise ValueError(f"shapes differ: {tuple(pred.shape)}, {tuple(target.shape)}, {tuple(valid.shape)}")
    weights = weights or LossWeights()
    mean, difference, variance = _moments(pred - target, valid)
    _, _, target_variance = _moments(target, valid)
    target_variance = target_variance + _SMALLEST_VARIANCE
    scaled = difference / target_variance.sqrt().view(-1, 1, 1)
    return (
        weights.unexplained * (variance / target_variance).mean()
        + weights.bands * band_loss(pred - target, target, valid)
        + weights.gradient * gradient_loss(scaled, valid)
        + weights.absolute * (mean**2).mean()
    )


def band_loss(difference: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Energy of ``difference`` over that of ``target``, (B, H, W), summed over the bands of a pyramid."""
    total = difference.new_zeros(())
    for error, truth in zip(_bands(difference, valid), _bands(target, valid), strict=True):
        floor = _SMALLEST_BAND * error[0].numel()
        total = total + ((error**2).sum(dim=(1, 2, 3)) / ((truth**2).sum(dim=(1, 2, 3)) + floor)).mean()
    return total


def _bands(x: Tensor, valid: Tensor) -> list[Tensor]:
    """What 2x2 averaging takes away from ``x``, level by level; 0 where something is unknown."""
    known = valid[:, None].to(x.dtype)
    x = x[:, None] * known
    bands = []
    while min(x.shape[-2:]) >= 2 * _SMALLEST_LEVEL:
        share = F.avg_pool2d(known, 2)
        coarse = F.avg_pool2d(x, 2) / share.clamp(min=1e-3)
        bands.append((x - F.interpolate(coarse, size=x.shape[-2:], mode="nearest")) * known)
        known = (share > 0.99).to(x.dtype)
        x = coarse * known
    return bands


def gradient_loss(difference: Tensor, valid: Tensor, scales: int = 4) -> Tensor:
    """Mean absolute gradient of (B, H, W) ``difference`` at ``scales`` scales.

    Li and Snavely 2018, arXiv:1804.00607.
    """
    total = difference.new_zeros(())
    for scale in range(scales):
        step = 2**scale
        d, v = difference[:, ::step, ::step], valid[:, ::step, ::step]
        total = total + _masked_mean((d[:, :, 1:] - d[:, :, :-1]).abs(), v[:, :, 1:] & v[:, :, :-1])
        total = total + _masked_mean((d[:, 1:] - d[:, :-1]).abs(), v[:, 1:] & v[:, :-1])
    return total / scales


def _moments(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (B,) over ``valid``, what is left of ``x`` (B, H, W; 0 elsewhere), and its variance (B,)."""
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    mean = x.masked_fill(~valid, 0.0).sum(dim=(1, 2)) / count
    rest = (x - mean.view(-1, 1, 1)).masked_fill(~valid, 0.0)
    return mean, rest, (rest * rest).sum(dim=(1, 2)) / count


def _masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``x`` where ``valid``, 0 where nothing is."""
    return x.masked_fill(~valid, 0.0).sum() / valid.sum().clamp(min=1)
