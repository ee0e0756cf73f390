"""Any way of cutting and merging gives the same sums, and they are exact."""

from __future__ import annotations

import functools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mdeas.pipeline.pixel_sums import PixelSums, sum_pixels
from numpy.typing import NDArray

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(
    pictures=st.lists(hnp.arrays(np.uint8, (3, 4, 3)), min_size=1, max_size=6),
    data=st.data(),
)
def test_any_order_and_grouping_of_merges(pictures: list[NDArray[np.uint8]], data: st.DataObject) -> None:
    parts = [sum_pixels(picture) for picture in pictures]
    straight = functools.reduce(PixelSums.merge, parts, PixelSums.empty(3, 255))
    heap = data.draw(st.permutations(parts))
    while len(heap) > 1:
        left = heap.pop(data.draw(st.integers(0, len(heap) - 1)))
        right = heap.pop(data.draw(st.integers(0, len(heap) - 1)))
        heap.append(left.merge(right))
    assert heap[0] == straight
    assert straight.pictures == len(pictures)


@settings(max_examples=60, deadline=None)
@given(dtype=st.sampled_from([np.uint8, np.uint16]), shape=SHAPES, data=st.data())
def test_sums_are_those_of_python_integers(
    dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, int, int], data: st.DataObject
) -> None:
    picture = data.draw(hnp.arrays(dtype, shape))
    sums = sum_pixels(picture)
    for channel in range(shape[2]):
        values = [int(value) for value in picture[..., channel].ravel()]
        assert sums.total[channel] == sum(values)
        assert sums.squares[channel] == sum(value * value for value in values)
        assert (sums.low[channel], sums.high[channel]) == (min(values), max(values))
        assert sum(sums.histogram[channel]) == sums.count == len(values)
        assert abs(sums.mean()[channel] - np.mean(values) / sums.levels) < 1e-12
        assert abs(sums.std()[channel] - np.std(values) / sums.levels) < 1e-9
