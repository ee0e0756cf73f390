"""Small things that lie on tables, shelves and floors."""

from __future__ import annotations

import math

from .materials import (
    cloth_material,
    fitted_picture,
    from_hsv,
    furniture_material,
    grey_colour,
    lamp_material,
    material,
    mix,
    plain_material,
    strong_colour,
    thing_material,
)
from .scene import Frame, Scene


def book_stack(scene: Scene, frame: Frame) -> None:
    """Books lying on each other."""
    dice = scene.dice
    y = 0.0
    for _ in range(dice.integer(1, 5)):
        high = dice.uniform(0.006, 0.025)
        half = (dice.uniform(0.07, 0.12), high, dice.uniform(0.1, 0.16))
        scene.box(
            frame,
            (dice.normal(0, 0.01), y + high, 0),
            half,
            thing_material(dice),
            (dice.normal(0, 0.3), 0, 0),
            0,
        )
        y += 2 * high


def paper(scene: Scene, frame: Frame) -> None:
    """Sheets of paper."""
    dice = scene.dice
    for _ in range(dice.integer(1, 3)):
        half = (0.105, 0.002, 0.148)
        place = (dice.normal(0, 0.08), 0.002, dice.normal(0, 0.08))
        scene.box(
            frame,
            place,
            half,
            fitted_picture(dice, dice.choice(("page", "poster", "page"))),
            (dice.normal(0, 0.6), 0, 0),
            0,
        )


def bottle(scene: Scene, frame: Frame) -> None:
    """A bottle, perhaps with a label."""
    dice = scene.dice
    radius, high = dice.uniform(0.025, 0.05), dice.uniform(0.06, 0.13)
    colour = dice.choice(
        (
            strong_colour(dice),
            grey_colour(dice, 0.6, 0.98),
            from_hsv(0.33, 0.7, 0.3),
            from_hsv(0.07, 0.8, 0.3),
        )
    )
    body = material(dice, "plaster", colour, mix(colour, (0.5, 0.5, 0.5), 0.2), 4.0, gloss=0.6)
    scene.cone(frame, (0, high, 0), radius, high, radius, body)
    if dice.chance(0.5):
        scene.cone(frame, (0, high, 0), radius * 1.02, high * 0.4, radius * 1.02, thing_material(dice))
    scene.cone(frame, (0, high * 2.2, 0), radius * 0.95, high * 0.25, radius * 0.35, body)
    scene.cone(frame, (0, high * 2.6, 0), radius * 0.36, high * 0.2, radius * 0.36, plain_material(dice))


def cup(scene: Scene, frame: Frame) -> None:
    """A cup, filled."""
    dice = scene.dice
    radius, high = dice.uniform(0.03, 0.05), dice.uniform(0.03, 0.06)
    look = thing_material(dice) if dice.chance(0.4) else plain_material(dice)
    scene.cone(frame, (0, high, 0), radius * dice.uniform(0.7, 1), high, radius, look)
    drink = from_hsv(0.07, 0.6, dice.uniform(0.05, 0.3))
    scene.cone(
        frame, (0, high * 2, 0), radius * 0.85, 0.002, radius * 0.85, material(dice, "plaster", drink, drink)
    )
    if dice.chance(0.6):
        scene.box(frame, (radius + 0.012, high, 0), (0.012, high * 0.6, 0.006), look, (0, 0, 0), 0)


def bowl(scene: Scene, frame: Frame) -> None:
    """A bowl, perhaps with fruit."""
    dice = scene.dice
    radius = dice.uniform(0.06, 0.16)
    scene.cone(frame, (0, 0.03, 0), radius * 0.5, 0.03, radius, plain_material(dice))
    for _ in range(dice.integer(0, 5)):
        r = radius * dice.uniform(0.25, 0.4)
        fruit = from_hsv(dice.uniform(0.0, 0.3), 0.8, dice.uniform(0.4, 0.9))
        scene.ball(
            frame,
            (dice.normal(0, radius * 0.4), 0.06, dice.normal(0, radius * 0.4)),
            (r, r, r),
            material(dice, "plaster", fruit, fruit, gloss=0.3),
        )


