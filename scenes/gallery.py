"""Finer pictures of the same scenes, for people to look at.

Each is the mean of many passes, every one through another part of the pixels and lit from another part of the
lamps: smooth edges, soft shadows, clean corners.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .camera import View, aim
from .cutouts import crop_to_object, object_bounds
from .dice import Dice
from .exhibits import EXHIBITS
from .painter import Arrays, Illumination, illuminate, paint, tone
from .places import PLACES
from .scene import Frame, Scene
from .tracer import FAR, Float32, blocked, see

_GOLDEN = 0.618034
_BRIGHTEST = 3.0  # light beyond is cut before the mean, so that edges of lamps stay smooth
_PROBE_HEIGHT, _PROBE_WIDTH = 36, 48
_NOWHERE = (-1e3, 1e3, -1e3, 1e3, -1e3, 1e3)
_NO_ROOM = np.empty(0, np.float32)
_DISTANCE = 3.4  # in radii of the object


def draw_fine_room(
    place: str, seed: int, height: int, width: int, passes: int = 36
) -> tuple[NDArray[np.uint8], Float32]:
    """Draws a place as an interior photographer would: from a corner, with much in view.

    Args:
        place: The name of one of the composers in ``PLACES``.
        seed: Names the room.
        height: Height in pixels.
        width: Width in pixels.
        passes: How many pictures are averaged.

    Returns:
        RGB uint8 (height, width, 3) and z-depth in metres at the pixels' middles, float32 (height, width).

    Raises:
        ValueError: If there is no such place.
    """
    composers = {composer.__name__: composer for composer, _ in PLACES}
    if place not in composers:
        raise ValueError(f"place must be one of {', '.join(composers)}, got {place}")
    dice = Dice((seed, 2))
    scene = composers[place](dice)
    arrays = scene.arrays()
    view = _overview(scene, arrays)
    light = illuminate(scene, view)
    linear, _ = _average(arrays, light, view, height, width, passes)
    _, depth = paint(arrays, light, view, height, width)
    middle, bright = (float(v) for v in np.percentile(linear[:, :, 1], (50, 95)))
    gain = 0.5 * (0.3 / max(middle, 1e-4) + 0.85 / max(bright, 1e-4))
    return tone(linear, np.full(3, gain, np.float32), 0.12, 0.35, 2.2, 0.45), depth


def draw_exhibit(
    kind: str, longest_side: int, passes: int = 36, seed: int | None = None
) -> NDArray[np.uint8]:
    """Draws one of the chosen cut-outs.

    Args:
        kind: One of the names in ``EXHIBITS``.
        longest_side: Of the picture, in pixels.
        passes: How many pictures are averaged: alpha has that many steps.
        seed: Names its colours and pose; None: the chosen one.

    Returns:
        RGBA uint8 (H, W, 4), straight alpha, cropped to the object.

    Raises:
        ValueError: If there is no such exhibit.
    """
    if kind not in EXHIBITS:
        raise ValueError(f"kind must be one of {', '.join(EXHIBITS)}, got {kind}")
    maker, own_seed, turn, rise = EXHIBITS[kind]
    scene = Scene(Dice((own_seed if seed is None else seed, 3)), _NOWHERE)
    maker(scene, Frame(0.0, 0.0, 0.0, math.pi + turn))
    primitives, materials, _ = scene.arrays()
    arrays = primitives, np.concatenate([np.zeros((6, materials.shape[1]), np.float32), materials]), _NO_ROOM
    middle, radius = object_bounds(scene)
    side, view = _fit(arrays, middle, radius, rise, longest_side)
    light = _studio(middle, radius)
    total, cover = _average(arrays, light, view, side, side, passes)
    colour = np.asarray(total / np.maximum(cover, 1e-6)[:, :, None], np.float32)
    colour, cover = crop_to_object(colour, cover)
    bright = float(np.percentile(colour[cover > 0.5], 92))
    rgb = tone(colour, np.full(3, 0.8 / max(bright, 1e-4), np.float32), 0.0, 0.35, 2.2, 0.4)
    alpha = np.rint(cover * 255).astype(np.uint8)
    return np.dstack([np.where(alpha[:, :, None] > 0, rgb, 0).astype(np.uint8), alpha])


def _average(
    arrays: Arrays, light: Illumination, view: View, height: int, width: int, passes: int
) -> tuple[Float32, Float32]:
    """Mean light (H, W, 3; 0 where nothing is seen) and cover (H, W: the share of passes that see any)."""
    total = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.float32)
    side = max(1, math.isqrt(passes))
    for number in range(passes):
        # A camera turned by a part of a pixel looks through another point of every one.
        x = ((number % side) + 0.5) / side - 0.5
        y = ((number // side) % side + 0.5) / side - 0.5
        turned = _turned(view, x / (view.focal * width), y / (view.focal * width))
        lamps = light.lamps.copy()
        turn, out = 2 * math.pi * _GOLDEN * number, math.sqrt((number + 0.5) / passes)
        lamps[:, 0] += lamps[:, 6] * out * math.cos(turn)
        lamps[:, 2] += lamps[:, 6] * out * math.sin(turn)
        lamps[:, 6] = 0.0
        linear, depth = paint(
            arrays,
            Illumination(lamps, light.sky),
            turned,
            height,
            width,
            smooth=False,
            reach=0.1 + 0.5 * ((number * _GOLDEN) % 1.0),
            spin=0.4 * number,
        )
        seen = depth < FAR / 2
        total += np.minimum(linear, _BRIGHTEST) * seen[:, :, None]
        cover += seen
    return np.asarray(total / passes, np.float32), np.asarray(cover / passes, np.float32)


def _overview(scene: Scene, arrays: Arrays) -> View:
    """Of many views from the edges of the room the one that sees most, none of it too near."""
    dice = scene.dice
    primitives, _, room = arrays
    x0, x1, _, top, z0, z1 = scene.limits
    depth = np.empty((_PROBE_HEIGHT, _PROBE_WIDTH), np.float32)
    surface = np.empty((_PROBE_HEIGHT, _PROBE_WIDTH), np.int16)
    best, chosen = -1.0, aim((0.0, 1.4, 0.0), 0.0, -0.2, 0.0, 0.7)
    for _ in range(150):
        x, z = dice.uniform(x0 + 0.25, x1 - 0.25), dice.uniform(z0 + 0.25, z1 - 0.25)
        y = min(top - 0.4, dice.uniform(1.25, 1.75))
        far = dice.uniform(0.0, 0.35)
        yaw = math.atan2(far * x - x, far * z - z) + dice.normal(0, 0.3)
        focal = 0.5 / math.tan(math.radians(dice.uniform(62, 76)) / 2)
        view = aim((x, y, z), yaw, dice.uniform(-0.38, -0.14), 0.0, focal)
        if blocked(primitives, x, y, z, 0.15):
            continue
        see(primitives, room, view.position, view.axes, view.focal * _PROBE_WIDTH, depth, surface)
        if float(np.quantile(depth, 0.04)) < 0.9:
            continue
        shown = len(np.unique(surface)) + 4.0 * float(np.log(depth).std())
        if shown > best:
            best, chosen = shown, view
    return chosen


def _turned(view: View, right: float, up: float) -> View:
    """The view turned by small angles (radians)."""
    forward = view.axes[:, 2] + view.axes[:, 0] * right + view.axes[:, 1] * up
    forward /= np.linalg.norm(forward)
    across = view.axes[:, 0] - forward * float(view.axes[:, 0] @ forward)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(forward, across), forward], 1)
    return View(view.position, np.ascontiguousarray(axes, np.float32), view.focal)


def _studio(middle: NDArray[np.float64], radius: float) -> Illumination:
    """A large main lamp from the upper left, a weak one from the right, one behind, and a bright room."""
    places = ((-2.5, 3.0, -3.0, 1.0), (3.5, 1.0, -2.5, 0.3), (1.5, 3.0, 3.0, 0.5))
    rows = [
        (
            *(float(m) + radius * c for m, c in zip(middle, place, strict=False)),
            p,
            p,
            p,
            1.2 * radius,
            1.0,
            0.0,
        )
        for *place, p in places
    ]
    return Illumination(np.array(rows, np.float32), np.array((0.3, 0.31, 0.33, 0.2, 0.19, 0.18), np.float32))


def _fit(
    arrays: Arrays, middle: NDArray[np.float64], radius: float, rise: float, longest_side: int
) -> tuple[int, View]:
    """The side of a square picture, and a view of the object in which it is ``longest_side`` long."""
    far = _DISTANCE * radius
    position = (
        float(middle[0]),
        float(middle[1]) + far * math.sin(rise),
        float(middle[2]) - far * math.cos(rise),
    )
    view = aim(position, 0.0, -rise, 0.0, 1.0)
    probe = 200
    depth = np.empty((probe, probe), np.float32)
    surface = np.empty((probe, probe), np.int16)
    extent = probe
    for _ in range(2):  # to the middle of what is seen
        see(arrays[0], arrays[2], view.position, view.axes, view.focal * probe, depth, surface)
        rows, columns = np.nonzero(surface >= 0)
        extent = int(max(np.ptp(rows), np.ptp(columns))) + 1
        across = (int(columns.max()) + int(columns.min()) + 1 - probe) / (2 * view.focal * probe)
        down = (int(rows.max()) + int(rows.min()) + 1 - probe) / (2 * view.focal * probe)
        view = _turned(view, across, -down)
    side = longest_side + 8
    return side, View(view.position, view.axes, probe * longest_side / (extent * side))
