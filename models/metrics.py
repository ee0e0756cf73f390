"""Metrics of masks and depth as sums over a whole set, so that batches and strata add up exactly.

A mean of per-batch figures is not the figure of the set: the last, shorter batch would weigh too much.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .loss_terms import require_same_shape
from .ssim import SSIM_WINDOW, ssim_map

FOREGROUND = 0.5  # probability above which a pixel counts as foreground
DELTA1 = 1.25
LABEL_STEPS = 65535  # labels are 16-bit values; networks see them divided by this
# Ratios explode where the quantity is nearly nothing: below this share of the largest one that a label can
# express, prediction and label are both raised to it.
RATIO_FLOOR = 0.01


@dataclass(frozen=True)
class DepthScale:
    """How a 16-bit label maps to the quantity it stands for: ``value * scale + offset`` (``depth.json``)."""

    scale: float
    offset: float

    def quantity(self, label: Tensor) -> Tensor:
        """What labels in 0..1 stand for (disparity or depth, see ``depth.json``), floored for ratios."""
        largest = max(self.offset, LABEL_STEPS * self.scale + self.offset)
        return (label * (LABEL_STEPS * self.scale) + self.offset).clamp(min=RATIO_FLOOR * largest)


@dataclass(frozen=True)
class MaskSums:
    """Counts of pixels, and the sum of per-picture SSIM."""

    hits: int = 0  # foreground in both
    wrong: int = 0  # foreground in the prediction only
    missed: int = 0  # foreground in the label only
    ssim: float = 0.0
    pictures: int = 0

    def __add__(self, other: MaskSums) -> MaskSums:
        """Sums of both sets together."""
        return MaskSums(
            self.hits + other.hits,
            self.wrong + other.wrong,
            self.missed + other.missed,
            self.ssim + other.ssim,
            self.pictures + other.pictures,
        )

    def metrics(self) -> dict[str, float]:
        """``iou`` and ``f`` of foreground over all pixels of the set, ``ssim`` averaged over pictures.

        Nothing predicted where nothing is there is perfect: 1.
        """
        union = self.hits + self.wrong + self.missed
        return {
            "iou": self.hits / union if union else 1.0,
            "f": 2 * self.hits / (union + self.hits) if union else 1.0,
            "ssim": self.ssim / max(1, self.pictures),
        }


@dataclass(frozen=True)
class DepthSums:
    """Sums over pixels, and the sum of per-picture SSIM."""

    squared: float = 0.0
    relative: float = 0.0
    within: int = 0
    pixels: int = 0
    ssim: float = 0.0
    pictures: int = 0

    def __add__(self, other: DepthSums) -> DepthSums:
        """Sums of both sets together."""
        return DepthSums(
            self.squared + other.squared,
            self.relative + other.relative,
            self.within + other.within,
            self.pixels + other.pixels,
            self.ssim + other.ssim,
            self.pictures + other.pictures,
        )

    def metrics(self) -> dict[str, float]:
        """``rmse`` and ``ssim`` of labels in 0..1, ``abs_rel`` and ``delta1`` of what they stand for."""
        pixels = max(1, self.pixels)
        return {
            "rmse": float((self.squared / pixels) ** 0.5),
            "abs_rel": self.relative / pixels,
            "delta1": self.within / pixels,
            "ssim": self.ssim / max(1, self.pictures),
        }


def ssim(pred: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of each picture, float (B,): Gaussian window of 11, only where it lies inside the picture.

    The definition of Wang et al. 2004 and of scikit-image; the loss averages over the border as well.

    Raises:
        ValueError: If shapes differ or a side is shorter than the window.
    """
    reach = SSIM_WINDOW // 2
    if min(pred.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(f"expected sides of at least {SSIM_WINDOW}, got {tuple(pred.shape)}")
    return ssim_map(pred, target)[:, 0, reach:-reach, reach:-reach].mean(dim=(1, 2))


def mask_sums(probability: Tensor, target: Tensor) -> MaskSums:
    """Sums over a batch: ``probability`` and ``target`` (0 or 1) are (B, 1, H, W)."""
    require_same_shape(probability, target)
    found, there = probability > FOREGROUND, target > FOREGROUND
    counts = [(found & there), (found & ~there), (~found & there), ssim(probability, target)]
    hits, wrong, missed, similarity = _totals(counts)
    return MaskSums(int(hits), int(wrong), int(missed), similarity, len(target))


def depth_sums(pred: Tensor, target: Tensor, scale: DepthScale) -> DepthSums:
    """Sums over a batch: labels in 0..1, (B, 1, H, W); predictions are clamped to that range first."""
    require_same_shape(pred, target)
    pred = pred.float().clamp(0, 1)
    there, found = scale.quantity(target), scale.quantity(pred)
    ratio = torch.maximum(found / there, there / found)
    errors = [(pred - target) ** 2, (found - there).abs() / there, ratio < DELTA1, ssim(pred, target)]
    squared, relative, within, similarity = _totals(errors)
    return DepthSums(squared, relative, int(within), target.numel(), similarity, len(target))


def _totals(values: list[Tensor]) -> list[float]:
    """The sum of each (B, ...), pictures added up in float64; one transfer from the device for all."""
    pictures = torch.stack([value.flatten(1).sum(1).float() if value.ndim > 1 else value for value in values])
    totals: list[float] = pictures.cpu().double().sum(1).tolist()
    return totals
