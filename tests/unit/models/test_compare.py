"""Two networks under one budget: the table, and going on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.models.checkpoint import load_checkpoint
from mdeas.models.compare import BASELINE, Compared, CompareReport, cell, compare, table
from mdeas.models.judge import STRATA
from mdeas.pipeline.options import CompareConfig


@pytest.fixture(scope="module")
def config(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> CompareConfig:
    return CompareConfig(
        dataset=labelled, models=("mdeas", "masknet"), out=tmp_path_factory.mktemp("compare"), size=32,
        epochs=1, batch_size=8, limit=16, val_limit=4, eval_limit=4, robustness=4, device="cpu",
        precision="bf16", workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compared(config: CompareConfig) -> CompareReport:
    return compare(config)


def test_every_network_and_the_baseline_have_a_row(compared: CompareReport, config: CompareConfig) -> None:
    assert [one.model for one in compared.results] == ["mdeas", "masknet", BASELINE]
    assert [one.steps for one in compared.results] == [2, 2, 0]
    mdeas, masknet, baseline = compared.results
    assert mdeas.cost is not None
    assert mdeas.cost.parameters == 1_521_026
    assert "depth" not in masknet.strata["seen"]
    assert baseline.strata.keys() == {*STRATA, "all"}
    lines = table(compared.results).splitlines()
    assert len(lines) == 5
    assert len({len(line) for line in lines}) == 1
    cells = [text.strip() for text in lines[-1].strip("|").split("|")]
    assert cells[0] == BASELINE
    assert cells[1] == f"{baseline.strata['seen']['mask']['iou']:.3f}"
    assert cells[-4:] == ["-"] * 4
    assert compared.summary().startswith(lines[0])
    assert (config.out / "compare.md").read_text().startswith(lines[0])
    written = json.loads((config.out / "compare.json").read_text())
    assert len(written["results"]) == 3


def test_the_budget_is_the_same_and_said(compared: CompareReport, config: CompareConfig) -> None:
    assert compared.budget.startswith(
        "Each: 2 steps of 8 samples at 32, loss vathos, rate 0.001 onecycle, Adam, precision bf16, seed 0;"
    )
    options = [load_checkpoint(config.out / f"{name}-0" / "last.ckpt").options for name in config.models]
    assert {**options[0], "model": "", "run": ""} == {**options[1], "model": "", "run": ""}


def test_the_same_command_again_does_nothing_again(compared: CompareReport, config: CompareConfig) -> None:
    before = {path: path.stat().st_mtime_ns for path in config.out.glob("*/*.ckpt")}
    assert compare(config) == compared
    assert {path: path.stat().st_mtime_ns for path in config.out.glob("*/*.ckpt")} == before


def test_one_more_network_is_added(compared: CompareReport, config: CompareConfig) -> None:
    fewer = compare(replace(config, models=("masknet",)))
    assert fewer.results[0] == compared.results[1]
    assert [one.model for one in fewer.results] == ["masknet", BASELINE]


def test_other_judging_judges_again(compared: CompareReport, config: CompareConfig) -> None:
    again = compare(replace(config, models=("masknet",), robustness=0))
    assert again.results[0].robustness is None
    assert "| -" in table(again.results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("nobody",)}, r"no network is called 'nobody'; there are: mdeas, .*--models"),
        ({"loss": "nothing"}, "no loss is called 'nothing'"),
        ({"schedule": "nothing"}, "no schedule is called 'nothing'"),
        ({"lr": 0.5}, "another --lr"),
    ],
)
def test_what_cannot_be_is_refused(
    compared: CompareReport, config: CompareConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(MdeasError, match=message):
        compare(replace(config, **change))


def test_several_seeds_are_a_mean_and_half_the_range() -> None:
    form = "{:.3f}".format
    assert cell([0.5, 0.6, 0.52], form) == "0.540 ± 0.050"
    assert cell([0.5, 0.5], form) == "0.500"
    assert cell([None, None], form) == "-"
    strata = {"seen": {"mask": {"iou": 0.5}}}
    ones = [Compared("a", seed, 1, 0.0, None, strata, None) for seed in (0, 1)]
    assert len(table(ones).splitlines()) == 3
