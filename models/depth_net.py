"""The bundled depth network: a timm backbone and a light decoder that answer with log inverse depth.

Built for CPUs: dense and group convolutions, ReLU, BatchNorm and no more: bfloat16 pays in training, and
nearly every BatchNorm folds into its convolution for inference. The coarsest cells are told of the whole
picture and of their place in it, because the layout of a room is a question about both.

Rendered rooms are not photographs: deep features of a photograph have another mean and spread, and a plain
BatchNorm hands the difference on. So the deep norms (:class:`PictureBatchNorm`) mix in the picture's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .. import MdeasError
from .backbone import create_backbone

# For inference a picture is looked at twice, the second time larger and mirrored, and the answers averaged:
# about how many pixels each time, and whether mirrored.
LOOKS = ((128 * 96, False), (160 * 128, True))
STRIDE = 32  # sides of the input are multiples of this
# Any fixed centre and spread do; the training pictures have about these.
INPUT_MEAN = 0.45
INPUT_STD = 0.25
_COORDINATES = 2
DEEP_STAGES = 2  # at strides 16 and 32: the earlier norms made no difference on real frames
# Mean log inverse depth of the rendered scenes: the head starts there.
OUTPUT_BIAS = -0.75


@dataclass(frozen=True)
class DepthNetConfig:
    """The shape of the network: ``widths`` are the decoder's channels, coarsest level first.

    ``own_share`` is the share of the picture's own statistics in the norms of the backbone's last two stages.
    """

    backbone: str = "regnetx_002"
    widths: tuple[int, int, int, int, int] = (128, 96, 64, 48, 32)
    own_share: float = 0.2


def picture_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of (B, C, H, W): float32 (B, H W, C), and over its pixels the mean and the mean square (B, C)."""
    # With channels last, sums over the middle axis of (B, H W, C) take half the time of sums over (2, 3).
    flat = x.permute(0, 2, 3, 1).flatten(1, 2).float()
    return flat, flat.mean(dim=1), flat.square().mean(dim=1)


class PictureBatchNorm(nn.BatchNorm2d):
    """BatchNorm whose statistics are partly each picture's own, in training and afterwards.

    A fixed share of adaptation to covariate shift from one picture (Schneider et al. 2020, arXiv:2006.16971).
    What shares the batch does not matter in evaluation: the rest are the running statistics.
    """

    def __init__(self, norm: nn.BatchNorm2d, own_share: float) -> None:
        """Takes the place of ``norm``, which may carry timm's activation, with parameters of its own."""
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.own_share = own_share
        self.act = getattr(norm, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        batch, channels, height, width = x.shape
        flat, own_mean, own_square = picture_moments(x)
        own_var = own_square - own_mean.square()
        mean, var = self._shared(own_mean, own_square, count=batch * height * width)
        share = self.own_share
        mixed_mean = torch.lerp(mean.expand_as(own_mean), own_mean, share)
        # of a mixture of two distributions
        mixed_var = (1 - share) * var + share * own_var + share * (1 - share) * (own_mean - mean).square()
        scale = self.weight * torch.rsqrt(mixed_var.clamp(min=0) + self.eps)
        shift = self.bias - mixed_mean * scale
        y = torch.addcmul(shift[:, None], flat, scale[:, None]).to(x.dtype)
        normed: Tensor = self.act(y.reshape(batch, height, width, channels).permute(0, 3, 1, 2))
        return normed

    def _shared(self, own_mean: Tensor, own_square: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,): the batch's in training, the running ones afterwards."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        if not self.training:
            return self.running_mean, self.running_var
        mean = own_mean.mean(dim=0)
        var = own_square.mean(dim=0) - mean.square()
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / max(1, count - 1), self.momentum)
        return mean, var


class ConvBlock(nn.Sequential):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        """``channels`` in, ``out`` out, a square ``kernel``, same size."""
        super().__init__(
            nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )


class ContextBlock(nn.Module):
    """Lets every one of the coarsest cells know the whole picture and its own place in it."""

    def __init__(self, channels: int) -> None:
        """``channels`` in and out."""
        super().__init__()
        self.whole = nn.Conv2d(channels, channels, 1)
        self.mix = ConvBlock(2 * channels + _COORDINATES, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        whole = F.relu(self.whole(x.mean(dim=(2, 3), keepdim=True))).expand_as(x)
        place = _coordinates(x.shape[-2], x.shape[-1], x).expand(len(x), -1, -1, -1)
        mixed: Tensor = self.mix(torch.cat([x, whole, place.to(x.dtype)], dim=1))
        return x + mixed


def _coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """(1, 2, height, width): x and y of the cells' centres, -1..1."""
    y = (torch.arange(height, device=like.device, dtype=torch.float32) * 2 + 1) / height - 1
    x = (torch.arange(width, device=like.device, dtype=torch.float32) * 2 + 1) / width - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y])[None]


