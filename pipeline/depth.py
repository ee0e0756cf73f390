"""``mdeas label-depth``: a pretrained monocular network gives every picture a 16-bit depth label.

This file holds what needs torch: the device, and the :class:`Labeller`, which turns RGB pictures into the
answers of the network. ``depth_archives`` streams a data set through it, ``depth_pictures`` a folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import MdeasError
from ..models.depth import ONNX_PREFIX, DepthNetwork, create_depth_network
from ..models.depth_runtime import LARGE
from ..models.device import choose_devices
from .depth_archives import label_archives
from .depth_pictures import label_pictures
from .depth_record import LabelDepthReport, Mapping, made_with
from .depth_shards import on_cluster
from .manifest import read_manifest
from .options import LabelDepthConfig
from .parallel import usable_cores
from .threads import share_heaps

# Pictures a forward pass. 16 are as fast as 32 on a CPU for half the memory, but a network of 25 million
# parameters is a tenth faster with 4.
MANY, FEW = 16, 4


def label_depth(config: LabelDepthConfig) -> LabelDepthReport:
    """Adds a depth label to every sample of a data set, or labels the folder ``config.pictures``.

    Every ``batch`` samples are committed to disk; a stopped run goes on from there and ends with the same
    bytes. ``depth.json`` is written last.

    Raises:
        MdeasError: If the network, the device or the data set is not there or damaged, or if labels exist
            that were made with other options.
    """
    if config.pictures is not None and config.scheduler is not None:
        raise MdeasError("--scheduler labels data sets only; leave it out to label a folder of pictures")
    labeller = labeller_of(config)
    with labeller.ready():
        if config.pictures is not None:
            return label_pictures(config.pictures, config.out, labeller, config.overwrite, config.format)
        return label_archives(
            config.dataset,
            labeller,
            config.batch,
            config.overwrite,
            config.mode,
            config.relabel_bad,
            on_cluster(config),
        )


def labeller_of(config: LabelDepthConfig) -> Labeller:
    """The network that ``config`` asks for, on its device.

    Raises:
        MdeasError: As ``label_depth``.
    """
    if config.pictures is None:
        read_manifest(config.dataset)  # before torch's network: a wrong path is said at once
    devices = choose_devices(config.device)
    there = {} if config.overwrite else made_with(config.dataset if config.pictures is None else config.out)
    dtype, runtime = _computation(config, there)
    networks = [
        create_depth_network(config.model, config.weights, device, dtype, runtime, config.accept_licence)
        for device in devices
    ]
    usual = there.get("micro_batch") or usual_micro_batch(networks[0], devices[0])
    labeller = Labeller(networks[0], devices[0], config.micro_batch or usual, config.jobs, config.bits)
    labeller.share(list(zip(networks, devices, strict=True))[1:])
    return labeller


def _computation(config: LabelDepthConfig, there: dict[str, Any]) -> tuple[str, str]:
    """Precision and runtime; where labels are ``there`` already, ``auto`` is what they were made with."""
    dtype = there.get("precision", "auto") if config.dtype == "auto" else config.dtype
    if config.runtime != "auto":
        return dtype, config.runtime
    # A folder's pictures have many sizes, and OpenVINO would compile the network for each.
    any_size = "onnxruntime" if config.model.startswith(ONNX_PREFIX) else "torch"
    return dtype, there.get("runtime", "auto" if config.pictures is None else any_size)


def usual_micro_batch(network: DepthNetwork, device: torch.device) -> int:
    """Pictures a forward pass: on a CPU, what large networks hand on fits its caches for a few only."""
    return FEW if device.type == "cpu" and network.info.parameters > LARGE else MANY


class Labeller:
    """A depth network on its device: uint8 pictures in, what it says of them out.

    ``jobs`` threads each carry a micro-batch of their own through decoding, network and encoding. On a CPU
    the network then runs on one core a thread: nothing waits for anything, and a picture's value does not
    depend on how many threads there are.
    """

    def __init__(
        self, network: DepthNetwork, device: torch.device, micro_batch: int, jobs: int, bits: int = 16
    ) -> None:
        """``jobs`` -1 is a thread a core; ``bits`` as in :class:`.depth_record.Mapping`."""
        self.network = network
        self.info = network.info
        self.precision, self.runtime = network.info.precision, network.info.runtime
        self.device = device
        self.micro_batch = micro_batch
        self.jobs = jobs if jobs > 0 else usable_cores()
        self.mapping = Mapping(*network.value_range, bits)
        self._free: SimpleQueue[tuple[DepthNetwork, torch.device]] = SimpleQueue()
        self.share([(network, device)])

    def share(self, copies: Sequence[tuple[DepthNetwork, torch.device]]) -> None:
        """Let copies of the network, each on its device, take micro-batches: whichever is free the next."""
        for copy in copies:
            # A GPU has one queue: passes issued one after the other share their memory in its order. On a CPU
            # each thread computes.
            for _ in range(self.jobs if copy[1].type == "cpu" else 1):
                self._free.put(copy)

    def use_range(self, low: float, high: float) -> None:
        """Store quantities from ``low`` to ``high``; others are clipped."""
        self.mapping = Mapping(low, high, self.mapping.bits)

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Torch set up for :meth:`answer`; afterwards as it was."""
        threads = torch.get_num_threads()
        share_heaps(self.jobs)
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        try:
            # TF32 would cost three decimal digits that 16 bits can hold.
            with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            torch.set_num_threads(threads)

    def label(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Values (B, H, W) of pictures (B, H, W, 3)."""
        return self.mapping.values(self.answer(pictures))

    def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network says of pictures (B, H, W, 3), (B, H, W); may hold NaN or infinity."""
        network, device = self._free.get()
        try:
            with torch.inference_mode():
                # (B, 3, H, W) over the bytes of (B, H, W, 3): channels_last without a copy.
                answer = network.predict(torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2))
                return np.asarray(answer.float().cpu().numpy(), np.float32)
        finally:
            self._free.put((network, device))
