"""Decode, check, resize, blend and encode pictures: arrays in, arrays out.

Arrays are (H, W, C) uint8 in RGB or RGBA order; OpenCV's BGR is left to this module and ``canvas``. The
pictures of users are decoded in ``decode.py`` (exact modes, clear errors), those of a data set here (speed).
"""

from __future__ import annotations

import functools
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from . import png
from .decode import BadPictureError, cross_check, decode

Pixels = NDArray[np.uint8]
File = bytes | memoryview  # the bytes of one
Premultiplied = NDArray[np.uint16]

# Fainter than 3 % opacity is haze left by a matting tool, not part of the object: trimming ignores it.
HAZE_ALPHA = 7
# Objects with fewer visible pixels, a shorter longest side, or a thinner share of their box are stray specks.
MIN_FOREGROUND_SIDE = 16
MIN_FOREGROUND_PIXELS = 64
MIN_FOREGROUND_SHARE = 0.005
# An inverted matte is opaque nearly all along the border of the canvas; a cut-out touches it here and there.
MAX_BORDER_SHARE = 0.9
MAX_BACKGROUND_ASPECT = 4.0

# With 4:2:0 chroma a JPEG is coded in squares of this side.
JPEG_BLOCK = 16


def _fail(path: Path, reason: str) -> MdeasError:
    return MdeasError(f"{reason}: {path}; replace or remove this file")


def _decode(path: Path) -> Pixels:
    """The picture at ``path``, decoded completely and upright: RGB or RGBA uint8 (H, W, 3 or 4) in sRGB."""
    try:
        data = path.read_bytes()
        picture = decode(data)
        cross_check(data)
        return picture.pixels
    except BadPictureError as error:
        raise _fail(path, str(error)) from error
    except OSError as error:
        raise _fail(path, f"cannot be read ({error.strerror or error})") from error


def read_foreground(path: Path, mask_threshold: int = 127, trimmed: bool = True) -> Pixels:
    """A cut-out as RGBA uint8 (H, W, 4), cut down to what is visible of it if ``trimmed``.

    Palette, grey, 16-bit and other files with alpha are converted, EXIF orientation is applied.

    Raises:
        MdeasError: With file and reason, if it cannot be a cut-out: unreadable, animated, without
            transparency, without content, too small, or with its alpha inverted.
    """
    rgba = _decode(path)
    if rgba.shape[2] != 4:
        raise _fail(path, "no alpha channel: not a cut-out")
    alpha = rgba[:, :, 3]
    if alpha.max() == 0:
        raise _fail(path, "alpha is 0 everywhere: nothing visible")
    if alpha.min() == 255:
        raise _fail(path, "alpha is 255 everywhere: not a cut-out")
    if alpha.min() > 0:
        raise _fail(path, f"alpha is never 0 (least {alpha.min()}): no pixel is fully transparent")
    if _border_share(alpha, mask_threshold) > MAX_BORDER_SHARE:
        raise _fail(path, "opaque along the whole border: alpha inverted, or not cut out")
    visible = trim(rgba)
    solid = int(np.count_nonzero(visible[:, :, 3] > mask_threshold))
    height, width = visible.shape[:2]
    if max(height, width) < MIN_FOREGROUND_SIDE:
        raise _fail(path, f"too small: the object is {width}x{height} pixels")
    if solid < max(MIN_FOREGROUND_PIXELS, MIN_FOREGROUND_SHARE * height * width):
        raise _fail(path, f"only specks: {solid} pixels with alpha above {mask_threshold}")
    return visible if trimmed else rgba


def _border_share(alpha: Pixels, mask_threshold: int) -> float:
    """Share of the outermost pixels that are foreground."""
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    return float(np.mean(border > mask_threshold))


