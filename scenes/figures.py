"""People and animals, put together from limbs and ellipsoids."""

from __future__ import annotations

import math

from .materials import Material, cloth_material, from_hsv, grey_colour, material, mix, plain_material
from .scene import Frame, Scene


def person(scene: Scene, frame: Frame, seated: bool = False, face: bool = False) -> None:
    """A person who stands, walks or sits; ``face`` adds what only shows from near."""
    dice = scene.dice
    k = dice.uniform(0.88, 1.08) if dice.chance(0.85) else dice.uniform(0.55, 0.8)
    skin_colour = from_hsv(dice.uniform(0.03, 0.08), dice.uniform(0.25, 0.6), dice.uniform(0.3, 0.95))
    skin = material(dice, "plaster", skin_colour, mix(skin_colour, (0.3, 0.1, 0.1), 0.15), 2.0)
    top, bottom, shoe = cloth_material(dice), cloth_material(dice), plain_material(dice)
    hair_colour = from_hsv(dice.uniform(0.03, 0.12), dice.uniform(0.1, 0.7), dice.uniform(0.05, 0.6))
    hair = material(dice, "fur", hair_colour, mix(hair_colour, (0, 0, 0), 0.5), 4.0)
    hip = 0.5 if seated else 0.92 * k
    shoulder = hip + 0.52 * k
    wide = dice.uniform(0.16, 0.21) * k
    belly = dice.uniform(0.11, 0.17) * k
    scene.ball(frame, (0, hip + 0.06, 0), (wide * 0.95, 0.17 * k, belly), bottom)
    scene.cone(frame, (0, hip + 0.26 * k, 0), wide * 0.85, 0.22 * k, wide * 0.95, top)
    scene.ball(frame, (0, shoulder - 0.1 * k, 0), (wide * 1.1, 0.16 * k, belly * 1.05), top)
    scene.cone(frame, (0, shoulder + 0.08 * k, 0), 0.055 * k, 0.06 * k, 0.05 * k, skin)
    head = shoulder + 0.23 * k
    turn = dice.normal(0, 0.4)
    scene.ball(frame, (0, head, 0.01), (0.078 * k, 0.115 * k, 0.095 * k), skin, (turn, 0, 0))
    scene.ball(
        frame,
        (-0.02 * math.sin(turn), head + 0.035 * k, -0.02),
        (0.088 * k, 0.105 * k, 0.1 * k),
        hair,
        (turn, 0, 0),
    )
    if dice.chance(0.35):
        scene.ball(frame, (0, head - 0.08 * k, -0.05), (0.09 * k, 0.2 * k, 0.06 * k), hair)
    stride = dice.uniform(0, 0.3) * dice.sign()
    for side in (-1, 1):
        x = side * wide * 0.5
        if seated:
            knee, foot = (x * 1.4, 0.5, 0.45), (x * 1.5, 0.06, 0.45 + dice.uniform(-0.1, 0.2))
        else:
            knee = (x * 1.1, 0.48 * k, stride * side * 0.6 + 0.03)
            foot = (x * 1.2, 0.06, stride * side)
        scene.limb(frame, (x, hip, 0), knee, 0.085 * k, 0.062 * k, bottom)
        scene.limb(frame, knee, foot, 0.062 * k, 0.045 * k, bottom)
        scene.ball(frame, (foot[0], 0.04, foot[2] + 0.06), (0.05, 0.045, 0.13), shoe)
        a = (side * wide * 1.1, shoulder - 0.06 * k, 0.0)
        raise_ = dice.uniform(-0.2, 0.6) if dice.chance(0.8) else dice.uniform(0.8, 2.6)
        out = dice.uniform(0.05, 0.35)
        upper, lower = 0.27 * k, 0.25 * k
        elbow = (a[0] + side * out * upper, a[1] - upper * math.cos(raise_), a[2] + upper * math.sin(raise_))
        bend = raise_ + dice.uniform(0.1, 1.4)
        hand = (elbow[0], elbow[1] - lower * math.cos(bend), elbow[2] + lower * math.sin(bend))
        sleeve = top if dice.chance(0.7) else skin
        scene.limb(frame, a, elbow, 0.055 * k, 0.043 * k, top)
        scene.limb(frame, elbow, hand, 0.042 * k, 0.033 * k, sleeve)
        scene.ball(frame, (hand[0], hand[1] - 0.05, hand[2]), (0.035, 0.075, 0.04), skin)
    scene.look_at(frame, hip + 0.3)
    if face:
        _face(scene, frame.moved(0, head, 0.01, turn), k, skin, hair)


