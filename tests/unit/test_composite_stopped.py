"""make-dataset: every way it can be stopped, and that the same command then goes on to the same bytes."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline import images
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.lock import LOCK_NAME, locked
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.work import WORK_NAME

Configure = Callable[..., MakeDatasetConfig]


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class _StopError(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_stop_at_any_step_is_made_good(
    assets_dir: Path,
    dataset_dir: Path,
    tmp_path: Path,
    small_config: Configure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stop before and after every rename and sync, then run the same command again."""
    expected = content(dataset_dir)
    steps, stop_at = 0, -1

    def stopping(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            if steps == stop_at:
                raise _StopError
            result = function(*arguments, **named)
            steps += 1
            if steps == stop_at:
                raise _StopError
            return result

        return call

    monkeypatch.setattr(Path, "replace", stopping(Path.replace))
    monkeypatch.setattr(os, "fsync", stopping(os.fsync))
    monkeypatch.setattr(Path, "unlink", stopping(Path.unlink))
    for stop in range(1, 10_000):
        steps, stop_at = 0, stop
        out = tmp_path / f"stopped at {stop}"
        config = small_config(assets_dir, out)
        try:
            make_dataset(config)
        except _StopError:
            stop_at = -1
            if (out / "dataset.json").exists():  # only ever complete
                assert {name: expected[name] for name in expected} == {
                    name: content(out)[name] for name in expected
                }
            make_dataset(config)
            assert content(out) == expected
            shutil.rmtree(out)
        else:
            break
    assert stop > 30


COMMAND = """
import sys, pathlib
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.options import MakeDatasetConfig
assets, out, jobs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
try:
    make_dataset(MakeDatasetConfig(
        fg=assets / "fg", bg=assets / "bg", out=out, size=64, placements=170, jobs=jobs))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def undisturbed(
    assets_dir: Path, small_config: Configure, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Five shards, made without disturbance."""
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    make_dataset(small_config(assets_dir, out, placements=170))
    return content(out)


def start(assets: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    """The command in a process group of its own, waited for until it composites."""
    command = [sys.executable, "-c", COMMAND, str(assets), str(out), str(jobs)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while not (out / WORK_NAME / "plan.json").exists() and process.poll() is None:
        time.sleep(0.005)
    return process


def assert_group_ends(group: int, within_s: float) -> None:
    """Nobody of a process group is left."""
    with pytest.raises(ProcessLookupError):
        for _ in range(round(within_s / 0.05)):
            os.killpg(group, 0)
            time.sleep(0.05)


@pytest.mark.parametrize(("jobs", "kills"), [(1, 3), (2, 1)])
def test_killed_processes_go_on(
    assets_dir: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    small_config: Configure,
    jobs: int,
    kills: int,
) -> None:
    moments = random.Random(5)
    for _ in range(kills):
        process = start(assets_dir, tmp_path / "set", jobs)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.wait()
        assert_group_ends(process.pid, within_s=5)
        reader_sees_a_whole = (tmp_path / "set" / "dataset.json").exists()
        assert not reader_sees_a_whole or content(tmp_path / "set").items() >= undisturbed.items()
    make_dataset(small_config(assets_dir, tmp_path / "set", placements=170))
    assert content(tmp_path / "set") == undisturbed


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt_stops_promptly_and_goes_on(
    assets_dir: Path, undisturbed: dict[str, bytes], tmp_path: Path, small_config: Configure, jobs: int
) -> None:
    process = start(assets_dir, tmp_path / "set", jobs)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does: workers get it too
    assert process.wait(timeout=30) == 130
    assert not (tmp_path / "set" / "dataset.json").exists()
    assert not (tmp_path / "set" / LOCK_NAME).exists()
    assert_group_ends(process.pid, within_s=5)
    make_dataset(small_config(assets_dir, tmp_path / "set", placements=170))
    assert content(tmp_path / "set") == undisturbed


def test_second_process_is_refused(assets_dir: Path, tmp_path: Path, small_config: Configure) -> None:
    (tmp_path / "set").mkdir()
    with locked(tmp_path / "set"), pytest.raises(MdeasError, match="another mdeas process is working"):
        make_dataset(small_config(assets_dir, tmp_path / "set"))


def test_full_disk_is_one_clear_line_and_goes_on(
    assets_dir: Path, dataset_dir: Path, tmp_path: Path, small_config: Configure
) -> None:
    """A limit on the size of a file stands in for a full disk: the write itself fails."""
    out, limits = tmp_path / "set", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(MdeasError, match=r"cannot write: .*free some space.*run the same command again"):
            make_dataset(small_config(assets_dir, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (out / "dataset.json").exists()
    assert not list(out.glob("*-00000.zip"))
    make_dataset(small_config(assets_dir, out))
    assert content(out) == content(dataset_dir)


def test_full_file_system(
    assets_dir: Path, dataset_dir: Path, tmp_path: Path, small_config: Configure
) -> None:
    (tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path / "small")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    try:
        out = tmp_path / "small" / "set"
        with pytest.raises(MdeasError, match=r"cannot write: .*No space left on device.*free some space"):
            make_dataset(small_config(assets_dir, out))
        subprocess.run(["mount", "-o", "remount,size=20m", str(tmp_path / "small")], check=True)
        make_dataset(small_config(assets_dir, out))
        assert content(out) == content(dataset_dir)
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=False)


def test_unwritable_place(assets_dir: Path, tmp_path: Path, small_config: Configure) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MdeasError, match=r"cannot write: .*file.*run the same command again"):
        make_dataset(small_config(assets_dir, tmp_path / "file" / "set"))
    with pytest.raises(MdeasError, match=r"cannot write: .*file"):
        make_dataset(small_config(assets_dir, tmp_path / "file"))


def test_a_picture_that_changes_meanwhile_stops_the_run(
    own_assets: Path, tmp_path: Path, small_config: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_assets / "bg" / "room_2.png"
    read = images.read_background

    def read_and_remove(source: Path, min_side: int = 1) -> images.Pixels:
        pixels = read(source, min_side)
        path.unlink(missing_ok=True)
        return pixels

    monkeypatch.setattr(images, "read_background", read_and_remove)
    with pytest.raises(MdeasError, match=r"a picture changed meanwhile: .*room_2\.png"):
        make_dataset(small_config(own_assets, tmp_path / "set"))
    assert not (tmp_path / "set" / "dataset.json").exists()
