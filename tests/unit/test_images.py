"""Pictures of every kind are converted or refused with a reason; blending and resizing are exact."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import images
from numpy.typing import NDArray
from PIL import Image


def cutout(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """An orange ellipse on transparent blue, with soft edges."""
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot((rows - height / 2) / (height * 0.4), (columns - width / 2) / (width * 0.4))
    alpha = np.clip((1 - distance) * 6, 0, 1)
    rgb = np.where(alpha[..., None] > 0, [240, 140, 20], [0, 0, 255])
    return np.dstack([rgb, alpha * 255]).round().astype(np.uint8)


def photo(height: int = 90, width: int = 120) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


# ---------------------------------------------------------------- foregrounds


def test_foreground_is_trimmed_to_what_is_visible(tmp_path: Path) -> None:
    wide = np.zeros((300, 400, 4), np.uint8)
    wide[200:260, 310:390] = cutout()
    wide[5, 5, 3] = images.HAZE_ALPHA  # a breath of haze far away
    Image.fromarray(wide).save(tmp_path / "far corner.png")
    rgba = images.read_foreground(tmp_path / "far corner.png")
    assert np.array_equal(rgba, images.trim(cutout()))
    assert (rgba[:, :, 3].max(axis=0) > images.HAZE_ALPHA).all()


@pytest.mark.parametrize("mode", ["LA", "PA", "P"])
def test_other_modes_with_alpha_are_converted(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(cutout())
    if mode == "P":
        converted = image.convert("RGB").quantize(64)
        values = np.array(converted)
        values[cutout()[:, :, 3] < 128] = 64
        palette = Image.fromarray(values, mode="P")
        palette.putpalette([*(converted.getpalette() or []), *[0] * 195])
        palette.save(tmp_path / "cut.png", transparency=64)
    elif mode == "PA":
        image.convert("PA").convert("RGBA").save(tmp_path / "cut.png")
    else:
        image.convert("LA").save(tmp_path / "cut.png")
    rgba = images.read_foreground(tmp_path / "cut.png")
    assert rgba.shape[2] == 4
    assert rgba[:, :, 3].max() == 255
    assert rgba[0, 0, 3] == 0


def test_sixteen_bits_are_reduced(tmp_path: Path) -> None:
    wide = cutout().astype(np.uint16) * 257
    data = cv2.imencode(".png", cv2.cvtColor(wide, cv2.COLOR_RGBA2BGRA))[1]
    (tmp_path / "wide.png").write_bytes(bytes(data))
    assert np.array_equal(images.read_foreground(tmp_path / "wide.png"), images.trim(cutout()))


def _opaque() -> NDArray[np.uint8]:
    return np.dstack([photo(), np.full((90, 120), 255, np.uint8)])


def _with_alpha(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([photo(*alpha.shape), alpha])


def _inverted() -> NDArray[np.uint8]:
    pixels = cutout()
    pixels[:, :, 3] = 255 - pixels[:, :, 3]
    return pixels


def _haze() -> NDArray[np.uint8]:
    pixels = cutout()
    pixels[:, :, 3] = np.maximum(pixels[:, :, 3], 3)
    return pixels


def _specks() -> NDArray[np.uint8]:
    alpha = np.zeros((90, 120), np.uint8)
    alpha[::30, ::40] = 255
    return _with_alpha(alpha)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (photo(), "no alpha channel"),
        (_opaque(), "alpha is 255 everywhere"),
        (_with_alpha(np.zeros((90, 120), np.uint8)), "alpha is 0 everywhere"),
        (_haze(), r"alpha is never 0 \(least 3\)"),
        (_inverted(), "opaque along the whole border"),
        (_specks(), "only specks: 9 pixels"),
        (cutout(9, 12), "too small: the object is 9x8"),
    ],
)
def test_what_is_no_cutout_is_refused(tmp_path: Path, pixels: NDArray[np.uint8], reason: str) -> None:
    Image.fromarray(pixels).save(tmp_path / "bad.png")
    with pytest.raises(MdeasError, match=reason) as caught:
        images.read_foreground(tmp_path / "bad.png")
    assert str(tmp_path / "bad.png") in str(caught.value)


# ---------------------------------------------------------------- files


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def _flipped_byte() -> bytes:
    data = bytearray(_png(photo()))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


def _bomb() -> bytes:
    """The header of a 1-bit PNG of 30,000 x 30,000 with nothing behind it."""
    data = bytearray(images.encode_mask(np.zeros((8, 8), np.uint8)))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def _animation(extension: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.roll(photo(), shift, axis=1)) for shift in (0, 10, 20)]
    frames[0].save(buffer, extension, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page, not a picture"),
        (_png(photo())[:-2000], "truncated"),
        (_jpeg(photo())[:-2000], "truncated"),
        (_flipped_byte(), "damaged picture"),
        (_bomb(), "more than 100 megapixels"),
        (_animation("GIF"), "animated or with several pages"),
        (_animation("WEBP"), "animated or with several pages"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "not a picture|damaged|truncated"),
    ],
)
@pytest.mark.parametrize("read", [images.read_foreground, images.read_background])
def test_unreadable_files_are_refused(tmp_path: Path, data: bytes, reason: str, read: object) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with pytest.raises(MdeasError, match=reason):
        read(path)  # type: ignore[operator]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match=r"No such file.*gone\.png"):
        images.read_background(tmp_path / "gone.png")


# ---------------------------------------------------------------- backgrounds


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB", "1"])
def test_backgrounds_of_other_modes_are_converted(tmp_path: Path, mode: str) -> None:
    Image.fromarray(photo()).convert(mode).save(tmp_path / "room.tif")
    assert images.read_background(tmp_path / "room.tif").shape == (90, 120, 3)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    values = np.tile(np.linspace(0, 65535, 120).astype(np.uint16), (90, 1))
    Image.fromarray(values).save(tmp_path / "grey.png")
    rgb = images.read_background(tmp_path / "grey.png")
    assert np.array_equal(rgb[:, :, 0], values >> 8)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo()).save(tmp_path / "side.png", exif=exif)
    assert np.array_equal(images.read_background(tmp_path / "side.png"), np.rot90(photo(), -1))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (photo(50, 60), "60x50 is smaller than 64x64"),
        (photo(70, 300), "300x70 is too long and narrow"),
        (cutout(100, 100), "has transparent pixels"),
    ],
)
def test_what_is_no_background_is_refused(tmp_path: Path, pixels: NDArray[np.uint8], reason: str) -> None:
    Image.fromarray(pixels).save(tmp_path / "bad.png")
    with pytest.raises(MdeasError, match=reason):
        images.read_background(tmp_path / "bad.png", min_side=64)


def test_square_takes_the_middle() -> None:
    rgb = np.zeros((40, 100, 3), np.uint8)
    rgb[:, 30:70] = 200
    assert (images.square(rgb, 20) == 200).all()
    assert images.square(rgb, 40).shape == (40, 40, 3)
    assert images.square(rgb, 64).shape == (64, 64, 3)


# ---------------------------------------------------------------- resizing and blending


@pytest.mark.parametrize(("width", "height"), [(40, 30), (33, 21), (160, 120), (80, 10), (1, 1)])
def test_hidden_colours_never_bleed(width: int, height: int) -> None:
    """The cut-out is orange (no blue above 20) on transparent blue."""
    resized = images.resize_rgba(cutout(), width, height)
    assert resized.shape == (height, width, 4)
    visible = resized[resized[:, :, 3] > 3]
    assert len(visible)
    assert visible[:, 2].max() <= 22
    assert visible[:, 0].min() >= 235


def test_paste_is_exact_to_rounding() -> None:
    alpha, fg = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.dstack([fg, fg, fg, alpha])
    for value in (0, 1, 127, 254, 255):
        bg = np.full((256, 256, 3), value, np.uint8)
        exact = np.rint((alpha.astype(float) * fg + (255.0 - alpha) * value) / 255)
        assert np.array_equal(images.paste(bg, rgba, 0, 0)[:, :, 1], exact)


def test_paste_leaves_the_rest_alone() -> None:
    bg, rgba = photo(), cutout(20, 30)
    before = bg.copy()
    pasted = images.paste(bg, rgba, 90, 70)
    assert np.array_equal(bg, before)
    changed = (pasted != bg).any(axis=2)
    assert not changed[:70].any()
    assert not changed[:, :90].any()
    assert changed.any()
    with pytest.raises(ValueError, match="inside 120x90, got 30x20 at 91,70"):
        images.paste(bg, rgba, 91, 70)


# ---------------------------------------------------------------- codecs


def test_lossless_codecs_round_trip() -> None:
    rgb = photo(37, 41)
    assert np.array_equal(images.decode_png(images.encode_png(rgb)), rgb)
    depth = np.random.default_rng(2).integers(0, 65536, (37, 41), np.uint16)
    assert np.array_equal(images.decode_gray16(images.encode_gray16(depth)), depth)


def test_jpeg_keeps_the_channel_order() -> None:
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[:] = [250, 120, 10]
    assert np.abs(images.decode_jpeg(images.encode_jpeg(rgb, 95)).astype(int) - rgb).max() <= 4


def test_masks_are_small_one_bit_pngs() -> None:
    rows, columns = np.mgrid[0:224, 0:224]
    mask = np.where(np.hypot(rows - 100, columns - 120) < 55, 255, 0).astype(np.uint8)
    data = images.encode_mask(mask)
    image = Image.open(io.BytesIO(data))
    assert (image.mode, image.size) == ("1", (224, 224))
    assert np.array_equal(np.array(image), mask > 0)
    assert np.array_equal(images.decode_mask(data), mask)
    assert len(data) < 450


def test_masks_of_other_writers_can_be_read() -> None:
    mask = np.where(photo(30, 37)[:, :, 0] > 127, 255, 0).astype(np.uint8)
    for mode in ("1", "L"):
        buffer = io.BytesIO()
        Image.fromarray(mask).convert(mode).save(buffer, "PNG")
        assert np.array_equal(images.decode_mask(buffer.getvalue()), mask)


def test_damaged_data_is_an_error_not_a_picture() -> None:
    data = images.encode_mask(np.full((30, 30), 255, np.uint8))
    for decode in (images.decode_jpeg, images.decode_png, images.decode_mask, images.decode_gray16):
        with pytest.raises(MdeasError, match="damaged"):
            decode(b"")
        with pytest.raises(MdeasError, match="damaged"):
            decode(data[:20])
    with pytest.raises(MdeasError, match="no 16-bit grey PNG"):
        images.decode_gray16(data)
    with pytest.raises(ValueError, match="uint16"):
        images.encode_gray16(photo())  # type: ignore[arg-type]
