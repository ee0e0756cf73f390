"""What belongs to the building: things on walls and ceilings, doors, windows, pillars, stairs, partitions."""

from __future__ import annotations

import math

from .clutter import scatter
from .materials import (
    Material,
    cloth_material,
    fitted_picture,
    front_material,
    furniture_material,
    grey_colour,
    lamp_material,
    material,
    plain_material,
    wood_colour,
)
from .scene import Frame, Scene

SIDES = 4


def wall_frame(scene: Scene, side: int, along: float, off: float = 0.0) -> Frame:
    """A frame on the floor at a wall (0-3: x0, x1, z0, z1) that faces the room; along: -1..1, off: metres."""
    x0, x1, y0, _, z0, z1 = scene.limits
    if side == 0:
        return Frame(x0 + off, y0, 0.5 * (z0 + z1) + 0.5 * (z1 - z0) * along, math.pi / 2)
    if side == 1:
        return Frame(x1 - off, y0, 0.5 * (z0 + z1) + 0.5 * (z1 - z0) * along, -math.pi / 2)
    if side == 2:
        return Frame(0.5 * (x0 + x1) + 0.5 * (x1 - x0) * along, y0, z0 + off, 0.0)
    return Frame(0.5 * (x0 + x1) + 0.5 * (x1 - x0) * along, y0, z1 - off, math.pi)


def wall_length(scene: Scene, side: int) -> float:
    """Length of a wall (0-3) in metres."""
    x0, x1, _, _, z0, z1 = scene.limits
    return z1 - z0 if side < 2 else x1 - x0


def picture(scene: Scene, frame: Frame) -> None:
    """A framed picture or a poster."""
    dice = scene.dice
    w, h, y = dice.uniform(0.12, 0.6), dice.uniform(0.12, 0.45), dice.uniform(1.2, 1.8)
    if dice.chance(0.6):
        scene.box(frame, (0, y, 0.01), (w + 0.03, h + 0.03, 0.012), furniture_material(dice))
    scene.box(
        frame,
        (0, y, 0.016),
        (w, h, 0.012),
        fitted_picture(dice, dice.choice(("poster", "poster", "page", "rectangles"))),
        (0, 0, 0),
        0,
    )


def notices(scene: Scene, frame: Frame) -> None:
    """Sheets of paper pinned to the wall."""
    dice = scene.dice
    for _ in range(dice.integer(2, 7)):
        place = (dice.normal(0, 0.4), dice.uniform(1.1, 1.8), 0.003)
        scene.box(
            frame,
            place,
            (dice.uniform(0.07, 0.16), dice.uniform(0.1, 0.2), 0.003),
            fitted_picture(dice, dice.choice(("page", "poster"))),
            (0, 0, 0),
            0,
        )


def whiteboard(scene: Scene, frame: Frame) -> None:
    """A whiteboard with its tray."""
    dice = scene.dice
    w, h = dice.uniform(0.5, 1.4), dice.uniform(0.4, 0.65)
    board = material(
        dice, dice.choice(("plaster", "page")), (0.6, 0.6, 0.6), (0.85, 0.85, 0.86), fitted=True, gloss=0.4
    )
    scene.box(frame, (0, 1.45, 0.01), (w + 0.02, h + 0.02, 0.012), plain_material(dice))
    scene.box(frame, (0, 1.45, 0.018), (w, h, 0.012), board, (0, 0, 0), 0)
    scene.box(frame, (0, 1.45 - h, 0.05), (w, 0.01, 0.04), plain_material(dice))


def door(scene: Scene, frame: Frame) -> None:
    """A door in its frame, now and then open."""
    dice = scene.dice
    w, h = dice.uniform(0.38, 0.48), dice.uniform(0.98, 1.06)
    base = wood_colour(dice) if dice.chance(0.5) else grey_colour(dice, 0.3, 0.97)
    trim = furniture_material(dice)
    for a in (-1, 1):
        scene.box(frame, (a * (w + 0.03), h, 0.015), (0.035, h, 0.025), trim)
    scene.box(frame, (0, 2 * h + 0.03, 0.015), (w + 0.065, 0.035, 0.025), trim)
    if dice.chance(0.15):
        dark = material(dice, "plaster", (0.01, 0.01, 0.01), (0.05, 0.05, 0.05))
        scene.box(frame, (0, h, 0.001), (w, h, 0.004), dark, (0, 0, 0), 0)
        scene.box(frame, (-w, h, w), (0.02, h, w), front_material(dice, base))
        return
    scene.box(frame, (0, h, 0.006), (w, h, 0.012), front_material(dice, base))
    scene.box(
        frame,
        (w * 0.8, 1.0, 0.05),
        (0.05, 0.01, 0.012),
        material(dice, "plaster", (0.4, 0.4, 0.4), (0.5, 0.5, 0.5), gloss=0.7),
    )


