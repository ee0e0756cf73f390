"""Rooms for many: offices, corridors, halls, shops, classrooms, lounges, stairs and stores."""

from __future__ import annotations

import math

from . import fixtures, furniture
from .clutter import boxes
from .dice import Dice
from .figures import person
from .fixtures import wall_frame
from .materials import wall_material
from .scene import Frame, Scene
from .shell import HOME_PIECES, Piece, along_walls, around, finish, room_size, shell


def office(dice: Dice) -> Scene:
    """Desks along the walls and in the middle."""
    scene = shell(dice, *room_size(dice, 2.5, 6.5))
    along_walls(
        scene,
        (
            (furniture.desk, 5.0, 0.75),
            (furniture.cabinet, 1.5, 0.5),
            (furniture.shelf, 1.5, 0.5),
            (furniture.plant, 0.4, 0.3),
            (furniture.bin_, 0.6, 0.2),
        ),
        dice.integer(4, 10),
        0.42,
    )
    x0, x1, *_ = scene.limits
    if x1 - x0 > 4 and dice.chance(0.7):
        turn = dice.choice((0.0, math.pi / 2))
        for n in range(dice.integer(1, 3)):
            frame = Frame(0, 0, (n - 1) * 1.6, turn)
            if scene.take(frame.x, frame.z, 0.7):
                furniture.desk(scene, frame)
                furniture.desk(scene, frame.moved(0, 0, -0.85, math.pi))
    return finish(scene, 0.7)


def corridor(dice: Dice) -> Scene:
    """A long narrow room with doors."""
    wide, long = dice.uniform(1.0, 2.4), dice.uniform(6, 26)
    scene = shell(dice, wide, long, dice.uniform(2.2, 3.0), hung=False)
    gap = dice.uniform(1.3, 4.0)
    z = -long / 2 + 0.8
    while z < long / 2 - 0.7:
        for side in (0, 1):
            if dice.chance(0.7):
                frame = wall_frame(scene, side, 2 * z / long, 0.005)
                dice.weighted(
                    (
                        (fixtures.door, 5.0),
                        (fixtures.picture, 1.0),
                        (fixtures.notices, 1.0),
                        (fixtures.radiator, 0.5),
                        (fixtures.pipe, 0.3),
                    )
                )(scene, frame)
        z += gap
    for side in (2, 3):
        frame = wall_frame(scene, side, 0.0, 0.005)
        fixtures.door(scene, frame) if dice.chance(0.6) else fixtures.window(
            scene, frame, dice.log_uniform(0.5, 3.0)
        )
        scene.focus += [(0.0, 1.2, frame.z)] * 2
    if dice.chance(0.5):
        along_walls(
            scene,
            (
                (furniture.cabinet, 1.0, 0.4),
                (furniture.chair, 1.0, 0.3),
                (furniture.plant, 0.7, 0.3),
                (furniture.bin_, 1.0, 0.2),
                (furniture.shelf, 0.5, 0.4),
            ),
            dice.integer(1, 5),
            0.28,
        )
    if dice.chance(0.35):
        fixtures.partition(
            scene,
            Frame(0, 0, dice.uniform(-0.3, 0.3) * long, 0),
            wide / 2,
            dice.normal(0, 0.1),
            scene.faces[0],
        )
    return finish(scene, 0.3)


def hall(dice: Dice) -> Scene:
    """A large room with pillars, seats and people."""
    scene = shell(dice, dice.uniform(7, 24), dice.uniform(7, 30), dice.uniform(2.7, 7.0))
    x0, x1, _, _, z0, z1 = scene.limits
    look, gap = wall_material(dice), dice.uniform(2.5, 5.0)
    if dice.chance(0.7):
        rows = [dice.uniform(0.4, 0.8) * x0, dice.uniform(0.4, 0.8) * x1]
        z = z0 + gap / 2
        while z < z1:
            for x in rows:
                fixtures.pillar(scene, x, z, look)
            z += gap
    pieces: tuple[tuple[Piece, float], ...] = (
        (furniture.sofa, 2.0),
        (furniture.table, 1.5),
        (furniture.chair, 2.0),
        (furniture.plant, 1.5),
        (furniture.cabinet, 1.0),
        (person, 2.0),
        (furniture.bin_, 0.5),
        (furniture.desk, 0.5),
    )
    for _ in range(dice.integer(6, 22)):
        x, z = dice.uniform(x0, x1) * 0.9, dice.uniform(z0, z1) * 0.9
        if scene.take(x, z, 0.7):
            dice.weighted(pieces)(
                scene, Frame(x, 0, z, dice.integer(0, 3) * math.pi / 2 + dice.normal(0, 0.15))
            )
    return finish(scene, 0.6)


