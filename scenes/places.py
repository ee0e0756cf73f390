"""Places: each composer makes one kind of room and puts what belongs there into it."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import fixtures, furniture
from .clutter import boxes, litter
from .dice import Dice
from .figures import bird, person, quadruped
from .fixtures import wall_frame, wall_length
from .materials import (
    ceiling_material,
    floor_material,
    furniture_material,
    grey_colour,
    material,
    mix,
    from_hsv,
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


def rug(scene: Scene, frame: Frame) -> None:
    from .materials import cloth_material

    dice = scene.dice
    scene.box(
        frame, (0, 0.006, 0), (dice.uniform(0.6, 1.5), 0.006, dice.uniform(0.5, 1.1)), cloth_material(dice)
    )


def _size(dice: Dice, low: float, high: float) -> tuple[float, float, float]:
    return dice.uniform(low, high), dice.uniform(low, high), dice.uniform(2.3, 2.9)


_HOME: tuple[tuple[Piece, float, float], ...] = (
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


def living_room(dice: Dice) -> Scene:
    scene = shell(dice, *_size(dice, 2.8, 6.0))
    frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.3, 0.3), 0.6)
    scene.take(frame.x, frame.z, 0.9)
    furniture.sofa(scene, frame, dice.uniform(0.7, 1.1))
    if dice.chance(0.6):
        rug(scene, frame.moved(0, 0, 1.2))
    if dice.chance(0.8):
        spot = frame.moved(dice.normal(0, 0.2), 0, dice.uniform(0.9, 1.3), dice.normal(0, 0.1))
        scene.take(spot.x, spot.z, 0.5)
        furniture.table(scene, spot, dice.uniform(0.3, 0.6), dice.uniform(0.25, 0.4), dice.uniform(0.35, 0.5))
    along_walls(scene, ((furniture.television, 2.0, 0.7), *_HOME), dice.integer(3, 9), 0.32)
    return finish(scene, 0.7)


def bedroom(dice: Dice) -> Scene:
    scene = shell(dice, *_size(dice, 2.4, 4.5))
    frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.5, 0.5), 1.12)
    scene.take(frame.x, frame.z, 1.1)
    furniture.bed(scene, frame)
    for side in (-1, 1):
        if dice.chance(0.6):
            furniture.cabinet(scene, frame.moved(side * 1.25, 0, -0.85), 0.22, dice.uniform(0.4, 0.6), 0.2)
    along_walls(scene, ((furniture.desk, 1.0, 0.7), *_HOME), dice.integer(2, 7), 0.32)
    return finish(scene, 1.0)


def office(dice: Dice) -> Scene:
    scene = shell(dice, *_size(dice, 2.5, 6.5))
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
    x0, x1, _, _, z0, z1 = scene.limits
    if x1 - x0 > 4 and dice.chance(0.7):
        turn = dice.choice((0.0, math.pi / 2))
        for n in range(dice.integer(1, 3)):
            frame = Frame(0, 0, (n - 1) * 1.6, turn)
            if scene.take(frame.x, frame.z, 0.7):
                furniture.desk(scene, frame)
                furniture.desk(scene, frame.moved(0, 0, -0.85, math.pi))
    return finish(scene, 0.7)


def kitchen(dice: Dice) -> Scene:
    scene = shell(dice, *_size(dice, 2.2, 4.5))
    first = dice.integer(0, 3)
    sides = [first] + ([3 - first if first in (1, 2) else (first + 2) % 4] if dice.chance(0.6) else [])
    for side in sides:
        half = 0.5 * wall_length(scene, side) * dice.uniform(0.55, 0.98)
        frame = wall_frame(scene, side, dice.uniform(-0.1, 0.1), 0.31)
        furniture.counter(scene, frame, half, dice.chance(0.7))
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
            (furniture.fridge, 3.0, 0.4),
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
    wide, long = dice.uniform(1.6, 2.8), dice.uniform(1.8, 3.4)
    scene = shell(dice, wide, long, dice.uniform(2.2, 2.7), tiled=True)
    if dice.chance(0.6):
        scene.faces[2] = tile_material(dice)
    if dice.chance(0.6):
        frame = wall_frame(scene, 2, 0.0, 0.42)
        furniture.bathtub(scene, frame)
        scene.taken.append((frame.x, frame.z, 0.7))
    for piece, radius, off in (
        (furniture.toilet, 0.3, 0.32),
        (furniture.basin, 0.4, 0.26),
        (furniture.cabinet, 0.35, 0.25),
        (furniture.bin_, 0.15, 0.2),
    ):
        for _ in range(6):
            frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.7, 0.7), off)
            if scene.take(frame.x, frame.z, radius, 1.0):
                piece(scene, frame)
                if piece is furniture.basin and dice.chance(0.8):
                    fixtures.mirror(scene, frame.moved(0, 0, -off + 0.005))
                break
    return finish(scene, 0.4)


def corridor(dice: Dice) -> Scene:
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
    along_walls(scene, _HOME, dice.integer(0, 4), 0.32)
    return finish(scene, 0.6)


def lounge(dice: Dice) -> Scene:
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
    along_walls(scene, _HOME, dice.integer(1, 6), 0.32)
    return finish(scene, 0.5)


def stairwell(dice: Dice) -> Scene:
    scene = shell(dice, dice.uniform(2.0, 5.0), dice.uniform(3.5, 8.0), dice.uniform(2.8, 5.5))
    x0, x1, _, top, z0, z1 = scene.limits
    half = dice.uniform(0.45, min(1.0, 0.45 * (x1 - x0)))
    steps = dice.integer(5, 15)
    side = dice.sign()
    frame = Frame(side * ((x1 - x0) / 2 - half - 0.02), 0, dice.uniform(0.1, 0.4) * z1, 0)
    if dice.chance(0.3):
        frame = frame.moved(0, 0, 0, math.pi / 2 * -side)
    fixtures.stairs(scene, frame, half, steps)
    scene.focus *= 3
    along_walls(scene, _HOME, dice.integer(0, 4), 0.32)
    return finish(scene, 0.5)


def storage(dice: Dice) -> Scene:
    scene = shell(dice, *_size(dice, 1.8, 6.0))
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


def library(dice: Dice) -> Scene:
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
    pieces = ((furniture.bed, 0.5, 1.1), (furniture.desk, 1.0, 0.75), *_HOME)
    along_walls(scene, pieces, dice.integer(5, 12), 0.35)
    for _ in range(dice.integer(0, 3)):
        x, zz = dice.uniform(x0, x1) * 0.7, dice.uniform(z0, z1) * 0.7
        if scene.take(x, zz, 0.9):
            frame = Frame(x, 0, zz, dice.integer(0, 3) * math.pi / 2)
            half_x, half_z = dice.uniform(0.4, 0.8), 0.4
            furniture.table(scene, frame, half_x, half_z)
            around(scene, frame, half_x, half_z, furniture.chair, 0.7)
    return finish(scene, 0.6)


def street(dice: Dice) -> Scene:
    """An open court or street: a sky, facades, trees, cars' boxes, people."""
    wide, long = dice.uniform(8, 30), dice.uniform(12, 55)
    scene = Scene(dice, (-wide / 2, wide / 2, 0.0, dice.uniform(8, 25), -long / 2, long / 2))
    sky_colour = from_hsv(dice.uniform(0.52, 0.62), dice.uniform(0.0, 0.4), 1.0)
    sky = material(dice, "plaster", sky_colour, mix(sky_colour, (1, 1, 1), 0.7), 0.02, emission=1.2)
    ground = material(
        dice,
        dice.choice(("speckle", "tiles", "plaster", "leaves")),
        grey_colour(dice, 0.2, 0.7),
        grey_colour(dice, 0.2, 0.6),
        0.4,
    )
    if dice.chance(0.35):
        green = from_hsv(dice.uniform(0.2, 0.33), dice.uniform(0.3, 0.7), dice.uniform(0.25, 0.6))
        ground = material(dice, "speckle", green, mix(green, (0.05, 0.05, 0.01), 0.6), 0.6)
    scene.faces = [
        wall_material(dice),
        wall_material(dice),
        ground,
        sky,
        wall_material(dice),
        sky if dice.chance(0.5) else wall_material(dice),
    ]
    sun = dice.log_uniform(1.0, 3.0)
    scene.light(dice.uniform(-60, 60), 60, dice.uniform(-60, 60), (sun, sun * 0.93, sun * 0.8), 1.0, 0.0)
    for side in (0, 1, 2):
        along = -0.92
        while along < 0.95:
            for row in range(dice.integer(1, 3)):
                place = wall_frame(scene, side, along, 0.01)
                scene.box(
                    place, (0, 1.7 + 3 * row, 0.02), (0.6, 0.8, 0.04), fitted_window(dice), (0, 0, 0), 0
                )
            along += 5.0 / wall_length(scene, side)
    for _ in range(dice.integer(6, 20)):
        x, z = dice.uniform(-0.45, 0.45) * wide, dice.uniform(-0.45, 0.45) * long
        if not scene.take(x, z, 1.0):
            continue
        frame = Frame(x, 0, z, dice.uniform(-math.pi, math.pi))
        dice.weighted(
            (
                (tree, 3.0),
                (person, 2.0),
                (car, 2.0),
                (furniture.table, 0.7),
                (quadruped, 0.4),
                (furniture.plant, 0.7),
                (furniture.bin_, 0.5),
            )
        )(scene, frame)
    return finish(scene, 0.3)


