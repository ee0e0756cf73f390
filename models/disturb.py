"""What happens between a picture of the background and a later frame: moves, light, noise, coding, shadows.

Each disturbance is a function of its level and the number of the sample alone, so figures can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pipeline.images import Pixels, decode_jpeg, encode_jpeg

NOISE_SEED = 7_001
SHADOW_SLANT = 0.6  # how far a shadow leans to the side, in heights of the object
SHADOW_LENGTH = 0.4  # how far it reaches up the frame, likewise
SHADOW_SOFTNESS = 1 / 64  # of the frame's side
DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # x, y


class View(NamedTuple):
    """One sample: RGB (H, W, 3) uint8 twice, and the mask (H, W) of 0 and 255."""

    bg: Pixels
    frame: Pixels
    mask: Pixels


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb a view, at levels that grow."""

    title: str  # with the unit of the levels
    levels: tuple[float, ...]
    apply: Callable[[View, float, int], View]  # of the level and the sample's number


def shift(view: View, pixels: float, number: int) -> View:
    """Move the background by whole pixels, to another side for each sample; its border is repeated."""
    dx, dy = DIRECTIONS[number % 4]
    move = np.array([[1, 0, dx * pixels], [0, 1, dy * pixels]], np.float64)
    return view._replace(bg=_warped(view.bg, move))


def gain(view: View, share: float, number: int) -> View:
    """Make the background brighter or darker by ``share``."""
    return view._replace(bg=_scaled(view.bg, 1 + share * _sign(number)))


def gamma(view: View, octaves: float, number: int) -> View:
    """Raise the background, in 0..1, to the power 2^octaves or 2^-octaves."""
    power = 2 ** (octaves * _sign(number))
    table = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return view._replace(bg=table[view.bg])


def light_gradient(view: View, share: float, number: int) -> View:
    """Light the background from one side: by ``share`` brighter there and darker opposite."""
    height, width = view.mask.shape
    dx, dy = DIRECTIONS[number % 4]
    ramp = dx * np.linspace(-1, 1, width)[None, :] + dy * np.linspace(-1, 1, height)[:, None]
    return view._replace(bg=_scaled(view.bg, 1 + share * ramp[:, :, None]))


def noise(view: View, sigma: float, number: int) -> View:
    """Add Gaussian noise to both pictures, each its own; ``sigma`` in 8-bit steps."""
    rng = np.random.default_rng([NOISE_SEED, number])
    bg, frame = (
        _clipped(picture + sigma * rng.standard_normal(picture.shape)) for picture in (view.bg, view.frame)
    )
    return view._replace(bg=bg, frame=frame)


def jpeg(view: View, quality: float, number: int) -> View:
    """Encode the frame as a JPEG of ``quality``."""
    return view._replace(frame=decode_jpeg(encode_jpeg(view.frame, int(quality))))


def cast_shadow(view: View, share: float, number: int) -> View:
    """Let the object throw a soft shadow on what is behind it, to one side, darker by ``share``."""
    rows = np.flatnonzero(view.mask.any(axis=1))
    if not len(rows):
        return view
    foot, slant = float(rows[-1]), SHADOW_SLANT * _sign(number)
    lean = np.array([[1, -slant, slant * foot], [0, SHADOW_LENGTH, (1 - SHADOW_LENGTH) * foot]], np.float64)
    height, width = view.mask.shape
    cast = cv2.warpAffine(view.mask, lean, (width, height)).astype(np.float64) / 255
    soft = cv2.GaussianBlur(cast, (0, 0), max(0.5, SHADOW_SOFTNESS * max(height, width)))
    behind = np.asarray(soft, np.float64) * (view.mask == 0)
    return view._replace(frame=_scaled(view.frame, 1 - share * behind[:, :, None]))


def blur(view: View, sigma: float, number: int) -> View:
    """Blur the background by a Gaussian of ``sigma`` pixels."""
    return view._replace(bg=np.asarray(cv2.GaussianBlur(view.bg, (0, 0), sigma), np.uint8))


DISTURBANCES: dict[str, Disturbance] = {
    "shift": Disturbance("background shifted, pixels", (1, 2, 3, 4), shift),
    "gain": Disturbance("background brighter or darker by", (0.05, 0.1, 0.2, 0.4), gain),
    "gamma": Disturbance("background's gamma, octaves", (0.1, 0.2, 0.4, 0.8), gamma),
    "gradient": Disturbance("background lit from a side by", (0.05, 0.1, 0.2, 0.4), light_gradient),
    "noise": Disturbance("noise in both, 8-bit steps", (2, 4, 8, 16), noise),
    "jpeg": Disturbance("frame as JPEG of quality", (95, 85, 70, 50, 30), jpeg),
    "shadow": Disturbance("shadow of the object, darker by", (0.15, 0.3, 0.45, 0.6), cast_shadow),
    "blur": Disturbance("background blurred, pixels", (0.5, 1, 2, 3), blur),
}


def _sign(number: int) -> int:
    return 1 if number % 2 == 0 else -1


def _clipped(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _scaled(picture: Pixels, factor: float | NDArray[np.float64]) -> Pixels:
    return _clipped(picture.astype(np.float64) * factor)


def _warped(picture: Pixels, move: NDArray[np.float64]) -> Pixels:
    height, width = picture.shape[:2]
    moved = cv2.warpAffine(
        picture, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)
