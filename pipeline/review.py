"""``review.html``: every picture before and after cleaning, side by side with its verdict, for the eye.

The page needs no network and no server: small pictures lie beside it. A click on a picture writes the
line for ``keep.txt`` or ``drop.txt`` into a box to copy.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from . import images
from .manifest import printable, write_bytes

CARD_SIDE = 160
_QUALITY = 82
_CELL = 8
_BOARD = (205, 235)
# Halos show against black or against white: one half of the "after" each.
_DARK, _LIGHT = 25, 245


def picture_card(before: images.Pixels, after: images.Pixels | None) -> bytes:
    """JPEG of a picture before cleaning, over a checkerboard, and after, over black and white."""
    left = _fit(before)
    rows, columns = np.mgrid[0:CARD_SIDE, 0:CARD_SIDE] // _CELL
    board = np.where((rows + columns) % 2, *_BOARD)[..., None].repeat(3, axis=2).astype(np.uint8)
    card = [_centred(board, left)]
    if after is not None:
        ground = np.full((CARD_SIDE, CARD_SIDE, 3), _LIGHT, np.uint8)
        ground[:, : CARD_SIDE // 2] = _DARK
        card.append(_centred(ground, _fit(after)))
    return images.encode_jpeg(np.ascontiguousarray(np.hstack(card)), _QUALITY)


def _fit(pixels: images.Pixels) -> images.Pixels:
    """The picture shrunk to fit a card, never enlarged. Every n-th pixel will do for a glance."""
    step = max(1, max(pixels.shape[:2]) // (2 * CARD_SIDE))
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    height, width = pixels.shape[:2]
    size = images.fit(width, height, min(max(height, width), CARD_SIDE))
    if pixels.shape[2] == 4:
        return images.resize_rgba(pixels, *size)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _centred(ground: images.Pixels, pixels: images.Pixels) -> images.Pixels:
    height, width = pixels.shape[:2]
    left, top = (CARD_SIDE - width) // 2, (CARD_SIDE - height) // 2
    if pixels.shape[2] == 4:
        return images.paste(ground, pixels, left, top)
    ground[top : top + height, left : left + width] = pixels
    return ground


def write_review(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write the page for the rows of ``clean.csv``; the pictures that they name must lie beside it."""
    rows = [row for row in rows if row["verdict"] != "ignored"]
    counts = Counter(row["verdict"] for row in rows)
    sizes = Counter(row["cluster"] for row in rows if row["cluster"])
    tabs = "".join(
        f'<button data-verdict="{verdict}">{verdict} ({counts[verdict]:,})</button>'
        for verdict in ("kept", "fixed", "rejected")
    )
    figures = "\n".join(_figure(row, sizes[row["cluster"]]) for row in rows)
    write_bytes(path, _PAGE.replace("{tabs}", tabs).replace("{figures}", figures).encode())


def _figure(row: Mapping[str, str], cluster_size: int) -> str:
    name = f"{row['kind']}/{row['file']}"
    reason, done = html.escape(printable(row["reason"])), html.escape(row["done"])
    cluster = f" <i>cluster of {cluster_size}: {row['cluster']}</i>" if cluster_size > 1 else ""
    picture = (
        f'<img loading="lazy" src="{quote(row["review"])}" alt="">'
        if row["review"]
        else "<div>no picture</div>"
    )
    shown = html.escape(printable(name), quote=True)
    return (
        f'<figure class="{row["verdict"]}" data-verdict="{row["verdict"]}" data-name="{shown}">{picture}'
        f"<figcaption><b>{shown}</b> <em>{row['verdict']}</em> {reason}"
        f"{' &rarr; ' if reason and done else ''}{done}{cluster}</figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Pictures: kept, fixed, rejected</title>
<style>
body { font: 13px/1.35 system-ui, sans-serif; margin: 1rem; background: #fafafa; color: #222 }
header { position: sticky; top: 0; background: #fafafa; padding: .4rem 0; z-index: 1 }
button { font: inherit; padding: .25rem .7rem; margin-right: .3rem; cursor: pointer }
button.on { background: #222; color: #fff }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: .6rem }
figure { margin: 0; padding: .4rem; background: #fff; border-left: 5px solid; cursor: pointer; min-width: 0 }
figure.kept { border-color: #2a9d4a } figure.fixed { border-color: #2a6fd0 }
figure.rejected { border-color: #c9302c }
figure.chosen { outline: 3px solid #e8a200 }
figure img { max-width: 100%; height: 160px }
figure div { height: 160px; color: #999; line-height: 160px; text-align: center }
figcaption { overflow-wrap: anywhere } em { color: #777 } i { color: #8a5a00 }
textarea { width: 48%; height: 5rem; font: 12px monospace }
</style>
<header><button data-verdict="" class="on">all</button>{tabs}
<p>Left: as it came. Right: as it is used, over black and white. A click puts a picture on the list that
changes its verdict; copy the lists into keep.txt and drop.txt beside this page and run
<code>mdeas clean</code> again.</p>
<textarea id="keep" placeholder="keep.txt" readonly></textarea>
<textarea id="drop" placeholder="drop.txt" readonly></textarea></header>
<main>
{figures}
</main>
<script>
const figures = [...document.querySelectorAll("figure")], buttons = [...document.querySelectorAll("button")];
for (const button of buttons) button.onclick = () => {
  buttons.forEach(other => other.classList.toggle("on", other === button));
  const verdict = button.dataset.verdict;
  figures.forEach(figure => figure.hidden = verdict && figure.dataset.verdict !== verdict);
};
const list = wanted => figures.filter(f => f.classList.contains("chosen") && wanted(f.dataset.verdict))
  .map(f => f.dataset.name).join("\\n");
for (const figure of figures) figure.onclick = () => {
  figure.classList.toggle("chosen");
  document.getElementById("keep").value = list(verdict => verdict === "rejected");
  document.getElementById("drop").value = list(verdict => verdict !== "rejected");
};
</script></html>
"""
