"""The loss between log inverse depths, nearly indifferent to what one picture cannot tell: the shift."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_SPREAD = 0.15  # a flat wall facing the camera must not blow the loss up


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts.

    All are about the difference of log inverse depths after removing each picture's median. ``scaled``: divided
    by the mean absolute deviation of the target, so that flat pictures count as much as deep ones.
    ``gradient``: the gradients of that at four scales. ``shifted``: not divided. ``absolute``: with the medians
    left in, so that one fixed 16-bit mapping fits every picture.

    The prediction is never divided by its own deviation (Ranftl et al. 2020, arXiv:1907.01341): trained from
    nothing, that loss let the predictions shrink until a step of the optimizer was larger than they were, and
    after 2,000 steps the network knew no more than the row.
    """

    scaled: float = 1.0
    gradient: float = 0.5
    shifted: float = 0.5
    absolute: float = 0.05


def depth_loss(pred: Tensor, target: Tensor, valid: Tensor, weights: LossWeights | None = None) -> Tensor:
    """The training loss: the weighted sum of :class:`LossWeights`' terms.

    Args:
        pred: Log inverse depth, float (B, H, W).
        target: The same of the scene.
        valid: Bool (B, H, W), where ``target`` counts.

    Returns:
        Scalar, >= 0.

    Raises:
        ValueError: If shapes differ.
    """
    if not pred.shape == target.shape == valid.shape:
        raise ValueError(f"shapes differ: {tuple(pred.shape)}, {tuple(target.shape)}, {tuple(valid.shape)}")
    weights = weights or LossWeights()
    pred_shifted, _ = _centre(pred, valid)
    target_shifted, target_spread = _centre(target, valid)
    shifted = pred_shifted - target_shifted
    scaled = shifted / target_spread
    return (
        weights.scaled * _masked_mean(scaled.abs(), valid)
        + weights.gradient * gradient_loss(scaled, valid)
        + weights.shifted * _masked_mean(shifted.abs(), valid)
        + weights.absolute * _masked_mean((pred - target).abs(), valid)
    )


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


def _centre(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` less its median over ``valid``, and the mean absolute value of the rest, per picture."""
    known = x.masked_fill(~valid, torch.nan).flatten(1)
    median = known.nanmedian(dim=1).values.nan_to_num().view(-1, 1, 1)
    shifted = (x - median).masked_fill(~valid, 0.0)
    spread = shifted.abs().sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)
    return shifted, spread.clamp(min=_SMALLEST_SPREAD).view(-1, 1, 1)


def _masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``x`` where ``valid``, 0 where nothing is."""
    return x.masked_fill(~valid, 0.0).sum() / valid.sum().clamp(min=1)
