"""A checkpoint judged on every stratum beside the baseline."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import pytest
from mdeas import MdeasError
from mdeas.models.disturb import DISTURBANCES
from mdeas.models.evaluate import evaluate
from mdeas.models.judge import STRATA, Measured, beside_baseline
from mdeas.models.metrics import DepthSums, MaskSums, RegionSums
from mdeas.models.originals import MEANINGS
from mdeas.models.train import TrainReport
from mdeas.pipeline.options import EvaluateConfig, TrainConfig


@pytest.fixture
def config(train_config: TrainConfig, finished: TrainReport) -> EvaluateConfig:
    return EvaluateConfig(
        dataset=train_config.dataset,
        run="finished",
        runs=train_config.runs,
        batch_size=7,
        device="cpu",
        workers=1,
        robustness=0,
    )


def test_figures_are_those_of_the_epoch(config: EvaluateConfig, finished: TrainReport) -> None:
    report = evaluate(config)
    lines = [json.loads(line) for line in (Path(finished.run) / "metrics.jsonl").read_text().splitlines()]
    expected = lines[report.epoch - 1]["val"]
    assert report.strata.keys() == {*STRATA, "all"}
    for stratum, metrics in report.strata.items():
        for kind in ("mask", "depth"):
            assert metrics[kind] == pytest.approx(expected[stratum][kind], abs=1e-4)
            assert metrics["baseline"][kind] == pytest.approx(expected[stratum]["baseline"][kind], abs=1e-4)
    written = json.loads((Path(finished.run) / "evaluation.json").read_text())
    assert written == json.loads(json.dumps(asdict(report)))
    assert report.robustness is report.plot is None
    assert report.epoch == finished.best_epoch


def test_summary_is_a_table_with_the_baseline(config: EvaluateConfig) -> None:
    report = evaluate(config)
    rows = report.summary().splitlines()
    assert [row.split()[0] for row in rows[2:7]] == ["seen", "new_bg", "new_fg", "new_both", "all"]
    iou, base = report.strata["seen"]["mask"]["iou"], report.strata["seen"]["baseline"]["mask"]["iou"]
    assert f"{iou:.3f} ({base:.3f})" in rows[2]
    assert f"|fg_bg - bg| > {report.baseline_threshold} " in rows[7]


def test_the_figures_of_the_published_systems_stand_apart(config: EvaluateConfig) -> None:
    report = evaluate(replace(config, limit=2))
    figures = report.strata["all"]["originals"]
    assert figures.keys() == MEANINGS.keys()
    assert figures["vathos_miou"] <= 0.5
    assert f"vathos_miou {figures['vathos_miou']:.4g}, " in report.summary()


def test_the_sweep_is_in_the_report_and_on_a_picture(config: EvaluateConfig) -> None:
    report = evaluate(replace(config, limit=2, robustness=8))
    assert report.robustness is not None
    assert report.robustness.samples == 8
    table = report.robustness.table()
    assert f"robustness, the mean of these {report.robustness.area:>10.3f}"[:30] in table
    assert table in report.summary()
    assert cv2.imread(str(report.plot)) is not None
    written = json.loads(Path(report.out).read_text())
    assert written["robustness"]["curves"].keys() == DISTURBANCES.keys()


def test_a_limit_counts_a_stratum(config: EvaluateConfig) -> None:
    report = evaluate(replace(config, limit=2))
    assert [report.strata[name]["samples"] for name in STRATA] == [2, 2, 2, 2]
    assert report.strata["all"]["samples"] == 8


def test_another_checkpoint_has_its_own_file(config: EvaluateConfig, finished: TrainReport) -> None:
    report = evaluate(replace(config, checkpoint=Path(finished.run) / "last.ckpt", limit=2))
    assert report.epoch == 4
    assert report.out.endswith("evaluation-last.json")


def test_other_labels_are_warned_about(
    config: EvaluateConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shutil.copytree(config.dataset, tmp_path / "copy")
    info = json.loads((copy / "depth.json").read_text())
    (copy / "depth.json").write_text(json.dumps({**info, "model": "another"}))
    with caplog.at_level(logging.WARNING):
        evaluate(replace(config, dataset=copy, limit=2))
    assert "knows other depth labels (drawn) than those of" in caplog.text


def test_a_missing_run_names_the_command(config: EvaluateConfig) -> None:
    with pytest.raises(MdeasError, match=r"no checkpoint: .*nobody/best\.ckpt; .*`mdeas train`"):
        evaluate(replace(config, run="nobody"))


def test_all_is_the_sum_of_the_strata() -> None:
    seen = Measured(2, MaskSums(hits=8, wrong=2), DepthSums(RegionSums(squared=1.0, pixels=100)))
    new = Measured(1, MaskSums(hits=2, missed=8), DepthSums(RegionSums(squared=3.0, pixels=300)))
    both = beside_baseline({"seen": seen, "new_bg": new}, {"seen": seen, "new_bg": new})
    assert both["all"]["samples"] == 3
    assert both["all"]["mask"]["iou"] == pytest.approx(0.5)
    assert both["all"]["depth"]["rmse"] == pytest.approx(0.1)
    assert both["all"]["baseline"]["mask"]["iou"] == pytest.approx(0.5)


def test_without_a_depth_head_there_are_no_depth_figures() -> None:
    metrics = Measured(1, MaskSums(hits=1)).metrics()
    assert metrics.keys() == {"samples", "mask"}
