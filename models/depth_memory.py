"""Going on with smaller batches where a device runs out of memory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import MdeasError

if TYPE_CHECKING:
    from .depth import DepthNetwork

_log = logging.getLogger(__name__)


class Frugal:
    """A depth network that halves the batch when memory does not suffice, and keeps to what sufficed.

    Parts of a halved batch are filled up to one size, so that an answer still depends on its picture alone.
    """

    def __init__(self, network: DepthNetwork) -> None:
        """``network`` answers; its members are this one's."""
        self._network = network
        self.info, self.value_range = network.info, network.value_range
        self.input_size = network.input_size
        self._most: int | None = None  # pictures that memory suffices for, once it did not for more

    def predict(self, rgb: Tensor) -> Tensor:
        """As :meth:`.depth.DepthNetwork.predict`.

        Raises:
            MdeasError: If memory does not suffice for one picture.
        """
        while True:
            most = min(len(rgb), self._most or len(rgb))
            try:
                return self._predict(rgb, most)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the traceback holds on to what filled the memory.
            if most == 1:
                height, width = rgb.shape[-2:]
                raise MdeasError(
                    f"out of memory: one picture of {width}x{height} for depth network {self.info.name} "
                    f"on {rgb.device}; use a smaller network or another --device"
                )
            self._most = (most + 1) // 2
            _log.warning("out of memory on %s: %d pictures a pass, not %d", rgb.device, self._most, most)
            if rgb.device.type == "cuda":
                torch.cuda.empty_cache()

    def _predict(self, rgb: Tensor, most: int) -> Tensor:
        if most >= len(rgb):
            return self._network.predict(rgb)
        answers = []
        for part in rgb.split(most):  # type: ignore[no-untyped-call]
            missing = most - len(part)
            full = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
            answers.append(self._network.predict(full)[: len(part)])
        return torch.cat(answers)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is what torch raises where memory runs out: on CUDA, on MPS, on the CPU."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text
