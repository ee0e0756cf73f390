"""Depth networks of the transformers library: whatever ``AutoModelForDepthEstimation`` loads.

What the network says is taken as it is, never through the library's pipeline, which stretches every picture
to its own range and keeps 8 bits.
"""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import MdeasError
from .backbone import import_library
from .depth import DepthNetworkInfo, Kind, PreparedNetwork
from .depth_hub import Weights
from .depth_prepare import IMAGENET_MEAN, IMAGENET_STD, Preparation
from .depth_runtime import Computation, compile_core, settle

# Nothing bounds a disparity; the labeller finds what the pictures need.
_DISPARITY = (0.0, math.inf)
# Depth Pro answers up to 10 km: with the sky inside the range, a room would have a few levels.
_DEPTH_PRO_FARTHEST_M = 200.0
_DINOV2_FARTHEST_M = 100.0
# What each sort wants where preprocessor_config.json is missing: the defaults of the library's own classes.
_USUAL: dict[str, dict[str, Any]] = {
    "depth_anything": {"size": 518, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3},
    "prompt_depth_anything": {
        "size": 756, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3,
    },
    "dpt": {"size": 384, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "glpn": {"size_divisor": 32, "resample": 2},
    "zoedepth": {
        "size": {"height": 384, "width": 512}, "keep_aspect_ratio": True, "ensure_multiple_of": 32,
        "do_pad": True, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    },
    "depth_pro": {"size": 1536, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "tipsv2_dpt": {"size": {"height": 448, "width": 448}, "resample": 2, "do_normalize": False},
}  # fmt: skip
_BICUBIC = (1, 3)  # Pillow's numbers of Lanczos and bicubic


@dataclass(frozen=True)
class _Meaning:
    """What a network's values are, and between which a label holds them."""

    kind: Kind
    low: float
    high: float


def transformers_network(name: str, weights: Weights, how: Computation) -> PreparedNetwork:
    """The network in ``weights.folder`` under the name ``name``.

    Raises:
        MdeasError: If transformers is not installed, the folder is damaged, or nobody knows what the values
            of the network mean.
    """
    transformers = import_transformers()
    try:
        loader = transformers.AutoModelForDepthEstimation
        model = loader.from_pretrained(str(weights.folder), local_files_only=True)
    except Exception as error:  # of many libraries, by what is wrong
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MdeasError(f"cannot be loaded: {weights.folder} ({reason[:200]}); fetch it again") from error
    config = model.config
    meaning, preparation = _meaning(config, name), _preparation(config, weights.folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    how = settle(how, parameters, traceable=not _votes(config))
    info = DepthNetworkInfo(
        name=name,
        parameters=parameters,
        licence=weights.licence,
        kind=meaning.kind,
        nearer="larger" if meaning.kind == "relative_disparity" else "smaller",
        unit="metre" if meaning.kind == "metric_depth" else None,
        weights_sha256=weights.sha256,
        source=f"{weights.source}, {config.model_type}",
        resize=preparation.describe(),
        precision=how.dtype,
        runtime=how.runtime,
    )
    return PreparedNetwork(info, (meaning.low, meaning.high), preparation, compile_core(_module(model), how))


def import_transformers() -> Any:
    """The library, beside whatever torchvision there is.

    Raises:
        MdeasError: If it is not installed.
    """
    if importlib.util.find_spec("transformers") is None:
        raise MdeasError("not installed: transformers; pip install 'mdeas[hf]', or use --model bundled")
    transformers = import_library("transformers")
    # Its modules import torchvision when first used, so the guard has to see one that does.
    import_library("transformers.image_utils")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


class _PredictedDepth(nn.Module):
    """Picture to what the network predicts, and nothing beside it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, h', w')."""
        answer: Tensor = self.model(pixel_values=x).predicted_depth
        return answer


class _OneByOne(_PredictedDepth):
    """For ZoeDepth with several heads: a batch votes on one head for all, so each picture gets its own."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, h', w')."""
        return torch.cat([super(_OneByOne, self).forward(x[n : n + 1]) for n in range(len(x))])


class _DepthProMetres(_PredictedDepth):
    """Depth Pro gives the inverse of depth for a field of view of 53 degrees, and the field of view it sees.

    Bochkovskii et al. 2024, arXiv:2410.02073: the inverse depth is multiplied by width / focal length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) to metres (B, h', w')."""
        answer = self.model(pixel_values=x)
        inverse: Tensor = answer.predicted_depth.float()
        if answer.field_of_view is not None:
            # Other runtimes do not know torch.deg2rad.
            half = answer.field_of_view.float() * (math.pi / 360)
            inverse = inverse * (2 * torch.tan(half)).reshape(-1, 1, 1)
        return 1 / inverse.clamp(1e-4, 1e4)


def _module(model: nn.Module) -> nn.Module:
    config: Any = model.config
    if config.model_type == "depth_pro":
        return _DepthProMetres(model)
    return _OneByOne(model) if _votes(config) else _PredictedDepth(model)


def _votes(config: Any) -> bool:
    """Whether a batch chooses the head for all its pictures (which is also no step that could be traced)."""
    return config.model_type == "zoedepth" and len(config.bin_configurations) > 1


def _meaning(config: Any, name: str) -> _Meaning:
    sort = config.model_type
    if sort == "depth_anything":
        if config.depth_estimation_type == "metric":
            return _Meaning("metric_depth", 0.0, float(config.max_depth))
        return _Meaning("relative_disparity", *_DISPARITY)
    if sort == "dpt":
        # On DINOv2 it was trained for metres (NYU, KITTI), on other backbones by MiDaS for disparity.
        backbone = getattr(config, "backbone_config", None)
        if getattr(backbone, "model_type", "") == "dinov2":
            return _Meaning("metric_depth", 0.0, _DINOV2_FARTHEST_M)
        return _Meaning("relative_disparity", *_DISPARITY)
    if sort in ("glpn", "tipsv2_dpt"):
        return _Meaning("metric_depth", 0.0, float(config.max_depth))
    if sort == "zoedepth":
        return _Meaning(
            "metric_depth", 0.0, max(float(one["max_depth"]) for one in config.bin_configurations)
        )
    if sort == "depth_pro":
        kind: Kind = "metric_depth" if config.use_fov_model else "relative_depth"
        return _Meaning(kind, 0.0, _DEPTH_PRO_FARTHEST_M)
    if sort == "prompt_depth_anything":
        # Without a prompt: depth on a scale from the nearest to the farthest, of unknown length.
        return _Meaning("relative_depth", 0.0, 1.0)
    raise MdeasError(
        f"nobody told mdeas what the values of {name} mean ({sort}); give FILE.py:FUNCTION, which can say so"
    )


def _preparation(config: Any, folder: Path) -> Preparation:
    """From ``preprocessor_config.json``; the library's own processors need torchvision in some versions."""
    path, usual = folder / "preprocessor_config.json", _USUAL[config.model_type]
    try:
        asked = {**usual, **json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else usual
    except (OSError, ValueError) as error:
        raise MdeasError(f"damaged file: {path} ({error}); fetch it again") from error
    height, width = _sides(asked.get("size")) if asked.get("do_resize", True) else (None, None)
    divisor = asked.get("size_divisor")
    is_glpn = config.model_type == "glpn"
    multiple = (divisor if is_glpn else asked.get("ensure_multiple_of")) or 1
    shift, scale = (0.0,) * 3, (1.0,) * 3
    if asked.get("do_normalize", not is_glpn):
        shift, scale = asked.get("image_mean") or IMAGENET_MEAN, asked.get("image_std") or IMAGENET_STD
    return Preparation(
        height=None if is_glpn else height,
        width=None if is_glpn else width,
        keep_aspect=bool(asked.get("keep_aspect_ratio", False)),
        multiple=math.lcm(int(multiple), _patch(config)),
        round_down=is_glpn,
        bicubic=asked.get("resample") in _BICUBIC,
        mean=(shift[0], shift[1], shift[2]),
        std=(scale[0], scale[1], scale[2]),
        mirror_border=config.model_type == "zoedepth" and bool(asked.get("do_pad", True)),
    )


def _sides(size: Any) -> tuple[int | None, int | None]:
    """Height and width of what configurations call size: a number, or sides by name."""
    if isinstance(size, dict):
        return int(size.get("height") or size["shortest_edge"]), int(
            size.get("width") or size["shortest_edge"]
        )
    return (int(size), int(size)) if size else (None, None)


def _patch(config: Any) -> int:
    """Side of a vision transformer's patches; what is left over at the border it drops silently."""
    if config.model_type in ("glpn", "depth_pro"):  # the one does not cut, the other cuts what it has resized
        return 1
    backbone = getattr(config, "backbone_config", None)
    side = getattr(backbone, "patch_size", None) or getattr(config, "patch_size", None)
    return side if isinstance(side, int) else 1
