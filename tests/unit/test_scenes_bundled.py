"""The bundled pictures: small, soft, and drawn by what is in the repository."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BUNDLED = Path(str(resources.files("mdeas.data").joinpath("bundled")))
FOREGROUNDS = sorted((BUNDLED / "fg").iterdir())
BACKGROUNDS = sorted((BUNDLED / "bg").iterdir())
LIMIT_BYTES = 3_000_000


def test_they_are_enough_and_small():
    assert len(FOREGROUNDS) >= 12
    assert len(BACKGROUNDS) >= 9
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < LIMIT_BYTES
    assert "CC0" in (BUNDLED / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FOREGROUNDS, ids=lambda path: path.stem)
def test_cutouts_have_soft_edges(path: Path):
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        alpha = np.asarray(image)[:, :, 3]
    assert 340 <= max(alpha.shape) <= 380
    soft = np.count_nonzero((alpha > 0) & (alpha < 255))
    inside = np.count_nonzero(alpha == 255)
    assert inside > 2000
    assert 0.005 < soft / inside < 0.8
    assert len(np.unique(alpha)) > 30
    assert max(alpha[0].max(), alpha[-1].max()) > 0  # cropped to the object


@pytest.mark.parametrize("path", BACKGROUNDS, ids=lambda path: path.stem)
def test_rooms_are_pictures(path: Path):
    with Image.open(path) as image:
        assert image.mode == "RGB"
        assert image.size == (480, 360)
        values = np.asarray(image).astype(float)
    assert 70 < values.mean() < 200
    assert values.std() > 25


def test_the_script_names_every_picture():
    pytest.importorskip("numba")
    from mdeas.data.draw import ROOMS
    from mdeas.scenes.exhibits import EXHIBITS

    assert {path.stem for path in FOREGROUNDS} == set(EXHIBITS)
    assert {path.stem for path in BACKGROUNDS} == set(ROOMS)


def test_small_copies_redrawn_look_like_the_bundled_ones(tmp_path: Path):
    pytest.importorskip("numba")
    from mdeas.data.draw import draw_background, draw_foreground

    cutout = draw_foreground("teapot", tmp_path, longest_side=90, passes=9)
    room = draw_background("corridor", tmp_path, height=90, width=120, passes=4)
    with Image.open(cutout) as small, Image.open(BUNDLED / "fg" / "teapot.png") as large:
        shrunk = np.asarray(large.convert("RGBa").resize(small.size, Image.Resampling.BOX)).astype(float)
        drawn = np.asarray(small.convert("RGBa")).astype(float)
    assert np.abs(shrunk - drawn).mean() < 8
    with Image.open(room) as small, Image.open(BUNDLED / "bg" / "corridor.jpg") as large:
        shrunk = np.asarray(large.resize(small.size, Image.Resampling.BOX)).astype(float)
        drawn = np.asarray(small).astype(float)
    assert np.abs(shrunk - drawn).mean() < 8
    first = cutout.read_bytes()
    assert draw_foreground("teapot", tmp_path, longest_side=90, passes=9).read_bytes() == first
