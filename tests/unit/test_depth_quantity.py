"""What labels stand for: disparity, depth, metres, and what must not be mixed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.models.dataset import FgBgDataset
from mdeas.pipeline.depth import label_depth
from mdeas.pipeline.depth_quantity import check_quantity, refuse_mixture, to_quantity
from mdeas.pipeline.manifest import DepthInfo, read_depth_info, write_json
from mdeas.pipeline.options import LabelDepthConfig
from mdeas.pipeline.reader import DatasetReader


@pytest.fixture(scope="module")
def labelled(recut: Callable[..., Path], dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 samples with the bundled network's labels."""
    out = recut(dataset_dir, tmp_path_factory.mktemp("quantity") / "set", 24, 12)
    label_depth(LabelDepthConfig(dataset=out, micro_batch=8, device="cpu"))
    return out


@pytest.fixture
def info(labelled: Path) -> DepthInfo:
    found = read_depth_info(labelled)
    assert found is not None
    return found


def metric(info: DepthInfo) -> DepthInfo:
    return dataclasses.replace(
        info, kind="metric_depth", nearer="smaller", unit="metre", offset=0.5, scale=9.5 / 65520
    )


def test_relative_disparity_as_disparity_and_as_depth(labelled: Path, info: DepthInfo) -> None:
    stored = DatasetReader(labelled)
    number = int(FgBgDataset(labelled).samples[0])
    disparity = stored.depth(number) * info.scale + info.offset
    given = FgBgDataset(labelled, depth="disparity")[0].depth[0].numpy()
    assert np.allclose(given, disparity, rtol=1e-5)
    depth = FgBgDataset(labelled, depth="depth")[0].depth[0].numpy()
    assert np.allclose(depth * disparity, 1, rtol=1e-5)
    assert np.array_equal(
        FgBgDataset(labelled)[0].depth[0].numpy(), np.float32(stored.depth(number)) / np.float32(65535)
    )


def test_metres_only_where_the_network_is_metric(labelled: Path, info: DepthInfo) -> None:
    with pytest.raises(MdeasError, match=r"no metres in relative disparity: .*bundled.*metric network"):
        FgBgDataset(labelled, depth="metres")
    with pytest.raises(MdeasError, match="no such quantity of depth: inches; choose one of disparity"):
        check_quantity(info, "inches", "here")
    check_quantity(metric(info), "metres", "here")


def test_metric_depth_in_metres_and_as_disparity(info: DepthInfo) -> None:
    shares = np.array([0, 32760 / 65535, 65520 / 65535], np.float32)
    metres = to_quantity(shares, metric(info), "metres")
    assert np.allclose(metres, [0.5, 5.25, 10.0], rtol=1e-6)
    assert np.array_equal(to_quantity(shares, metric(info), "depth"), metres)
    assert np.allclose(to_quantity(shares, metric(info), "disparity"), 1 / metres, rtol=1e-6)


def test_the_far_end_stays_finite(info: DepthInfo) -> None:
    depth = to_quantity(np.zeros(3, np.float32), dataclasses.replace(info, offset=0.0), "depth")
    assert np.allclose(depth, 1 / (info.scale * 16))


def test_what_does_not_compare_is_not_mixed(labelled: Path, info: DepthInfo, tmp_path: Path) -> None:
    both = FgBgDataset(labelled) + FgBgDataset(labelled)
    assert len(both) == 2 * len(FgBgDataset(labelled))
    other = shutil.copytree(labelled, tmp_path / "other")
    write_json(other / "depth.json", dataclasses.replace(info, scale=info.scale * 2))
    with pytest.raises(MdeasError, match="do not compare: scale"):
        FgBgDataset(labelled) + FgBgDataset(other)
    assert len(FgBgDataset(labelled, depth="depth") + FgBgDataset(other, depth="depth")) == len(both)
    with pytest.raises(MdeasError, match="two quantities of depth: depth and disparity"):
        FgBgDataset(labelled, depth="depth") + FgBgDataset(labelled, depth="disparity")
    write_json(other / "depth.json", metric(info))
    with pytest.raises(MdeasError, match="do not compare: kind relative_disparity and metric_depth"):
        FgBgDataset(labelled, depth="disparity") + FgBgDataset(other, depth="disparity")
    refuse_mixture(metric(info), dataclasses.replace(metric(info), model="other"), "metres")
