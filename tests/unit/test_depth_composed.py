"""Labels put together as the pictures were: from backgrounds and cut-outs, each labelled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from mdeas.pipeline.depth_archives import label_archives
from mdeas.pipeline.depth_composed import GAP, RELIEF, ComposedSource, largest_samples, stand
from mdeas.pipeline.depth_record import Mapping
from mdeas.pipeline.depth_sources import Backgrounds, Pictures
from mdeas.pipeline.manifest import read_manifest
from mdeas.pipeline.reader import DatasetReader
from numpy.typing import NDArray

TOTAL, PER_SHARD, SIZE = 40, 16, 64


class FakeLabeller:
    """Without torch: disparity is the smoothed green channel, a little more further down."""

    precision, runtime = "float32", "torch"

    def __init__(self, jobs: int = 1, nearer: str = "larger") -> None:
        kind = "relative_disparity" if nearer == "larger" else "metric_depth"
        self.info = SimpleNamespace(
            name="fake", source="here", weights_sha256=None, licence="MIT", kind=kind, nearer=nearer,
            unit=None, resize="none",
        )  # fmt: skip
        self.network = SimpleNamespace(input_size=lambda *size: size, value_range=(0.0, 10.0))
        self.mapping = Mapping(0.0, 10.0, 16)
        self.device = SimpleNamespace(type="cpu")
        self.jobs, self.micro_batch = jobs, 4
        self.passes = 0

    def use_range(self, low: float, high: float) -> None:
        self.mapping = Mapping(low, high, self.mapping.bits)

    def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.passes += 1
        rows = np.linspace(0, 1, pictures.shape[1], dtype=np.float32)[None, :, None]
        green = np.stack([cv2.blur(picture[..., 1], (9, 9)) for picture in pictures])
        disparity = 0.5 + green / np.float32(255) + rows
        return disparity if self.info.nearer == "larger" else 1 / disparity


@pytest.fixture
def dataset(recut: Callable[..., Path], dataset_dir: Path, tmp_path: Path) -> Path:
    return recut(dataset_dir, tmp_path / "set", TOTAL, PER_SHARD)


def source_of(dataset: Path, labeller: Any) -> tuple[ComposedSource, Backgrounds, Pictures]:
    pictures = Pictures(dataset, read_manifest(dataset))
    backgrounds = Backgrounds(pictures, labeller)
    return ComposedSource(pictures, backgrounds, labeller), backgrounds, pictures


@pytest.mark.parametrize("nearer", ["larger", "smaller"])
def test_the_background_keeps_its_label_and_the_object_stands_before_it(dataset: Path, nearer: str) -> None:
    source, backgrounds, pictures = source_of(dataset, FakeLabeller(nearer=nearer))
    quantities = source.quantities(range(TOTAL))
    assert quantities.dtype == np.float32
    for number, label in enumerate(quantities):
        mask = pictures.mask(number)
        bare = backgrounds.quantity(int(pictures.rows(number, number + 1).bg[0]))
        assert np.allclose(label[~mask], bare[~mask], rtol=1e-5)
        ahead = label[mask] / bare[mask] if nearer == "larger" else bare[mask] / label[mask]
        assert ahead.min() > 1 - 1e-5
        assert np.median(ahead) > 1


def test_each_picture_is_looked_at_once(dataset: Path) -> None:
    labeller: Any = FakeLabeller()
    report = label_archives(dataset, labeller, batch=10, mode="composed")
    # Three backgrounds and the cut-outs in micro-batches of four; the backgrounds once more for the check.
    assert labeller.passes == 1 + 1 + 1
    assert (report.mode, report.labelled) == ("composed", TOTAL)
    assert "composed of backgrounds and cut-outs" in report.summary()
    assert report.quality is not None
    assert report.quality["fine"] == TOTAL
    info = DatasetReader(dataset).depth_info
    assert info is not None
    assert info.mode == "composed"


def test_jobs_and_batches_change_no_byte(
    recut: Callable[..., Path], dataset_dir: Path, dataset: Path, tmp_path: Path
) -> None:
    one, other = FakeLabeller(), FakeLabeller(jobs=3)
    label_archives(dataset, one, batch=1000, mode="composed")  # type: ignore[arg-type]
    again = recut(dataset_dir, tmp_path / "again", TOTAL, PER_SHARD)
    label_archives(again, other, batch=3, mode="composed")  # type: ignore[arg-type]
    for path in [*sorted(dataset.glob("depth*")), dataset / "samples.parquet"]:
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_every_foreground_is_seen_where_it_is_largest(dataset: Path) -> None:
    pictures = Pictures(dataset, read_manifest(dataset))
    rows = pictures.rows(0, TOTAL)
    areas = rows.width.astype(int) * rows.height
    seen = largest_samples(pictures)
    assert sorted(seen) == sorted(set(rows.fg.tolist()))
    for fg, number in seen.items():
        members = np.flatnonzero(rows.fg == fg)
        assert number == members[areas[members].argmax()]


def floor(height: int = 40, width: int = 30) -> NDArray[np.float32]:
    """Log nearness of a floor: nearer further down."""
    return np.repeat(np.linspace(-1, 1, height, dtype=np.float32)[:, None], width, axis=1)


def test_an_object_stands_at_its_contact_line() -> None:
    mask = np.zeros((40, 30), bool)
    mask[5:30, 8:20] = True
    standing = stand(floor(), mask, np.zeros((40, 30), np.float32), 64)
    assert np.array_equal(standing[~mask], floor()[~mask])
    # Its lowest rows are at the nearest place that it covers.
    assert np.allclose(standing[mask], floor()[29, 0] + GAP, atol=0.06)
    assert np.ptp(standing[mask]) < 0.06


def test_an_object_is_nearer_than_a_table_that_it_covers() -> None:
    """Its foot is far away, but it hides something near."""
    background = floor()[::-1].copy()
    mask = np.zeros((40, 30), bool)
    mask[2:35, 8:20] = True
    standing = stand(background, mask, np.zeros((40, 30), np.float32), 64)
    assert standing[mask].min() >= np.quantile(background[mask], 0.95)
    assert (standing[mask] >= background[mask]).all()


def test_relief_is_kept_modest() -> None:
    mask = np.ones((40, 30), bool)
    bump = np.repeat(np.linspace(-3, 3, 30, dtype=np.float32)[None], 40, axis=0)
    found = stand(np.full((40, 30), -9, np.float32), mask, bump, 60)
    assert np.ptp(found) == pytest.approx(RELIEF * 30 / 60, rel=1e-5)
    assert (np.diff(found[0]) >= 0).all()
    small = stand(np.full((40, 30), -9, np.float32), mask, bump / 100, 60)
    assert np.ptp(small) == pytest.approx(0.06, rel=0.05)


def test_nothing_visible_changes_nothing() -> None:
    assert np.array_equal(stand(floor(), np.zeros((40, 30), bool), floor(), 64), floor())
