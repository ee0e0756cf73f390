"""timm backbones, and a guard against the one broken pair of wheels that is easy to install."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from .. import MdeasError

_MISSING_OPERATOR = "operator torchvision::nms does not exist"
_SAME_SOURCE = (
    "install torch and torchvision from the same source (both from PyTorch's CPU index, or both from PyPI), "
    "for instance: pip install --force-reinstall torch torchvision --index-url "
    "https://download.pytorch.org/whl/cpu"
)
_libraries: list[torch.library.Library] = []  # a Library's definitions vanish with it


def create_backbone(name: str, **kwargs: Any) -> nn.Module:
    """A timm network by name, without downloaded weights unless ``pretrained=True`` asks for them.

    Args:
        name: A name that ``timm.create_model`` knows.
        **kwargs: Passed to ``timm.create_model``, such as ``features_only=True``.

    Raises:
        MdeasError: If timm cannot be imported.
    """
    timm = import_library("timm")
    options = {"pretrained": False, **kwargs}
    network: nn.Module = timm.create_model(name, **options)
    return network


def import_library(name: str) -> Any:
    """A library that imports torchvision, also beside one whose compiled operators do not fit this torch.

    A CPU build of torch beside the torchvision of the ordinary package index (built
    for CUDA) fails there: torchvision describes operators (``nms``, ``qnms``) that its library could not
    register. Nothing here calls those operators, so after that very error, and only then, they are declared
    without a body and the import is tried again. A call of one would fail with torch's own message.

    Raises:
        MdeasError: If it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error) or _libraries:
            raise MdeasError(f"{name} cannot be imported: {_first_line(error)}; {_SAME_SOURCE}") from error
    except ImportError as error:
        raise MdeasError(f"{name} cannot be imported: {_first_line(error)}; {_SAME_SOURCE}") from error
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    _libraries.append(library)
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        raise MdeasError(f"{name} cannot be imported: {_first_line(error)}; {_SAME_SOURCE}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
