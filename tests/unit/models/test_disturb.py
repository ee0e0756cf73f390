"""Disturbances: each changes what it says, by as much as it says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from mdeas.models.disturb import (
    DISTURBANCES,
    View,
    blur,
    cast_shadow,
    gain,
    gamma,
    jpeg,
    light_gradient,
    noise,
    shift,
)
from numpy.typing import NDArray


@pytest.fixture
def view(draw_bg: Callable[..., NDArray[np.uint8]]) -> View:
    bg = draw_bg(1, 64, 80)
    mask = np.zeros((64, 80), np.uint8)
    mask[20:50, 30:45] = 255
    frame = bg.copy()
    frame[mask > 0] = (200, 30, 40)
    return View(bg, frame, mask)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_more_is_farther_and_labels_stay(view: View, name: str) -> None:
    disturbance = DISTURBANCES[name]
    distances = []
    for level in disturbance.levels:
        changed = disturbance.apply(view, level, 5)
        assert np.array_equal(changed.mask, view.mask)
        assert all(part.dtype == np.uint8 and part.shape == view.bg.shape for part in changed[:2])
        distances.append(sum(float(cv2.norm(a, b)) for a, b in zip(changed[:2], view[:2], strict=True)))
    assert distances == sorted(distances)
    assert distances[0] > 0


@pytest.mark.parametrize("name", DISTURBANCES)
def test_figures_can_be_repeated(view: View, name: str) -> None:
    disturbance = DISTURBANCES[name]
    first, second = (disturbance.apply(view, disturbance.levels[0], 3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_shift_moves_the_background_alone_to_every_side(view: View) -> None:
    inner = (slice(4, -4), slice(4, -4))
    for number, roll in enumerate(((0, 2), (2, 0), (0, -2), (-2, 0))):
        moved = shift(view, 2, number)
        assert np.array_equal(moved.bg[inner], np.roll(view.bg, roll, (0, 1))[inner])
        assert moved.frame is view.frame
    assert np.array_equal(shift(view, 4, 0).bg[:, :4], view.bg[:, :1].repeat(4, axis=1))


def test_light(view: View) -> None:
    bright, dark = gain(view, 0.1, 0).bg, gain(view, 0.1, 1).bg
    assert np.abs(dark - 0.9 * view.bg).max() <= 0.5
    assert (bright >= view.bg).all()
    curved = gamma(view, 1.0, 0).bg
    assert np.abs(curved - view.bg.astype(float) ** 2 / 255).max() <= 0.5
    assert gamma(view, 1.0, 1).bg.mean() > view.bg.mean()
    lit = light_gradient(view, 0.2, 2).bg / np.maximum(1.0, view.bg)
    assert lit[:, 0].mean() == pytest.approx(1.2, abs=0.02)
    assert lit[:, -1].mean() == pytest.approx(0.8, abs=0.02)


def test_noise_is_of_its_size_and_not_the_same_twice(view: View) -> None:
    grey = View(*(np.full_like(part, 128) for part in view[:2]), view.mask)
    noisy = noise(grey, 8, 0)
    assert noisy.bg.std() == pytest.approx(8, rel=0.05)
    correlation = np.corrcoef(noisy.bg.ravel(), noisy.frame.ravel())[0, 1]
    assert abs(correlation) < 0.03
    assert not np.array_equal(noisy.bg, noise(grey, 8, 1).bg)


def test_a_shadow_falls_beside_the_object_not_on_it(view: View) -> None:
    for number, side in ((0, slice(45, None)), (1, slice(None, 30))):
        dark = view.frame.astype(int) - cast_shadow(view, 0.5, number).frame
        assert (dark >= 0).all()
        assert not dark[view.mask > 0].any()
        assert dark[:, side].sum() > 0.6 * dark.sum()
        assert dark.max() > 20
    empty = view._replace(mask=np.zeros_like(view.mask))
    assert cast_shadow(empty, 0.5, 0) is empty


def test_coding_and_blur_keep_the_colours(view: View) -> None:
    for changed, part in ((jpeg(view, 30, 0).frame, view.frame), (blur(view, 2, 0).bg, view.bg)):
        assert changed.mean(axis=(0, 1)) == pytest.approx(part.mean(axis=(0, 1)), abs=2)
