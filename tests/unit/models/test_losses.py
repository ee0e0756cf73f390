"""The losses of the systems by hand, sums of terms, learnt weights, precision."""

from __future__ import annotations

import math

import pytest
import torch
from mdeas import MdeasError
from mdeas.models.base import Heads
from mdeas.models.loss_presets import LOSSES, mdeas_loss
from mdeas.models.loss_terms import bce_loss, dice_loss, l1_loss, rmse_loss
from mdeas.models.losses import TERMS, create_loss
from mdeas.models.ssim import ssim_loss
from torch import Tensor

SIDE = 32


def constant(value: float) -> Tensor:
    return torch.full((2, 1, SIDE, SIDE), value, dtype=torch.float64)


def values(name: str, found: Heads, target: Heads) -> dict[str, float]:
    loss, terms = create_loss(name)(found, target)
    assert float(loss) == pytest.approx(sum(float(term) for term in terms.values()), rel=1e-5, abs=1e-9)
    return {term: float(value) for term, value in terms.items()}


@pytest.fixture
def target() -> Heads:
    torch.manual_seed(0)
    return Heads(torch.rand(2, 1, SIDE, SIDE), (torch.rand(2, 1, SIDE, SIDE) > 0.6).float())


@pytest.fixture
def found() -> Heads:
    torch.manual_seed(1)
    depth, mask = torch.randn(2, 2, 1, SIDE, SIDE)
    return Heads(torch.sigmoid(depth), torch.sigmoid(mask), depth, mask)


def test_mdeas_by_hand() -> None:
    """Constant pictures: SSIM is luminance alone where the window lies inside the picture."""
    found, target = Heads(constant(0.5), constant(0.25)), Heads(constant(0.75), constant(1.0))
    assert values("mdeas", found, target) == pytest.approx(
        {
            "mask_ssim": 0.4 * float(ssim_loss(found.mask, target.mask)),
            "mask_mse": 0.75**2,
            "mask_l1": 0.75e-6,
            "depth_ssim": 2.0 * float(ssim_loss(constant(0.5), constant(0.75))),
            "depth_mse": 0.1 * 0.25**2,
            "depth_l1": 0.25e-6,
        },
        abs=1e-9,
    )


def test_dsresnet_by_hand() -> None:
    """Its Dice is one ratio for the whole batch, not a mean over pictures."""
    mask = constant(0.0)
    mask[0, :, :8] = 1  # a quarter of the first picture, nothing in the second
    found, target = Heads(constant(0.5), constant(0.5)), Heads(constant(0.75), mask)
    area = 8 * SIDE
    expected = {
        "mask_bce": math.log(2),
        "mask_dice": 2 * (1 - (area + 1e-6) / (SIDE * SIDE + area + 1e-6)),
        "depth_rmse": 2 * math.sqrt(0.25**2 + 1e-6),
    }
    assert values("dsresnet", found, target) == pytest.approx(expected, abs=1e-9)
    del expected["mask_dice"]
    assert values("dsresnet-bce", found, target) == pytest.approx(expected, abs=1e-9)
    inside = (2 * 0.5 * 0.75 + 1e-4) / (0.5**2 + 0.75**2 + 1e-4)
    assert values("dsresnet-ssim", found, target) == pytest.approx(
        {"mask_dice": 1 - (area + 1) / (SIDE * SIDE + area + 1), "depth_ssim": 2 * (1 - inside)}, abs=1e-9
    )


def test_vathos_is_bce_dice_and_twice_rmse(found: Heads, target: Heads) -> None:
    assert values("vathos", found, target) == pytest.approx(
        {
            "mask_bce": float(bce_loss(found.mask, target.mask)),
            "mask_dice": 2 * float(dice_loss(found.mask, target.mask)),
            "depth_rmse": 2 * float(rmse_loss(found.depth, target.depth)),
        },
        rel=1e-4,
    )


def test_faults_of_vathos_are_in_its_originals_only() -> None:
    empty = Heads(constant(0.0), constant(0.0))
    assert values("vathos", empty, empty)["mask_dice"] == pytest.approx(0, abs=1e-6)
    original = values("vathos-original", empty, empty)
    assert original["mask_dice"] == pytest.approx(2)
    assert original["depth_rmse"] == pytest.approx(2e-3)
    # Raw outputs of 3 and -1 against 0: c is 0.6, and the tail is times c / 2.
    depth = constant(3.0)
    depth[1] = -0.5
    found = Heads(torch.sigmoid(depth), constant(0.0), depth, None)
    berhu = values("vathos-berhu-original", found, empty)["depth_berhu"]
    assert berhu == pytest.approx(2 * ((9 + 0.36) * 0.3 + 0.5) / 2)
    striped = (torch.arange(SIDE) % 2).double().expand(2, 1, SIDE, SIDE)
    opposite = Heads(1 - striped, constant(0.0)), Heads(striped, constant(0.0))
    assert values("vathos-ssim-original", *opposite)["depth_ssim"] == pytest.approx(2 * (0.5 + 0.5))