def _face(scene: Scene, frame: Frame, k: float, skin: Material, hair: Material) -> None:
    """Eyes, brows, nose, mouth and ears about the middle of a head ``k`` times as large as usual."""
    dice = scene.dice
    dark = material(dice, "plaster", (0.02, 0.012, 0.01), (0.03, 0.02, 0.02), gloss=0.6)
    white = material(dice, "plaster", (0.8, 0.8, 0.78), (0.85, 0.85, 0.85))
    lips = from_hsv(0.0, 0.5, 0.6)
    mouth = material(dice, "plaster", lips, lips)
    for side in (-1, 1):
        scene.ball(frame, (side * 0.029 * k, 0.012 * k, 0.081 * k), (0.0125 * k, 0.008 * k, 0.008 * k), white)
        scene.ball(frame, (side * 0.029 * k, 0.012 * k, 0.087 * k), (0.006 * k, 0.0065 * k, 0.004 * k), dark)
        scene.ball(
            frame,
            (side * 0.03 * k, 0.03 * k, 0.083 * k),
            (0.016 * k, 0.004 * k, 0.008 * k),
            hair,
            (0, 0, side * -0.1),
        )
        scene.ball(frame, (side * 0.077 * k, 0.0, 0.005 * k), (0.01 * k, 0.024 * k, 0.015 * k), skin)
    scene.limb(frame, (0, 0.008 * k, 0.09 * k), (0, -0.018 * k, 0.1 * k), 0.006 * k, 0.011 * k, skin)
    scene.ball(frame, (0, -0.05 * k, 0.082 * k), (0.024 * k, 0.006 * k, 0.008 * k), mouth)


def _coat(scene: Scene) -> Material:
    dice = scene.dice
    first = from_hsv(dice.uniform(0.04, 0.11), dice.uniform(0.0, 0.7), dice.uniform(0.05, 0.95))
    second = mix(first, grey_colour(dice, 0.02, 0.98), dice.uniform(0.2, 0.9))
    return material(dice, "fur", first, second, 2.5)


def quadruped(scene: Scene, frame: Frame) -> None:
    """A dog, a cat, a horse or a cow: what differs is proportion."""
    dice = scene.dice
    kind = dice.weighted((("dog", 4.0), ("cat", 3.0), ("horse", 1.0), ("cow", 0.6)))
    size = {"dog": dice.uniform(0.35, 0.75), "cat": dice.uniform(0.25, 0.35), "horse": 1.5, "cow": 1.35}[kind]
    animal(scene, frame, kind, size)


