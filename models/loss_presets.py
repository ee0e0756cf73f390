"""The compound loss of each published system, by name.

A preset whose name ends in ``-original`` repeats faults of that system that change its figures; no other
loss does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from .base import Heads
from .loss_terms import bce_loss, gradient_loss, l1_loss, mse_loss, rmse_loss, wide
from .ssim import dssim_loss, ssim_loss, valid_ssim_map

LossTerms = dict[str, Tensor]
Terms = Callable[[Heads, "Labels"], LossTerms]

ORIGINAL_ROOT_EPS = 1e-6  # of DSResNet and vathos: no RMSE below 0.001
ORIGINAL_DICE_EPS = 1e-6
MASKDEPTH_WINDOW = 3


class Labels(Protocol):
    """What a prediction is compared with: a batch, or the labels alone."""

    @property
    def depth(self) -> Tensor | None:
        """Labels in 0..1, (B, 1, H, W)."""

    @property
    def mask(self) -> Tensor:
        """0 or 1, (B, 1, H, W)."""


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


def dsresnet_loss(pred: Heads, target: Labels) -> LossTerms:
    """Twice the RMSE; cross-entropy and twice the Dice of the whole batch as one picture: the best of three.

    Its RMSE cannot fall below 0.001.
    """
    terms = dsresnet_bce_loss(pred, target)
    return {**terms, "mask_dice": 2 * _batch_dice(pred.mask, target.mask, ORIGINAL_DICE_EPS)}


def dsresnet_bce_loss(pred: Heads, target: Labels) -> LossTerms:
    """Twice the RMSE, and cross-entropy: the second of DSResNet's three."""
    terms = {"mask_bce": bce_loss(pred.mask, target.mask, pred.mask_logit)}
    if pred.depth is not None and target.depth is not None:
        terms["depth_rmse"] = 2 * rmse_loss(pred.depth, target.depth, ORIGINAL_ROOT_EPS)
    return terms


def dsresnet_ssim_loss(pred: Heads, target: Labels) -> LossTerms:
    """Twice 1 - SSIM without the borders, and Dice of the batch smoothed by 1: the third of DSResNet's."""
    terms = {"mask_dice": _batch_dice(pred.mask, target.mask, 1.0)}
    if pred.depth is not None and target.depth is not None:
        terms["depth_ssim"] = 2 * (1 - valid_ssim_map(pred.depth, target.depth).mean())
    return terms


def maskdepth_loss(pred: Heads, target: Labels) -> LossTerms:
    """What MaskDepthGenerator meant at 160 x 160: SSIM in windows of 3, gradients, L1 and cross-entropy.

    SSIM sees probabilities and depth within 0..1, and L1 has the weight to hold the level; the published code
    had neither, see ``maskdepth_original_loss``.
    """
    terms = {
        "mask_bce": bce_loss(pred.mask, target.mask, pred.mask_logit),
        "mask_ssim": ssim_loss(pred.mask, target.mask, (MASKDEPTH_WINDOW,)) / 2,
    }
    if pred.depth is not None and target.depth is not None:
        bounded = pred.depth.clamp(0, 1)
        terms["depth_l1"] = l1_loss(pred.depth, target.depth)
        terms["depth_ssim"] = ssim_loss(bounded, target.depth, (MASKDEPTH_WINDOW,)) / 2
        terms["depth_gradient"] = 2 * gradient_loss(pred.depth, target.depth)
    return terms


def maskdepth_original_loss(pred: Heads, target: Labels) -> LossTerms:
    """What the code of MaskDepthGenerator did at 160 x 160.

    SSIM and L1 compare raw outputs with labels, mask logits too, and SSIM below 0 has no gradient.
    """
    mask, depth = _raw(pred)
    terms = {
        "mask_bce": bce_loss(pred.mask, target.mask, pred.mask_logit),
        "mask_dssim": dssim_loss(mask, target.mask, MASKDEPTH_WINDOW),
    }
    if depth is not None and target.depth is not None:
        terms["depth_l1"] = 0.1 * l1_loss(depth, target.depth)
        terms["depth_dssim"] = dssim_loss(depth, target.depth, MASKDEPTH_WINDOW)
        terms["depth_gradient"] = 2 * gradient_loss(depth, target.depth)
    return terms


def vathos_original_loss(pred: Heads, target: Labels) -> LossTerms:
    """BCEDice and twice RMSE as vathos computed them: an empty mask costs 1, no RMSE below 0.001."""
    terms = _vathos_original_mask(pred, target)
    if pred.depth is not None and target.depth is not None:
        terms["depth_rmse"] = 2 * rmse_loss(pred.depth, target.depth, ORIGINAL_ROOT_EPS)
    return terms


def vathos_berhu_original_loss(pred: Heads, target: Labels) -> LossTerms:
    """BCEDice and twice the BerHu of vathos: of the raw output, its tail times c/2 instead of over 2c."""
    terms, depth = _vathos_original_mask(pred, target), _raw(pred)[1]
    if depth is not None and target.depth is not None:
        error = (wide(depth) - wide(target.depth)).abs()
        limit = 0.2 * error.detach().amax()
        berhu = torch.where(error <= limit, error, (error**2 + limit**2) * limit / 2).mean()
        terms["depth_berhu"] = 2 * berhu
    return terms


def vathos_ssim_original_loss(pred: Heads, target: Labels) -> LossTerms:
    """BCEDice and twice the SSIM loss of vathos: a sum of two halves, blind where SSIM is below 0."""
    terms = _vathos_original_mask(pred, target)
    if pred.depth is not None and target.depth is not None:
        terms["depth_ssim"] = 2 * sum(
            (dssim_loss(pred.depth, target.depth, window) for window in (5, 11)), pred.depth.new_zeros(())
        )
    return terms


def _vathos_original_mask(pred: Heads, target: Labels) -> LossTerms:
    found, there = wide(pred.mask).flatten(1), wide(target.mask).flatten(1)
    ratio = 2 * (found * there).sum(1) / (found.sum(1) + there.sum(1) + ORIGINAL_DICE_EPS)
    bce = bce_loss(pred.mask, target.mask, pred.mask_logit)
    return {"mask_bce": bce, "mask_dice": 2 * (1 - ratio.mean())}


def _batch_dice(pred: Tensor, target: Tensor, smooth: float) -> Tensor:
    pred, target = wide(pred), wide(target)
    return 1 - (2 * (pred * target).sum() + smooth) / (pred.sum() + target.sum() + smooth)


def _raw(pred: Heads) -> tuple[Tensor, Tensor | None]:
    """Mask and depth as the network gave them."""
    mask = pred.mask if pred.mask_logit is None else pred.mask_logit
    return mask, pred.depth if pred.depth_logit is None else pred.depth_logit


# Each gives its weighted terms by name, or is a sum of textbook terms (see ``losses.sum_of_terms``).
LOSSES: dict[str, Terms | str] = {
    "mdeas": mdeas_loss,
    "dsresnet": dsresnet_loss,
    "dsresnet-ssim": dsresnet_ssim_loss,
    "dsresnet-bce": dsresnet_bce_loss,
    "maskdepth": maskdepth_loss,
    "maskdepth-80": "mask=bce,depth=l1",
    "maskdepth-original": maskdepth_original_loss,
    "vathos": "mask=bce+2dice,depth=2rmse",
    "vathos-original": vathos_original_loss,
    "vathos-berhu-original": vathos_berhu_original_loss,
    "vathos-ssim-original": vathos_ssim_original_loss,
}