def fitted_window(dice: Dice) -> tuple[float, ...]:
    from .materials import fitted_picture

    return fitted_picture(dice, "outside", emission=0.0, gloss=0.5)


def tree(scene: Scene, frame: Frame) -> None:
    dice = scene.dice
    high, radius = dice.uniform(1.5, 3.0), dice.uniform(0.08, 0.25)
    bark = from_hsv(0.07, 0.4, dice.uniform(0.15, 0.45))
    scene.cone(
        frame,
        (0, high / 2, 0),
        radius,
        high / 2,
        radius * 0.7,
        material(dice, "wood", bark, mix(bark, (0, 0, 0), 0.5), 1.0),
    )
    green = from_hsv(dice.uniform(0.17, 0.35), dice.uniform(0.3, 0.7), dice.uniform(0.2, 0.55))
    look = material(dice, "leaves", green, mix(green, (0.01, 0.02, 0.0), 0.8), 0.8)
    for _ in range(dice.integer(4, 9)):
        r = dice.uniform(0.5, 1.3)
        scene.ball(
            frame,
            (dice.normal(0, 0.8), high + dice.uniform(0, 1.6), dice.normal(0, 0.8)),
            (r, r * 0.8, r),
            look,
        )
    scene.look_at(frame, 1.5)


def car(scene: Scene, frame: Frame) -> None:
    """A car that heads towards +z."""
    from .materials import plain_material

    dice = scene.dice
    paint = plain_material(dice)
    glass = material(dice, "plaster", (0.02, 0.03, 0.04), (0.1, 0.12, 0.14), 1.0, gloss=0.9)
    dark = material(dice, "plaster", (0.01, 0.01, 0.01), (0.03, 0.03, 0.03), 2.0)
    w, d = dice.uniform(0.8, 0.95), dice.uniform(1.8, 2.4)
    scene.box(frame, (0, 0.55, 0), (w, 0.28, d), paint, (0, 0, 0), 0.12)
    scene.ball(frame, (0, 0.82, -0.1 * d), (w * 0.92, 0.62, d * 0.62), glass)
    scene.box(frame, (0, 1.36, -0.12 * d), (w * 0.7, 0.05, d * 0.33), paint, (0, 0, 0), 0.05)
    for a in (-1, 1):
        for b in (-0.62, 0.62):
            scene.cone(
                frame, (a * (w - 0.08), 0.32, b * d), 0.32, 0.11, 0.32, dark, (math.pi / 2, math.pi / 2, 0)
            )
            scene.cone(
                frame,
                (a * (w - 0.06), 0.32, b * d),
                0.18,
                0.11,
                0.18,
                material(dice, "plaster", (0.4, 0.4, 0.4), (0.6, 0.6, 0.6)),
                (math.pi / 2, math.pi / 2, 0),
            )
        lamp = material(dice, "plaster", (0.7, 0.7, 0.6), (0.9, 0.9, 0.8), emission=0.5)
        scene.box(frame, (a * w * 0.7, 0.62, d), (0.13, 0.07, 0.02), lamp)
    scene.look_at(frame, 0.8)


PLACES: tuple[tuple[Callable[[Dice], Scene], float], ...] = (
    (living_room, 1.3),
    (bedroom, 1.2),
    (office, 2.0),
    (kitchen, 1.6),
    (bathroom, 0.8),
    (corridor, 1.1),
    (hall, 0.8),
    (shop, 0.5),
    (classroom, 0.9),
    (lounge, 0.9),
    (stairwell, 0.6),
    (storage, 0.6),
    (library, 0.7),
    (two_rooms, 1.0),
    (street, 0.4),
)
