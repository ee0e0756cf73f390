"""Samples drawn into archives, several shards at a time: a foreground is prepared once for all of them."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from . import images
from .assets import prepared_array
from .canvas import Canvas, Foreground, Layer, Press
from .manifest import SAMPLES_PER_SHARD, Samples, background_name, sample_namer, shard_name
from .mask import threshold_alpha
from .plan import Plan, side_range
from .shards import ShardReader, ShardRecord, ShardWriter

# What a worker keeps of foregrounds and of backgrounds, and of finished pictures that await their turn.
_FOREGROUND_BYTES = 64 * 1024 * 1024
_CANVAS_BYTES = 16 * 1024 * 1024
_BLOCK_PIXELS = 24_000_000
# Shards drawn together: with as many backgrounds nearly every size of a foreground comes more than once.
_TOGETHER = 8


class Row(NamedTuple):
    """One sample: which pictures, and where the foreground goes in which size."""

    bg: int
    fg: int
    flip: bool
    x: int
    y: int
    width: int
    height: int


class Drawn(NamedTuple):
    """The composite's JPEG, the mask's PNG and the mask's number of pixels."""

    composite: bytes
    mask: bytes
    mask_pixels: int


@dataclass(frozen=True)
class PaintedShard:
    """The two archives of a shard, composites first, and the pixels of its masks."""

    number: int
    records: tuple[ShardRecord, ShardRecord]
    mask_pixels: list[int]


def prepared_name(number: int) -> str:
    """Entry of a prepared foreground."""
    return f"fg/{number:09d}.png"


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=_Sized)


