"""Precisions, runtimes, memory, several devices: what changes an answer, and what must not."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models.depth import BundledDepthNetwork, DepthNetworkInfo, create_depth_network
from mdeas.models.depth_memory import Frugal
from mdeas.models.depth_runtime import LARGE, Computation, is_installed, settle
from mdeas.models.device import choose_devices
from mdeas.pipeline.depth import label_depth
from mdeas.pipeline.manifest import read_depth_info
from mdeas.pipeline.options import LabelDepthConfig
from torch import Tensor

CPU = torch.device("cpu")
COMPILED = [("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")]
WAYS = [("torch", "bfloat16"), *(pytest.param(*way, marks=pytest.mark.slow) for way in COMPILED)]


def pictures(count: int) -> Tensor:
    return torch.randint(
        0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )


@pytest.mark.parametrize(("runtime", "dtype"), WAYS)
def test_every_way_of_computing_gives_about_the_same(weights: Path, runtime: str, dtype: str) -> None:
    if not is_installed(runtime):
        pytest.skip(f"needs {runtime}")
    rgb = pictures(4)
    expected = BundledDepthNetwork(weights, CPU).predict(rgb)
    network = create_depth_network("bundled", weights, CPU, dtype, runtime)
    assert (network.info.precision, network.info.runtime) == (dtype, runtime)
    answer = network.predict(rgb)
    error = ((answer - expected).abs() / expected.abs().mean()).max().item()
    assert error < (1e-4 if dtype == "float32" else 0.1)
    # And an answer is its picture's alone: not the order's, not the neighbours'.
    assert torch.equal(network.predict(rgb[[2, 0, 3, 1]]), answer[[2, 0, 3, 1]])
    assert torch.equal(network.predict(rgb[[1, 1, 1, 1]]), answer[[1, 1, 1, 1]])


def test_the_fastest_way_is_one_that_is_here() -> None:
    how = settle(Computation(CPU, "auto", "auto"), LARGE + 1)
    assert how.runtime == ("openvino" if is_installed("openvino") else "torch")
    assert how.dtype in ("float32", "bfloat16")
    assert settle(Computation(CPU, "float32", "auto"), LARGE + 1, traceable=False).runtime == "torch"
    assert settle(Computation(torch.device("meta"), "auto", "auto"), LARGE + 1) == Computation(
        torch.device("meta"), "float32", "torch"
    )


def test_what_is_installed_does_not_change_the_labels_of_a_small_network() -> None:
    assert LabelDepthConfig().runtime == "auto"
    assert settle(Computation(CPU, "float32", "auto"), LARGE).runtime == "torch"
    assert create_depth_network("bundled", None, CPU, runtime="auto").info.runtime == "torch"


def test_what_cannot_compute_so_is_refused() -> None:
    cases = {
        Computation(CPU, "float32", "tensorrt"): "no such runtime: tensorrt",
        Computation(CPU, "float64", "torch"): "torch does not compute in float64",
    }
    if is_installed("onnxruntime"):
        cases[Computation(CPU, "bfloat16", "onnxruntime")] = "onnxruntime does not compute in bfloat16"
        cases[Computation(torch.device("meta"), "float32", "onnxruntime")] = (
            "runs on the CPU here, not on meta"
        )
    for how, message in cases.items():
        with pytest.raises(MdeasError, match=message):
            settle(how, LARGE)


class Cramped:
    """A depth network on a device whose memory holds ``most`` pictures; torch's own error beyond."""

    info = DepthNetworkInfo(
        name="cramped", parameters=0, licence="MIT", kind="relative_depth", nearer="smaller", unit=None,
        weights_sha256=None, source="", resize="none",
    )  # fmt: skip
    value_range = (0.0, 255.0)

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: list[int] = []

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def predict(self, rgb: Tensor) -> Tensor:
        self.seen.append(len(rgb))
        if len(rgb) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return rgb.float().mean(dim=1)


def test_too_little_memory_halves_the_batch_and_changes_nothing() -> None:
    rgb = pictures(10)
    network = Cramped(most=3)
    frugal = Frugal(network)
    expected = Cramped(most=10).predict(rgb)
    assert torch.equal(frugal.predict(rgb), expected)
    assert network.seen == [10, 5, 3, 3, 3, 3]  # the last part of one picture is filled up
    assert torch.equal(frugal.predict(rgb[:2]), expected[:2])
    assert network.seen[6:] == [2]
    with pytest.raises(MdeasError, match=r"out of memory: one picture of 64x64 .*--device"):
        Frugal(Cramped(most=0)).predict(rgb)


def test_other_errors_are_not_taken_for_too_little_memory() -> None:
    class Broken(Cramped):
        def predict(self, rgb: Tensor) -> Tensor:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Frugal(Broken(1)).predict(pictures(2))


def test_devices_are_given_with_commas() -> None:
    assert choose_devices("cpu, cpu") == [CPU, CPU]
    with pytest.raises(MdeasError, match="no such device: cuda:77"):
        choose_devices("cpu,cuda:77")


def labels_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("depth*"))}


def test_two_devices_give_the_labels_of_one(dataset_copy: Path, weights: Path) -> None:
    one = LabelDepthConfig(dataset=dataset_copy, weights=weights, device="cpu", runtime="torch", jobs=2)
    label_depth(one)
    expected = labels_of(dataset_copy)
    label_depth(dataclasses.replace(one, device="cpu,cpu", overwrite=True))
    assert labels_of(dataset_copy) == expected


def test_precision_and_runtime_are_recorded_and_refused(dataset_copy: Path, weights: Path) -> None:
    made = LabelDepthConfig(
        dataset=dataset_copy, weights=weights, device="cpu", dtype="bfloat16", runtime="torch", jobs=1
    )
    assert "a second on cpu with torch in bfloat16" in label_depth(made).summary()
    info = read_depth_info(dataset_copy)
    assert info is not None
    assert (info.precision, info.runtime) == ("bfloat16", "torch")
    with pytest.raises(MdeasError, match=r"another precision.*bfloat16, now float32.*--dtype"):
        label_depth(dataclasses.replace(made, dtype="float32"))
    # auto goes on with what is there
    assert label_depth(dataclasses.replace(made, dtype="auto", runtime="auto")).labelled == 0
    if is_installed("onnxruntime"):
        other = dataclasses.replace(made, dtype="auto", runtime="onnxruntime")
        with pytest.raises(MdeasError, match=r"does not compute in bfloat16|another runtime"):
            label_depth(other)


def test_labels_do_not_depend_on_batch_or_jobs(dataset_copy: Path, weights: Path) -> None:
    found = []
    for batch, jobs in itertools.product((7, 1000), (1, 2)):
        options = LabelDepthConfig(
            dataset=dataset_copy, weights=weights, device="cpu", dtype="bfloat16", runtime="torch",
            batch=batch, jobs=jobs, overwrite=True,
        )  # fmt: skip
        label_depth(options)
        found.append(labels_of(dataset_copy))
    assert all(labels == found[0] for labels in found)
    assert np.prod([len(data) for data in found[0].values()]) > 0
