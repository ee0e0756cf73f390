"""The sweep on a drawn data set, with predictors of which the answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mdeas.models.base import Heads
from mdeas.models.baseline import fit_baseline
from mdeas.models.dataset import FgBgDataset, Sample
from mdeas.models.disturb import DISTURBANCES
from mdeas.models.judge import Judge, open_strata
from mdeas.models.metrics import DepthScale
from mdeas.models.robustness import Robustness, area, disturb, sample_views, sweep


@pytest.fixture(scope="module")
def swept(labelled: Path) -> Robustness:
    strata = open_strata(labelled, 64, None, 0)
    judge = Judge(strata, DepthScale(1.0, 0.0), 8, 1, torch.device("cpu"))
    views = sample_views(strata, 16)
    baseline = fit_baseline(FgBgDataset(labelled, "train", 64), 0, 1)

    def truth(sample: Sample) -> Heads:
        return Heads(sample.depth, sample.mask)

    return sweep(judge, truth, baseline, views)


def test_who_knows_the_truth_stands_everything(swept: Robustness) -> None:
    assert swept.samples == 16
    assert swept.area == 1
    for curve in swept.curves.values():
        assert set(curve.mask_iou) == {1.0}
        assert curve.depth_rmse is not None
        assert set(curve.depth_rmse) == {0.0}


def test_the_baseline_falls_with_every_disturbance(swept: Robustness) -> None:
    assert swept.curves.keys() == DISTURBANCES.keys()
    for name, curve in swept.curves.items():
        figures = curve.baseline_mask_iou
        assert len(figures) == len(curve.levels) == 1 + len(DISTURBANCES[name].levels)
        assert figures[0] == swept.curves["shift"].baseline_mask_iou[0] > 0.7
        assert figures[-1] < figures[0] + 0.02
    shifted = swept.curves["shift"].baseline_mask_iou
    assert list(shifted) == sorted(shifted, reverse=True)
    assert swept.baseline_area == pytest.approx(
        sum(curve.baseline_area for curve in swept.curves.values()) / len(swept.curves)
    )


def test_table_and_picture(swept: Robustness) -> None:
    lines = swept.table().splitlines()
    assert len(lines) == 2 + len(DISTURBANCES)
    first = swept.curves["shift"].baseline_mask_iou
    assert f"none: 1.00 ({first[0]:.2f})  1: 1.00 ({first[1]:.2f})" in lines[1]
    assert lines[-1].endswith(f"1.000 ({swept.baseline_area:.3f})")
    assert swept.picture("truth").ndim == 3


def test_samples_come_from_every_stratum(labelled: Path) -> None:
    strata = open_strata(labelled, 32, None, 0)
    assert len(sample_views(strata, 8).mask) == 8
    assert len(sample_views(strata, 1).mask) == len(strata)


def test_a_disturbed_batch_is_a_batch(labelled: Path) -> None:
    views = sample_views(open_strata(labelled, 32, None, 0), 8)
    moved = disturb(views, "shift", 1)
    assert moved.bg.shape == views.bg.shape
    assert torch.equal(moved.fg_bg, views.fg_bg)
    assert torch.equal(moved.bg[0, :, :, 1:], views.bg[0, :, :, :-1])
    assert torch.equal(moved.bg[1, :, 1:], views.bg[1, :, :-1])


def test_areas() -> None:
    assert area((1.0, 1.0)) == 1
    assert area((1.0, 0.5, 0.0)) == pytest.approx(0.5)
