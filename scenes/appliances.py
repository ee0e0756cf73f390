"""Kitchens and bathrooms: each function puts one piece into a frame, its back towards -z."""

from __future__ import annotations

from .clutter import scatter
from .furniture import cabinet
from .materials import (
    cloth_material,
    fitted_picture,
    front_material,
    grey_colour,
    material,
    plain_material,
    wood_colour,
)
from .scene import Frame, Scene


def counter(scene: Scene, frame: Frame, half_x: float, wall_cupboards: bool) -> None:
    """A kitchen counter with fronts, a top, things on it and perhaps cupboards above."""
    dice = scene.dice
    d, high = 0.3, dice.uniform(0.83, 0.92)
    base = (
        grey_colour(dice, 0.75, 0.98)
        if dice.chance(0.4)
        else (wood_colour(dice) if dice.chance(0.6) else cloth_material(dice)[9:12])
    )
    colour = (base[0], base[1], base[2])
    body = material(dice, "plaster", colour, colour, gloss=0.3)
    scene.box(frame, (0, high / 2 + 0.04, 0), (half_x, high / 2 - 0.04, d - 0.02), body)
    parts = max(1, round(half_x / 0.3))
    front = front_material(dice, colour)
    for n in range(parts):
        x = half_x * (2 * (n + 0.5) / parts - 1)
        look = plain_material(dice) if dice.chance(0.12) else front
        scene.box(
            frame, (x, high / 2 + 0.04, d - 0.02), (half_x / parts - 0.004, high / 2 - 0.05, 0.012), look
        )
    top = material(
        dice,
        dice.choice(("speckle", "marble", "wood", "plaster")),
        grey_colour(dice, 0.05, 0.95),
        wood_colour(dice),
        2.0,
        gloss=0.5,
    )
    scene.box(frame, (0, high, 0.01), (half_x, 0.02, d + 0.01), top)
    on = frame.moved(0, high + 0.02, 0)
    steel = material(dice, "plaster", (0.4, 0.4, 0.4), (0.6, 0.6, 0.6), 3.0, gloss=0.8)
    x = dice.uniform(-0.6, 0.6) * half_x
    if dice.chance(0.5):
        scene.box(on, (x, 0.001, 0), (0.25, 0.003, 0.2), steel)
        scene.box(
            on,
            (x, 0.004, 0),
            (0.2, 0.002, 0.16),
            material(dice, "plaster", (0.12, 0.12, 0.12), (0.2, 0.2, 0.2), gloss=0.5),
        )
        scene.cone(on, (x, 0.12, -0.2), 0.015, 0.12, 0.015, steel)
        scene.box(on, (x, 0.24, -0.12), (0.012, 0.012, 0.09), steel)
    elif dice.chance(0.6):
        scene.box(
            on,
            (x, 0.004, 0),
            (0.28, 0.004, 0.24),
            material(dice, "plaster", (0.01, 0.01, 0.01), (0.03, 0.03, 0.03), gloss=0.8),
        )
        if dice.chance(0.6):
            scene.cone(on, (x + 0.1, 0.07, 0.05), 0.1, 0.06, 0.11, plain_material(dice))
    if dice.chance(0.6):
        half = (dice.uniform(0.12, 0.25), dice.uniform(0.09, 0.17), 0.17)
        scene.box(on, (-x * 0.8, half[1], -0.05), half, plain_material(dice))
    scatter(scene, on, half_x * 0.95, d * 0.7, dice.integer(3, 12))
    if wall_cupboards:
        y = dice.uniform(1.65, 1.85)
        parts = max(1, round(half_x / 0.3))
        for n in range(parts):
            if dice.chance(0.12):
                continue
            x = half_x * (2 * (n + 0.5) / parts - 1)
            scene.box(frame, (x, y, -0.13), (half_x / parts, 0.34, 0.16), body)
            scene.box(frame, (x, y, 0.03), (half_x / parts - 0.004, 0.335, 0.012), front)
    scene.look_at(frame, high)


