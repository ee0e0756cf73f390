"""DenseDepth (Alhashim and Wonka 2018, arXiv:1812.11941) from its Keras weights, without Keras.

DenseNet-169 without its classifier, and a decoder of four steps that each enlarge twice, bilinearly, join the
encoder's map of that size and convolve twice. It answers at half the input's size with farthest / depth: 10 m
/ depth after training on NYU, 80 m / depth after KITTI. Which of the two it was, a weights file does not say,
so labels are depth as a fraction of the farthest, as in the data sets that were published with it.

Keras and this file agree on all but one thing that the paper leaves open: how bilinear enlarging treats
borders. Taken here is what today's Keras does (pixel centres, no aligned corners).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import MdeasError
from .backbone import create_backbone
from .depth import DepthNetworkInfo, PreparedNetwork
from .depth_prepare import Preparation
from .depth_runtime import Computation, compile_core, settle

NAME = "densedepth"
ENCODER_CHANNELS = 1664
SKIP_CHANNELS = (256, 128, 64, 64)  # of the encoder's maps that the decoder joins, coarsest first
# Names in timm of those maps, and of what ends the encoder.
_TAPS = ("transition2", "transition1", "pool0", "norm0")
_LAYERS_OF_BLOCKS = (6, 12, 32, 32)
_BATCH_NORM_EPSILON = 1.001e-5  # of Keras's DenseNet
_NEGATIVE_SLOPE = 0.2
# The fractions of the farthest that its authors let an answer be.
_RANGE = (0.01, 1.0)
# Its training pictures were 640 x 480, RGB in 0..1.
_PREPARATION = Preparation(
    height=480, width=640, keep_aspect=True, multiple=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
)

Arrays = dict[str, NDArray[np.float32]]


class DenseDepth(nn.Module):
    """Picture to depth as a fraction of the farthest."""

    def __init__(self, width: int = ENCODER_CHANNELS) -> None:
        """``width``: channels at the decoder's start; 1664 are the paper's 42.6 million parameters."""
        super().__init__()
        self.encoder = create_backbone("densenet169", num_classes=0).features
        for module in self.encoder.modules():  # type: ignore[union-attr]
            if isinstance(module, nn.BatchNorm2d):
                module.eps = _BATCH_NORM_EPSILON
        self.conv2 = nn.Conv2d(ENCODER_CHANNELS, width, 1)
        before = width
        for step, skip in enumerate(SKIP_CHANNELS, 1):
            after = width >> step
            self.add_module(f"up{step}_convA", nn.Conv2d(before + skip, after, 3, padding=1))
            self.add_module(f"up{step}_convB", nn.Conv2d(after, after, 3, padding=1))
            before = after
        self.conv3 = nn.Conv2d(before, 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Depth as a fraction of the farthest, (B, H/2, W/2), 0.01 to 1, of pictures (B, 3, H, W) in 0..1."""
        return 1 / self.inverse(rgb).clamp(1 / _RANGE[1], 1 / _RANGE[0])

    def inverse(self, rgb: Tensor) -> Tensor:
        """What the Keras network answers with: farthest / depth, (B, H/2, W/2)."""
        x, maps = rgb, {}
        for name, module in self.encoder.named_children():  # type: ignore[union-attr]
            x = module(x)
            maps[name] = x
        x = self.conv2(x)
        for step, tap in enumerate(_TAPS, 1):
            skip = maps[tap]
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = torch.cat([x, skip], dim=1)
            for letter in "AB":
                x = F.leaky_relu(self.get_submodule(f"up{step}_conv{letter}")(x), _NEGATIVE_SLOPE)
        answer: Tensor = self.conv3(x)
        return answer[:, 0]


