"""The review page: a figure for every file, nothing of a file's name taken for HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from mdeas.pipeline import images
from mdeas.pipeline.clean_table import COLUMNS
from mdeas.pipeline.review import CARD_SIDE, picture_card, write_review


class Page(HTMLParser):
    """Collects figures, pictures and their captions; notes tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures: list[dict[str, str | None]] = []
        self.sources: list[str | None] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert [tag for tag in self._open if tag not in ("html", "meta", "img", "p")] == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "figure":
            self.figures.append(dict(attributes))
        if tag == "img":
            self.sources.append(dict(attributes)["src"])
        if tag not in ("img", "meta", "p"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "p":
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def row(**values: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {"kind": "fg", "verdict": "kept"} | values


def test_every_file_has_a_figure_and_names_are_only_text(tmp_path: Path) -> None:
    evil = "<script>alert(\"x\")</script> & 'co'.png"
    rows = [
        row(file=evil, review="review/a b.jpg", cluster="fg-1"),
        row(file="other.png", verdict="fixed", reason="palette", done="converted", cluster="fg-1"),
        row(file="page.png", verdict="rejected", reason="a web page, not a picture"),
        row(file="Thumbs.db", verdict="ignored"),
        row(file="\udcff.png"),
    ]
    write_review(tmp_path / "review.html", rows)
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    assert [figure["data-verdict"] for figure in page.figures] == ["kept", "fixed", "rejected", "kept"]
    assert page.figures[0]["data-name"] == f"fg/{evil}"
    assert page.sources == ["review/a%20b.jpg"]
    assert page.text.count("cluster of 2: fg-1") == 2
    assert "palette → converted" in page.text and "kept (2)" in page.text and "rejected (1)" in page.text


@pytest.mark.parametrize(("height", "width"), [(40, 60), (2000, 900), (3, 5000), (1, 1)])
@pytest.mark.parametrize("channels", [3, 4])
def test_cards_have_one_size(height: int, width: int, channels: int) -> None:
    pixels = np.full((height, width, channels), 90, np.uint8)
    before = images.decode_jpeg(picture_card(pixels, None))
    assert before.shape == (CARD_SIDE, CARD_SIDE, 3)
    assert images.decode_jpeg(picture_card(pixels, pixels)).shape == (CARD_SIDE, 2 * CARD_SIDE, 3)


def test_a_card_shows_transparency_before_and_black_and_white_after() -> None:
    rgba = np.zeros((100, 100, 4), np.uint8)
    rgba[40:60, 40:60] = [250, 30, 30, 255]
    card = images.decode_jpeg(picture_card(rgba, rgba)).astype(int)
    assert np.abs(card[80, 80] - [250, 30, 30]).max() < 40
    assert card[10, CARD_SIDE + 10].max() < 50 and card[10, 2 * CARD_SIDE - 10].min() > 230
    assert cv2.cvtColor(card[:20, :20].astype(np.uint8), cv2.COLOR_RGB2GRAY).std() > 5
