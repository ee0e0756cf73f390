"""Runs: what they leave, how they go on after a stop, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models import create_model
from mdeas.models import train as training
from mdeas.models.checkpoint import load_checkpoint
from mdeas.models.compiling import require_compiler
from mdeas.models.phases import Phase
from mdeas.models.train import Trainer, TrainReport, train
from mdeas.pipeline.options import TrainConfig

# Timings differ from run to run; everything else of a line does not.
TIMINGS = ("seconds", "samples_per_second", "waiting_share")

SCRIPT = """
import sys, torch
from pathlib import Path
from mdeas.models import train
from mdeas.pipeline.options import TrainConfig
torch.set_num_threads(1)
train.CHECKPOINT_EVERY_S = 0.0
train.train(TrainConfig(dataset=Path(sys.argv[1]), runs=Path(sys.argv[2]), run="stopped", size=32, epochs=4,
                        batch_size=8, lr=2e-3, device="cpu", workers=1))
"""


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """``metrics.jsonl`` without what may differ between two runs."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def start(config: TrainConfig) -> tuple[subprocess.Popen[bytes], Path]:
    """The same run in a process of its own, with a checkpoint after every step."""
    command = [sys.executable, "-c", SCRIPT, str(config.dataset), str(config.runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE), config.runs / "stopped"


def wait_for_epoch(folder: Path, epoch: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the run has gone a little past ``epoch``."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "metrics.jsonl").exists() and len(lines_of(folder)) >= epoch:
            time.sleep(0.15)
            return
        time.sleep(0.02)
    raise AssertionError(f"the run did not reach epoch {epoch}")


def test_a_run_leaves_what_the_contract_says(finished: TrainReport) -> None:
    folder = Path(finished.run)
    names = {path.name for path in folder.iterdir()}
    expected = {"config.json", "last.ckpt", "best.ckpt", "best-depth.ckpt", "best-mask.ckpt", "metrics.jsonl"}
    assert expected <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert [path.name for path in sorted((folder / "predictions").iterdir())] == [
        f"epoch-00{n}.png" for n in range(1, 5)
    ]
    assert not [name for name in names if name.endswith(".part")]
    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["size"] == 32
    assert config["options"]["lr"] == 2e-3


def test_metrics_have_every_stratum_beside_the_baseline(finished: TrainReport) -> None:
    lines = lines_of(Path(finished.run))
    assert [line["epoch"] for line in lines] == list(range(1, 5))
    last = lines[-1]
    assert last["val"].keys() == {"seen", "new_bg", "new_fg", "new_both", "all"}
    for metrics in last["val"].values():
        for side in (metrics, metrics["baseline"]):
            assert side["mask"].keys() >= {"iou", "f", "boundary_f", "ssim"}
            assert side["depth"].keys() >= {"rmse", "abs_rel", "delta1", "ssim"}
    assert last["val"]["all"]["samples"] == sum(last["val"][s]["samples"] for s in training_strata())
    terms = {name: value for name, value in last["train"].items() if name != "loss"}
    assert sum(terms.values()) == pytest.approx(last["train"]["loss"], rel=1e-5)


def training_strata() -> tuple[str, ...]:
    return ("seen", "new_bg", "new_fg", "new_both")


def test_it_learns(finished: TrainReport) -> None:
    lines = lines_of(Path(finished.run))
    assert lines[-1]["train"]["loss"] < 0.85 * lines[0]["train"]["loss"]


def test_best_checkpoints_are_those_of_their_epochs(finished: TrainReport) -> None:
    folder = Path(finished.run)
    lines = lines_of(folder)
    scores = {
        "best": [-line["val_loss"] for line in lines],
        "best-mask": [line["val"]["all"]["mask"]["iou"] for line in lines],
        "best-depth": [-line["val"]["all"]["depth"]["rmse"] for line in lines],
    }
    for name, values in scores.items():
        checkpoint = load_checkpoint(folder / f"{name}.ckpt")
        assert checkpoint.epoch == int(np.argmax(values)) + 1
        assert checkpoint.metrics == lines[checkpoint.epoch - 1]["val"]
        assert checkpoint.training is None
    assert finished.best_epoch == int(np.argmax(scores["best"])) + 1


def test_pictures_show_every_stratum(finished: TrainReport) -> None:
    picture = cv2.imread(str(Path(finished.run) / "predictions" / "epoch-004.png"))
    assert picture is not None
    assert picture.shape[0] > 8 * 112
    assert picture.shape[1] > 6 * 112


def test_report_and_summary(finished: TrainReport) -> None:
    assert finished.parameters == 1_521_026
    assert (finished.epochs, finished.started_at_epoch, finished.device) == (4, 0, "cpu")
    assert 0 <= finished.waiting_share < 1
    assert json.loads(json.dumps(vars(finished))) == vars(finished)
    text = finished.summary()
    assert "mdeas (1,521,026 parameters) on cpu" in text
    assert "new_both" in text
    assert "mask IoU" in text


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_ends_with_the_same_figures(
    train_config: TrainConfig, finished: TrainReport, how: signal.Signals
) -> None:
    process, folder = start(train_config)
    try:
        wait_for_epoch(folder, 1, process)
        process.send_signal(how)
        _, errors = process.communicate(timeout=120)
        assert process.returncode not in (0, None), "it was too fast to be stopped"
        if how == signal.SIGINT:
            assert errors.decode().rstrip().endswith("KeyboardInterrupt")
        assert not list(folder.glob("*.ckpt.part")) or how == signal.SIGKILL
        report = train(replace(train_config, run="stopped"))
        assert 1 <= report.started_at_epoch < 4
        assert lines_of(folder) == lines_of(Path(finished.run))
        weights = [load_checkpoint(run / "last.ckpt").weights for run in (folder, Path(finished.run))]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("stop_at", [2, 4, 5])
def test_everything_resumes_at_any_step(
    short: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop_at: int
) -> None:
    """Averages, momentum, rate, augmentation, sizes: phases of three and two steps, stopped in between."""
    config = replace(
        short, limit=12, size=(32, 48), epochs=(1, 1), batch_size=(4, 6), optimizer="adamw", ema=0.9,
        schedule="onecycle", momentum=(0.85, 0.95), augment="camera",
    )  # fmt: skip
    train(replace(config, run="whole"))
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0.0)
    once = Trainer.step

    def stop(trainer: Trainer, sample: Any, rate: float) -> dict[str, float] | None:
        if trainer.position.steps == stop_at - 1:
            raise KeyboardInterrupt
        return once(trainer, sample, rate)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", stop)
        train(config)
    assert train(config).started_at_epoch == pytest.approx({2: 1 / 3, 4: 1, 5: 1.5}[stop_at], abs=1e-3)
    assert lines_of(tmp_path / "short") == lines_of(tmp_path / "whole")
    one, other = (load_checkpoint(tmp_path / run / "last.ckpt") for run in ("short", "whole"))
    assert one.training is not None and other.training is not None
    for mine, theirs in ((one.weights, other.weights), (one.training["weights"], other.training["weights"])):
        assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    assert one.size == 48


def test_weights_to_begin_with(short: TrainConfig, finished: TrainReport, tmp_path: Path) -> None:
    """The second phase of two: it begins where the first has ended."""
    best = Path(finished.run) / "best.ckpt"
    fresh, warm = train(short), train(replace(short, run="warm", init_from=best))
    losses = [lines_of(Path(report.run))[0]["train"]["loss"] for report in (fresh, warm)]
    assert losses[1] < losses[0]
    with pytest.raises(MdeasError, match=r"weights of another network: .* is a mdeas; train it with --model"):
        train(replace(short, run="other", model="masknet", init_from=best))


def test_patience_counts_epochs_of_a_phase_without_a_better_best() -> None:
    history = [{"epoch": n, "best": best} for n, best in ((1, ["best"]), (2, []), (3, ["best-mask"]))]
    whole, second = Phase(32, 8, "mdeas", 0, 9), Phase(48, 8, "mdeas", 2, 9)
    assert training.has_stalled(history, whole, 2)
    assert not training.has_stalled(history, whole, 3)
    assert not training.has_stalled(history, whole, None)
    assert not training.has_stalled(history, second, 2)


def test_the_report_holds_all_that_it_shows(finished: TrainReport) -> None:
    page = (Path(finished.run) / "report.html").read_text()
    assert page.count("<svg") == 5
    assert page.count('src="data:image/png;base64,') == 2
    assert "Worst samples" in page and "without learning" in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0


def test_the_same_command_again_only_reports(train_config: TrainConfig, finished: TrainReport) -> None:
    folder = Path(finished.run)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.ckpt")}
    again = train(train_config)
    assert again.started_at_epoch == 4
    assert replace(again, started_at_epoch=0) == finished
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.ckpt")} == before


def test_the_history_is_mended_from_the_checkpoint(train_config: TrainConfig, finished: TrainReport) -> None:
    path = Path(finished.run) / "metrics.jsonl"
    before = path.read_text()
    path.write_text(before.splitlines()[0] + "\n")
    train(train_config)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 1e-3}, r"another --lr \(0\.002 there, 0\.001 now\)"),
        ({"batch_size": 4}, r"another --batch-size \(8 there, 4 now\)"),
        ({"seed": 1}, r"another --seed \(0 there, 1 now\)"),
        ({"size": None}, r"another --size \(32 there, 64 now\)"),
        ({"schedule": "cosine"}, r"another --schedule \(constant there, cosine now\)"),
        ({"limit": 8}, r"another --limit \(None there, 8 now\)"),
    ],
)
def test_other_options_are_refused_by_name(
    train_config: TrainConfig, finished: TrainReport, change: dict[str, Any], message: str
) -> None:
    before = (Path(finished.run) / "config.json").read_bytes()
    with pytest.raises(MdeasError, match=message):
        train(replace(train_config, **change))
    assert (Path(finished.run) / "config.json").read_bytes() == before


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"options": 3}'])
def test_a_damaged_config_is_named(train_config: TrainConfig, tmp_path: Path, text: str) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text(text)
    with pytest.raises(MdeasError, match=r"damaged file: .*config\.json .*; use another --run, or --over"):
        train(replace(train_config, runs=tmp_path, run="torn"))


