"""Depth networks by name: what ``mdeas label-depth --model`` can choose from.

A network is anything with :class:`DepthNetwork`'s members; :class:`PreparedNetwork` makes one of a
preparation and a core. How each name is understood is in :func:`create_depth_network`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from .. import MdeasError
from .depth_hub import ALIASES, hub_weights, is_repository, local_weights
from .depth_memory import Frugal
from .depth_net import LOOKS, fuse_batch_norm, load_weights, log_disparity, network_size
from .depth_prepare import Preparation
from .depth_runtime import Computation, Core, compile_core, settle

Kind = Literal["relative_disparity", "relative_depth", "metric_depth"]
Nearer = Literal["larger", "smaller"]

BUNDLED_WEIGHTS = "bundled_depth.safetensors"
ONNX_PREFIX = "onnx:"  # of names that are ONNX files
# Forms of the names, for messages.
DEPTH_MODELS = (
    "bundled", "densedepth", *ALIASES, "OWNER/NAME@REVISION", "a folder", f"{ONNX_PREFIX}FILE",
    "FILE.py:FUNCTION",
)  # fmt: skip


@dataclass(frozen=True)
class DepthNetworkInfo:
    """What a label made by a network must say of it.

    Args:
        name: As given to ``--model``.
        parameters: Their number.
        licence: Of the weights, an SPDX name where there is one.
        kind: ``relative_disparity`` (as 1/distance), ``relative_depth`` (as distance) or ``metric_depth``.
        nearer: Which of two values is nearer.
        unit: ``metre`` for ``metric_depth``, None for what is relative.
        weights_sha256: Of the weights file, or over several; None where there is no file.
        source: Where the weights come from.
        resize: How a picture becomes the network's input, and its answer the picture's size again.
        precision: Of the arithmetic: ``float32``, ``bfloat16`` or ``float16``.
        runtime: What computes: ``torch``, ``onnxruntime`` or ``openvino``.
    """

    name: str
    parameters: int
    licence: str
    kind: Kind
    nearer: Nearer
    unit: str | None
    weights_sha256: str | None
    source: str
    resize: str
    precision: str = "float32"
    runtime: str = "torch"


class DepthNetwork(Protocol):
    """A network on its device, ready to answer.

    Attributes:
        info: What it is and what its values mean.
        value_range: The lowest and highest value that a label can hold; those outside are clipped. The
            labeller may choose a lower end after a look at the pictures; it does where the end is infinite.
    """

    info: DepthNetworkInfo
    value_range: tuple[float, float]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the network sees a picture of ``height`` x ``width``."""
        ...

    def predict(self, rgb: Tensor) -> Tensor:
        """Values float32 (B, H, W) of pictures uint8 (B, 3, H, W), each independent of the others.

        Called from several threads at once on a CPU, from one at a time elsewhere.
        """
        ...


class PreparedNetwork:
    """A :class:`DepthNetwork` made of a preparation and a core."""

    def __init__(
        self, info: DepthNetworkInfo, value_range: tuple[float, float], preparation: Preparation, core: Core
    ) -> None:
        """The core computes where and how it was compiled for; ``info`` says so."""
        self.info = info
        self.value_range = value_range
        self._preparation, self._core = preparation, core

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """As its preparation chooses."""
        return self._preparation.size(height, width)

    @torch.inference_mode()
    def predict(self, rgb: Tensor) -> Tensor:
        """Values float32 (B, H, W) of pictures uint8 (B, 3, H, W)."""
        check_pictures(rgb)
        answer = self._core(self._preparation.prepare(rgb))
        return self._preparation.restore(answer, rgb.shape[-2], rgb.shape[-1])


def check_pictures(rgb: Tensor) -> None:
    """Pictures as a network takes them.

    Raises:
        ValueError: If they are not uint8 (B, 3, H, W).
    """
    if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.dtype != torch.uint8:
        raise ValueError(f"expected uint8 (B, 3, H, W), got {rgb.dtype} {tuple(rgb.shape)}")


