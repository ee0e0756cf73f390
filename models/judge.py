"""Measuring predictions on every validation stratum, beside the baseline that learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..pipeline.progress import Progress
from .base import DualHeadNet, Heads, heads
from .dataset import FgBgDataset, Sample, batches
from .losses import Loss
from .metrics import DepthScale, DepthSums, MaskSums, depth_sums, mask_sums
from .originals import OriginalSums, original_sums

STRATA = ("seen", "new_bg", "new_fg", "new_both")

Predictor = Callable[[Sample], Heads]
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """Sums over one stratum; two of them add up to those of both."""

    samples: int = 0
    mask: MaskSums = field(default_factory=MaskSums)
    depth: DepthSums | None = None  # None without a depth head
    loss: float = 0.0  # summed over samples
    originals: OriginalSums | None = None  # where they were asked for

    def __add__(self, other: Measured) -> Measured:
        """Sums of both strata together."""
        depth = self.depth + other.depth if self.depth and other.depth else self.depth or other.depth
        originals = self.originals or other.originals
        if self.originals and other.originals:
            originals = self.originals + other.originals
        return Measured(
            self.samples + other.samples, self.mask + other.mask, depth, self.loss + other.loss, originals
        )

    def metrics(self) -> Metrics:
        """The figures of ``metrics.jsonl`` and ``evaluation.json``."""
        metrics: Metrics = {"samples": self.samples, "mask": self.mask.metrics()}
        if self.depth:
            metrics["depth"] = self.depth.metrics()
        if self.originals:
            metrics["originals"] = self.originals.metrics()
        return metrics


@dataclass(frozen=True)
class Judge:
    """How predictions are measured: on which data, in which batches, where."""

    strata: Mapping[str, FgBgDataset]  # those that have samples
    scale: DepthScale
    batch_size: int
    workers: int
    device: torch.device
    originals: bool = False  # also the figures that the published systems gave

    def __call__(self, predict: Predictor, label: str, loss: Loss | None = None) -> dict[str, Measured]:
        """Sums per stratum; ``label`` names the work in the progress line."""
        results: dict[str, Measured] = {}
        with Progress(sum(map(len, self.strata.values())), label, "samples") as progress, torch.no_grad():
            for name, dataset in self.strata.items():
                measured = Measured()
                order = torch.arange(len(dataset)).numpy()
                for _, batch in batches(dataset, order, self.batch_size, self.workers):
                    measured += self.measure(predict, batch.to(self.device), loss)
                    progress.update(len(batch.mask), name)
                results[name] = measured
        return results

    def measure(self, predict: Predictor, sample: Sample, loss: Loss | None) -> Measured:
        """Sums over one batch."""
        found = predict(sample)
        count = len(sample.mask)
        depth = None
        if found.depth is not None:
            depth = depth_sums(found.depth, sample.depth, sample.mask, self.scale)
        value = float(loss(found, sample)[0]) * count if loss else 0.0
        originals = original_sums(found, sample) if self.originals else None
        return Measured(count, mask_sums(found.mask, sample.mask), depth, value, originals)


def network_predictor(network: DualHeadNet) -> Predictor:
    """What a network (see ``base.ready``) predicts: depth within 0..1, like every label."""

    def predict(sample: Sample) -> Heads:
        found = heads(network, network(sample.bg, sample.fg_bg))
        return found if found.depth is None else found._replace(depth=found.depth.clamp(0, 1))

    return predict


def open_strata(
    path: Path, size: int, limit: int | None, seed: int, names: tuple[str, ...] = STRATA
) -> dict[str, FgBgDataset]:
    """The validation strata that have samples, at most ``limit`` of each."""
    strata = {name: FgBgDataset(path, name, size, limit, seed) for name in names}
    return {name: dataset for name, dataset in strata.items() if len(dataset)}


def beside_baseline(network: Mapping[str, Measured], baseline: Mapping[str, Measured]) -> dict[str, Metrics]:
    """Metrics per stratum and over ``all`` of them, the baseline's beside the network's."""
    both = {name: (network[name], baseline[name]) for name in network}
    if both:
        sums = [sum((pair[side] for pair in both.values()), Measured()) for side in (0, 1)]
        both["all"] = (sums[0], sums[1])
    return {
        name: {**mine.metrics(), "baseline": {k: v for k, v in base.metrics().items() if k != "samples"}}
        for name, (mine, base) in both.items()
    }


def metrics_table(strata: Mapping[str, Metrics]) -> str:
    """A text table: every figure with the baseline's in brackets."""
    columns = [
        ("mask", "iou", "IoU"), ("mask", "f", "F"), ("mask", "boundary_f", "outline F"),
        ("depth", "rmse", "RMSE"), ("depth", "abs_rel", "AbsRel"), ("depth", "delta1", "delta1"),
        ("depth", "ssim", "SSIM"),
    ]  # fmt: skip
    shown = [column for column in columns if all(column[0] in metrics for metrics in strata.values())]
    head = f"{'stratum':<10}{'samples':>8}" + "".join(f"  {f'{kind} {name}':>15}" for kind, _, name in shown)
    lines = [head]
    for stratum, metrics in strata.items():
        pairs = (f"{metrics[k][m]:.3f} ({metrics['baseline'][k][m]:.3f})" for k, m, _ in shown)
        lines.append(f"{stratum:<10}{metrics['samples']:>8,}" + "".join(f"  {pair:>15}" for pair in pairs))
    return "\n".join(lines)
