"""``mdeas label-depth``: a pretrained monocular network gives every picture a 16-bit depth label.

This file holds what needs torch: the device, and the :class:`Labeller`, which turns RGB pictures into the
numbers of the files. ``depth_archives`` streams a data set through it, ``depth_pictures`` a folder.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from .. import MdeasError
from ..models.depth import DepthNetwork, create_depth_network
from ..models.device import choose_device
from .depth_archives import label_archives
from .depth_pictures import label_pictures
from .depth_record import MAX_VALUE, LabelDepthReport
from .manifest import read_manifest
from .options import LabelDepthConfig
from .parallel import usable_cores


def label_depth(config: LabelDepthConfig) -> LabelDepthReport:
    """Adds a depth label to every sample of a data set, or labels the folder ``config.pictures``.

    Every ``batch`` samples are committed to disk; a stopped run goes on from there and ends with the same
    bytes. ``depth.json`` is written last.

    Raises:
        MdeasError: If the network, the device or the data set is not there or damaged, or if labels exist
            that were made with other options.
    """
    if config.pictures is None:
        read_manifest(config.dataset)  # before torch's network: a wrong path is said at once
    device = choose_device(config.device)
    network = create_depth_network(config.model, config.weights, device)
    labeller = Labeller(network, device, config.micro_batch, config.jobs)
    with labeller.ready():
        if config.pictures is not None:
            return label_pictures(config.pictures, config.out, labeller, config.overwrite)
        return label_archives(config.dataset, labeller, config.batch, config.overwrite)


class Labeller:
    """A depth network on its device: uint8 pictures in, the 16-bit values of the files out.

    ``jobs`` threads each carry a micro-batch of their own through decoding, network and encoding. On a CPU
    the network then runs on one core a thread: nothing waits for anything, and a picture's value does not
    depend on how many threads there are.
    """

    precision = "float32"

    def __init__(self, network: DepthNetwork, device: torch.device, micro_batch: int, jobs: int) -> None:
        """``jobs`` -1 is a thread a core."""
        self.network = network
        self.info = network.info
        self.device = device
        self.micro_batch = micro_batch
        self.jobs = jobs if jobs > 0 else usable_cores()
        self.use_range(*network.value_range)
        # A GPU has one queue: passes issued one after the other share their memory in its order.
        self._turn = threading.Lock() if device.type != "cpu" else contextlib.nullcontext()

    def use_range(self, low: float, high: float) -> None:
        """Store quantities from ``low`` to ``high``; others are clipped."""
        self.offset = low
        self.scale = (high - low) / MAX_VALUE

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Torch set up for :meth:`label`; afterwards as it was."""
        threads = torch.get_num_threads()
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        try:
            # TF32 would cost three decimal digits that 16 bits can hold.
            with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            torch.set_num_threads(threads)

    def label(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Values (B, H, W) of pictures (B, H, W, 3).

        Raises:
            MdeasError: If the network answers with NaN or infinity.
        """
        with torch.inference_mode():
            with self._turn:
                quantity = self._predict(pictures)
                finite = torch.isfinite(quantity).all()
                values = ((quantity - self.offset) / self.scale).round_().clamp_(0, MAX_VALUE).to(torch.int32)
            values = values.cpu()
            if not bool(finite):
                raise MdeasError(
                    f"not a number among the answers of depth network {self.info.name}; use another --model"
                )
        return np.asarray(values.numpy(), np.uint16)

    def highest(self, pictures: NDArray[np.uint8]) -> float:
        """The highest quantity in pictures (B, H, W, 3)."""
        with torch.inference_mode(), self._turn:
            return float(self._predict(pictures).max())

    def _predict(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        # (B, 3, H, W) over the bytes of (B, H, W, 3): channels_last without a copy.
        return self.network.predict(torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2))