def window(scene: Scene, frame: Frame, power: float) -> None:
    """A bright window with light coming in, perhaps curtains and a radiator."""
    dice = scene.dice
    w, h = dice.uniform(0.35, 1.0), dice.uniform(0.4, 0.75)
    y = dice.uniform(0.95, 1.1) + h
    y = min(y, scene.limits[3] - 0.1 - h)
    view = fitted_picture(dice, "outside", emission=power * dice.uniform(0.6, 1.5))
    scene.box(frame, (0, y, 0.004), (w, h, 0.008), view, (0, 0, 0), 0)
    trim = material(dice, "plaster", grey_colour(dice, 0.5, 0.97), grey_colour(dice, 0.5, 0.97))
    for a in (-1, 1):
        scene.box(frame, (a * w, y, 0.02), (0.03, h + 0.03, 0.03), trim)
        scene.box(frame, (0, y + a * h, 0.02), (w, 0.03, 0.03), trim)
    scene.box(frame, (0, y - h, 0.07), (w + 0.05, 0.015, 0.08), trim)
    place = frame.moved(0, y, 0.25)
    day = (power * 0.95, power, power * 1.05)
    scene.light(place.x, y, place.z, day, 0.5, 0.15)
    if dice.chance(0.4):
        curtain(scene, frame, w, y + h + 0.08)
    if dice.chance(0.4):
        radiator(scene, frame)


def curtain(scene: Scene, frame: Frame, half_x: float, top: float) -> None:
    """Hanging cloth at both sides: a row of thin upright columns makes the folds."""
    dice = scene.dice
    look = cloth_material(dice)
    long = dice.uniform(0.0, 0.9)
    for a in (-1, 1):
        count = dice.integer(3, 6)
        for n in range(count):
            x = a * (half_x + 0.1 - 0.07 * n)
            z = 0.07 + 0.015 * (n & 1)
            scene.cone(frame, (x, 0.5 * (top + long), z), 0.045, 0.5 * (top - long), 0.03, look)


def radiator(scene: Scene, frame: Frame) -> None:
    """A radiator."""
    dice = scene.dice
    look = material(dice, "stripes", (0.7, 0.7, 0.68), (0.45, 0.45, 0.45), 3.0)
    scene.box(
        frame, (0, 0.4, 0.07), (dice.uniform(0.3, 0.7), dice.uniform(0.2, 0.3), 0.045), look, (0, 0, 0), 0.01
    )


def pipe(scene: Scene, frame: Frame) -> None:
    """A pipe from floor to ceiling."""
    dice = scene.dice
    high = scene.limits[3] / 2
    radius = dice.uniform(0.012, 0.06)
    scene.cone(frame, (0, high, radius + 0.02), radius, high, radius, plain_material(dice))


def switch(scene: Scene, frame: Frame) -> None:
    """A switch or a socket."""
    dice = scene.dice
    scene.box(
        frame,
        (0, dice.choice((0.3, 1.1, 1.3)), 0.006),
        (0.04, 0.04, 0.006),
        material(dice, "plaster", (0.8, 0.8, 0.8), (0.7, 0.7, 0.7)),
    )


def clock(scene: Scene, frame: Frame) -> None:
    """A wall clock."""
    dice = scene.dice
    y, r = dice.uniform(1.7, 2.1), dice.uniform(0.1, 0.18)
    scene.cone(frame, (0, y, 0.02), r, 0.02, r, plain_material(dice), (0, math.pi / 2, 0))
    scene.cone(
        frame,
        (0, y, 0.03),
        r * 0.88,
        0.015,
        r * 0.88,
        material(dice, "plaster", (0.8, 0.8, 0.8), (0.7, 0.7, 0.7)),
        (0, math.pi / 2, 0),
    )


