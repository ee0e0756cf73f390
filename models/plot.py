"""Line charts as SVG text, for pages and for files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 46
TICKS = 5  # about as many
MOST_DOTS = 30
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
        across, up = _Axis(xs, LEFT, WIDTH - RIGHT), _Axis(ys, HEIGHT - BOTTOM, TOP, rounded=True)
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
        for row, (name, value) in enumerate((self.marks or {}).items()):
            x = across(self._x(value))
            parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#555" stroke-dasharray="2 3"/>')
            parts.append(_text(x + 3, TOP + 10 + 13 * row, name, "start"))
        left = 10.0
        for index, (name, points) in enumerate(lines.items()):
            colour = COLOURS[index % len(COLOURS)]
            stroke = f'stroke="{colour}"'
            if name in self.dashed:
                stroke += ' stroke-dasharray="5 3"'
            places = [(f"{across(x):.1f}", f"{up(y):.1f}") for x, y in points]
            path = " ".join(map(",".join, places))
            parts.append(f'<polyline points="{path}" fill="none" {stroke} stroke-width="1.7"/>')
            if len(places) <= MOST_DOTS:  # a line through one point cannot be seen
                parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in places]
            parts.append(f'<path d="M{left:.0f} {HEIGHT - 8}h14" {stroke} stroke-width="3"/>')
            parts.append(_text(left + 18, HEIGHT - 4, name, "start"))
            left += 26 + LETTER * len(name)
        return "".join((*parts, "</svg>"))

    def _x(self, value: float) -> float:
        return math.log10(value) if self.log_x else value


class _Axis:
    """Where values lie between two edges of the chart; ``rounded`` begins and ends it at a tick."""

    def __init__(self, values: Sequence[float], start: float, end: float, rounded: bool = False) -> None:
        self.low, self.high, self.start, self.end = min(values), max(values), start, end
        whole = all(float(value).is_integer() for value in values)
        if self.low == self.high:
            around = 0.5 if whole else abs(self.low) / 2
            self.low = self.low - around if self.low else 0.0
            self.high += around
        self.step = _round_step((self.high - self.low) / TICKS)
        if whole and not rounded:  # there is no half epoch
            self.step = max(1.0, self.step)
        if rounded:
            self.low = math.floor(self.low / self.step) * self.step
            self.high = math.ceil(self.high / self.step) * self.step

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values at equal distances."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, ``least`` or a little more."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _text(x: float, y: float, text: str, anchor: str = "middle", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
