"""Training the bundled depth network on rendered scenes, from nothing to the weights in the package."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from .. import MdeasError
from ..pipeline.options import DepthTrainConfig
from ..pipeline.progress import Progress
from .depth_augment import augment
from .depth_eval import evaluate_frames, frame_names, predict_log_disparity, read_frames
from .depth_loss import LossWeights, depth_loss
from .depth_net import DepthNet, DepthNetConfig, load_weights, save_weights
from .depth_noise import StatisticsNoise
from .depth_scenes import draw_training_scene
from .depth_stream import SceneRing, SceneStream, StreamConfig

Batch = tuple[Tensor, Tensor, Tensor]  # picture, log inverse depth, where it is known

# What a batch is resized to, with how often: photos are wide, tall or, in a data set, square. The first part
# of the training sees small pictures and learns layouts at half the price.
EARLY_SHAPES = (((64, 96), 0.5), ((96, 96), 0.35), ((96, 64), 0.15))
SHAPES = (((96, 128), 0.5), ((128, 128), 0.35), ((128, 96), 0.15))
EMA_DECAY = 0.9985
WEIGHT_DECAY = 0.02
WARM_UP = 300
STRONGEST_AT = 0.5  # of the steps
STRONGEST = 0.8
GRADIENT_WEIGHT = 0.5  # at the end; grows from nothing
CLIP_NORM = 1.0
SCENE_SIZE = (120, 160)  # height and width of the rendered pictures
FIRST_SCENES = 2048  # drawn before the first step
SCENES_FOLDER = "scenes"
LOG_EVERY = 100
SAVE_EVERY_S = 180.0
EVALUATE_EVERY_S = 240.0
SETTLE_BATCHES = 48  # that the statistics of the averaged weights' norms are taken from
EVERY_PAIR = 10  # while training, a look at every tenth frame is enough


@dataclass(frozen=True)
class DepthTrainReport:
    """What a training run did."""

    run: str
    steps: int
    scenes: int
    hours: float
    weights: str
    metrics: dict[str, dict[str, float]]

    def summary(self) -> str:
        """A few lines for people."""
        lines = [f"{self.steps} steps on {self.scenes} scenes in {self.hours:.2f} h: {self.weights}"]
        lines += [
            f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in values.items())
            for name, values in self.metrics.items()
        ]
        return "\n".join(lines)


def train_depth(config: DepthTrainConfig) -> DepthTrainReport:
    """Train, or go on training, and export the averaged weights.

    A run continues from its last checkpoint, to the same result on the same number of threads. With more
    ``steps``, a finished run goes on where the schedule of the longer run stands at that step.

    Raises:
        MdeasError: If the run folder holds a run with another seed, batch size or network, or if a process
            that draws or augments was killed.
    """
    try:
        return _train(config)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise MdeasError(
            "a process that augments pictures was killed: perhaps too little memory; "
            "run the same command again, it goes on from the last checkpoint"
        ) from error


def _train(config: DepthTrainConfig) -> DepthTrainReport:
    torch.set_num_threads(config.threads)
    config.out.mkdir(parents=True, exist_ok=True)
    state = _TrainState.create(config)
    state.load(config.out / "last.ckpt")
    journal = _Journal(config.out / "log.jsonl")
    saved = evaluated = time.monotonic()
    with (
        SceneStream(_stream_config(config)) as stream,
        Progress(config.steps, "train-depth", done=state.step) as progress,
    ):
        for picture, target, valid in _batches(config, stream, state.step):
            journal.add(_train_step(state, picture, target, valid, config))
            progress.update(1, journal.note)
            if state.step % LOG_EVERY == 0:
                journal.write(step=state.step, lr=_rate(state.step, config))
            now = time.monotonic()
            if now - saved > SAVE_EVERY_S:
                state.seconds += now - saved
                saved = now
                state.save(config.out / "last.ckpt")
            if config.pairs is not None and now - evaluated > EVALUATE_EVERY_S:
                settle_norms(state.averaged, settling_batches(state.step - 1, config))
                journal.write(step=state.step, **_judge(state.averaged, config.pairs, EVERY_PAIR))
                evaluated = time.monotonic()
        state.seconds += time.monotonic() - saved
        state.save(config.out / "last.ckpt")
        stream.need(*scene_window(state.step - 1, config))  # drawn again where somebody has cleared them away
        settle_norms(state.averaged, settling_batches(state.step - 1, config))
    return _finish(state, config)


def learning_rate(step: int, peak: float, steps: int) -> float:
    """Warm-up, then down along half a cosine."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * max(0.005, 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP))))


