"""Line charts as SVG text, for pages and for files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 46
TICKS = 5
LETTER = 6.2  # about the width of one, in the legend
# Told apart by everybody (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """Lines over one x axis; ``dashed`` names some of them, ``marks`` are upright lines by name."""

    title: str
    x: str
    lines: Mapping[str, Points]
    dashed: frozenset[str] = frozenset()
    marks: Mapping[str, float] | None = None
    log_x: bool = False

    def svg(self) -> str:
        """The chart; points that are no finite number are left out."""
        lines = {
            name: [(self._x(x), y) for x, y in points if math.isfinite(y)]
            for name, points in self.lines.items()
        }
        xs = [x for points in lines.values() for x, _ in points] or [0.0]
        ys = [y for points in lines.values() for _, y in points] or [0.0]
        across, up = _Axis(xs, LEFT, WIDTH - RIGHT), _Axis(ys, HEIGHT - BOTTOM, TOP)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="11">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            _text(LEFT, 16, self.title, "start", bold=True),
            _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 22, self.x),
        ]
        for value in up.ticks():
            y = up(value)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e1e1e1"/>')
            parts.append(_text(LEFT - 5, y + 4, f"{value:.3g}", "end"))
        for value in across.ticks():
            shown = f"{10**value:.2g}" if self.log_x else f"{value:.4g}"
            parts.append(_text(across(value), HEIGHT - BOTTOM + 14, shown))
        for name, value in (self.marks or {}).items():
            x = across(self._x(value))
            parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#555" stroke-dasharray="2 3"/>')
            parts.append(_text(x + 3, TOP + 10, name, "start"))
        left = float(LEFT)
        for index, (name, points) in enumerate(lines.items()):
            stroke = f'stroke="{COLOURS[index % len(COLOURS)]}"'
            if name in self.dashed:
                stroke += ' stroke-dasharray="5 3"'
            path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" {stroke} stroke-width="1.7"/>')
            parts.append(f'<path d="M{left:.0f} {HEIGHT - 8}h14" {stroke} stroke-width="3"/>')
            parts.append(_text(left + 18, HEIGHT - 4, name, "start"))
            left += 30 + LETTER * len(name)
        return "".join((*parts, "</svg>"))

    def _x(self, value: float) -> float:
        return math.log10(value) if self.log_x else value


class _Axis:
    """Where values lie between two edges of the chart."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = min(values), max(values), start, end
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Values at equal distances, both ends with them."""
        return [self.low + (self.high - self.low) * index / (TICKS - 1) for index in range(TICKS)]


def _text(x: float, y: float, text: str, anchor: str = "middle", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
