"""``mdeas models``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import MODELS, create_model
from .depth import DEPTH_MODELS, create_depth_network


@dataclass(frozen=True)
class DualHeadEntry:
    """A network for (bg, fg_bg) -> (depth, mask)."""

    name: str
    parameters: int
    heads: tuple[str, ...]
    minimum_side: int
    side_multiple: int
    licence: str
    weights: str


@dataclass(frozen=True)
class DepthEntry:
    """A network for picture -> depth label."""

    name: str
    parameters: int
    kind: str
    nearer: str
    licence: str
    weights: str


@dataclass(frozen=True)
class ModelsReport:
    """All networks of both sorts."""

    dual_head: tuple[DualHeadEntry, ...]
    depth: tuple[DepthEntry, ...]

    def summary(self) -> str:
        """Two tables."""
        dual = [("train --model", "parameters", "heads", "input sides", "licence", "weights")]
        dual += [
            (
                entry.name, f"{entry.parameters:,}", ", ".join(entry.heads),
                f"multiples of {entry.side_multiple} from {entry.minimum_side}", entry.licence, entry.weights,
            )
            for entry in self.dual_head
        ]  # fmt: skip
        depth = [("label-depth --model", "parameters", "gives", "nearer is", "licence", "weights")]
        depth += [
            (entry.name, f"{entry.parameters:,}", entry.kind, entry.nearer, entry.licence, entry.weights)
            for entry in self.depth
        ]
        return (
            f"From (background, composite) to depth and mask\n{_table(dual)}\n\n"
            f"From a picture to its depth\n{_table(depth)}"
        )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def list_models() -> ModelsReport:
    """Every network by name; the dual-head ones are counted without making their weights."""
    dual = []
    for name in MODELS:
        with torch.device("meta"):
            model = create_model(name)
        outputs = ("depth", "mask") if model.outputs.depth != "none" else ("mask",)
        dual.append(
            DualHeadEntry(
                name, model.parameters_count, outputs, model.minimum, model.multiple, "MIT", "by mdeas train"
            )
        )
    depth = []
    for name in DEPTH_MODELS:
        info = create_depth_network(name, None, torch.device("cpu")).info
        depth.append(DepthEntry(name, info.parameters, info.kind, info.nearer, info.licence, info.source))
    return ModelsReport(tuple(dual), tuple(depth))
