"""The bundled cut-outs: people with faces, animals, toys, furniture, in colours and poses chosen by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from . import furniture
from .figures import animal, bird, person
from .materials import Colour, Material, from_hsv, material, mix
from .scene import Frame, Scene


class Exhibit(NamedTuple):
    """What to draw, and how: turned (radians from facing the viewer) and seen from above (radians)."""

    maker: Callable[[Scene, Frame], None]
    seed: int
    turn: float
    rise: float


def enamel(
    scene: Scene, hue: float, saturation: float, value: float, gloss: float = 0.2, kind: str = "plaster"
) -> Material:
    """An even colour with a little texture."""
    colour = from_hsv(hue, saturation, value)
    return material(scene.dice, kind, colour, mix(colour, (0.35, 0.3, 0.3), 0.18), 3.0, gloss=gloss)


_INK: Colour = (0.012, 0.011, 0.01)


def _dark(scene: Scene) -> Material:
    return material(scene.dice, "plaster", _INK, mix(_INK, (0.1, 0.1, 0.1), 0.3), 3.0, gloss=0.5)


def _eyes(scene: Scene, frame: Frame, apart: float, y: float, z: float, size: float) -> None:
    for side in (-1, 1):
        scene.ball(frame, (side * apart, y, z), (size, size, size * 0.6), _dark(scene))


def teddy(scene: Scene, frame: Frame) -> None:
    """A teddy bear that sits."""
    fur = enamel(scene, 0.075, 0.6, 0.72, 0.0, "fur")
    pale = enamel(scene, 0.09, 0.35, 0.92, 0.0, "fur")
    dark = _dark(scene)
    scene.ball(frame, (0, 0.17, 0), (0.15, 0.17, 0.13), fur)
    scene.ball(frame, (0, 0.16, 0.05), (0.105, 0.12, 0.1), pale)
    scene.ball(frame, (0, 0.42, 0.02), (0.135, 0.125, 0.12), fur)
    scene.ball(frame, (0, 0.385, 0.115), (0.06, 0.05, 0.05), pale)
    scene.ball(frame, (0, 0.41, 0.16), (0.022, 0.016, 0.014), dark)
    _eyes(scene, frame, 0.05, 0.455, 0.125, 0.014)
    for side in (-1, 1):
        scene.ball(frame, (side * 0.11, 0.53, 0.0), (0.055, 0.055, 0.03), fur)
        scene.ball(frame, (side * 0.11, 0.53, 0.018), (0.035, 0.035, 0.018), pale)
        scene.limb(frame, (side * 0.12, 0.27, 0.02), (side * 0.2, 0.13, 0.1), 0.055, 0.05, fur)
        scene.limb(frame, (side * 0.09, 0.06, 0.05), (side * 0.14, 0.06, 0.22), 0.07, 0.062, fur)
        scene.ball(frame, (side * 0.145, 0.06, 0.265), (0.05, 0.06, 0.022), pale)
    red = enamel(scene, 0.99, 0.8, 0.75, 0.2)
    for side in (-1, 1):
        scene.ball(frame, (side * 0.045, 0.295, 0.12), (0.045, 0.028, 0.015), red, (0, 0, side * 0.3))
    scene.ball(frame, (0, 0.295, 0.13), (0.018, 0.018, 0.015), red)


def robot(scene: Scene, frame: Frame) -> None:
    """A tin robot."""
    tin = enamel(scene, 0.55, 0.35, 0.75, 0.7)
    red, yellow, dark = enamel(scene, 0.01, 0.8, 0.8, 0.5), enamel(scene, 0.13, 0.75, 0.95, 0.4), _dark(scene)
    scene.box(frame, (0, 0.3, 0), (0.12, 0.14, 0.08), tin, (0, 0, 0), 0.015)
    scene.box(frame, (0, 0.31, 0.082), (0.085, 0.08, 0.006), yellow, (0, 0, 0), 0.004)
    for n, hue in enumerate((0.0, 0.33, 0.6)):
        scene.ball(
            frame, (-0.05 + 0.05 * n, 0.34, 0.09), (0.016, 0.016, 0.012), enamel(scene, hue, 0.8, 0.85, 0.6)
        )
    scene.box(frame, (0, 0.275, 0.09), (0.06, 0.012, 0.004), dark)
    scene.cone(frame, (0, 0.455, 0), 0.035, 0.02, 0.035, dark)
    scene.box(frame, (0, 0.545, 0), (0.1, 0.075, 0.075), tin, (0, 0, 0), 0.015)
    for side in (-1, 1):
        scene.cone(frame, (side * 0.045, 0.565, 0.078), 0.026, 0.008, 0.026, yellow, (0, math.pi / 2, 0))
        scene.ball(frame, (side * 0.045, 0.565, 0.088), (0.013, 0.013, 0.008), dark)
        scene.cone(frame, (side * 0.108, 0.545, 0), 0.025, 0.012, 0.025, red, (math.pi / 2, math.pi / 2, 0))
        scene.limb(frame, (side * 0.14, 0.4, 0), (side * 0.19, 0.28, 0.03), 0.03, 0.026, red)
        scene.limb(frame, (side * 0.19, 0.28, 0.03), (side * 0.17, 0.2, 0.12), 0.026, 0.024, tin)
        scene.ball(frame, (side * 0.165, 0.185, 0.14), (0.035, 0.03, 0.035), dark)
        scene.cone(frame, (side * 0.06, 0.1, 0), 0.04, 0.07, 0.035, red)
        scene.box(frame, (side * 0.06, 0.025, 0.025), (0.048, 0.025, 0.075), tin, (0, 0, 0), 0.012)
    scene.box(frame, (0, 0.515, 0.077), (0.05, 0.01, 0.004), dark)
    scene.cone(frame, (0, 0.65, 0), 0.006, 0.04, 0.004, dark)
    scene.ball(frame, (0, 0.695, 0), (0.02, 0.02, 0.02), red)


def toy_car(scene: Scene, frame: Frame) -> None:
    """A wooden toy car."""
    red, glass, dark = (
        enamel(scene, 0.005, 0.85, 0.8, 0.6),
        enamel(scene, 0.56, 0.25, 0.55, 0.9),
        _dark(scene),
    )
    cream, steel = enamel(scene, 0.12, 0.18, 0.95, 0.3), enamel(scene, 0.6, 0.04, 0.7, 0.8)
    scene.box(frame, (0, 0.085, 0), (0.085, 0.04, 0.2), red, (0, 0, 0), 0.02)
    scene.ball(frame, (0, 0.11, 0.12), (0.078, 0.035, 0.09), red)
    scene.ball(frame, (0, 0.11, -0.14), (0.078, 0.035, 0.07), red)
    scene.box(frame, (0, 0.15, -0.015), (0.072, 0.04, 0.085), glass, (0, 0, 0), 0.012)
    scene.box(frame, (0, 0.198, -0.02), (0.075, 0.012, 0.08), cream, (0, 0, 0), 0.01)
    for z in (-0.1, -0.015, 0.07):
        for side in (-1, 1):
            scene.box(frame, (side * 0.071, 0.155, z), (0.006, 0.04, 0.007), cream)
    for side in (-1, 1):
        for z in (-0.125, 0.125):
            scene.cone(
                frame, (side * 0.085, 0.055, z), 0.055, 0.018, 0.055, dark, (math.pi / 2, math.pi / 2, 0)
            )
            scene.cone(
                frame, (side * 0.095, 0.055, z), 0.032, 0.012, 0.03, cream, (math.pi / 2, math.pi / 2, 0)
            )
            scene.ball(frame, (side * 0.106, 0.055, z), (0.008, 0.012, 0.012), steel)
        scene.ball(frame, (side * 0.055, 0.095, 0.2), (0.02, 0.02, 0.012), enamel(scene, 0.13, 0.3, 1.0, 0.8))
    for z in (-0.205, 0.205):
        scene.box(frame, (0, 0.055, z), (0.09, 0.012, 0.012), steel, (0, 0, 0), 0.006)


def penguin(scene: Scene, frame: Frame) -> None:
    """A penguin."""
    dark, white = _dark(scene), enamel(scene, 0.12, 0.03, 0.97, 0.1)
    orange = enamel(scene, 0.09, 0.85, 0.95, 0.3)
    scene.ball(frame, (0, 0.3, 0), (0.17, 0.27, 0.15), dark)
    scene.ball(frame, (0, 0.28, 0.045), (0.135, 0.235, 0.125), white)
    scene.ball(frame, (0, 0.6, 0.01), (0.115, 0.115, 0.11), dark)
    for side in (-1, 1):
        scene.ball(frame, (side * 0.048, 0.6, 0.07), (0.048, 0.055, 0.05), white)
        scene.ball(frame, (side * 0.045, 0.61, 0.117), (0.014, 0.018, 0.01), dark)
        scene.ball(frame, (side * 0.17, 0.33, 0.0), (0.03, 0.17, 0.07), dark, (0, 0, side * 0.25))
        scene.ball(frame, (side * 0.075, 0.025, 0.06), (0.06, 0.025, 0.1), orange)
        scene.ball(frame, (side * 0.085, 0.5, 0.075), (0.035, 0.03, 0.03), orange)
    scene.limb(frame, (0, 0.57, 0.09), (0, 0.555, 0.19), 0.035, 0.008, orange)


def teapot(scene: Scene, frame: Frame) -> None:
    """A blue teapot."""
    glaze, pale = enamel(scene, 0.58, 0.65, 0.6, 0.8), enamel(scene, 0.1, 0.1, 0.97, 0.6)
    scene.ball(frame, (0, 0.12, 0), (0.14, 0.11, 0.14), glaze)
    scene.cone(frame, (0, 0.02, 0), 0.075, 0.02, 0.085, glaze)
    scene.cone(frame, (0, 0.12, 0), 0.1405, 0.012, 0.1405, pale)
    scene.ball(frame, (0, 0.215, 0), (0.075, 0.022, 0.075), pale)
    scene.ball(frame, (0, 0.25, 0), (0.022, 0.022, 0.022), glaze)
    scene.limb(frame, (0.11, 0.09, 0), (0.19, 0.15, 0), 0.038, 0.026, glaze)
    scene.limb(frame, (0.19, 0.15, 0), (0.235, 0.22, 0), 0.026, 0.018, glaze)
    points = [
        (-0.115 - 0.11 * math.sin(math.pi * n / 6), 0.12 + 0.07 * math.cos(math.pi * n / 6), 0.0)
        for n in range(7)
    ]
    for start, end in pairwise(points):
        scene.limb(frame, start, end, 0.014, 0.014, glaze)


def _wheel(scene: Scene, frame: Frame, z: float, radius: float, tyre: Material, steel: Material) -> None:
    count = 28
    points = [
        (
            0.0,
            radius + radius * math.sin(2 * math.pi * n / count),
            z + radius * math.cos(2 * math.pi * n / count),
        )
        for n in range(count + 1)
    ]
    for start, end in pairwise(points):
        scene.limb(frame, start, end, 0.02, 0.02, tyre)
    for n in range(0, count, 2):
        scene.limb(frame, (0, radius, z), points[n], 0.0035, 0.0035, steel)
    scene.cone(frame, (0, radius, z), 0.03, 0.04, 0.03, steel, (math.pi / 2, math.pi / 2, 0))


def bicycle(scene: Scene, frame: Frame) -> None:
    """A bicycle, with much to see through."""
    blue, steel, dark = enamel(scene, 0.47, 0.75, 0.6, 0.7), enamel(scene, 0.6, 0.03, 0.75, 0.9), _dark(scene)
    leather = enamel(scene, 0.06, 0.65, 0.45, 0.3)
    radius, rear, front = 0.34, -0.52, 0.52
    _wheel(scene, frame, rear, radius, dark, steel)
    _wheel(scene, frame, front, radius, dark, steel)
    crank, seat, head = (0.0, 0.3, -0.06), (0.0, 0.78, -0.22), (0.0, 0.8, 0.36)
    low = (0.0, 0.66, 0.4)
    for start, end in (
        (crank, seat),
        (seat, head),
        (crank, low),
        ((0.0, radius, rear), crank),
        (seat, (0.0, radius, rear)),
    ):
        scene.limb(frame, start, end, 0.02, 0.02, blue)
    scene.limb(frame, head, (0.0, radius, front), 0.022, 0.018, blue)
    scene.limb(frame, head, (0.0, 0.93, 0.32), 0.018, 0.018, steel)
    for side in (-1, 1):
        scene.limb(frame, (0.0, 0.93, 0.32), (side * 0.22, 0.97, 0.3), 0.014, 0.014, steel)
        scene.limb(frame, (side * 0.22, 0.97, 0.3), (side * 0.26, 0.96, 0.16), 0.018, 0.018, leather)
        scene.limb(frame, crank, (side * 0.06, 0.3 + side * 0.15, -0.06), 0.012, 0.012, steel)
        scene.box(frame, (side * 0.11, 0.3 + side * 0.15, -0.06), (0.05, 0.012, 0.035), dark)
    scene.limb(frame, seat, (0.0, 0.9, -0.26), 0.014, 0.014, steel)
    scene.ball(frame, (0, 0.93, -0.28), (0.075, 0.03, 0.1), leather)
    scene.ball(frame, (0, 0.935, -0.18), (0.03, 0.025, 0.1), leather)
    scene.cone(frame, crank, 0.085, 0.006, 0.085, steel, (math.pi / 2, math.pi / 2, 0))


def sailing_boat(scene: Scene, frame: Frame) -> None:
    """A toy boat with three sails made of slats."""
    hull, deck = enamel(scene, 0.99, 0.75, 0.65, 0.4), enamel(scene, 0.09, 0.5, 0.8, 0.3, "wood")
    sail, mast = enamel(scene, 0.12, 0.06, 0.97, 0.0, "folds"), enamel(scene, 0.07, 0.55, 0.5, 0.3, "wood")
    scene.ball(frame, (0, 0.09, 0), (0.09, 0.075, 0.27), hull)
    scene.ball(frame, (0, 0.125, 0), (0.082, 0.05, 0.255), deck)
    scene.box(frame, (0, 0.18, -0.06), (0.04, 0.03, 0.06), sail, (0, 0, 0), 0.01)
    scene.cone(frame, (0, 0.5, 0.03), 0.011, 0.36, 0.006, mast)
    rows = 24
    for n in range(rows):
        y = 0.24 + 0.58 * n / rows
        long = 0.24 * (1 - n / rows)
        belly = 0.03 * math.sin(math.pi * (n + 0.5) / rows)
        scene.box(frame, (belly, y, 0.015 - long / 2), (0.005, 0.0135, long / 2 + 0.004), sail)
        scene.box(
            frame,
            (belly, y - 0.03, 0.045 + 0.4 * long),
            (0.005, 0.0135, 0.4 * long + 0.004),
            hull if n % 8 == 0 else sail,
        )
    scene.cone(frame, (0, 0.235, -0.1), 0.007, 0.13, 0.007, mast, (0, math.pi / 2, 0))
    scene.box(frame, (0, 0.85, 0.0), (0.003, 0.018, 0.035), hull)


def umbrella(scene: Scene, frame: Frame) -> None:
    """An open umbrella with its stick."""
    cloths = [enamel(scene, hue, 0.7, 0.85, 0.1) for hue in (0.0, 0.12)]
    wood = enamel(scene, 0.07, 0.6, 0.45, 0.4, "wood")
    count = 8
    for n in range(count):
        for half in range(3):
            angle = 2 * math.pi * (n + (half - 1) * 0.3) / count
            spot = (0.27 * math.sin(angle), 0.76, 0.27 * math.cos(angle))
            scene.ball(frame, spot, (0.12, 0.012, 0.29), cloths[n % 2], (angle, 0.42, 0))
        tip = 2 * math.pi * (n + 0.5) / count
        scene.limb(
            frame, (0, 0.89, 0), (0.52 * math.sin(tip), 0.63, 0.52 * math.cos(tip)), 0.006, 0.005, wood
        )
    scene.cone(frame, (0, 0.5, 0), 0.011, 0.44, 0.011, wood)
    scene.cone(frame, (0, 0.97, 0), 0.012, 0.03, 0.004, wood)
    for n in range(6):
        a, b = math.pi * n / 6, math.pi * (n + 1) / 6
        start = (0.05 - 0.05 * math.cos(a), 0.06 - 0.05 * math.sin(a), 0.0)
        end = (0.05 - 0.05 * math.cos(b), 0.06 - 0.05 * math.sin(b), 0.0)
        scene.limb(frame, start, end, 0.014, 0.014, wood)


def guitar(scene: Scene, frame: Frame) -> None:
    """A guitar that leans back a little."""
    top, side = enamel(scene, 0.085, 0.65, 0.85, 0.6, "wood"), enamel(scene, 0.04, 0.75, 0.4, 0.6, "wood")
    dark, pale = _dark(scene), enamel(scene, 0.12, 0.1, 0.95, 0.3)
    flat = (0.0, math.pi / 2, 0.0)
    for y, radius in ((0.2, 0.2), (0.5, 0.145)):
        scene.cone(frame, (0, y, 0), radius, 0.045, radius, side, flat)
        scene.cone(frame, (0, y, 0.048), radius - 0.006, 0.004, radius - 0.006, top, flat)
    scene.box(frame, (0, 0.36, 0), (0.115, 0.1, 0.044), side)
    scene.box(frame, (0, 0.36, 0.048), (0.112, 0.11, 0.0035), top)
    scene.cone(frame, (0, 0.38, 0.052), 0.058, 0.002, 0.058, pale, flat)
    scene.cone(frame, (0, 0.38, 0.054), 0.05, 0.002, 0.05, dark, flat)
    scene.box(frame, (0, 0.17, 0.056), (0.07, 0.012, 0.008), dark)
    scene.box(frame, (0, 0.79, 0.045), (0.027, 0.3, 0.014), side)
    scene.box(frame, (0, 0.74, 0.06), (0.025, 0.29, 0.004), dark)
    for n in range(9):
        scene.box(frame, (0, 0.98 - 0.055 * n, 0.064), (0.025, 0.002, 0.002), pale)
    scene.box(frame, (0, 1.13, 0.035), (0.04, 0.075, 0.012), side, (0, -0.2, 0))
    for row in range(3):
        for a in (-1, 1):
            scene.cone(
                frame,
                (a * 0.055, 1.08 + 0.045 * row, 0.035),
                0.012,
                0.016,
                0.012,
                pale,
                (math.pi / 2, math.pi / 2, 0),
            )
    for n in range(6):
        x = -0.018 + 0.0072 * n
        scene.box(frame, (x, 0.62, 0.069), (0.0011, 0.45, 0.001), pale)


def _seated_person(scene: Scene, frame: Frame) -> None:
    furniture.chair(scene, frame)
    person(scene, frame, seated=True, face=True)


def _person(scene: Scene, frame: Frame) -> None:
    person(scene, frame, face=True)


EXHIBITS: dict[str, Exhibit] = {
    "woman": Exhibit(_person, 4, 0.3, 0.06),
    "man": Exhibit(_person, 10, -0.4, 0.06),
    "man_seated": Exhibit(_seated_person, 9, 0.6, 0.12),
    "woman_seated": Exhibit(_seated_person, 5, 0.6, 0.12),
    "dog": Exhibit(lambda scene, frame: animal(scene, frame, "dog", 0.55), 10, 1.0, 0.15),
    "cat": Exhibit(lambda scene, frame: animal(scene, frame, "cat", 0.3), 4, -0.9, 0.2),
    "duck": Exhibit(bird, 9, 0.9, 0.15),
    "penguin": Exhibit(penguin, 1, 0.5, 0.1),
    "teddy": Exhibit(teddy, 1, 0.35, 0.12),
    "robot": Exhibit(robot, 1, -0.4, 0.15),
    "toy_car": Exhibit(toy_car, 1, 0.8, 0.35),
    "sailing_boat": Exhibit(sailing_boat, 1, 1.1, 0.12),
    "bicycle": Exhibit(bicycle, 1, 1.15, 0.1),
    "guitar": Exhibit(guitar, 1, 0.4, 0.05),
    "umbrella": Exhibit(umbrella, 1, 0.3, 0.12),
    "teapot": Exhibit(teapot, 1, 0.25, 0.25),
    "plant": Exhibit(furniture.plant, 2, 0.0, 0.15),
    "armchair": Exhibit(furniture.sofa, 7, 0.6, 0.25),
}
