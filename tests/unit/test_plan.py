"""The plan: a pure function of assets, options and seed, in background-major order."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from mdeas.pipeline.manifest import Asset
from mdeas.pipeline.plan import Plan, random_bits, side_range


def assets(kind: str, count: int) -> tuple[Asset, ...]:
    return tuple(
        Asset(i, f"{kind}{i}.png", f"{i:064x}", "val" if i % 4 == 3 else "train", 100 + 40 * i, 90)
        for i in range(count)
    )


PLAN = Plan(assets("fg", 6), assets("bg", 5), 64, 20, True, (0.3, 0.7), 0, None)


def test_order_is_background_major() -> None:
    rows = PLAN.rows(0, len(PLAN))
    assert len(PLAN) == 5 * 6 * 2 * 20
    order = [(bg, fg, bool(flip)) for bg in range(5) for fg in range(6) for flip in (0, 1) for _ in range(20)]
    assert list(zip(rows.bg.tolist(), rows.fg.tolist(), rows.flip.tolist(), strict=True)) == order
    assert not replace(PLAN, flips=False).rows(0, 600).flip.any()
    assert len(replace(PLAN, flips=False)) == 600


def test_any_range_is_the_same_as_the_whole() -> None:
    whole, part = PLAN.rows(0, len(PLAN)), PLAN.rows(333, 777)
    for name in ("shard", "bg", "fg", "flip", "scale", "x", "y", "width", "height", "split"):
        assert np.array_equal(getattr(whole, name)[333:777], getattr(part, name))


def test_objects_lie_inside_and_reach_both_borders() -> None:
    rows = replace(PLAN, placements=400).rows(0, 24_000)
    assert rows.x.min() == rows.y.min() == 0
    assert (rows.x + rows.width).max() == (rows.y + rows.height).max() == 64
    assert rows.width.min() >= 1
    longer = np.maximum(rows.width, rows.height)
    assert np.array_equal(longer, np.floor(rows.scale * 64 + 0.5))
    assert 0.3 <= rows.scale.min() < 0.301
    assert 0.699 < rows.scale.max() < 0.7


def test_places_are_uniform() -> None:
    one = replace(PLAN, fg=assets("fg", 1), bg=assets("bg", 1))
    plan = replace(one, placements=50_000, flips=False, scale=(0.5, 0.5))
    rows = plan.rows(0, 50_000)
    for place, free in ((rows.x, 32), (rows.y, 64 - int(rows.height[0]))):
        counts = np.bincount(place, minlength=free + 1)
        assert len(counts) == free + 1
        expected = 50_000 / (free + 1)
        assert ((counts - expected) ** 2 / expected).sum() < 2.0 * (free + 1)
    assert abs(np.corrcoef(rows.x, rows.y)[0, 1]) < 0.02


def test_objects_larger_than_the_frame_are_scaled_to_fit() -> None:
    rows = replace(PLAN, scale=(1.2, 2.0)).rows(0, 500)
    assert (np.maximum(rows.width, rows.height) == 64).all()
    assert rows.scale.min() >= 1.2
    assert side_range((1.2, 2.0), 64) == (64, 64)


def test_limit_spreads_over_the_grid_and_keeps_the_draws() -> None:
    limited = replace(PLAN, limit=100)
    rows, whole = limited.rows(0, 100), PLAN.rows(0, len(PLAN))
    assert len(limited) == 100
    assert np.bincount(rows.bg).tolist() == [20] * 5
    index = limited._grid_index(np.arange(100))
    assert (np.diff(index) > 0).all()
    for name in ("bg", "fg", "flip", "scale", "x", "y", "width", "height", "split"):
        assert np.array_equal(getattr(rows, name), getattr(whole, name)[index])
    assert not np.array_equal(index, replace(limited, seed=1)._grid_index(np.arange(100)))
    assert len(replace(PLAN, limit=10**9)) == len(PLAN)


def test_splits_follow_the_assets() -> None:
    rows = PLAN.rows(0, len(PLAN))
    new_fg, new_bg = rows.fg % 4 == 3, rows.bg % 4 == 3
    assert set(rows.split[new_fg & new_bg]) == {"new_both"}
    assert set(rows.split[new_fg & ~new_bg]) == {"new_fg"}
    assert set(rows.split[~new_fg & new_bg]) == {"new_bg"}
    known = rows.split[~new_fg & ~new_bg]
    assert set(known) == {"train", "seen"}
    assert 0.06 < np.mean(known == "seen") < 0.14


def test_seed_changes_everything_and_repeats() -> None:
    first, again, other = (replace(PLAN, seed=seed).rows(0, 600) for seed in (0, 0, 1))
    assert np.array_equal(first.x, again.x)
    assert np.mean(first.x == other.x) < 0.2
    assert not np.array_equal(first.scale, other.scale)


def test_draws_stay_what_they_are() -> None:
    """Any change here changes the bytes of every data set: a new format version."""
    bits = random_bits(0, 0, np.arange(3))
    assert [f"{int(word):016x}" for word in bits] == GOLDEN_BITS


GOLDEN_BITS = ["4181b152fb77616f", "55c55969ed403149", "81fb535ca52e6825"]


@pytest.mark.parametrize("seed", [-1, 2**64 + 5])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert len(replace(PLAN, seed=seed).rows(0, 5)) == 5


def test_400_000_rows_take_well_under_a_second() -> None:
    plan = replace(PLAN, fg=assets("fg", 100), bg=assets("bg", 100))
    start = time.perf_counter()
    assert len(plan.rows(0, len(plan))) == 400_000
    assert time.perf_counter() - start < 1
