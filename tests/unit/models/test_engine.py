"""Several processes end where one does; what they refuse; precisions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mdeas import MdeasError
from mdeas.models.checkpoint import load_checkpoint
from mdeas.models.engine import Engine
from mdeas.models.train import train
from mdeas.pipeline.options import TrainConfig


@pytest.fixture
def short(train_config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """Two epochs of two steps; SGD, because Adam magnifies the rounding of small gradients."""
    return replace(
        train_config, runs=tmp_path, run="one", epochs=2, limit=16, val_limit=2, optimizer="sgd", lr=1e-3,
        momentum=0.9,
    )  # fmt: skip


def torchrun(config: TrainConfig, run: str, batch_size: int) -> subprocess.CompletedProcess[str]:
    """The run of ``config`` by two processes."""
    options = {
        "dataset": config.dataset, "runs": config.runs, "run": run, "size": config.size,
        "epochs": config.epochs, "batch-size": batch_size, "lr": config.lr, "optimizer": config.optimizer,
        "momentum": config.momentum, "limit": config.limit, "val-limit": config.val_limit,
        "device": "cpu", "workers": 0,
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"),
        # Without the dashes torchrun takes --run for one of its own options.
        *("-m", "--", "mdeas", "train", *arguments, "--json"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
def test_two_processes_end_where_one_does(short: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    train(short)
    done = torchrun(short, "two", 8)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["epochs"] == 2, "only the first process reports"
    one, two = (load_checkpoint(tmp_path / run / "last.ckpt").weights for run in ("one", "two"))
    # Seen: 0.0023. Rounding: in float64 one step of both has the same gradient to 1e-12.
    flat = [torch.cat([part.flatten().double() for part in weights.values()]) for weights in (one, two)]
    assert (flat[1] - flat[0]).norm() < 5e-3 * flat[0].norm()
    lines = [
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in ("one", "two")
    ]
    assert lines[1]["train"]["loss"] == pytest.approx(lines[0]["train"]["loss"], rel=1e-3)
    assert lines[1]["val_loss"] == pytest.approx(lines[0]["val_loss"], rel=1e-3)


def test_a_batch_that_cannot_be_shared(
    short: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Engine, "__init__", lambda self, *_: vars(self).update(processes=3, rank=0))
    with pytest.raises(MdeasError, match=r"a batch of 8 cannot be shared by 3 processes; choose a multiple"):
        train(short)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_with_losses_in_float32(short: TrainConfig, precision: str) -> None:
    report = train(replace(short, epochs=1, precision=precision))
    assert report.epochs == 1
    weights = load_checkpoint(Path(report.run) / "last.ckpt").weights
    assert all(value.dtype != torch.bfloat16 for value in weights.values())
    assert all(value.isfinite().all() for value in weights.values())
