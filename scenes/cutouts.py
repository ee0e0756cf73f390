"""Random cut-outs with soft alpha edges: people, animals, furniture, plants, things, vehicles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from . import clutter, furniture
from .camera import View, aim
from .dice import Dice
from .figures import animal, bird, person
from .outdoors import car, tree
from .painter import Arrays, develop, illuminate, paint
from .scene import Frame, Scene
from .tracer import FAR, Float32, see

_MIN_SIDE_PX = 8
_SAMPLES = 3  # along each axis
_DISTANCE = 3.2  # in radii of the object: near enough for some perspective

Maker = Callable[[Scene, Frame], None]


def _seated(scene: Scene, frame: Frame) -> None:
    furniture.chair(scene, frame)
    person(scene, frame, seated=True)


def _beast(kind: str, low: float, high: float) -> Maker:
    return lambda scene, frame: animal(scene, frame, kind, scene.dice.uniform(low, high))


MAKERS: tuple[tuple[str, Maker, float], ...] = (
    ("person", person, 5.0),
    ("seated", _seated, 1.0),
    ("dog", _beast("dog", 0.35, 0.75), 1.5),
    ("cat", _beast("cat", 0.25, 0.35), 1.2),
    ("horse", _beast("horse", 1.4, 1.6), 0.8),
    ("cow", _beast("cow", 1.2, 1.4), 0.5),
    ("bird", bird, 0.8),
    ("chair", furniture.chair, 0.7),
    ("office_chair", furniture.office_chair, 0.5),
    ("sofa", furniture.sofa, 0.5),
    ("table", furniture.table, 0.5),
    ("cabinet", furniture.cabinet, 0.3),
    ("plant", furniture.plant, 0.9),
    ("pot_plant", clutter.pot_plant, 0.3),
    ("tree", tree, 0.4),
    ("floor_lamp", furniture.floor_lamp, 0.3),
    ("desk_lamp", clutter.desk_lamp, 0.3),
    ("bottle", clutter.bottle, 0.6),
    ("cup", clutter.cup, 0.4),
    ("bowl", clutter.bowl, 0.3),
    ("bag", clutter.bag, 0.4),
    ("monitor", clutter.monitor, 0.3),
    ("laptop", clutter.laptop, 0.3),
    ("books", clutter.book_stack, 0.3),
    ("car", car, 0.8),
)


def object_bounds(scene: Scene) -> tuple[NDArray[np.float64], float]:
    """Middle and radius of all the object's primitives."""
    rows = np.array(scene.primitives)
    centres, radii = rows[:, 1:4], rows[:, 17:18]
    low, high = (centres - radii).min(0), (centres + radii).max(0)
    middle = 0.5 * (low + high)
    reach = np.linalg.norm(centres - middle, axis=1) + radii[:, 0]
    return middle, float(reach.max())


def _light(scene: Scene, middle: NDArray[np.float64], radius: float) -> None:
    """A main lamp above the viewer and a weaker one at the other side."""
    dice = scene.dice
    scene.lights.clear()
    for power, side in ((dice.uniform(0.6, 1.4), dice.sign()), (dice.uniform(0.1, 0.5), dice.sign())):
        x = middle[0] + side * radius * dice.uniform(1, 4)
        scene.light(
            x,
            middle[1] + radius * dice.uniform(2, 5),
            middle[2] - radius * dice.uniform(0, 4),
            (power, power, power * 0.92),
            0.3 * radius,
            0.0,
        )


def draw_cutout(seed: int, index: int, longest_side: int, kind: str | None = None) -> NDArray[np.uint8]:
    """Draws cut-out number ``index`` of the sequence ``seed``, cropped to the object.

    Args:
        seed: Names a sequence of cut-outs, >= 0.
        index: The cut-out's number, >= 0.
        longest_side: Of the picture, in pixels, >= 8.
        kind: One of the names in ``MAKERS``; drawn if None.

    Returns:
        RGBA uint8 (H, W, 4), straight alpha; soft at the edges (the share of 3 x 3
        subpixels that see the object).

    Raises:
        ValueError: If the side is too small or the kind unknown.
    """
    if longest_side < _MIN_SIDE_PX:
        raise ValueError(f"longest_side must be at least {_MIN_SIDE_PX}, got {longest_side}")
    scene, arrays, view = compose_cutout(Dice((seed, index, 1)), kind)
    return _finish(scene, arrays, view, longest_side)


