"""Small line charts as a picture, (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..pipeline.images import Pixels

PANEL_WIDTH, PANEL_HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 26, 22  # around the plotted area of a panel
HEADER = 30
ACROSS = 4
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
PAPER, INK, GRID = (255, 255, 255), (40, 40, 40), (225, 225, 225)
# Told apart by everybody (Okabe and Ito): blue, orange, green, purple, black, vermilion, sky blue.
COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (0, 0, 0), (213, 94, 0), (86, 180, 233),
)  # fmt: skip

Canvas = ImageDraw.ImageDraw
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Panel:
    """One chart: values in 0..1 of every line at the same labelled places."""

    title: str
    labels: Sequence[str]
    lines: Mapping[str, Sequence[float]]


def line_charts(title: str, panels: Sequence[Panel]) -> Pixels:
    """Panels beside and below each other; a line has one colour in all of them, named at the top."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    image = Image.new("RGB", (across * PANEL_WIDTH, HEADER + down * PANEL_HEIGHT), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    draw.text((8, 8), title, fill=INK, font=font)
    x = 24 + draw.textlength(title, font=font)
    for name, colour in colours.items():
        draw.line([(x, 15), (x + 18, 15)], fill=colour, width=3)
        draw.text((x + 23, 8), name, fill=INK, font=font)
        x += 42 + draw.textlength(name, font=font)
    for index, panel in enumerate(panels):
        corner = index % across * PANEL_WIDTH, HEADER + index // across * PANEL_HEIGHT
        _draw_panel(draw, corner, panel, colours, font)
    return np.asarray(image)


def _draw_panel(
    draw: Canvas,
    corner: tuple[int, int],
    panel: Panel,
    colours: Mapping[str, tuple[int, int, int]],
    font: Font,
) -> None:
    left, top = corner[0] + LEFT, corner[1] + TOP
    width, height = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
    draw.text((left, corner[1] + 6), panel.title, fill=INK, font=font)
    for tick in TICKS:
        y = top + height * (1 - tick)
        draw.line([(left, y), (left + width, y)], fill=GRID)
        draw.text((left - 4, y), f"{tick:g}", fill=INK, font=font, anchor="rm")
    places = [left + width * index / max(1, len(panel.labels) - 1) for index in range(len(panel.labels))]
    for place, label in zip(places, panel.labels, strict=True):
        draw.text((place, top + height + 5), label, fill=INK, font=font, anchor="ma")
    for name, values in panel.lines.items():
        heights = [top + height * (1 - min(1.0, max(0.0, value))) for value in values]
        points = list(zip(places, heights, strict=True))
        draw.line(points, fill=colours[name], width=2)
        for x, y in points:
            draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colours[name])