def fridge(scene: Scene, frame: Frame) -> None:
    """A fridge with notes on its door."""
    dice = scene.dice
    look = material(
        dice, "plaster", grey_colour(dice, 0.4, 0.97), grey_colour(dice, 0.4, 0.9), 1.0, gloss=0.5
    )
    high = dice.uniform(0.7, 1.0)
    scene.box(frame, (0, high, 0), (0.32, high, 0.3), look)
    split = high * dice.uniform(0.8, 1.4)
    scene.box(frame, (0, split / 2, 0.31), (0.315, split / 2 - 0.02, 0.02), look, (0, 0, 0), 0.01)
    scene.box(
        frame, (0, high + split / 2, 0.31), (0.315, high - split / 2 - 0.01, 0.02), look, (0, 0, 0), 0.01
    )
    for _ in range(dice.integer(0, 5)):
        place = (dice.uniform(-0.25, 0.25), dice.uniform(high * 0.7, high * 1.8), 0.33)
        scene.box(
            frame,
            place,
            (dice.uniform(0.03, 0.1), dice.uniform(0.03, 0.14), 0.003),
            fitted_picture(dice, "page"),
            (0, 0, dice.normal(0, 0.1)),
            0,
        )


def bathtub(scene: Scene, frame: Frame) -> None:
    """A bathtub, perhaps with a curtain."""
    dice = scene.dice
    white = material(dice, "plaster", (0.85, 0.85, 0.83), (0.7, 0.7, 0.7), gloss=0.6)
    w, d, high = dice.uniform(0.7, 0.85), 0.36, dice.uniform(0.26, 0.3)
    for a in (-1, 1):
        scene.box(frame, (0, high, a * d), (w, high, 0.04), white, (0, 0, 0), 0.03)
        scene.box(frame, (a * w, high, 0), (0.05, high, d), white, (0, 0, 0), 0.03)
    scene.box(frame, (0, 0.1, 0), (w, 0.08, d), white)
    if dice.chance(0.5):
        curtain = cloth_material(dice)
        x = dice.uniform(-0.5, 0.5) * w
        scene.box(frame, (x, 1.2, d), (w * 0.45, 0.8, 0.02), curtain)
    scene.look_at(frame, 0.5)


def toilet(scene: Scene, frame: Frame) -> None:
    """A toilet."""
    dice = scene.dice
    white = material(dice, "plaster", (0.85, 0.85, 0.83), (0.75, 0.75, 0.75), gloss=0.6)
    scene.cone(frame, (0, 0.18, 0.1), 0.12, 0.18, 0.19, white)
    scene.ball(frame, (0, 0.37, 0.12), (0.19, 0.05, 0.25), white)
    if dice.chance(0.5):
        lid = -1.45 if dice.chance(0.4) else 0.0
        if lid:
            scene.ball(frame, (0, 0.58, -0.09), (0.19, 0.24, 0.025), white)
    scene.box(frame, (0, 0.55, -0.2), (0.2, 0.2, 0.09), white, (0, 0, 0), 0.03)
    scene.look_at(frame, 0.4)


def basin(scene: Scene, frame: Frame) -> None:
    """A washbasin with a cupboard or foot, taps and things."""
    dice = scene.dice
    white = material(dice, "plaster", (0.85, 0.85, 0.83), (0.75, 0.75, 0.75), gloss=0.6)
    w = dice.uniform(0.25, 0.6)
    if dice.chance(0.6):
        cabinet(scene, frame, w, 0.76, 0.22)
    else:
        scene.cone(frame, (0, 0.38, 0), 0.08, 0.38, 0.1, white)
    scene.box(frame, (0, 0.82, 0), (w, 0.05, 0.24), white, (0, 0, 0), 0.04)
    shade = material(dice, "plaster", (0.5, 0.5, 0.5), (0.6, 0.6, 0.6), gloss=0.6)
    scene.ball(frame, (0, 0.87, 0.02), (min(w, 0.24) * 0.85, 0.005, 0.16), shade)
    scene.cone(frame, (0, 0.93, -0.18), 0.018, 0.07, 0.018, shade)
    scene.box(frame, (0, 0.99, -0.12), (0.012, 0.012, 0.07), shade)
    scatter(scene, frame.moved(0, 0.87, -0.1), w * 0.9, 0.08, dice.integer(0, 4))
    scene.look_at(frame, 0.85)
