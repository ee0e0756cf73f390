"""Textbook losses against values worked out by hand, MONAI, SciPy and numerical gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from mdeas.models.loss_terms import (
    bce_loss,
    berhu_loss,
    dice_loss,
    gradient_loss,
    l1_loss,
    mse_loss,
    rmse_loss,
    scale_shift_invariant_loss,
    sobel,
    tversky_loss,
)
from scipy import ndimage
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
ALL: list[Loss] = [
    bce_loss, dice_loss, tversky_loss, mse_loss, l1_loss, rmse_loss, berhu_loss, gradient_loss,
    scale_shift_invariant_loss,
]  # fmt: skip


@pytest.fixture
def masks() -> tuple[Tensor, Tensor]:
    """Probabilities and masks of three pictures."""
    torch.manual_seed(0)
    return torch.rand(3, 1, 12, 16), (torch.rand(3, 1, 12, 16) > 0.7).float()


@pytest.mark.parametrize("loss", ALL)
def test_gradients_are_exact(loss: Loss) -> None:
    torch.manual_seed(1)
    x, y = torch.rand(2, 2, 1, 9, 10, dtype=torch.float64)
    target = (y > 0.5).double() if loss in (bce_loss, dice_loss, tversky_loss) else y

    def fixed(z: Tensor) -> Tensor:
        # The limit of BerHu is a constant for its gradient: the largest error must not move with z.
        pinned = z.clone()
        if loss is berhu_loss:
            pinned[0, 0, 0, 0] = target[0, 0, 0, 0] + 1.5
        return loss(pinned, target)

    assert torch.autograd.gradcheck(fixed, (x.requires_grad_(),))


@pytest.mark.parametrize("loss", ALL)
def test_no_error_is_no_loss_and_more_error_is_more(loss: Loss, masks: tuple[Tensor, Tensor]) -> None:
    noise, mask = masks
    values = [float(loss(mask * (1 - share) + share * noise, mask)) for share in (0, 0.1, 0.4)]
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert values == sorted(values)
    assert values[1] > 1e-4


@pytest.mark.parametrize("loss", ALL)
def test_a_perfect_prediction_has_a_gradient_that_is_a_number(loss: Loss) -> None:
    for mask in (torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)):
        x = mask.clone().requires_grad_()
        loss(x, mask).backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("loss", ALL)
def test_other_shapes_are_named(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 8, 8\), \(2, 1, 8, 9\)"):
        loss(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 9))


@pytest.mark.parametrize("loss", ALL)
def test_half_precision_is_widened(loss: Loss, masks: tuple[Tensor, Tensor]) -> None:
    x, y = masks
    assert loss(x.bfloat16(), y).dtype == torch.float32


def test_overlaps_are_those_of_monai(masks: tuple[Tensor, Tensor]) -> None:
    monai = pytest.importorskip("monai.losses")
    x, y = masks
    smooth = {"smooth_nr": 1e-6, "smooth_dr": 1e-6}
    assert float(dice_loss(x, y)) == pytest.approx(float(monai.DiceLoss(**smooth)(x, y)), abs=1e-5)
    theirs = monai.TverskyLoss(alpha=0.3, beta=0.8, **smooth)(x, y)
    assert float(tversky_loss(x, y, 0.3, 0.8)) == pytest.approx(float(theirs), abs=1e-5)


def test_overlaps_by_hand() -> None:
    found, mask = torch.zeros(2, 2, 1, 4, 4)
    found[0, 0, 0] = 0.5  # half of a row of four, which is there
    mask[0, 0, 0] = 1
    # The second picture is empty in both: perfect, not 1 as with an eps below the line only.
    assert float(dice_loss(found, mask)) == pytest.approx((1 - 2 * 2 / 6) / 2, abs=1e-5)
    assert float(tversky_loss(found, mask, 1, 1)) == pytest.approx((1 - 2 / 4) / 2, abs=1e-5)
    assert float(tversky_loss(found, mask)) == pytest.approx((1 - 2 / (2 + 0.5 * 2)) / 2, abs=1e-5)


def test_cross_entropy_by_hand_and_from_logits() -> None:
    logit = torch.tensor([[[[2.0, -1.0], [40.0, -200.0]]]])
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 1.0]]]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1)) + 40 + 200) / 4
    assert float(bce_loss(torch.sigmoid(logit), mask, logit)) == pytest.approx(expected, rel=1e-6)
    gentle, there = logit[..., :1, :], mask[..., :1, :]
    from_probability = bce_loss(torch.sigmoid(gentle), there)
    assert float(from_probability) == pytest.approx(float(bce_loss(gentle, there, gentle)), abs=1e-6)


def test_errors_by_hand() -> None:
    target = torch.full((2, 1, 4, 4), 0.5)
    found = target.clone()
    found[0] += 0.1
    found[1, 0, 0, 0] -= 0.4
    squared = (16 * 0.01 + 0.16) / 32
    assert float(mse_loss(found, target)) == pytest.approx(squared, rel=1e-5)
    assert float(rmse_loss(found, target)) == pytest.approx(squared**0.5, rel=1e-4)
    assert float(l1_loss(found, target)) == pytest.approx((16 * 0.1 + 0.4) / 32, rel=1e-5)
    limit = 0.2 * 0.4
    tail = [(error**2 + limit**2) / (2 * limit) for error in (0.1, 0.4)]
    assert float(berhu_loss(found, target)) == pytest.approx((16 * tail[0] + tail[1]) / 32, rel=1e-5)


def test_berhu_is_continuous_at_its_limit() -> None:
    target = torch.zeros(1, 1, 1, 3)
    below, above = (
        float(berhu_loss(torch.tensor([[[[1.0, x, 0.0]]]]), target)) for x in (0.2 - 1e-4, 0.2 + 1e-4)
    )
    assert above - below == pytest.approx(2e-4 / 3, rel=0.02)


def test_gradients_of_pictures_are_those_of_scipy() -> None:
    torch.manual_seed(2)
    x = torch.rand(1, 1, 9, 11, dtype=torch.float64)
    for found, axis in zip(sobel(x), (1, 0), strict=True):
        expected = ndimage.sobel(x[0, 0].numpy(), axis=axis, mode="nearest") / 8
        assert found[0, 0].numpy() == pytest.approx(expected, abs=1e-12)


def test_a_slope_has_its_gradient_and_the_level_does_not_count() -> None:
    flat, slope = torch.zeros(1, 1, 8, 50), (0.01 * torch.arange(50.0)).expand(1, 1, 8, 50)
    inside = sobel(slope)[0][..., 1:-1]
    assert torch.allclose(inside, torch.full_like(inside, 0.01), atol=1e-6)
    assert float(gradient_loss(slope, flat)) == pytest.approx((48 * 0.01 + 2 * 0.005) / 50 / 2, rel=1e-4)
    assert float(gradient_loss(slope + 0.5, slope)) == pytest.approx(0, abs=1e-6)


def test_scale_and_shift_of_each_picture_do_not_count(masks: tuple[Tensor, Tensor]) -> None:
    x, y = masks
    scale, shift = torch.tensor([0.5, 2.0, 7.0]).view(3, 1, 1, 1), torch.tensor([0.0, -1, 4]).view(3, 1, 1, 1)
    loss = float(scale_shift_invariant_loss(x, y))
    assert float(scale_shift_invariant_loss(scale * x + shift, y)) == pytest.approx(loss, rel=1e-3)
    assert float(scale_shift_invariant_loss(scale * y + shift, y)) == pytest.approx(0, abs=1e-4)


def test_the_fit_is_that_of_least_squares(masks: tuple[Tensor, Tensor]) -> None:
    x, y = (part[:1].double() for part in masks)
    columns = torch.stack([x.flatten(), torch.ones(x.numel(), dtype=x.dtype)], dim=1)
    best = columns @ torch.linalg.lstsq(columns, y.reshape(-1, 1)).solution
    rest = best.view_as(y) - y
    matching = sum(
        (coarse.diff(dim=-1).abs().sum() + coarse.diff(dim=-2).abs().sum()) / coarse.numel()
        for coarse in (rest[..., ::step, ::step] for step in (1, 2, 4, 8))
    )
    expected = float((rest**2).mean() / 2 + 0.5 * matching)
    assert float(scale_shift_invariant_loss(x, y)) == pytest.approx(expected, rel=1e-4)
