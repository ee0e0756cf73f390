"""Camera and colour augmentation of rendered scenes, on whole batches of tensors.

Every function takes a ``torch.Generator``: the same seed gives the same pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)


def augment(
    rgb: Tensor, depth: Tensor, size: tuple[int, int], strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch as another camera might have seen it.

    Args:
        rgb: uint8 (B, 3, H, W).
        depth: Float (B, H, W), metres, <= 0 or not finite where unknown.
        size: Height and width of the result.
        strength: 0 mirrors only, 1 is the strongest.
        generator: Decides everything.

    Returns:
        Float (B, 3, *size) in 0..1; log inverse depth (B, *size); where it is known, bool (B, *size).
    """
    grid = random_views(len(rgb), rgb.shape[-1] / rgb.shape[-2], size, strength, generator)
    known = torch.isfinite(depth) & (depth > 0)
    target = -torch.log(torch.where(known, depth, torch.ones_like(depth)).clamp(0.05, 100.0))
    picture = F.grid_sample(
        rgb.float() / 255, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    flat = torch.stack([target, known.float()], dim=1)
    flat = F.grid_sample(flat, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return recolour(picture, strength, generator), flat[:, 0], flat[:, 1] > 0.5


def random_views(
    batch: int, aspect: float, size: tuple[int, int], strength: float, generator: torch.Generator
) -> Tensor:
    """Sampling grids (B, height, width, 2): mirror, zoom, shift, stretch, roll, keystone.

    ``aspect`` is the source's width / height. A zoom of 1 shows the largest crop of the wanted shape, one of
    0.5 half of its sides. Corners that turn out of the source stay black and unknown, as in undistorted real
    frames.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, generator=generator) * (high - low) + low

    def normal(std: float) -> Tensor:
        return std * strength * torch.randn(batch, generator=generator)

    height, width = size
    wanted = width / height
    # half sides of the crop in units of the source's half sides, before zooming
    crop_x, crop_y = min(1.0, wanted / aspect), min(1.0, aspect / wanted)
    zoom = 1 - 0.5 * strength * uniform(0, 1) ** 1.5
    stretch = torch.exp(normal(0.07))
    half_x = (crop_x * zoom * stretch).clamp(max=1.0)
    half_y = (crop_y * zoom / stretch).clamp(max=1.0)
    centre_x, centre_y = uniform(-1, 1) * (1 - half_x), uniform(-1, 1) * (1 - half_y)
    roll = normal(0.07)
    keystone_x, keystone_y = normal(0.06), normal(0.06)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    y = (torch.arange(height) * 2 + 1) / height - 1
    x = (torch.arange(width) * 2 + 1) / width - 1
    v, u = torch.meshgrid(y, x, indexing="ij")

    def spread(a: Tensor) -> Tensor:
        return a.view(-1, 1, 1)

    u = u[None] * spread(mirror)
    v = v[None].expand_as(u)
    bend = 1 + spread(keystone_x) * u + spread(keystone_y) * v
    u, v = u / bend * spread(half_x) * aspect, v / bend * spread(half_y)
    cos, sin = spread(torch.cos(roll)), spread(torch.sin(roll))
    u, v = (u * cos - v * sin) / aspect, u * sin + v * cos
    return torch.stack([u + spread(centre_x), v + spread(centre_y)], dim=-1)


def recolour(rgb: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Float (B, 3, H, W) in 0..1 as another sensor would have seen it in another light."""
    batch = len(rgb)

    def normal(std: float, channels: int = 1) -> Tensor:
        return std * strength * torch.randn(batch, channels, 1, 1, generator=generator)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, 1, 1, 1, generator=generator) * (high - low) + low

    def sometimes(share: float) -> Tensor:
        return (torch.rand(batch, 1, 1, 1, generator=generator) < share * strength).float()

    rgb = random_filter(rgb, uniform(0, 1) * sometimes(0.5), generator)
    rgb = _soften(rgb, uniform(-0.7, 1.0) * sometimes(0.7), uniform(0, 1) * sometimes(0.25))
    light = _smooth_field(rgb, generator) * uniform(0, 0.4) * sometimes(0.6)
    tint = _smooth_field(rgb, generator, channels=3) * uniform(0, 0.08) * sometimes(0.4)
    gain = (
        normal(0.2)
        + normal(0.07, channels=3)
        + light
        + tint
        - _vignette(rgb) * uniform(0, 0.5) * sometimes(0.4)
    )
    rgb = rgb * torch.exp(gain)
    grey = (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    saturation = (1 + strength * (uniform(0.2, 1.3) - 1)) * (1 - sometimes(0.08))
    rgb = grey + (rgb - grey) * saturation
    centre = grey.mean(dim=(2, 3), keepdim=True)
    rgb = centre + (rgb - centre) * torch.exp(normal(0.15)) + normal(0.04)
    rgb = rgb.clamp(0, 1) + 1e-4
    rgb = torch.exp(torch.log(rgb) * torch.exp(normal(0.2)))  # gamma
    noise = torch.randn(rgb.shape, generator=generator)
    coarse = torch.randn((batch, 3, rgb.shape[2] // 2, rgb.shape[3] // 2), generator=generator)
    noise = noise * uniform(0, 0.04) + F.interpolate(coarse, size=rgb.shape[2:]) * uniform(0, 0.03)
    rgb = rgb + noise * sometimes(0.5) * (0.4 + rgb)
    return _cut_out(rgb.clamp(0, 1), generator, share=0.12 * strength)


def random_filter(rgb: Tensor, amount: Tensor, generator: torch.Generator) -> Tensor:
    """``rgb`` moved by ``amount`` (B, 1, 1, 1), 0..1, towards a random 3x3 filter of all its colours.

    Shapes stay, materials become others (Xu et al. 2021, arXiv:2007.13003). Every channel keeps its mean and
    its spread.
    """
    batch, channels, height, width = rgb.shape
    kernel = torch.randn(batch * channels, channels, 3, 3, generator=generator)
    padded = F.pad(rgb, (1, 1, 1, 1), mode="replicate").reshape(1, batch * channels, height + 2, width + 2)
    filtered = F.conv2d(padded, kernel, groups=batch).view_as(rgb)
    mean, spread = rgb.mean(dim=(2, 3), keepdim=True), rgb.std(dim=(2, 3), keepdim=True)
    filtered = filtered - filtered.mean(dim=(2, 3), keepdim=True)
    filtered = filtered / filtered.std(dim=(2, 3), keepdim=True).clamp(min=1e-4) * spread + mean
    return rgb + (filtered - rgb) * amount


def _soften(rgb: Tensor, amount: Tensor, streak: Tensor) -> Tensor:
    """Blur (0..1) or sharpen (-1..0) by ``amount``, smear along x by ``streak``; both (B, 1, 1, 1)."""
    tap = rgb.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    padded = F.pad(rgb, (2, 2, 2, 2), mode="replicate")
    across = sum(tap[i] * padded[:, :, :, i : i + rgb.shape[3]] for i in range(5))
    blurred = sum(tap[i] * across[:, :, i : i + rgb.shape[2]] for i in range(5))  # type: ignore[index, misc]
    rgb = rgb + (blurred - rgb) * amount
    padded = F.pad(rgb, (2, 2, 0, 0), mode="replicate")
    smeared = sum(padded[:, :, :, i : i + rgb.shape[3]] for i in range(5)) / 5
    return rgb + (smeared - rgb) * streak


def _smooth_field(rgb: Tensor, generator: torch.Generator, channels: int = 1) -> Tensor:
    """Noise (B, channels, H, W) of about unit size that changes over a third of the picture."""
    coarse = torch.randn((len(rgb), channels, 4, 5), generator=generator)
    return F.interpolate(coarse, size=rgb.shape[2:], mode="bicubic", align_corners=False)


def _vignette(rgb: Tensor) -> Tensor:
    """(1, 1, H, W): 0 at the centre, 1 in the corners."""
    y = torch.linspace(-1, 1, rgb.shape[2]).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, rgb.shape[3]).view(1, 1, 1, -1)
    return (x**2 + y**2) / 2


def _cut_out(rgb: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Cover one small rectangle with a flat colour in a ``share`` of the pictures: a print tells no depth."""
    batch, _, height, width = rgb.shape
    size = torch.rand(batch, 2, generator=generator) * 0.2 + 0.05
    corner = torch.rand(batch, 2, generator=generator) * (1 - size)
    colour = torch.rand(batch, 3, 1, 1, generator=generator)
    chosen = torch.rand(batch, generator=generator) < share
    y, x = torch.arange(height) / height, torch.arange(width) / width
    rows = (y >= corner[:, :1]) & (y < corner[:, :1] + size[:, :1])
    columns = (x >= corner[:, 1:]) & (x < corner[:, 1:] + size[:, 1:])
    inside = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]
    return torch.where(inside, colour, rgb)