def carton(scene: Scene, frame: Frame) -> None:
    """A small box of any kind."""
    dice = scene.dice
    half = (dice.log_uniform(0.02, 0.15), dice.log_uniform(0.015, 0.16), dice.log_uniform(0.02, 0.12))
    scene.box(frame, (0, half[1], 0), half, thing_material(dice), (dice.normal(0, 0.2), 0, 0))


def ball(scene: Scene, frame: Frame) -> None:
    """A ball or a lump."""
    dice = scene.dice
    r = dice.uniform(0.02, 0.1)
    scene.ball(
        frame,
        (0, r * 0.95, 0),
        (r, r * dice.uniform(0.6, 1.1), r * dice.uniform(0.7, 1.2)),
        thing_material(dice),
    )


def bag(scene: Scene, frame: Frame) -> None:
    """A bag or rucksack."""
    dice = scene.dice
    look = cloth_material(dice)
    w, h, d = dice.uniform(0.1, 0.22), dice.uniform(0.1, 0.24), dice.uniform(0.06, 0.13)
    scene.ball(frame, (0, h * 0.85, 0), (w, h, d), look, (0, dice.normal(0, 0.2), dice.normal(0, 0.15)))
    scene.box(frame, (0, h * 0.4, 0), (w * 0.85, h * 0.4, d * 0.8), look, (dice.normal(0, 0.1), 0, 0), 0.05)
    if dice.chance(0.6):
        scene.box(frame, (0, h * 0.6, d), (w * 0.5, h * 0.3, 0.03), look, (0, 0, 0), 0.02)


def shoes(scene: Scene, frame: Frame) -> None:
    """A pair of shoes."""
    dice = scene.dice
    look = plain_material(dice)
    for side in (-1, 1):
        x, turn = side * dice.uniform(0.05, 0.1), dice.normal(0, 0.3)
        scene.ball(frame, (x, 0.035, 0), (0.045, 0.045, 0.14), look, (turn, 0, 0))
        scene.ball(frame, (x, 0.06, -0.06), (0.04, 0.06, 0.06), look, (turn, 0, 0))


def clothes(scene: Scene, frame: Frame) -> None:
    """A heap of cloth."""
    dice = scene.dice
    size = dice.uniform(0.1, 0.3)
    look = cloth_material(dice)
    for n in range(dice.integer(3, 6)):
        if n == 3 and dice.chance(0.5):
            look = cloth_material(dice)
        half = (size * dice.uniform(0.4, 1), size * dice.uniform(0.12, 0.4), size * dice.uniform(0.4, 1))
        place = (dice.normal(0, 0.4 * size), half[1] * dice.uniform(0.6, 1.4), dice.normal(0, 0.4 * size))
        scene.ball(frame, place, half, look, (dice.uniform(0, 3.1), dice.normal(0, 0.3), dice.normal(0, 0.3)))


def basket(scene: Scene, frame: Frame) -> None:
    """A basket of laundry."""
    dice = scene.dice
    radius, high = dice.uniform(0.12, 0.25), dice.uniform(0.1, 0.25)
    scene.cone(frame, (0, high, 0), radius * 0.8, high, radius, thing_material(dice))
    clothes(scene, frame.moved(0, 2 * high - 0.03, 0))


def monitor(scene: Scene, frame: Frame) -> None:
    """A monitor on its foot."""
    dice = scene.dice
    w = dice.uniform(0.2, 0.38)
    h = w * dice.uniform(0.55, 0.75)
    dark = (
        plain_material(dice)
        if dice.chance(0.3)
        else material(dice, "plaster", (0.02, 0.02, 0.02), (0.05, 0.05, 0.05), gloss=0.3)
    )
    lift = dice.uniform(0.06, 0.16)
    tilt = dice.normal(-0.05, 0.06)
    scene.box(frame, (0, lift + h, 0), (w, h, dice.uniform(0.012, 0.04)), dark, (0, tilt, 0))
    glow = dice.uniform(0.4, 1.5) if dice.chance(0.6) else 0.0
    screen = (
        fitted_picture(dice, "screen", emission=glow)
        if glow
        else material(dice, "plaster", (0.01, 0.01, 0.012), (0.02, 0.02, 0.02), gloss=0.8)
    )
    scene.box(frame, (0, lift + h, 0.028), (w * 0.95, h * 0.92, 0.014), screen, (0, tilt, 0), 0)
    scene.box(frame, (0, lift * 0.5 + 0.02, -0.02), (0.03, lift * 0.5 + 0.03, 0.015), dark)
    scene.box(frame, (0, 0.008, 0), (w * 0.4, 0.008, 0.09), dark)


