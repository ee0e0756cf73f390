"""Rooms of a home: each composer makes one kind of room and puts what belongs there into it."""

from __future__ import annotations

import math

from . import appliances, fixtures, furniture
from .dice import Dice
from .fixtures import wall_frame, wall_length
from .materials import tile_material, wall_material
from .scene import Frame, Scene
from .shell import HOME_PIECES, along_walls, around, finish, room_size, rug, shell


def living_room(dice: Dice) -> Scene:
    """Sofa, low table, television."""
    scene = shell(dice, *room_size(dice, 2.8, 6.0))
    frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.3, 0.3), 0.6)
    scene.take(frame.x, frame.z, 0.9)
    furniture.sofa(scene, frame, dice.uniform(0.7, 1.1))
    if dice.chance(0.6):
        rug(scene, frame.moved(0, 0, 1.2))
    if dice.chance(0.8):
        spot = frame.moved(dice.normal(0, 0.2), 0, dice.uniform(0.9, 1.3), dice.normal(0, 0.1))
        scene.take(spot.x, spot.z, 0.5)
        furniture.table(scene, spot, dice.uniform(0.3, 0.6), dice.uniform(0.25, 0.4), dice.uniform(0.35, 0.5))
    along_walls(scene, ((furniture.television, 2.0, 0.7), *HOME_PIECES), dice.integer(3, 9), 0.32)
    return finish(scene, 0.7)


def bedroom(dice: Dice) -> Scene:
    """A bed, bedside tables and what stands along the walls."""
    scene = shell(dice, *room_size(dice, 2.4, 4.5))
    frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.5, 0.5), 1.12)
    scene.take(frame.x, frame.z, 1.1)
    furniture.bed(scene, frame)
    for side in (-1, 1):
        if dice.chance(0.6):
            furniture.cabinet(scene, frame.moved(side * 1.25, 0, -0.85), 0.22, dice.uniform(0.4, 0.6), 0.2)
    along_walls(scene, ((furniture.desk, 1.0, 0.7), *HOME_PIECES), dice.integer(2, 7), 0.32)
    return finish(scene, 1.0)


def kitchen(dice: Dice) -> Scene:
    """Counters, cupboards, fridge, a table."""
    scene = shell(dice, *room_size(dice, 2.2, 4.5))
    first = dice.integer(0, 3)
    sides = [first] + ([3 - first if first in (1, 2) else (first + 2) % 4] if dice.chance(0.6) else [])
    for side in sides:
        half = 0.5 * wall_length(scene, side) * dice.uniform(0.55, 0.98)
        frame = wall_frame(scene, side, dice.uniform(-0.1, 0.1), 0.31)
        appliances.counter(scene, frame, half, dice.chance(0.7))
        count = int(half / 0.4)
        for n in range(count):
            spot = frame.world((2 * n + 1 - count) * 0.4, 0)
            scene.taken.append((spot[0], spot[1], 0.4))
    if dice.chance(0.6):
        half_x, half_z = dice.uniform(0.35, 0.9), dice.uniform(0.35, 0.5)
        spot3 = Frame(
            dice.normal(0, 0.4),
            0,
            dice.normal(0, 0.4),
            dice.choice((0.0, math.pi / 2)) + dice.normal(0, 0.05),
        )
        scene.take(spot3.x, spot3.z, half_x)
        furniture.table(scene, spot3, half_x, half_z, 0.0, dice.integer(2, 9))
        around(scene, spot3, half_x, half_z, furniture.chair, 0.7)
    along_walls(
        scene,
        (
            (appliances.fridge, 3.0, 0.4),
            (furniture.cabinet, 1.5, 0.5),
            (furniture.shelf, 1.0, 0.4),
            (furniture.bin_, 1.0, 0.2),
            (furniture.chair, 0.7, 0.3),
        ),
        dice.integer(2, 6),
        0.32,
    )
    return finish(scene, 0.4)