def wall_board(scene: Scene, frame: Frame) -> None:
    """A small shelf on the wall with things on it."""
    dice = scene.dice
    w, y = dice.uniform(0.25, 0.9), dice.uniform(1.1, 1.7)
    scene.box(frame, (0, y, 0.1), (w, 0.012, 0.1), furniture_material(dice))
    scatter(scene, frame.moved(0, y + 0.012, 0.1), w * 0.9, 0.05, dice.integer(1, 6))


def hanging(scene: Scene, frame: Frame) -> None:
    """Coats or towels on hooks."""
    dice = scene.dice
    top = dice.uniform(1.2, 1.75)
    for n in range(dice.integer(1, 4)):
        x, long, look = 0.28 * n, dice.uniform(0.2, 0.55), cloth_material(dice)
        if dice.chance(0.4):
            scene.box(frame, (x, top - long, 0.04), (0.15, long, 0.015), look, (0, 0, 0), 0.01)
            continue
        scene.ball(
            frame,
            (x, top - long, 0.1),
            (0.16, long, 0.09),
            look,
            (dice.normal(0, 0.2), 0, dice.normal(0, 0.06)),
        )
        scene.ball(
            frame,
            (x + 0.06, top - long * 1.3, 0.11),
            (0.07, long * 0.8, 0.08),
            look,
            (0, 0, dice.normal(0, 0.1)),
        )


def blind(scene: Scene, frame: Frame) -> None:
    """A blind drawn down, dim daylight behind it."""
    dice = scene.dice
    w, h = dice.uniform(0.4, 1.1), dice.uniform(0.4, 0.8)
    look = material(
        dice,
        "stripes",
        grey_colour(dice, 0.6, 0.98),
        grey_colour(dice, 0.3, 0.8),
        1.5,
        emission=dice.uniform(0.0, 0.7),
    )
    scene.box(frame, (0, 1.0 + h, 0.02), (w, h, 0.02), look)
    scene.box(frame, (0, 1.0 + 2 * h, 0.04), (w + 0.03, 0.04, 0.04), plain_material(dice))


def mirror(scene: Scene, frame: Frame) -> None:
    """A pale glossy pane (its depth is its surface)."""
    dice = scene.dice
    w, h = dice.uniform(0.2, 0.6), dice.uniform(0.3, 0.5)
    pane = material(
        dice,
        "outside" if dice.chance(0.2) else "plaster",
        grey_colour(dice, 0.4, 0.8),
        grey_colour(dice, 0.3, 0.8),
        0.7,
        gloss=0.9,
    )
    scene.box(frame, (0, 1.5, 0.01), (w, h, 0.01), pane)


_ON_WALLS = (
    (picture, 4.0),
    (notices, 1.2),
    (whiteboard, 0.6),
    (door, 2.0),
    (pipe, 0.4),
    (switch, 1.0),
    (clock, 0.4),
    (wall_board, 1.0),
    (radiator, 0.5),
    (mirror, 0.4),
    (hanging, 1.0),
    (blind, 0.7),
)


def dress_walls(scene: Scene, count: int) -> None:
    """Hangs things on walls at random."""
    dice = scene.dice
    for _ in range(count):
        frame = wall_frame(scene, dice.integer(0, 3), dice.uniform(-0.92, 0.92), 0.005)
        dice.weighted(_ON_WALLS)(scene, frame)


def skirting(scene: Scene, look: Material) -> None:
    """Skirting boards along all four walls."""
    high = scene.dice.uniform(0.03, 0.06)
    for side in range(SIDES):
        frame = wall_frame(scene, side, 0.0)
        scene.box(frame, (0, high, 0.006), (0.5 * wall_length(scene, side), high, 0.008), look)


