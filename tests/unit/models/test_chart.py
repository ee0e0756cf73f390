"""Charts: lines where the values are, in the colours of the legend."""

from __future__ import annotations

import numpy as np
from mdeas.models.chart import (
    BOTTOM,
    COLOURS,
    HEADER,
    LEFT,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    RIGHT,
    TOP,
    Panel,
    line_charts,
)


def test_values_are_where_they_belong() -> None:
    panels = [
        Panel("one", ("0", "1", "2"), {"a": (1.0, 0.5, 0.0), "b": (0.25, 0.25, 7.0)}),
        *[Panel(f"{index}", ("0", "1"), {"a": (0.5, 0.5)}) for index in range(4)],
    ]
    picture = line_charts("title", panels)
    assert picture.shape == (HEADER + 2 * PANEL_HEIGHT, 4 * PANEL_WIDTH, 3)
    width, height = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
    top = HEADER + TOP

    def colour(x: float, y: float) -> tuple[int, ...]:
        return tuple(picture[round(top + height * (1 - y)), round(LEFT + width * x)].tolist())

    assert [colour(0, 1), colour(0.5, 0.5), colour(1, 0)] == [COLOURS[0]] * 3
    assert [colour(0, 0.25), colour(1, 1)] == [COLOURS[1]] * 2  # beyond the range: at its edge
    assert picture[top + height // 2 + PANEL_HEIGHT, LEFT + 40].tolist() == list(COLOURS[0])
    for name in COLOURS[:2]:
        assert (picture[:HEADER] == np.array(name)).all(axis=2).any()