def keyboard(scene: Scene, frame: Frame) -> None:
    """A keyboard and perhaps a mouse."""
    dice = scene.dice
    colour = grey_colour(dice, 0.02, 0.2) if dice.chance(0.7) else grey_colour(dice, 0.7, 0.95)
    keys = material(dice, "checks", colour, mix(colour, (0.5, 0.5, 0.5), 0.4), 12.0)
    scene.box(
        frame, (0, 0.012, 0), (dice.uniform(0.15, 0.23), 0.01, 0.07), keys, (dice.normal(0, 0.1), 0.03, 0)
    )
    if dice.chance(0.8):
        scene.ball(frame, (0.28, 0.015, 0), (0.03, 0.02, 0.055), plain_material(dice))


def laptop(scene: Scene, frame: Frame) -> None:
    """An open laptop."""
    dice = scene.dice
    look = plain_material(dice)
    w, d = dice.uniform(0.14, 0.19), dice.uniform(0.1, 0.13)
    scene.box(frame, (0, 0.01, 0), (w, 0.01, d), look)
    lean = dice.uniform(0.05, 0.5)
    y, z = math.cos(lean) * d, -d - math.sin(lean) * d
    scene.box(frame, (0, 0.02 + y, z), (w, d, 0.006), look, (0, -lean, 0), 0)
    face = fitted_picture(dice, "screen", emission=dice.uniform(0.3, 1.2))
    scene.box(frame, (0, 0.02 + y, z + 0.006), (w * 0.93, d * 0.9, 0.004), face, (0, -lean, 0), 0)


def desk_lamp(scene: Scene, frame: Frame) -> None:
    """A desk lamp."""
    dice = scene.dice
    look = plain_material(dice)
    high = dice.uniform(0.25, 0.5)
    scene.cone(frame, (0, 0.01, 0), 0.08, 0.01, 0.08, look)
    scene.cone(frame, (0, high * 0.5, 0), 0.012, high * 0.5, 0.012, look)
    wide = dice.uniform(0.08, 0.16)
    shade = lamp_material(dice, dice.uniform(0.5, 2.0)) if dice.chance(0.5) else cloth_material(dice)
    scene.cone(frame, (0, high + 0.07, 0), wide, 0.09, wide * dice.uniform(0.4, 0.9), shade)


def phone(scene: Scene, frame: Frame) -> None:
    """A desk telephone."""
    dice = scene.dice
    look = plain_material(dice)
    scene.box(frame, (0, 0.025, 0), (0.09, 0.025, 0.1), look, (0, 0.15, 0))
    scene.box(frame, (-0.05, 0.06, 0), (0.025, 0.02, 0.1), look, (0, 0.15, 0), 0.015)


def pot_plant(scene: Scene, frame: Frame) -> None:
    """A small plant in its pot."""
    dice = scene.dice
    high = dice.uniform(0.05, 0.1)
    scene.cone(frame, (0, high, 0), high * 0.7, high, high, plain_material(dice))
    leaves(scene, frame.moved(0, 2 * high, 0), dice.uniform(0.08, 0.2), dice.integer(6, 12))


def leaves(scene: Scene, frame: Frame, size: float, count: int) -> None:
    """Flat ellipsoids that spread from the frame's origin."""
    dice = scene.dice
    green = from_hsv(dice.uniform(0.2, 0.4), dice.uniform(0.3, 0.8), dice.uniform(0.2, 0.6))
    look = material(
        dice, "leaves", green, mix(green, (0.02, 0.05, 0.01), 0.7), 3.0 / max(size, 0.1), gloss=0.2
    )
    for _ in range(count):
        yaw, lean = dice.uniform(0, 2 * math.pi), dice.uniform(0.1, 1.4)
        long = size * dice.uniform(0.4, 1.0)
        out, up = math.sin(lean) * long, math.cos(lean) * long
        place = (math.sin(yaw) * out, up, math.cos(yaw) * out)
        scene.ball(frame, place, (long * dice.uniform(0.2, 0.4), long, long * 0.06), look, (yaw, lean, 0))


