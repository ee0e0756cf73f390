"""The tracer's depths against what geometry says."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("numba")

from mdeas.scenes.camera import aim
from mdeas.scenes.dice import Dice
from mdeas.scenes.materials import plain_material
from mdeas.scenes.scene import Frame, Scene
from mdeas.scenes.tracer import see

LIMITS = (-2.0, 2.0, 0.0, 3.0, -4.0, 4.0)
ORIGIN = Frame(0.0, 0.0, 0.0, 0.0)


def empty_scene() -> Scene:
    return Scene(Dice((0,)), LIMITS)


def look(scene: Scene, pitch: float = 0.0, height: int = 31, width: int = 41, at=(0.0, 1.5, 0.0)):
    primitives, _, room = scene.arrays()
    view = aim(at, 0.0, pitch, 0.0, 0.6)
    depth = np.empty((height, width), np.float32)
    surface = np.empty((height, width), np.int16)
    see(primitives, room, view.position, view.axes, view.focal * width, depth, surface)
    return depth, surface, view.focal * width


def test_empty_room_has_the_depth_of_its_planes():
    depth, surface, focal = look(empty_scene())
    rows, columns = np.mgrid[0:31, 0:41]
    x, y = (columns + 0.5 - 20.5) / focal, (15.5 - rows - 0.5) / focal
    with np.errstate(divide="ignore"):
        expected = np.minimum(4.0, np.minimum(2.0 / np.abs(x), 1.5 / np.abs(y)))
    np.testing.assert_allclose(depth, expected, rtol=1e-5)
    assert surface[15, 20] == 5  # the far wall
    assert surface[30, 20] == 2  # the floor
    assert surface[15, 0] == 0  # the wall at x0


def test_depth_is_along_the_axis_of_the_camera_not_along_the_ray():
    depth, _, focal = look(empty_scene(), pitch=-math.pi / 2 + 1e-3)
    middle = depth[15, 20]
    assert middle == pytest.approx(1.5, rel=1e-3)
    floor_seen = np.abs(depth - 1.5) < 0.01
    assert floor_seen[:, 10:30].all()  # the same everywhere: straight down on a flat floor
    assert focal > 0


def test_a_box_stands_where_it_was_put():
    scene = empty_scene()
    scene.box(ORIGIN, (0.0, 1.5, 2.0), (0.3, 0.3, 0.5), plain_material(scene.dice))
    depth, surface, _ = look(scene)
    assert depth[15, 20] == pytest.approx(1.5)
    assert surface[15, 20] == 6
    assert depth[0, 0] < 4.0
    assert surface[0, 0] < 6


def test_a_turned_box_shows_its_edge():
    scene = empty_scene()
    scene.box(ORIGIN, (0.0, 1.5, 2.0), (0.5, 0.5, 0.5), plain_material(scene.dice), (math.pi / 4, 0.0, 0.0))
    depth, _, _ = look(scene)
    assert depth[15, 20] == pytest.approx(2.0 - math.sqrt(0.5), abs=1e-4)


def test_a_ball_bulges():
    scene = empty_scene()
    scene.ball(ORIGIN, (0.0, 1.5, 2.0), (0.4, 0.4, 0.4), plain_material(scene.dice))
    depth, surface, focal = look(scene)
    assert depth[15, 20] == pytest.approx(1.6, abs=1e-5)
    x = 4.0 / focal
    a, b, c = 1 + x * x, -4.0, 4.0 - 0.16
    assert depth[15, 24] == pytest.approx((-b - math.sqrt(b * b - 4 * a * c)) / (2 * a), rel=1e-4)
    seen_width = int((surface[15] == 6).sum())
    tangent = 0.4 / math.sqrt(4.0 - 0.16)
    assert seen_width == pytest.approx(2 * tangent * focal, abs=1.5)


@pytest.mark.parametrize(("bottom", "top"), [(0.3, 0.3), (0.5, 0.1), (0.1, 0.5)])
def test_a_cone_narrows_evenly(bottom: float, top: float):
    scene = empty_scene()
    scene.cone(ORIGIN, (0.0, 1.5, 2.0), bottom, 0.5, top, plain_material(scene.dice))
    depth, _, _ = look(scene)
    assert depth[15, 20] == pytest.approx(2.0 - 0.5 * (bottom + top), abs=1e-4)


def test_what_is_behind_the_camera_is_not_seen():
    scene = empty_scene()
    scene.box(ORIGIN, (0.0, 1.5, -2.0), (0.5, 0.5, 0.5), plain_material(scene.dice))
    _, surface, _ = look(scene)
    assert surface.max() < 6


def test_culling_never_hides_anything():
    """Boxes all about the camera, some cut by the near plane: together they look as they do one by one."""
    dice = Dice((5,))
    scene = Scene(dice, LIMITS)
    for _ in range(40):
        frame = Frame(
            dice.uniform(-1.5, 1.5), dice.uniform(0.2, 2.5), dice.uniform(-3, 3), dice.uniform(0, 6)
        )
        half = (dice.uniform(0.05, 0.3), dice.uniform(0.05, 0.3), dice.uniform(0.05, 1.5))
        scene.box(frame, (0, 0, 0), half, plain_material(dice), (0, dice.uniform(-1, 1), dice.uniform(-1, 1)))
    together, _, _ = look(scene)
    nearest = look(empty_scene())[0]
    for one in scene.primitives:
        alone = empty_scene()
        alone.primitives = [one]
        alone.materials = scene.materials[:1]
        nearest = np.minimum(nearest, look(alone)[0])
    np.testing.assert_array_equal(together, nearest)
