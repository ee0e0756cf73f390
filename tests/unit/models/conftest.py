"""A small labelled data set and one finished run on it, shared by the tests of everything that learns."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mdeas.models.train import TrainReport, train
from mdeas.pipeline.images import encode_gray16
from mdeas.pipeline.manifest import DepthInfo, sample_name, shard_name, write_json
from mdeas.pipeline.options import TrainConfig
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardWriter


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and a busy machine makes them wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def label(folder: Path) -> None:
    """Depth labels without a network: near at the bottom of the frame, objects nearer than what is behind."""
    reader = DatasetReader(folder)
    floor = np.linspace(10_000, 40_000, reader.size)[:, None].repeat(reader.size, axis=1)
    with ShardWriter(folder / shard_name("depth", 0)) as writer:
        for sample in range(len(reader)):
            depth = np.where(reader.mask(sample) > 0, 50_000, floor).astype(np.uint16)
            writer.add(sample_name("depth", sample, len(reader)), encode_gray16(depth))
        record = writer.close()
    info = DepthInfo(
        mdeas_version="test",
        dataset_sha256=hashlib.sha256((folder / "dataset.json").read_bytes()).hexdigest(),
        model="drawn",
        source="the test",
        weights_sha256=None,
        licence="MIT",
        kind="relative_disparity",
        nearer="larger",
        unit="1",
        bits=16,
        scale=2 / 65535,
        offset=0.1,
        input_height=reader.size,
        input_width=reader.size,
        resize="none",
        precision="exact",
        micro_batch=1,
        device="cpu",
        samples=len(reader),
        clipped=0.0,
        values={},
        shards=(record,),
    )
    write_json(folder / "depth.json", info)


@pytest.fixture(scope="session")
def labelled(dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of ``dataset_dir`` with depth labels; shared, not to be written to."""
    folder = shutil.copytree(dataset_dir, tmp_path_factory.mktemp("labelled") / "dataset")
    label(folder)
    return folder


@pytest.fixture(scope="session")
def train_config(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Four short epochs at 32 x 32."""
    return TrainConfig(
        dataset=labelled,
        runs=tmp_path_factory.mktemp("runs"),
        run="finished",
        size=32,
        epochs=4,
        batch_size=8,
        lr=2e-3,
        device="cpu",
        workers=1,
    )


@pytest.fixture(scope="session")
def finished(train_config: TrainConfig) -> TrainReport:
    """The report of an undisturbed run with ``train_config``."""
    return train(train_config)
