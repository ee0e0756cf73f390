"""Decoding what nobody vouches for: every kind of file that is odd but good, and every kind that is not."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mdeas.pipeline import decode as module
from mdeas.pipeline.decode import BadPictureError, cross_check, decode
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]


def photo(height: int = 40, width: int = 60) -> Pixels:
    """Smooth and coloured, different in every corner: what turning or a wrong profile would show."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 40 + 200 * columns / width
    green = 30 + 180 * rows / height
    blue = 120 + 60 * np.sin(rows / 7) * np.cos(columns / 9)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def cutout(height: int = 40, width: int = 60) -> Pixels:
    """``photo`` with a soft disc as alpha."""
    rows, columns = np.mgrid[0:height, 0:width]
    disc = np.clip(12 - np.hypot(rows - height / 2, columns - width / 2), 0, 4) / 4
    return np.dstack([photo(height, width), (disc * 255).round()]).astype(np.uint8)


def encoded(image: Image.Image | Pixels, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, name, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, bits: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG written by hand, for kinds that Pillow cannot save."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + body + png_chunk(b"IEND", b"")


def rgba16() -> bytes:
    values = (cutout().astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return raw_png(60, 40, 16, 6, rows)


def grey16() -> bytes:
    values = photo()[:, :, 0].astype(np.uint16) * 256 + 17
    return encoded(Image.fromarray(values), "PNG")


def palette_with_transparency() -> bytes:
    image = Image.fromarray(photo()).quantize(32)
    image.info["transparency"] = 0
    return encoded(image, "PNG", transparency=0)


def oriented(orientation: int, name: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 98, "subsampling": 0} if name == "JPEG" else {}
    if name == "WEBP":
        options["lossless"] = True
    return encoded(photo(), name, exif=exif.tobytes(), **options)


def profile(linear: bool = True) -> bytes:
    """An RGB profile that is clearly not sRGB: linear light."""
    created = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if not linear:
        return created
    # Every curve of the profile becomes the identity ("curv" without entries).
    data = bytearray(created)
    for position in range(128 + 4, 128 + 4 + 12 * struct.unpack(">I", data[128:132])[0], 12):
        tag, offset, size = struct.unpack(">4sII", data[position : position + 12])
        if tag in (b"rTRC", b"gTRC", b"bTRC") and size >= 12:
            data[offset : offset + 12] = b"curv\0\0\0\0\0\0\0\0"
            data[position + 8 : position + 12] = struct.pack(">I", 12)
    return bytes(data)


# ---------------------------------------------------------------- odd but good


@pytest.mark.parametrize(
    ("make", "alpha", "told"),
    [
        (lambda: encoded(photo(), "PNG"), False, ""),
        (lambda: encoded(photo(), "BMP"), False, ""),
        (lambda: encoded(photo(), "TIFF"), False, ""),
        (lambda: encoded(photo(), "PPM"), False, ""),
        (lambda: encoded(photo(), "WEBP", lossless=True), False, ""),
        (lambda: encoded(cutout(), "PNG"), True, ""),
        (lambda: encoded(cutout(), "TIFF"), True, ""),
        (lambda: encoded(cutout(), "WEBP", lossless=True, exact=True), True, ""),
        (lambda: rgba16(), True, "16 bits"),
    ],
)
def test_lossless_kinds_keep_every_pixel(make: Callable[[], bytes], alpha: bool, told: str) -> None:
    data = make()
    picture = decode(data)
    cross_check(data)
    assert picture.has_alpha == alpha
    np.testing.assert_array_equal(picture.pixels, cutout() if alpha else photo())
    assert told in " ".join(change.was for change in picture.changes)


@pytest.mark.parametrize(
    ("make", "shape", "told"),
    [
        (lambda: encoded(Image.fromarray(photo()).convert("L"), "JPEG"), 3, "grey"),
        (lambda: encoded(Image.fromarray(photo()).convert("1"), "PNG"), 3, "grey"),
        (lambda: encoded(Image.fromarray(cutout()).convert("LA"), "PNG"), 4, "grey"),
        (grey16, 3, "16 bits"),
        (palette_with_transparency, 4, "palette"),
        (lambda: encoded(Image.fromarray(photo()).quantize(16), "GIF"), 3, "palette"),
        (lambda: encoded(Image.fromarray(photo()).convert("CMYK"), "JPEG", quality=95), 3, "CMYK"),
        (lambda: encoded(photo(), "JPEG", progressive=True), 3, ""),
        (lambda: encoded(photo(), "JPEG") + b"trailing garbage" * 50, 3, ""),
        (lambda: encoded(photo(), "PNG") + b"trailing garbage" * 50, 3, ""),
    ],
)
def test_unusual_modes_are_converted(make: Callable[[], bytes], shape: int, told: str) -> None:
    data = make()
    picture = decode(data)
    cross_check(data)
    assert picture.pixels.dtype == np.uint8 and picture.pixels.shape == (40, 60, shape)
    assert told in " ".join(change.was for change in picture.changes)
    assert picture.pixels[:, :, :3].std() > 20


def test_grey_of_16_bits_takes_the_high_byte() -> None:
    np.testing.assert_array_equal(decode(grey16()).pixels[:, :, 1], photo()[:, :, 0])


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_is_turned_upright(name: str, orientation: int) -> None:
    ways = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
        7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda p: p.transpose(1, 0, 2)[::-1],
    }
    picture = decode(oriented(orientation, name))
    upright = ways[orientation](photo()).astype(int)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels - upright).mean() < 2
    assert picture.changes[0].was == f"EXIF orientation {orientation}"


