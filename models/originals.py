"""The figures that the published systems gave, as they computed them, to compare with what they printed.

None of them is what its name says; ``models.metrics`` has figures that are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Heads
from .loss_presets import Labels
from .loss_terms import wide
from .metrics import added
from .ssim import ssim_map

EPS = 1e-6
LABELLED = 1e-4  # DSResNet leaves out depth labels up to this
MEANINGS = {
    "vathos_miou": "half of the soft Dice, at most 0.5; MaskDepthGenerator's too",
    "vathos_mrmse": "mean over batches of the root of the squared error + 1e-6",
    "dsresnet_iou": "soft, no threshold, mean over pictures",
    "dsresnet_rmse": "mean over batches, where the label is above 0.0001",
    "mdeas_mask_accuracy": "SSIM in percent, borders included",
    "mdeas_depth_accuracy": "SSIM in percent, borders included",
    "mdeas_mask_miou": "of pixels that are exactly 1, in ten steps above 0.5",
}


@dataclass(frozen=True)
class OriginalSums:
    """Sums over pictures, or over batches weighed as the originals did."""

    pictures: int = 0
    batches: int = 0
    half_dice: float = 0.0
    soft_iou: float = 0.0
    mask_ssim: float = 0.0
    byte_iou: float = 0.0
    depth_pictures: int = 0
    depth_ssim: float = 0.0
    batch_rmse: float = 0.0
    labelled_rmse: float = 0.0  # times the pictures of the batch

    def __add__(self, other: OriginalSums) -> OriginalSums:
        """Sums of both sets together."""
        return added(self, other)

    def metrics(self) -> dict[str, float]:
        """By name; ``MEANINGS`` says what each is."""
        pictures = max(1, self.pictures)
        figures = {
            "vathos_miou": self.half_dice / pictures,
            "dsresnet_iou": self.soft_iou / pictures,
            "mdeas_mask_accuracy": 100 * self.mask_ssim / pictures,
            "mdeas_mask_miou": self.byte_iou / pictures,
        }
        if self.depth_pictures:
            figures |= {
                "vathos_mrmse": self.batch_rmse / max(1, self.batches),
                "dsresnet_rmse": self.labelled_rmse / self.depth_pictures,
                "mdeas_depth_accuracy": 100 * self.depth_ssim / self.depth_pictures,
            }
        return figures


def original_sums(found: Heads, labels: Labels) -> OriginalSums:
    """Sums over one batch."""
    p, t = wide(found.mask), wide(labels.mask)
    overlap, both = (p * t).flatten(1).sum(1), (p + t).flatten(1).sum(1)
    sums = OriginalSums(
        pictures=len(t),
        batches=1,
        half_dice=float((overlap / (both + EPS)).sum()),
        soft_iou=float(((overlap + EPS) / (both - overlap + EPS)).sum()),
        mask_ssim=float(ssim_map(p, t).mean(dim=(1, 2, 3)).sum()),
        byte_iou=float(_byte_iou(p, t).sum()),
    )
    if found.depth is None or labels.depth is None:
        return sums
    depth, label = wide(found.depth), wide(labels.depth)
    squared = (depth - label) ** 2
    labelled = squared[label > LABELLED]
    return sums + OriginalSums(
        depth_pictures=len(t),
        depth_ssim=float(ssim_map(depth, label).mean(dim=(1, 2, 3)).sum()),
        batch_rmse=float((squared.mean() + EPS).sqrt()),
        labelled_rmse=float(labelled.mean().sqrt()) * len(t) if labelled.numel() else 0.0,
    )


def _byte_iou(pred: Tensor, target: Tensor) -> Tensor:
    """A cast to bytes keeps only what is 1 or more; then an IoU a picture, in ten steps above 0.5."""
    found, there = pred.clamp(min=0).byte(), target.byte()
    hits, union = ((part > 0).flatten(1).sum(1) for part in (found & there, found | there))
    iou = (hits + EPS) / (union + EPS)
    return torch.clamp(20 * (iou - 0.5), 0, 10).ceil() / 10
