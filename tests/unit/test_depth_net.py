"""The bundled depth network: shape, weights file, loss, figures of merit."""

from __future__ import annotations

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models import backbone
from mdeas.models.depth import BUNDLED_WEIGHTS, BundledDepthNetwork, create_depth_network
from mdeas.models.depth_eval import evaluate_depth, fitted_metrics, frame_names, stands_out
from mdeas.models.depth_loss import LossWeights, band_loss, depth_loss, gradient_loss
from mdeas.models.depth_net import (
    DepthNet,
    PictureBatchNorm,
    fuse_batch_norm,
    load_weights,
    network_size,
    save_weights,
)
from mdeas.pipeline.options import EvaluateDepthConfig

CPU = torch.device("cpu")
MOST_PARAMETERS = 3_000_000
MOST_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def network() -> DepthNet:
    """Random weights whose BatchNorms have seen pictures."""
    torch.manual_seed(0)
    network = DepthNet()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def weights(network: DepthNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / BUNDLED_WEIGHTS
    save_weights(network, path, {"steps": "3"})
    return path


def test_network_is_small(network: DepthNet, weights: Path) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) <= MOST_PARAMETERS
    assert weights.stat().st_size <= MOST_BYTES


def test_network_answers_at_the_input_size(network: DepthNet) -> None:
    assert network(torch.rand(2, 3, 64, 96)).shape == (2, 64, 96)


def test_network_refuses_odd_sides(network: DepthNet) -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, got \(1, 3, 64, 90\)"):
        network(torch.rand(1, 3, 64, 90))


def test_network_backward_reaches_every_weight() -> None:
    network = DepthNet().train()
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_fused_network_gives_the_same_answers(network: DepthNet, weights: Path) -> None:
    picture = torch.rand(2, 3, 64, 64)
    copy, _ = load_weights(weights)
    with torch.no_grad():
        expected = copy(picture)
        fused = fuse_batch_norm(copy)
        left = {type(module) for module in fused.modules() if isinstance(module, torch.nn.BatchNorm2d)}
        assert left == {PictureBatchNorm}
        torch.testing.assert_close(fused(picture), expected, rtol=0, atol=1e-4)


def test_weights_survive_the_file(network: DepthNet, weights: Path) -> None:
    read, about = load_weights(weights)
    assert about["steps"] == "3"
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(read(picture), network(picture), rtol=0, atol=2e-2)  # half precision


@pytest.mark.parametrize("content", [None, b"", b"not weights", b"\x10" * 5000])
def test_damaged_weights_are_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MdeasError, match="weights") as error:
        load_weights(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.safetensors"
    path.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(MdeasError, match="not weights of the bundled depth network"):
        load_weights(path)


def test_unknown_network_lists_the_names() -> None:
    with pytest.raises(MdeasError, match=r"no such depth network: bundeld; choose one of .*bundled"):
        create_depth_network("bundeld", None, CPU)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(240, 320, (128, 160)), (224, 224, (128, 128)), (320, 240, (160, 128)), (10, 4000, (32, 2848))],
)
def test_network_size_keeps_the_aspect(height: int, width: int, expected: tuple[int, int]) -> None:
    assert network_size(height, width, 128 * 160) == expected


def test_prediction_is_disparity_at_the_size_of_the_picture(weights: Path) -> None:
    network = BundledDepthNetwork(weights, CPU)
    disparity = network.predict(torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8))
    assert disparity.shape == (2, 50, 70)
    assert disparity.dtype == torch.float32
    assert bool((disparity > 0).all())
    assert network.info.kind == "relative_disparity"
    assert network.info.nearer == "larger"
    assert network.info.weights_sha256 is not None


