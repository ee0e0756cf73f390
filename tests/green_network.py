"""A depth network without torch, for tests of what is done with labels: what is green is near."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from mdeas.pipeline.depth_record import Mapping
from numpy.typing import NDArray


class GreenNetwork:
    """Stands for the labeller that ``label_archives`` is given; the same on every machine."""

    precision, runtime, micro_batch, jobs = "float32", "none", 4, 1
    device = SimpleNamespace(type="cpu")
    info = SimpleNamespace(
        name="green", source="here", weights_sha256=None, licence="MIT", kind="relative_disparity",
        nearer="larger", unit=None, resize="none",
    )  # fmt: skip
    network = SimpleNamespace(input_size=lambda height, width: (height, width), value_range=(0.0, 300.0))
    mapping = Mapping(0.0, 300.0)

    def use_range(self, low: float, high: float) -> None:
        """Labels from now on span ``low`` to ``high``."""
        self.mapping = Mapping(low, high)

    def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures (N, H, W, 3) to disparity (N, H, W), 0-255."""
        return pictures[..., 1].astype(np.float32)
