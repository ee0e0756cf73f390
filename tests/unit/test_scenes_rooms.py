"""Random rooms and cut-outs: repeatable, sane, varied."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

from mdeas.scenes.cutouts import MAKERS, draw_cutout
from mdeas.scenes.dice import Dice
from mdeas.scenes.gallery import draw_fine_room
from mdeas.scenes.places import PLACES
from mdeas.scenes.rooms import MAX_DEPTH_M, MIN_DEPTH_M, draw_room
from mdeas.scenes.textures import SIDE, texture_bank


def test_a_room_is_a_pure_function_of_seed_and_index():
    first = draw_room(3, 7, 48, 64)
    draw_room(3, 8, 48, 64)
    again = draw_room(3, 7, 48, 64)
    other = draw_room(4, 7, 48, 64)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_rooms_are_sane_and_varied():
    spreads, medians, brightness = [], [], []
    for index in range(60):
        rgb, depth = draw_room(11, index, 36, 48)
        assert rgb.shape == (36, 48, 3) and rgb.dtype == np.uint8
        assert depth.shape == (36, 48) and depth.dtype == np.float32
        assert np.isfinite(depth).all()
        assert depth.min() >= MIN_DEPTH_M and depth.max() <= MAX_DEPTH_M
        spreads.append(float(np.log(depth).std()))
        medians.append(float(np.median(depth)))
        brightness.append(float(rgb.mean()))
    assert 0.25 < np.mean(spreads) < 0.6
    assert 1.0 < np.median(medians) < 3.0
    assert 80 < np.mean(brightness) < 150
    assert np.std(brightness) > 20


def test_the_same_view_at_another_size():
    small = draw_room(5, 2, 24, 32)[1]
    large = draw_room(5, 2, 72, 96)[1]
    # Pixel middles of the small picture are pixel middles of one three times as large.
    np.testing.assert_allclose(large[1::3, 1::3], small, rtol=1e-3)


@pytest.mark.parametrize("place", [composer.__name__ for composer, _ in PLACES])
def test_every_place_composes(place: str):
    composer = {one.__name__: one for one, _ in PLACES}[place]
    counts = []
    for seed in range(6):
        scene = composer(Dice((seed,)))
        primitives, materials, _ = scene.arrays()
        assert len(materials) == len(primitives) + 6
        assert np.isfinite(primitives).all() and np.isfinite(materials).all()
        assert (primitives[:, 13:16] > 0).all()
        assert scene.lights
        counts.append(len(primitives))
    assert np.mean(counts) > 20


def test_an_unknown_place_is_refused_with_advice():
    with pytest.raises(ValueError, match="place must be one of living_room"):
        draw_fine_room("moon", 0, 30, 40, 1)


@pytest.mark.parametrize("kind", [name for name, _, _ in MAKERS])
def test_every_cutout_is_cropped_and_soft(kind: str):
    rgba = draw_cutout(2, 5, 40, kind)
    height, width, channels = rgba.shape
    assert channels == 4 and rgba.dtype == np.uint8
    assert 30 <= max(height, width) <= 48
    alpha = rgba[:, :, 3]
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.max() > 0
    assert alpha.max() == 255
    assert ((alpha > 0) & (alpha < 255)).sum() > 10
    assert not rgba[alpha == 0].any()


def test_cutouts_repeat():
    np.testing.assert_array_equal(draw_cutout(1, 3, 30), draw_cutout(1, 3, 30))
    assert draw_cutout(1, 3, 30).tobytes() != draw_cutout(1, 4, 30).tobytes()


def test_bad_cutouts_are_refused():
    with pytest.raises(ValueError, match="at least 8, got 4"):
        draw_cutout(0, 0, 4)
    with pytest.raises(ValueError, match="got unicorn"):
        draw_cutout(0, 0, 20, "unicorn")


def test_the_texture_bank_tiles_and_shrinks():
    bank = texture_bank()
    count = max(last for _, last in bank.kinds.values())
    full = bank.texels[: count * SIDE * SIDE * 3].reshape(count, SIDE, SIDE, 3)
    half = bank.texels[bank.starts[1] : bank.starts[2]].reshape(count, SIDE // 2, SIDE // 2, 3)
    mean = full.astype(float).reshape(count, SIDE // 2, 2, SIDE // 2, 2, 3).mean((2, 4))
    assert np.abs(mean - half).max() <= 1.0


def test_without_numba_one_clear_line():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from mdeas import MdeasError\n"
        "try:\n    import mdeas.scenes.rooms\n"
        "except MdeasError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "drawing scenes needs numba, which is not installed; pip install 'mdeas[scenes]'\n"


def test_kernels_do_without_a_writable_cache(monkeypatch: pytest.MonkeyPatch):
    import numba
    from mdeas.scenes.compiled import compiled

    plain = numba.njit
    asked = []

    def njit(**options: bool):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(**options)

    monkeypatch.setattr(numba, "njit", njit)

    def double(value: float) -> float:
        return value * 2.0

    assert compiled(double)(3.0) == 6.0
    assert asked == [{"cache": True, "fastmath": True}, {"fastmath": True}]