def test_broken_exif_does_no_harm() -> None:
    picture = decode(encoded(photo(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f rubbish"))
    np.testing.assert_array_equal(picture.pixels, photo())


def test_profile_is_brought_to_srgb() -> None:
    picture = decode(encoded(photo(), "PNG", icc_profile=profile()))
    assert "colour profile" in picture.changes[0].was
    # Linear light of half intensity is much brighter in sRGB: 128 becomes 188.
    middle = np.abs(photo()[:, :, 0].astype(int) - 128) < 3
    assert np.abs(picture.pixels[:, :, 0][middle].astype(int) - 188).max() < 8


def test_alpha_stays_beside_a_profile() -> None:
    picture = decode(encoded(cutout(), "PNG", icc_profile=profile()))
    np.testing.assert_array_equal(picture.pixels[:, :, 3], cutout()[:, :, 3])
    assert picture.pixels[0, 30, 0] > cutout()[0, 30, 0]


@pytest.mark.parametrize("icc", [profile(False), b"no profile at all"])
def test_srgb_and_broken_profiles_leave_colours_alone(icc: bytes) -> None:
    np.testing.assert_array_equal(decode(encoded(photo(), "PNG", icc_profile=icc)).pixels, photo())


def test_a_phone_s_second_view_is_passed_over() -> None:
    data = encoded(photo(), "MPO", save_all=True, append_images=[Image.fromarray(photo()[::-1])])
    assert decode(data).pixels.shape == (40, 60, 3)


# ---------------------------------------------------------------- not to be used


def damaged_png() -> bytes:
    data = bytearray(encoded(photo(), "PNG"))
    data[data.index(b"IDAT") + 30] ^= 4
    return bytes(data)


def interlaced_and_cut() -> bytes:
    full = encoded(Image.fromarray(photo(200, 200)), "PNG")
    return full[: len(full) // 2]


def animation(name: str) -> bytes:
    frames = [Image.fromarray(np.roll(photo(), 5 * step, axis=1)) for step in range(3)]
    return encoded(frames[0], name, save_all=True, append_images=frames[1:])


def huge_png(width: int, height: int) -> bytes:
    return raw_png(width, height, 1, 0, b"\0" * 100)


def noisy(height: int = 120, width: int = 160) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


BAD = {
    "empty": (lambda: b"", "the file is empty"),
    "HTML": (lambda: b"\xef\xbb\xbf\n<!DOCTYPE html><html>404</html>", "a web page"),
    "SVG": (lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "PDF": (lambda: b"%PDF-1.7\n", "a PDF"),
    "JSON": (lambda: b'{"error": "not found"}', "a JSON text"),
    "Photoshop": (lambda: b"8BPS\0\1" + b"\0" * 40, "a Photoshop file"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + b"\0" * 40, "a HEIC photo"),
    "icon": (lambda: encoded(photo(32, 32), "ICO"), "an icon file"),
    "archive": (lambda: b"PK\x03\x04" + b"\0" * 40, "an archive"),
    "text": (lambda: b"hello, world " * 20, "not a picture that can be read"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture that can be"),
    "PNG cut": (lambda: encoded(photo(), "PNG")[:-60], "truncated"),
    "PNG without its end": (lambda: encoded(photo(), "PNG")[:-12], "truncated"),
    "interlaced PNG cut": (interlaced_and_cut, "truncated"),
    "PNG bit flipped": (damaged_png, "wrong checksum of the PNG chunk IDAT"),
    "JPEG cut": (lambda: encoded(noisy(), "JPEG")[:6000], "truncated"),
    "progressive JPEG cut": (lambda: encoded(noisy(), "JPEG", progressive=True)[:6000], "truncated"),
    "WebP cut": (lambda: encoded(noisy(), "WEBP")[:3000], "truncated|damaged"),
    "GIF cut": (lambda: encoded(noisy(), "GIF")[:3000], "truncated|damaged"),
    "BMP cut": (lambda: encoded(noisy(), "BMP")[:3000], "truncated|damaged"),
    "TIFF cut": (lambda: encoded(noisy(), "TIFF")[:3000], "truncated|damaged|not a picture"),
    "animated GIF": (lambda: animation("GIF"), r"animated .*\(3 pictures"),
    "animated WebP": (lambda: animation("WEBP"), r"animated .*\(3 pictures"),
    "animated PNG": (lambda: animation("PNG"), r"animated .*\(3 pictures"),
    "TIFF of pages": (lambda: animation("TIFF"), "animated or with several pages"),
    "bomb": (lambda: huge_png(30_000, 30_000), "more than 100 megapixels"),
    "absurd bomb": (lambda: huge_png(2_000_000_000, 2_000_000_000), "more than 100 megapixels|damaged"),
    "no pixels": (lambda: huge_png(0, 10), "no pixels|damaged|not a picture"),
    "floats": (lambda: encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), "floating-point"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_kinds_are_refused_with_a_reason(kind: str) -> None:
    make, reason = BAD[kind]
    with pytest.raises(BadPictureError, match=reason) as error:
        decode(make())
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_bombs_are_refused_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: object, *_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with pytest.raises(BadPictureError, match="megapixels"):
        decode(huge_png(20_000, 20_000))
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    for name in ("JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        with pytest.raises(BadPictureError, match="60x40 is more than"):
            decode(encoded(photo(), name))


def broken_jpeg() -> bytes:
    data = bytearray(encoded(noisy(), "JPEG", quality=90))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff\xd0" * 20
    return bytes(data)


def test_jpeg_that_the_library_repairs_is_refused(tmp_path: Path) -> None:
    """Only the library's own messages on standard error tell of it."""
    decode(broken_jpeg())  # Pillow takes it
    standard_error = os.dup(2)
    try:
        with (tmp_path / "messages").open("wb+", buffering=0) as messages:
            os.dup2(messages.fileno(), 2)
            with pytest.raises(BadPictureError, match="corrupt JPEG data"):
                cross_check(broken_jpeg(), messages)
            cross_check(encoded(photo(), "JPEG"), messages)  # the message was the other file's
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


@pytest.mark.parametrize(
    "data", [raw_png(60, 40, 8, 2, b"\0" * 181 * 10), b"\x89PNG\r\n\x1a\n" + b"\0" * 100]
)
def test_what_opencv_refuses_is_refused(data: bytes) -> None:
    with pytest.raises(BadPictureError, match="OpenCV cannot decode"):
        cross_check(data)
