"""ONNX files with their descriptions, and a user's own network."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.models.depth import create_depth_network
from mdeas.models.depth_runtime import is_installed
from mdeas.pipeline.reader import DatasetReader
from torch import Tensor, nn

CPU = torch.device("cpu")
OWN = """
import torch
from mdeas.models.depth import DepthNetworkInfo


class Brightness:
    info = DepthNetworkInfo(
        name="brightness", parameters=0, licence="CC0-1.0", kind="relative_disparity", nearer="larger",
        unit=None, weights_sha256=None, source="nowhere", resize="none",
    )
    value_range = (0.0, 255.0)

    def input_size(self, height, width):
        return height, width

    def predict(self, rgb):
        return rgb.float().mean(dim=1)


def make(weights, device):
    return Brightness()


def nothing(weights, device):
    return object()
"""


class Channel(nn.Module):
    """The normalised green channel at half size."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x[:, 1:2], 2)


def export(path: Path, batch: int | None, about: dict[str, object] | None) -> Path:
    axes = {0: "batch", 2: "height", 3: "width"} if batch is None else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Channel(), (torch.rand(batch or 2, 3, 32, 48),), str(path), dynamo=False, input_names=["picture"],
            dynamic_axes={"picture": axes},
        )  # fmt: skip
    if about is not None:
        path.with_suffix(".json").write_text(json.dumps(about))
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", [None, 1], ids=["any sides", "fixed sides"])
def test_an_onnx_file_with_its_description(tmp_path: Path, runtime: str, batch: int | None) -> None:
    pytest.importorskip("onnx")
    if not is_installed(runtime):
        pytest.skip(f"needs {runtime}")
    about = {
        "kind": "metric_depth", "licence": "MIT", "range": [0, 2], "multiple": 16, "mean": [0, 0, 0],
        "std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    path = export(tmp_path / "green.onnx", batch, about)
    network = create_depth_network(f"onnx:{path}", None, CPU, runtime=runtime)
    info = network.info
    assert (info.name, info.kind, info.nearer, info.unit) == (
        "green.onnx",
        "metric_depth",
        "smaller",
        "metre",
    )
    assert (info.licence, info.runtime, network.value_range) == ("MIT", runtime, (0.0, 2.0))
    assert network.input_size(60, 90) == ((64, 96) if batch is None else (32, 48))
    rgb = torch.zeros((3, 3, 60, 90), dtype=torch.uint8)
    rgb[:, 1] = torch.tensor([0, 51, 102], dtype=torch.uint8)[:, None, None]
    expected = torch.tensor([0.0, 0.4, 0.8])[:, None, None].expand(3, 60, 90)
    answer = network.predict(rgb)
    assert torch.allclose(answer, expected, atol=1e-5)
    # And an answer is its picture's alone: not the order's, not the neighbours'.
    assert torch.equal(network.predict(rgb[[2, 1, 1]]), answer[[2, 1, 1]])


@pytest.mark.parametrize("of", ["a data set", "a folder"])
def test_an_onnx_file_labels_without_further_options(dataset_copy: Path, tmp_path: Path, of: str) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = export(tmp_path / "green.onnx", None, {"kind": "relative_depth", "range": [-3, 3]})
    options = ["--dataset", str(dataset_copy)]
    if of == "a folder":
        (tmp_path / "pictures").mkdir()
        picture = DatasetReader(dataset_copy).encoded("fg_bg", 0)
        (tmp_path / "pictures" / "one.jpg").write_bytes(picture)
        options = ["--pictures", str(tmp_path / "pictures"), "--out", str(tmp_path / "labels")]
    result = CliRunner().invoke(cli, ["label-depth", "--model", f"onnx:{path}", "--device", "cpu", *options])
    assert result.exit_code == 0, result.output
    assert "on cpu with onnxruntime in float32" in result.output


def test_an_onnx_file_that_says_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "green.onnx"
    path.write_bytes(b"not ONNX")
    cases: list[tuple[str | None, str]] = [
        (None, 'nobody says what its values mean: write .*green.json, at least {"kind"'),
        ("{", "not JSON"),
        ('{"kind": "depth"}', 'no "kind" in'),
        ('{"kind": "relative_depth", "size": 5}', "unknown: size"),
    ]
    if is_installed("onnxruntime"):
        cases.append(('{"kind": "relative_depth"}', "cannot be loaded"))
    for text, message in cases:
        if text is not None:
            path.with_suffix(".json").write_text(text)
        with pytest.raises(MdeasError, match=message) as caught:
            create_depth_network(f"onnx:{path}", None, CPU, runtime="auto")
        assert "\n" not in str(caught.value)
    with pytest.raises(MdeasError, match="no such file"):
        create_depth_network("onnx:nowhere.onnx", None, CPU)


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    network = create_depth_network(f"{path}:make", None, CPU, runtime="auto")
    assert network.info.name == "brightness"
    assert torch.equal(
        network.predict(torch.full((2, 3, 4, 5), 7, dtype=torch.uint8)), torch.full((2, 4, 5), 7.0)
    )
    for name, message in (
        (f"{path}:nothing", "lacks info, value_range, input_size, predict"),
        (f"{path}:mak", "no function mak"),
        (f"{tmp_path / 'none.py'}:make", "no such file"),
    ):
        with pytest.raises(MdeasError, match=message):
            create_depth_network(name, None, CPU)
    with pytest.raises(MdeasError, match="computes with float32, not bfloat16"):
        create_depth_network(f"{path}:make", None, CPU, dtype="bfloat16")
