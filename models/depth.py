"""Depth networks by name: what ``mdeas label-depth --model`` can choose from.

A network of another kind is one class with :class:`DepthNetwork`'s members and a line in ``DEPTH_MODELS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from .. import MdeasError
from .depth_net import LOOKS, fuse_batch_norm, load_weights, log_disparity, network_size

Kind = Literal["relative_disparity", "metric_depth"]
Nearer = Literal["larger", "smaller"]

BUNDLED_WEIGHTS = "bundled_depth.safetensors"


@dataclass(frozen=True)
class DepthNetworkInfo:
    """What a label made by a network must say of it."""

    name: str
    parameters: int
    licence: str
    kind: Kind
    nearer: Nearer
    unit: str | None
    weights_sha256: str | None
    source: str
    resize: str  # how a picture becomes the network's input, and its answer the picture's size again


class DepthNetwork(Protocol):
    """A network on its device, ready to answer.

    Attributes:
        info: What it is and what its values mean.
        value_range: The lowest and highest value that a 16-bit file can hold; those outside are clipped.
    """

    info: DepthNetworkInfo
    value_range: tuple[float, float]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the network sees a picture of ``height`` x ``width``."""
        ...

    def predict(self, rgb: Tensor) -> Tensor:
        """Values float32 (B, H, W) of pictures uint8 (B, 3, H, W), each independent of the others."""
        ...


class BundledDepthNetwork:
    """The package's own network: relative disparity, about 1/metres as far as one picture tells.

    A picture is looked at twice (:func:`.depth_net.log_disparity`) and the logarithms of disparity averaged.
    """

    # Disparity: unsure of absolute distance, the network answers 0.25 to 1.35 on held-out scenes.
    value_range = (0.0, 4.0)

    def __init__(self, weights: Path, device: torch.device) -> None:
        """Read ``weights`` and move the network to ``device``.

        Raises:
            MdeasError: If the weights are missing or damaged.
        """
        network, about = load_weights(weights)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        self.info = DepthNetworkInfo(
            name="bundled",
            parameters=parameters,
            licence="MIT",
            kind="relative_disparity",
            nearer="larger",
            unit=None,
            weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
            source=f"trained by mdeas on rendered rooms, {about.get('steps', '?')} steps",
            resize="bilinear with antialiasing to two sizes, the larger mirrored; mean logarithm back",
        )
        fuse_batch_norm(network)
        network.requires_grad_(False).to(device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """That of the larger look."""
        return network_size(height, width, max(area for area, _ in LOOKS))

    @torch.inference_mode()
    def predict(self, rgb: Tensor) -> Tensor:
        """Disparity, float32 (B, H, W), > 0, of pictures uint8 (B, 3, H, W)."""
        if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.dtype != torch.uint8:
            raise ValueError(f"expected uint8 (B, 3, H, W), got {rgb.dtype} {tuple(rgb.shape)}")
        return log_disparity(self._network, rgb).exp()


def _bundled(weights: Path | None, device: torch.device) -> DepthNetwork:
    if weights is not None:
        return BundledDepthNetwork(weights, device)
    with as_file(files("mdeas.models") / "weights" / BUNDLED_WEIGHTS) as path:
        return BundledDepthNetwork(path, device)


DEPTH_MODELS: dict[str, Callable[[Path | None, torch.device], DepthNetwork]] = {"bundled": _bundled}


def create_depth_network(name: str, weights: Path | None, device: torch.device) -> DepthNetwork:
    """The depth network ``name`` on ``device``; ``weights`` None means its own.

    Raises:
        MdeasError: If there is no such network or its weights cannot be read.
    """
    if name not in DEPTH_MODELS:
        raise MdeasError(f"no such depth network: {name}; choose one of {', '.join(sorted(DEPTH_MODELS))}")
    return DEPTH_MODELS[name](weights, device)
