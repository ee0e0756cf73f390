"""Which encoders write the bytes of a data set, and whether those of this machine write the same ones.

Libraries change what they write from release to release, and most releases change nothing. So a data set
records both: the versions, for people, and a hash over small pictures that were encoded with them, which
tells for certain.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL

from .. import MdeasError
from . import images

# The entry that is a hash of encoded pictures; all others are versions.
PROBE = "probe"
_PROBE_HEIGHT, _PROBE_WIDTH = 80, 96
# How OpenCV names the libraries that it was built with.
_BUILT_WITH = {"libjpeg": r"JPEG:\s+(.+)", "libpng": r"PNG:\s+(.+)", "opencv zlib": r"ZLib:\s+(.+)"}


def encoders(quality: int) -> dict[str, str]:
    """Versions of the libraries that decide bytes, and the ``PROBE`` of what they write at a JPEG quality."""
    build = cv2.getBuildInformation()
    found = {name: re.search(pattern, build) for name, pattern in _BUILT_WITH.items()}
    return {
        PROBE: _probe(quality),
        "opencv": cv2.__version__,
        **{name: _version(match[1]) for name, match in found.items() if match},
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
    }


def _version(text: str) -> str:
    """``build-libjpeg-turbo (ver 3.1.2-70)`` without the path to a library, which says nothing elsewhere."""
    version = re.search(r"\(ver ([^)]+)\)", text)
    return version[1] if version else text.strip()


def _probe(quality: int) -> str:
    y, x = np.mgrid[0:_PROBE_HEIGHT, 0:_PROBE_WIDTH]
    planes = [(x * 2 + y) % 256, (x * x // 16 + y * 3) % 256, (x * y * 7 + x * x * 3) % 256]
    rgb = np.dstack(planes).astype(np.uint8)
    mask = np.where((x - 40) ** 2 + (y - 30) ** 2 < 700, 255, 0).astype(np.uint8)
    encoded = (images.encode_jpeg(rgb, quality), images.encode_png(rgb), images.encode_mask(mask))
    return hashlib.sha256(b"".join(encoded)).hexdigest()


def differences(recorded: dict[str, str], here: dict[str, str]) -> str:
    """Versions that are not the same, as ``opencv 4.10.0, here 5.0.0; …``."""
    names = [name for name in here if name != PROBE and recorded.get(name) != here[name]]
    return "; ".join(f"{name} {recorded.get(name, 'unknown')}, here {here[name]}" for name in names)


def writes_same_bytes(recorded: dict[str, str], here: dict[str, str]) -> bool:
    """Whether two installations encode alike; of sets that recorded nothing, it is taken for granted."""
    return PROBE not in recorded or recorded[PROBE] == here[PROBE]


def refuse_other_encoders(out: Path, recorded: dict[str, str], quality: int) -> None:
    """One data set holds the bytes of one installation.

    Raises:
        MdeasError: If the encoders here write other bytes than those that the data set was begun with.
    """
    here = encoders(quality)
    if not writes_same_bytes(recorded, here):
        raise MdeasError(
            f"the data set was begun with encoders that write other bytes: {out} "
            f"({differences(recorded, here) or 'the same versions, built otherwise'}); install those "
            "to go on, or start afresh with --overwrite"
        )
