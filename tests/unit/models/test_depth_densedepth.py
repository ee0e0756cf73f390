"""DenseDepth from Keras weights: the mapping against Keras itself where it is, and against our own file."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models.depth import create_depth_network
from mdeas.models.depth_densedepth import DenseDepth, _layer_names, load_densedepth
from torch import Tensor, nn

CPU = torch.device("cpu")
WIDTH = 32
MAKER = Path(__file__).parents[2] / "golden" / "densedepth" / "make_keras_model.py"


def randomise(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            fan_in = value[0].numel() if value.ndim == 4 else 1
            positive = "running_var" in name or value.ndim == 1
            value.copy_(0.5 + noise if positive else (noise - 0.5) * 4 / fan_in**0.5)
    return module.eval()


def write_keras(module: nn.Module, path: Path, old_names: bool = False) -> Path:
    """What Keras writes: a group a layer, in it the layer's name again, HWIO kernels; Keras 2 adds ``:0``."""
    tensors, ending = module.state_dict(), ":0" if old_names else ""
    theirs = {
        "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        root = file if old_names else file.create_group("model_weights")
        for keras, here in _layer_names().items():
            name = keras.replace("conv1_", "conv1/") if old_names and keras.startswith("conv1_") else keras
            for ours, gamma in theirs.items():
                value: Tensor | None = tensors.get(f"{here}.{ours}")
                if value is None:
                    continue
                is_conv = f"{here}.running_mean" not in tensors
                what = {"weight": "kernel", "bias": "bias"}[ours] if is_conv else gamma
                array = value.permute(2, 3, 1, 0) if value.ndim == 4 else value
                root[f"{name}/{name}/{what}{ending}"] = array.numpy()
        root.create_group("input_1")
    return path


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return randomise(DenseDepth(WIDTH))


@pytest.mark.parametrize("old_names", [False, True], ids=["keras 3", "keras 2"])
def test_every_tensor_finds_its_place(module: nn.Module, tmp_path: Path, old_names: bool) -> None:
    loaded = load_densedepth(write_keras(module, tmp_path / "weights.h5", old_names))
    expected = module.state_dict()
    for name, value in loaded.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, expected[name]), name
    assert sum(not name.endswith("num_batches_tracked") for name in expected) == 844 + 2 * 10
    x = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        answer = loaded(x)
        inverse = loaded.inverse(x)
    assert answer.shape == (1, 32, 48)
    assert torch.allclose(answer, 1 / inverse.clamp(1, 100))


@pytest.mark.skipif(find_spec("keras") is None, reason="needs Keras, which writes the weights")
def test_answers_are_those_of_keras(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, str(MAKER), str(tmp_path)], check=True, env=environment)
    with np.load(tmp_path / "answer.npz") as saved:
        pictures, expected = saved["pictures"], saved["answer"][..., 0]
    with torch.inference_mode():
        answer = load_densedepth(tmp_path / "model.h5").inverse(
            torch.from_numpy(pictures).permute(0, 3, 1, 2)
        )
    assert np.abs(expected).std() > 0.01
    assert np.abs(answer.numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_network_says_what_its_values_are(module: nn.Module, tmp_path: Path) -> None:
    network = create_depth_network("densedepth", write_keras(module, tmp_path / "weights.h5"), CPU)
    info = network.info
    assert (info.kind, info.nearer, info.unit) == ("relative_depth", "smaller", None)
    assert network.input_size(224, 224) == (480, 480)
    assert network.input_size(480, 640) == (480, 640)
    answer = network.predict(torch.full((1, 3, 40, 50), 90, dtype=torch.uint8))
    assert answer.shape == (1, 40, 50)
    assert 0.01 <= answer.min() <= answer.max() <= 1


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    other, text = tmp_path / "other.h5", tmp_path / "text.h5"
    with h5py.File(other, "w") as file:
        file["model_weights/conv1_conv/kernel"] = np.zeros((7, 7, 3, 64), np.float32)
    text.write_text("not HDF5")
    for weights, message in (
        (None, "needs its Keras weights"), (tmp_path / "none.h5", "no such weights file"),
        (other, "not Keras weights of DenseDepth"), (text, "not Keras weights of DenseDepth"),
    ):  # fmt: skip
        with pytest.raises(MdeasError, match=message) as caught:
            create_depth_network("densedepth", weights, CPU)
        assert "\n" not in str(caught.value)
