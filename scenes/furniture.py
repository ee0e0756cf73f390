"""Furniture: each function puts one piece into a frame, its back towards -z."""

from __future__ import annotations

import math

from .clutter import keyboard, laptop, leaves, monitor, scatter
from .materials import (
    Material,
    cloth_material,
    fitted_picture,
    front_material,
    furniture_material,
    grey_colour,
    lamp_material,
    leather_material,
    material,
    plain_material,
    wood_material,
)
from .scene import Frame, Scene


def legs(
    scene: Scene, frame: Frame, half_x: float, half_z: float, high: float, thick: float, look: Material
) -> None:
    """Four legs at the corners."""
    for a in (-1, 1):
        for b in (-1, 1):
            scene.box(
                frame, (a * (half_x - thick), high / 2, b * (half_z - thick)), (thick, high / 2, thick), look
            )


def table(
    scene: Scene, frame: Frame, half_x: float = 0.0, half_z: float = 0.0, high: float = 0.0, things: int = -1
) -> None:
    """A table with things on it; sizes of 0 are drawn."""
    dice = scene.dice
    half_x = half_x or dice.uniform(0.35, 1.0)
    half_z = half_z or dice.uniform(0.3, 0.5)
    high = high or dice.uniform(0.68, 0.78)
    top = furniture_material(dice)
    thick = dice.uniform(0.01, 0.03)
    under = top if dice.chance(0.6) else plain_material(dice)
    if dice.chance(0.15):
        radius = min(half_x, half_z) * 1.3
        scene.cone(frame, (0, high, 0), radius, thick, radius, top)
        scene.cone(frame, (0, high / 2, 0), 0.05, high / 2, 0.05, under)
        scene.cone(frame, (0, 0.02, 0), radius * 0.6, 0.02, radius * 0.5, under)
    else:
        scene.box(frame, (0, high, 0), (half_x, thick, half_z), top)
        style = dice.unit()
        if style < 0.65:
            legs(scene, frame, half_x, half_z, high, dice.uniform(0.015, 0.04), under)
            if dice.chance(0.4):
                scene.box(frame, (0, high - 0.06, half_z - 0.05), (half_x - 0.05, 0.04, 0.01), under)
        else:
            for a in (-1, 1):
                scene.box(frame, (a * (half_x - 0.03), high / 2, 0), (0.02, high / 2, half_z * 0.9), under)
    scene.look_at(frame, high)
    count = dice.integer(1, 12) if things < 0 else things
    scatter(scene, frame.moved(0, high + thick, 0), half_x * 0.85, half_z * 0.8, count)


def chair(scene: Scene, frame: Frame) -> None:
    """A dining chair, an upholstered one or a stool."""
    dice = scene.dice
    seat, half = dice.uniform(0.4, 0.5), dice.uniform(0.19, 0.25)
    frame_look = furniture_material(dice)
    cover = (
        leather_material(dice)
        if dice.chance(0.4)
        else (cloth_material(dice) if dice.chance(0.5) else frame_look)
    )
    scene.box(frame, (0, seat, 0), (half, dice.uniform(0.015, 0.05), half), cover, (0, 0, 0), 0.02)
    legs(scene, frame, half, half, seat, dice.uniform(0.012, 0.025), frame_look)
    if dice.chance(0.1):
        return
    back = dice.uniform(0.2, 0.3)
    lean = -dice.uniform(0.0, 0.2)
    if dice.chance(0.5):
        scene.box(
            frame, (0, seat + back, -half - lean * -0.2), (half, back, 0.025), cover, (0, lean, 0), 0.02
        )
    else:
        for a in (-1, 1):
            scene.box(
                frame, (a * (half - 0.02), seat + back, -half), (0.018, back, 0.018), frame_look, (0, lean, 0)
            )
        bars = dice.integer(2, 4)
        for n in range(bars):
            y = seat + 2 * back * (n + 0.8) / bars
            scene.box(
                frame,
                (0, y, -half + lean * (y - seat - back)),
                (half, back * 0.5 / bars, 0.012),
                frame_look,
                (0, lean, 0),
            )


