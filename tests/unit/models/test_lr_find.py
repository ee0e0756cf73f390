"""The range test: what it suggests, where it stops, what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.models.lr_find import find_lr, suggest
from mdeas.pipeline.options import LrFindConfig


def test_it_suggests_where_the_loss_falls_fastest() -> None:
    rates = np.logspace(-5, 0, 101)
    losses = 2 - np.tanh(np.log10(rates) + 3)  # steepest at 1e-3
    losses[81:] += np.linspace(0, 5, 20)  # lowest at 1e-1
    fastest, cautious = suggest(list(rates), list(losses))
    assert fastest == pytest.approx(1e-3, rel=0.2)
    assert cautious == pytest.approx(1e-2, rel=0.2)


def test_a_loss_that_only_grows() -> None:
    assert suggest([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]) == (1.0, 0.1)


def test_from_the_command_line(labelled: Path, tmp_path: Path) -> None:
    arguments = [
        *(
            "lr-find",
            "--dataset",
            str(labelled),
            "--runs",
            str(tmp_path),
            "--size",
            "32",
            "--batch-size",
            "4",
        ),
        *("--steps", "12", "--start", "1e-5", "--end", "1", "--device", "cpu", "--json"),
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert 1e-5 <= report["suggestion"] <= 1
    assert report["rates"][0] == pytest.approx(1e-5)
    assert report == json.loads((tmp_path / "lr-find" / "lr-find.json").read_text())
    assert ElementTree.fromstring((tmp_path / "lr-find" / "lr-find.svg").read_text()).tag.endswith("svg")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_an_empty_range_is_refused(labelled: Path) -> None:
    with pytest.raises(MdeasError, match=r"an empty range: --start 1, --end 0\.1"):
        find_lr(LrFindConfig(dataset=labelled, start=1.0, end=0.1))
