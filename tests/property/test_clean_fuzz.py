"""Mutated pictures through the cleaner: no crash, no hang, nothing accepted that two decoders cannot read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mdeas.pipeline.clean import clean
from mdeas.pipeline.decode import BadPictureError, decode
from mdeas.pipeline.options import CleanConfig
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def seeds() -> list[bytes]:
    """A small picture of every format and mode."""
    rng = np.random.default_rng(0)
    side = 72
    rgb = cv2.resize(rng.integers(0, 256, (5, 5, 3)).astype(np.uint8), (side, side))
    rows, columns = np.mgrid[0:side, 0:side]
    alpha = np.clip((26 - np.hypot(rows - 36, columns - 36)) * 60, 0, 255).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    photo = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112] = 6
    made: list[tuple[Image.Image, str, dict[str, object]]] = [
        (rgba, "PNG", {}),
        (rgba.convert("LA"), "PNG", {}),
        (photo, "PNG", {"exif": exif.tobytes()}),
        (photo.quantize(16), "PNG", {"transparency": 0}),
        (photo.convert("1"), "PNG", {}),
        (Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 256), "PNG", {}),
        (photo, "JPEG", {"exif": exif.tobytes()}),
        (photo, "JPEG", {"progressive": True}),
        (photo.convert("L"), "JPEG", {}),
        (photo.convert("CMYK"), "JPEG", {}),
        (rgba, "WEBP", {}),
        (rgba, "WEBP", {"lossless": True}),
        (photo.quantize(16), "GIF", {}),
        (photo, "BMP", {}),
        (rgba, "BMP", {}),
        (rgba, "TIFF", {}),
        (photo, "TIFF", {"compression": "tiff_lzw"}),
        (photo, "TIFF", {"compression": "jpeg"}),
        (photo, "PPM", {}),
        (rgba, "JPEG2000", {}),
        (rgba, "AVIF", {}),
        (photo, "GIF", {"save_all": True, "append_images": [photo.rotate(90)]}),
        (rgba, "PNG", {"save_all": True, "append_images": [rgba.rotate(90)]}),
    ]
    encoded = []
    for image, name, options in made:
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        encoded.append(buffer.getvalue())
    return encoded


def flip(data: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    for position in rng.integers(0, len(data), rng.integers(1, 9)):
        data[position] ^= 1 << int(rng.integers(8))
    return data


def flip_header(data: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    for position in rng.integers(0, min(len(data), 80), rng.integers(1, 4)):
        data[position] = int(rng.choice([0, 1, 127, 128, 254, 255, rng.integers(256)]))
    return data


def cut(data: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def take_out(data: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:first] + data[last:]


def splice(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    other = others[int(rng.integers(len(others)))]
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(len(other))) :]


def repeat(data: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:last] + data[first:last] + data[last:]


MUTATIONS: list[Callable[[bytearray, np.random.Generator, list[bytes]], bytearray]] = [
    flip,
    flip,
    flip_header,
    cut,
    take_out,
    splice,
    repeat,
]


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """``count`` mutated pictures, the same for every run with this seed."""
    rng = np.random.default_rng(seed)
    originals = seeds()
    for _ in range(count):
        data = bytearray(originals[int(rng.integers(len(originals)))])
        for _ in range(int(rng.integers(1, 3))):
            if data:
                data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng, originals)
        yield bytes(data)


def check(count: int, seed: int, folder: Path) -> tuple[int, int]:
    """Clean ``count`` mutants, as cut-outs and as photos by turns; accepted and crashed ones."""
    for kind in ("fg", "bg"):
        (folder / kind).mkdir()
    (folder / "fg" / "whole.png").write_bytes(seeds()[0])
    for number, data in enumerate(mutants(count, seed)):
        (folder / ("fg", "bg")[number % 2] / f"{number:06d}.png").write_bytes(data)
    options = CleanConfig(
        fg=folder / "fg", bg=folder / "bg", out=folder / "data", jobs=1, bg_min_side=16, duplicate_bits=-1
    )
    report = clean(options)
    assert report.files == count + 1
    accepted = crashed = 0
    with (folder / "data" / "clean.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        kind, file, verdict, reason = row["kind"], row["file"], row["verdict"], row["reason"]
        assert verdict in ("kept", "fixed", "rejected") and (reason or verdict == "kept")
        crashed += "crashed" in reason or "longer than" in reason
        if verdict != "rejected":
            accepted += 1
            for path in (folder / kind / file, folder / "data" / kind / file):
                data = path.read_bytes()
                with Image.open(io.BytesIO(data)) as image:
                    image.load()
                assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    return accepted, crashed


def test_seeds_are_good() -> None:
    animated = 0
    for data in seeds():
        try:
            assert decode(data).pixels.shape[:2] == (72, 72)
        except BadPictureError as error:
            assert "animated" in str(error)
            animated += 1
    assert animated == 2


def test_mutated_pictures(tmp_path: Path) -> None:
    accepted, crashed = check(300, seed=1, folder=tmp_path)
    assert 0 < accepted < 150 and crashed == 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_thousand_mutated_pictures(tmp_path: Path) -> None:
    accepted, crashed = check(20_000, seed=2, folder=tmp_path)
    print(f"accepted {accepted} of 20,000; decoders crashed on {crashed}")
    assert 0 < accepted < 10_000 and crashed == 0