def office_chair(scene: Scene, frame: Frame) -> None:
    """A swivel chair on castors."""
    dice = scene.dice
    dark = plain_material(dice)
    cover = cloth_material(dice) if dice.chance(0.6) else dark
    seat = dice.uniform(0.42, 0.52)
    for n in range(5):
        a = n * 1.2566
        scene.box(frame, (0.14 * math.sin(a), 0.06, 0.14 * math.cos(a)), (0.02, 0.015, 0.15), dark, (a, 0, 0))
        scene.ball(frame, (0.28 * math.sin(a), 0.03, 0.28 * math.cos(a)), (0.03, 0.03, 0.03), dark)
    scene.cone(frame, (0, seat / 2, 0), 0.03, seat / 2 - 0.05, 0.03, dark)
    scene.box(frame, (0, seat, 0), (0.24, 0.04, 0.23), cover, (0, 0, 0), 0.03)
    back = dice.uniform(0.2, 0.38)
    scene.box(frame, (0, seat + 0.12 + back, -0.23), (0.21, back, 0.03), cover, (0, -0.12, 0), 0.03)
    scene.box(frame, (0, seat + 0.1, -0.24), (0.03, 0.12, 0.015), dark)
    if dice.chance(0.6):
        for a in (-1, 1):
            scene.box(frame, (a * 0.26, seat + 0.2, 0), (0.025, 0.015, 0.13), dark)
            scene.box(frame, (a * 0.26, seat + 0.1, -0.02), (0.012, 0.1, 0.03), dark)


def desk(scene: Scene, frame: Frame, half_x: float = 0.0) -> None:
    """A desk with monitors, keyboard and clutter, often a chair before it."""
    dice = scene.dice
    half_x = half_x or dice.uniform(0.5, 0.95)
    half_z, high = dice.uniform(0.3, 0.42), dice.uniform(0.7, 0.78)
    top = furniture_material(dice)
    scene.box(frame, (0, high, 0), (half_x, 0.015, half_z), top)
    legs(scene, frame, half_x, half_z, high, 0.025, plain_material(dice))
    on = frame.moved(0, high + 0.015, 0)
    if dice.chance(0.6):
        front = front_material(dice, grey_colour(dice, 0.2, 0.95))
        scene.box(frame, (dice.sign() * (half_x - 0.22), 0.3, 0), (0.2, 0.29, half_z - 0.05), front)
    if dice.chance(0.3):
        scene.box(
            frame, (0, high + dice.uniform(-0.2, 0.25), -half_z), (half_x, 0.35, 0.015), cloth_material(dice)
        )
    x = dice.uniform(-0.3, 0.3) * half_x
    if dice.chance(0.75):
        monitor(scene, on.moved(x, 0, -half_z * 0.4, dice.normal(0, 0.2)))
        if dice.chance(0.35):
            monitor(scene, on.moved(x + dice.sign() * 0.6, 0, -half_z * 0.35, dice.normal(0, 0.3)))
        keyboard(scene, on.moved(x, 0, half_z * 0.4, dice.normal(0, 0.1)))
    else:
        laptop(scene, on.moved(x, 0, 0, dice.normal(0, 0.3)))
    scatter(scene, on, half_x * 0.9, half_z * 0.85, dice.integer(3, 14))
    scene.look_at(frame, high)
    if dice.chance(0.75):
        office_chair(
            scene,
            frame.moved(
                x + dice.normal(0, 0.2), 0, half_z + dice.uniform(0.1, 0.5), math.pi + dice.normal(0, 0.7)
            ),
        )
    if dice.chance(0.4):
        tower = plain_material(dice)
        scene.box(frame, (dice.sign() * half_x * 0.6, 0.22, 0), (0.09, 0.22, 0.22), tower)


def sofa(scene: Scene, frame: Frame, half_x: float = 0.0) -> None:
    """An armchair or sofa with cushions."""
    dice = scene.dice
    w = half_x or dice.choice((dice.uniform(0.38, 0.5), dice.uniform(0.7, 1.1)))
    d, seat = dice.uniform(0.38, 0.48), dice.uniform(0.17, 0.23)
    look = leather_material(dice) if dice.chance(0.3) else cloth_material(dice)
    scene.box(frame, (0, seat * 0.6 + 0.05, 0), (w, seat * 0.7, d), look, (0, 0, 0), 0.03)
    parts = max(1, round(w / 0.35))
    for n in range(parts):
        x = w * (2 * (n + 0.5) / parts - 1)
        scene.box(frame, (x, seat * 1.8, 0.05), (w / parts - 0.012, 0.08, d - 0.06), look, (0, 0, 0), 0.05)
        high = dice.uniform(0.2, 0.3)
        scene.box(
            frame,
            (x, seat * 1.8 + high, -d + 0.16),
            (w / parts - 0.012, high, 0.1),
            look,
            (0, -0.18, 0),
            0.07,
        )
    scene.box(frame, (0, seat * 1.9, -d + 0.03), (w, seat * 1.9, 0.08), look, (0, 0, 0), 0.04)
    if dice.chance(0.85):
        arm = dice.uniform(0.06, 0.13)
        for a in (-1, 1):
            scene.box(frame, (a * w, seat * 1.4, 0), (arm, seat * 1.4, d), look, (0, 0, 0), 0.05)
    for _ in range(dice.integer(0, 3)):
        place = (dice.uniform(-0.8, 0.8) * w, seat * 2.3 + 0.12, -d * 0.3)
        scene.ball(
            frame,
            place,
            (0.2, 0.17, 0.08),
            cloth_material(dice),
            (dice.normal(0, 0.3), -0.4, dice.normal(0, 0.4)),
        )
    scene.look_at(frame, seat * 2)


