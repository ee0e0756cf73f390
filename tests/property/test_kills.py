"""A command that was ended at any instant, run again, ends with the bytes of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("crash.py")
STAGES = ("make", "label", "mend", "again")
MODES = ("kill", "torn", "data", "names", "full")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
Assets = Callable[..., Path]


@pytest.fixture(scope="module")
def assets(write_pictures: Assets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs and two backgrounds."""
    return write_pictures(tmp_path_factory.mktemp("few"), foregrounds=2, backgrounds=2)


def crash(stage: str, modes: str, assets: Path, folder: Path, every: int) -> tuple[int, list[str]]:
    """How often the command was ended, and what was wrong afterwards."""
    command = [sys.executable, str(DRIVER), stage, modes, str(assets), str(folder), str(every)]
    environment = {**os.environ, "PYTHONPATH": str(DRIVER.parents[1])}  # for the modules that tests share
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["tried"], found["faults"]


@pytest.mark.parametrize(("stage", "every"), [("make", 17), ("label", 11), ("mend", 57), ("again", 37)])
def test_some_calls_in_every_mode(stage: str, every: int, assets: Path, tmp_path: Path) -> None:
    tried, faults = crash(stage, ",".join(MODES), assets, tmp_path, every)
    assert faults == []
    assert tried >= 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", STAGES)
def test_every_call(stage: str, mode: str, assets: Path, tmp_path: Path) -> None:
    tried, faults = crash(stage, mode, assets, tmp_path, 1)
    assert faults == []
    assert tried > 40


@pytest.mark.parametrize(
    ("stage", "kills"),
    [
        ("make", 2),
        ("label", 1),
        pytest.param("make", 120, marks=pytest.mark.slow),
        pytest.param("label", 80, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(3600)
def test_random_moments(stage: str, kills: int, assets: Path, tmp_path: Path) -> None:
    tried, faults = crash(stage, "random", assets, tmp_path, kills)
    assert faults == []
    assert tried == kills
