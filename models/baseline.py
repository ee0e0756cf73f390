"""What can be predicted without learning: a thresholded difference, and the mean depth of the training set.

A network that does not beat these has learnt nothing of use, so they stand beside every result.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..pipeline.images import Pixels
from .base import Heads
from .dataset import FgBgDataset, Sample, batches, epoch_order

# JPEG noise is single pixels; a 5 x 5 median removes it and hardly touches the outline of an object.
MEDIAN_SIDE = 5
# Enough for the threshold (the counts are of millions of pixels) and for a smooth mean depth.
FIT_SAMPLES = 1000
FIT_BATCH = 32


@dataclass(frozen=True)
class Baseline:
    """Foreground where the median of |fg_bg - bg| exceeds ``threshold``; depth always ``mean_depth``."""

    threshold: int  # in 8-bit steps, of the channel that differs most
    mean_depth: NDArray[np.float32]  # (H, W)

    def __call__(self, sample: Sample) -> Heads:
        """Predictions for a batch, on its device."""
        masks = np.stack([difference(bg, frame) > self.threshold for bg, frame in _pictures(sample)])
        device = sample.mask.device
        mask = torch.from_numpy(masks)[:, None].float().to(device)
        depth = torch.from_numpy(self.mean_depth).to(device).expand(len(masks), 1, -1, -1)
        return Heads(depth, mask)


def difference(bg: Pixels, frame: Pixels) -> Pixels:
    """Median-filtered largest channel difference of two (H, W, 3) pictures, (H, W) uint8.

    A median commutes with a threshold, so filtering before it is filtering the mask after it.
    """
    return np.asarray(cv2.medianBlur(cv2.absdiff(bg, frame).max(axis=2), MEDIAN_SIDE), np.uint8)


def fit_baseline(dataset: FgBgDataset, seed: int, workers: int) -> Baseline:
    """Threshold of best IoU and mean depth over ``FIT_SAMPLES`` of the training side, or all of it."""
    order = epoch_order(len(dataset), seed, 0)[:FIT_SAMPLES]
    inside, outside = np.zeros(256, np.int64), np.zeros(256, np.int64)
    depth = np.zeros((dataset.size, dataset.size), np.float64)
    for _, batch in batches(dataset, order, FIT_BATCH, workers):
        sample = batch.to(torch.device("cpu"))
        depth += sample.depth.double().sum(dim=(0, 1)).numpy()
        for (bg, frame), mask in zip(_pictures(sample), sample.mask[:, 0].numpy() > 0, strict=True):
            values = difference(bg, frame)
            inside += np.bincount(values[mask], minlength=256)
            outside += np.bincount(values[~mask], minlength=256)
    return Baseline(best_threshold(inside, outside), (depth / len(order)).astype(np.float32))


def best_threshold(inside: NDArray[np.int64], outside: NDArray[np.int64]) -> int:
    """The threshold of best IoU, from histograms (256,) of the difference inside and outside of the masks."""
    hits = inside.sum() - np.cumsum(inside)  # values above t, for every t
    wrong = outside.sum() - np.cumsum(outside)
    return int(np.argmax(hits / np.maximum(1, inside.sum() + wrong)))


def _pictures(sample: Sample) -> list[tuple[Pixels, Pixels]]:
    pair = [
        part.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy() for part in (sample.bg, sample.fg_bg)
    ]
    return list(zip(*pair, strict=True))