def test_an_existing_run_without_resume_is_refused(train_config: TrainConfig, finished: TrainReport) -> None:
    with pytest.raises(MdeasError, match=r"the run exists: .*; go on with --resume, or start afresh"):
        train(replace(train_config, resume=False))


@pytest.fixture
def short(train_config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """One epoch of two steps in a folder of its own."""
    return replace(train_config, runs=tmp_path, run="short", epochs=1, limit=16, val_limit=2)


def test_longer_shorter_and_afresh(short: TrainConfig, tmp_path: Path) -> None:
    """A constant rate knows no end: the run can be made longer; and --overwrite forgets it."""
    assert train(short).epochs == 1
    (tmp_path / "short" / "notes.txt").write_text("mine")
    longer = train(replace(short, epochs=2))
    assert (longer.epochs, longer.started_at_epoch) == (2, 1)
    assert train(short).epochs == 2
    afresh = train(replace(short, lr=1e-3, overwrite=True))
    assert (afresh.epochs, afresh.started_at_epoch) == (1, 0)
    assert len(lines_of(tmp_path / "short")) == 1
    assert [path.name for path in (tmp_path / "short" / "predictions").iterdir()] == ["epoch-001.png"]
    assert (tmp_path / "short" / "notes.txt").read_text() == "mine"


def test_a_schedule_with_an_end_cannot_be_made_longer(short: TrainConfig) -> None:
    train(replace(short, schedule="onecycle"))
    with pytest.raises(MdeasError, match=r"another --epochs \(1 there, 2 now\)"):
        train(replace(short, schedule="onecycle", epochs=2))


def test_a_changed_data_set_is_refused(short: TrainConfig, labelled: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(labelled, tmp_path / "copy")
    train(replace(short, dataset=copy))
    info = json.loads((copy / "depth.json").read_text())
    (copy / "depth.json").write_text(json.dumps({**info, "scale": 1.0}))
    with pytest.raises(MdeasError, match=r"another --dataset \(the data set's content\)"):
        train(replace(short, dataset=copy, epochs=2))


def test_a_loss_that_is_no_number_names_step_and_batch(
    short: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    once = Trainer.step

    def break_second(trainer: Trainer, sample: Any, rate: float) -> dict[str, float] | None:
        if trainer.position.step == 1:
            sample.fg_bg.fill_(float("nan"))
        return once(trainer, sample, rate)

    monkeypatch.setattr(Trainer, "step", break_second)
    message = r"no longer a number; epoch 1, step 2, batch of samples \d+(, \d+){7}; lower --lr"
    with pytest.raises(MdeasError, match=message):
        train(short)
    assert not (tmp_path / "short" / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "unet"}, "no network is called 'unet'; there are: mdeas"),
        ({"loss": "hinge"}, "no loss is called 'hinge'; there are: mdeas"),
        ({"schedule": "steps"}, "no schedule is called 'steps'; there are: constant, step, mdeas"),
        ({"optimizer": "lion"}, "no optimizer is called 'lion'; there are: adam, adamw, sgd"),
        ({"augment": "all"}, "no augmentation is called 'all'; there are: none, flip, colour, camera"),
        ({"precision": "fp8"}, "no precision is called 'fp8'; there are: auto, float32, bf16, fp16"),
        (
            {"size": (32, 48), "epochs": (1, 1, 1)},
            r"2 values for --size \(32, 48\), but 3 for another option",
        ),
        ({"size": (32, 40)}, r"got 40x40; the nearest is 32x32 or 48x48 \(--size\)"),
        ({"size": 40}, r"got 40x40; the nearest is 32x32 or 48x48 \(--size\)"),
        ({"device": "cuda:7"}, "no such device: cuda:7"),
        ({"run": "a/b"}, "not a name for a run: 'a/b'"),
        ({"run": ".."}, r"not a name for a run: '\.\.'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    short: TrainConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(MdeasError, match=message):
        train(replace(short, **change))
    assert not list(tmp_path.iterdir())


def test_without_labels_nothing_is_trained(short: TrainConfig, dataset_dir: Path) -> None:
    with pytest.raises(MdeasError, match="mdeas label-depth"):
        train(replace(short, dataset=dataset_dir))


def test_a_network_without_depth(short: TrainConfig, tmp_path: Path) -> None:
    report = train(replace(short, model="masknet"))
    assert {"mask", "baseline", "samples"} == report.strata["all"].keys()
    assert "depth" not in report.summary().splitlines()[2]
    names = {path.name for path in (tmp_path / "short").glob("*.ckpt")}
    assert names == {"last.ckpt", "best.ckpt", "best-mask.ckpt"}


def test_fewer_samples_than_a_batch(short: TrainConfig) -> None:
    report = train(replace(short, limit=3, batch_size=32))
    assert (report.samples, report.epochs) == (3, 1)


def test_weights_and_order_follow_the_seed(short: TrainConfig, tmp_path: Path) -> None:
    losses = []
    for run, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(short, run=run, seed=seed))
        losses.append(lines_of(tmp_path / run)[0]["train"]["loss"])
    assert losses[0] == losses[1] != losses[2]


def test_workers_change_nothing(short: TrainConfig, tmp_path: Path) -> None:
    for run, workers in (("none", 0), ("three", 3)):
        train(replace(short, run=run, workers=workers))
    assert lines_of(tmp_path / "none") == lines_of(tmp_path / "three")


def test_events_hold_losses_metrics_rate_and_pictures(finished: TrainReport) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(finished.run)
    events.Reload()
    tags = events.Tags()
    assert {"lr", "train/loss", "val/loss", "step/loss", "seen/mask_iou", "new_both/depth_rmse"} <= set(
        tags["scalars"]
    )
    assert tags["images"] == ["predictions"]
    assert len(events.Scalars("val/loss")) == 4
    assert events.Scalars("val/loss")[-1].value == pytest.approx(lines_of(Path(finished.run))[-1]["val_loss"])


def test_histograms_of_every_weight_and_its_gradient(short: TrainConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report = train(replace(short, model="masknet", epochs=2, histograms=True))
    events = EventAccumulator(report.run, size_guidance={"histograms": 0})
    events.Reload()
    names = [name for name, _ in create_model("masknet").named_parameters()]
    kinds = ("weights", "gradients")
    assert set(events.Tags()["histograms"]) == {f"{kind}/{name}" for kind in kinds for name in names}
    found = events.Histograms(f"weights/{names[0]}")
    assert len(found) == 2
    weights = load_checkpoint(Path(report.run) / "last.ckpt").weights[names[0]].double()
    assert found[-1].histogram_value.num == weights.numel()
    assert found[-1].histogram_value.sum == pytest.approx(float(weights.sum()))


@pytest.mark.slow  # compiling
def test_a_compiled_network_trains_alike(short: TrainConfig, tmp_path: Path) -> None:
    try:
        require_compiler()
    except MdeasError as error:
        pytest.skip(str(error))
    config = replace(short, model="masknet", size=(32, 48), epochs=(1, 1), optimizer="sgd", lr=1e-3)
    for run, compiled in (("plain", False), ("compiled", True)):
        train(replace(config, run=run, compile=compiled))
    plain, compiled_lines = lines_of(tmp_path / "plain"), lines_of(tmp_path / "compiled")
    assert [line["size"] for line in compiled_lines] == [32, 48]
    for mine, theirs in zip(compiled_lines, plain, strict=True):
        assert mine["train"] == pytest.approx(theirs["train"], rel=1e-3)
        assert mine["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-3)
    one, other = (load_checkpoint(tmp_path / run / "last.ckpt").weights for run in ("plain", "compiled"))
    assert one.keys() == other.keys()
    for name, weight in one.items():  # a forward pass may agree where gradients do not
        torch.testing.assert_close(other[name], weight, rtol=1e-3, atol=1e-5, msg=name)


def test_compiling_without_a_compiler_is_refused(
    short: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MdeasError, match=r"--compile needs a C\+\+ compiler; install g\+\+"):
        train(replace(short, compile=True))
    assert not list(tmp_path.iterdir())


def test_strata_names_are_those_of_evaluate() -> None:
    from mdeas.models.judge import STRATA

    assert training_strata() == STRATA
    assert training.LAST_NAME == "last.ckpt"


def test_training_leaves_the_arithmetic_of_others_alone(short: TrainConfig) -> None:
    train(short)
    assert float(torch.tensor(1e-40) * 1) > 0  # a denormal