def test_maskdepth_sees_probabilities_and_its_original_raw_outputs() -> None:
    logit, depth = constant(4.0), constant(1.5)
    found = Heads(depth, torch.sigmoid(logit), None, logit)
    target = Heads(constant(1.0), constant(1.0))
    meant, done = (values(name, found, target) for name in ("maskdepth", "maskdepth-original"))
    assert meant["mask_ssim"] < 0.001
    assert done["mask_dssim"] > 0.1
    assert (meant["depth_l1"], done["depth_l1"]) == pytest.approx((0.5, 0.05))
    assert meant["depth_ssim"] == pytest.approx(0, abs=1e-6)
    assert done["depth_dssim"] > 0.02
    assert meant["mask_bce"] == done["mask_bce"] == pytest.approx(math.log1p(math.exp(-4)))
    assert meant["depth_gradient"] == done["depth_gradient"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_every_preset_moves_both_heads(name: str, target: Heads) -> None:
    torch.manual_seed(2)
    depth, mask = torch.randn(2, 2, 1, SIDE, SIDE).unbind()
    for part in (depth, mask):
        part.requires_grad_()
    loss, _ = create_loss(name)(Heads(torch.sigmoid(depth), torch.sigmoid(mask), depth, mask), target)
    loss.backward()
    for part in (depth, mask):
        assert part.grad is not None
        assert part.grad.isfinite().all()
        assert part.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_depth_head_the_mask_terms_remain(name: str, found: Heads, target: Heads) -> None:
    alone = values(name, found._replace(depth=None, depth_logit=None), target)
    both = values(name, found, target)
    assert alone == {term: value for term, value in both.items() if term.startswith("mask_")}
    assert alone


def test_sums_of_terms(found: Heads, target: Heads) -> None:
    got = values("mask=bce+2.5dice+tversky:0.5:0.5,depth=0.1l1+ssim", found, target)
    dice = float(dice_loss(found.mask, target.mask))
    assert got == pytest.approx(
        {
            "mask_bce": float(bce_loss(found.mask, target.mask)),
            "mask_dice": 2.5 * dice,
            "mask_tversky": dice,
            "depth_l1": 0.1 * float(l1_loss(found.depth, target.depth)),
            "depth_ssim": float(ssim_loss(found.depth, target.depth)),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("term", TERMS)
def test_every_term_can_be_chosen_for_both_heads(term: str, found: Heads, target: Heads) -> None:
    assert set(values(f"mask={term},depth={term}", found, target)) == {f"mask_{term}", f"depth_{term}"}


@pytest.mark.parametrize(
    "name",
    [
        "none", "", "mask", "mask=", "mask=bce,", "mask=bce+bce", "nose=bce", "mask=-1bce",
        "mask=dice:1", "mask=tversky:1", "mask=.bce", "mask=2", "weights=learnt",
        "mask=bce,weights=given",
    ],
)  # fmt: skip
def test_what_is_no_loss_is_refused(name: str) -> None:
    with pytest.raises(MdeasError, match=r"no loss is called .*mdeas.*mask=bce\+2dice"):
        create_loss(name)


def test_a_loss_for_a_head_that_is_not_there(found: Heads, target: Heads) -> None:
    with pytest.raises(MdeasError, match="add mask= terms"):
        create_loss("depth=l1")(Heads(None, found.mask), target)


def test_learnt_weights_settle_where_theory_says(found: Heads, target: Heads) -> None:
    """At their best, exp(s) is twice the loss of the mask, and the loss of the depth."""
    loss = create_loss("mask=bce,depth=mse,weights=learnt").double()
    optimizer = torch.optim.LBFGS(loss.parameters(), max_iter=100)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss(found, target)[0]
        value.backward()
        return value

    optimizer.step(closure)
    plain = values("mask=bce,depth=mse", found, target)
    learnt = {name.split(".")[-1]: float(s.detach().exp()) for name, s in loss.named_parameters()}
    assert learnt == pytest.approx({"mask": 2 * plain["mask_bce"], "depth": plain["depth_mse"]}, rel=1e-3)
    terms = loss(found, target)[1]
    assert set(terms) == {"mask_bce", "mask_uncertainty", "depth_mse", "depth_uncertainty"}
    alone = create_loss("mdeas,weights=learnt")(Heads(None, found.mask), target)[1]
    assert set(alone) == {"mask_ssim", "mask_mse", "mask_l1", "mask_uncertainty"}


def test_learnt_weights_begin_as_given(found: Heads, target: Heads) -> None:
    _, terms = create_loss("mask=bce,depth=mse,weights=learnt")(found, target)
    plain = values("mask=bce,depth=mse", found, target)
    assert float(terms["mask_bce"].detach()) == pytest.approx(plain["mask_bce"])
    assert float(terms["depth_mse"].detach()) == pytest.approx(plain["depth_mse"] / 2)


@pytest.mark.parametrize("name", LOSSES)
def test_float32_inside_autocast(name: str, found: Heads, target: Heads) -> None:
    loss = create_loss(name)
    half = Heads(*(None if part is None else part.bfloat16() for part in found))
    expected = loss(Heads(*(None if part is None else part.float() for part in half)), target)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(half, target)[0]
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(float(expected), rel=1e-6)


def test_a_better_prediction_has_a_lower_loss(target: Heads) -> None:
    noise = torch.randn(target.mask.shape, generator=torch.Generator().manual_seed(2))
    smooth = Heads(torch.full_like(target.mask, 0.5), target.mask)
    losses = [
        float(create_loss("mdeas")(Heads(smooth.depth + s * noise, smooth.mask + s * noise), smooth)[0])
        for s in (0.0, 0.01, 0.1, 0.5)
    ]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(0, abs=1e-5)


def test_presets_are_callable_on_their_own(found: Heads, target: Heads) -> None:
    assert LOSSES["mdeas"] is mdeas_loss
