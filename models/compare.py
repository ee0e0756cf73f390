"""``mdeas compare``: several networks under one budget, on the same samples, in one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from .. import MdeasError
from ..pipeline.manifest import write_bytes, write_json
from ..pipeline.options import CompareConfig, EvaluateConfig, TrainConfig
from ..pipeline.progress import announce
from . import MODELS
from .checkpoint import load_checkpoint
from .cost import Cost, cost
from .evaluate import EvaluateReport, evaluate
from .judge import STRATA, Metrics
from .losses import create_loss
from .schedules import create_schedule
from .train import TrainReport, train

COMPARED_NAME, TABLE_NAME = "compare.json", "compare.md"
CHECKPOINT_NAME = "last.ckpt"  # what the budget gives; a best epoch would be chosen on what is judged
DONE_NAME = "compared.json"
BASELINE = "no learning"


@dataclass(frozen=True)
class Compared:
    """One network trained with one seed, or without a cost: the baseline."""

    model: str
    seed: int
    steps: int
    seconds: float  # of training
    cost: Cost | None
    strata: dict[str, Metrics]
    robustness: float | None


@dataclass(frozen=True)
class CompareReport:
    """All of them, and the budget that they had."""

    dataset: str
    budget: str
    results: tuple[Compared, ...]
    out: str

    def summary(self) -> str:
        """The table and what it was made with."""
        return f"{table(self.results)}\n\n{self.budget}\n{self.out}"


def compare(config: CompareConfig) -> CompareReport:
    """Train, judge and measure every network; a stopped comparison goes on where it was.

    Raises:
        MdeasError: For an unknown network, loss or schedule, and whatever training may raise.
    """
    names = config.models or tuple(MODELS)
    for name in names:
        if name not in MODELS:
            raise MdeasError(f"no network is called {name!r}; there are: {', '.join(MODELS)} (--models)")
    create_loss(config.loss)
    create_schedule(config.schedule)
    results = [one_network(config, name, seed) for name in names for seed in config.seeds]
    results.append(without_learning(config, names[0]))
    report = CompareReport(
        str(config.dataset), budget(config, results[0]), tuple(results), str(config.out / TABLE_NAME)
    )
    write_json(config.out / COMPARED_NAME, asdict(report))
    write_bytes(config.out / TABLE_NAME, f"{table(results)}\n\n{report.budget}\n".encode())
    return report


def one_network(config: CompareConfig, name: str, seed: int) -> Compared:
    """Train it, judge it, measure it; or read what came of it before."""
    announce(f"{name}, seed {seed}")
    options = TrainConfig(
        dataset=config.dataset, model=name, run=f"{name}-{seed}", runs=config.out, size=config.size,
        epochs=config.epochs, batch_size=config.batch_size, lr=config.lr, loss=config.loss,
        schedule=config.schedule, limit=config.limit, val_limit=config.val_limit, seed=seed,
        device=config.device, precision=config.precision, workers=config.workers, overwrite=config.overwrite,
    )  # fmt: skip
    trained = train(options)
    done = Path(trained.run) / DONE_NAME
    judged = judging(config, trained)
    if done.exists() and trained.started_at_epoch == trained.epochs:
        found = json.loads(done.read_text(encoding="utf-8"))
        if found["judging"] == judged:
            return Compared(**{**found["result"], "cost": Cost(**found["result"]["cost"])})
    report = judge(config, Path(trained.run))
    network = load_checkpoint(Path(report.checkpoint)).network(torch.device("cpu"))
    result = Compared(
        model=name,
        seed=seed,
        steps=trained.samples // config.batch_size * trained.epochs,
        seconds=trained.seconds,
        cost=cost(network, report.size, report.size),
        strata={stratum: without_baseline(metrics) for stratum, metrics in report.strata.items()},
        robustness=report.robustness.area if report.robustness else None,
    )
    write_json(done, {"judging": judged, "result": asdict(result)})
    return result


def judge(config: CompareConfig, run: Path) -> EvaluateReport:
    """Judge the checkpoint of a run on every stratum and disturbed."""
    return evaluate(
        EvaluateConfig(
            dataset=config.dataset,
            checkpoint=run / CHECKPOINT_NAME,
            batch_size=config.batch_size,
            limit=config.eval_limit,
            device=config.device,
            workers=config.workers,
            robustness=config.robustness,
        )
    )


def judging(config: CompareConfig, trained: TrainReport) -> dict[str, Any]:
    """What a judgement depends on, besides the run."""
    return {"limit": config.eval_limit, "robustness": config.robustness, "epochs": trained.epochs}


def without_learning(config: CompareConfig, name: str) -> Compared:
    """The baseline as it stood beside the first network."""
    run = config.out / f"{name}-{config.seeds[0]}"
    found = json.loads((run / f"evaluation-{Path(CHECKPOINT_NAME).stem}.json").read_text(encoding="utf-8"))
    robustness = found["robustness"]["baseline_area"] if found["robustness"] else None
    strata = {stratum: metrics["baseline"] for stratum, metrics in found["strata"].items()}
    return Compared(BASELINE, config.seeds[0], 0, 0.0, None, strata, robustness)


def without_baseline(metrics: Metrics) -> Metrics:
    """The network's own figures."""
    return {name: value for name, value in metrics.items() if name != "baseline"}