def strength(step: int, config: DepthTrainConfig) -> float:
    """Of the augmentation, growing where fresh weights begin: at full strength, they learned only the row."""
    if config.init_from is not None:
        return STRONGEST
    return min(1.0, step / (STRONGEST_AT * config.steps)) * STRONGEST


def shapes_of(step: int, config: DepthTrainConfig) -> tuple[tuple[tuple[int, int], float], ...]:
    """Heights and widths of batches at ``step``, with how often."""
    return EARLY_SHAPES if step < config.steps * config.early_share else SHAPES


def _rate(step: int, config: DepthTrainConfig) -> float:
    return learning_rate(step, config.lr, config.steps)


def scene_window(step: int, config: DepthTrainConfig) -> tuple[int, int]:
    """First and one past the last scene of ``step``: the newest, each used ``reuse`` times on average."""
    last = FIRST_SCENES + step * config.batch_size // config.reuse
    return max(0, last - config.window), last


class _StepBatches(Dataset[Batch]):
    """The batch of a step, everything random in it following from (seed, step)."""

    def __init__(self, config: DepthTrainConfig) -> None:
        self._config = config
        self._ring: SceneRing | None = None

    def __getitem__(self, step: int) -> Batch:
        return self.draw(step, np.random.default_rng([self._config.seed, step]))

    def draw(self, step: int, rng: np.random.Generator) -> Batch:
        """A batch as ``step`` may see it, chosen by ``rng``."""
        config = self._config
        if self._ring is None:  # in the worker, once
            self._ring = SceneRing(config.out / SCENES_FOLDER)
        first, last = scene_window(step, config)
        rgb, depth = self._ring.batch(rng.integers(first, last, config.batch_size))
        shapes = shapes_of(step, config)
        size = shapes[rng.choice(len(shapes), p=[share for _, share in shapes])][0]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pictures = torch.from_numpy(rgb).permute(0, 3, 1, 2)
        return augment(pictures, torch.from_numpy(depth).float(), size, strength(step, config), generator)


def _batches(config: DepthTrainConfig, stream: SceneStream, first: int) -> Iterable[Batch]:
    """The batches of the steps from ``first`` on, augmented by a process of their own."""

    def steps() -> Iterator[int]:
        for step in range(first, config.steps):
            stream.need(*scene_window(step, config))
            yield step

    workers = config.loaders > 0
    return DataLoader(
        _StepBatches(config),
        batch_size=None,
        sampler=_Steps(steps),
        num_workers=config.loaders,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_start_worker,
    )


class _Steps(Sampler[int]):
    """The steps in order, each as soon as its scenes are drawn."""

    def __init__(self, steps: Callable[[], Iterator[int]]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[int]:
        return self._steps()


def _start_worker(worker: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run, which ends this process


def _train_step(
    state: _TrainState, picture: Tensor, target: Tensor, valid: Tensor, config: DepthTrainConfig
) -> float:
    """One step of the optimizer; the loss."""
    for group in state.optimizer.param_groups:
        group["lr"] = _rate(state.step, config)
    state.noise.reseed(config.seed, state.step)
    with torch.autocast("cpu", torch.bfloat16) if config.bfloat16 else nullcontext():
        pred = state.network(picture.contiguous(memory_format=torch.channels_last))
    # edges are worth learning once there is something to have edges
    weights = LossWeights(gradient=GRADIENT_WEIGHT * state.step / config.steps)
    loss = depth_loss(pred, target, valid, weights)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), CLIP_NORM)
    state.optimizer.step()
    state.step += 1
    state.average()
    return float(loss.detach())


def settling_batches(step: int, config: DepthTrainConfig) -> Iterator[Batch]:
    """Further batches of ``step``, whose scenes are there while those of earlier steps may be gone."""
    batches = _StepBatches(config)
    return (
        batches.draw(step, np.random.default_rng([config.seed, step, number]))
        for number in range(SETTLE_BATCHES)
    )


