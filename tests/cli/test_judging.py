"""``mdeas evaluate`` and ``mdeas compare`` from the command line: one line for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from mdeas.cli import cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--run", "nobody"), "no checkpoint: runs/nobody/best.ckpt"),
        (("evaluate", "--pair", "bg.jpg", "frame.jpg"), "no checkpoint: runs/mdeas/best.ckpt"),
        (("evaluate", "--cdnet", "nowhere"), "no videos: nowhere"),
        (("compare", "--models", "mdeas,nobody"), "no network is called 'nobody'; there are: mdeas,"),
        (("compare", "--loss", "mask=nothing"), "no loss is called 'mask=nothing'"),
        (("compare",), "data/dataset"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    error = result.output.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mask", "mask.png"), "--mask is the true mask of --pair's frame; give --pair too"),
        (("--cdnet", "videos", "--pair", "bg.png", "frame.png"), "--pair and --cdnet judge different things"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(cli, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("seeds", ["", "one", "1,-2"])
def test_seeds_are_numbers(seeds: str) -> None:
    result = CliRunner().invoke(cli, ["compare", "--seeds", seeds])
    assert result.exit_code == 2
    assert "use whole numbers with commas between them" in result.output
