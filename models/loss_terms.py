"""Losses between one prediction and its label, in their textbook form.

All take float (B, 1, H, W) on the scale of the labels (see ``models.base.heads``), compute in float32 at
least, and give a scalar that is 0 at best.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Keeps the ratio of two empty masks at 1; an object of one pixel still moves it.
OVERLAP_EPS = 1e-6
# Inside a root: its slope at 0 is infinite. Small enough that the floor, 1e-6, is no figure of anything.
ROOT_EPS = 1e-12
BERHU_SHARE = 0.2  # of the largest error: where the absolute error turns into a squared one
INVARIANT_EPS = 1e-6  # variance of a prediction below which it has no scale to be fitted
GRADIENT_SCALES = 4
GRADIENT_WEIGHT = 0.5


def require_same_shape(pred: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are (B, 1, H, W) of one shape."""
    if pred.shape != target.shape or pred.ndim != 4 or pred.shape[1] != 1:
        raise ValueError(
            f"expected two tensors of one shape (B, 1, H, W), got {tuple(pred.shape)}, {tuple(target.shape)}"
        )


def wide(x: Tensor) -> Tensor:
    """At least float32: variances and small errors cancel in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _both(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    require_same_shape(pred, target)
    return wide(pred), wide(target)


def bce_loss(pred: Tensor, target: Tensor, logit: Tensor | None = None) -> Tensor:
    """Binary cross-entropy, mean over all pixels.

    Args:
        pred: Probability.
        target: 0 to 1.
        logit: What ``pred`` is the sigmoid of, where that is known: exact also where the sigmoid is 0 or 1.
    """
    pred, target = _both(pred, target)
    if logit is None:
        return F.binary_cross_entropy(pred, target)
    return F.binary_cross_entropy_with_logits(wide(logit), target)


def dice_loss(pred: Tensor, target: Tensor) -> Tensor:
    """1 - Dice (Milletari et al. 2016, arXiv:1606.04797) of each picture, averaged; soft, no threshold."""
    return tversky_loss(pred, target, 0.5, 0.5)


def tversky_loss(pred: Tensor, target: Tensor, alpha: float = 0.6, beta: float = 0.5) -> Tensor:
    """1 - TP / (TP + alpha FP + beta FN) of each picture, averaged (Salehi et al. 2017, arXiv:1706.05721).

    1/2 and 1/2 is Dice, 1 and 1 Jaccard. The defaults are those of vathos.
    """
    pred, target = _both(pred, target)
    hits, found, there = (x.sum(dim=(1, 2, 3)) for x in (pred * target, pred, target))
    ratio = (hits + OVERLAP_EPS) / (hits + alpha * (found - hits) + beta * (there - hits) + OVERLAP_EPS)
    return 1 - ratio.mean()


def mse_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error."""
    pred, target = _both(pred, target)
    return torch.mean((pred - target) ** 2)


def l1_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    pred, target = _both(pred, target)
    return torch.mean((pred - target).abs())


def rmse_loss(pred: Tensor, target: Tensor, eps: float = ROOT_EPS) -> Tensor:
    """Root of the mean squared error over the whole batch."""
    return (mse_loss(pred, target) + eps).sqrt()


def berhu_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Reverse Huber (Laina et al. 2016, arXiv:1606.00373): |d| up to c, (d^2 + c^2) / 2c above it.

    c is a fifth of the largest error of the batch and taken as constant.
    """
    pred, target = _both(pred, target)
    error = (pred - target).abs()
    limit = (BERHU_SHARE * error.detach().amax()).clamp(min=ROOT_EPS)
    return torch.where(error <= limit, error, (error**2 + limit**2) / (2 * limit)).mean()


def gradient_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of Sobel gradients, borders repeated; blind to the absolute level."""
    pred, target = _both(pred, target)
    return torch.cat(sobel(pred - target), dim=1).abs().mean()


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient a pixel along rows and along columns of (B, 1, H, W); Sobel kernels over 8."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    across = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return (down[..., 2:] - down[..., :-2]) / 2, (across[..., 2:, :] - across[..., :-2, :]) / 2


def scale_shift_invariant_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Error of depth up to scale and shift, with gradient matching (Ranftl et al. 2020, arXiv:1907.01341).

    Each prediction is first fitted to its label by least squares; then half the mean squared rest, and at
    four scales the mean absolute gradients of the rest at half weight. For labels of relative disparity; the
    level of the prediction is left free, so a network trained with this alone has no fixed scale.
    """
    pred, target = _both(pred, target)
    rest = fitted(pred, target) - target
    matching = rest.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        coarse = rest[..., :: 2**scale, :: 2**scale]
        steps = coarse.diff(dim=-1).abs().sum() + coarse.diff(dim=-2).abs().sum()
        matching = matching + steps / coarse.numel()
    return (rest**2).mean() / 2 + GRADIENT_WEIGHT * matching


def fitted(pred: Tensor, target: Tensor) -> Tensor:
    """``s * pred + t`` with the s and t of each picture that come nearest to ``target``, least squares."""
    dims = (1, 2, 3)
    mean, wanted = pred.mean(dims, keepdim=True), target.mean(dims, keepdim=True)
    rest = pred - mean
    covariance = (rest * (target - wanted)).mean(dims, keepdim=True)
    return wanted + rest * covariance / ((rest**2).mean(dims, keepdim=True) + INVARIANT_EPS)
