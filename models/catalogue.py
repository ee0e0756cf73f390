"""``mdeas models``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import MODELS, create_model
from .depth import create_depth_network
from .depth_hub import ALIASES, PERMISSIVE


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
    """A network for picture -> depth label; ``parameters`` None: known once the weights are here."""

    name: str
    parameters: int | None
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
                f"from {entry.minimum_side} in steps of {entry.side_multiple}", entry.licence, entry.weights,
            )
            for entry in self.dual_head
        ]  # fmt: skip
        depth = [("label-depth --model", "parameters", "gives", "nearer is", "licence", "weights")]
        depth += [
            (
                entry.name, f"{entry.parameters:,}" if entry.parameters else "", entry.kind, entry.nearer,
                entry.licence, entry.weights,
            )
            for entry in self.depth
        ]  # fmt: skip
        return (
            f"From (background, composite) to depth and mask\n{_table(dual)}\n\n"
            f"From a picture to its depth\n{_table(depth)}\n{_OTHERS}"
        )


# Whatever has no name of its own here.
_OTHERS = """
Also OWNER/NAME or OWNER/NAME@REVISION of the Hugging Face hub, a folder with such a network, onnx:FILE, and
FILE.py:FUNCTION for a network of your own: docs/depth-models.md"""


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
    return ModelsReport(tuple(dual), _depth_entries())


def _depth_entries() -> tuple[DepthEntry, ...]:
    info = create_depth_network("bundled", None, torch.device("cpu")).info
    entries = [DepthEntry("bundled", info.parameters, info.kind, info.nearer, info.licence, info.source)]
    entries.append(
        DepthEntry(
            "densedepth", None, "relative_depth", "smaller", "not stated", "its Keras file, by --weights"
        )
    )
    for name, alias in ALIASES.items():
        nearer = "larger" if alias.kind == "relative_disparity" else "smaller"
        licence = alias.licence if alias.licence in PERMISSIVE else f"{alias.licence} (--accept-licence)"
        entries.append(DepthEntry(name, None, alias.kind, nearer, licence, f"hf.co/{alias.repository}"))
    return tuple(entries)
