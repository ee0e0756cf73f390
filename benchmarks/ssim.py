"""The SSIM loss beside five plain 11x11 convolutions: forward and backward on 32 pictures of 224 x 224.

`python benchmarks/ssim.py` prints the ratio of the medians, both timed in turn in one run, and how far loss
and gradient are apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from mdeas.models.ssim import SSIM_C1, SSIM_C2, gaussian_taps, ssim_loss
from torch import Tensor
from torch.nn import functional as F


def plain_ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM with five convolutions, as it is usually written."""
    taps = gaussian_taps().to(x)
    kernel = (taps[:, None] * taps[None, :])[None, None]
    mx, my, sx, sy, xy = (F.conv2d(z, kernel, padding=5) for z in (x, y, x * x, y * y, x * y))
    upper = (2 * mx * my + SSIM_C1) * (2 * (xy - mx * my) + SSIM_C2)
    return 1 - (upper / ((mx**2 + my**2 + SSIM_C1) * (sx + sy - mx**2 - my**2 + SSIM_C2))).mean()


def step(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[float, float, Tensor]:
    """Seconds, the loss and its gradient."""
    x = x.clone().requires_grad_()
    start = time.perf_counter()
    value = loss(x, y)
    value.backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    assert x.grad is not None
    return seconds, float(value.detach()), x.grad


def apart(gradient: Tensor, other: Tensor) -> float:
    """The largest difference as a share of the largest entry of ``other``."""
    return float((gradient - other).abs().max() / other.abs().max())


def pictures(batch: int, side: int, device: str) -> tuple[Tensor, Tensor]:
    """A prediction and a label as they look in training: smooth, the prediction with some error."""
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(batch, 1, side // 16, side // 16), size=(side, side), mode="bilinear")
    return (smooth + 0.05 * torch.randn_like(smooth)).to(device), smooth.to(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    x, y = pictures(args.batch, args.side, args.device)
    took: dict[str, list[float]] = {"plain": [], "ours": []}
    results = {}
    for _ in range(args.repeats + 1):
        for name, loss in (("plain", plain_ssim_loss), ("ours", ssim_loss)):
            seconds, value, gradient = step(loss, x, y)
            took[name].append(seconds)
            results[name] = value, gradient
    plain, ours = (statistics.median(took[name][1:]) for name in ("plain", "ours"))
    (plain_value, plain_gradient), (value, gradient) = results["plain"], results["ours"]
    exact = step(plain_ssim_loss, x.double(), y.double())[2]
    report = {
        "pictures": f"{args.batch}x1x{args.side}x{args.side}",
        "device": args.device,
        "threads": args.threads,
        "plain, ms": round(1000 * plain, 1),
        "ours, ms": round(1000 * ours, 1),
        "times faster": round(plain / ours, 1),
        "loss apart": abs(value - plain_value),
        "gradient apart, of its largest": float(
            (gradient - plain_gradient).abs().max() / plain_gradient.abs().max()
        ),
        "ours from float64": float((gradient - exact).abs().max() / exact.abs().max()),
        "plain from float64": float((plain_gradient - exact).abs().max() / exact.abs().max()),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