def shop(dice: Dice) -> Scene:
    """Rows of shelves full of goods."""
    scene = shell(dice, dice.uniform(4, 12), dice.uniform(5, 14), dice.uniform(2.6, 4.0))
    x0, x1, _, _, z0, z1 = scene.limits
    aisle = dice.uniform(1.4, 2.4)
    x = x0 + dice.uniform(0.3, 0.8)
    high = dice.uniform(1.1, 2.0)
    while x < x1 - 0.4:
        z = z0 + dice.uniform(0.8, 1.5)
        while z < z1 - 1.0 and len(scene.primitives) < 420:
            for yaw in (math.pi / 2, -math.pi / 2):
                furniture.shelf(scene, Frame(x + math.sin(yaw) * 0.2, 0, z, yaw), 0.6, high, 0.97)
            z += 1.22
        x += aisle
    return finish(scene, 0.7)


def classroom(dice: Dice) -> Scene:
    """Rows of tables, or one long table, before a whiteboard."""
    scene = shell(dice, dice.uniform(4, 9), dice.uniform(4, 9), dice.uniform(2.5, 3.3))
    x0, x1, _, _, z0, z1 = scene.limits
    fixtures.whiteboard(scene, wall_frame(scene, 3, dice.uniform(-0.4, 0.4), 0.005))
    if dice.chance(0.5):
        half_x, half_z = dice.uniform(0.3, 0.45) * (z1 - z0), dice.uniform(0.45, 0.7)
        frame = Frame(0, 0, 0, math.pi / 2)
        furniture.table(scene, frame, half_x, half_z, 0.0, dice.integer(3, 12))
        seat: Piece = furniture.office_chair if dice.chance(0.5) else furniture.chair
        around(scene, frame, half_x, half_z, seat, 0.85)
    else:
        z = z0 + 0.8
        while z < z1 - 1.2:
            x = x0 + 0.9
            while x < x1 - 0.8 and len(scene.primitives) < 380:
                frame = Frame(x + dice.normal(0, 0.08), 0, z + dice.normal(0, 0.08), dice.normal(0, 0.08))
                furniture.table(scene, frame, 0.55, 0.3, 0.72, dice.integer(0, 3))
                if dice.chance(0.85):
                    furniture.chair(scene, frame.moved(dice.normal(0, 0.1), 0, -0.45, dice.normal(0, 0.3)))
                x += dice.uniform(1.35, 1.7)
            z += dice.uniform(1.3, 1.7)
    along_walls(scene, HOME_PIECES, dice.integer(0, 4), 0.32)
    return finish(scene, 0.6)


def lounge(dice: Dice) -> Scene:
    """Groups of seats around tables."""
    scene = shell(dice, dice.uniform(4, 9), dice.uniform(4, 10), dice.uniform(2.5, 3.6))
    x0, x1, _, _, z0, z1 = scene.limits
    for _ in range(dice.integer(2, 7)):
        x, z = dice.uniform(x0, x1) * 0.75, dice.uniform(z0, z1) * 0.75
        if not scene.take(x, z, 1.1):
            continue
        frame = Frame(x, 0, z, dice.uniform(-math.pi, math.pi))
        half = dice.uniform(0.3, 0.5)
        furniture.table(scene, frame, half, half, dice.choice((0.45, 0.72)), dice.integer(0, 5))
        seat: Piece = dice.choice((furniture.sofa, furniture.chair, furniture.tub_chair))
        around(scene, frame, half, half + (0.3 if seat is not furniture.chair else 0.0), seat, 0.75)
    along_walls(scene, HOME_PIECES, dice.integer(1, 6), 0.32)
    return finish(scene, 0.5)


def stairwell(dice: Dice) -> Scene:
    """A flight of stairs."""
    scene = shell(dice, dice.uniform(2.0, 5.0), dice.uniform(3.5, 8.0), dice.uniform(2.8, 5.5))
    x0, x1, _, _, _, z1 = scene.limits
    half = dice.uniform(0.45, min(1.0, 0.45 * (x1 - x0)))
    steps = dice.integer(5, 15)
    side = dice.sign()
    frame = Frame(side * ((x1 - x0) / 2 - half - 0.02), 0, dice.uniform(0.1, 0.4) * z1, 0)
    if dice.chance(0.3):
        frame = frame.moved(0, 0, 0, math.pi / 2 * -side)
    fixtures.stairs(scene, frame, half, steps)
    scene.focus *= 3
    along_walls(scene, HOME_PIECES, dice.integer(0, 4), 0.32)
    return finish(scene, 0.5)


def storage(dice: Dice) -> Scene:
    """Shelves and piled boxes."""
    scene = shell(dice, *room_size(dice, 1.8, 6.0))
    along_walls(
        scene,
        (
            (furniture.shelf, 3.0, 0.5),
            (furniture.cabinet, 1.0, 0.5),
            (lambda s, f: boxes(s, f, dice.integer(1, 4)), 4.0, 0.5),
            (furniture.table, 0.5, 0.6),
        ),
        dice.integer(5, 14),
        0.3,
    )
    return finish(scene, 1.5)
