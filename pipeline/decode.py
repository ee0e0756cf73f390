"""The one place where pictures that nobody vouches for are decoded: checked, completely, into 8-bit sRGB.

Nothing is decoded before its header has been judged, nothing is believed because of a file's name, and
whatever a decoder raises becomes a ``BadPictureError`` with a reason in words.
"""

from __future__ import annotations

import functools
import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .. import MdeasError

Pixels = NDArray[np.uint8]

# A picture of more pixels than this is refused from its header: 100 MP of RGBA are 400 MB in memory.
MAX_PIXELS = 100_000_000
# A file of more bytes is refused without being read: what 100 MP need even uncompressed.
MAX_BYTES = 512 * 1024 * 1024
# Every format here can be read by Pillow and by OpenCV. Others (EPS, which Pillow hands to Ghostscript; ICO,
# PSD, FITS, ...) are refused by name, so that no rarely used decoder ever sees bytes from the internet.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP", "AVIF"})

_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_WIDE_GREY_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_ORIENTATION = 0x0112
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colours that a profile moves by no more than this are left alone: it is sRGB under one of its many names.
_SAME_COLOUR = 3

# What often stands in a picture's place: how it begins, and what it is.
_NOT_PICTURES = (
    (re.compile(rb"<svg|<\?xml.{0,300}<svg", re.I | re.S), "an SVG drawing, not a picture of pixels"),
    (re.compile(rb"<!doctype html|<html|<head|<body|<\?xml|<!--", re.I), "a web page, not a picture"),
    (re.compile(rb"%PDF"), "a PDF document, not a picture"),
    (re.compile(rb"8BPS"), "a Photoshop file: export it as PNG"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00[\x01-\xff]"), "an icon file (ICO): export it as PNG"),
    (re.compile(rb".{4}ftyp(?:heic|heix|mif1|msf1|hevc)", re.S), "a HEIC photo: export it as JPEG or PNG"),
    (re.compile(rb"[{\[]\s*[\"{\[]"), "a JSON text, not a picture"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf"), "an archive, not a picture"),
)
# libjpeg goes on after such a warning and paints grey or shifted blocks. Stray bytes before the end marker
# (d9) are harmless; some cameras leave them.
_JPEG_DAMAGE = re.compile(
    rb"Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0xd9)|Premature end of JPEG"
)


class BadPictureError(MdeasError):
    """A picture that cannot be used; the message is the reason alone, without file name or advice."""


@dataclass(frozen=True)
class Change:
    """Something that was unusual in a picture, and what was done about it, both in a few words."""

    was: str
    done: str


@dataclass(frozen=True)
class Picture:
    """Decoded: ``pixels`` RGB or RGBA uint8 (H, W, 3 or 4) upright in sRGB, and how they came about."""

    pixels: Pixels
    format: str
    changes: tuple[Change, ...] = field(default=())

    @property
    def has_alpha(self) -> bool:
        """Whether the file had an alpha channel or a transparent colour."""
        return bool(self.pixels.shape[2] == 4)

    @property
    def is_lossless(self) -> bool:
        """Whether its format keeps every pixel (a WebP may, but most do not)."""
        return self.format not in LOSSY_FORMATS


def decode(data: bytes) -> Picture:
    """Decode the bytes of a picture completely.

    EXIF orientation is applied; palette, grey, 16-bit, 1-bit, CMYK, Lab and others become 8-bit RGB or RGBA;
    colours with an ICC profile are brought to sRGB.

    Raises:
        BadPictureError: With the reason: not a picture, too large, animated, truncated, damaged, or of a kind
            that has
            no place in 8 bits.
    """
    # Pillow warns of odd metadata, and of bombs, for which the limit here is stricter.
    with warnings.catch_warnings(action="ignore"), _open(data) as image:
        if image.format == "PNG":
            _check_png(data)
        try:
            changes: list[Change] = []
            if _is_wide(image):
                changes.append(Change("16 bits a channel", "reduced to 8"))
            image.load()  # the whole file: Image.verify() passes a truncated JPEG
            upright = _turn_upright(image, changes)
            pixels = _eight_bit(upright, changes)
        except BadPictureError:
            raise
        except Exception as error:  # whatever a decoder raises, the file cannot be used
            raise BadPictureError(f"truncated or damaged picture ({_brief(error)})") from error
        return Picture(pixels, str(image.format), tuple(changes))


def cross_check(data: bytes, messages: io.FileIO | None = None) -> None:
    """Decode ``data`` with OpenCV too; a picture that only one of two decoders takes is damaged or a trick.

    Args:
        data: The bytes of a picture that ``decode`` has taken.
        messages: Where this process's standard error goes, if that is a file of its own: the JPEG library
            tells
            of damaged data only there.

    Raises:
        BadPictureError: If OpenCV refuses it, or the JPEG library has repaired it.
    """
    if messages is not None:
        messages.seek(0)
        messages.truncate()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadPictureError(f"truncated or damaged picture (OpenCV: {_brief(error)})") from error
    if pixels is None or not pixels.size:
        raise BadPictureError("truncated or damaged picture (OpenCV cannot decode it)")
    if messages is not None and data[:2] == b"\xff\xd8":
        messages.seek(0)
        if _JPEG_DAMAGE.search(messages.read(1 << 16)):
            raise BadPictureError("truncated or damaged picture (corrupt JPEG data)")


# ---------------------------------------------------------------- before decoding


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _open(data: bytes) -> Image.Image:
    """The picture with its header read and judged, nothing decoded."""
    if not data:
        raise BadPictureError("the file is empty")
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, what in _NOT_PICTURES:
        if pattern.match(start) or pattern.match(data[:64]):
            raise BadPictureError(what)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadPictureError("not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:  # Pillow's parsers raise nearly anything on a damaged header
        raise BadPictureError(f"truncated or damaged picture ({_brief(error)})") from error
    try:
        _check_header(image)
    except BadPictureError:
        image.close()
        raise
    except Exception as error:  # counting the frames reads on
        image.close()
        raise BadPictureError(f"truncated or damaged picture ({_brief(error)})") from error
    return image


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise BadPictureError(f"{width}x{height}: no pixels")
    if width * height > MAX_PIXELS:
        raise BadPictureError(f"{width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels")
    frames = getattr(image, "n_frames", 1)
    # A phone's MPO is a JPEG with a second view behind it: its first picture is the photo.
    if frames > 1 and image.format != "MPO":
        raise BadPictureError(f"animated or with several pages ({frames} pictures)")


def _check_png(data: bytes) -> None:
    """Walk the chunks with their checksums, which Pillow does not verify for pixel data.

    Raises:
        BadPictureError: If a checksum fails or the end is missing.
    """
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            break
        content = memoryview(data)[position + 4 : end - 4]
        if zlib.crc32(content) != struct.unpack(">I", data[end - 4 : end])[0]:
            name = kind.decode("latin-1")
            raise BadPictureError(f"truncated or damaged picture (wrong checksum of the PNG chunk {name})")
        if kind == b"IEND":
            return
        position = end
    raise BadPictureError("truncated or damaged picture (the PNG has no end)")


# ---------------------------------------------------------------- after decoding


def _turn_upright(image: Image.Image, changes: list[Change]) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        upright = ImageOps.exif_transpose(image)
    except Exception:  # camera data are often broken; the picture is good all the same
        changes.append(Change("EXIF data damaged", "EXIF ignored"))
        return image
    if orientation in range(2, 9):
        changes.append(Change(f"EXIF orientation {orientation}", "turned upright"))
    return upright


def _eight_bit(image: Image.Image, changes: list[Change]) -> Pixels:
    """RGB or RGBA pixels in sRGB, whatever the mode."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise BadPictureError("floating-point or 32-bit measurements, not a picture")
    profile = image.info.get("icc_profile")
    if image.mode == "RGBA" and not profile:
        return np.array(image)
    alpha = _alpha_of(image)
    if image.mode in _WIDE_GREY_MODES:
        image = _narrow(image)
    elif image.mode in {"P", "PA"}:
        changes.append(Change("palette", "converted to true colour"))
        image = image.convert("RGBA").convert("RGB")
    elif image.mode in {"1", "L", "LA", "La"}:
        image = image.convert("L")
    elif image.mode not in {"CMYK", "LAB"}:
        if image.mode not in {"RGB", "RGBA", "RGBX"}:
            changes.append(Change(f"mode {image.mode}", "converted to RGB"))
        image = image.convert("RGB")
    rgb = np.array(_to_srgb(image, profile, changes))
    if alpha is None:
        return rgb
    return np.dstack([rgb, alpha])


def _is_wide(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel; Pillow reduces 16-bit colour as it decodes, so ask before."""
    return image.mode in _WIDE_GREY_MODES or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _alpha_of(image: Image.Image) -> Pixels | None:
    if image.mode in _ALPHA_MODES:
        return np.asarray(image.convert("RGBA").getchannel("A"))
    transparent = image.info.get("transparency")
    if transparent is None:
        return None
    if image.mode in _WIDE_GREY_MODES:
        return np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)
    return np.asarray(image.convert("RGBA").getchannel("A"))


def _narrow(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.size and values.max() > 255:
        values >>= 8
    return Image.fromarray(values.clip(0, 255).astype(np.uint8), mode="L")


def _to_srgb(image: Image.Image, profile: bytes | None, changes: list[Change]) -> Image.Image:
    """RGB in sRGB from an L, RGB, CMYK or LAB picture without alpha."""
    if image.mode == "L" and not profile:
        changes.append(Change("grey", "converted to RGB"))
    if image.mode in {"CMYK", "LAB"}:
        changes.append(
            Change({"CMYK": "CMYK colours", "LAB": "Lab colours"}[image.mode], "converted to sRGB")
        )
    if image.mode == "LAB" and not profile:
        lab = ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")
        return ImageCms.applyTransform(image, lab) or image.convert("RGB")
    if profile:
        transform = _profile_transform(bytes(profile), image.mode)
        if transform is None:
            changes.append(Change("colour profile that does not fit", "profile ignored"))
        elif _moves_colours(bytes(profile), image.mode):
            if image.mode in {"L", "RGB"}:
                changes.append(Change("colour profile other than sRGB", "converted to sRGB"))
            return ImageCms.applyTransform(image, transform) or image.convert("RGB")
    return image.convert("RGB")


@functools.lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@functools.lru_cache(maxsize=8)
def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB, or None where the profile is broken or of other colours."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(
            source,
            _srgb(),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@functools.lru_cache(maxsize=8)
def _moves_colours(profile: bytes, mode: str) -> bool:
    """Whether the profile changes colours visibly, tried on a lattice of them; CMYK and Lab always do."""
    if mode not in {"L", "RGB"}:
        return True
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    if mode == "L":
        lattice = Image.fromarray(levels[None, :], mode="L")
    else:
        lattice = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3))
    transform = _profile_transform(profile, mode)
    moved = ImageCms.applyTransform(lattice, transform) if transform is not None else None
    if moved is None:
        return False
    difference = np.asarray(moved).astype(int) - np.asarray(lattice.convert("RGB")).astype(int)
    return bool(np.abs(difference).max() > _SAME_COLOUR)
