"""Raw pictures of every kind that people have: how each is made, and what ``clean`` should say of it."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def draw_object(seed: int, height: int = 150, width: int = 200) -> Pixels:
    """A blob with soft edges and patches of colour in wide margins; every seed looks different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    angle = np.arctan2(rows - height / 2, columns - width / 2)
    distance = np.hypot(rows - height / 2, columns - width / 2)
    waves = sum(rng.uniform(-0.12, 0.12) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 6))
    alpha = np.clip((0.34 * height * (1 + waves) - distance) / 4 + 0.5, 0, 1)
    patches = cv2.resize(rng.integers(20, 236, (5, 6, 3)).astype(np.uint8), (width, height))
    return np.dstack([patches, (alpha * 255).round()]).astype(np.uint8)


def draw_room(seed: int, height: int = 260, width: int = 340) -> Pixels:
    """Coarse patches of colour with grain: different for every seed, with a hash of its own."""
    rng = np.random.default_rng(1000 + seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (width, height))
    return np.clip(coarse + rng.normal(0, 3, coarse.shape), 0, 255).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, name: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rgba16(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in (pixels.astype(np.uint16) * 257).astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(3751 * 30_000), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def flipped(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 200
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def with_alpha(pixels: Pixels, alpha: Any) -> Pixels:
    return np.dstack([pixels[:, :, :3], np.broadcast_to(np.asarray(alpha, np.uint8), pixels.shape[:2])])


def animation(name: str, seed: int) -> bytes:
    frames = [Image.fromarray(draw_object(seed + step)) for step in range(3)]
    return encoded(frames[0], name, save_all=True, append_images=frames[1:])


def palette(seed: int) -> bytes:
    rgba = draw_object(seed)
    image = Image.fromarray(rgba[:, :, :3]).quantize(255)
    indices = np.asarray(image).copy()
    indices[rgba[:, :, 3] < 128] = 255
    replaced = Image.fromarray(indices, "P")
    replaced.putpalette([*(image.getpalette() or [])[:765], 0, 0, 0])
    return encoded(replaced, "PNG", transparency=255)


def premultiplied(seed: int) -> Pixels:
    rgba = draw_object(seed)
    rgba[:, :, :3] = np.maximum(rgba[:, :, :3], 150)
    return with_alpha((rgba[:, :, :3] * (rgba[:, :, 3:] / 255)).round().astype(np.uint8), rgba[:, :, 3])


def in_corner(seed: int) -> Pixels:
    canvas = np.zeros((900, 1000, 4), np.uint8)
    canvas[-70:-10, -90:-10] = cv2.resize(draw_object(seed), (80, 60), interpolation=cv2.INTER_AREA)
    return canvas


def checkerboard(seed: int) -> Pixels:
    rgba = draw_object(seed)
    rows, columns = np.mgrid[0:150, 0:200] // 8
    board = np.where((rows + columns) % 2, 255, 204)[..., None].astype(np.float64)
    alpha = rgba[:, :, 3:] / 255
    return (rgba[:, :, :3] * alpha + board * (1 - alpha)).round().astype(np.uint8)


def specks(seed: int) -> Pixels:
    alpha = np.zeros((150, 200), np.uint8)
    alpha[np.random.default_rng(seed).integers(0, 150, 12), np.arange(12) * 16] = 255
    return with_alpha(draw_object(seed), alpha)


def cmyk(seed: int) -> bytes:
    return encoded(Image.fromarray(draw_room(seed)).convert("CMYK"), "JPEG", quality=92)


def sideways(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(draw_room(seed)).copy(), "JPEG", quality=95, exif=exif.tobytes())


BRIGHTER = np.array([6, 6, 6, 0])
# Name, bytes, verdicts that are right, what the reason must say.
FOREGROUNDS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "good.png": (lambda: encoded(draw_object(0)), "kept", ""),
    "second.png": (lambda: encoded(draw_object(1)), "kept", ""),
    "third.webp": (lambda: encoded(draw_object(2), "WEBP", lossless=True, exact=True), "kept", ""),
    "two objects.png": (lambda: encoded(np.hstack([draw_object(3), draw_object(4)])), "kept", ""),
    "no_alpha_rgb.png": (lambda: encoded(draw_object(5)[:, :, :3]), "rejected", "opaque: no alpha"),
    "alpha_all_255.png": (lambda: encoded(with_alpha(draw_object(6), 255)), "rejected", "opaque"),
    "alpha_254.png": (lambda: encoded(with_alpha(draw_object(7), 254)), "rejected", "opaque"),
    "alpha_all_0.png": (lambda: encoded(with_alpha(draw_object(8), 0)), "rejected", "empty"),
    "alpha_0_1.png": (
        lambda: encoded(with_alpha(draw_object(9), draw_object(9)[:, :, 3] > 127)),
        "fixed",
        "alpha stored as 0 and 1",
    ),
    "tiny.png": (lambda: encoded(cv2.resize(draw_object(10), (12, 9))), "rejected", "too small"),
    "truncated.png": (lambda: encoded(draw_object(11))[:-3000], "rejected", "truncated"),
    "corrupt_idat.png": (lambda: flipped(encoded(draw_object(12))), "rejected", "damaged"),
    "palette_trns.png": (lambda: palette(13), "fixed", "palette"),
    "rgba16.png": (lambda: rgba16(draw_object(14)), "fixed", "16 bits"),
    "gray_alpha.png": (lambda: encoded(Image.fromarray(draw_object(15)).convert("LA")), "fixed", "grey"),
    "alpha_specks.png": (lambda: encoded(specks(16)), "rejected", "only specks"),
    "alpha_haze.png": (
        lambda: encoded(with_alpha(draw_object(17), np.maximum(draw_object(17)[:, :, 3], 3))),
        "fixed",
        "haze",
    ),
    "huge_margin.png": (lambda: encoded(in_corner(18)), "fixed", "of the canvas"),
    "premultiplied.png": (lambda: encoded(premultiplied(19)), "fixed", "premultiplied"),
    "inverted_alpha.png": (
        lambda: encoded(with_alpha(draw_object(20), 255 - draw_object(20)[:, :, 3])),
        "rejected",
        "inverted",
    ),
    "fake.png": (lambda: encoded(checkerboard(21)), "rejected", "fake transparency"),
    "fake_alpha.png": (
        lambda: encoded(with_alpha(checkerboard(22), 255)),
        "rejected",
        "fake transparency",
    ),
    "good (1).png": (lambda: encoded(draw_object(0)), "rejected", "the same bytes as good.png"),
    "resized.png": (
        lambda: encoded(cv2.resize(draw_object(1), (140, 105), interpolation=cv2.INTER_AREA)),
        "rejected",
        "a near-duplicate of second.png",
    ),
    "reencoded.webp": (
        lambda: encoded((draw_object(0) + BRIGHTER).clip(0, 255).astype(np.uint8), "WEBP", quality=80),
        "rejected",
        "a near-duplicate of good.png",
    ),
    "mirrored.png": (lambda: encoded(draw_object(1)[:, ::-1].copy()), "kept", ""),
    "animated.gif": (lambda: animation("GIF", 30), "rejected", "animated"),
    "animated.webp": (lambda: animation("WEBP", 33), "rejected", "animated"),
    "animated.png": (lambda: animation("PNG", 36), "rejected", "animated"),
    "html.png": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "rejected", "web page"),
    "drawing.png": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "rejected", "SVG"),
    "drawing.svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/> ', "rejected", "SVG"),
    "zero_byte.png": (lambda: b"", "rejected", "empty"),
    "bomb.png": (bomb, "rejected", "more than 100 megapixels"),
    'naïve name (2), "quoted".PNG': (lambda: encoded(draw_object(40)), "kept", ""),
    "no extension": (lambda: encoded(draw_object(41)), "kept", ""),
    "really a gif.jpg": (lambda: palette(42), "fixed", "palette"),
    "n" * 240 + ".png": (lambda: encoded(draw_object(43)), "kept", ""),
    "same.png": (lambda: encoded(draw_object(44)), "kept", ""),
    "SAME.PNG": (lambda: encoded(draw_object(45)), "kept", ""),
    "Thumbs.db": (lambda: b"not a picture", "ignored", "not a picture"),
    "notes.txt": (lambda: b"hello", "ignored", "not a picture"),
    ".hidden.png": (lambda: encoded(draw_object(46)), "ignored", "hidden"),
}
BACKGROUNDS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "room.jpg": (lambda: encoded(draw_room(0), "JPEG", quality=95), "kept", ""),
    "hall.png": (lambda: encoded(draw_room(1)), "kept", ""),
    "cmyk.jpg": (lambda: cmyk(2), "fixed", "CMYK"),
    "exif_orientation_6.jpg": (lambda: sideways(3), "fixed", "EXIF orientation 6"),
    "gray_bg.jpg": (lambda: encoded(Image.fromarray(draw_room(4)).convert("L"), "JPEG"), "fixed", "grey"),
    "jpeg_named.png": (lambda: encoded(draw_room(5), "JPEG"), "kept", ""),
    "opaque_alpha.png": (lambda: encoded(with_alpha(draw_room(6), 255)), "fixed", "alpha channel"),
    "letterbox.png": (
        lambda: encoded(np.pad(draw_room(7), ((60, 60), (0, 0), (0, 0)))),
        "fixed",
        "bars along",
    ),
    "dup_bg_reencoded.jpg": (
        lambda: encoded(Image.fromarray(draw_room(0)).resize((300, 230)), "JPEG", quality=55),
        "rejected",
        "a near-duplicate of room.jpg",
    ),
    "too_small_bg.jpg": (lambda: encoded(draw_room(8, 120, 180), "JPEG"), "rejected", "too small"),
    "extreme_aspect.jpg": (lambda: encoded(draw_room(9, 240, 1600), "JPEG"), "rejected", "too long"),
    "truncated.jpg": (lambda: encoded(draw_room(10), "JPEG")[:6000], "rejected", "truncated"),
    "flat_black.jpg": (lambda: encoded(np.zeros((480, 640, 3), np.uint8), "JPEG"), "rejected", "flat"),
    "cut_out.png": (lambda: encoded(draw_object(50, 300, 300)), "rejected", "transparent"),
    "16bit.png": (
        lambda: encoded(Image.fromarray(draw_room(11)[:, :, 0].astype(np.uint16) * 256)),
        "fixed",
        "16 bits",
    ),
    "pages.tif": (
        lambda: encoded(draw_room(12), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        "rejected",
        "several pages",
    ),
}


def write_raw(root: Path) -> Path:
    """Every picture in ``root/fg`` or ``root/bg``, odd entries of folders beside them; returns ``root``."""
    for kind, files in (("fg", FOREGROUNDS), ("bg", BACKGROUNDS)):
        (root / kind).mkdir(parents=True)
        for name, (make, _, _) in files.items():
            (root / kind / name).write_bytes(make())
    (root / "fg" / "folder.png").mkdir()
    (root / "fg" / "nowhere.png").symlink_to("not there")
    os.mkfifo(root / "bg" / "pipe.png")
    ledger = [
        {"file": "good.png", "url": "https://example.org/g", "author": "A. Person", "licence": "by"},
        {
            "file": "second.png",
            "url": "https://example.org/s",
            "licence": "cc0",
            "page": "https://example.org",
        },
    ]
    (root / "fg" / "assets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ledger))
    return root
