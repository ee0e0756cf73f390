"""Metrics against values worked out by hand and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mdeas.models.metrics import DepthScale, DepthSums, MaskSums, depth_sums, mask_sums, ssim
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
    assert (sums.hits, sums.wrong, sums.missed, sums.pictures) == (8, 9, 8, 2)
    metrics = sums.metrics()
    assert metrics["iou"] == pytest.approx(8 / 25)
    assert metrics["f"] == pytest.approx(16 / 33)


def test_nothing_found_where_nothing_is_is_perfect() -> None:
    empty = torch.zeros(1, 1, 16, 16)
    assert mask_sums(empty, empty).metrics() == pytest.approx({"iou": 1, "f": 1, "ssim": 1})
    assert MaskSums().metrics()["iou"] == 1
    full = torch.ones(1, 1, 16, 16)
    assert mask_sums(full, empty).metrics()["iou"] == 0
    assert mask_sums(empty, full).metrics()["f"] == 0


def test_depth_metrics_by_hand() -> None:
    target = torch.full((1, 1, 16, 16), 0.5)  # stands for 1.1
    found = target.clone()
    found[..., :8] = 0.6  # 1.3: ratio 1.18, within 1.25
    found[..., 12:] = 1.4  # clamped to 1: 2.1
    metrics = depth_sums(found, target, SCALE).metrics()
    assert metrics["rmse"] == pytest.approx((0.5 * 0.1**2 + 0.25 * 0.5**2) ** 0.5, rel=1e-5)
    assert metrics["abs_rel"] == pytest.approx((0.5 * 0.2 + 0.25 * 1.0) / 1.1, rel=1e-5)
    assert metrics["delta1"] == pytest.approx(0.75)


def test_ratios_of_nearly_nothing_are_floored() -> None:
    scale = DepthScale(scale=1 / 65535, offset=0.0)
    target, found = torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.01)
    metrics = depth_sums(found, target, scale).metrics()
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
    depths = sum((depth_sums(found[part], target[part], SCALE) for part in parts), DepthSums())
    assert masks.metrics() == pytest.approx(mask_sums(found, target).metrics(), rel=1e-6)
    assert depths.metrics() == pytest.approx(depth_sums(found, target, SCALE).metrics(), rel=1e-6)
    assert (masks.hits, masks.pictures, depths.pixels) == (mask_sums(found, target).hits, 7, 7 * 400)


def test_other_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 16, 16\), \(1, 1, 16, 17\)"):
        mask_sums(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 17))
