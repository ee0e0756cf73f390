"""Schedules against torch's own and against the published description."""

from __future__ import annotations

import pytest
import torch
from mdeas.models.schedules import SCHEDULES, Length, constant, cosine, mdeas, onecycle

LENGTH = Length(epochs=4, steps_per_epoch=25)


def test_constant_is_one() -> None:
    assert {constant(step, LENGTH) for step in range(LENGTH.steps)} == {1.0}


def test_cosine_falls_from_one_to_its_lowest() -> None:
    factors = [cosine(step, LENGTH) for step in range(LENGTH.steps)]
    assert factors == sorted(factors, reverse=True)
    assert (factors[0], factors[-1]) == pytest.approx((1, 0.01))


def test_onecycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=LENGTH.steps)
    expected = []
    for _ in range(LENGTH.steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert [onecycle(step, LENGTH) for step in range(LENGTH.steps)] == pytest.approx(expected, abs=1e-9)


def test_mdeas_warms_up_cycles_and_decays() -> None:
    length = Length(epochs=50, steps_per_epoch=10)
    factors = [mdeas(step, length) for step in range(length.steps)]
    assert factors[0] < 0.05
    assert factors[:50] == sorted(factors[:50])
    assert factors[49] == pytest.approx(1)
    assert factors[50] == pytest.approx(0.01)  # a cycle begins at the lowest rate
    assert factors[100] == pytest.approx(1)  # and peaks after one edge of five epochs
    assert factors[150] == pytest.approx(0.01)
    assert factors[350:400] == pytest.approx([0.1] * 50)  # after three cycles: a tenth at every edge
    assert factors[400:450] == pytest.approx([0.01] * 50)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_is_enough(name: str) -> None:
    assert 0 < SCHEDULES[name](0, Length(1, 1)) <= 1
