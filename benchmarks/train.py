"""What training costs: reading alone, the step alone, both together, and the share of a step spent waiting.

`python benchmarks/train.py --dataset data/dataset --size 96 --batch-size 32` needs a labelled data set.
Reading is measured in random order for several numbers of threads; the step without reading uses one batch
again and again. The loss is timed against five plain 11x11 convolutions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mdeas.models.dataset import FgBgDataset, batches, epoch_order
from mdeas.models.device import choose_device
from mdeas.models.ssim import SSIM_C1, SSIM_C2, gaussian_taps, ssim_loss
from mdeas.models.train import Trainer
from mdeas.pipeline.options import TrainConfig
from torch import Tensor
from torch.nn import functional as F


def reading(dataset: FgBgDataset, batch_size: int, workers: int, count: int) -> float:
    """Samples a second, decoded into batches."""
    order = epoch_order(len(dataset), 0, workers)[:count]
    start = time.perf_counter()
    for _ in batches(dataset, order, batch_size, workers):
        pass
    return len(order) / (time.perf_counter() - start)


def stepping(trainer: Trainer, dataset: FgBgDataset, batch_size: int, steps: int) -> float:
    """Samples a second of the step alone, median over ``steps``."""
    sample = dataset.read(epoch_order(len(dataset), 0, 0)[:batch_size]).to(trainer.device)
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        trainer.step(sample, 1e-3)
        seconds.append(time.perf_counter() - start)
    return batch_size / statistics.median(seconds[2:])


def together(
    trainer: Trainer, dataset: FgBgDataset, batch_size: int, workers: int, steps: int
) -> tuple[float, float]:
    """Samples a second of reading and stepping, and the share of the time spent waiting for a batch."""
    waiting, taken = 0.0, 0
    order = epoch_order(len(dataset), 0, 1)[: steps * batch_size]
    start = before = time.perf_counter()
    for _, batch in batches(dataset, order, batch_size, workers):
        waiting += time.perf_counter() - before
        trainer.step(batch.to(trainer.device), 1e-3)
        taken += len(batch.mask)
        before = time.perf_counter()
    seconds = time.perf_counter() - start
    return taken / seconds, waiting / seconds


def plain_ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM with five 11x11 convolutions."""
    taps = gaussian_taps().float()
    kernel = (taps[:, None] * taps[None, :])[None, None]
    mx, my, sx, sy, xy = (F.conv2d(z, kernel, padding=5) for z in (x, y, x * x, y * y, x * y))
    upper = (2 * mx * my + SSIM_C1) * (2 * (xy - mx * my) + SSIM_C2)
    return 1 - (upper / ((mx**2 + my**2 + SSIM_C1) * (sx + sy - mx**2 - my**2 + SSIM_C2))).mean()


def loss_seconds(loss: Callable[[Tensor, Tensor], Tensor], repeats: int = 5) -> float:
    """Median of forward and backward on 32 pictures of 224 x 224."""
    torch.manual_seed(0)
    x, y = torch.rand(2, 32, 1, 224, 224)
    x.requires_grad_()
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        loss(x, y).backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, default=Path("data/dataset"))
    parser.add_argument("--model", default="mdeas")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    dataset = FgBgDataset(args.dataset, "train", args.size)
    config = TrainConfig(model=args.model, batch_size=args.batch_size, epochs=1)
    trainer = Trainer(config, dataset.size, choose_device(args.device), steps_per_epoch=args.steps)
    trainer.model.train()
    results: dict[str, float | str | int] = {"device": str(trainer.device), "size": dataset.size}
    for workers in args.workers:
        rate = reading(dataset, args.batch_size, workers, args.samples)
        results[f"reading, {workers} threads, samples/s"] = round(rate)
    results["step alone, samples/s"] = round(stepping(trainer, dataset, args.batch_size, args.steps), 1)
    for workers in args.workers:
        rate, share = together(trainer, dataset, args.batch_size, workers, args.steps)
        results[f"training, {workers} threads, samples/s"] = round(rate, 1)
        results[f"training, {workers} threads, waiting"] = round(share, 4)
    plain, ours = loss_seconds(plain_ssim_loss), loss_seconds(ssim_loss)
    results["SSIM loss, ms"] = round(1000 * ours, 1)
    results["SSIM loss, plain convolutions, ms"] = round(1000 * plain, 1)
    results["SSIM loss, times faster"] = round(plain / ours, 1)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
