"""Augmentation: drawn from seed, epoch and sample alone, and labels stay with the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mdeas.models.augment import AUGMENTATIONS, AugmentedDataset, Shot, between_shots
from mdeas.models.dataset import FgBgDataset


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_a_sample_is_the_same_in_any_batch(labelled: Path, kind: str) -> None:
    augmented = AugmentedDataset(FgBgDataset(labelled, "train", 32), kind, 3, 1)
    together, alone = augmented.read(np.arange(6)), augmented.read(np.asarray([4]))
    for many, one in zip(together, alone, strict=True):
        assert torch.equal(many[4], one[0])
    assert set(together.mask.unique().tolist()) <= {0, 255}
    assert together.depth.min() >= 0 and together.depth.max() <= 1


def test_epochs_and_seeds_differ_and_none_changes_nothing(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, "train", 32)

    def read(kind: str, seed: int, epoch: int) -> torch.Tensor:
        return AugmentedDataset(dataset, kind, seed, epoch).read(np.arange(8)).bg

    assert not torch.equal(read("camera", 0, 0), read("camera", 0, 1))
    assert not torch.equal(read("camera", 0, 0), read("camera", 1, 0))
    assert torch.equal(read("none", 0, 0), dataset.read(np.arange(8)).bg)


def test_what_happens_between_the_shots_leaves_the_labels() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    mask = np.where(rng.random((48, 48)) > 0.5, np.uint8(255), np.uint8(0))
    depth = rng.random((48, 48), dtype=np.float32)
    changed = [
        between_shots(Shot(picture, picture, mask, depth), np.random.default_rng(n)) for n in range(20)
    ]
    assert all(np.array_equal(shot.mask, mask) and np.array_equal(shot.depth, depth) for shot in changed)
    assert sum(not np.array_equal(shot.bg, picture) for shot in changed) > 15
    assert all(shot.bg.shape == picture.shape and shot.bg.dtype == np.uint8 for shot in changed)
