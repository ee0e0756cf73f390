"""The bank of procedural textures: made once, from a fixed seed, with numpy alone.

A texture is uint8 (128, 128, 3) and says for each colour channel how far to go from a material's first
colour to its second. Smaller copies (a mip pyramid) keep far surfaces from aliasing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 128
LEVELS = 8
_SEED = 20

Grey = NDArray[np.float64]
Texture = NDArray[np.float64]


class Bank(NamedTuple):
    """All textures and where each kind lies."""

    texels: NDArray[
        np.uint8
    ]  # all levels one after another, each (T, S, S, 3) flattened; S is halved from level to level
    starts: NDArray[np.int64]  # where each level starts
    kinds: dict[str, tuple[int, int]]  # first and one past the last


def _stretch(values: Grey) -> Grey:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low + 1e-9))


def _enlarge(cells: Grey) -> Grey:
    """Bilinear, periodic enlargement of an (h, w) grid to (SIDE, SIDE)."""
    for axis in (0, 1):
        count = cells.shape[axis]
        place = np.arange(SIDE) * count / SIDE
        whole = place.astype(int)
        part = place - whole
        part = part * part * (3 - 2 * part)
        shape = (-1, 1) if axis == 0 else (1, -1)
        here = np.take(cells, whole % count, axis)
        there = np.take(cells, (whole + 1) % count, axis)
        cells = here + (there - here) * part.reshape(shape)
    return cells


def _noise(rng: np.random.Generator, start: int = 1, decay: float = 0.6, stretch: int = 1) -> Grey:
    """Fractal value noise in 0..1; ``stretch`` > 1 draws it out along the second axis."""
    total = np.zeros((SIDE, SIDE))
    amplitude = 1.0
    for octave in range(start, 7):
        side = 2**octave
        total += amplitude * _enlarge(rng.random((side, max(1, side // stretch))))
        amplitude *= decay
    return _stretch(total)


def _grid() -> tuple[Grey, Grey]:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    return y, x


def _grey(values: Grey) -> Texture:
    return np.repeat(np.clip(values, 0, 1)[:, :, None], 3, 2)


def _plaster(rng: np.random.Generator) -> Texture:
    noise = _noise(rng, int(rng.integers(0, 4)), rng.uniform(0.5, 0.95))
    return _grey(0.5 + (noise - 0.5) * rng.uniform(0.2, 1.0))


def _speckle(rng: np.random.Generator) -> Texture:
    fine = rng.random((SIDE, SIDE))
    coarse = _noise(rng, 2, 0.7)
    return _grey(rng.uniform(0.3, 0.9) * fine + 0.4 * coarse - 0.1)


def _marble(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    veins = np.abs(np.sin(2 * np.pi * (x * rng.integers(0, 3) + y * rng.integers(1, 3) + 1.5 * _noise(rng))))
    return _grey(0.7 * (1 - veins ** rng.uniform(0.2, 0.6)) + 0.3 * _noise(rng, 3))


def _wood(rng: np.random.Generator) -> Texture:
    y, _ = _grid()
    rings = rng.integers(2, 7)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * (rings * y + rng.uniform(0.5, 2.0) * _noise(rng, 1, 0.5, 8)))
    return _grey(0.6 * grain + 0.4 * _noise(rng, 4, 0.8, 16))


def _planks(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    rows = int(rng.integers(3, 9))
    row = np.floor(y * rows).astype(int)
    shift = rng.random(rows)[row]
    board = np.floor((x + shift) * 2).astype(int) % 2
    tone = rng.random((rows, 2))[row, board]
    gap = ((y * rows) % 1 < 0.06) | (((x + shift) * 2) % 1 < 0.02)
    grain = _noise(rng, 4, 0.8, 16)
    contrast = rng.uniform(0.2, 0.7)
    return _grey(np.where(gap, 1.0, 0.3 * grain + contrast * tone))


def _tiles(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    count = int(rng.integers(2, 7))
    across = int(rng.integers(1, count + 1))
    shift = 0.5 * (np.floor(y * count) % 2) * rng.integers(0, 2)
    grout = rng.uniform(0.02, 0.07)
    gap = ((y * count) % 1 < grout) | ((x * across + shift) % 1 < grout * across / count)
    tone = rng.random((count, across))[(y * count).astype(int), ((x * across + shift).astype(int)) % across]
    inner = rng.uniform(0, 0.25) * tone + rng.uniform(0.0, 0.3) * _noise(rng, 3)
    return _grey(np.where(gap, 1.0, inner))


def _bricks(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    rows = 2 * int(rng.integers(3, 6))
    columns = rows // 2
    shifted = x * columns + 0.5 * (np.floor(y * rows) % 2)
    gap = ((y * rows) % 1 < 0.13) | (shifted % 1 < 0.07)
    tone = rng.random((rows, columns))[(y * rows).astype(int), shifted.astype(int) % columns]
    return _grey(np.where(gap, 1.0, 0.4 * tone + 0.3 * _noise(rng, 4)))


def _fabric(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    count = int(rng.choice([16, 32]))
    weave = 0.25 * (np.sin(2 * np.pi * count * x) * np.sin(2 * np.pi * count * y)) + 0.25
    return _grey(weave * rng.uniform(0.2, 1) + 0.6 * _noise(rng, int(rng.integers(1, 4)), 0.8))


def _stripes(rng: np.random.Generator) -> Texture:
    y, _ = _grid()
    count = int(rng.integers(4, 20))
    bars = np.repeat(rng.random(count), -(-SIDE // count))[:SIDE]
    if rng.random() < 0.5:
        bars = ((y[:, 0] * (count // 2)) % 1 < rng.uniform(0.2, 0.7)).astype(float)
    return _grey(0.85 * bars[:, None] + 0.15 * _noise(rng, 3, 0.8, 4))


def _checks(rng: np.random.Generator) -> Texture:
    y, x = _grid()
    count = 2 * int(rng.integers(1, 5))
    board = (np.floor(y * count) + np.floor(x * count)) % 2
    if rng.random() < 0.5:  # tartan
        board = 0.5 * ((y * count) % 1 < rng.uniform(0.2, 0.6)) + 0.5 * (
            (x * count) % 1 < rng.uniform(0.2, 0.6)
        )
    return _grey(0.8 * board + 0.2 * _noise(rng, 3))


def _blotches(rng: np.random.Generator) -> Texture:
    noise = _noise(rng, int(rng.integers(1, 4)), 0.5)
    edge = rng.uniform(0.35, 0.65)
    return _grey(np.clip((noise - edge) * 20 + 0.5, 0, 1))


def _palette(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Colours (count, 3): greys, whites and blacks, and some strong ones."""
    colours = rng.random((count, 1)) ** 1.1 + rng.normal(0, 0.06, (count, 3))
    strong = rng.random(count) < rng.uniform(0.1, 0.6)
    hue = rng.random((int(strong.sum()), 3)) ** 1.3
    colours[strong] = hue.mean(1, keepdims=True) + (hue - hue.mean(1, keepdims=True)) * rng.uniform(0.4, 1.0)
    return np.clip(colours, 0.02, 0.98)