def tub_chair(scene: Scene, frame: Frame) -> None:
    """A round armchair, a pouf or a beanbag."""
    dice = scene.dice
    look = leather_material(dice) if dice.chance(0.5) else cloth_material(dice)
    radius, high = dice.uniform(0.25, 0.36), dice.uniform(0.18, 0.22)
    style = dice.unit()
    if style < 0.2:
        scene.cone(frame, (0, high, 0), radius, high, radius, look)
    elif style < 0.35:
        scene.ball(frame, (0, 0.25, 0), (0.42, 0.27, 0.42), look)
        scene.ball(frame, (0, 0.45, -0.15), (0.33, 0.3, 0.25), look, (0, -0.3, 0))
    else:
        scene.cone(frame, (0, high + 0.02, 0), radius * 0.85, high, radius, look)
        for n in range(7):
            angle = math.pi + (n - 3) * 0.48
            lift = 0.14 if abs(n - 3) < 2 else 0.03
            place = (radius * math.sin(angle), 2 * high + lift, radius * math.cos(angle))
            scene.ball(frame, place, (0.14, 0.2 + lift, 0.09), look, (angle, 0, 0))
    scene.look_at(frame, 2 * high)


def bed(scene: Scene, frame: Frame) -> None:
    """A bed with its head at -z."""
    dice = scene.dice
    w, d, high = dice.uniform(0.45, 0.95), dice.uniform(0.95, 1.05), dice.uniform(0.2, 0.3)
    base = furniture_material(dice) if dice.chance(0.6) else cloth_material(dice)
    sheet, cover = cloth_material(dice), cloth_material(dice)
    scene.box(frame, (0, high * 0.6, 0), (w + 0.03, high * 0.6, d + 0.03), base)
    scene.box(frame, (0, high * 1.5, 0), (w, high * 0.5, d), sheet, (0, 0, 0), 0.05)
    over = dice.uniform(0.02, 0.08)
    scene.box(
        frame,
        (0, high * 1.6, d * dice.uniform(0.15, 0.35)),
        (w + over, high * 0.5, d * 0.75),
        cover,
        (0, 0, 0),
        0.06,
    )
    if dice.chance(0.4):
        scene.ball(
            frame,
            (dice.normal(0, 0.2), high * 2.1, d * 0.2),
            (w * 0.8, 0.12, d * 0.5),
            cover,
            (dice.normal(0, 0.4), 0, 0),
        )
    back = dice.uniform(0.35, 0.75)
    if dice.chance(0.8):
        scene.box(frame, (0, back, -d - 0.05), (w + 0.05, back, 0.04), base, (0, 0, 0), 0.02)
    row = dice.integer(1, 2) if w < 0.6 else dice.integer(2, 4)
    pillow = cloth_material(dice)
    for n in range(row):
        x = w * (2 * (n % 2 + 0.5) / min(row, 2) - 1) if row > 1 else 0.0
        z = -d + 0.2 + 0.15 * (n // 2)
        scene.ball(
            frame,
            (x, high * 2 + 0.09, z),
            (w * 0.42 if row > 1 else 0.35, 0.1, 0.2),
            pillow,
            (dice.normal(0, 0.1), -0.4, 0),
        )
    scatter(scene, frame.moved(0, high * 2.1, d * 0.4), w * 0.7, d * 0.4, dice.integer(0, 3))
    scene.look_at(frame, high * 2)


def shelf(scene: Scene, frame: Frame, half_x: float = 0.0, high: float = 0.0, fill: float = 0.8) -> None:
    """An open shelf with book rows and things."""
    dice = scene.dice
    w = half_x or dice.uniform(0.3, 0.6)
    h = (high or dice.uniform(0.8, 2.1)) / 2
    d = dice.uniform(0.13, 0.22)
    look = furniture_material(dice)
    for a in (-1, 1):
        scene.box(frame, (a * w, h, 0), (0.015, h, d), look)
    if dice.chance(0.8):
        scene.box(frame, (0, h, -d), (w, h, 0.008), look)
    rows = max(2, round(2 * h / dice.uniform(0.28, 0.45)))
    for n in range(rows + 1):
        y = 2 * h * n / rows
        scene.box(frame, (0, y, 0), (w, 0.012, d), look)
        if n == rows or not dice.chance(fill):
            continue
        room = 2 * h / rows
        if dice.chance(0.6):
            half, tall = w * dice.uniform(0.3, 0.95), room * dice.uniform(0.3, 0.42)
            x = dice.uniform(-1, 1) * (w - half)
            spines = fitted_picture(dice, "spines")
            scene.box(frame, (x, y + tall + 0.012, -0.03), (half, tall, d * dice.uniform(0.6, 0.9)), spines)
        for _ in range(dice.integer(0, 3)):
            tall = min(room * 0.4, dice.uniform(0.03, 0.15))
            half3 = (dice.uniform(0.03, 0.12), tall, d * dice.uniform(0.3, 0.8))
            scene.box(
                frame, (dice.uniform(-0.85, 0.85) * w, y + tall + 0.012, 0), half3, furniture_material(dice)
            )
    scene.look_at(frame, h)


def cabinet(scene: Scene, frame: Frame, half_x: float = 0.0, high: float = 0.0, deep: float = 0.0) -> None:
    """A closed cupboard, drawers or wardrobe, with things on top when it is low."""
    dice = scene.dice
    w = half_x or dice.uniform(0.25, 0.8)
    h = (high or dice.choice((dice.uniform(0.5, 1.1), dice.uniform(1.6, 2.2)))) / 2
    d = deep or dice.uniform(0.18, 0.3)
    body = furniture_material(dice)
    scene.box(frame, (0, h, 0), (w, h, d), body)
    base = (body[9], body[10], body[11])
    scene.box(frame, (0, h, d), (w - 0.01, h - 0.02, 0.012), front_material(dice, base))
    if h < 0.6:
        scatter(scene, frame.moved(0, 2 * h, 0), w * 0.9, d * 0.8, dice.integer(0, 6))
    elif dice.chance(0.3):
        scatter(scene, frame.moved(0, 2 * h, 0), w * 0.9, d * 0.8, 2)
    scene.look_at(frame, h)


def television(scene: Scene, frame: Frame) -> None:
    """A low board with a television."""
    dice = scene.dice
    cabinet(scene, frame, dice.uniform(0.5, 0.9), dice.uniform(0.35, 0.6))
    w = dice.uniform(0.4, 0.7)
    y = dice.uniform(0.5, 0.9) + w * 0.56
    dark = material(dice, "plaster", (0.01, 0.01, 0.01), (0.03, 0.03, 0.03), gloss=0.5)
    scene.box(frame, (0, y, -0.05), (w, w * 0.56, 0.03), dark)
    if dice.chance(0.4):
        scene.box(
            frame, (0, y, -0.02), (w * 0.97, w * 0.53, 0.01), fitted_picture(dice, "poster", emission=1.0)
        )


def plant(scene: Scene, frame: Frame) -> None:
    """A potted plant that stands on the floor."""
    dice = scene.dice
    radius, high = dice.uniform(0.1, 0.2), dice.uniform(0.1, 0.22)
    scene.cone(
        frame,
        (0, high, 0),
        radius * 0.7,
        high,
        radius,
        plain_material(dice) if dice.chance(0.7) else furniture_material(dice),
    )
    stem = dice.uniform(0.1, 0.8)
    scene.cone(frame, (0, 2 * high + stem / 2, 0), 0.02, stem / 2, 0.015, wood_material(dice))
    leaves(scene, frame.moved(0, 2 * high + stem * 0.7, 0), dice.uniform(0.2, 0.4), dice.integer(10, 22))
    scene.look_at(frame, high + stem)


def floor_lamp(scene: Scene, frame: Frame) -> None:
    """A standard lamp, often lit."""
    dice = scene.dice
    look, high = plain_material(dice), dice.uniform(1.2, 1.7)
    scene.cone(frame, (0, 0.015, 0), 0.14, 0.015, 0.14, look)
    scene.cone(frame, (0, high / 2, 0), 0.015, high / 2, 0.015, look)
    wide = dice.uniform(0.13, 0.24)
    lit = dice.chance(0.6)
    shade = lamp_material(dice, dice.uniform(0.8, 2.5)) if lit else cloth_material(dice)
    scene.cone(frame, (0, high + 0.1, 0), wide, 0.14, wide * dice.uniform(0.5, 0.9), shade)
    if lit:
        power = dice.uniform(0.3, 1.0)
        scene.light(frame.x, frame.y + high + 0.32, frame.z, (power, power * 0.85, power * 0.6), 0.1, 0.5)


def bin_(scene: Scene, frame: Frame) -> None:
    """A waste bin."""
    dice = scene.dice
    radius, high = dice.uniform(0.1, 0.2), dice.uniform(0.12, 0.35)
    scene.cone(frame, (0, high, 0), radius * 0.85, high, radius, plain_material(dice))
    scene.cone(
        frame,
        (0, 2 * high, 0),
        radius * 0.92,
        0.003,
        radius * 0.92,
        material(dice, "plaster", (0.02, 0.02, 0.02), (0.05, 0.05, 0.05)),
    )
