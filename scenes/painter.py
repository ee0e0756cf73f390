"""Light on a scene and a camera's answer to it: what rooms and cut-outs are painted with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .camera import View
from .dice import Dice
from .edges import smooth_edges
from .scene import Scene
from .shader import shade
from .shadows import soft_shadows
from .textures import texture_bank
from .tracer import Float32, see

_SHADOW_STEP = 2
_TONES = 4096
_REACH_M = 0.22

Arrays = tuple[Float32, Float32, Float32]


class Illumination(NamedTuple):
    """The light of a scene: rows of lamps, and the colours that come from above and from below."""

    lamps: Float32  # (L, 9): position, colour, extent, shadow strength, falloff
    sky: Float32  # (6,)


def illuminate(scene: Scene, view: View) -> Illumination:
    """Chooses the lamps near to what is seen, and draws the light that comes from everywhere."""
    dice = scene.dice
    lamps = _lamps(scene, view)
    base = dice.log_uniform(0.05, 0.4)
    warm = dice.normal(0, 0.06)
    above = (base * (1 + warm), base, base * (1 - warm))
    floor = scene.faces[2] if scene.faces else (0.0,) * 17
    bounce = [0.6 * a * (0.4 + 1.2 * c) for a, c in zip(above, floor[9:12], strict=True)]
    return Illumination(lamps, np.array([*above, *bounce], np.float32))


def _lamps(scene: Scene, view: View) -> Float32:
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


def paint(
    arrays: Arrays,
    light: Illumination,
    view: View,
    height: int,
    width: int,
    *,
    smooth: bool = True,
    reach: float = _REACH_M,
    spin: float = 0.0,
) -> tuple[Float32, Float32]:
    """Linear light (H, W, 3) and z-depth (H, W) of a lit scene seen through a view.

    Args:
        arrays: Primitives, materials and room, of ``Scene.arrays``.
        light: Lamps and ambient light.
        view: The camera.
        height: In pixels.
        width: In pixels.
        smooth: Whether edges are anti-aliased.
        reach: How far ambient occlusion looks, in metres.
        spin: Turns the directions in which it looks, in radians.
    """
    primitives, materials, room = arrays
    focal = view.focal * width
    camera = (view.position, view.axes, focal)
    depth = np.empty((height, width), np.float32)
    surface = np.empty((height, width), np.int16)
    see(primitives, room, *camera, depth, surface)
    casters = np.flatnonzero(primitives[:, 18] > 0).astype(np.int16)
    through, openness = soft_shadows(
        primitives, casters, *camera, depth, surface, light.lamps, _SHADOW_STEP, reach, spin
    )
    bank = texture_bank()
    image = np.zeros((height, width, 3), np.float32)
    shade(
        primitives,
        materials,
        bank.texels,
        bank.starts,
        room,
        *camera,
        depth,
        surface,
        light.lamps,
        light.sky,
        through,
        openness,
        _SHADOW_STEP,
        image,
    )
    if not smooth:
        return image, depth
    blended = np.empty_like(image)
    smooth_edges(primitives, room, *camera, surface, image, blended)
    return blended, depth


def develop(dice: Dice, linear: Float32, middle: float | None = None) -> NDArray[np.uint8]:
    """Exposure, white balance, vignette and tone curve: linear light to 8 bits.

    ``middle`` is the light to be exposed for; the picture's median if None.
    """
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
    corner = dice.uniform(0.0, 0.25)
    shoulder = dice.uniform(0.0, 0.6)
    gamma = dice.uniform(1.9, 2.4)
    return tone(linear, gain * tint, corner, shoulder, gamma, dice.uniform(0.2, 1.0))


def tone(
    linear: Float32, gain: Float32, corner: float, shoulder: float, gamma: float, steep: float
) -> NDArray[np.uint8]:
    """8 bits from linear light.

    Args:
        linear: Float32 (H, W, 3).
        gain: Exposure by channel (3,).
        corner: Vignette: the share of light lost in the corners.
        shoulder: How softly highlights end.
        gamma: Of the encoding.
        steep: 0 to 1, the share of an s-shaped curve, as cameras have.
    """
    height, width, _ = linear.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    light = linear * gain * (1 - corner * 0.5 * (x * x + y * y))
    tones = np.linspace(0, 4, _TONES)
    curve = tones * (1 + tones * shoulder / 4) / (1 + tones * shoulder)
    curve = np.clip(curve, 0, 1) ** (1 / gamma)
    curve += steep * (curve * curve * (3 - 2 * curve) - curve)
    table = np.rint(255 * np.clip(curve, 0, 1)).astype(np.uint8)
    steps = np.minimum(light * ((_TONES - 1) / 4), _TONES - 1).astype(np.int32)
    return np.asarray(table[np.maximum(steps, 0)])
