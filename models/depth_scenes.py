"""What the bundled depth network learns from: rendered rooms, cut-outs pasted as ``make-dataset`` does.

No torch here: other processes draw the scenes.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ..pipeline.images import paste, resize_rgba
from ..pipeline.options import MakeDatasetConfig
from ..scenes.cutouts import draw_cutout
from ..scenes.rooms import draw_room

PASTED_SHARE = 0.4  # of the scenes carry pasted cut-outs
MOST_PASTED = 3
OPAQUE = 127  # alpha above it is the object
CUTOUT_SIDE = 96
CUTOUTS = 2048  # different ones; drawing one takes longer than drawing a room, so each process keeps them
# A pasted object is this much nearer than the nearest of what it covers and of what it stands on.
NEARER = (0.5, 0.95)
_PASTE_STREAM = 977  # a random stream of its own beside the renderer's


def draw_training_scene(
    seed: int, index: int, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Scene ``index`` of the stream ``seed``: RGB (height, width, 3), z-depth in metres (height, width)."""
    rgb, depth = draw_room(seed, index, height, width)
    rng = np.random.default_rng([_PASTE_STREAM, seed, index])
    if rng.random() >= PASTED_SHARE:
        return rgb, depth
    for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
        cutout = _cutout(seed, int(rng.integers(CUTOUTS)))
        rgb, depth = paste_nearer(rgb, depth, cutout, rng)
    return rgb, depth


@functools.lru_cache(maxsize=CUTOUTS)
def _cutout(seed: int, index: int) -> NDArray[np.uint8]:
    return draw_cutout(seed, index, CUTOUT_SIDE)


def paste_nearer(
    rgb: NDArray[np.uint8], depth: NDArray[np.float32], cutout: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """``cutout`` (RGBA) at a random place by ``make-dataset``'s law, in front of everything that it covers.

    Its longer side is a fraction of the frame's shorter side from ``make-dataset``'s scale range, every place
    inside the frame is as likely, half are mirrored. Its depth is that of a slightly slanted card.
    """
    height, width = depth.shape
    if rng.random() < 0.5:
        cutout = np.ascontiguousarray(cutout[:, ::-1])
    longer = rng.uniform(*MakeDatasetConfig.scale) * min(height, width)
    factor = longer / max(cutout.shape[:2])
    object_height = min(height, max(1, round(cutout.shape[0] * factor)))
    object_width = min(width, max(1, round(cutout.shape[1] * factor)))
    cutout = resize_rgba(cutout, object_width, object_height)
    x = int(rng.integers(0, width - object_width + 1))
    y = int(rng.integers(0, height - object_height + 1))
    inside = cutout[:, :, 3] > OPAQUE
    if not inside.any():
        return rgb, depth
    region = depth[y : y + object_height, x : x + object_width]
    nearest = float(np.percentile(region[inside], 2))
    v, u = np.mgrid[0:object_height, 0:object_width].astype(np.float32)
    slant = (
        1 + rng.normal(0, 0.03) * (u / object_width - 0.5) + rng.normal(0, 0.03) * (v / object_height - 0.5)
    )
    card = nearest * rng.uniform(*NEARER) * slant
    pasted = depth.copy()
    pasted[y : y + object_height, x : x + object_width] = np.where(inside, card, region)
    return paste(rgb, cutout, x, y), pasted
