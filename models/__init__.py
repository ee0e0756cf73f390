"""Networks by name, their losses and metrics, and the training loop.

Importing this package does not import torch: ``mdeas --help`` lists the names below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import MdeasError

if TYPE_CHECKING:
    from .base import DualHeadNet


def _mdeas() -> DualHeadNet:
    from .mdeas import MDEAS

    return MDEAS()


def _dsresnet() -> DualHeadNet:
    from .dsresnet import DSResNet

    return DSResNet()


def _resunet() -> DualHeadNet:
    from .resunet import ResUNet

    return ResUNet()


def _resunext() -> DualHeadNet:
    from .resunext import ResUNeXt

    return ResUNeXt()


def _maskdepth() -> DualHeadNet:
    from .maskdepth import MaskDepthNet

    return MaskDepthNet()


def _masknet() -> DualHeadNet:
    from .masknet import MaskNet

    return MaskNet()


MODELS: dict[str, Callable[[], DualHeadNet]] = {
    "mdeas": _mdeas,
    "dsresnet": _dsresnet,
    "resunet": _resunet,
    "resunext": _resunext,
    "maskdepth": _maskdepth,
    "masknet": _masknet,
}


def create_model(name: str) -> DualHeadNet:
    """A dual-head network with fresh weights; ``MODELS`` lists the names.

    It is called as ``model(bg, fg_bg)``, both float (B, 3, H, W) in 0..1, and returns ``(depth, mask)``, each
    (B, 1, H, W), as logits or values: ``model.outputs`` says which, ``models.base.heads`` converts.

    Raises:
        MdeasError: If there is no such network.
    """
    if name not in MODELS:
        raise MdeasError(
            f"no network is called {name!r}; there are: {', '.join(MODELS)}; choose one with --model"
        )
    return MODELS[name]()