def animal(scene: Scene, frame: Frame, kind: str, size: float) -> None:
    """An animal ``size`` metres high at the shoulder."""
    dice = scene.dice
    coat, dark = _coat(scene), material(dice, "plaster", (0.01, 0.01, 0.01), (0.03, 0.03, 0.03), gloss=0.5)
    leg = {"dog": 0.52, "cat": 0.45, "horse": 0.58, "cow": 0.5}[kind] * size
    body = size - leg
    half = size * {"dog": 0.55, "cat": 0.7, "horse": 0.55, "cow": 0.65}[kind]
    y = leg + body * 0.5
    scene.ball(frame, (0, y, 0), (body * 0.42, body * 0.5, half), coat)
    scene.ball(frame, (0, y + body * 0.05, half * 0.55), (body * 0.42, body * 0.58, half * 0.45), coat)
    scene.ball(frame, (0, y + body * 0.02, -half * 0.6), (body * 0.4, body * 0.52, half * 0.4), coat)
    thick = size * {"dog": 0.06, "cat": 0.07, "horse": 0.05, "cow": 0.06}[kind]
    swing = dice.uniform(0.0, 0.25) * size
    for side in (-1, 1):
        for pair in (-1, 1):
            x, z = side * body * 0.25, pair * half * 0.68
            foot = z + swing * side * pair
            knee = (x, leg * 0.5, 0.5 * (z + foot) - 0.04 * size)
            scene.limb(frame, (x, leg * 1.1, z), knee, thick * 1.5, thick, coat)
            scene.limb(frame, knee, (x, thick * 0.7, foot), thick, thick * 0.8, coat)
            scene.ball(frame, (x, thick * 0.5, foot + thick * 0.5), (thick, thick * 0.6, thick * 1.5), coat)
    rise = {"dog": 0.35, "cat": 0.2, "horse": 0.75, "cow": 0.2}[kind] * size * dice.uniform(0.8, 1.2)
    reach = {"dog": 0.25, "cat": 0.2, "horse": 0.45, "cow": 0.4}[kind] * size
    neck = (0.0, size * 0.95 + rise, half * 0.85 + reach)
    scene.limb(frame, (0, size * 0.85, half * 0.7), neck, body * 0.36, body * 0.2, coat)
    turn = dice.normal(0, 0.3)
    head = frame.moved(0, neck[1], neck[2], turn)
    round_ = size * {"dog": 0.17, "cat": 0.2, "horse": 0.13, "cow": 0.17}[kind]
    long = {"dog": 1.3, "cat": 0.6, "horse": 2.6, "cow": 1.9}[kind] * round_
    scene.ball(head, (0, 0.02, round_ * 0.4), (round_ * 0.9, round_, round_ * 1.1), coat)
    scene.limb(
        head, (0, 0, round_ * 0.5), (0, -long * 0.35, round_ * 0.6 + long), round_ * 0.75, round_ * 0.45, coat
    )
    scene.ball(
        head,
        (0, -long * 0.3, round_ * 0.75 + long + round_ * 0.2),
        (round_ * 0.2, round_ * 0.15, round_ * 0.15),
        dark,
    )
    for side in (-1, 1):
        scene.ball(
            head,
            (side * round_ * 0.55, round_ * 0.35, round_ * 1.2),
            (round_ * 0.14, round_ * 0.16, round_ * 0.1),
            dark,
        )
        droop = dice.uniform(1.6, 2.6) if kind == "dog" and dice.chance(0.5) else 0.35
        ear = (side * round_ * (0.6 + 0.3 * math.sin(droop)), round_ * (0.7 + 0.5 * math.cos(droop)), 0.0)
        if kind == "cat":
            scene.cone(
                head,
                (side * round_ * 0.55, round_ * 1.15, 0.1 * round_),
                round_ * 0.35,
                round_ * 0.35,
                0.01 * round_,
                coat,
            )
        else:
            scene.ball(head, ear, (round_ * 0.35, round_ * 0.6, round_ * 0.15), coat, (0, 0, -side * droop))
        if kind == "cow":
            scene.limb(
                head,
                (side * round_ * 0.6, round_ * 0.8, 0),
                (side * round_ * 1.4, round_ * 1.5, 0),
                0.2 * round_,
                0.05 * round_,
                dark,
            )
    tail = {"dog": (0.6, 0.5), "cat": (0.9, 0.8), "horse": (0.25, -0.9), "cow": (0.1, -0.9)}[kind]
    start = (0.0, y + body * 0.35, -half * 0.9)
    end = (dice.normal(0, 0.1) * size, start[1] + tail[1] * 0.5 * size, start[2] - tail[0] * 0.6 * size)
    scene.limb(frame, start, end, thick * 0.8, thick * (0.5 if kind in ("dog", "cat") else 1.1), coat)
    scene.look_at(frame, size * 0.6)


def bird(scene: Scene, frame: Frame) -> None:
    """A bird that stands."""
    dice = scene.dice
    size = dice.uniform(0.12, 0.35)
    coat = _coat(scene) if dice.chance(0.5) else cloth_material(dice)
    beak_colour = from_hsv(dice.uniform(0.05, 0.14), 0.9, 0.8)
    beak = material(dice, "plaster", beak_colour, beak_colour)
    high = size * dice.uniform(0.5, 1.3)
    scene.ball(frame, (0, high, 0), (size * 0.42, size * 0.45, size * 0.75), coat, (0, -0.4, 0))
    scene.ball(
        frame, (0, high * 0.98, -size * 0.75), (size * 0.2, size * 0.08, size * 0.5), coat, (0, 0.3, 0)
    )
    neck = (0.0, high + size * dice.uniform(0.6, 1.2), size * 0.65)
    scene.limb(frame, (0, high + size * 0.15, size * 0.4), neck, size * 0.26, size * 0.16, coat)
    scene.ball(frame, neck, (size * 0.22, size * 0.23, size * 0.25), coat)
    scene.limb(
        frame,
        (0, neck[1], neck[2] + size * 0.2),
        (0, neck[1] - size * 0.05, neck[2] + size * 0.55),
        size * 0.1,
        size * 0.02,
        beak,
    )
    dark = material(dice, "plaster", (0.01, 0.01, 0.01), (0.02, 0.02, 0.02))
    for side in (-1, 1):
        scene.ball(
            frame,
            (side * size * 0.4, high, -size * 0.1),
            (size * 0.08, size * 0.32, size * 0.65),
            _coat(scene),
            (0, -0.4, 0),
        )
        scene.ball(
            frame,
            (side * size * 0.18, neck[1] + size * 0.05, neck[2] + size * 0.12),
            (size * 0.04, size * 0.05, size * 0.04),
            dark,
        )
        scene.limb(
            frame,
            (side * size * 0.2, high * 0.7, 0),
            (side * size * 0.2, 0.01, 0.02),
            size * 0.05,
            size * 0.04,
            beak,
        )
        scene.ball(frame, (side * size * 0.2, 0.01, size * 0.12), (size * 0.1, 0.012, size * 0.2), beak)