def densedepth_network(weights: Path | None, how: Computation) -> PreparedNetwork:
    """DenseDepth with the Keras weights of the file ``weights``.

    Raises:
        MdeasError: If there is no such file, or it holds something else.
    """
    if weights is None:
        raise MdeasError(f"{NAME} needs its Keras weights: give the .h5 file to --weights")
    module = load_densedepth(weights)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    how = settle(how, parameters)
    info = DepthNetworkInfo(
        name=NAME,
        parameters=parameters,
        licence="not stated",
        kind="relative_depth",
        nearer="smaller",
        unit=None,
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        source=f"Keras weights {weights.name}; fractions of 10 m if trained on NYU, of 80 m if on KITTI",
        resize=_PREPARATION.describe(),
        precision=how.dtype,
        runtime=how.runtime,
    )
    return PreparedNetwork(info, (0.0, _RANGE[1]), _PREPARATION, compile_core(module, how))


def load_densedepth(path: Path) -> DenseDepth:
    """The network with the weights of a Keras ``.h5`` file: of a whole model, or of its weights only.

    Raises:
        MdeasError: If there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise MdeasError(f"no such weights file: {path}; give the .h5 file to --weights")
    try:
        with h5py.File(path, "r") as file:
            layers = _read_layers(file.get("model_weights", file))
        module = DenseDepth(layers["conv2"]["kernel"].shape[-1])
        module.load_state_dict(_state(layers, module))
    except (OSError, KeyError, ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MdeasError(
            f"not Keras weights of DenseDepth: {path} ({reason}); give others to --weights"
        ) from error
    return module.eval()


def _read_layers(root: h5py.Group) -> dict[str, Arrays]:
    """The arrays of each layer that the network has, by what they are (``kernel``, ``gamma``, ...)."""
    layers = {}
    for name in _layer_names():
        # Keras 2 called the encoder's first layers conv1/conv and conv1/bn.
        group = root[name] if name in root else root[name.replace("conv1_", "conv1/")]
        arrays: Arrays = {}

        def collect(path: str, item: object, arrays: Arrays = arrays) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[path.rpartition("/")[2].partition(":")[0]] = np.asarray(item, np.float32)

        group.visititems(collect)
        layers[name] = arrays
    return layers


def _layer_names() -> dict[str, str]:
    """Names in Keras with the name of the same module here."""
    names = {"conv1_conv": "encoder.conv0", "conv1_bn": "encoder.norm0", "bn": "encoder.norm5"}
    for block, layers in enumerate(_LAYERS_OF_BLOCKS, 1):
        for layer in range(1, layers + 1):
            keras, here = f"conv{block + 1}_block{layer}", f"encoder.denseblock{block}.denselayer{layer}"
            names |= {f"{keras}_0_bn": f"{here}.norm1", f"{keras}_1_conv": f"{here}.conv1"}
            names |= {f"{keras}_1_bn": f"{here}.norm2", f"{keras}_2_conv": f"{here}.conv2"}
        if block < len(_LAYERS_OF_BLOCKS):
            names[f"pool{block + 1}_bn"] = f"encoder.transition{block}.norm"
            names[f"pool{block + 1}_conv"] = f"encoder.transition{block}.conv"
    decoder = ["conv2", *(f"up{step}_conv{letter}" for step in (1, 2, 3, 4) for letter in "AB"), "conv3"]
    return names | {name: name for name in decoder}


def _state(layers: dict[str, Arrays], module: DenseDepth) -> dict[str, Tensor]:
    """The arrays under torch's names and in its order of axes."""
    state = {
        name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")
    }
    for keras, here in _layer_names().items():
        arrays = layers[keras]
        if "kernel" in arrays:
            state[f"{here}.weight"] = torch.from_numpy(arrays["kernel"]).permute(3, 2, 0, 1)  # from HWIO
            if "bias" in arrays:
                state[f"{here}.bias"] = torch.from_numpy(arrays["bias"])
            continue
        for theirs, ours in (
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        ):
            state[f"{here}.{ours}"] = torch.from_numpy(arrays[theirs])
    return state
