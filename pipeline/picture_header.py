"""What kind of picture some bytes are, from their beginning alone: no pixel is decoded, no name believed."""

from __future__ import annotations

import io
import warnings

from PIL import Image

# How a picture begins: start, what stands at an offset, extension, name of the format in Pillow.
_FORMATS = (
    (b"\x89PNG\r\n\x1a\n", 0, b"", ".png", "PNG"),
    (b"\xff\xd8\xff", 0, b"", ".jpg", "JPEG"),
    (b"RIFF", 8, b"WEBP", ".webp", "WEBP"),
    (b"GIF8", 0, b"", ".gif", "GIF"),
    (b"BM", 0, b"", ".bmp", "BMP"),
    (b"II*\x00", 0, b"", ".tif", "TIFF"),
    (b"MM\x00*", 0, b"", ".tif", "TIFF"),
    (b"", 4, b"ftypavif", ".avif", "AVIF"),
)


class NotAPictureError(Exception):
    """The bytes are no picture; the text says what they look like."""


def read_header(data: bytes) -> tuple[str, int, int]:
    """Extension with its dot, width and height of a picture.

    Raises:
        NotAPictureError: If it is none, or its header is damaged.
    """
    extension, name = _format(data)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=[name]) as image:
            width, height = image.size
    except Exception as error:  # Pillow's parsers raise nearly anything on a damaged header
        raise NotAPictureError(f"a damaged {name} header") from error
    return extension, width, height


def _format(data: bytes) -> tuple[str, str]:
    """Extension and Pillow's name of the format."""
    for start, offset, follows, extension, name in _FORMATS:
        if data.startswith(start) and data.startswith(follows, offset):
            return extension, name
    raise NotAPictureError(_looks_like(data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()))


def _looks_like(start: bytes) -> str:
    if not start:
        return "empty"
    if start.startswith(b"<"):
        return "an SVG drawing" if b"<svg" in start else "a page of HTML" if b"html" in start else "XML"
    return "JSON" if start.startswith((b"{", b"[")) else "an unknown format"
