"""SSIM as banded matrix products, against plain convolutions, scikit-image, torchmetrics and MONAI."""

from __future__ import annotations

import math

import pytest
import torch
from mdeas.models.backbone import import_library
from mdeas.models.ssim import (
    SSIM_C1,
    SSIM_C2,
    dssim_loss,
    gaussian_blur,
    gaussian_taps,
    rmse_ssim_loss,
    several_ssim_loss,
    ssim_loss,
    ssim_map,
    valid_ssim_map,
)
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F


def plain_ssim(x: Tensor, y: Tensor, window: int = 11) -> Tensor:
    """SSIM with five convolutions, as it is usually written."""
    taps = gaussian_taps(window).to(x.dtype)
    kernel = (taps[:, None] * taps[None, :])[None, None]

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(z, kernel, padding=window // 2)

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


@pytest.mark.parametrize("window", [3, 5, 11])
def test_ssim_is_that_of_plain_convolutions(pair: tuple[Tensor, Tensor], window: int) -> None:
    x, y = pair
    ours, plain = ssim_loss(x, y, (window,)), 1 - plain_ssim(x, y, window).mean()
    assert float(ours.detach()) == pytest.approx(float(plain.detach()), abs=1e-6)
    gradients = [torch.autograd.grad(loss, x)[0] for loss in (ours, plain)]
    assert torch.allclose(gradients[0], gradients[1], rtol=2e-4, atol=1e-7)


def test_ssim_inside_is_that_of_scikit_image(pair: tuple[Tensor, Tensor]) -> None:
    x, y = (part.detach() for part in pair)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [
        structural_similarity(a[0].numpy(), b[0].numpy(), **options) for a, b in zip(x, y, strict=True)
    ]
    assert valid_ssim_map(x, y).mean(dim=(1, 2, 3)).tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_inside_is_that_of_torchmetrics_and_monai(pair: tuple[Tensor, Tensor]) -> None:
    import_library("timm")  # torchmetrics too cannot be imported beside a torchvision made for another torch
    torchmetrics = pytest.importorskip("torchmetrics.functional.image")
    monai = pytest.importorskip("monai.losses")
    x, y = (part.detach() for part in pair)
    ours = float(valid_ssim_map(x, y).mean())
    _, theirs = torchmetrics.structural_similarity_index_measure(
        x, y, sigma=1.5, data_range=1.0, return_full_image=True
    )
    assert ours == pytest.approx(float(theirs[..., 5:-5, 5:-5].mean()), abs=1e-5)
    loss = monai.SSIMLoss(spatial_dims=2, win_size=11, data_range=1.0)
    assert 1 - ours == pytest.approx(float(loss(x, y)), abs=1e-5)


def test_gradient_of_ssim_is_exact() -> None:
    torch.manual_seed(1)
    x, y = torch.rand(2, 1, 1, 6, 7, dtype=torch.float64)
    for loss in (ssim_loss, several_ssim_loss, rmse_ssim_loss):
        assert torch.autograd.gradcheck(lambda z, loss=loss: loss(z, y), (x.requires_grad_(),))


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


def test_several_windows_are_averaged(pair: tuple[Tensor, Tensor]) -> None:
    x, y = (part.detach() for part in pair)
    expected = sum(float(1 - plain_ssim(x, y, window).mean()) for window in (5, 11)) / 2
    assert float(several_ssim_loss(x, y)) == pytest.approx(expected, abs=1e-6)
    rmse = float(((x - y) ** 2).mean().sqrt())
    assert float(rmse_ssim_loss(x, y)) == pytest.approx(expected**0.5 + 4 * rmse, abs=1e-5)


def test_dssim_is_half_and_has_no_gradient_below_zero() -> None:
    y = (torch.arange(16) % 2).float().expand(1, 1, 16, 16)
    x = (1 - y).clone().requires_grad_()
    loss = dssim_loss(x, y, 3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.5)
    assert x.grad is not None
    assert not x.grad.any()
    assert float(dssim_loss(y, y, 3)) == pytest.approx(0, abs=1e-6)


def test_a_window_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="sides of at least 11"):
        valid_ssim_map(torch.rand(1, 1, 10, 20), torch.rand(1, 1, 10, 20))
