"""Blocks that more than one network is made of."""

from __future__ import annotations

from torch import nn


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the side (for stride 1 and an odd kernel)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def conv_relu_norm(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Convolution, ReLU, then batch norm: the order in which MDEAS, DSResNet and MaskNet have it."""
    return [conv(inputs, outputs, kernel), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]


def conv_norm_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Convolution without bias, batch norm, then ReLU: the usual order."""
    return [conv(inputs, outputs, kernel, stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
