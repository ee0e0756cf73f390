"""Open places: a court or street with facades, trees and cars."""

from __future__ import annotations

import math

from . import furniture
from .dice import Dice
from .figures import person, quadruped
from .fixtures import wall_frame, wall_length
from .materials import fitted_picture, from_hsv, grey_colour, material, mix, plain_material, wall_material
from .scene import Frame, Scene
from .shell import finish


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
                scene.box(place, (0, 1.7 + 3 * row, 0.02), (0.6, 0.8, 0.04), shut_window(dice), (0, 0, 0), 0)
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


def shut_window(dice: Dice) -> tuple[float, ...]:
    """A window by day seen from outside."""
    return fitted_picture(dice, "outside", emission=0.0, gloss=0.5)


def tree(scene: Scene, frame: Frame) -> None:
    """A tree with a round crown."""
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
