"""Metrics of masks and depth as sums over a whole set, so that batches and strata add up exactly.

A mean of per-batch figures is not the figure of the set: the last, shorter batch would weigh too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .loss_terms import require_same_shape, wide
from .ssim import SSIM_WINDOW, ssim_map, valid_ssim_map

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FOREGROUND = 0.5  # probability above which a pixel counts as foreground
DELTA = 1.25
LABEL_STEPS = 65535  # labels are 16-bit values; networks see them divided by this
# Ratios explode where the quantity is nearly nothing: below this share of the largest one that a label can
# express, prediction and label are both raised to it.
RATIO_FLOOR = 0.01
# How far outlines may lie apart and still meet, as a share of the diagonal (Perazzi et al. 2016, DAVIS).
BOUNDARY_SHARE = 0.008

Sums = TypeVar("Sums", bound="DataclassInstance")


@dataclass(frozen=True)
class DepthScale:
    """How a 16-bit label maps to the quantity it stands for: ``value * scale + offset`` (``depth.json``)."""

    scale: float
    offset: float

    def quantity(self, label: Tensor) -> Tensor:
        """What labels in 0..1 stand for (disparity or depth, see ``depth.json``), floored for ratios."""
        largest = max(self.offset, LABEL_STEPS * self.scale + self.offset)
        return (label * (LABEL_STEPS * self.scale) + self.offset).clamp(min=RATIO_FLOOR * largest)


def added(first: Sums, second: Sums) -> Sums:
    """Field by field, of two of the same dataclass of sums."""
    names = [one.name for one in fields(first)]
    return type(first)(**{name: getattr(first, name) + getattr(second, name) for name in names})


@dataclass(frozen=True)
class MaskSums:
    """Counts of pixels, and sums over them."""

    hits: int = 0  # foreground in both
    wrong: int = 0  # foreground in the prediction only
    missed: int = 0  # foreground in the label only
    outline: int = 0  # pixels of the prediction's outline
    outline_hits: int = 0  # of these, near the label's
    label_outline: int = 0
    label_outline_hits: int = 0
    absolute: float = 0.0  # |probability - label|
    pixels: int = 0
    ssim: float = 0.0
    ssim_pixels: int = 0  # where the whole window lies inside the picture

    def __add__(self, other: MaskSums) -> MaskSums:
        """Sums of both sets together."""
        return added(self, other)

    def metrics(self) -> dict[str, float]:
        """Of foreground over all pixels of the set; ``boundary_f`` of its outlines, ``mae`` of probabilities.

        Nothing predicted where nothing is there is perfect: 1.
        """
        union = self.hits + self.wrong + self.missed
        precision = _share(self.outline_hits, self.outline)
        recall = _share(self.label_outline_hits, self.label_outline)
        return {
            "iou": _share(self.hits, union),
            "f": _share(2 * self.hits, union + self.hits),
            "precision": _share(self.hits, self.hits + self.wrong),
            "recall": _share(self.hits, self.hits + self.missed),
            "boundary_f": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            "mae": self.absolute / max(1, self.pixels),
            "ssim": self.ssim / max(1, self.ssim_pixels),
        }


@dataclass(frozen=True)
class RegionSums:
    """Sums over the pixels of a region."""

    pixels: int = 0
    squared: float = 0.0
    relative: float = 0.0
    log10: float = 0.0
    within: int = 0
    within2: int = 0
    within3: int = 0
    ssim: float = 0.0
    ssim_pixels: int = 0

    def __add__(self, other: RegionSums) -> RegionSums:
        """Sums of both together."""
        return added(self, other)

    def metrics(self, suffix: str = "") -> dict[str, float]:
        """``rmse`` and ``ssim`` of labels in 0..1; of what they stand for the rest."""
        pixels = max(1, self.pixels)
        figures = {
            "rmse": math.sqrt(self.squared / pixels),
            "abs_rel": self.relative / pixels,
            "log10": self.log10 / pixels,
            "delta1": self.within / pixels,
            "delta2": self.within2 / pixels,
            "delta3": self.within3 / pixels,
            "ssim": self.ssim / max(1, self.ssim_pixels),
        }
        return {f"{name}{suffix}": value for name, value in figures.items()}


@dataclass(frozen=True)
class DepthSums:
    """Sums over the objects and over what is around them."""

    inside: RegionSums = field(default_factory=RegionSums)
    outside: RegionSums = field(default_factory=RegionSums)

    def __add__(self, other: DepthSums) -> DepthSums:
        """Sums of both sets together."""
        return DepthSums(self.inside + other.inside, self.outside + other.outside)

    def metrics(self) -> dict[str, float]:
        """Over all pixels, and apart: ``rmse``, ``rmse_inside``, ``rmse_outside`` and so on."""
        return {
            **(self.inside + self.outside).metrics(),
            **self.inside.metrics("_inside"),
            **self.outside.metrics("_outside"),
        }


def ssim(pred: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of each picture, float (B,): Gaussian window of 11, only where it lies inside the picture.

    The definition of Wang et al. 2004 and of scikit-image; the loss averages over the border as well.

    Raises:
        ValueError: If shapes differ or a side is shorter than the window.
    """
    return valid_ssim_map(pred, target).mean(dim=(1, 2, 3))