def compose_cutout(dice: Dice, kind: str | None) -> tuple[Scene, Arrays, View]:
    """An object in the light, and a view of it.

    Raises:
        ValueError: If the kind is unknown.
    """
    makers = {name: maker for name, maker, _ in MAKERS}
    if kind is not None and kind not in makers:
        raise ValueError(f"kind must be one of {', '.join(makers)}, got {kind}")
    drawn = dice.weighted([(name, weight) for name, _, weight in MAKERS])
    scene = Scene(dice, (-1e3, 1e3, -1e3, 1e3, -1e3, 1e3))
    makers[kind or drawn](scene, Frame(0.0, 0.0, 0.0, dice.uniform(-math.pi, math.pi)))
    middle, radius = object_bounds(scene)
    _light(scene, middle, radius)
    elevation = dice.uniform(-0.05, 0.5)
    position = (
        float(middle[0]),
        float(middle[1] + _DISTANCE * radius * math.sin(elevation)),
        float(middle[2] - _DISTANCE * radius * math.cos(elevation)),
    )
    view = aim(position, 0.0, -elevation, dice.normal(0, 0.03), 1.0)
    primitives, materials, _ = scene.arrays()
    scene.faces = [_grey_floor()] * 6
    materials = np.concatenate([np.zeros((6, materials.shape[1]), np.float32), materials])
    return scene, (primitives, materials, np.empty(0, np.float32)), view


def _grey_floor() -> tuple[float, ...]:
    """A grey floor's material, for the light that it would throw back."""
    return (0.0,) * 9 + (0.3,) * 6 + (0.0,) * 2


def _finish(scene: Scene, arrays: Arrays, view: View, longest_side: int) -> NDArray[np.uint8]:
    """Finds the object's frame with a small picture, then draws it at the size wanted and crops."""
    probe = 96
    depth = np.empty((probe, probe), np.float32)
    surface = np.empty((probe, probe), np.int16)
    see(arrays[0], arrays[2], view.position, view.axes, view.focal * probe, depth, surface)
    rows, columns = np.nonzero(surface >= 0)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1 if rows.size else probe
    side = min(2048, math.ceil(longest_side * probe / extent))
    fine = side * _SAMPLES
    linear, depth = paint(arrays, illuminate(scene, view), view, fine, fine, smooth=False)
    cover = (depth < FAR / 2).astype(np.float32)[:, :, None]
    linear *= cover
    places = [slice(first, None, _SAMPLES) for first in range(_SAMPLES)]
    blocks = [(y, x) for y in places for x in places]
    shares = sum((cover[block] for block in blocks[1:]), cover[blocks[0]]) / _SAMPLES**2
    total = sum((linear[block] for block in blocks[1:]), linear[blocks[0]])
    colour = total / (_SAMPLES**2 * np.maximum(shares, 1e-6))
    share = np.asarray(shares[:, :, 0], np.float32)
    colour, share = crop_to_object(np.asarray(colour, np.float32), share)
    level = np.median(colour[share > 0.5], axis=0) if (share > 0.5).any() else colour.mean((0, 1))
    rgb = develop(scene.dice, colour, float(np.mean(level)))
    alpha = np.rint(share * 255).astype(np.uint8)
    return np.dstack([np.where(alpha[:, :, None] > 0, rgb, 0).astype(np.uint8), alpha])


def crop_to_object(colour: Float32, cover: Float32) -> tuple[Float32, Float32]:
    """Colour (H, W, 3) and cover (H, W) without the empty margin."""
    rows, columns = np.nonzero(cover > 0)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return colour[box], cover[box]