def trim(rgba: Pixels) -> Pixels:
    """Cut off margins without visible content (alpha up to ``HAZE_ALPHA``); of an empty one nothing stays."""
    visible = rgba[:, :, 3] > HAZE_ALPHA
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not rows.size:
        return rgba[:0, :0]
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def read_background(path: Path, min_side: int = 1) -> Pixels:
    """A photo as RGB uint8 (H, W, 3), EXIF orientation applied, grey and CMYK converted.

    Raises:
        MdeasError: With file and reason: unreadable, animated, with transparent pixels, with a side below
            ``min_side``, or so long that a square says nothing about it.
    """
    pixels = _decode(path)
    height, width = pixels.shape[:2]
    if min(width, height) < min_side:
        raise _fail(path, f"{width}x{height} is smaller than {min_side}x{min_side}")
    if max(width, height) > MAX_BACKGROUND_ASPECT * min(width, height):
        raise _fail(path, f"{width}x{height} is too long and narrow")
    if pixels.shape[2] == 4 and pixels[:, :, 3].min() < 255:
        raise _fail(path, "has transparent pixels: not a background")
    return np.ascontiguousarray(pixels[:, :, :3])


def read_picture(path: Path) -> Pixels:
    """Any picture as RGB uint8 (H, W, 3), upright; what is transparent shows white.

    Raises:
        MdeasError: With file and reason, if it cannot be read.
    """
    pixels = _decode(path)
    if pixels.shape[2] == 4:
        return paste(np.full_like(pixels[:, :, :3], 255), pixels, 0, 0)
    return np.ascontiguousarray(pixels)


