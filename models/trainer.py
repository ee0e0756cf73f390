"""A network in training: what one step changes, and what ``last.ckpt`` restores."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import MdeasError
from ..pipeline.options import TrainConfig
from . import create_model
from .base import DualHeadNet, heads, ready
from .checkpoint import Checkpoint, load_checkpoint
from .dataset import Sample
from .encoder import load_encoder
from .engine import Engine
from .losses import Loss, create_loss
from .normalise import read_normalisation
from .phases import Phase
from .schedules import Length, create_schedule

log = logging.getLogger(__name__)

OPTIMIZERS = ("adam", "adamw", "sgd")
ADAM_BETA2 = 0.999


@dataclass
class Position:
    """How far a run has come, and what it has found so far; saved in ``last.ckpt``."""

    epoch: int = 0  # epochs finished
    step: int = 0  # steps done of the epoch under way
    steps: int = 0  # done since the run began
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch's loss terms
    seconds: float = 0.0  # spent on it
    waiting: float = 0.0  # of these, waiting for data
    history: list[dict[str, Any]] = field(default_factory=list)  # the lines of metrics.jsonl
    best: dict[str, float] = field(default_factory=dict)  # checkpoint name: its score, larger is better


class Trainer:
    """A network with its optimizer, on its device.

    Args:
        config: The run's options.
        phases: Its phases; see ``phases.plan_phases``.
        samples: Training samples of an epoch.
        engine: Device, precision and processes; by default those of ``config``.
    """

    def __init__(
        self, config: TrainConfig, phases: tuple[Phase, ...], samples: int, engine: Engine | None = None
    ) -> None:
        """Fresh weights, drawn with the seed, or those of ``encoder_weights`` and ``init_from``."""
        torch.manual_seed(config.seed)
        self.config, self.phases, self.samples = config, phases, samples
        self.engine = engine or Engine(config.device, config.precision)
        self.device = self.engine.device
        self.schedule = create_schedule(config.schedule)
        self.names = list(dict.fromkeys(phase.loss for phase in phases))
        self.losses = nn.ModuleList([create_loss(name) for name in self.names]).to(self.device)
        self.model: DualHeadNet = create_model(config.model)
        self.normalisation = None
        if config.normalise is not None:
            self.normalisation = read_normalisation(config.dataset, config.normalise)
            self.model.normalise(self.normalisation)
        for phase in phases:
            self.model.check_size(phase.size, phase.size)
        if config.encoder_weights is not None:
            load_encoder(self.model, config.model, config.encoder_weights)
        if config.init_from is not None:
            start_from(self.model, config.model, config.init_from)
        # Convolutions over channels-last tensors: 1.6 times the steps a second on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # What predicts: the averaged weights, or a plain copy of those in training.
        self.shown = copy.deepcopy(self.model).requires_grad_(False)
        network = self.engine.distribute(self.model)
        compiled: Any = torch.compile(network) if config.compile else network
        self.network: nn.Module = compiled
        self.parameters = [*self.model.parameters(), *self.losses.parameters()]
        self.optimizer = create_optimizer(config, self.parameters)
        self.scaler = self.engine.scaler()
        self.position = Position()

    @property
    def phase(self) -> Phase:
        """The phase of the step that comes next."""
        return next((phase for phase in self.phases if self.position.epoch < phase.end), self.phases[-1])

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return self.phases[-1].end

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch of this phase."""
        return max(1, self.samples // self.phase.batch_size)

    @property
    def loss(self) -> Loss:
        """The loss of this phase."""
        found: Any = self.losses[self.names.index(self.phase.loss)]
        return found  # type: ignore[no-any-return]

    def learning_rate(self) -> float:
        """The rate of the step that comes next; schedules count epochs, whatever the batches of a phase."""
        position, length = self.position, Length(self.epochs, self.steps_per_epoch, self.phase.batch_size)
        losses = [line.get("val_loss", line["train"]["loss"]) for line in position.history]
        return self.config.lr * self.schedule(
            position.epoch * length.steps_per_epoch + position.step, length, losses
        )

    def step(self, sample: Sample, rate: float) -> dict[str, float] | None:
        """One step; the loss and its terms, or None, and no step taken, where one of them is no number."""
        set_rate(self.optimizer, rate, self.config)
        self.optimizer.zero_grad(set_to_none=True)
        with self.engine.autocast():
            depth, mask = self.network(sample.bg, sample.fg_bg)
        found = heads(self.model, (None if depth is None else depth.float(), mask.float()))
        loss, terms = self.loss(found, sample)
        self.scaler.scale(loss).backward()
        for parameter in self.losses.parameters():  # those of the network are averaged on their way
            if parameter.grad is not None:
                parameter.grad = self.engine.mean(parameter.grad)
        figures = torch.stack([loss.detach(), *(term.detach() for term in terms.values()), self._spread()])
        *values, spread = self.engine.mean(figures).tolist()
        if not (math.isfinite(values[0]) and math.isfinite(spread)):
            return None
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._average()
        return dict(zip(("loss", *terms), values, strict=True))

    def _spread(self) -> Tensor:
        """The norm of the gradient; 0 with fp16, whose scaler leaves out steps that overflow by itself."""
        if self.scaler.is_enabled():
            return torch.zeros((), device=self.device)
        norms = [parameter.grad.norm() for parameter in self.parameters if parameter.grad is not None]
        spread: Tensor = torch.stack(norms).norm()
        return spread

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights a little towards those in training, early on by more."""
        if not self.config.ema:
            return
        done = self.position.steps
        share = 1 - min(self.config.ema, (1 + done) / (10 + done))
        for mean, value in zip(state_of(self.shown), state_of(self.model), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    def ready(self) -> DualHeadNet:
        """The network as it predicts: with averaged weights, where there are any."""
        if not self.config.ema:
            self.shown.load_state_dict(self.model.state_dict())
        return ready(self.shown)

    def weights(self) -> dict[str, Tensor]:
        """Those to predict with."""
        return (self.shown if self.config.ema else self.model).state_dict()

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, besides ``weights`` and the options."""
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return {
            "weights": self.model.state_dict() if self.config.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "losses": self.losses.state_dict(),
            "position": asdict(self.position),
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from ``checkpoint``.

        Raises:
            MdeasError: If it does not hold what this version needs to go on.
        """
        state = checkpoint.training or {}
        if state.keys() != self.state().keys():
            raise MdeasError(
                "the run was made by another version of mdeas, and cannot go on; "
                "finish it there, or start afresh with --overwrite"
            )
        self.shown.load_state_dict(checkpoint.weights)
        self.model.load_state_dict(state["weights"] or checkpoint.weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.losses.load_state_dict(state["losses"])
        self.position = Position(**state["position"])
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda" and state["random"]["cuda"]:
            torch.cuda.set_rng_state_all(state["random"]["cuda"])


def state_of(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, always in the same order."""
    return [*model.parameters(), *model.buffers()]


def start_from(model: DualHeadNet, name: str, path: Path) -> None:
    """Load the weights of a checkpoint into ``model``.

    Raises:
        MdeasError: If they are those of another network.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.model != name:
        raise MdeasError(
            f"weights of another network: {path} is a {checkpoint.model}; "
            f"train it with --model {checkpoint.model}, or give another --init-from"
        )
    model.load_state_dict(checkpoint.weights)


def create_optimizer(config: TrainConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """``adam``, ``adamw`` or ``sgd``.

    Raises:
        MdeasError: For another name.
    """
    if config.optimizer not in OPTIMIZERS:
        raise MdeasError(
            f"no optimizer is called {config.optimizer!r}; there are: {', '.join(OPTIMIZERS)}; "
            "choose with --optimizer"
        )
    momentum = momentum_at(config, 0.0)
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, config.lr, momentum, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, config.lr, (momentum, ADAM_BETA2), weight_decay=config.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, config: TrainConfig) -> None:
    """Put the rate of the next step, and the momentum that belongs to it, into ``optimizer``."""
    momentum = momentum_at(config, rate / config.lr)
    for group in optimizer.param_groups:
        group["lr"] = rate
        if "betas" in group:
            group["betas"] = (momentum, ADAM_BETA2)
        else:
            group["momentum"] = momentum


def momentum_at(config: TrainConfig, factor: float) -> float:
    """The momentum at a share of the highest rate: of two, the lower one belongs to the highest rate."""
    if not isinstance(config.momentum, tuple):
        return config.momentum
    low, high = config.momentum
    return high - (high - low) * min(1.0, factor)
