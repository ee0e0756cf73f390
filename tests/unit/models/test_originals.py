"""The published figures, by hand: each shows the fault that it is named for."""

from __future__ import annotations

import pytest
import torch
from mdeas.models.base import Heads
from mdeas.models.originals import MEANINGS, OriginalSums, original_sums
from mdeas.models.ssim import ssim_map


def test_by_hand() -> None:
    mask, found = torch.zeros(2, 2, 1, 16, 16)
    mask[:, :, :4] = 1  # 64 of 256 pixels
    found[0, :, :4] = 1  # perfect
    found[1, :, :8] = 0.5  # never exactly 1
    depth, label = torch.full((2, 1, 16, 16), 0.5), torch.full((2, 1, 16, 16), 0.2)
    label[1] = 0  # unlabelled, by one of them
    figures = original_sums(Heads(depth, found), Heads(label, mask)).metrics()
    assert figures.keys() == MEANINGS.keys()
    assert figures["vathos_miou"] == pytest.approx((64 / 128 + 32 / 128) / 2)
    assert figures["dsresnet_iou"] == pytest.approx((1 + 32 / 96) / 2)
    assert figures["mdeas_mask_miou"] == pytest.approx((1 + 0) / 2)
    assert figures["mdeas_mask_accuracy"] == pytest.approx(100 * float(ssim_map(found, mask).mean()))
    assert figures["vathos_mrmse"] == pytest.approx(((0.3**2 + 0.5**2) / 2 + 1e-6) ** 0.5, rel=1e-5)
    assert figures["dsresnet_rmse"] == pytest.approx(0.3)
    assert figures["mdeas_depth_accuracy"] == pytest.approx(100 * float(ssim_map(depth, label).mean()))


def test_batches_count_as_they_did() -> None:
    """The last, shorter batch of one RMSE weighs as much as the others, that of the other does not."""
    mask = torch.ones(3, 1, 16, 16)
    depth = torch.full_like(mask, 0.5)
    label = torch.cat([depth[:2], depth[:1] + 0.4])
    found, target = Heads(depth, mask), Heads(label, mask)
    sums = OriginalSums()
    for part in (slice(0, 2), slice(2, 3)):
        sums += original_sums(*(Heads(one.depth[part], one.mask[part]) for one in (found, target)))
    figures = sums.metrics()
    assert figures["vathos_mrmse"] == pytest.approx((0.001 + (0.16 + 1e-6) ** 0.5) / 2, rel=1e-4)
    assert figures["dsresnet_rmse"] == pytest.approx(0.4 / 3, rel=1e-4)


def test_without_a_depth_head() -> None:
    mask = torch.ones(1, 1, 16, 16)
    assert not [
        name for name in original_sums(Heads(None, mask), Heads(mask, mask)).metrics() if "rmse" in name
    ]