def square(rgb: Pixels, size: int) -> Pixels:
    """The central square of ``rgb``, (``size``, ``size``, 3): area average to shrink, bicubic to enlarge."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    crop = rgb[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(crop)
    resized = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def fit(width: int, height: int, longer: int) -> tuple[int, int]:
    """Width and height of the same shape whose longer side is ``longer``, at least one pixel each."""
    most = max(width, height)
    return max(1, int(width * longer / most + 0.5)), max(1, int(height * longer / most + 0.5))


def premultiply(rgba: Pixels) -> Premultiplied:
    """Colours times alpha and alpha times 255, uint16 (H, W, 4): nothing is rounded yet."""
    wide = rgba.astype(np.uint16)
    alpha = wide[:, :, 3:]
    return np.concatenate([wide[:, :, :3] * alpha, alpha * np.uint16(255)], axis=2)


def resize_premultiplied(premultiplied: Premultiplied, width: int, height: int) -> Premultiplied:
    """Resize: area average when shrinking, bilinear when not. Colours of transparent pixels weigh nothing."""
    if premultiplied.shape[:2] == (height, width):
        return premultiplied
    shrinks = width <= premultiplied.shape[1] and height <= premultiplied.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(premultiplied, (width, height), interpolation=method), np.uint16)


def resize_rgba(rgba: Pixels, width: int, height: int) -> Pixels:
    """Resize with premultiplied alpha, so that colours of transparent pixels never bleed into the edge."""
    if rgba.shape[:2] == (height, width):
        return rgba
    resized = resize_premultiplied(premultiply(rgba), width, height).astype(np.float32)
    alpha = resized[:, :, 3:] / 255
    colours = resized[:, :, :3] / np.maximum(alpha, 1 / 255)
    return np.concatenate([colours, alpha], axis=2).round().clip(0, 255).astype(np.uint8)


def alpha_of(premultiplied: Premultiplied) -> Pixels:
    """Alpha (H, W) uint8 of a premultiplied picture."""
    # Rounds to nearest, as (alpha + 127) // 255 does, in a quarter of the time.
    alpha = cv2.convertScaleAbs(cv2.extractChannel(premultiplied, 3), alpha=1 / 255)
    return np.asarray(alpha, np.uint8)


def blend(region: Pixels, premultiplied: Premultiplied, alpha: Pixels) -> Pixels:
    """``premultiplied`` over ``region`` (H, W, 3): (a * fg + (255 - a) * bg + 127) // 255, exactly.

    ``alpha`` is ``alpha_of(premultiplied)``, which callers need for the mask as well.
    """
    return over(region, *blend_terms(premultiplied, alpha))


def blend_terms(
    premultiplied: Premultiplied, alpha: Pixels, bgr: bool = False
) -> tuple[NDArray[np.float32], Pixels]:
    """What ``blend`` needs of a foreground, (H, W, 3): colours, in BGR order if ``bgr``, and 255 - alpha."""
    transparency = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR)
    colours = cv2.cvtColor(premultiplied, cv2.COLOR_RGBA2BGR if bgr else cv2.COLOR_BGRA2BGR)
    return colours.astype(np.float32), np.asarray(transparency, np.uint8)


def over(region: Pixels, colours: NDArray[np.float32], transparency: Pixels) -> Pixels:
    """``blend`` over ``region`` (H, W, 3) with a foreground of that size, given as ``blend_terms``."""
    # Whole numbers up to 255 * 255 are exact in float32, for which OpenCV has vector code that numpy lacks
    # for uint16. Rounded to nearest by the last step: a multiple of 1/255 is never halfway.
    total = colours.copy()
    cv2.accumulateProduct(region, transparency, total)
    return np.asarray(cv2.convertScaleAbs(total, alpha=1 / 255), np.uint8)


def reduce_rgba(rgba: Pixels, factor: int) -> Pixels:
    """``resize_rgba`` to a whole fraction of the size, strip by strip: for very large pictures."""
    height, width = rgba.shape[0] // factor, rgba.shape[1] // factor
    reduced = np.empty((height, width, 4), np.uint8)
    rows = max(1, 4_000_000 // max(1, rgba.shape[1] * factor))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = rgba[top * factor : bottom * factor, : width * factor]
        reduced[top:bottom] = resize_rgba(strip, width, bottom - top)
    return reduced


def paste(bg: Pixels, rgba: Pixels, x: int, y: int) -> Pixels:
    """A copy of ``bg`` with ``rgba`` over it at column ``x``, row ``y``; see ``blend``.

    Raises:
        ValueError: If the object does not lie inside the background.
    """
    height, width = rgba.shape[:2]
    if x < 0 or y < 0 or x + width > bg.shape[1] or y + height > bg.shape[0]:
        raise ValueError(
            f"expected the object inside {bg.shape[1]}x{bg.shape[0]}, got {width}x{height} at {x},{y}"
        )
    result = bg.copy()
    region = result[y : y + height, x : x + width]
    region[:] = blend(region, premultiply(rgba), np.ascontiguousarray(rgba[:, :, 3]))
    return result


def _encode(extension: str, pixels: NDArray[np.uint8] | NDArray[np.uint16], options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, pixels, options)
    if not done:
        raise ValueError(f"expected a picture that OpenCV can encode, got {pixels.dtype} {pixels.shape}")
    return bytes(data)


def _decode_bytes(data: File, flags: int) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise MdeasError("a picture in an archive is damaged; run `mdeas verify` to see which")
    return np.asarray(pixels)


def encode_jpeg(rgb: Pixels, quality: int) -> bytes:
    """Baseline JPEG, chroma at half size (4:2:0), a restart marker after every row of blocks.

    The markers cost 0.5 % and make the rows independent of each other, which ``canvas`` lives on.
    """
    return encode_jpeg_bgr(to_bgr(rgb), quality)


def encode_jpeg_bgr(bgr: Pixels, quality: int) -> bytes:
    """``encode_jpeg`` of a picture in BGR order."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, -(-bgr.shape[1] // JPEG_BLOCK)]
    return _encode(".jpg", bgr, options)


