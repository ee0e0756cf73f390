"""Draws the bundled pictures: ``python -m mdeas.data.draw OUT`` writes OUT/fg/*.png and OUT/bg/*.jpg."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from ..scenes.exhibits import EXHIBITS
from ..scenes.gallery import draw_exhibit, draw_fine_room

LONGEST_SIDE = 360
HEIGHT, WIDTH = 360, 480
JPEG_QUALITY = 92
PASSES = 64

# Which room of each kind: chosen by eye.
ROOMS = {
    "living_room": 14,
    "bedroom": 23,
    "office": 9,
    "kitchen": 14,
    "bathroom": 28,
    "corridor": 5,
    "hall": 21,
    "lounge": 20,
    "classroom": 3,
    "stairwell": 11,
    "library": 14,
    "street": 47,
}


def draw_foreground(name: str, folder: Path, longest_side: int = LONGEST_SIDE, passes: int = PASSES) -> Path:
    """Writes one cut-out, straight alpha, as PNG."""
    path = folder / f"{name}.png"
    Image.fromarray(draw_exhibit(name, longest_side, passes)).save(path, optimize=True)
    return path


def draw_background(
    name: str, folder: Path, height: int = HEIGHT, width: int = WIDTH, passes: int = PASSES
) -> Path:
    """Writes one room as JPEG."""
    path = folder / f"{name}.jpg"
    picture, _ = draw_fine_room(name, ROOMS[name], height, width, passes)
    Image.fromarray(picture).save(path, quality=JPEG_QUALITY, optimize=True)
    return path


def draw_all(out: Path) -> list[Path]:
    """Writes every bundled picture below ``out``; about two minutes on one core."""
    foregrounds, backgrounds = out / "fg", out / "bg"
    for folder in (foregrounds, backgrounds):
        folder.mkdir(parents=True, exist_ok=True)
    return [
        *(draw_foreground(name, foregrounds) for name in EXHIBITS),
        *(draw_background(name, backgrounds) for name in ROOMS),
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draws the bundled cut-outs and rooms again.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write fg/ and bg/ into")
    draw_all(parser.parse_args().out)


if __name__ == "__main__":
    main()
