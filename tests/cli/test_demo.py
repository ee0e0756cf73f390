"""``mdeas demo``, smaller still: every stage runs, and what it says to look at is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from mdeas.cli import cli
from mdeas.commands import chain


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZE": 64, "SAMPLES": 60, "TRAIN_SIZE": 32, "EPOCHS": 1, "FRAMES": 1}.items():
        monkeypatch.setattr(chain, name, value)
    result = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path / "demo"), "--jobs", "1", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    stages = ["make-dataset", "label-depth", "stats", "verify", "preview", "train", "evaluate", "predict"]
    assert list(report["seconds"]) == list(report["reports"]) == stages
    assert report["reports"]["make-dataset"].startswith("60 samples")
    assert report["reports"]["verify"].endswith("No fault found")
    assert all(Path(path).exists() for path in report["look_at"])
    assert len(list((tmp_path / "demo" / "predictions").iterdir())) >= 2
