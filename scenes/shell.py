"""What all rooms share: walls, floor, ceiling, furniture along the walls, seats around tables, litter."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import fixtures, furniture
from .clutter import litter
from .dice import Dice
from .figures import bird, person, quadruped
from .fixtures import wall_frame, wall_length
from .materials import (
    ceiling_material,
    cloth_material,
    floor_material,
    furniture_material,
    tile_material,
    wall_material,
)
from .scene import Frame, Scene

Piece = Callable[[Scene, Frame], None]


def shell(
    dice: Dice, wide: float, long: float, high: float, *, tiled: bool = False, hung: bool = True
) -> Scene:
    """An empty room with windows, lamps, skirting and things on its walls."""
    scene = Scene(dice, (-wide / 2, wide / 2, 0.0, high, -long / 2, long / 2))
    wall = tile_material(dice) if tiled and dice.chance(0.8) else wall_material(dice)
    walls = [wall if dice.chance(0.8) else wall_material(dice) for _ in range(4)]
    scene.faces = [walls[0], walls[1], floor_material(dice), ceiling_material(dice), walls[2], walls[3]]
    if dice.chance(0.7):
        fixtures.skirting(scene, furniture_material(dice))
    bright = dice.log_uniform(0.4, 1.8)
    fixtures.ceiling_lamps(scene, bright)
    day = dice.log_uniform(0.4, 3.0)
    for _ in range(dice.integer(0, 3) if dice.chance(0.7) else 0):
        fixtures.window(scene, wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.75, 0.75), 0.002), day)
    if hung:
        fixtures.dress_walls(scene, dice.integer(2, max(5, min(24, int((wide + long) * 1.5)))))
    if dice.chance(0.06):
        fixtures.beams(scene, furniture_material(dice))
    return scene


def along_walls(
    scene: Scene, pieces: tuple[tuple[Piece, float, float], ...], count: int, depth: float
) -> None:
    """Places pieces (function, weight, radius) with their backs to walls."""
    dice = scene.dice
    for _ in range(count + count // 2):
        piece, radius = dice.weighted([((f, r), w) for f, w, r in pieces])
        side = dice.integer(0, 3)
        length = wall_length(scene, side)
        along = dice.uniform(-1, 1) * max(0.0, 1 - 2 * radius / length)
        frame = wall_frame(scene, side, along, depth + dice.uniform(0.0, 0.12))
        if scene.take(frame.x, frame.z, radius, 0.85):
            piece(scene, frame.moved(0, 0, 0, dice.normal(0, 0.03)))


def around(scene: Scene, frame: Frame, half_x: float, half_z: float, piece: Piece, share: float) -> None:
    """Seats around a table, facing it."""
    dice = scene.dice
    count = max(1, round(half_x / 0.35))
    for n in range(count):
        x = half_x * (2 * (n + 0.5) / count - 1)
        for turn, z in ((0.0, -1), (math.pi, 1)):
            if dice.chance(share):
                gap = half_z + dice.uniform(0.0, 0.35)
                piece(scene, frame.moved(x + dice.normal(0, 0.05), 0, z * gap, turn + dice.normal(0, 0.25)))
    for turn, a in ((math.pi / 2, -1), (-math.pi / 2, 1)):
        if dice.chance(share * 0.6):
            piece(
                scene, frame.moved(a * (half_x + dice.uniform(0.05, 0.3)), 0, 0, turn + dice.normal(0, 0.25))
            )


def finish(scene: Scene, mess: float) -> Scene:
    """Strews things about the floor and lets people and animals in."""
    dice = scene.dice
    x0, x1, _, _, z0, z1 = scene.limits
    middle = Frame(0.5 * (x0 + x1), 0.0, 0.5 * (z0 + z1), 0.0)
    litter(scene, middle, 0.46 * (x1 - x0), 0.46 * (z1 - z0), int(mess * dice.uniform(0, 14)))
    visitors: int = dice.integer(1, 3) if dice.chance(0.25) else 0
    for _ in range(visitors):
        x, z = dice.uniform(x0 + 0.4, x1 - 0.4), dice.uniform(z0 + 0.4, z1 - 0.4)
        frame = Frame(x, 0, z, dice.uniform(-math.pi, math.pi))
        if scene.take(x, z, 0.3):
            dice.weighted(((person, 4.0), (quadruped, 1.2), (bird, 0.2)))(scene, frame)
    return scene


def room_size(dice: Dice, low: float, high: float) -> tuple[float, float, float]:
    """Width, length and height of a room."""
    return dice.uniform(low, high), dice.uniform(low, high), dice.uniform(2.3, 2.9)


HOME_PIECES: tuple[tuple[Piece, float, float], ...] = (
    (furniture.shelf, 2.0, 0.5),
    (furniture.cabinet, 2.5, 0.55),
    (furniture.plant, 1.0, 0.3),
    (furniture.floor_lamp, 0.8, 0.25),
    (furniture.chair, 1.0, 0.3),
    (furniture.sofa, 0.8, 0.7),
    (furniture.tub_chair, 0.6, 0.4),
    (furniture.bin_, 0.4, 0.2),
    (furniture.table, 0.8, 0.7),
)


def rug(scene: Scene, frame: Frame) -> None:
    """A rug."""
    dice = scene.dice
    scene.box(
        frame, (0, 0.006, 0), (dice.uniform(0.6, 1.5), 0.006, dice.uniform(0.5, 1.1)), cloth_material(dice)
    )
