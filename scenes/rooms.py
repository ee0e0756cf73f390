"""Random rooms: a picture and its exact depth as a pure function of a seed and a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .camera import View, choose_view
from .dice import Dice
from .edges import smooth_edges
from .places import PLACES
from .scene import Scene
from .shader import shade
from .shadows import soft_shadows
from .textures import texture_bank
from .tracer import Float32, see

_SHADOW_STEP = 2
_TONES = 4096
MIN_DEPTH_M, MAX_DEPTH_M = 0.1, 60.0


def draw_room(seed: int, index: int, height: int, width: int) -> tuple[NDArray[np.uint8], Float32]:
    """Draws room number ``index`` of the sequence ``seed``.

    Args:
        seed: Names a sequence of rooms, >= 0.
        index: The room's number, >= 0.
        height: Height in pixels.
        width: Width in pixels; the horizontal field of view does not depend on it.

    Returns:
        RGB uint8 (height, width, 3) and z-depth in metres, float32 (height, width), 0.1 to 60.

    Raises:
        MdeasError: If numba is not installed (when the module is imported).
    """
    dice = Dice((seed, index))
    scene = dice.weighted(PLACES)(dice)
    primitives, materials, room = scene.arrays()
    view = choose_view(scene, primitives, room)
    linear, depth = render(scene, (primitives, materials, room), view, height, width)
    return develop(dice, linear), np.clip(depth, MIN_DEPTH_M, MAX_DEPTH_M)


def light_rows(scene: Scene, view: View) -> Float32:
    """The lamps nearest to what is seen, for the shader; in dark places now and then one at the camera."""
    dice = scene.dice
    x, _, z = (float(v) for v in view.position + view.axes[:, 2] * 1.5)
    near = sorted(scene.lights, key=lambda lamp: (lamp.x - x) ** 2 + (lamp.z - z) ** 2)[:3]
    rows = [(lamp.x, lamp.y, lamp.z, *lamp.colour, lamp.extent, lamp.shadow, lamp.falloff) for lamp in near]
    if not rows or dice.chance(0.08):
        px, py, pz = (float(v) for v in view.position)
        power = dice.uniform(0.3, 1.5)
        rows.append((px + 0.05, py + 0.1, pz, power, power, power, 0.05, 0.0, 0.4))
    return np.array(rows, np.float32)


def render(
    scene: Scene,
    arrays: tuple[Float32, Float32, Float32],
    view: View,
    height: int,
    width: int,
    *,
    smooth: bool = True,
) -> tuple[Float32, Float32]:
    """Linear light (H, W, 3) and z-depth (H, W) of a scene seen through a view."""
    dice = scene.dice
    primitives, materials, room = arrays
    focal = view.focal * width
    depth = np.empty((height, width), np.float32)
    surface = np.empty((height, width), np.int16)
    see(primitives, room, view.position, view.axes, focal, depth, surface)
    lights = light_rows(scene, view)
    base = dice.log_uniform(0.05, 0.4)
    warm = dice.normal(0, 0.06)
    above = (base * (1 + warm), base, base * (1 - warm))
    floor = scene.faces[2] if scene.faces else (0.0,) * 17
    bounce = [0.6 * a * (0.4 + 1.2 * c) for a, c in zip(above, floor[9:12], strict=True)]
    sky = np.array([*above, *bounce], np.float32)
    casters = np.flatnonzero(primitives[:, 18] > 0).astype(np.int16)
    through, openness = soft_shadows(
        primitives, casters, room, view.position, view.axes, focal, depth, surface, lights, _SHADOW_STEP
    )
    bank = texture_bank()
    image = np.zeros((height, width, 3), np.float32)
    shade(
        primitives,
        materials,
        bank.texels,
        bank.starts,
        room,
        view.position,
        view.axes,
        focal,
        depth,
        surface,
        lights,
        sky,
        through,
        openness,
        _SHADOW_STEP,
        image,
    )
    if not smooth:
        return image, depth
    blended = np.empty_like(image)
    smooth_edges(primitives, room, view.position, view.axes, focal, surface, image, blended)
    return blended, depth


def develop(dice: Dice, linear: Float32, middle: float | None = None) -> NDArray[np.uint8]:
    """Exposure, white balance, vignette and tone curve: linear light to 8 bits.

    ``middle`` is the light to be exposed for; the picture's median if None.
    """
    height, width, _ = linear.shape
    if middle is None:
        thin = linear[::2, ::2, 1]
        middle, bright = (float(v) for v in np.percentile(thin, (50, 96)))
    else:
        bright = 2.0 * middle
    if dice.chance(0.5):  # exposed for the middle tones, or for the highlights
        gain = dice.log_uniform(0.12, 0.4) / max(middle, 1e-4)
    else:
        gain = dice.log_uniform(0.5, 1.5) / max(bright, 1e-4)
    if dice.chance(0.1):
        gain *= dice.uniform(0.1, 0.4)
    warm, green = dice.normal(0.03, 0.12), dice.normal(0, 0.04)
    tint = np.array([1 + warm, 1.0 + green, max(0.4, 1 - warm + dice.normal(0, 0.04))], np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    vignette = 1 - dice.uniform(0.0, 0.25) * 0.5 * (x * x + y * y)
    light = linear * (gain * tint) * vignette
    shoulder = dice.uniform(0.0, 0.6)
    tones = np.linspace(0, 4, _TONES)
    curve = tones * (1 + tones * shoulder / 4) / (1 + tones * shoulder)
    curve = np.clip(curve, 0, 1) ** (1 / dice.uniform(1.9, 2.4))
    steep = dice.uniform(0.2, 1.0)  # an s-shaped curve, as cameras have
    curve += steep * (curve * curve * (3 - 2 * curve) - curve)
    table = np.rint(255 * np.clip(curve, 0, 1)).astype(np.uint8)
    steps = np.minimum(light * ((_TONES - 1) / 4), _TONES - 1).astype(np.int32)
    return np.asarray(table[np.maximum(steps, 0)])