@torch.no_grad()
def settle_norms(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Give the norms of ``network`` the statistics that its features have over ``batches``.

    Averaged weights have other features than the weights that they are the average of (Izmailov et al. 2018,
    arXiv:1803.05407), and running statistics were gathered under noise. In evaluation mode afterwards.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for count, (picture, _, _) in enumerate(batches, 1):
        for norm in norms:
            norm.momentum = 1 / count  # the plain mean over all batches so far
        network(picture.contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


@dataclass
class _TrainState:
    """Everything a checkpoint holds."""

    network: DepthNet
    averaged: DepthNet
    optimizer: torch.optim.AdamW
    identity: dict[str, Any]
    noise: StatisticsNoise
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def create(cls, config: DepthTrainConfig) -> _TrainState:
        torch.manual_seed(config.seed)
        fresh = DepthNet(DepthNetConfig()) if config.init_from is None else load_weights(config.init_from)[0]
        network = fresh.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        averaged = copy.deepcopy(network).eval().requires_grad_(False)
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99), fused=True)
        identity = {
            "seed": config.seed,
            "batch_size": config.batch_size,
            "steps": config.steps,
            "net": asdict(network.config),
            "init_from": None
            if config.init_from is None
            else hashlib.sha256(config.init_from.read_bytes()).hexdigest(),
        }
        return cls(network, averaged, optimizer, identity, StatisticsNoise(network))

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights towards the network's (faster at first: the start is forgotten)."""
        weight = 1 - min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.network.parameters()), weight)
        for mine, new in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            mine.copy_(new)

    def save(self, path: Path) -> None:
        """Write a checkpoint that is either whole or not there."""
        state = {
            "identity": self.identity, "step": self.step, "seconds": self.seconds,
            "network": self.network.state_dict(), "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        temporary = path.with_name(path.name + ".part")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Continue from ``path`` where it exists."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        there = state["identity"]
        if state["step"] == there["steps"] < self.identity["steps"]:
            there["steps"] = self.identity["steps"]  # a finished run goes on: the schedule of the longer one
        if there != self.identity:
            raise MdeasError(
                f"another run is in {path.parent}: it has {there}, this one {self.identity}; "
                "choose another folder"
            )
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def _stream_config(config: DepthTrainConfig) -> StreamConfig:
    height, width = SCENE_SIZE
    return StreamConfig(
        draw=draw_training_scene,
        seed=config.seed,
        folder=config.out / SCENES_FOLDER,
        height=height,
        width=width,
        window=config.window,
        processes=config.processes,
    )


def _judge(network: DepthNet, pairs: Path, every: int) -> dict[str, float]:
    """Mean metrics over every ``every``-th frame of ``pairs``."""

    def predict(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        return predict_log_disparity(network, rgb)

    return evaluate_frames(predict, read_frames(frame_names(pairs, every)))


class _Journal:
    """One JSON line every so often: the mean loss, the rate, and whatever else there is to say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._losses: list[float] = []
        self._since = time.monotonic()
        self.note = ""

    def add(self, loss: float) -> None:
        self._losses.append(loss)

    def write(self, step: int, **values: float) -> None:
        now = time.monotonic()
        if self._losses:
            loss = sum(self._losses) / len(self._losses)
            values = {"loss": loss, "steps_per_s": len(self._losses) / (now - self._since), **values}
            self.note = f"loss {loss:.3f}"
        self._losses, self._since = [], now
        with self._path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"step": step, **{key: round(value, 6) for key, value in values.items()}}) + "\n"
            )


def _finish(state: _TrainState, config: DepthTrainConfig) -> DepthTrainReport:
    """Export the averaged weights and judge them."""
    scenes = scene_window(state.step, config)[1]
    path = config.out / "bundled_depth.safetensors"
    about = {"steps": str(state.step), "seed": str(config.seed), "scenes": str(scenes)}
    save_weights(state.averaged, path, about)
    metrics = {}
    if config.pairs is not None:
        metrics[str(config.pairs)] = _judge(state.averaged, config.pairs, 1)
    return DepthTrainReport(str(config.out), state.step, scenes, state.seconds / 3600, str(path), metrics)
