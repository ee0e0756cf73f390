"""Random rooms: a picture and its exact depth as a pure function of a seed and a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .camera import choose_view
from .dice import Dice
from .painter import develop, illuminate, paint
from .places import PLACES
from .tracer import Float32

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
    light = illuminate(scene, view)
    linear, depth = paint((primitives, materials, room), light, view, height, width)
    return develop(dice, linear), np.clip(depth, MIN_DEPTH_M, MAX_DEPTH_M)