def bathroom(dice: Dice) -> Scene:
    """Bathtub, toilet, basin, tiles."""
    wide, long = dice.uniform(1.6, 2.8), dice.uniform(1.8, 3.4)
    scene = shell(dice, wide, long, dice.uniform(2.2, 2.7), tiled=True)
    if dice.chance(0.6):
        scene.faces[2] = tile_material(dice)
    if dice.chance(0.6):
        frame = wall_frame(scene, 2, 0.0, 0.42)
        appliances.bathtub(scene, frame)
        scene.taken.append((frame.x, frame.z, 0.7))
    for piece, radius, off in (
        (appliances.toilet, 0.3, 0.32),
        (appliances.basin, 0.4, 0.26),
        (furniture.cabinet, 0.35, 0.25),
        (furniture.bin_, 0.15, 0.2),
    ):
        for _ in range(6):
            frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.7, 0.7), off)
            if scene.take(frame.x, frame.z, radius, 1.0):
                piece(scene, frame)
                if piece is appliances.basin and dice.chance(0.8):
                    fixtures.mirror(scene, frame.moved(0, 0, -off + 0.005))
                break
    return finish(scene, 0.4)


def library(dice: Dice) -> Scene:
    """Bookshelves along the walls."""
    scene = shell(dice, dice.uniform(3, 9), dice.uniform(4, 10), dice.uniform(2.4, 3.6))
    for side in range(4):
        if dice.chance(0.6):
            length = wall_length(scene, side)
            count = int(length / 0.95)
            high = dice.uniform(1.5, 2.2)
            for n in range(count):
                frame = wall_frame(scene, side, (2 * n + 1 - count) * 0.95 / length, 0.2)
                furniture.shelf(scene, frame, 0.46, high, 0.97)
                scene.taken.append((frame.x, frame.z, 0.4))
    for _ in range(dice.integer(1, 4)):
        x, z = dice.normal(0, 1.0), dice.normal(0, 1.0)
        if scene.take(x, z, 0.8):
            (furniture.table if dice.chance(0.6) else furniture.sofa)(
                scene, Frame(x, 0, z, dice.uniform(-3, 3))
            )
    return finish(scene, 0.5)


def two_rooms(dice: Dice) -> Scene:
    """Rooms joined by open doorways, or one around a corner."""
    scene = shell(dice, dice.uniform(4, 8), dice.uniform(4, 9), dice.uniform(2.3, 2.9))
    x0, x1, _, top, z0, z1 = scene.limits
    if dice.chance(0.4):
        wide, long = dice.uniform(0.3, 0.55) * (x1 - x0), dice.uniform(0.3, 0.55) * (z1 - z0)
        a, b = dice.sign(), dice.sign()
        frame = Frame(a * (x1 - wide / 2), 0, b * (z1 - long / 2), 0)
        scene.box(frame, (0, top / 2, 0), (wide / 2, top / 2, long / 2), scene.faces[0], (0, 0, 0), 0)
        scene.taken.append((frame.x, frame.z, 0.5 * max(wide, long)))
    else:
        z = dice.uniform(-0.3, 0.3) * z1
        opening = dice.uniform(-0.7, 0.7) * x1
        fixtures.partition(scene, Frame(0, 0, z, 0), x1, opening, wall_material(dice))
        scene.focus += [(opening, 1.2, z)] * 3
        if dice.chance(0.4):
            half = (z1 - z) / 2
            fixtures.partition(
                scene,
                Frame(dice.uniform(-0.3, 0.3) * x1, 0, z + half, math.pi / 2),
                half,
                dice.uniform(-0.3, 0.3) * half,
                wall_material(dice),
            )
        x = x0
        while x < x1:
            if abs(x - opening) > 0.7:
                scene.taken.append((x, z, 0.2))
            x += 0.4
    pieces = ((furniture.bed, 0.5, 1.1), (furniture.desk, 1.0, 0.75), *HOME_PIECES)
    along_walls(scene, pieces, dice.integer(5, 12), 0.35)
    for _ in range(dice.integer(0, 3)):
        x, zz = dice.uniform(x0, x1) * 0.7, dice.uniform(z0, z1) * 0.7
        if scene.take(x, zz, 0.9):
            frame = Frame(x, 0, zz, dice.integer(0, 3) * math.pi / 2)
            half_x, half_z = dice.uniform(0.4, 0.8), 0.4
            furniture.table(scene, frame, half_x, half_z)
            around(scene, frame, half_x, half_z, furniture.chair, 0.7)
    return finish(scene, 0.6)
