"""Inputs by the mean and standard deviation of a data set, where a published system had that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import MdeasError
from ..pipeline.manifest import read_json
from ..pipeline.stats import STATS_FILE

NORMALISATIONS = ("dataset", "dsresnet-original")
Figures = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """What is taken from each channel of the two inputs, and what the rest is divided by; R, G, B, 0..1."""

    bg_mean: Figures
    bg_std: Figures
    fg_bg_mean: Figures
    fg_bg_std: Figures

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Means and standard deviations, (2, 3, 1, 1) each: of bg, then of fg_bg."""
        means = torch.tensor([self.bg_mean, self.fg_bg_mean]).reshape(2, 3, 1, 1)
        return means, torch.tensor([self.bg_std, self.fg_bg_std]).reshape(2, 3, 1, 1)


def read_normalisation(dataset: Path, kind: str) -> Normalisation:
    """The figures of ``stats.json``.

    ``dsresnet-original`` has them in the order B, G, R, against inputs in R, G, B, as DSResNet was trained.

    Raises:
        MdeasError: If there is no such kind, or there are no figures.
    """
    check_normalisation(kind)
    path = dataset / STATS_FILE
    if not path.exists():
        raise MdeasError(f"no figures to normalise by: {path}; run `mdeas stats --dataset {dataset}` first")
    again = f"run `mdeas stats --dataset {dataset}` again"
    stats = read_json(path, again)
    step = -1 if kind == "dsresnet-original" else 1

    def figures(picture: str, name: str) -> Any:
        return tuple(map(float, stats[picture][name][::step]))

    try:
        return Normalisation(
            figures("bg", "mean"), figures("bg", "std"), figures("fg_bg", "mean"), figures("fg_bg", "std")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MdeasError(f"damaged file: {path} (figures are missing); {again}") from error


def check_normalisation(kind: str) -> None:
    """Raise MdeasError unless there is a normalisation of this name."""
    if kind not in NORMALISATIONS:
        raise MdeasError(
            f"no normalisation is called {kind!r}; there are: {', '.join(NORMALISATIONS)}; "
            "choose with --normalise, or leave it out"
        )