def budget(config: CompareConfig, one: Compared) -> str:
    """What every network had alike."""
    seeds = f"seed{'s' * (len(config.seeds) > 1)} {', '.join(map(str, config.seeds))}"
    threads = one.cost.threads if one.cost else 0
    size = config.size or "the size of the set"
    return (
        f"Each: {one.steps:,} steps of {config.batch_size} samples at {size}, loss {config.loss}, "
        f"rate {config.lr:g} {config.schedule}, Adam, "
        f"precision {config.precision}, {seeds}; judged after the last step. "
        f"Latency: one sample on the CPU, {threads} threads. Memory: kept for the backward pass of a sample."
    )


Column = tuple[str, Callable[[Compared], float | None], Callable[[float], str]]


def table(results: Sequence[Compared]) -> str:
    """A Markdown table: a row a network, means over its seeds with the range where there are several."""
    columns = columns_of(results)
    rows = [["network", *(title for title, _, _ in columns)]]
    for name in dict.fromkeys(one.model for one in results):
        mine = [one for one in results if one.model == name]
        rows.append([name, *(cell([value(one) for one in mine], form) for _, value, form in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def columns_of(results: Sequence[Compared]) -> list[Column]:
    """Accuracy on every stratum there is, robustness, and costs."""
    strata = [stratum for stratum in STRATA if stratum in results[0].strata]
    columns: list[Column] = [
        (f"IoU {stratum}", figure(stratum, "mask", "iou"), "{:.3f}".format) for stratum in strata
    ]
    columns += [("IoU disturbed", lambda one: one.robustness, "{:.3f}".format)]
    columns += [
        (f"depth RMSE {stratum}", figure(stratum, "depth", "rmse"), "{:.3f}".format) for stratum in strata
    ]
    costs: list[tuple[str, str, float, str]] = [
        ("parameters", "parameters", 1, "{:,.0f}"),
        ("multiply-adds, M", "multiply_adds", 1e-6, "{:,.0f}"),
        ("latency, ms", "latency_ms", 1, "{:.1f}"),
        ("memory, MiB", "training_mib", 1, "{:.1f}"),
    ]
    return columns + [(title, cost_of(name, scale), form.format) for title, name, scale, form in costs]


def figure(stratum: str, head: str, name: str) -> Callable[[Compared], float | None]:
    """One metric of one stratum; None without that head."""
    return lambda one: one.strata[stratum].get(head, {}).get(name)


def cost_of(name: str, scale: float) -> Callable[[Compared], float | None]:
    """One cost; None for the baseline."""
    return lambda one: None if one.cost is None else scale * getattr(one.cost, name)


def cell(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    """The mean, and half the range where it shows."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean, spread = form(fmean(known)), form((max(known) - min(known)) / 2)
    return mean if spread == form(0.0) else f"{mean} ± {spread}"
