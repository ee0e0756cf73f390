"""Several processes end where one does; what they refuse; precisions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mdeas import MdeasError
from mdeas.models.checkpoint import load_checkpoint
from mdeas.models.engine import Engine
from mdeas.models.train import train
from mdeas.pipeline.options import TrainConfig

# The command line with every number in float64. Four steps from fresh weights multiply what differs: to
# round the initial weights to float32 alone moves the last ones of one process by 0.0014 of their norm.
IN_FLOAT64 = """
import torch
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
from mdeas.models.dataset import Batch, Sample
to = Batch.to
Batch.to = lambda batch, device: Sample(*(part.double() for part in to(batch, device)))
from mdeas.cli import cli
cli()
"""

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")


@pytest.fixture
def short(train_config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """Two epochs of two steps."""
    return replace(train_config, runs=tmp_path, run="one", epochs=2, limit=16, val_limit=2, lr=1e-3)


def start(command: tuple[str, ...], config: TrainConfig, run: str) -> subprocess.CompletedProcess[str]:
    """``mdeas train`` as ``command`` starts it, with the options of ``config``."""
    options = {
        "dataset": config.dataset, "runs": config.runs, "run": run, "size": config.size,
        "epochs": config.epochs, "batch-size": config.batch_size, "lr": config.lr, "limit": config.limit,
        "val-limit": config.val_limit, "device": "cpu", "workers": 0,
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "train", *arguments, "--json"],
        env=environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def last_line(folder: Path) -> dict[str, Any]:
    """Of ``metrics.jsonl``."""
    found: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return found


@pytest.mark.slow
def test_two_processes_end_where_one_does(short: TrainConfig, tmp_path: Path) -> None:
    """In float64, where only a difference of the computation itself can be seen; with Adam, the default."""
    pytest.importorskip("accelerate")
    script = tmp_path / "in_float64.py"
    script.write_text(IN_FLOAT64)
    # Without the dashes torchrun takes --run for one of its own options.
    for run, command in (("one", (sys.executable,)), ("two", (*TORCHRUN, "--"))):
        start((*command, str(script)), short, run)
    one, two = (load_checkpoint(tmp_path / run / "last.ckpt").weights for run in ("one", "two"))
    assert {value.dtype for value in two.values()} == {torch.float64, torch.int64}
    flat = [torch.cat([part.flatten().double() for part in weights.values()]) for weights in (one, two)]
    # Rounding leaves 2e-10. Batch norms that count the parts of the batch, each by itself, leave 0.03.
    assert (flat[1] - flat[0]).norm() < 1e-7 * flat[0].norm()
    lines = [last_line(tmp_path / run) for run in ("one", "two")]
    assert lines[1]["train"] == pytest.approx(lines[0]["train"], rel=1e-7)
    assert lines[1]["val_loss"] == pytest.approx(lines[0]["val_loss"], rel=1e-7)


@pytest.mark.slow
def test_torchrun_starts_the_command(short: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    short = replace(short, epochs=1)
    train(short)
    done = start((*TORCHRUN, "-m", "--", "mdeas"), short, "two")
    assert json.loads(done.stdout)["epochs"] == 1, "only the first process reports"
    one, two = (last_line(tmp_path / run)["train"]["loss"] for run in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-3)


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
