"""The baseline that learns nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mdeas.models.baseline import Baseline, best_threshold, difference, fit_baseline
from mdeas.models.dataset import FgBgDataset, Sample


def test_the_threshold_is_that_of_the_best_iou() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(90, 30, 4000).clip(0, 255), rng.normal(30, 20, 9000).clip(0, 255)
    histograms = [np.bincount(values.astype(int), minlength=256) for values in (inside, outside)]

    def iou(t: int) -> float:
        hits, wrong = (inside.astype(int) > t).sum(), (outside.astype(int) > t).sum()
        return float(hits / (len(inside) + wrong))

    assert iou(best_threshold(*histograms)) == max(map(iou, range(256)))


def test_filtering_the_difference_is_filtering_the_mask() -> None:
    rng = np.random.default_rng(1)
    bg, frame = rng.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    values = cv2.absdiff(bg, frame).max(axis=2)
    for threshold in (20, 100, 200):
        mask = np.where(values > threshold, 255, 0).astype(np.uint8)
        assert np.array_equal(difference(bg, frame) > threshold, cv2.medianBlur(mask, 5) > 0)


def test_single_pixels_are_noise_and_an_object_is_not() -> None:
    bg = np.full((32, 32, 3), 100, np.uint8)
    frame = bg.copy()
    frame[4, 4] = 255
    frame[10:20, 10:24, 1] = 160
    found = difference(bg, frame) > 30
    assert not found[4, 4]
    assert found[12:18, 12:22].all()
    assert found.sum() <= 140


def test_predicts_masks_and_the_mean_depth() -> None:
    bg, frame = torch.full((2, 2, 3, 32, 32), 0.5)
    frame[1, :, 8:20, 8:20] = 0.9
    mean = np.linspace(0, 1, 32, dtype=np.float32)[:, None].repeat(32, axis=1)
    sample = Sample(bg, frame, torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32))
    depth, mask, *_ = Baseline(threshold=40, mean_depth=mean)(sample)
    assert mask.shape == (2, 1, 32, 32)
    assert mask.flatten(1).sum(1).tolist() == pytest.approx([0, 144], abs=12)
    assert depth is not None
    assert torch.equal(depth[1, 0], torch.from_numpy(mean))


def test_fits_on_the_training_side(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, size=32)
    fitted = fit_baseline(dataset, seed=0, workers=1)
    mean = np.mean([dataset[i].depth[0].numpy() for i in range(len(dataset))], axis=0)
    assert fitted.mean_depth == pytest.approx(mean, abs=1e-5)
    assert 5 < fitted.threshold < 120
    sample = dataset.read(np.arange(12)).to(torch.device("cpu"))
    found, there = fitted(sample).mask > 0, sample.mask > 0
    assert float((found & there).sum() / (found | there).sum()) > 0.8
