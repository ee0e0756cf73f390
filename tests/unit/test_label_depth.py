"""label-depth with a real network: torch, threads, devices, what a label is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models.depth import BundledDepthNetwork, DepthNetworkInfo
from mdeas.pipeline import depth_archives
from mdeas.pipeline.depth import Labeller, label_depth, usual_micro_batch
from mdeas.pipeline.images import decode_gray16
from mdeas.pipeline.manifest import read_depth_info
from mdeas.pipeline.options import LabelDepthConfig
from mdeas.pipeline.reader import DatasetReader
from PIL import Image
from torch import Tensor

CPU = torch.device("cpu")
TOTAL, PER_SHARD = 14, 10


@pytest.fixture
def dataset(recut: Callable[..., Path], dataset_dir: Path, tmp_path: Path) -> Path:
    """``TOTAL`` samples in two archives."""
    return recut(dataset_dir, tmp_path / "set", TOTAL, PER_SHARD)


def config(dataset: Path, weights: Path, **options: object) -> LabelDepthConfig:
    chosen = {"batch": 5, "bits": 16, "micro_batch": 4, "device": "cpu", "jobs": 1, **options}
    return LabelDepthConfig(dataset=dataset, weights=weights, **chosen)  # type: ignore[arg-type]


def labels_of(folder: Path) -> dict[str, bytes]:
    names = [*sorted(folder.glob("depth*")), folder / "samples.parquet"]
    return {path.name: path.read_bytes() for path in names}


def test_labels_are_the_networks_answers_under_one_mapping(dataset: Path, weights: Path) -> None:
    report = label_depth(config(dataset, weights))
    reader = DatasetReader(dataset)
    info = reader.depth_info
    assert info is not None
    network = BundledDepthNetwork(weights, CPU)
    for index in (0, 5, 13):
        rgb = torch.from_numpy(reader.fg_bg(index)).permute(2, 0, 1)[None]
        answer = network.predict(rgb)[0].numpy()
        label = reader.depth(index) * info.scale + info.offset
        assert np.abs(label - answer).max() < 0.51 * info.scale + 1e-5 * answer.max()
        assert answer.std() > 0.01
    assert (info.model, info.kind, info.nearer, info.licence) == (
        "bundled",
        "relative_disparity",
        "larger",
        "MIT",
    )
    assert (info.input_height, info.input_width) == network.input_size(reader.size, reader.size)
    assert (info.precision, info.device, info.micro_batch) == ("float32", "cpu", 4)
    assert (report.samples, report.labelled, report.device) == (TOTAL, TOTAL, "cpu")


@pytest.mark.parametrize(
    ("parameters", "device", "expected"),
    [(10**7, "cpu", 16), (10**7 + 1, "cpu", 4), (10**9, "cuda", 16)],
)
def test_large_networks_on_a_cpu_get_few_pictures_at_a_time(
    weights: Path, parameters: int, device: str, expected: int
) -> None:
    network = BundledDepthNetwork(weights, CPU)
    network.info = dataclasses.replace(network.info, parameters=parameters)
    assert usual_micro_batch(network, torch.device(device)) == expected


def test_labelling_goes_on_with_the_micro_batch_that_it_began_with(dataset: Path, weights: Path) -> None:
    label_depth(config(dataset, weights, micro_batch=3))
    unsaid = config(dataset, weights, micro_batch=None)
    assert label_depth(unsaid).labelled == 0
    with pytest.raises(MdeasError, match=r"another micro batch.*\(3, now 5\); use the same --micro-batch"):
        label_depth(config(dataset, weights, micro_batch=5))
    label_depth(dataclasses.replace(unsaid, overwrite=True))
    info = read_depth_info(dataset)
    assert info is not None
    assert info.micro_batch == 16


def test_jobs_batches_and_restarts_change_no_byte(
    dataset: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_depth(config(dataset, weights))
    one_go = labels_of(dataset)
    label_depth(config(dataset, weights, jobs=3, batch=1000, overwrite=True))
    assert labels_of(dataset) == one_go

    write, calls = depth_archives.LabelRun._write, 0

    def interrupted(run: depth_archives.LabelRun, *rest: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        write(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(depth_archives.LabelRun, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label_depth(config(dataset, weights, overwrite=True))
    monkeypatch.undo()
    assert label_depth(config(dataset, weights, jobs=2)).labelled == TOTAL - 8
    assert labels_of(dataset) == one_go


def test_a_label_does_not_depend_on_what_shares_its_batch(dataset_dir: Path, weights: Path) -> None:
    labeller = Labeller(BundledDepthNetwork(weights, CPU), CPU, micro_batch=4, jobs=1)
    reader = DatasetReader(dataset_dir)
    pictures = np.stack([reader.fg_bg(index) for index in (0, 20, 40, 60)])
    with labeller.ready():
        values = labeller.label(pictures)
        assert np.array_equal(labeller.label(pictures[[2, 0, 3, 1]]), values[[2, 0, 3, 1]])
        assert np.array_equal(labeller.label(pictures[[1, 1, 1, 1]]), values[[1, 1, 1, 1]])


def test_torch_is_left_as_it_was(weights: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Labeller(BundledDepthNetwork(weights, CPU), CPU, 4, 1).ready():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Constant:
    """A depth network that answers with the same value everywhere."""

    info = DepthNetworkInfo(
        name="constant", parameters=0, licence="MIT", kind="metric_depth", nearer="smaller", unit="metre",
        weights_sha256=None, source="", resize="none",
    )  # fmt: skip
    value_range = (1.0, 9.0)

    def __init__(self, value: float) -> None:
        self.value = value

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def predict(self, rgb: Tensor) -> Tensor:
        return torch.full((len(rgb), *rgb.shape[2:]), self.value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [(1.0, 0), (9.0, 65535), (5.0, 32768), (-3.0, 0), (20.0, 65535), (1.0 + 8 / 65535, 1)],
)
def test_the_mapping_is_fixed_and_clips(value: float, stored: int) -> None:
    labeller = Labeller(Constant(value), CPU, micro_batch=2, jobs=1)
    with labeller.ready():
        values = labeller.label(np.zeros((2, 3, 5, 3), np.uint8))
    assert values.dtype == np.uint16
    assert values.shape == (2, 3, 5)
    assert (values == stored).all()
    if 1 <= value <= 9:
        step = labeller.mapping.scale
        assert stored * step + labeller.mapping.low == pytest.approx(value, abs=step)


def test_one_range_fits_the_whole_set(dataset: Path, weights: Path) -> None:
    label_depth(config(dataset, weights))
    reader, info = DatasetReader(dataset), read_depth_info(dataset)
    assert info is not None
    labels = np.stack([reader.depth(index) for index in range(len(reader))])
    pictures = np.stack([reader.fg_bg(index) for index in range(len(reader))])
    answers = (
        BundledDepthNetwork(weights, CPU).predict(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    )
    top = info.offset + info.scale * 65535
    assert info.offset == 0
    assert answers.max() * 1.25 <= top * (1 + 1e-6) < answers.max() * 1.25 * 1.11  # two digits, rounded up
    assert np.abs(labels * info.scale + info.offset - answers).max() < info.scale
    assert info.clipped == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_becomes_no_label(value: float) -> None:
    labeller = Labeller(Constant(value), CPU, micro_batch=1, jobs=1)
    with labeller.ready():
        assert not labeller.label(np.zeros((1, 4, 4, 3), np.uint8)).any()


def test_a_network_without_numbers_is_refused_before_the_first_label(dataset: Path) -> None:
    labeller = Labeller(Constant(float("nan")), CPU, micro_batch=4, jobs=1)
    with labeller.ready(), pytest.raises(MdeasError, match=r"network constant.*another --model"):
        depth_archives.label_archives(dataset, labeller, batch=4)
    assert not list(dataset.glob("depth*"))


def test_what_cannot_be_labelled_is_said_in_one_line(dataset: Path, weights: Path, tmp_path: Path) -> None:
    cases = {
        r"no such depth network: hugo; choose one of .*bundled": {"model": "hugo", "weights": None},
        r"no such device: cuda:7": {"device": "cuda:7"},
        r"no such device: gpu": {"device": "gpu"},
        r"none\.safetensors": {"weights": tmp_path / "none.safetensors"},
        r"no finished data set: .*nowhere.*mdeas make-dataset": {"dataset": tmp_path / "nowhere"},
    }
    for pattern, options in cases.items():
        with pytest.raises(MdeasError, match=pattern) as caught:
            label_depth(dataclasses.replace(config(dataset, weights), **options))
        assert "\n" not in str(caught.value)
    assert not list(dataset.glob("depth*"))


def test_a_folder_of_pictures(dataset_dir: Path, weights: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "labels"
    folder.mkdir()
    picture = DatasetReader(dataset_dir).fg_bg(3)
    Image.fromarray(picture).save(folder / "one.png")
    Image.fromarray(np.ascontiguousarray(picture[:40])).save(folder / "wide.png")
    report = label_depth(config(tmp_path, weights, pictures=folder, out=out, jobs=2))
    assert (report.samples, report.labelled) == (2, 2)
    answer = (
        BundledDepthNetwork(weights, CPU).predict(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].numpy()
    )
    low, high = BundledDepthNetwork.value_range
    label = decode_gray16((out / "one-depth.png").read_bytes()) / 65535 * (high - low) + low
    assert np.abs(label - np.clip(answer, low, high)).max() < (high - low) / 65535
    assert decode_gray16((out / "wide-depth.png").read_bytes()).shape == (40, 64)
    assert np.asarray(Image.open(out / "one-preview.png")).shape == (64, 64, 3)