def test_prediction_does_not_depend_on_the_batch(weights: Path) -> None:
    network = BundledDepthNetwork(weights, CPU)
    pictures = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    together = network.predict(pictures)
    alone = torch.cat([network.predict(pictures[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_prediction_refuses_floats(weights: Path) -> None:
    network = BundledDepthNetwork(weights, CPU)
    with pytest.raises(ValueError, match="expected uint8"):
        network.predict(torch.rand(1, 3, 64, 64))


def test_loss_is_zero_for_the_truth_and_grows() -> None:
    torch.manual_seed(0)
    target = torch.randn(2, 32, 32)
    valid = torch.ones_like(target, dtype=torch.bool)
    assert float(depth_loss(target, target, valid)) == 0
    near, far = target + 0.1 * torch.randn_like(target), target + 0.5 * torch.randn_like(target)
    assert 0 < float(depth_loss(near, target, valid)) < float(depth_loss(far, target, valid))


def test_loss_by_hand() -> None:
    """Half of the pixels are wrong by 1: variance 1/4 of the difference, the target's is 1."""
    target = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    pred = target + torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    weights = LossWeights(unexplained=1, bands=0, gradient=0, absolute=0)
    loss = depth_loss(pred, target, torch.ones_like(target, dtype=torch.bool), weights)
    assert float(loss) == pytest.approx(0.25 / 1.05)


def test_loss_ignores_a_shift_but_for_the_absolute_term() -> None:
    target = torch.rand(1, 16, 16)
    valid = torch.ones_like(target, dtype=torch.bool)
    weights = LossWeights(absolute=0)
    assert float(depth_loss(target + 3, target, valid, weights)) == pytest.approx(0, abs=1e-5)
    assert float(depth_loss(target + 3, target, valid)) == pytest.approx(9 * LossWeights.absolute, rel=1e-4)


def test_loss_ignores_what_is_unknown() -> None:
    target = torch.rand(1, 16, 16)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[:, :4] = False
    pred = target.clone()
    pred[:, :4] = 100.0
    assert float(depth_loss(pred, target, valid)) == pytest.approx(0, abs=1e-6)


def test_loss_names_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 2\), \(1, 2, 3\)"):
        depth_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), torch.ones(1, 2, 2, dtype=torch.bool))


def test_gradient_loss_by_hand() -> None:
    """One step of 2 between two columns: 2 across, 0 down, halves of one scale."""
    difference = torch.tensor([[[0.0, 2.0], [0.0, 2.0]]])
    assert float(gradient_loss(difference, torch.ones_like(difference, dtype=torch.bool), scales=1)) == 2.0


def test_bands_see_detail_of_any_size() -> None:
    target = torch.randn(1, 32, 32)
    valid = torch.ones_like(target, dtype=torch.bool)
    coarse = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4), size=(32, 32))[:, 0]
    fine = torch.randn(1, 32, 32)
    assert float(band_loss(coarse, target, valid)) > 0
    assert float(band_loss(fine, target, valid)) > 0
    assert float(band_loss(torch.ones(1, 32, 32), target, valid)) == pytest.approx(0, abs=1e-9)


def test_gradients_of_the_losses() -> None:
    target = torch.rand(1, 4, 4, dtype=torch.float64)
    valid = torch.rand(1, 4, 4) > 0.2
    pred = torch.rand(1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: depth_loss(p, target, valid), (pred,))


def test_metrics_are_perfect_up_to_scale_and_shift() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 5, 1000)
    metrics = fitted_metrics(3 - 0.2 * np.log(depth), depth)
    assert metrics["absrel"] == pytest.approx(0, abs=1e-9)
    assert metrics["delta1"] == 1.0
    assert metrics["spearman"] == pytest.approx(1)


def test_metrics_of_a_constant_by_hand() -> None:
    """The best constant in log depth of 1 m and 4 m is 2 m: wrong by 1/1 and 2/4."""
    metrics = fitted_metrics(np.zeros(2), np.array([1.0, 4.0]))
    assert metrics == {"absrel": pytest.approx(0.75), "delta1": 0.0, "spearman": 0.0}


def test_spearman_averages_ties() -> None:
    """Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4, by hand."""
    depth = np.exp(-np.array([1.0, 2.0, 3.0, 4.0]))
    assert fitted_metrics(np.array([0.0, 1.0, 1.0, 2.0]), depth)["spearman"] == pytest.approx(
        4.5 / np.sqrt(4.5 * 5)
    )


def test_an_object_stands_out_only_if_nearer_than_what_it_covers() -> None:
    bare = np.add.outer(np.linspace(0, 1, 20), np.zeros(20))
    mask = np.zeros((20, 20), bool)
    mask[5:10, 5:10] = True
    nearer, farther = np.where(mask, bare + 0.5, bare), np.where(mask, bare - 0.5, bare)
    assert stands_out(bare, 0.3 * nearer + 7, mask)
    assert not stands_out(bare, 0.3 * farther + 7, mask)


