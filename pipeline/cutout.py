"""Cut objects out of pictures without alpha through rembg: an extra with its own weights, off by default."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .. import MdeasError
from .decode import BadPictureError, Pixels

# rembg's general network; its weights are 176 MB and lie where rembg itself looks for them.
MODEL = "u2net"


def check_cutout() -> None:
    """Look for rembg and its weights before the first picture.

    Raises:
        MdeasError: If the extra or the weights are missing: nothing is ever downloaded from here.
    """
    if importlib.util.find_spec("rembg") is None:
        raise MdeasError("rembg is not installed; --cutout rembg; pip install 'mdeas[cutout]'")
    weights = _weights()
    if not weights.is_file():
        raise MdeasError(
            f"no weights for rembg; {weights}; run `rembg d {MODEL}` where there is a network, "
            "or copy the file there"
        )


def cut_out(rgb: Pixels) -> Pixels:
    """RGBA (H, W, 4): the picture (H, W, 3) with the matte that rembg finds for its main object.

    Raises:
        BadPictureError: If rembg fails on it.
    """
    try:
        matte = _cutter()(Image.fromarray(rgb))
    except Exception as error:  # onnxruntime and the network behind it raise their own kinds
        raise BadPictureError(f"rembg failed ({' '.join(str(error).split())[:160]})") from error
    alpha = np.asarray(matte.convert("L").resize((rgb.shape[1], rgb.shape[0])))
    return np.dstack([rgb, alpha])


def _weights() -> Path:
    home = os.environ.get("U2NET_HOME") or Path(os.environ.get("XDG_DATA_HOME") or Path.home()) / ".u2net"
    return Path(home) / f"{MODEL}.onnx"


@functools.lru_cache(maxsize=1)
def _cutter() -> Callable[[Image.Image], Image.Image]:
    """rembg with its network loaded: once a process."""
    import rembg

    session = rembg.new_session(MODEL)

    def cut(picture: Image.Image) -> Image.Image:
        matte: Image.Image = rembg.remove(picture, session=session, only_mask=True)
        return matte

    return cut