def picture_stand(scene: Scene, frame: Frame) -> None:
    """A picture or card that leans back."""
    dice = scene.dice
    w, h = dice.uniform(0.05, 0.14), dice.uniform(0.06, 0.16)
    scene.box(
        frame, (0, h, 0), (w, h, 0.01), fitted_picture(dice, "poster"), (dice.normal(0, 0.4), -0.2, 0), 0
    )


def tray(scene: Scene, frame: Frame) -> None:
    """Letter trays."""
    dice = scene.dice
    look = plain_material(dice)
    for level in range(dice.integer(1, 3)):
        scene.box(frame, (0, 0.01 + 0.07 * level, 0), (0.13, 0.008, 0.17), look)
        scene.box(
            frame,
            (0, 0.03 + 0.07 * level, 0),
            (0.105, dice.uniform(0.005, 0.02), 0.148),
            fitted_picture(dice, "page"),
        )
    for side in (-1, 1):
        scene.box(frame, (side * 0.13, 0.07, -0.1), (0.005, 0.07, 0.005), look)


_SMALL = (
    (book_stack, 2.5),
    (paper, 2.5),
    (bottle, 1.6),
    (cup, 2.0),
    (bowl, 0.6),
    (carton, 4.0),
    (ball, 1.0),
    (picture_stand, 0.6),
    (pot_plant, 0.4),
    (desk_lamp, 0.25),
    (laptop, 0.5),
    (phone, 0.3),
    (tray, 0.4),
    (clothes, 0.5),
    (bag, 0.3),
)
_FLOOR = (
    (bag, 3.0),
    (clothes, 1.5),
    (basket, 0.7),
    (shoes, 2.0),
    (carton, 2.0),
    (ball, 0.7),
    (book_stack, 1.0),
    (paper, 0.7),
    (bottle, 0.5),
)


def scatter(scene: Scene, frame: Frame, half_x: float, half_z: float, count: int) -> None:
    """Puts things on a surface whose middle is the frame's origin."""
    dice = scene.dice
    for _ in range(count):
        spot = frame.moved(
            dice.uniform(-half_x, half_x), 0, dice.uniform(-half_z, half_z), dice.normal(0, 0.5)
        )
        dice.weighted(_SMALL)(scene, spot)


def litter(scene: Scene, frame: Frame, half_x: float, half_z: float, count: int) -> None:
    """Puts things on the floor."""
    dice = scene.dice
    for _ in range(count):
        spot = frame.moved(
            dice.uniform(-half_x, half_x), 0, dice.uniform(-half_z, half_z), dice.uniform(0, 6.3)
        )
        dice.weighted(_FLOOR)(scene, spot)


def boxes(scene: Scene, frame: Frame, count: int) -> None:
    """Piled cardboard boxes."""
    dice = scene.dice
    x = 0.0
    for _ in range(count):
        w, d, y = dice.uniform(0.12, 0.32), dice.uniform(0.12, 0.28), 0.0
        for _ in range(dice.integer(1, 4)):
            h = dice.uniform(0.08, 0.25)
            brown = from_hsv(dice.uniform(0.06, 0.1), dice.uniform(0.25, 0.5), dice.uniform(0.4, 0.75))
            look = (
                material(dice, "plaster", brown, mix(brown, (0.3, 0.3, 0.3), 0.3), 2.0)
                if dice.chance(0.7)
                else furniture_material(dice)
            )
            scene.box(
                frame,
                (x + w + dice.normal(0, 0.03), y + h, dice.normal(0, 0.03)),
                (w, h, d),
                look,
                (dice.normal(0, 0.15), 0, 0),
            )
            y += 2 * h
        x += 2 * w + 0.03
