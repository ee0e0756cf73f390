from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mdeas.pipeline.manifest import Asset
from mdeas.pipeline.plan import Plan


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    side = st.integers(1, 3000)
    fg = tuple(
        Asset(i, "", "", draw(st.sampled_from(["train", "val"])), draw(side), draw(side))
        for i in range(draw(st.integers(1, 5)))
    )
    bg = tuple(
        Asset(i, "", "", draw(st.sampled_from(["train", "val"])), 500, 500)
        for i in range(draw(st.integers(1, 4)))
    )
    low = draw(st.floats(0.001, 2))
    scale = low, draw(st.floats(low, 3))
    size, placements = draw(st.integers(16, 400)), draw(st.integers(1, 7))
    seed, limit = draw(st.integers()), draw(st.none() | st.integers(1, 300))
    return Plan(fg, bg, size, placements, draw(st.booleans()), scale, seed, limit)


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_every_object_lies_inside_the_frame(plan: Plan) -> None:
    rows = plan.rows(0, len(plan))
    assert len(rows) == len(plan) <= plan.grid
    assert min(rows.x.min(), rows.y.min()) >= 0
    assert min(rows.width.min(), rows.height.min()) >= 1
    assert (rows.x + rows.width).max() <= plan.size
    assert (rows.y + rows.height).max() <= plan.size
    assert (rows.scale >= plan.scale[0]).all()
    assert (rows.scale <= plan.scale[1]).all()


@settings(max_examples=60, deadline=None)
@given(plan=plans(), data=st.data())
def test_any_part_equals_the_whole(plan: Plan, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(plan)))
    stop = data.draw(st.integers(start, len(plan)))
    whole, part = plan.rows(0, len(plan)), plan.rows(start, stop)
    for name in ("bg", "fg", "flip", "scale", "x", "y", "width", "height", "split"):
        assert np.array_equal(getattr(whole, name)[start:stop], getattr(part, name))


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_no_combination_comes_twice(plan: Plan) -> None:
    index = plan._grid_index(np.arange(len(plan)))
    assert (np.diff(index) > 0).all()
    assert index[0] >= 0
    assert index[-1] < plan.grid
