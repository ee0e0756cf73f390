"""Schedules against torch's own, the published logs and the published description."""

from __future__ import annotations

import pytest
import torch
from mdeas import MdeasError
from mdeas.models.schedules import (
    SCHEDULES,
    Length,
    constant,
    cosine,
    create_schedule,
    mdeas,
    mdeas_original,
    onecycle,
    plateau,
    step_down,
)

LENGTH = Length(epochs=4, steps_per_epoch=25)


def test_constant_is_one() -> None:
    assert {constant(step, LENGTH) for step in range(LENGTH.steps)} == {1.0}


def test_cosine_falls_from_one_to_its_lowest() -> None:
    factors = [cosine(step, LENGTH) for step in range(LENGTH.steps)]
    assert factors == sorted(factors, reverse=True)
    assert (factors[0], factors[-1]) == pytest.approx((1, 0.01))


def test_a_tenth_after_every_third() -> None:
    length = Length(epochs=10, steps_per_epoch=7)
    factors = [step_down(epoch * 7 + 6, length) for epoch in range(10)]
    assert factors == pytest.approx([1] * 4 + [0.1] * 4 + [0.01] * 2)


def test_onecycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=LENGTH.steps)
    expected = []
    for _ in range(LENGTH.steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert [onecycle(step, LENGTH) for step in range(LENGTH.steps)] == pytest.approx(expected, abs=1e-9)


def test_onecycle_is_what_vathos_logged() -> None:
    """Rates at the start of each of its 15 epochs of 2,188 steps, the highest 0.1."""
    length = Length(epochs=15, steps_per_epoch=2188)
    logged = [
        0.0040, 0.01523, 0.04367, 0.07601, 0.09711, 0.09944, 0.09505, 0.08665, 0.07499, 0.06112, 0.04626,
        0.03173, 0.01882, 0.00868, 0.00222,
    ]  # fmt: skip
    rates = [0.1 * onecycle(epoch * 2188, length) for epoch in range(15)]
    assert rates == pytest.approx(logged, abs=6e-6)
    assert 0.1 * onecycle(length.steps - 1, length) == pytest.approx(4e-7)


def test_plateau_is_that_of_torch() -> None:
    losses = [1.0, 0.5, 0.6, 0.5, 0.49999, 0.4, 0.41, 0.41, 0.41, 0.41, 0.42, 0.43, 0.2, *[0.3] * 12]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, min_lr=1e-6)
    for epoch, loss in enumerate(losses, start=1):
        theirs.step(loss)
        rate = 0.01 * plateau(epoch * 25, LENGTH, losses[:epoch])
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
    assert rate == pytest.approx(1e-6)
    assert plateau(0, LENGTH) == 1


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


def test_the_code_of_mdeas_on_10000_samples() -> None:
    """Its published run: 7,000 for training, batches of 32; constant, up, down, up."""
    length = Length(epochs=40, steps_per_epoch=7000 // 32, batch_size=32)
    starts = [mdeas_original(epoch * length.steps_per_epoch, length) for epoch in range(40)]
    assert starts[:5] == [1.0] * 5
    assert (starts[5], starts[10], starts[15]) == pytest.approx((0.01, 1, 0.01))
    assert starts[5:11] == sorted(starts[5:11])
    assert starts[35:] == [1.0] * 5  # no decay


def test_the_code_of_mdeas_on_a_larger_set_believes_in_10000() -> None:
    """Batches of 40 of 280,000: its epoch has 175 batches, the real one 7,000."""
    length = Length(epochs=10, steps_per_epoch=7000, batch_size=40)
    edge = 5 * 175
    first = [mdeas_original(step, length) for step in range(7000)]
    assert first[: 5 * 175] == [1.0] * (5 * 175)
    assert first[2 * edge] == pytest.approx(1)
    assert first[3 * edge] == pytest.approx(0.01)
    assert set(first[7 * edge :]) == {1.0}
    assert mdeas_original(7000 + 4 * 175, length) == pytest.approx(0.01)  # the phase jumps at every epoch


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_is_enough(name: str) -> None:
    assert 0 < create_schedule(name)(0, Length(1, 1)) <= 1


def test_other_names_are_refused() -> None:
    with pytest.raises(MdeasError, match="no schedule is called 'none'; there are: constant, step,"):
        create_schedule("none")