def ceiling_lamps(scene: Scene, power: float) -> None:
    """Panels, bulbs or hanging lamps, each with its light."""
    dice = scene.dice
    x0, x1, _, top, z0, z1 = scene.limits
    warm = dice.uniform(0.0, 0.45)
    kind = dice.weighted((("panel", 4.0), ("disc", 3.0), ("hanging", 1.5), ("none", 2.5)))
    wide, long = x1 - x0, z1 - z0
    columns = max(1, min(2, round(wide / 3.5)))
    rows = max(1, min(3, round(long / 3.5)))
    power = power / (columns * rows) ** 0.7
    colour = (power, power * (1 - 0.35 * warm), power * (1 - warm))
    shape = (dice.uniform(0.1, 0.35), dice.uniform(0.3, 0.7))
    drop = dice.uniform(0.4, 1.0)
    for a in range(columns):
        for b in range(rows):
            x = x0 + wide * (a + 0.5) / columns + dice.normal(0, 0.05)
            z = z0 + long * (b + 0.5) / rows + dice.normal(0, 0.05)
            frame = Frame(x, 0.0, z, 0.0)
            y = top - 0.15
            if kind == "panel":
                scene.box(
                    frame,
                    (0, top - 0.01, 0),
                    (shape[0], 0.015, shape[1]),
                    lamp_material(dice, 2.5),
                    (0, 0, 0),
                    0,
                )
            elif kind == "disc":
                scene.cone(
                    frame, (0, top - 0.04, 0), shape[0] * 0.8, 0.04, shape[0], lamp_material(dice, 2.0)
                )
            elif kind == "hanging":
                y = max(1.5, top - drop)
                scene.cone(
                    frame, (0, 0.5 * (y + top), 0), 0.006, 0.5 * (top - y), 0.006, plain_material(dice)
                )
                scene.cone(frame, (0, y, 0), shape[0], 0.1, shape[0] * 0.5, lamp_material(dice, 1.2))
                y -= 0.15
            scene.light(x, y, z, colour, shape[1] * 0.7, dice.uniform(0.06, 0.4))


def beams(scene: Scene, look: Material) -> None:
    """Beams across the ceiling."""
    x0, x1, _, top, z0, z1 = scene.limits
    dice = scene.dice
    gap, half = dice.uniform(0.8, 2.0), dice.uniform(0.04, 0.12)
    z = z0 + gap * 0.5
    while z < z1:
        scene.box(Frame(0.5 * (x0 + x1), 0, z, 0), (0, top - half, 0), (0.5 * (x1 - x0), half, half), look)
        z += gap


def pillar(scene: Scene, x: float, z: float, look: Material) -> None:
    """A round or square pillar."""
    dice = scene.dice
    high, radius = 0.5 * scene.limits[3], dice.uniform(0.12, 0.4)
    if dice.chance(0.5):
        scene.cone(Frame(x, 0, z, 0), (0, high, 0), radius, high, radius, look)
    else:
        scene.box(Frame(x, 0, z, 0), (0, high, 0), (radius, high, radius), look)
    scene.taken.append((x, z, radius))


def partition(scene: Scene, frame: Frame, half_x: float, opening: float, look: Material) -> None:
    """A wall along the frame's x axis with an open doorway at ``opening`` (local x)."""
    top, gap, head, thick = scene.limits[3], 0.45, 2.05, 0.06
    left, right = opening - gap, opening + gap
    for start, end in ((-half_x, left), (right, half_x)):
        if end - start > 0.05:
            scene.box(
                frame,
                (0.5 * (start + end), 0.5 * top, 0),
                (0.5 * (end - start), 0.5 * top, thick),
                look,
                (0, 0, 0),
                0,
            )
    if top > head + 0.05:
        scene.box(
            frame, (opening, 0.5 * (head + top), 0), (gap, 0.5 * (top - head), thick), look, (0, 0, 0), 0
        )
    trim = furniture_material(scene.dice)
    for a in (left, right):
        scene.box(frame, (a, 0.5 * head, 0), (0.03, 0.5 * head, thick + 0.02), trim)


def stairs(scene: Scene, frame: Frame, half_x: float, steps: int) -> None:
    """Steps going up towards -z, with a rail."""
    dice = scene.dice
    rise, run = dice.uniform(0.15, 0.19), dice.uniform(0.25, 0.32)
    look = (
        furniture_material(dice)
        if dice.chance(0.5)
        else material(dice, "speckle", grey_colour(dice, 0.3, 0.8), grey_colour(dice, 0.2, 0.7), 1.0)
    )
    for n in range(steps):
        high = rise * (n + 1) / 2
        scene.box(frame, (0, high, -run * n), (half_x, high, run / 2 + 0.005), look)
    rail = plain_material(dice)
    for a in (-1, 1):
        if dice.chance(0.7):
            long, slope = steps * run / 2, math.atan2(rise, run)
            y = 0.95 + rise * steps / 2
            scene.box(
                frame, (a * half_x, y, -long), (0.025, 0.025, long / math.cos(slope)), rail, (0, slope, 0)
            )
            for n in range(0, steps, 2):
                scene.box(frame, (a * half_x, rise * (n + 1) + 0.45, -run * n), (0.012, 0.48, 0.012), rail)
    scene.look_at(frame, rise * steps / 2)
