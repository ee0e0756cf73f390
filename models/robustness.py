"""How masks and depth stand what happens between two pictures of one camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ..pipeline.images import Pixels
from ..pipeline.progress import Progress
from .chart import Panel, line_charts
from .dataset import Batch, FgBgDataset, subset
from .disturb import DISTURBANCES, View
from .judge import Judge, Measured, Predictor

CLEAN = "none"  # label of the undisturbed view


@dataclass(frozen=True)
class Curve:
    """One disturbance: figures at every level, the first without it.

    The area under a curve is that over levels that are equally far apart, between 0 and 1.
    """

    title: str
    levels: tuple[str, ...]
    mask_iou: tuple[float, ...]
    baseline_mask_iou: tuple[float, ...]
    depth_rmse: tuple[float, ...] | None
    area: float
    baseline_area: float


@dataclass(frozen=True)
class Robustness:
    """All curves; ``area`` is the mean of their areas under the IoU of the mask: the one figure."""

    samples: int
    area: float
    baseline_area: float
    curves: dict[str, Curve]

    def table(self) -> str:
        """A line a disturbance, the baseline in brackets."""
        lines = [f"{'disturbed':<33}{'area':>15}   mask IoU at each level"]
        for curve in self.curves.values():
            pairs = zip(curve.levels, curve.mask_iou, curve.baseline_mask_iou, strict=True)
            cells = "  ".join(f"{level}: {mine:.2f} ({base:.2f})" for level, mine, base in pairs)
            lines.append(f"{curve.title:<33}{curve.area:>7.3f} ({curve.baseline_area:.3f})   {cells}")
        lines.append(f"{'robustness, the mean of these':<33}{self.area:>7.3f} ({self.baseline_area:.3f})")
        return "\n".join(lines)

    def picture(self, name: str) -> Pixels:
        """A chart a disturbance: the IoU of ``name`` and of the baseline."""
        panels = [
            Panel(curve.title, curve.levels, {name: curve.mask_iou, "no learning": curve.baseline_mask_iou})
            for curve in self.curves.values()
        ]
        return line_charts(f"mask IoU of {self.samples} samples", panels)


def sample_views(strata: Mapping[str, FgBgDataset], count: int, seed: int = 0) -> Batch:
    """``count`` samples, as many of each stratum, or all that there are."""
    share = max(1, count // len(strata))
    parts = [one.read(subset(np.arange(len(one)), share, seed)) for one in strata.values()]
    return Batch(*(torch.cat(part) for part in zip(*parts, strict=True)))


def sweep(judge: Judge, network: Predictor, baseline: Predictor, views: Batch) -> Robustness:
    """Measure both predictors on ``views`` under every disturbance at every level."""
    predictors = (network, baseline)
    steps = 1 + sum(len(one.levels) for one in DISTURBANCES.values())
    curves = {}
    with Progress(steps, "robustness", "levels") as progress, torch.no_grad():
        clean = [_measure(judge, predict, views) for predict in predictors]
        progress.update()
        for name, disturbance in DISTURBANCES.items():
            found = [clean]
            for level in disturbance.levels:
                disturbed = disturb(views, name, level)
                found.append([_measure(judge, predict, disturbed) for predict in predictors])
                progress.update(note=name)
            mine, base = ([pair[side] for pair in found] for side in (0, 1))
            levels = (CLEAN, *(f"{level:g}" for level in disturbance.levels))
            curves[name] = curve(disturbance.title, levels, mine, base)
    found_area = fmean(one.area for one in curves.values())
    base_area = fmean(one.baseline_area for one in curves.values())
    return Robustness(len(views.mask), found_area, base_area, curves)


def curve(title: str, levels: tuple[str, ...], mine: list[Measured], base: list[Measured]) -> Curve:
    """The figures of both at every level, and the areas."""
    iou, base_iou = (tuple(one.mask.metrics()["iou"] for one in side) for side in (mine, base))
    rmse = tuple(one.depth.metrics()["rmse"] for one in mine if one.depth is not None)
    return Curve(title, levels, iou, base_iou, rmse or None, area(iou), area(base_iou))


def area(values: tuple[float, ...]) -> float:
    """Under a line through ``values``, one apart, over the length of it."""
    return fmean((first + second) / 2 for first, second in pairwise(values))


def disturb(views: Batch, name: str, level: float) -> Batch:
    """Every sample of a batch disturbed; labels stay as they are."""
    changed = [DISTURBANCES[name].apply(view, level, number) for number, view in enumerate(_as_arrays(views))]
    bg, frame = (_as_batch([getattr(view, part) for view in changed]) for part in ("bg", "frame"))
    return views._replace(bg=bg, fg_bg=frame)


def _as_arrays(views: Batch) -> Iterator[View]:
    for bg, frame, mask in zip(views.bg, views.fg_bg, views.mask, strict=True):
        first, second = (np.ascontiguousarray(part.permute(1, 2, 0).numpy()) for part in (bg, frame))
        yield View(first, second, mask[0].numpy())


def _as_batch(pictures: list[NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def _measure(judge: Judge, predict: Predictor, views: Batch) -> Measured:
    measured = Measured()
    for start in range(0, len(views.mask), judge.batch_size):
        batch = Batch(*(part[start : start + judge.batch_size] for part in views))
        measured += judge.measure(predict, batch.to(judge.device), None)
    return measured
