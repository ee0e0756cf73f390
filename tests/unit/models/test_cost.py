"""Costs against counts made by hand."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from mdeas.models import create_model
from mdeas.models.base import DualHeadNet, Outputs
from mdeas.models.cost import cost, multiply_adds, training_bytes
from torch import Tensor, nn


class Small(DualHeadNet):
    """Two convolutions, one of them in groups, and a ReLU."""

    outputs: ClassVar[Outputs] = Outputs(depth="none", mask="logit")
    multiple: ClassVar[int] = 1
    minimum: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(6, 8, 3, padding=1, groups=2), nn.Conv2d(8, 1, 1)

    def run(self, bg: Tensor, fg_bg: Tensor) -> tuple[Tensor | None, Tensor]:
        hidden = torch.relu(self.first(torch.cat([bg, fg_bg], dim=1)))
        return None, self.last(hidden)


def test_by_hand() -> None:
    found = cost(Small(), 10, 12)
    assert found.parameters == 8 * 3 * 9 + 8 + 8 + 1
    assert found.multiply_adds == 10 * 12 * (8 * 3 * 9 + 8)
    # Kept: the six input channels and the eight of the ReLU; not the weights.
    assert found.training_mib * 2**20 == 10 * 12 * (6 + 8) * 4
    assert found.latency_ms > 0
    assert found.threads == torch.get_num_threads()


def test_costs_grow_with_the_area() -> None:
    network = create_model("mdeas").eval()
    small, large = torch.rand(2, 1, 3, 32, 32), torch.rand(2, 1, 3, 64, 64)
    assert multiply_adds(network, large) == 4 * multiply_adds(network, small)
    bytes_small, bytes_large = (training_bytes(network, side, side) for side in (32, 64))
    assert bytes_large == pytest.approx(4 * bytes_small, rel=0.02)


def test_measuring_leaves_the_network_as_it_is() -> None:
    network = create_model("mdeas").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    training_bytes(network, 32, 32)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
