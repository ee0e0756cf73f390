"""Augmentation of (bg, fg_bg, mask, depth): what a camera does to both shots, and between them.

On clean composites the two pictures differ exactly where the object is, so a network can learn to subtract
and threshold, which needs no network and fails as soon as the camera moves by a pixel. ``camera`` takes that
away: between the two shots the camera shifts and turns a little, its exposure and noise change, a shadow
falls. Labels belong to the frame, so only the background is moved; light changes in either.

Everything is drawn from (seed, epoch, sample number): the order, the number of threads or processes and a
restart change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.images import Pixels
from .dataset import Batch, FgBgDataset

Matrix = NDArray[np.float64]  # (2, 3), from pixels of the result to pixels of the source

# Between two shots of a camera on a tripod that somebody has touched; pixels of the network's input.
MOVE_PX, MOST_PX = 1.5, 4.0  # standard deviation and limit of the shift
TURN_DEGREES, ZOOM = 0.4, 0.004  # standard deviations
NOISE_VALUES = 1 << 20  # drawn once: normal numbers cost more than everything else here


class Shot(NamedTuple):
    """One sample as it is read: uint8 (H, W, 3) twice, uint8 (H, W) of 0 and 255, float32 (H, W)."""

    bg: Pixels
    fg_bg: Pixels
    mask: Pixels
    depth: NDArray[np.float32]


Augment = Callable[[Shot, Generator], Shot]


class AugmentedDataset:
    """``dataset`` in one epoch: what ``batches`` reads from it is augmented in the reading threads."""

    def __init__(self, dataset: FgBgDataset, kind: str, seed: int, epoch: int) -> None:
        """``kind`` is one of ``AUGMENTATIONS``."""
        self.dataset = dataset
        self.augment = AUGMENTATIONS[kind]
        self.key = (seed, epoch)

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """The samples at ``indices`` of the split, each augmented by its own random numbers."""
        batch = self.dataset.read(indices)
        if self.augment is unchanged:
            return batch
        arrays: list[Any] = [part.permute(0, 2, 3, 1).numpy() for part in batch]
        for row, number in enumerate(self.dataset.samples[indices]):
            bg, fg_bg, mask, depth = (array[row] for array in arrays)
            shot = Shot(bg, fg_bg, mask[:, :, 0], depth[:, :, 0])
            rng = np.random.default_rng([*self.key, int(number)])
            changed: list[tuple[Any, Any]] = list(zip(shot, self.augment(shot, rng), strict=True))
            for before, after in changed:
                before[...] = after
        return batch


def check_augmentation(name: str) -> None:
    """Raise MdeasError unless there is an augmentation of this name."""
    if name not in AUGMENTATIONS:
        raise MdeasError(
            f"no augmentation is called {name!r}; there are: {', '.join(AUGMENTATIONS)}; "
            "choose with --augment"
        )


def unchanged(shot: Shot, _rng: Generator) -> Shot:
    """The sample as it is."""
    return shot


def flip(shot: Shot, rng: Generator) -> Shot:
    """All four mirrored, every other time."""
    if rng.random() < 0.5:
        return shot
    bg, fg_bg, mask, depth = shot
    return Shot(bg[:, ::-1], fg_bg[:, ::-1], mask[:, ::-1], depth[:, ::-1])


def colour(shot: Shot, rng: Generator) -> Shot:
    """Hue, saturation and contrast of each picture by itself, one time of four each, as DSResNet had it."""
    return shot._replace(bg=recoloured(shot.bg, rng), fg_bg=recoloured(shot.fg_bg, rng))


def camera(shot: Shot, rng: Generator) -> Shot:
    """Another view of the scene, in another light, and a background shot at another moment."""
    shot = flip(shot, rng)
    if rng.random() < 0.5:
        shot = view(shot, rng)
    if rng.random() < 0.7:
        table = tone_table(rng, exposure=0.2, gamma=0.15, tint=0.05)
        bg, fg_bg = (np.asarray(cv2.LUT(part, table), np.uint8) for part in (shot.bg, shot.fg_bg))
        shot = shot._replace(bg=bg, fg_bg=fg_bg)
    return between_shots(shot, rng)


def recoloured(picture: Pixels, rng: Generator) -> Pixels:
    """Hue by up to 20 of 180 steps, saturation by 30 and value by 20 of 255; contrast by a fifth."""
    if rng.random() < 0.25:
        hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.int16)
        hsv += rng.integers((-20, -30, -20), (21, 31, 21)).astype(np.int16)
        hsv[..., 0] %= 180
        picture = np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    if rng.random() < 0.25:
        factor, mean = float(rng.uniform(0.8, 1.2)), float(picture.mean())
        picture = np.asarray(cv2.convertScaleAbs(picture, alpha=factor, beta=(1 - factor) * mean), np.uint8)
    return picture


def view(shot: Shot, rng: Generator) -> Shot:
    """All four turned by a few degrees and enlarged by up to a quarter, somewhere in the picture."""
    side = shot.mask.shape[0]
    zoom = 1 / rng.uniform(1.0, 1.25)
    room = (1 - zoom) * side / 2
    shift = rng.uniform(-room, room, 2)
    matrix = motion(side, shift, rng.normal(0, 3.0), zoom)
    mask = warp(shot.mask, matrix, cv2.BORDER_REFLECT_101)
    return Shot(
        warp(shot.bg, matrix, cv2.BORDER_REFLECT_101),
        warp(shot.fg_bg, matrix, cv2.BORDER_REFLECT_101),
        np.where(mask > 127, np.uint8(255), np.uint8(0)),
        warp(shot.depth, matrix, cv2.BORDER_REFLECT_101),
    )


def between_shots(shot: Shot, rng: Generator) -> Shot:
    """What happens between two shots; mask and depth stay, they are the frame's."""
    bg, frame = shot.bg, shot.fg_bg
    if rng.random() < 0.75:
        bg = moved(bg, rng)
    if rng.random() < 0.25:
        bg = np.asarray(cv2.GaussianBlur(bg, (0, 0), rng.uniform(0.4, 1.5)), np.uint8)
    for change, share in ((relit, 0.6), (shaded, 0.4), (compressed, 0.25)):
        if rng.random() < share:  # in either of the two
            if rng.random() < 0.5:
                bg = change(bg, rng)
            else:
                frame = change(frame, rng)
    if rng.random() < 0.5:
        bg, frame = noisy(bg, rng), noisy(frame, rng)
    return shot._replace(bg=bg, fg_bg=frame)


