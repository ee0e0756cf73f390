"""ImageNet weights for the encoder of a network that has timm's, from the hub or from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .. import MdeasError
from .base import DualHeadNet
from .depth_hub import hub_weights

IMAGENET = "imagenet"  # the hub's
# torchvision's own weights, which the published systems took, as timm keeps them; by encoder.
_REPOSITORIES = {"resnet18": "timm/resnet18.tv_in1k"}
_ADVICE = "connect, or name a file: --encoder-weights FILE"


def load_encoder(model: DualHeadNet, name: str, source: str) -> None:
    """Put ImageNet weights into the encoder of ``model``, in place; the rest stays as it is.

    Args:
        model: A network.
        name: What it is called.
        source: ``imagenet`` for those of the Hugging Face hub, fetched once after their licence was shown;
            or a file of timm's or torchvision's, ``.safetensors`` or one that torch saved.

    Raises:
        MdeasError: If the network has no such encoder, or the weights are not to be had, or not of it.
    """
    if model.backbone is None:
        raise MdeasError(
            f"{name} has no encoder for ImageNet weights; leave --encoder-weights away, or take maskdepth"
        )
    if source == IMAGENET:
        weights = hub_weights(_REPOSITORIES[model.backbone], accept_licence=False, advice=_ADVICE)
        file = weights.folder / "model.safetensors"
    else:
        file = Path(source)
    state = _read(file)
    parts = model.encoder_parts()
    try:
        for part, module in parts.items():
            own = {key.removeprefix(f"{part}."): t for key, t in state.items() if key.startswith(f"{part}.")}
            missing, unexpected = module.load_state_dict(own, strict=False)
            # torch counts batches beside the statistics; files of weights often leave that out
            missing = [key for key in missing if not key.endswith("num_batches_tracked")]
            if missing or unexpected:
                raise ValueError(f"{len(missing)} tensors missing, {len(unexpected)} unknown in {part}")
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MdeasError(f"not weights of {model.backbone}: {file} ({reason}); {_ADVICE}") from error


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise MdeasError(f"no such weights file: {file}; {_ADVICE}, or --encoder-weights {IMAGENET}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {key: tensor for key, tensor in state.items() if isinstance(tensor, Tensor)}
    except (SafetensorError, OSError, AttributeError, RuntimeError, ValueError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MdeasError(f"cannot read weights: {file} ({reason}); {_ADVICE}") from error
    except Exception as error:  # the unpickler's own, by version
        raise MdeasError(f"cannot read weights: {file} ({type(error).__name__}); {_ADVICE}") from error
