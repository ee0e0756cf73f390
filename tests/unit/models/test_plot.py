"""Charts: round ticks, points that can be seen, nothing over the edge."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from mdeas.models.plot import HEIGHT, WIDTH, Plot

SVG = "{http://www.w3.org/2000/svg}"


def texts(plot: Plot) -> list[str]:
    """All that is written in a chart, from top to bottom of its text."""
    return [str(text.text) for text in ElementTree.fromstring(plot.svg()).iter(f"{SVG}text")]


def test_ticks_are_round_and_epochs_whole() -> None:
    found = texts(Plot("IoU", "epoch", {"all": [(1, 0.134), (2, 0.31), (12, 0.577)]}))
    assert found == ["IoU", "epoch", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "5", "10", "all"]


@pytest.mark.parametrize(
    ("value", "ticks"),
    [
        (0.0, ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (3.0, ["2.4", "2.6", "2.8", "3", "3.2", "3.4", "3.6"]),
        (-2.5, ["-4", "-3.5", "-3", "-2.5", "-2", "-1.5", "-1"]),
    ],
)
def test_one_value_is_in_the_middle_of_something(value: float, ticks: list[str]) -> None:
    assert texts(Plot("a", "epoch", {"b": [(1, value)]})) == ["a", "epoch", *ticks, "1", "b"]


def test_a_single_point_can_be_seen() -> None:
    assert Plot("a", "epoch", {"b": [(1, 2.0)]}).svg().count("<circle") == 1
    assert "<circle" not in Plot("a", "step", {"b": [(x, 2.0) for x in range(100)]}).svg()


def test_what_is_no_number_is_left_out() -> None:
    svg = Plot("a", "epoch", {"b": [(1, 2.0), (2, float("nan")), (3, float("inf")), (4, 1.0)]}).svg()
    assert svg.count("<circle") == 2
    assert "nan" not in svg and "inf" not in svg
    assert texts(Plot("a", "epoch", {}))[:2] == ["a", "epoch"]


def test_everything_lies_inside() -> None:
    lines = {name: [(1e-5, 3.0), (1e-3, 1.0), (0.7, 9.1)] for name in ("seen", "without learning")}
    marks = {"fastest 0.001": 1e-3, "cautious 0.0001": 1e-4}
    svg = Plot("rate", "rate", lines, marks=marks, log_x=True).svg()
    points = re.findall(r'points="([^"]*)"', svg)
    for x, y in (map(float, pair.split(",")) for line in points for pair in line.split()):
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    labels = [text for text in ElementTree.fromstring(svg).iter(f"{SVG}text") if text.text in marks]
    assert len({label.get("y") for label in labels}) == 2, "they do not overlap"
