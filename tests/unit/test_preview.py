"""The contact sheet and the colours of depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.options import PreviewConfig
from mdeas.pipeline.preview import GAP, MARGIN, SMALLEST_TILE, colour_depth, make_preview
from mdeas.pipeline.reader import DatasetReader
from PIL import Image


def test_a_sheet_shows_the_samples_that_it_names(dataset_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets" / "sheet.png"
    report = make_preview(PreviewConfig(dataset=dataset_dir, out=out, count=1, seed=3))
    sheet = np.asarray(Image.open(out))
    assert sheet.shape == (report.height, report.width, 3)
    (index,) = report.samples
    reader = DatasetReader(dataset_dir)
    top = report.height - MARGIN - GAP - 24 - SMALLEST_TILE
    for column, picture in enumerate((reader.background(int(reader.samples.bg[index])), reader.fg_bg(index))):
        left = MARGIN + column * (SMALLEST_TILE + GAP)
        tile = sheet[top : top + SMALLEST_TILE, left : left + SMALLEST_TILE].astype(np.int64)
        expected = np.asarray(
            Image.fromarray(picture).resize((SMALLEST_TILE, SMALLEST_TILE), Image.Resampling.BICUBIC)
        )
        assert np.abs(tile - expected).max() == 0
    assert not report.has_depth
    assert "depth not labelled yet" in report.summary()


def test_the_seed_chooses_the_samples(dataset_dir: Path, tmp_path: Path) -> None:
    def sheet(seed: int, name: str) -> tuple[bytes, tuple[int, ...]]:
        out = tmp_path / name
        report = make_preview(PreviewConfig(dataset=dataset_dir, out=out, count=4, seed=seed))
        return out.read_bytes(), report.samples

    first, again, other = sheet(0, "a.png"), sheet(0, "b.png"), sheet(1, "c.png")
    assert first == again
    assert first[1] != other[1]


def test_a_set_smaller_than_the_sheet(dataset_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert len(make_preview(PreviewConfig(dataset=dataset_dir, out=out, count=500)).samples) == 72


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="make-dataset"):
        make_preview(PreviewConfig(dataset=tmp_path / "none", out=tmp_path / "sheet.png"))


def test_near_is_bright_whichever_way_the_values_run() -> None:
    ramp = np.tile(np.linspace(100, 60000, 64).astype(np.uint16), (8, 1))
    larger, smaller = colour_depth(ramp, "larger"), colour_depth(ramp, "smaller")
    brightness = larger.sum(axis=2, dtype=np.int64)[0]
    assert brightness[-1] > 3 * brightness[0]
    assert np.array_equal(larger, smaller[:, ::-1])
    assert larger.dtype == np.uint8
    # Inferno's bright end is yellow: more red and green than blue.
    assert larger[0, -1, 0] > larger[0, -1, 2] + 50


def test_outliers_and_flat_pictures() -> None:
    picture = np.full((100, 100), 30000, np.uint16)
    assert len(np.unique(colour_depth(picture, "larger").reshape(-1, 3), axis=0)) == 1
    picture[:50] = 31000
    alone = colour_depth(picture, "larger")
    picture[0, 0], picture[-1, -1] = 65535, 0
    assert np.array_equal(alone[1:-1], colour_depth(picture, "larger")[1:-1])
