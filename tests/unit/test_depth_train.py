"""Training the bundled depth network: scenes, augmentation, resuming to the same weights."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models import depth_train
from mdeas.models.depth_augment import augment, random_filter, random_views
from mdeas.models.depth_net import DepthNet, load_weights
from mdeas.models.depth_noise import StatisticsNoise
from mdeas.models.depth_scenes import draw_training_scene, paste_nearer
from mdeas.models.depth_stream import CHUNK, Scene, SceneRing, SceneStream, StreamConfig
from mdeas.models.depth_train import learning_rate, scene_window, settle_norms, shapes_of, strength
from mdeas.pipeline.options import DepthTrainConfig
from torch import nn

HEIGHT, WIDTH = 12, 16


def draw_number(seed: int, index: int, height: int, width: int) -> Scene:
    """A scene that tells which one it is."""
    return np.full((height, width, 3), index % 251, np.uint8), np.full((height, width), index + 1, np.float32)


def draw_noise(seed: int, index: int, height: int, width: int) -> Scene:
    rng = np.random.default_rng([seed, index])
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return rgb, rng.uniform(0.5, 5, (height, width)).astype(np.float32)


def stream_config(folder: Path, window: int = 3 * CHUNK) -> StreamConfig:
    return StreamConfig(
        draw_number, seed=0, folder=folder, height=HEIGHT, width=WIDTH, window=window, processes=0
    )


def test_ring_holds_the_asked_scenes_after_going_round(tmp_path: Path) -> None:
    with SceneStream(stream_config(tmp_path)) as stream:
        ring = SceneRing(tmp_path)
        for first in range(0, 12 * CHUNK, 40):
            stream.need(first, first + 2 * CHUNK)
            indices = np.arange(first, first + 2 * CHUNK)
            rgb, depth = ring.batch(indices)
            np.testing.assert_array_equal(rgb[:, 0, 0, 0], indices % 251)
            np.testing.assert_array_equal(depth[:, 0, 0], (indices + 1).astype(np.float16))


def test_ring_does_not_draw_twice(tmp_path: Path) -> None:
    with SceneStream(stream_config(tmp_path)) as stream:
        stream.need(0, CHUNK)
    before = (tmp_path / "rgb.npy").stat().st_mtime_ns
    with SceneStream(stream_config(tmp_path)) as stream:
        stream.need(0, CHUNK)
    assert (tmp_path / "rgb.npy").stat().st_mtime_ns == before


def test_ring_refuses_more_than_it_holds(tmp_path: Path) -> None:
    with SceneStream(stream_config(tmp_path)) as stream, pytest.raises(ValueError, match="do not fit"):
        stream.need(0, 20 * CHUNK)


def test_augmentation_follows_from_its_seed_and_keeps_the_truth() -> None:
    rgb = torch.randint(0, 256, (4, 3, 60, 80), dtype=torch.uint8)
    depth = torch.rand(4, 60, 80) * 5 + 0.5
    one, two = (augment(rgb, depth, (32, 64), 1.0, torch.Generator().manual_seed(7)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    picture, target, valid = one
    assert picture.shape == (4, 3, 32, 64)
    assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
    low, high = float(-depth.max().log()), float(-depth.min().log())
    assert low - 1e-5 <= float(target[valid].min()) <= float(target[valid].max()) <= high + 1e-5
    assert valid.float().mean() > 0.8


def test_random_filter_keeps_mean_and_spread_of_every_channel() -> None:
    rgb = torch.rand(3, 3, 24, 32) * torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    amount = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
    filtered = random_filter(rgb, amount, torch.Generator().manual_seed(0))
    torch.testing.assert_close(filtered[0], rgb[0], rtol=0, atol=0)
    assert (filtered[1:] - rgb[1:]).abs().mean() > 0.02
    torch.testing.assert_close(filtered.mean(dim=(2, 3)), rgb.mean(dim=(2, 3)))
    torch.testing.assert_close(filtered[2].std(dim=(1, 2)), rgb[2].std(dim=(1, 2)))


def stem_features(network: DepthNet, rgb: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    stem = next(iter(network.backbone.children()))
    hook = stem.register_forward_hook(lambda module, inputs, x: seen.append(x.detach()))
    network(rgb)
    hook.remove()
    return seen[0]


def test_noise_moves_statistics_of_some_pictures_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = DepthNet()
    rgb = torch.rand(16, 3, 64, 64) * torch.rand(16, 3, 1, 1)
    plain = stem_features(network.train(), rgb)
    noise = StatisticsNoise(network)
    noise.reseed(seed=3, step=7)
    noisy = stem_features(network, rgb)

    moved = (noisy - plain).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 0 < int(moved.sum()) < len(rgb)
    one, other = plain[moved][0].flatten(1), noisy[moved][0].flatten(1)
    alive = one.std(dim=1) > 1e-2
    correlation = torch.stack(
        [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(one, other, strict=True)]
    )
    torch.testing.assert_close(correlation[alive].abs(), torch.ones(int(alive.sum())), rtol=0, atol=1e-3)

    noise.reseed(seed=3, step=7)
    torch.testing.assert_close(stem_features(network, rgb), noisy, rtol=0, atol=0)
    noise.reseed(seed=3, step=8)
    assert not torch.equal(stem_features(network, rgb), noisy)
    network.eval()
    torch.testing.assert_close(network(rgb), network(rgb), rtol=0, atol=0)


def test_noise_lets_gradients_through_to_the_first_convolution() -> None:
    torch.manual_seed(0)
    network = DepthNet().train()
    StatisticsNoise(network)
    network(torch.rand(4, 3, 64, 64)).square().mean().backward()  # type: ignore[no-untyped-call]
    first = next(network.parameters())
    assert first.grad is not None
    assert (first.grad.flatten(1).norm(dim=1) > 0).all()


def test_settled_norms_hold_the_mean_over_all_batches() -> None:
    norm = nn.BatchNorm2d(3, momentum=0.2)
    batches = [(torch.randn(4, 3, 8, 8) * 2 + k, torch.empty(0), torch.empty(0)) for k in range(5)]
    settle_norms(nn.Sequential(norm), iter(batches))
    pictures = torch.stack([picture for picture, _, _ in batches])
    assert norm.running_mean is not None and norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, pictures.mean(dim=(0, 1, 3, 4)))
    torch.testing.assert_close(
        norm.running_var, torch.stack([p.var(dim=(0, 2, 3)) for p in pictures]).mean(0)
    )
    assert (norm.momentum, norm.training) == (0.2, False)


def test_augmentation_of_no_strength_only_mirrors() -> None:
    rgb = torch.randint(0, 256, (8, 3, 32, 64), dtype=torch.uint8)
    depth = rgb[:, 0].float() + 1
    picture, target, valid = augment(rgb, depth, (32, 64), 0.0, torch.Generator().manual_seed(0))
    assert bool(valid.all())
    for i in range(8):
        same = torch.allclose(picture[i], rgb[i] / 255, atol=1e-3)
        mirrored = torch.allclose(picture[i], rgb[i].flip(-1) / 255, atol=1e-3)
        assert same != mirrored
        expected = -depth[i].clamp(max=100).log()
        torch.testing.assert_close(target[i], expected if same else expected.flip(-1))


def test_views_keep_the_aspect_of_things() -> None:
    """Without strength a square crop of a wide picture shows all of its height and as much of its width."""
    grid = random_views(1, 2.0, (32, 32), 0.0, torch.Generator().manual_seed(0))
    spread = grid[0].amax(dim=(0, 1)) - grid[0].amin(dim=(0, 1))
    assert float(spread[1]) == pytest.approx(2 * 31 / 32)
    assert float(spread[0]) == pytest.approx(31 / 32)


def test_unknown_depth_stays_unknown() -> None:
    depth = torch.ones(1, 32, 32)
    depth[:, :16] = 0
    depth[:, 16:20] = torch.inf
    rgb = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    _, _, valid = augment(rgb, depth, (32, 32), 0.0, torch.Generator().manual_seed(0))
    assert int(valid.sum()) == 12 * 32


def test_scenes_follow_from_seed_and_index() -> None:
    rgb, depth = draw_training_scene(3, 5, 24, 32)
    again, depth_again = draw_training_scene(3, 5, 24, 32)
    other, _ = draw_training_scene(3, 6, 24, 32)
    np.testing.assert_array_equal(rgb, again)
    np.testing.assert_array_equal(depth, depth_again)
    assert (rgb != other).any()


def test_a_pasted_object_is_nearer_than_all_it_covers() -> None:
    rng = np.random.default_rng(0)
    rgb = np.zeros((40, 60, 3), np.uint8)
    depth = np.linspace(1, 5, 2400, dtype=np.float32).reshape(40, 60)
    cutout = np.full((30, 20, 4), 255, np.uint8)
    for _ in range(20):
        pasted, nearer = paste_nearer(rgb, depth, cutout, rng)
        covered = pasted[:, :, 0] > 0
        assert covered.any()
        assert (nearer[covered] < depth[covered]).all()
        np.testing.assert_array_equal(nearer[~covered], depth[~covered])
        assert nearer[covered].max() < depth[covered].min() * 1.01


def test_schedules() -> None:
    config = DepthTrainConfig(steps=1000, batch_size=32, reuse=8, window=4096)
    assert learning_rate(depth_train.WARM_UP, 1.0, 1000) == pytest.approx(1.0)
    assert learning_rate(0, 1.0, 1000) < 0.01
    assert learning_rate(999, 1.0, 1000) < 0.01
    assert scene_window(0, config) == (0, depth_train.FIRST_SCENES)
    assert scene_window(1000, config) == (
        depth_train.FIRST_SCENES + 4000 - 4096,
        depth_train.FIRST_SCENES + 4000,
    )
    assert shapes_of(0, config) is depth_train.EARLY_SHAPES
    assert shapes_of(999, config) is depth_train.SHAPES
    assert strength(0, config) == 0
    assert strength(999, config) == depth_train.STRONGEST


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DepthTrainConfig:
    """Four steps on 64 scenes, everything in this process."""
    monkeypatch.setattr(depth_train, "FIRST_SCENES", 16)
    monkeypatch.setattr(depth_train, "SCENE_SIZE", (48, 64))
    monkeypatch.setattr(depth_train, "draw_training_scene", draw_noise)
    return DepthTrainConfig(
        out=tmp_path / "run", steps=4, batch_size=2, window=CHUNK, processes=0, loaders=0, bfloat16=False
    )


def test_resumed_training_ends_with_the_same_weights(
    tiny: DepthTrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = depth_train.train_depth(tiny)
    assert report.steps == 4
    assert "4 steps" in report.summary()
    whole, about = load_weights(Path(report.weights))
    assert about["steps"] == "4"

    halves = replace(tiny, out=tmp_path / "halves")
    train_step = depth_train._train_step

    def interrupted(state: depth_train._TrainState, *rest: object) -> float:
        if state.step == 2:
            raise KeyboardInterrupt
        return train_step(state, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(depth_train, "SAVE_EVERY_S", 0.0)
        patch.setattr(depth_train, "_train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            depth_train.train_depth(halves)
    resumed, _ = load_weights(Path(depth_train.train_depth(halves).weights))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("processes", "loaders", "work"), [(1, 0, "draws scenes"), (0, 1, "augments pictures")]
)
def test_a_killed_process_is_one_line(
    tiny: DepthTrainConfig, processes: int, loaders: int, work: str
) -> None:
    others = multiprocessing.active_children()  # of earlier tests

    def kill() -> None:
        while not (mine := [child for child in multiprocessing.active_children() if child not in others]):
            time.sleep(0.01)
        mine[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(MdeasError, match=f"a process that {work} was killed.*run the same command again"):
        depth_train.train_depth(replace(tiny, steps=100_000, processes=processes, loaders=loaders))
    killer.join()
    assert depth_train.train_depth(tiny).steps == 4


def test_another_run_in_the_folder_is_refused(tiny: DepthTrainConfig) -> None:
    depth_train.train_depth(replace(tiny, steps=1))
    with pytest.raises(MdeasError, match=r"another run is in .*choose another folder"):
        depth_train.train_depth(replace(tiny, steps=1, seed=1))


def test_a_finished_run_exports_the_same_weights_after_its_scenes_were_cleared_away(
    tiny: DepthTrainConfig,
) -> None:
    weights = Path(depth_train.train_depth(tiny).weights)
    before = load_weights(weights)[0].state_dict()
    shutil.rmtree(tiny.out / depth_train.SCENES_FOLDER)
    weights.unlink()
    depth_train.train_depth(tiny)
    for name, tensor in load_weights(weights)[0].state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, msg=name)


def test_a_finished_run_goes_on_with_more_steps(tiny: DepthTrainConfig) -> None:
    depth_train.train_depth(replace(tiny, steps=2))
    longer = depth_train.train_depth(tiny)
    assert longer.steps == 4
    assert load_weights(Path(longer.weights))[1]["steps"] == "4"
    with pytest.raises(MdeasError, match=r"another run is in .*choose another folder"):
        depth_train.train_depth(replace(tiny, steps=3))
