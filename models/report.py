"""``report.html``: what came of a run on one page, with everything that it shows inside."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..pipeline.images import Pixels, encode_png
from ..pipeline.manifest import write_bytes
from .base import Heads
from .checkpoint import load_checkpoint
from .dataset import FgBgDataset, Sample, batches
from .judge import network_predictor
from .metrics import mask_sums
from .pictures import COLUMNS, sample_row, sheet
from .plot import Plot
from .run import CONFIG_NAME, REPORT_NAME

SHOWN = 4  # of the best, and of the worst samples
BATCH = 16

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1480px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
th { border-bottom: 1px solid #999 } td:first-child, th:first-child { text-align: left }
img { max-width: 100%; image-rendering: pixelated } svg { margin: .3em } small { color: #666 }
"""


@dataclass(frozen=True)
class Shown:
    """A sample of a stratum, how well its mask was found, and its pictures."""

    stratum: str
    iou: float
    pictures: list[Pixels]


def write_report(
    folder: Path, strata: Mapping[str, FgBgDataset], history: list[dict[str, Any]], device: torch.device
) -> None:
    """Write ``report.html`` into the run's folder: curves, figures, and samples at both ends of the mask IoU.

    ``strata`` are those of validation at the size of the last phase; the network is that of ``best.ckpt``.
    """
    options = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["options"]
    best, worst = extremes(folder, strata, device)
    parts = [
        f"<h1>{escape(str(options['run']))}</h1>",
        f"<p>{escape(options['model'])}, {len(history)} epoch{'s' * (len(history) > 1)}; waiting for data: "
        f"{history[-1]['waiting_share']:.1%} of the last one, {history[-1]['samples_per_second']:,.1f} "
        "samples a second</p>",
        "".join(plot.svg() for plot in curves(history)),
        "<h2>Last epoch</h2>",
        figures(history[-1]["val"]),
        *(samples_shown(title, shown) for title, shown in (("Worst", worst), ("Best", best)) if shown),
        "<h2>Options</h2>",
        table([["option", "value"], *([name, str(value)] for name, value in options.items())]),
    ]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(str(options["run"]))}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )
    write_bytes(folder / REPORT_NAME, page.encode())


def curves(history: list[dict[str, Any]]) -> list[Plot]:
    """Loss, mask IoU and depth RMSE beside their baselines, rate and waiting, over the epochs."""

    def over_epochs(values: Mapping[int, float]) -> list[tuple[float, float]]:
        return [(float(epoch), value) for epoch, value in values.items()]

    def stratum(kind: str, name: str) -> dict[str, list[tuple[float, float]]]:
        lines = {}
        for key in history[-1]["val"]:
            found = {line["epoch"]: line["val"][key] for line in history if kind in line["val"].get(key, {})}
            lines[key] = over_epochs({epoch: value[kind][name] for epoch, value in found.items()})
            if key == "all":
                base = {epoch: value["baseline"][kind][name] for epoch, value in found.items()}
                lines["without learning"] = over_epochs(base)
        return {key: points for key, points in lines.items() if points}

    dashed = frozenset({"without learning"})
    loss = {
        "training": over_epochs({line["epoch"]: line["train"]["loss"] for line in history}),
        "validation": over_epochs(
            {line["epoch"]: line["val_loss"] for line in history if "val_loss" in line}
        ),
    }
    rate = {"rate": over_epochs({line["epoch"]: line["lr"] for line in history})}
    waiting = {"share of the time": over_epochs({line["epoch"]: line["waiting_share"] for line in history})}
    plots = [
        Plot("Loss", "epoch", {name: points for name, points in loss.items() if points}),
        Plot("IoU of the mask", "epoch", stratum("mask", "iou"), dashed),
        Plot("RMSE of the depth label", "epoch", stratum("depth", "rmse"), dashed),
        Plot("Learning rate at the end", "epoch", rate),
        Plot("Waiting for data", "epoch", waiting),
    ]
    return [plot for plot in plots if plot.lines]


def figures(strata: Mapping[str, Any]) -> str:
    """The metrics of every stratum, those without learning in brackets."""
    if not strata:
        return "<p>No validation samples.</p>"
    shown = [("mask", "iou"), ("mask", "f"), ("depth", "rmse"), ("depth", "abs_rel"), ("depth", "delta1")]
    shown = [(kind, name) for kind, name in shown if all(kind in metrics for metrics in strata.values())]
    rows = [["stratum", "samples", *(f"{kind} {name}" for kind, name in shown)]]
    for stratum, metrics in strata.items():
        values = (f"{metrics[k][n]:.3f} ({metrics['baseline'][k][n]:.3f})" for k, n in shown)
        rows.append([stratum, f"{metrics['samples']:,}", *values])
    return table(rows) + "<small>in brackets: without learning</small>"


def extremes(
    folder: Path, strata: Mapping[str, FgBgDataset], device: torch.device
) -> tuple[list[Shown], list[Shown]]:
    """The samples whose masks ``best.ckpt`` finds best, and worst first."""
    if not strata:
        return [], []
    checkpoint = load_checkpoint(folder / "best.ckpt")
    predict = network_predictor(checkpoint.network(device))
    scored: list[tuple[float, str, int]] = []
    with torch.no_grad():
        for name, dataset in strata.items():
            for indices, batch in batches(dataset, np.arange(len(dataset)), BATCH, workers=1):
                sample = batch.to(device)
                found = predict(sample).mask
                for row, index in enumerate(indices):
                    sums = mask_sums(found[row : row + 1], sample.mask[row : row + 1])
                    scored.append((sums.metrics()["iou"], name, int(index)))
        scored.sort()

        def show(score: tuple[float, str, int]) -> Shown:
            iou, name, index = score
            sample: Sample = strata[name].read(np.asarray([index])).to(device)
            found: Heads = predict(sample)
            return Shown(name, iou, sample_row(sample, found, 0, str(checkpoint.depth["nearer"])))

        return [show(one) for one in scored[: -SHOWN - 1 : -1]], [show(one) for one in scored[:SHOWN]]


def samples_shown(title: str, shown: list[Shown]) -> str:
    """A heading and one picture of some samples."""
    names = [f"{one.stratum} {one.iou:.2f}" for one in shown]
    data = base64.b64encode(encode_png(sheet([one.pictures for one in shown], COLUMNS, names))).decode()
    return (
        f"<h2>{title} samples by the IoU of the mask</h2>"
        f'<img alt="{title} samples" src="data:image/png;base64,{data}">'
    )


def table(rows: list[list[str]]) -> str:
    """The first row is the head."""
    lines = []
    for index, row in enumerate(rows):
        tag = "td" if index else "th"
        lines.append("<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"
