"""The loss of MDEAS and its parts, against plain convolutions and values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from mdeas.models.base import Heads
from mdeas.models.losses import (
    LOSSES,
    SSIM_C1,
    SSIM_C2,
    gaussian_blur,
    gaussian_taps,
    l1_loss,
    mdeas_loss,
    mse_loss,
    ssim_loss,
    ssim_map,
    total,
)
from torch import Tensor
from torch.nn import functional as F


def plain_ssim(x: Tensor, y: Tensor) -> Tensor:
    """SSIM with five 11x11 convolutions, as it is usually written."""
    taps = gaussian_taps().to(x.dtype)
    kernel = (taps[:, None] * taps[None, :])[None, None]

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(z, kernel, padding=5)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    upper = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    return upper / ((mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(3, 1, 7, 9), size=(40, 56), mode="bilinear")
    return (smooth + 0.1 * torch.randn(3, 1, 40, 56)).requires_grad_(), smooth


def test_taps_are_a_gaussian_that_sums_to_one() -> None:
    taps = gaussian_taps()
    assert float(taps.sum()) == pytest.approx(1, abs=1e-12)
    assert float(taps[5] / taps[8]) == pytest.approx(math.exp(9 / (2 * 1.5**2)))


def test_blur_spreads_a_point_and_pads_with_zeros() -> None:
    point = torch.zeros(1, 20, 30)
    point[0, 2, 15] = 1
    taps = gaussian_taps().float()
    blurred = gaussian_blur(point)
    assert torch.allclose(blurred[0, 2, 10:21], taps[5] * taps)
    assert float(blurred.sum()) == pytest.approx(float(taps[3:].sum()), abs=1e-6)


def test_ssim_is_that_of_plain_convolutions(pair: tuple[Tensor, Tensor]) -> None:
    x, y = pair
    ours, plain = ssim_loss(x, y), 1 - plain_ssim(x, y).mean()
    assert float(ours.detach()) == pytest.approx(float(plain.detach()), abs=1e-6)
    gradients = [torch.autograd.grad(loss, x)[0] for loss in (ours, plain)]
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7)


def test_gradient_of_ssim_is_exact() -> None:
    torch.manual_seed(1)
    x, y = torch.rand(2, 1, 1, 6, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: ssim_loss(z, y), (x.requires_grad_(),))


def test_ssim_after_inference_mode_still_has_gradients() -> None:
    x, y = torch.rand(2, 1, 1, 17, 19)
    with torch.inference_mode():
        ssim_map(x, y)
    ssim_loss(x.requires_grad_(), y).backward()
    assert x.grad is not None


def test_half_precision_is_widened() -> None:
    x, y = torch.rand(2, 1, 1, 16, 16)
    wide = ssim_map(x.bfloat16().float(), y)
    assert torch.equal(ssim_map(x.bfloat16(), y), wide)


def test_identical_pictures_have_no_loss(pair: tuple[Tensor, Tensor]) -> None:
    target = Heads(pair[1], pair[1])
    assert float(total(mdeas_loss(target, target))) == pytest.approx(0, abs=1e-5)


def test_mdeas_loss_by_hand() -> None:
    """Constant pictures: SSIM is luminance alone where the window lies inside the picture."""
    depth, mask, depth_label, mask_label = (
        torch.full((2, 1, 32, 32), value, dtype=torch.float64) for value in (0.5, 0.25, 0.75, 1.0)
    )
    found, target = Heads(depth, mask), Heads(depth_label, mask_label)
    terms = mdeas_loss(found, target)
    expected = {
        "mask_ssim": 0.4 * (1 - float(plain_ssim(mask, mask_label).mean())),
        "mask_mse": 0.75**2,
        "mask_l1": 0.75e-6,
        "depth_ssim": 2.0 * (1 - float(plain_ssim(depth, depth_label).mean())),
        "depth_mse": 0.1 * 0.25**2,
        "depth_l1": 0.25e-6,
    }
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, abs=1e-9)
    assert float(total(terms)) == pytest.approx(sum(expected.values()), abs=1e-9)
    inside = float(ssim_map(depth, depth_label)[0, 0, 16, 16])
    assert inside == pytest.approx((2 * 0.5 * 0.75 + 1e-4) / (0.5**2 + 0.75**2 + 1e-4), abs=1e-9)


def test_a_better_prediction_has_a_lower_loss(pair: tuple[Tensor, Tensor]) -> None:
    y = pair[1]
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    losses = [
        float(total(mdeas_loss(Heads(y + s * noise, y + s * noise), Heads(y, y)))) for s in (0.01, 0.1, 0.5)
    ]
    assert losses == sorted(losses)


def test_without_a_depth_head_the_mask_terms_remain() -> None:
    x = torch.rand(1, 1, 16, 16)
    assert set(mdeas_loss(Heads(None, x), Heads(x, x))) == {"mask_ssim", "mask_mse", "mask_l1"}


@pytest.mark.parametrize("loss", [ssim_loss, mse_loss, l1_loss])
def test_other_shapes_are_named(loss: object) -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 8, 8\), \(2, 1, 8, 9\)"):
        loss(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 9))  # type: ignore[operator]


def test_presets() -> None:
    assert LOSSES["mdeas"] is mdeas_loss
