"""``mdeas preview``: a contact sheet of random samples, and the colours of depth pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .images import encode_png
from .manifest import DepthInfo, write_bytes
from .options import PreviewConfig
from .reader import DatasetReader

# Tiles are shown no smaller (captions must fit) and no larger (a sheet must open anywhere) than this.
SMALLEST_TILE, LARGEST_TILE = 200, 256
GAP = 6
MARGIN = 20
CAPTION_HEIGHT = 24
TITLE_SIZE, HEADING_SIZE, CAPTION_SIZE = 20, 15, 13
# Outliers must not take the contrast of a depth picture: its colours span these percentiles.
NEAR_FAR_PERCENTILES = (1.0, 99.0)
PAPER, INK, FAINT = (255, 255, 255), (30, 30, 36), (110, 110, 120)
NO_DEPTH = (236, 236, 240)


@dataclass(frozen=True)
class PreviewReport:
    """Where the sheet is and what is on it."""

    path: str
    samples: tuple[int, ...]
    has_depth: bool
    width: int
    height: int

    def summary(self) -> str:
        """One line for people."""
        depth = "" if self.has_depth else ", depth not labelled yet"
        return f"{len(self.samples)} samples on {self.width}x{self.height} pixels{depth}: {self.path}"


def make_preview(config: PreviewConfig) -> PreviewReport:
    """Draws ``count`` samples chosen by ``seed``, each as background, composite, mask and depth, as a PNG.

    Depth is coloured over each picture's own range, bright is near, whichever way its values run.

    Raises:
        MdeasError: If there is no data set, or a picture of it is damaged.
    """
    reader = DatasetReader(config.dataset)
    count = min(config.count, len(reader))
    chosen = np.random.default_rng(config.seed).choice(len(reader), count, replace=False)
    indices = tuple(sorted(int(index) for index in chosen))
    info = reader.depth_info if reader.has_depth else None
    sheet = _draw_sheet(reader, indices, info)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(config.out, encode_png(np.asarray(sheet)))
    return PreviewReport(str(config.out), indices, info is not None, sheet.width, sheet.height)


def colour_depth(
    values: NDArray[np.uint16] | NDArray[np.float32], nearer: str, limits: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """RGB (H, W, 3) of a depth picture (H, W): bright is near, dark is far.

    Args:
        values: Finite numbers of any scale.
        nearer: Whether ``larger`` or ``smaller`` values are nearer.
        limits: The values between which the colours are spread, by default the picture's own range.
    """
    low, high = limits or colour_limits(values)
    if high <= low:
        level = np.full(values.shape, 128, np.uint8)
    else:
        share = np.clip((values.astype(np.float32) - low) / (high - low), 0, 1)
        level = np.rint(255 * (share if nearer == "larger" else 1 - share)).astype(np.uint8)
    # Inferno is perceptually uniform, in print and for the colour-blind too.
    bgr = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(bgr[..., ::-1])


def colour_limits(values: NDArray[np.uint16] | NDArray[np.float32]) -> tuple[float, float]:
    """The range of a depth picture without its outliers."""
    low, high = np.percentile(values, NEAR_FAR_PERCENTILES)
    return float(low), float(high)


def _draw_sheet(reader: DatasetReader, indices: tuple[int, ...], info: DepthInfo | None) -> Image.Image:
    """Blocks of four pictures a sample, as many side by side as make the sheet a little wider than high."""
    tile = min(max(reader.size, SMALLEST_TILE), LARGEST_TILE)
    across = max(1, round(math.sqrt(len(indices) * 0.43)))
    rows = math.ceil(len(indices) / across)
    block_width, block_height = 4 * tile + 3 * GAP, tile + CAPTION_HEIGHT
    top = MARGIN + 2 * TITLE_SIZE + 2 * HEADING_SIZE
    width = 2 * MARGIN + across * block_width + (across - 1) * 2 * MARGIN
    sheet = Image.new("RGB", (width, top + rows * (block_height + GAP) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (MARGIN, MARGIN), _title(reader, info), TITLE_SIZE, INK)
    for column in range(across):
        left = MARGIN + column * (block_width + 2 * MARGIN)
        for number, heading in enumerate(_headings(info)):
            position = (left + number * (tile + GAP), top - HEADING_SIZE - 2 * GAP)
            _write(draw, position, heading, HEADING_SIZE, INK)
    for place, index in enumerate(indices):
        row, column = divmod(place, across)
        left = MARGIN + column * (block_width + 2 * MARGIN)
        upper = top + row * (block_height + GAP)
        for number, picture in enumerate(_pictures(reader, index, info)):
            sheet.paste(_tile(picture, tile), (left + number * (tile + GAP), upper))
        if info is None:
            centre = left + 3 * (tile + GAP) + tile // 2, upper + tile // 2
            _write(draw, centre, "not labelled yet", HEADING_SIZE, FAINT, anchor="mm")
        _write(draw, (left, upper + tile + 4), _caption(reader, index), CAPTION_SIZE, FAINT)
    return sheet


def _write(
    draw: ImageDraw.ImageDraw,
    position: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str = "la",
) -> None:
    draw.text(position, text, fill=colour, font=ImageFont.load_default(size), anchor=anchor)


def _title(reader: DatasetReader, info: DepthInfo | None) -> str:
    manifest = reader.manifest
    parts = [
        f"{len(reader):,} samples",
        f"{len(manifest.fg)} foregrounds on {len(manifest.bg)} backgrounds",
        f"{reader.size}x{reader.size} pixels",
        "no depth labels yet" if info is None else f"depth: {info.kind.replace('_', ' ')} by {info.model}",
    ]
    return "  ·  ".join(parts)


def _headings(info: DepthInfo | None) -> tuple[str, str, str, str]:
    return "bg", "fg_bg", "mask", "depth" if info is None else "depth (bright is near)"


def _caption(reader: DatasetReader, index: int) -> str:
    samples = reader.samples
    flip = " mirrored" if samples.flip[index] else ""
    return (
        f"{index:06d}  ·  {samples.split[index]}  ·  bg {samples.bg[index]}, fg {samples.fg[index]}{flip}"
        f"  ·  scale {samples.scale[index]:.2f}  ·  mask {samples.mask_area[index]:.1%}"
    )


def _pictures(reader: DatasetReader, index: int, info: DepthInfo | None) -> tuple[NDArray[np.uint8], ...]:
    """Background, composite, mask and depth as RGB (S, S, 3); grey where there is no depth."""
    mask = np.repeat(reader.mask(index)[..., None], 3, axis=2)
    background = reader.background(int(reader.samples.bg[index]))
    empty = np.full_like(mask, NO_DEPTH)
    depth = colour_depth(reader.depth(index), info.nearer) if info else empty
    return background, reader.fg_bg(index), mask, depth


def _tile(picture: NDArray[np.uint8], side: int) -> Image.Image:
    shrinks = picture.shape[0] > side
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return Image.fromarray(picture).resize((side, side), how)