def _rectangles(rng: np.random.Generator) -> Texture:
    picture = np.ones((SIDE, SIDE, 3)) * _palette(rng, 1)[0]
    for colour in _palette(rng, int(rng.integers(6, 70))):
        top, left = rng.integers(0, SIDE, 2)
        high, wide = rng.integers(2, SIDE // 3, 2)
        picture[top : top + high, left : left + wide] = colour
    return np.asarray(picture)


def _poster(rng: np.random.Generator) -> Texture:
    colours = _palette(rng, 3)
    a, b = _noise(rng, 1, 0.5)[:, :, None], _noise(rng, int(rng.integers(1, 4)), 0.6)[:, :, None]
    picture = colours[0] + (colours[1] - colours[0]) * np.clip(2 * a - 0.5, 0, 1)
    picture = np.where(b > rng.uniform(0.5, 0.8), colours[2], picture)
    if rng.random() < 0.5:
        _write(rng, picture, _palette(rng, 1)[0])
    edge = int(rng.integers(0, 12))
    if edge:
        picture[:edge] = picture[-edge:] = picture[:, :edge] = picture[:, -edge:] = _palette(rng, 1)[0]
    return np.asarray(picture)


def _write(rng: np.random.Generator, picture: Texture, ink: NDArray[np.float64]) -> None:
    """Lines of bars that look like text from afar."""
    line = int(rng.integers(4, 14))
    for top in range(int(rng.integers(4, 40)), SIDE - line, int(line * rng.uniform(1.5, 2.5))):
        left = int(rng.integers(6, 14))
        end = SIDE - int(rng.integers(6, 60))
        while left < end:
            word = int(rng.integers(3, 16))
            picture[top : top + line // 2 + 1, left : min(left + word, end)] = ink
            left += word + int(rng.integers(2, 5))


def _page(rng: np.random.Generator) -> Texture:
    picture = np.full((SIDE, SIDE, 3), rng.uniform(0.8, 1.0))
    _write(rng, picture, np.full(3, rng.uniform(0.0, 0.4)))
    if rng.random() < 0.5:
        top, left = rng.integers(8, 70, 2)
        picture[top : top + 40, left : left + 45] = _palette(rng, 1)[0]
    return picture


def _spines(rng: np.random.Generator) -> Texture:
    """Book backs or goods side by side, in one or more rows."""
    rows = int(rng.choice([1, 1, 2]))
    picture = np.zeros((SIDE, SIDE, 3))
    high = SIDE // rows
    for row in range(rows):
        left = 0
        dark = rng.uniform(0.02, 0.2)
        picture[row * high : (row + 1) * high] = dark
        while left < SIDE:
            wide = int(rng.integers(3, 14))
            top = row * high + int(rng.integers(3, high // 2))
            colour = _palette(rng, 1)[0]
            picture[top : (row + 1) * high - 3, left : left + wide] = colour
            mark = top + int(rng.integers(2, high // 2))
            picture[mark : mark + 5, left + 1 : left + wide - 1] = _palette(rng, 1)[0]
            left += wide + int(rng.random() < 0.4)
        picture[(row + 1) * high - 3 : (row + 1) * high] = rng.uniform(0.2, 0.8)
    return picture


def _screen(rng: np.random.Generator) -> Texture:
    """A monitor's windows."""
    picture = np.ones((SIDE, SIDE, 3)) * _palette(rng, 1)[0] * rng.uniform(0.2, 1.0)
    for _ in range(int(rng.integers(1, 4))):
        top, left = rng.integers(0, 60, 2)
        high, wide = rng.integers(30, 100, 2)
        pane = _page(rng) if rng.random() < 0.7 else _poster(rng)
        picture[top : top + high, left : left + wide] = pane[: SIDE - top, : SIDE - left][:high, :wide]
    return np.asarray(picture)


def _outside(rng: np.random.Generator) -> Texture:
    """What a window shows: sky above, something darker below, bars between the panes."""
    y, x = _grid()
    skyline = rng.uniform(0.3, 0.9) + 0.25 * (_noise(rng, 2, 0.5)[:1] - 0.5)
    sky = np.array([0.85, 0.93, 1.0]) * (0.8 + 0.2 * y)[:, :, None]
    ground = np.array([0.35, 0.42, 0.28]) * rng.uniform(0.4, 1.2) * (0.5 + _noise(rng, 3, 0.8))[:, :, None]
    picture = np.where((y > skyline)[:, :, None], ground, sky)
    bars, rails = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    frame = ((x * bars) % 1 < 0.05 * bars) | ((y * rails) % 1 < 0.05 * rails) | (x > 0.96) | (y > 0.96)
    return np.where(frame[:, :, None], rng.uniform(0.2, 0.6), np.clip(picture, 0, 1))


def _doors(rng: np.random.Generator) -> Texture:
    """Cupboard fronts or door panels: rectangles with dark joints and handles."""
    y, x = _grid()
    columns, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    fx, fy = (x * columns) % 1, (y * rows) % 1
    edge = np.minimum(np.minimum(fx, 1 - fx) / columns, np.minimum(fy, 1 - fy) / rows)
    front = 0.15 * _noise(rng, 4, 0.8, 8) + 0.25 * ((edge > 0.035) & (edge < 0.045)) * rng.integers(0, 2)
    front = np.where(edge < 0.008, 1.0, front)
    handle = (np.abs(fx - 0.85) < 0.03) & (np.abs(fy - 0.5) < 0.1)
    return _grey(np.where(handle, rng.uniform(0.5, 1.0), front))


def _folds(rng: np.random.Generator) -> Texture:
    _, x = _grid()
    count = int(rng.integers(3, 9))
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (count * x + 0.6 * _noise(rng, 1, 0.3)))
    return _grey(0.85 * wave**0.7 + 0.1 * _noise(rng, 4))


def _fur(rng: np.random.Generator) -> Texture:
    patches = np.clip((_noise(rng, 1, 0.5) - rng.uniform(0.4, 0.7)) * 8 + 0.5, 0, 1) * rng.integers(0, 2)
    return _grey(0.6 * patches + 0.4 * _noise(rng, 4, 0.9))


def _leaves(rng: np.random.Generator) -> Texture:
    noise = _noise(rng, 3, 0.9)
    return _grey(np.clip((noise - 0.5) * 3 + 0.5, 0, 1))


_MAKERS = (
    ("plaster", _plaster, 20),
    ("speckle", _speckle, 16),
    ("marble", _marble, 10),
    ("wood", _wood, 24),
    ("planks", _planks, 16),
    ("tiles", _tiles, 20),
    ("bricks", _bricks, 8),
    ("fabric", _fabric, 16),
    ("stripes", _stripes, 16),
    ("checks", _checks, 10),
    ("blotches", _blotches, 8),
    ("rectangles", _rectangles, 12),
    ("poster", _poster, 32),
    ("page", _page, 16),
    ("spines", _spines, 24),
    ("screen", _screen, 16),
    ("outside", _outside, 16),
    ("doors", _doors, 16),
    ("folds", _folds, 8),
    ("fur", _fur, 12),
    ("leaves", _leaves, 6),
)


@lru_cache(maxsize=1)
def texture_bank() -> Bank:
    """The bank, the same in every process and on every machine."""
    rng = np.random.default_rng(_SEED)
    kinds: dict[str, tuple[int, int]] = {}
    made: list[Texture] = []
    for name, maker, count in _MAKERS:
        kinds[name] = (len(made), len(made) + count)
        made += [maker(rng) for _ in range(count)]
    level = np.clip(np.stack(made), 0, 1)
    levels = []
    for _ in range(LEVELS):
        levels.append(np.ascontiguousarray(np.rint(level * 255).astype(np.uint8)))
        if level.shape[1] > 1:
            level = 0.25 * (
                level[:, ::2, ::2] + level[:, 1::2, ::2] + level[:, ::2, 1::2] + level[:, 1::2, 1::2]
            )
    starts = np.cumsum([0] + [one.size for one in levels[:-1]], dtype=np.int64)
    return Bank(np.concatenate([one.ravel() for one in levels]), starts, kinds)
