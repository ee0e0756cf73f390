"""Inflate and CRC-32 from the fastest library there is: isal where it is installed, else zlib.

Both give the same results. isal takes two fifths of the time over the noisy labels of a depth network, where
inflating is most of reading. Only for reading: compressed bytes would differ between the two.
"""

from __future__ import annotations

import zlib
from typing import cast

try:
    from isal.isal_zlib import IsalError, crc32, decompress

    ERRORS: tuple[type[Exception], ...] = (cast("type[Exception]", IsalError), zlib.error)
except ImportError:  # no build of it for this kind of machine
    from zlib import crc32, decompress

    ERRORS = (zlib.error,)

__all__ = ["ERRORS", "crc32", "decompress"]