class BundledDepthNetwork:
    """The package's own network: relative disparity, about 1/metres as far as one picture tells.

    A picture is looked at twice (:func:`.depth_net.log_disparity`) and the logarithms of disparity averaged.
    """

    # Disparity: unsure of absolute distance, the network answers 0.15 to 1.35 on scenes and photographs.
    value_range = (0.0, 4.0)

    def __init__(
        self, weights: Path, device: torch.device, dtype: str = "float32", runtime: str = "torch"
    ) -> None:
        """Read ``weights`` and move the network to ``device``.

        Raises:
            MdeasError: If the weights are missing or damaged.
        """
        network, about = load_weights(weights)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        how = settle(Computation(device, dtype, runtime), parameters)
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
            precision=how.dtype,
            runtime=how.runtime,
        )
        self._core = compile_core(fuse_batch_norm(network), how)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """That of the larger look."""
        return network_size(height, width, max(area for area, _ in LOOKS))

    @torch.inference_mode()
    def predict(self, rgb: Tensor) -> Tensor:
        """Disparity, float32 (B, H, W), > 0, of pictures uint8 (B, 3, H, W)."""
        check_pictures(rgb)
        return log_disparity(self._core, rgb).exp()


def create_depth_network(
    name: str,
    weights: Path | None,
    device: torch.device,
    dtype: str = "float32",
    runtime: str = "torch",
    accept_licence: bool = False,
) -> DepthNetwork:
    """The depth network ``name`` on ``device``.

    Args:
        name: ``bundled``; ``densedepth`` (with ``weights``); an alias of :mod:`.depth_hub`; ``OWNER/NAME`` or
            ``OWNER/NAME@REVISION`` on the Hugging Face hub; a folder with such a network; ``onnx:FILE``;
            ``FILE.py:FUNCTION``, which is called with ``weights`` and ``device``.
        weights: A weights file; None means the network's own.
        device: Where it computes.
        dtype, runtime: As in :class:`.depth_runtime.Computation`.
        accept_licence: Whether weights under a licence that forbids commercial use may be downloaded.

    Raises:
        MdeasError: If there is no such network or its weights cannot be had or read.
    """
    return Frugal(_create(name, weights, Computation(device, dtype, runtime), accept_licence))


def _create(name: str, weights: Path | None, how: Computation, accept_licence: bool) -> DepthNetwork:
    if name == "bundled":
        if weights is not None:
            return BundledDepthNetwork(weights, how.device, how.dtype, how.runtime)
        with as_file(files("mdeas.models") / "weights" / BUNDLED_WEIGHTS) as path:
            return BundledDepthNetwork(path, how.device, how.dtype, how.runtime)
    # The others are imported when they are asked for: each needs libraries that may not be there.
    if name.rpartition(":")[0].endswith(".py"):
        from .depth_own import own_network

        return own_network(name, weights, how)
    if name == "densedepth":
        from .depth_densedepth import densedepth_network

        return densedepth_network(weights, how)
    if weights is not None:
        raise MdeasError(f"--weights is for bundled and densedepth, not for {name}; leave it out")
    if name.startswith(ONNX_PREFIX):
        from .depth_onnx import onnx_network

        return onnx_network(Path(name.removeprefix(ONNX_PREFIX)), how)
    # The hub's library would take a mistyped folder for a strange name of a repository.
    if Path(name).is_dir() or is_repository(name):
        return _of_transformers(name, how, accept_licence)
    raise MdeasError(f"no such depth network: {name}; choose one of {', '.join(DEPTH_MODELS)}")


def _of_transformers(name: str, how: Computation, accept_licence: bool) -> DepthNetwork:
    """From a folder, or from the hub."""
    from .depth_transformers import import_transformers, transformers_network

    import_transformers()  # first: without it there is no use in fetching anything
    if Path(name).is_dir():
        return transformers_network(Path(name).resolve().name, local_weights(Path(name)), how)
    return transformers_network(name, hub_weights(name, accept_licence), how)