def test_a_folder_without_frames_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match=r"no frames in .*expected NAME_rgb.jpg with NAME_depth.png"):
        frame_names(tmp_path)


def save_frame(folder: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rgb = cv2.resize(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8), (80, 64))
    depth = np.add.outer(np.linspace(4000, 500, 64), rng.normal(0, 100, 80)).astype(np.uint16)
    depth[:3] = 0  # unknown
    cv2.imwrite(str(folder / f"{name}_rgb.png"), rgb)
    cv2.imwrite(str(folder / f"{name}_depth.png"), depth)


def test_every_place_counts_the_same_however_many_frames_it_has(tmp_path: Path) -> None:
    for seed, name in enumerate(("hall_000", "hall_001", "hall_002", "big_attic_7")):
        save_frame(tmp_path, name, seed)
    report = evaluate_depth(EvaluateDepthConfig(pairs=tmp_path, device="cpu"))
    assert set(report.by_place) == {"hall", "big_attic"}
    assert set(report.metrics) == {"constant", "row", report.model}
    alone = {}
    for name in frame_names(tmp_path):
        folder = tmp_path / name.stem
        folder.mkdir()
        for ending in ("rgb", "depth"):
            file = name.stem.replace("rgb", ending) + ".png"
            (folder / file).write_bytes((tmp_path / file).read_bytes())
        alone[name.stem] = evaluate_depth(EvaluateDepthConfig(pairs=folder, device="cpu"))
        assert "1 frames of one place" in alone[name.stem].summary()
    for kind in report.metrics:
        for figure, value in report.metrics[kind].items():
            hall = np.mean([alone[f"hall_00{n}_rgb"].metrics[kind][figure] for n in range(3)])
            assert value == pytest.approx((hall + alone["big_attic_7_rgb"].metrics[kind][figure]) / 2)
    assert report.metrics["row"]["absrel"] < report.metrics["constant"]["absrel"]
    summary = report.summary().splitlines()
    assert "4 frames of 2 places" in summary[0]
    assert [line.split()[0] for line in summary[5:]] == ["big_attic", "hall"]


def test_a_broken_timm_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("no module named timm\nmore")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(MdeasError, match="timm cannot be imported: no module named timm; install torch and"):
        backbone.create_backbone("regnetx_002")


def test_another_runtime_error_of_timm_is_not_papered_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(MdeasError, match="out of luck"):
        backbone.create_backbone("regnetx_002")


@pytest.mark.parametrize("training", [True, False])
def test_without_own_share_the_norm_is_batch_norm(training: bool) -> None:
    torch.manual_seed(0)
    plain = torch.nn.BatchNorm2d(5)
    mixed = PictureBatchNorm(plain, own_share=0.0)
    for _ in range(3):
        x = torch.randn(4, 5, 6, 7) * 3 + 1
        torch.testing.assert_close(mixed.train()(x), plain.train()(x))
    torch.testing.assert_close(mixed.running_mean, plain.running_mean)
    torch.testing.assert_close(mixed.running_var, plain.running_var)
    x = torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(mixed.train(training)(x), plain.train(training)(x))


def test_with_nothing_but_own_statistics_the_norm_is_instance_norm() -> None:
    x = torch.randn(4, 5, 6, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1
    norm = PictureBatchNorm(torch.nn.BatchNorm2d(5), own_share=1.0)
    torch.testing.assert_close(norm.eval()(x), torch.nn.functional.instance_norm(x))


def test_own_statistics_take_away_part_of_a_shift() -> None:
    """A picture whose features lie beside what was trained comes nearer to it, by the share."""
    x = torch.randn(1, 2, 50, 50, generator=torch.Generator().manual_seed(0))
    norm = PictureBatchNorm(torch.nn.BatchNorm2d(2), own_share=0.2).eval()
    moved = norm(x + 4).mean().detach()
    assert pytest.approx(float(moved), rel=0.02) == 0.8 * 4 / (1 + 0.16 * 16) ** 0.5
