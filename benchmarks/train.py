"""What training costs: reading alone, the step alone, both together, and the share of a step spent waiting.

`python benchmarks/train.py --dataset data/dataset --size 96 --batch-size 32` needs a labelled data set.
Reading is measured in random order for several numbers of threads; the step without reading uses one batch
again and again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from mdeas.models.dataset import FgBgDataset, batches, epoch_order
from mdeas.models.phases import plan_phases
from mdeas.models.trainer import Trainer
from mdeas.pipeline.options import TrainConfig


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
    config = TrainConfig(model=args.model, batch_size=args.batch_size, epochs=1, device=args.device)
    phases = plan_phases(config, dataset.size)
    trainer = Trainer(config, phases, len(dataset))
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
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
