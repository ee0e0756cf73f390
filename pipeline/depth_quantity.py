"""What depth labels stand for, as numbers: disparity, depth or metres from the values of the files."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .depth_record import MAX_VALUE, mapping_of
from .manifest import DepthInfo

Quantity = Literal["disparity", "depth", "metres"]
QUANTITIES: tuple[Quantity, ...] = ("disparity", "depth", "metres")


def check_quantity(info: DepthInfo, quantity: str, where: object) -> None:
    """Whether labels can be given as ``quantity``.

    Raises:
        MdeasError: If there is no such quantity, or metres are asked of labels that are relative.
    """
    if quantity not in QUANTITIES:
        raise MdeasError(f"no such quantity of depth: {quantity}; choose one of {', '.join(QUANTITIES)}")
    if quantity == "metres" and info.kind != "metric_depth":
        raise MdeasError(
            f"no metres in {info.kind.replace('_', ' ')}: {where} ({info.model}); ask for disparity or "
            "depth, or label with a metric network"
        )


def to_quantity(shares: NDArray[np.float32], info: DepthInfo, quantity: Quantity) -> NDArray[np.float32]:
    """Labels as ``disparity`` (larger is nearer), ``depth`` or ``metres`` (larger is farther).

    Depth made of relative disparity is its reciprocal: relative too, and no further than one step of the
    labels allows.

    Args:
        shares: Stored values / 65535, any shape.
        info: What the labels are.
        quantity: What is asked for; see :func:`check_quantity`.
    """
    mapping = mapping_of(info)
    found = shares * np.float32(mapping.scale * MAX_VALUE) + np.float32(mapping.low)
    if (quantity == "disparity") == (info.kind == "relative_disparity"):
        return found
    least = mapping.scale * (1 << (16 - info.bits))
    return np.asarray(np.float32(1) / np.maximum(found, np.float32(least)), np.float32)


def refuse_mixture(one: DepthInfo, other: DepthInfo, quantity: Quantity | None) -> None:
    """Whether labels of two data sets may be used side by side.

    Metres go with metres. What is relative compares only within what one network said, and values as they are
    stored only under one mapping.

    Raises:
        MdeasError: If not, naming what differs.
    """
    if quantity == "metres":
        return
    fields = ["kind", "model", "weights_sha256"] + ([] if quantity else ["scale", "offset"])
    for name in fields:
        there, here = getattr(one, name), getattr(other, name)
        if there != here:
            raise MdeasError(
                f"depth labels that do not compare: {name.replace('_', ' ')} {there} and {here}; "
                "label both data sets alike, or ask for metres where both are metric"
            )