def moved(picture: Pixels, rng: Generator) -> Pixels:
    """Shifted by up to ``MOST_PX``; two times of three also turned and zoomed a little, between pixels."""
    shift = np.clip(rng.normal(0, MOVE_PX, 2), -MOST_PX, MOST_PX)
    if rng.random() < 1 / 3:  # whole pixels: sharp, as no interpolation is
        matrix = motion(picture.shape[0], np.rint(shift), 0.0, 1.0)
    else:
        zoom = math.exp(rng.normal(0, ZOOM))
        matrix = motion(picture.shape[0], shift, rng.normal(0, TURN_DEGREES), zoom)
    return np.asarray(warp(picture, matrix, cv2.BORDER_REPLICATE), np.uint8)


def relit(picture: Pixels, rng: Generator) -> Pixels:
    """Another exposure, gamma and white balance."""
    return np.asarray(cv2.LUT(picture, tone_table(rng, exposure=0.12, gamma=0.1, tint=0.03)), np.uint8)


def shaded(picture: Pixels, rng: Generator) -> Pixels:
    """Light that falls off to one side, or a soft shadow."""
    side = picture.shape[0]
    x = np.linspace(-1, 1, side, dtype=np.float32)
    angle = float(rng.uniform(0, math.pi))
    cos, sin = math.cos(angle), math.sin(angle)
    if rng.random() < 0.5:
        shade = 1 + float(rng.uniform(-0.3, 0.3)) * (x[None, :] * cos + x[:, None] * sin)
    else:
        centre, radius = rng.uniform(-0.9, 0.9, 2).tolist(), rng.uniform(0.15, 0.6, 2).tolist()
        softness = float(rng.uniform(1.5, 8.0))  # of the edge: a bulb's or the sun's
        dx, dy = x[None, :] - centre[0], x[:, None] - centre[1]
        u, v = (dx * cos + dy * sin) / radius[0], (dy * cos - dx * sin) / radius[1]
        inside = np.clip((1 - cv2.magnitude(u, v)) * softness, 0, 1)
        shade = 1 - float(rng.uniform(0.15, 0.6)) * inside
    return np.asarray(cv2.multiply(picture, cv2.merge([shade] * 3), dtype=cv2.CV_8U), np.uint8)


def compressed(picture: Pixels, rng: Generator) -> Pixels:
    """Through a JPEG of quality 30 to 95."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))]
    data = cv2.imencode(".jpg", picture, quality)[1]
    # Both calls take the channels as blue, green, red: the order goes in and comes out alike, but red and
    # blue would swap their weights in the luma, which no label depends on.
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def noisy(picture: Pixels, rng: Generator) -> Pixels:
    """Sensor noise of up to 0.04 of the range."""
    values = _normal_values()
    start = int(rng.integers(0, len(values) // 2))
    noise = np.resize(values[start : start + picture.size], picture.shape)
    noise = noise * np.float32(255 * rng.uniform(0, 0.04))
    return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8)


def tone_table(rng: Generator, exposure: float, gamma: float, tint: float) -> Pixels:
    """A lookup table (1, 256, 3): standard deviations of the logs of brightness, gamma and colour."""
    gain = np.exp(rng.normal(0, exposure) + rng.normal(0, tint, 3))
    ramp = np.linspace(0, 1, 256) ** math.exp(rng.normal(0, gamma))
    return np.asarray(np.clip(255 * ramp[:, None] * gain + 0.5, 0, 255), np.uint8)[None]


def motion(side: int, shift: NDArray[np.float64], degrees: float, zoom: float) -> Matrix:
    """A turn and zoom about the centre, then a shift in pixels."""
    centre = (side - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), degrees, zoom), np.float64)
    matrix[:, 2] += shift
    return matrix


def warp(picture: Any, matrix: Matrix, border: int) -> Any:
    """The picture seen through ``matrix``, bilinear; what lies outside is made up from the border."""
    size = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(np.ascontiguousarray(picture), matrix, size, flags=flags, borderMode=border)


@lru_cache(maxsize=1)
def _normal_values() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(NOISE_VALUES, np.float32)


AUGMENTATIONS: dict[str, Augment] = {
    "none": unchanged, "flip": flip, "colour": colour, "camera": camera,
}  # fmt: skip
