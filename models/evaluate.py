"""``mdeas evaluate``: a checkpoint on every stratum and under disturbances, beside the baseline."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import MdeasError
from ..pipeline.images import encode_png
from ..pipeline.manifest import write_bytes, write_json
from ..pipeline.options import EvaluateConfig
from .baseline import MEDIAN_SIDE, fit_baseline
from .checkpoint import load_checkpoint
from .dataset import FgBgDataset, label_meaning
from .device import choose_device
from .judge import Judge, Metrics, beside_baseline, metrics_table, network_predictor, open_strata
from .metrics import DepthScale
from .robustness import Robustness, sample_views, sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateReport:
    """The metrics of a checkpoint; in brackets or under ``baseline``: without learning."""

    checkpoint: str
    dataset: str
    model: str
    epoch: int
    size: int
    baseline_threshold: int
    strata: dict[str, Metrics]
    robustness: Robustness | None
    plot: str | None
    out: str

    def summary(self) -> str:
        """The tables, and how to read them."""
        lines = [
            f"{self.model} after {self.epoch} epochs, at {self.size}x{self.size}: {self.checkpoint}",
            metrics_table(self.strata),
            f"in brackets without learning: mask |fg_bg - bg| > {self.baseline_threshold} under a "
            f"{MEDIAN_SIDE}x{MEDIAN_SIDE} median, depth the mean of the training labels",
            originals_line(self.strata["all"]["originals"]),
        ]
        if self.robustness is not None:
            lines += ["", self.robustness.table(), ""]
        return "\n".join(lines + [path for path in (self.plot, self.out) if path is not None])


def originals_line(figures: dict[str, float]) -> str:
    """The figures of the published systems, which are not what they are called."""
    shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return f"as the published systems count, see docs/judging.md: {shown}"


def evaluate(config: EvaluateConfig) -> EvaluateReport:
    """Measure a checkpoint on every stratum and disturbed, write ``evaluation.json`` beside it, and report.

    Raises:
        MdeasError: If there is no checkpoint or data set, or the data set has no validation samples.
    """
    path = checkpoint_path(config)
    device = choose_device(config.device)
    checkpoint = load_checkpoint(path)
    training = FgBgDataset(config.dataset, "train", checkpoint.size)
    strata = open_strata(config.dataset, checkpoint.size, config.limit, seed=0)
    if not strata or not len(training):
        raise MdeasError(
            f"no validation samples in {config.dataset}; make a larger data set with `mdeas make-dataset`"
        )
    info = training.depth_info
    if label_meaning(info) != checkpoint.depth:
        log.warning(
            "the checkpoint knows other depth labels (%s) than those of %s (%s): do not trust its depth",
            checkpoint.depth["model"], config.dataset, info.model,
        )  # fmt: skip
    scale = DepthScale(info.scale, info.offset)
    judge = Judge(strata, scale, config.batch_size, config.workers, device, originals=True)
    baseline = fit_baseline(training, 0, config.workers)
    network = network_predictor(checkpoint.network(device))
    results = beside_baseline(judge(network, "evaluate"), judge(baseline, "baseline"))
    out = path.with_name("evaluation.json" if path.stem == "best" else f"evaluation-{path.stem}.json")
    robustness, plot = None, None
    if config.robustness:
        views = sample_views(strata, config.robustness)
        robustness = sweep(replace(judge, originals=False), network, baseline, views)
        plot = out.with_suffix(".png")
        write_bytes(plot, encode_png(robustness.picture(checkpoint.model)))
    report = EvaluateReport(
        checkpoint=str(path),
        dataset=str(config.dataset),
        model=checkpoint.model,
        epoch=checkpoint.epoch,
        size=checkpoint.size,
        baseline_threshold=baseline.threshold,
        strata=results,
        robustness=robustness,
        plot=str(plot) if plot else None,
        out=str(out),
    )
    write_json(out, asdict(report))
    return report


def checkpoint_path(config: EvaluateConfig) -> Path:
    """The checkpoint that was asked for, or the best one of the run."""
    return config.checkpoint or config.runs / config.run / "best.ckpt"
