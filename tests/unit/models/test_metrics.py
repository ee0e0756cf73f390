"""Metrics against values worked out by hand and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mdeas.models import create_model
from mdeas.models.metrics import (
    DepthScale,
    DepthSums,
    MaskSums,
    boundary_reach,
    depth_sums,
    mask_sums,
    outlines,
    ssim,
)
from skimage.metrics import structural_similarity

SCALE = DepthScale(scale=2 / 65535, offset=0.1)  # labels 0..1 stand for 0.1..2.1


def test_ssim_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(0)
    y = rng.random((2, 33, 47)).astype(np.float32)
    x = np.clip(y + rng.normal(0, 0.1, y.shape), 0, 1).astype(np.float32)
    expected = [
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
        )
        for a, b in zip(x, y, strict=True)
    ]
    got = ssim(torch.from_numpy(x)[:, None], torch.from_numpy(y)[:, None])
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_a_picture_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="sides of at least 11"):
        ssim(torch.rand(1, 1, 10, 20), torch.rand(1, 1, 10, 20))


def test_mask_metrics_by_hand() -> None:
    target, found = torch.zeros(2, 2, 1, 16, 16)
    target[0, 0, 2:6, 2:6] = 1  # 16 pixels
    found[0, 0, 2:6, 4:8] = 0.9  # 16 pixels, 8 of them right
    found[1, 0, 0, 0] = 0.6  # one pixel where nothing is
    found[1, 0, 0, 1] = 0.4  # not above the threshold
    sums = mask_sums(found, target)
    assert (sums.hits, sums.wrong, sums.missed, sums.pixels) == (8, 9, 8, 512)
    metrics = sums.metrics()
    assert metrics["iou"] == pytest.approx(8 / 25)
    assert metrics["f"] == pytest.approx(16 / 33)
    assert metrics["precision"] == pytest.approx(8 / 17)
    assert metrics["recall"] == pytest.approx(8 / 16)
    assert metrics["mae"] == pytest.approx((8 * 0.1 + 8 * 0.9 + 8 + 0.6 + 0.4) / 512)


def test_masks_are_judged_as_by_torchmetrics() -> None:
    create_model("maskdepth")  # mends a torchvision that torchmetrics too could not be imported beside
    theirs = pytest.importorskip("torchmetrics.functional.classification")
    torch.manual_seed(1)
    found, target = torch.rand(3, 1, 20, 24), (torch.rand(3, 1, 20, 24) > 0.7).int()
    metrics = mask_sums(found, target.float()).metrics()
    expected = {
        "iou": theirs.binary_jaccard_index,
        "f": theirs.binary_f1_score,
        "precision": theirs.binary_precision,
        "recall": theirs.binary_recall,
    }
    for name, function in expected.items():
        assert metrics[name] == pytest.approx(float(function(found, target)), abs=1e-6), name


def test_outlines_and_the_distance_at_which_they_meet() -> None:
    assert [boundary_reach(side, side) for side in (64, 96, 224, 480)] == [1, 2, 3, 6]
    square = torch.zeros(1, 1, 64, 64)
    square[..., 20:40, 20:40] = 1
    assert int(outlines(square > 0).sum()) == 4 * 19
    corner = torch.zeros(1, 1, 64, 64)
    corner[..., :10, :10] = 1
    assert int(outlines(corner > 0).sum()) == 19  # where the frame cuts it off is no outline
    for shift, expected in ((1, 1.0), (2, 2 * 18 / (4 * 19))):
        # Moved aside by two, only the upper and lower edge still meet, where they lie side by side.
        moved = mask_sums(square.roll(shift, dims=-1), square).metrics()["boundary_f"]
        assert moved == pytest.approx(expected, abs=0.06 if shift == 2 else 1e-9)
    assert mask_sums(square, torch.zeros_like(square)).metrics()["boundary_f"] == 0


def test_nothing_found_where_nothing_is_is_perfect() -> None:
    empty = torch.zeros(1, 1, 16, 16)
    perfect = dict.fromkeys(("iou", "f", "precision", "recall", "boundary_f", "ssim"), 1.0)
    assert mask_sums(empty, empty).metrics() == pytest.approx({**perfect, "mae": 0.0})
    assert MaskSums().metrics()["iou"] == 1
    full = torch.ones(1, 1, 16, 16)
    assert mask_sums(full, empty).metrics()["iou"] == 0
    assert mask_sums(empty, full).metrics()["f"] == 0


def test_depth_metrics_by_hand() -> None:
    target = torch.full((1, 1, 16, 16), 0.5)  # stands for 1.1
    found = target.clone()
    found[..., :8] = 0.6  # 1.3: ratio 1.18, within 1.25
    found[..., 12:] = 1.4  # clamped to 1: 2.1, ratio 1.91, within 1.25^3
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 12:] = 1
    metrics = depth_sums(found, target, mask, SCALE).metrics()
    assert metrics["rmse"] == pytest.approx((0.5 * 0.1**2 + 0.25 * 0.5**2) ** 0.5, rel=1e-5)
    assert metrics["abs_rel"] == pytest.approx((0.5 * 0.2 + 0.25 * 1.0) / 1.1, rel=1e-5)
    log10 = 0.5 * math.log10(1.3 / 1.1) + 0.25 * math.log10(2.1 / 1.1)
    assert metrics["log10"] == pytest.approx(log10, rel=1e-4)
    assert (metrics["delta1"], metrics["delta2"], metrics["delta3"]) == pytest.approx((0.75, 0.75, 1))
    assert metrics["rmse_inside"] == pytest.approx(0.5)
    assert metrics["rmse_outside"] == pytest.approx((2 / 3 * 0.1**2) ** 0.5, rel=1e-5)
    assert (metrics["delta1_inside"], metrics["delta1_outside"]) == (0, 1)


def test_ssim_in_and_outside_of_the_object() -> None:
    torch.manual_seed(3)
    target = torch.rand(2, 1, 40, 48)
    found, mask = target.clone(), torch.zeros_like(target)
    mask[..., 10:30, 20:30] = 1
    found[..., 10:30, 20:30] += 0.2 * torch.randn(2, 1, 20, 10)
    sums = depth_sums(found, target, mask, SCALE)
    metrics = sums.metrics()
    assert metrics["ssim_inside"] < metrics["ssim"] < metrics["ssim_outside"] < 1
    assert metrics["ssim"] == pytest.approx(float(ssim(found.clamp(0, 1), target).mean()), abs=1e-6)
    assert (sums.inside.ssim_pixels, sums.outside.ssim_pixels) == (400, 2 * 30 * 38 - 400)


def test_ratios_of_nearly_nothing_are_floored() -> None:
    scale = DepthScale(scale=1 / 65535, offset=0.0)
    target, found = torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.01)
    metrics = depth_sums(found, target, target, scale).metrics()
    assert metrics["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert metrics["delta1"] == 1
    assert float(scale.quantity(torch.tensor(0.0))) == pytest.approx(0.01)


def test_a_mapping_that_falls_keeps_its_floor() -> None:
    scale = DepthScale(scale=-1 / 65535, offset=1.0)
    assert scale.quantity(torch.tensor([0.0, 0.5, 1.0])).tolist() == pytest.approx([1.0, 0.5, 0.01])


def test_sums_of_batches_are_those_of_the_set() -> None:
    torch.manual_seed(0)
    found, target = torch.rand(2, 7, 1, 20, 20)
    target = (target > 0.5).float()
    parts = [slice(0, 3), slice(3, 4), slice(4, 7)]
    masks = sum((mask_sums(found[part], target[part]) for part in parts), MaskSums())
    depths = sum((depth_sums(found[p], found[p] ** 2, target[p], SCALE) for p in parts), DepthSums())
    assert masks.metrics() == pytest.approx(mask_sums(found, target).metrics(), rel=1e-6)
    whole = depth_sums(found, found**2, target, SCALE)
    assert depths.metrics() == pytest.approx(whole.metrics(), rel=1e-6)
    assert (masks.hits, masks.pixels) == (mask_sums(found, target).hits, 7 * 400)
    assert depths.inside.pixels + depths.outside.pixels == 7 * 400


def test_other_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 16, 16\), \(1, 1, 16, 17\)"):
        mask_sums(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 17))