class _Recent(Generic[K, V]):
    """What was used last, up to a number of bytes, but at least one thing."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._found: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        if key in self._found:
            self._found.move_to_end(key)
        return self._found.get(key)

    def put(self, key: K, value: V) -> V:
        self._found[key] = value
        self._held += value.nbytes
        while self._held > self._most and len(self._found) > 1:
            self._held -= self._found.popitem(last=False)[1].nbytes
        return value


# Samples that are alike in these share a layer and its mask.
_look_of = itemgetter(*map(Row._fields.index, ("fg", "flip", "width", "height")))


class Painter:
    """Draws samples of one plan; keeps the last backgrounds and foregrounds."""

    def __init__(
        self, backgrounds: Path, foregrounds: Path, plan: Plan, quality: int, mask_threshold: int
    ) -> None:
        """Nothing is read before it is needed from the archives of prepared pictures."""
        self.plan = plan
        self._quality, self._mask_threshold = quality, mask_threshold
        self._backgrounds, self._foregrounds = ShardReader(backgrounds), ShardReader(foregrounds)
        self._least = side_range(plan.scale, plan.size)[0]
        self._canvases: _Recent[int, Canvas] = _Recent(_CANVAS_BYTES)
        self._prepared: _Recent[tuple[int, bool], Foreground] = _Recent(_FOREGROUND_BYTES)
        self._press = Press(plan.size, plan.size, quality)

    def draw(self, rows: Sequence[Row]) -> list[Drawn]:
        """The samples ``rows``; of those with one foreground in one size, the work on it is shared."""
        self._press.drop()
        looks = [_look_of(row) for row in rows]
        order = sorted(range(len(rows)), key=looks.__getitem__)
        masks, last = [], None
        for number in order:
            bg, fg, flip, x, y, width, height = rows[number]
            if looks[number] != last:
                last = looks[number]
                layer = Layer(self._foreground(fg, flip).at(width, height))
                mask = threshold_alpha(layer.alpha, self._mask_threshold)
                area = cv2.countNonZero(mask)
            self._press.add(self._canvas(bg), layer, x, y)
            masks.append((images.encode_placed_mask(mask, x, y, self.plan.size, self.plan.size), area))
        drawn = [Drawn(one, *mask) for one, mask in zip(self._press.take(), masks, strict=True)]
        return [one for _, one in sorted(zip(order, drawn, strict=True))]

    def _canvas(self, number: int) -> Canvas:
        found = self._canvases.get(number)
        if found is None:
            data = self._backgrounds.read(background_name(number, len(self.plan.bg)))
            found = self._canvases.put(number, Canvas(images.decode_png(data), self._quality))
        return found

    def _foreground(self, number: int, flip: bool) -> Foreground:
        found = self._prepared.get((number, flip))
        if found is None:
            pixels = prepared_array(self._foregrounds.read(prepared_name(number)))
            pixels = np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels
            found = self._prepared.put((number, flip), Foreground(pixels, self._least))
        return found


# ---------------------------------------------------------------- shards


def together(numbers: Sequence[int], plan: Plan, workers: int) -> list[tuple[int, ...]]:
    """Groups of shards to draw at once: those that lay the same foregrounds on other backgrounds.

    They become smaller towards the end, so that no worker is left alone with a large one.
    """
    each = len(plan) // len(plan.bg)  # samples of a background, which follow one another
    most = max(1, min(_TOGETHER, _CANVAS_BYTES // (3 * plan.size**2)))
    if each < SAMPLES_PER_SHARD:  # the shards hold several backgrounds each as it is
        most = 1
    else:
        numbers = sorted(numbers, key=lambda number: (number * SAMPLES_PER_SHARD % each, number))
    groups, done = [], 0
    while done < len(numbers):
        count = max(1, min(most, (len(numbers) - done) // (3 * workers)))
        groups.append(tuple(numbers[done : done + count]))
        done += count
    return groups


def paint_shards(painter: Painter, numbers: Sequence[int], folder: Path) -> list[PaintedShard]:
    """Draw shards into ``folder``. Their archives are whole, but not published."""
    plan, total = painter.plan, len(painter.plan)
    starts = [number * SAMPLES_PER_SHARD for number in numbers]
    tables = [plan.rows(start, min(start + SAMPLES_PER_SHARD, total)) for start in starts]
    rows = [row for table in tables for row in _rows_of(table)]
    place = [
        (which, key) for which, start in enumerate(starts) for key in range(start, start + len(tables[which]))
    ]
    name_composite, name_mask = sample_namer("fg_bg", total), sample_namer("mask", total)
    pixels: list[list[int]] = [[] for _ in numbers]
    with contextlib.ExitStack() as stack:
        archives = [
            [
                stack.enter_context(ShardWriter(folder / shard_name(kind, number)))
                for kind in ("fg_bg", "mask")
            ]
            for number in numbers
        ]
        for block in _blocks(_drawing_order(tables), plan.size):
            for index, drawn in zip(block, painter.draw([rows[index] for index in block]), strict=True):
                which, key = place[index]
                composites, masks = archives[which]
                composites.add(name_composite(key), drawn.composite)
                masks.add(name_mask(key), drawn.mask)
                pixels[which].append(drawn.mask_pixels)
        records = [(composites.finish(), masks.finish()) for composites, masks in archives]
    return [PaintedShard(*shard) for shard in zip(numbers, records, pixels, strict=True)]


def _rows_of(table: Samples) -> Iterator[Row]:
    columns = (getattr(table, name).tolist() for name in Row._fields)
    return map(Row._make, zip(*columns, strict=True))


def _drawing_order(tables: Sequence[Samples]) -> NDArray[np.int64]:
    """Positions in the rows of all shards: foreground by foreground, if that keeps the order in each shard.

    The foregrounds come in turn from the first one of the first shard on.
    """
    turns = [table.fg.astype(np.int64) * 2 + table.flip for table in tables]
    period = 1 + max(int(turn.max()) for turn in turns)
    turns = [(turn - turns[0][0]) % period for turn in turns]
    if any((np.diff(turn) < 0).any() for turn in turns):
        return np.arange(sum(map(len, turns)))
    return np.argsort(np.concatenate(turns), kind="stable")


def _blocks(order: NDArray[np.int64], size: int) -> Iterator[list[int]]:
    """Pieces of ``order`` of which all pictures may wait in memory, each in ascending order."""
    length = max(1, _BLOCK_PIXELS // size**2)
    for start in range(0, len(order), length):
        yield sorted(order[start : start + length].tolist())
