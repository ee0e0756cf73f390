"""Every preset trains through all of its phases, with the losses and rates of that system."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.models import create_model
from mdeas.models.checkpoint import Checkpoint, load_checkpoint
from mdeas.models.normalise import read_normalisation
from mdeas.models.train import train
from mdeas.pipeline.options import TRAIN_PRESETS, StatsConfig, TrainConfig
from mdeas.pipeline.stats import compute_stats

# Sizes, epochs and batches of a test, in as many phases as the preset has.
SMALL = {
    "dsresnet": ("64,96,64", "1,1,1", "4"),
    "mdeas": ("32", "7", "8"),
    "maskdepth": ("32,48", "1,1", "8,4"),
    "vathos": ("32", "2", "4"),
}
LOSSES = {
    "dsresnet": [{"mask_bce", "mask_dice", "depth_rmse"}] * 3,
    "mdeas": [{f"{head}_{term}" for head in ("mask", "depth") for term in ("ssim", "mse", "l1")}] * 7,
    "maskdepth": [
        {"mask_bce", "depth_l1"},
        {"mask_bce", "mask_dssim", "depth_l1", "depth_dssim", "depth_gradient"},
    ],
    "vathos": [{"mask_bce", "mask_dice", "depth_rmse"}] * 2,
}
# The rate of the last step of every epoch. MDEAS: its "warm-up", the foot of a triangle, a fifth of its edge.
RATES = {
    "dsresnet": [0.01] * 3,
    "mdeas": [1e-3] * 5 + [1e-5, 2.08e-4],
    "maskdepth": [0.01] * 2,
    "vathos": [0.1 * (1 + math.cos(2 * math.pi / 7)) / 2, 0.1 / 25 / 1e4],
}


@pytest.fixture(scope="module")
def counted(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set with its ``stats.json``."""
    folder = shutil.copytree(labelled, tmp_path_factory.mktemp("counted") / "dataset")
    compute_stats(StatsConfig(dataset=folder, jobs=1))
    return folder


def run_preset(name: str, dataset: Path, runs: Path) -> tuple[list[dict[str, Any]], Checkpoint]:
    """Lines of metrics.jsonl and last.ckpt of a run of eight samples."""
    size, epochs, batch = SMALL[name]
    small = {
        "dataset": dataset, "runs": runs, "run": name, "size": size, "epochs": epochs, "batch-size": batch,
        "limit": 8, "val-limit": 1, "device": "cpu", "workers": 0,
    }  # fmt: skip
    arguments = [text for option, value in small.items() for text in (f"--{option}", str(value))]
    result = CliRunner().invoke(cli, ["train", "--preset", name, *arguments])
    assert result.exit_code == 0, result.output
    text = (runs / name / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()], load_checkpoint(runs / name / "last.ckpt")


@pytest.mark.parametrize("name", TRAIN_PRESETS)
def test_a_preset_enters_all_that_it_is_made_of(name: str, counted: Path, tmp_path: Path) -> None:
    lines, last = run_preset(name, counted, tmp_path)
    preset = TRAIN_PRESETS[name]
    sizes, epochs = ([int(text) for text in part.split(",")] for part in SMALL[name][:2])
    assert last.model == preset["model"]
    assert [line["size"] for line in lines] == [
        size for size, count in zip(sizes, epochs, strict=True) for _ in range(count)
    ]
    assert [line["train"].keys() - {"loss"} for line in lines] == LOSSES[name]
    assert [line["lr"] for line in lines] == pytest.approx(RATES[name], rel=1e-2)
    for option in ("loss", "schedule", "optimizer", "augment", "weight_decay", "normalise"):
        wanted = preset.get(option, getattr(TrainConfig(), option))
        assert last.options[option] == (list(wanted) if isinstance(wanted, tuple) else wanted)
    assert last.training is not None
    states = last.training["optimizer"]["state"]
    kept = {"adam": "exp_avg", "adamw": "exp_avg", "sgd": "momentum_buffer"}[str(preset["optimizer"])]
    assert preset["momentum"] == 0.0 or all(kept in state for state in states.values())
    if name == "vathos":  # its momentum is high where the rate is low
        assert last.training["optimizer"]["param_groups"][0]["betas"][0] == pytest.approx(0.95, abs=1e-3)
    assert (tmp_path / name / "report.html").exists()


def test_figures_to_normalise_by(counted: Path) -> None:
    stats = json.loads((counted / "stats.json").read_text())
    found = read_normalisation(counted, "dataset")
    assert list(found.bg_mean) == stats["bg"]["mean"]
    assert list(found.fg_bg_std) == stats["fg_bg"]["std"]
    original = read_normalisation(counted, "dsresnet-original")
    assert original.bg_std == found.bg_std[::-1]
    assert original.fg_bg_mean == found.fg_bg_mean[::-1]


def test_inputs_are_normalised_and_weights_are_not(counted: Path) -> None:
    found = read_normalisation(counted, "dataset")
    plain, other = create_model("masknet").eval(), create_model("masknet").eval()
    other.load_state_dict(plain.state_dict())
    other.normalise(found)
    assert other.state_dict().keys() == plain.state_dict().keys()
    bg, frame = torch.rand(2, 2, 3, 32, 32)
    by_hand = [
        (picture - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        for picture, mean, std in (
            (bg, found.bg_mean, found.bg_std),
            (frame, found.fg_bg_mean, found.fg_bg_std),
        )
    ]
    with torch.no_grad():
        assert torch.allclose(other(bg, frame)[1], plain(*by_hand)[1], atol=1e-6)
        other.normalise(None)
        assert torch.equal(other(bg, frame)[1], plain(bg, frame)[1])


def test_a_trained_network_takes_its_normalisation_along(
    counted: Path, train_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(
        train_config, dataset=counted, runs=tmp_path, run="normal", epochs=1, limit=8, val_limit=2,
        model="masknet", normalise="dataset",
    )  # fmt: skip
    train(config)
    checkpoint = load_checkpoint(tmp_path / "normal" / "best.ckpt")
    network = checkpoint.network(torch.device("cpu"))
    assert network.input_mean is not None
    assert network.input_mean.flatten().tolist() == pytest.approx(
        [*read_normalisation(counted, "dataset").bg_mean, *read_normalisation(counted, "dataset").fg_bg_mean]
    )
    with pytest.raises(MdeasError, match=r"another --normalise \(dataset there, None now\)"):
        train(replace(config, normalise=None, epochs=2))


def test_what_cannot_be_normalised_is_refused(
    labelled: Path, train_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(train_config, runs=tmp_path, run="normal")
    with pytest.raises(MdeasError, match=r"no figures to normalise by: .*stats.json; run `mdeas stats"):
        train(replace(config, dataset=labelled, normalise="dataset"))
    with pytest.raises(MdeasError, match="no normalisation is called 'imagenet'; there are: dataset, dsr"):
        train(replace(config, normalise="imagenet"))
    assert not list(tmp_path.iterdir())
