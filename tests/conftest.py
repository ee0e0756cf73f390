"""Small real pictures, and one finished small data set, for every test that needs some."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.manifest import (
    BACKGROUNDS_NAME,
    SAMPLES_NAME,
    read_manifest,
    sample_name,
    shard_name,
    write_manifest,
    write_samples,
)
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardWriter
from numpy.typing import NDArray
from PIL import Image

FOREGROUNDS, BACKGROUNDS = 4, 3


def draw_foreground(index: int, height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """A striped ellipse with a soft edge inside a transparent margin, RGBA; every index looks different."""
    rows, columns = np.mgrid[0:height, 0:width]
    slant = index - 1.5
    v = (rows - height / 2) / (height * (0.28 + 0.05 * index))
    u = (columns - width / 2) / (width * (0.42 - 0.06 * index)) + 0.2 * slant * v
    alpha = np.clip((1 - np.hypot(u, v)) * 8, 0, 1)
    stripes = np.sin(rows * (0.2 + 0.15 * index) + columns * 0.1 * slant) > 0
    tones = np.array([[200, 40, 30], [30, 160, 60], [40, 60, 210], [220, 200, 40]])[index % 4]
    rgb = np.where(stripes[..., None], tones, 255 - tones)
    return np.dstack([rgb, alpha * 255]).round().astype(np.uint8)


def draw_background(index: int, height: int = 96, width: int = 120) -> NDArray[np.uint8]:
    """A wall and a floor with a window or two and some grain, RGB; every index looks different."""
    rng = np.random.default_rng(index)
    horizon = int(height * (0.45 + 0.1 * index))
    picture = np.empty((height, width, 3), np.float64)
    picture[:horizon] = 90 + 50 * index + 40 * np.linspace(0, 1, width)[:, None]
    picture[horizon:] = np.linspace(60, 170, height - horizon)[:, None, None] * [1.0, 0.8, 0.6]
    for window in range(1 + index):
        left = 12 + 38 * window
        picture[10 : horizon - 12, left : left + 20] = [240 - 60 * index, 235, 180 + 20 * index]
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def write_assets(root: Path, foregrounds: int = FOREGROUNDS, backgrounds: int = BACKGROUNDS) -> Path:
    """Write drawn pictures to ``root/fg`` and ``root/bg``; returns ``root``."""
    for kind in ("fg", "bg"):
        (root / kind).mkdir(parents=True)
    for index in range(foregrounds):
        Image.fromarray(draw_foreground(index)).save(root / "fg" / f"object {index}.png")
    for index in range(backgrounds):
        Image.fromarray(draw_background(index)).save(root / "bg" / f"room_{index}.png")
    return root


def _small_config(assets: Path, out: Path, **options: object) -> MakeDatasetConfig:
    chosen = {"size": 64, "placements": 3, "jobs": 1, **options}
    return MakeDatasetConfig(fg=assets / "fg", bg=assets / "bg", out=out, **chosen)  # type: ignore[arg-type]


# Test files cannot import this module; these fixtures hand them its functions.


@pytest.fixture(scope="session")
def draw_fg() -> Callable[..., NDArray[np.uint8]]:
    """``draw_foreground(index, height, width)``."""
    return draw_foreground


@pytest.fixture(scope="session")
def draw_bg() -> Callable[..., NDArray[np.uint8]]:
    """``draw_background(index, height, width)``."""
    return draw_background


@pytest.fixture(scope="session")
def write_pictures() -> Callable[..., Path]:
    """``write_assets(root, foregrounds, backgrounds)``."""
    return write_assets


@pytest.fixture
def own_assets(tmp_path: Path) -> Path:
    """``fg`` and ``bg`` as in ``assets_dir``, for a test that changes them."""
    return write_assets(tmp_path / "assets")


@pytest.fixture(scope="session")
def small_config() -> Callable[..., MakeDatasetConfig]:
    """``small_config(assets, out, **options)``: by default 72 samples of 64 x 64 from the drawn pictures."""
    return _small_config


@pytest.fixture(scope="session")
def assets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``fg`` (4 cut-outs) and ``bg`` (3 rooms); shared, not to be written to."""
    return write_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="session")
def dataset_dir(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished data set of 72 samples at 64 x 64; shared, not to be written to (see ``dataset_copy``)."""
    out = tmp_path_factory.mktemp("shared") / "dataset"
    make_dataset(_small_config(assets_dir, out))
    return out


@pytest.fixture
def dataset_copy(dataset_dir: Path, tmp_path: Path) -> Path:
    """A copy of ``dataset_dir`` that a test may change."""
    return shutil.copytree(dataset_dir, tmp_path / "dataset")


def _recut(dataset: Path, out: Path, total: int, per_shard: int) -> Path:
    out.mkdir()
    manifest, source = read_manifest(dataset), DatasetReader(dataset)
    for kind in ("fg_bg", "mask"):
        for shard, first in enumerate(range(0, total, per_shard)):
            with ShardWriter(out / shard_name(kind, shard)) as writer:
                for number in range(first, min(first + per_shard, total)):
                    writer.add(sample_name(kind, number, total), source.encoded(kind, number))
    shutil.copy(dataset / BACKGROUNDS_NAME, out)
    rows = {field.name: getattr(source.samples, field.name) for field in dataclasses.fields(source.samples)}
    samples = type(source.samples)(**{name: column[:total] for name, column in rows.items()})
    write_samples(out / SAMPLES_NAME, [samples], total)
    totals = {**manifest.totals, "samples": total}
    write_manifest(out, dataclasses.replace(manifest, totals=totals, samples_per_shard=per_shard))
    return out


@pytest.fixture(scope="session")
def recut() -> Callable[..., Path]:
    """``recut(dataset, out, total, per_shard)``: the first samples of a data set in small archives."""
    return _recut
