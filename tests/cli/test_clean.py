"""``mdeas clean`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from mdeas.cli import cli
from PIL import Image


def test_clean_runs_without_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "raw" / "fg"
    folder.mkdir(parents=True)
    rows, columns = np.mgrid[0:80, 0:100]
    alpha = np.where(np.hypot(rows - 40, columns - 50) < 30, 255, 0)
    Image.fromarray(np.dstack([rows * 3, columns * 2, alpha, alpha]).astype(np.uint8)).save(
        folder / "disc.png"
    )
    (folder / "page.png").write_bytes(b"<html>404</html>")
    result = CliRunner().invoke(cli, ["clean", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["files"], report["kept"], report["rejected"]) == (2, 1, 1)
    assert report["reasons"] == {"a web page, not a picture": 1}
    assert {path.name for path in Path("data").iterdir()} >= {"fg", "clean.csv", "review.html"}
    again = CliRunner().invoke(cli, ["clean"])
    assert "2 files: 1 kept, 0 fixed, 1 rejected" in again.output and "0 new or changed" in again.output


def test_clean_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["clean"])
    assert result.exit_code == 1
    assert "Error: nothing to clean; data/raw/fg, data/raw/bg; run `mdeas crawl`" in result.output
    assert not list(tmp_path.iterdir())