class DepthNet(nn.Module):
    """Picture to log inverse depth (log of 1/metres as trained; trust it up to a scale and a shift)."""

    def __init__(self, config: DepthNetConfig | None = None) -> None:
        """Fresh weights; ``config`` None is the bundled network's shape."""
        super().__init__()
        self.config = config = config or DepthNetConfig()
        self.backbone = create_backbone(config.backbone, features_only=True)
        _mix_in_own_statistics(self.backbone, config.own_share)
        taps = list(self.backbone.feature_info.channels())[::-1]  # type: ignore[union-attr, operator]
        if len(taps) != len(config.widths):
            raise ValueError(f"{config.backbone} has {len(taps)} feature maps, expected {len(config.widths)}")
        self.reduce = ConvBlock(taps[0], config.widths[0], 1)
        self.context = ContextBlock(config.widths[0])
        self.refine = ConvBlock(config.widths[0], config.widths[0], 3)
        self.lateral = nn.ModuleList(
            nn.Conv2d(tap, width, 1) for tap, width in zip(taps[1:], config.widths[1:], strict=True)
        )
        self.descend = nn.ModuleList(
            nn.Conv2d(above, width, 1, bias=False)
            for above, width in zip(config.widths[:-1], config.widths[1:], strict=True)
        )
        self.fuse = nn.ModuleList(ConvBlock(width, width, 3) for width in config.widths[1:])
        self.head = nn.Conv2d(config.widths[-1], 1, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.05)
        nn.init.constant_(self.head.bias, OUTPUT_BIAS)  # type: ignore[arg-type]

    def forward(self, rgb: Tensor) -> Tensor:
        """Log inverse depth.

        Args:
            rgb: Float (B, 3, H, W) in 0..1, sides multiples of 32.

        Returns:
            Float (B, H, W).

        Raises:
            ValueError: If a side is no multiple of 32.
        """
        if rgb.shape[-2] % STRIDE or rgb.shape[-1] % STRIDE:
            raise ValueError(f"sides must be multiples of {STRIDE}, got {tuple(rgb.shape)}")
        features = self.backbone((rgb - INPUT_MEAN) / INPUT_STD)[::-1]  # coarsest first
        x = self.refine(self.context(self.reduce(features[0])))  # (B, 128, H/32, W/32)
        for feature, lateral, descend, fuse in zip(
            features[1:], self.lateral, self.descend, self.fuse, strict=True
        ):
            # the 1x1 before the upsampling: the same result at a quarter of the work
            x = F.interpolate(descend(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = fuse(F.relu(x + lateral(feature)))
        x = self.head(x)  # (B, 1, H/2, W/2)
        x = F.interpolate(x.float(), scale_factor=2.0, mode="bilinear", align_corners=False)
        return x.squeeze(1)


def _mix_in_own_statistics(backbone: nn.Module, share: float) -> None:
    """Put :class:`PictureBatchNorm` into the backbone's last two stages, in place."""
    for stage in list(backbone.children())[-DEEP_STAGES:]:
        for block in list(stage.modules()):
            for name, norm in list(block.named_children()):
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(block, name, PictureBatchNorm(norm, share))


def network_size(height: int, width: int, area: int) -> tuple[int, int]:
    """Height and width, multiples of 32 with about ``area`` pixels, closest to the picture's aspect."""
    ideal_height, ideal_width = math.sqrt(area * height / width), math.sqrt(area * width / height)
    return _nearest_multiple(ideal_height), _nearest_multiple(ideal_width)


def _nearest_multiple(side: float) -> int:
    return max(1, round(side / STRIDE)) * STRIDE


def log_disparity(
    network: Callable[[Tensor], Tensor], rgb: Tensor, looks: tuple[tuple[int, bool], ...] = LOOKS
) -> Tensor:
    """Log inverse depth, float32 (B, H, W), of pictures uint8 (B, 3, H, W): the mean of several ``looks``.

    Each resizes to :func:`network_size` by averaging and resizes the answer back bilinearly.
    """
    size = rgb.shape[-2:]
    total = torch.zeros((len(rgb), *size), device=rgb.device)
    for area, mirrored in looks:
        small = F.interpolate(
            rgb.float() / 255, network_size(size[0], size[1], area), mode="bilinear", antialias=True
        )
        small = (small.flip(-1) if mirrored else small).contiguous(memory_format=torch.channels_last)
        answer = network(small)
        answer = answer.flip(-1) if mirrored else answer
        total += F.interpolate(answer[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return total / len(looks)


def fuse_batch_norm(network: nn.Module) -> nn.Module:
    """Fold every plain BatchNorm that follows a convolution into it, in place; for inference only.

    Knows this module's :class:`ConvBlock` and timm's ``conv`` + ``bn`` blocks, whose BatchNorm may carry the
    activation.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvBlock):
            module[0] = fuse_conv_bn_eval(module[0], module[1])  # type: ignore[type-var, arg-type]
            module[1] = nn.Identity()
            continue
        conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(norm, PictureBatchNorm):
            continue
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(conv, norm)
            module.bn = getattr(norm, "act", nn.Identity())
    return network


def save_weights(network: DepthNet, path: Path, about: dict[str, str]) -> None:
    """Write the weights in half precision, with the network's shape and ``about`` as metadata; atomic."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {"network": json.dumps(asdict(network.config)), **about}
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary, metadata)
    temporary.chmod(0o644)  # safetensors makes files that only their owner reads
    temporary.replace(path)


def load_weights(path: Path) -> tuple[DepthNet, dict[str, str]]:
    """The network in evaluation mode, float32, and the file's metadata.

    Raises:
        MdeasError: If the file is missing, damaged or of another network.
    """
    if not path.is_file():
        raise MdeasError(f"no such weights file: {path}; reinstall mdeas or name another with --weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        shape = json.loads(metadata["network"])
        network = DepthNet(DepthNetConfig(**{**shape, "widths": tuple(shape["widths"])}))
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MdeasError(
            f"not weights of the bundled depth network: {path} ({reason}); reinstall mdeas or name others"
        ) from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise MdeasError(
            f"not weights of the bundled depth network: {path} ({len(missing)} tensors missing, "
            f"{len(unexpected)} unknown); reinstall mdeas or name another file"
        )
    return network.eval(), metadata
