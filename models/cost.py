"""What a network costs: parameters, multiply-adds, time and memory."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .base import DualHeadNet

WARM_UP, REPEATS = 3, 20
BATCH = 2  # for batch norms, which cannot train on a single value a channel


@dataclass(frozen=True)
class Cost:
    """Of one sample at one size."""

    parameters: int
    multiply_adds: int  # of convolutions and matrix products, forward
    latency_ms: float  # batch of one on the CPU, median
    threads: int  # that it was measured with
    training_mib: float  # kept for the backward pass, weights not counted


def cost(network: DualHeadNet, height: int, width: int) -> Cost:
    """Measure ``network`` on the CPU; with trained weights: fresh ones can be slowed by denormals."""
    network = network.cpu()
    inputs = torch.rand(2, 1, 3, height, width)
    return Cost(
        parameters=network.parameters_count,
        multiply_adds=multiply_adds(network, inputs),
        latency_ms=latency_ms(network.eval(), inputs),
        threads=torch.get_num_threads(),
        training_mib=training_bytes(network, height, width) / 2**20,
    )


@torch.no_grad()
def multiply_adds(network: DualHeadNet, inputs: Tensor) -> int:
    """Of one forward pass; an addition and a multiplication count as one."""
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def latency_ms(network: DualHeadNet, inputs: Tensor) -> float:
    """Median of forward passes."""
    took = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        network(*inputs)
        took.append(time.perf_counter() - start)
    return 1000 * statistics.median(took[WARM_UP:])


def training_bytes(network: DualHeadNet, height: int, width: int) -> int:
    """What the backward pass needs of each sample from the forward pass, weights not counted."""
    inputs = torch.rand(2, BATCH, 3, height, width)
    # On a copy: a forward pass in training moves the statistics of batch norms.
    training = copy.deepcopy(network).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        where = tensor.untyped_storage().data_ptr()
        if where not in weights:
            kept[where] = tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = training(*inputs)
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del outputs
    return total // BATCH