def to_bgr(rgb: Pixels) -> Pixels:
    """RGB in BGR order."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def decode_jpeg(data: File) -> Pixels:
    """RGB (H, W, 3) of a JPEG."""
    return _decode_rgb(data)


def encode_png(rgb: Pixels) -> bytes:
    """Lossless 8-bit RGB PNG, or RGBA for four channels."""
    code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return _encode(".png", np.asarray(cv2.cvtColor(rgb, code), np.uint8), [])


def decode_png(data: File) -> Pixels:
    """RGB (H, W, 3) of a PNG."""
    return _decode_rgb(data)


def _decode_rgb(data: File) -> Pixels:
    if hasattr(cv2, "IMREAD_COLOR_RGB"):  # since OpenCV 4.10: a tenth faster than turning the channels after
        return np.asarray(_decode_bytes(data, cv2.IMREAD_COLOR_RGB), np.uint8)
    return np.asarray(cv2.cvtColor(_decode_bytes(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_PNG_END = _png_chunk(b"IEND", b"")


@functools.lru_cache(maxsize=16)
def _grey_start(width: int, height: int, bits: int) -> bytes:
    """What every grey PNG of a size begins with."""
    return png.SIGNATURE + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))


def _grey_png(rows: bytes, width: int, height: int, bits: int, level: int) -> bytes:
    """Grey PNG of filtered rows, each with its filter before it."""
    return _grey_start(width, height, bits) + _png_chunk(b"IDAT", zlib.compress(rows, level)) + _PNG_END


def encode_mask(mask: Pixels) -> bytes:
    """1-bit grey PNG of an (H, W) mask, white where it is not 0."""
    return encode_placed_mask(mask, 0, 0, mask.shape[1], mask.shape[0])


def encode_placed_mask(mask: Pixels, x: int, y: int, width: int, height: int) -> bytes:
    """``encode_mask`` of a frame that is 0 but for ``mask`` at column ``x``, row ``y``.

    Packed bits with filter 0 at zlib level 2: a filter makes them a third larger, level 4 is a sixteenth
    smaller for half as much time again, level 1 no faster.
    """
    rows, columns = mask.shape
    # Eight columns in front become the byte that says the filter of a row, 0 = none.
    band = np.zeros((rows, 8 + -(-width // 8) * 8), np.uint8)
    band[:, 8 + x : 8 + x + columns] = mask
    stride = band.shape[1] // 8
    packed = b"".join((bytes(stride * y), np.packbits(band).tobytes(), bytes(stride * (height - y - rows))))
    return _grey_png(packed, width, height, bits=1, level=2)


def decode_mask(data: File) -> Pixels:
    """(H, W) uint8 of 0 and 255 from a mask PNG; ours without a PNG library, any other through OpenCV."""
    found = png.packed_mask(data)
    if found is None:
        grey = _decode_bytes(data, cv2.IMREAD_GRAYSCALE)
        return np.where(grey > 127, 255, 0).astype(np.uint8)
    packed, width = found
    return np.unpackbits(packed, axis=1, count=width) * np.uint8(255)


def encode_gray16(values: NDArray[np.uint16]) -> bytes:
    """16-bit grey PNG of (H, W): the Up filter on every row, zlib level 1.

    Against OpenCV's own (Sub filter, run lengths) on the smooth maps of a depth network: as fast to write
    (0.8 ms at 224 x 224), a quarter smaller (22 against 30 kB), a quarter faster to read (0.42 against
    0.56 ms). Level 4 is a fifth smaller again for nearly twice the time.
    """
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ValueError(f"expected (H, W) uint16, got {values.shape} {values.dtype}")
    big_endian = np.ascontiguousarray(values, ">u2").view(np.uint8)
    rows = np.empty((values.shape[0], 1 + big_endian.shape[1]), np.uint8)
    rows[:, 0] = 2  # the filter Up: each byte less the one above it
    rows[:1, 1:] = big_endian[:1]
    np.subtract(big_endian[1:], big_endian[:-1], out=rows[1:, 1:])
    return _grey_png(rows.tobytes(), values.shape[1], values.shape[0], bits=16, level=1)


def decode_gray16(data: File) -> NDArray[np.uint16]:
    """(H, W) uint16 of a 16-bit grey PNG; ours without a PNG library, any other through OpenCV."""
    ours = png.gray16(data)
    if ours is not None:
        return ours
    values = _decode_bytes(data, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise MdeasError("a depth picture is no 16-bit grey PNG; run `mdeas verify` to see which")
    return np.asarray(values, np.uint16)