def mask_sums(probability: Tensor, target: Tensor) -> MaskSums:
    """Sums over a batch: ``probability`` and ``target`` (0 or 1) are (B, 1, H, W)."""
    require_same_shape(probability, target)
    found, there = probability > FOREGROUND, target > FOREGROUND
    outline, label_outline = outlines(found), outlines(there)
    reach = boundary_reach(*target.shape[-2:])
    counts = [
        found & there,
        found & ~there,
        ~found & there,
        outline,
        outline & _grown(label_outline, reach),
        label_outline,
        label_outline & _grown(outline, reach),
    ]
    similar = valid_ssim_map(probability, target)
    *numbers, absolute, similarity = _totals([*counts, (wide(probability) - wide(target)).abs(), similar])
    hits, wrong, missed, outline_pixels, outline_hits, label_pixels, label_hits = map(int, numbers)
    return MaskSums(
        hits=hits,
        wrong=wrong,
        missed=missed,
        outline=outline_pixels,
        outline_hits=outline_hits,
        label_outline=label_pixels,
        label_outline_hits=label_hits,
        absolute=absolute,
        pixels=target.numel(),
        ssim=similarity,
        ssim_pixels=similar.numel(),
    )


def depth_sums(pred: Tensor, target: Tensor, mask: Tensor, scale: DepthScale) -> DepthSums:
    """Sums over a batch, (B, 1, H, W) each.

    Args:
        pred: Labels in 0..1; clamped to that range first.
        target: Labels in 0..1.
        mask: Above one half inside the object.
        scale: What the labels stand for.
    """
    require_same_shape(pred, target)
    require_same_shape(mask, target)
    pred = pred.float().clamp(0, 1)
    there, found = scale.quantity(target), scale.quantity(pred)
    ratio = torch.maximum(found / there, there / found)
    similarity, counted = _inside_window(ssim_map(pred, target))
    maps = [
        torch.ones_like(target),
        (pred - target) ** 2,
        (found - there).abs() / there,
        ratio.log10(),
        ratio < DELTA,
        ratio < DELTA**2,
        ratio < DELTA**3,
        similarity,
        counted,
    ]
    inside = (mask > FOREGROUND).float()
    totals = _totals([one * part for part in (inside, 1 - inside) for one in maps])
    return DepthSums(_region(totals[: len(maps)]), _region(totals[len(maps) :]))


def outlines(mask: Tensor) -> Tensor:
    """Foreground pixels with background beside them, bool (B, 1, H, W); the frame's edge is none."""
    around = F.max_pool2d((~mask).float(), 3, stride=1, padding=1)
    return mask & (around > 0)


def boundary_reach(height: int, width: int) -> int:
    """How many pixels outlines may lie apart and still meet: 1 below a diagonal of 125, 3 at 224 x 224."""
    return math.ceil(BOUNDARY_SHARE * math.hypot(height, width))


def _grown(mask: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(mask.float(), 2 * reach + 1, stride=1, padding=reach) > 0


def _inside_window(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """``similarity`` with 0 where its window leaves the picture, and 1 where it counts."""
    counted, reach = torch.zeros_like(similarity), SSIM_WINDOW // 2
    counted[..., reach : similarity.shape[-2] - reach, reach : similarity.shape[-1] - reach] = 1
    return similarity * counted, counted


def _region(totals: list[float]) -> RegionSums:
    pixels, squared, relative, log10, within, within2, within3, similarity, counted = totals
    return RegionSums(
        pixels=int(pixels),
        squared=squared,
        relative=relative,
        log10=log10,
        within=int(within),
        within2=int(within2),
        within3=int(within3),
        ssim=similarity,
        ssim_pixels=int(counted),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _totals(values: list[Tensor]) -> list[float]:
    """The sum of each (B, ...), pictures added up in float64; one transfer from the device for all."""
    pictures = torch.stack([value.flatten(1).sum(1).float() for value in values])
    totals: list[float] = pictures.cpu().double().sum(1).tolist()
    return totals
