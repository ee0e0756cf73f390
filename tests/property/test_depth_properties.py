"""What is stored is what was meant: 16-bit files, and the bookkeeping of micro-batches."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mdeas.pipeline.images import decode_gray16, encode_gray16
from mdeas.pipeline.threads import in_order
from numpy.typing import NDArray
from PIL import Image


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.booleans())
def test_16_bit_pictures_round_trip_here_and_in_pillow(values: NDArray[np.uint16], is_turned: bool) -> None:
    values = values.T if is_turned else values
    data = encode_gray16(values)
    assert np.array_equal(decode_gray16(data), values)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "I;16"
        assert np.array_equal(np.asarray(image), values)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 30), threads=st.integers(1, 4), ahead=st.integers(1, 8))
def test_results_come_in_the_order_of_the_tasks(count: int, threads: int, ahead: int) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        try:
            return number * number
        finally:
            with lock:
                under_way -= 1

    results = list(in_order(work, iter(range(count)), threads, ahead))
    assert results == [(number, number * number) for number in range(count)]
    assert most <= threads


def test_an_error_in_a_task_is_raised_in_its_turn() -> None:
    results = in_order(lambda number: 1 // (3 - number), iter(range(6)), 2, 3)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 0), (2, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)
