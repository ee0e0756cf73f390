"""Checkpoints: written whole or not at all, loaded without running code from the file."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import MdeasError
from ..pipeline.manifest import write_bytes
from . import create_model
from .base import DualHeadNet, ready
from .normalise import Normalisation

FORMAT = "mdeas-checkpoint"
VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with what is needed to use it, and, in ``last.ckpt``, to go on training it."""

    model: str  # name in MODELS
    size: int  # side it was trained on
    weights: dict[str, torch.Tensor]
    depth: dict[str, Any]  # what the depth labels are: kind, nearer, unit, scale, offset
    options: dict[str, Any]  # of the run
    epoch: int  # epochs it was trained for
    metrics: dict[str, Any]  # of that epoch
    training: dict[str, Any] | None = None  # optimizer, position, history, best scores, random states
    normalisation: dict[str, Any] | None = None  # of the inputs, as ``Normalisation`` has it

    def network(self, device: torch.device) -> DualHeadNet:
        """The network with its weights, ready to predict."""
        network = create_model(self.model)
        network.load_state_dict(self.weights)
        if self.normalisation is not None:
            network.normalise(Normalisation(**self.normalisation))
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ready(network)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``path`` so that it is complete or absent whenever the process ends."""
    content: Mapping[str, Any] = {"format": FORMAT, "version": VERSION, **vars(checkpoint)}
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors arrive on the CPU.

    Raises:
        MdeasError: If there is none, or the file is something else or damaged.
    """
    if not path.is_file():
        raise MdeasError(
            f"no checkpoint: {path}; train a network first with `mdeas train`, or give another file"
        )
    try:
        with warnings.catch_warnings():  # about the protocol of a pickle that is none of ours
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        UnicodeDecodeError,
    ) as error:
        raise MdeasError(
            f"not a checkpoint that can be read: {path}; give a .ckpt file of `mdeas train`"
        ) from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise MdeasError(f"not a checkpoint of mdeas: {path}; give a .ckpt file of `mdeas train`")
    version = content.pop("version", None)
    if version != VERSION:
        raise MdeasError(
            f"checkpoint of version {version}: {path}; this mdeas reads version {VERSION}: use the one that "
            "made it"
        )
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise MdeasError(
            f"damaged checkpoint: {path} (parts are missing or unknown); train again with --overwrite"
        ) from error
