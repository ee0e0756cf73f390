"""A depth network in an ONNX file, and what its values are in a JSON file of the same name beside it.

``model.json`` beside ``model.onnx``, of which ``kind`` is needed and the rest as usual if it is not there::

    {
        "kind": "relative_disparity",            or "relative_depth", "metric_depth" (in metres)
        "licence": "MIT",
        "range": [0, 100],                       values outside are clipped; left out: from 0 on
        "height": 518, "width": 518,             what it was made for
        "keep_aspect": true, "multiple": 14,     how a picture's sides become the input's
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]
    }

The model takes float32 (B, 3, H, W) and gives (B, h, w) or (B, 1, h, w); B may be fixed to 1.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from .. import MdeasError
from .depth import ONNX_PREFIX, DepthNetworkInfo, Kind, PreparedNetwork
from .depth_prepare import IMAGENET_MEAN, IMAGENET_STD, Preparation
from .depth_runtime import Computation, Core, PerShape, onnx_session, openvino_core, settle

_UNBOUNDED = (0.0, math.inf)
_BYTES_A_PARAMETER = 4
_KEYS = {
    "kind", "licence", "source", "parameters", "range", "height", "width", "keep_aspect", "multiple",
    "bicubic", "mean", "std",
}  # fmt: skip

Sides = tuple[int | None, int | None, int | None]  # batch, height, width; None where any will do


def onnx_network(path: Path, how: Computation) -> PreparedNetwork:
    """The network in the ONNX file ``path``.

    Raises:
        MdeasError: If there is no such file, it is damaged, nothing says what its values mean, or what runs
            it is not installed.
    """
    if not path.is_file():
        raise MdeasError(f"no such file: {path}; give an ONNX file to --model {ONNX_PREFIX}FILE")
    about = _read_description(path.with_suffix(".json"))
    how = settle(how, path.stat().st_size // _BYTES_A_PARAMETER, auto="onnxruntime")
    if how.runtime == "torch":
        raise MdeasError("torch does not run ONNX files; use --runtime onnxruntime or openvino")
    try:
        (batch, height, width), core = _open(path, how)
    except Exception as error:  # of two libraries
        reason = " ".join(str(error).split())[:200]
        raise MdeasError(f"cannot be loaded: {path} ({reason}); export it again") from error
    preparation = _preparation(about, height, width)
    kind = about["kind"]
    info = DepthNetworkInfo(
        name=path.name,
        parameters=int(about.get("parameters", 0)),
        licence=about.get("licence", "not stated"),
        kind=kind,
        nearer="larger" if kind == "relative_disparity" else "smaller",
        unit="metre" if kind == "metric_depth" else None,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        source=about.get("source", f"ONNX file {path.name}"),
        resize=preparation.describe(),
        precision=how.dtype,
        runtime=how.runtime,
    )
    low, high = about.get("range", _UNBOUNDED)
    return PreparedNetwork(
        info, (float(low), float(high)), preparation, core if batch is None else _one_by_one(core)
    )


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MdeasError(
            f'nobody says what its values mean: write {path}, at least {{"kind": "relative_disparity"}}; '
            "docs/depth-models.md lists what else it can hold"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MdeasError(f"not JSON: {path} ({error}); mend it") from error
    if not isinstance(about, dict) or about.get("kind") not in get_args(Kind):
        raise MdeasError(f'no "kind" in {path}; give it one of {", ".join(get_args(Kind))}')
    unknown = sorted(set(about) - _KEYS)
    if unknown:
        raise MdeasError(f"unknown: {', '.join(unknown)} in {path}; known are {', '.join(sorted(_KEYS))}")
    return about


def _preparation(about: dict[str, Any], height: int | None, width: int | None) -> Preparation:
    """As the description says; sides that the model has fixed are not a matter of choice."""
    mean, std = about.get("mean", IMAGENET_MEAN), about.get("std", IMAGENET_STD)
    return Preparation(
        height=height or about.get("height"),
        width=width or about.get("width"),
        keep_aspect=bool(about.get("keep_aspect", False)) and height is None and width is None,
        multiple=1 if height and width else int(about.get("multiple", 1)),
        bicubic=bool(about.get("bicubic", False)),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
    )


def _open(path: Path, how: Computation) -> tuple[Sides, Core]:
    """The sides that the model's input has fixed, and its core."""
    if how.runtime == "openvino":
        import openvino

        shape = openvino.Core().read_model(path).input(0).partial_shape
        sides = [int(shape[axis].get_length()) if shape[axis].is_static else None for axis in (0, 2, 3)]
        read = openvino.Core().read_model
        return _sides(sides), PerShape(lambda wanted: openvino_core(read(path), wanted, how.dtype))
    import onnxruntime

    # A session of its own: the core's hides what it is made of.
    (first, *_) = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()
    sides = [first.shape[axis] if isinstance(first.shape[axis], int) else None for axis in (0, 2, 3)]
    return _sides(sides), onnx_session(str(path))


def _sides(sides: list[int | None]) -> Sides:
    if sides[0] not in (None, 1):
        raise ValueError(f"made for batches of {sides[0]} pictures; any number or 1 can be used")
    return sides[0], sides[1], sides[2]


def _one_by_one(core: Core) -> Core:
    def run(x: Tensor) -> Tensor:
        return torch.cat([core(x[n : n + 1]) for n in range(len(x))])

    return run
