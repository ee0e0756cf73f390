"""Full disks, read-only folders, dead workers, lost pictures: one line, and the same command goes on."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.commands.base import explain
from mdeas.pipeline import beginning, composite
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.manifest import write_json
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.shards import ShardWriter

Configure = Callable[..., MakeDatasetConfig]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_line(result: Result, *words: str) -> None:
    """A command that failed as commands should."""
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in line
    assert "Traceback" not in result.stderr


def make(assets: Path, out: Path) -> Result:
    """As ``dataset_dir`` was made."""
    options = ["--fg", str(assets / "fg"), "--bg", str(assets / "bg"), "--out", str(out)]
    return CliRunner().invoke(
        cli, ["make-dataset", *options, "--size", "64", "--placements", "3", "--jobs", "1"]
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``small_disk("size=100k")`` mounts a file system in memory, or mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if folder.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mount command here")
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """A limit on the size of a file, where no small file system can be mounted."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", ["24k", "80k", "200k"])
def test_a_full_disk(
    assets_dir: Path, dataset_dir: Path, small_disk: Callable[[str], Path], size: str
) -> None:
    """While pictures are prepared, while archives are written, and at the end."""
    out = small_disk(f"size={size}") / "set"
    one_line(make(assets_dir, out), "cannot write", str(out), "free some space", "same command")
    assert not (out / "dataset.json").exists()
    whole = content(dataset_dir)
    assert all(whole[name] == data for name, data in content(out).items() if name in whole)
    small_disk("size=20m")
    assert make(assets_dir, out).exit_code == 0
    assert content(out) == whole


@pytest.mark.parametrize("size", [3_000, 60_000])
def test_a_limit_on_files(assets_dir: Path, dataset_dir: Path, tmp_path: Path, size: int) -> None:
    out = tmp_path / "set"
    with files_at_most(size):
        one_line(make(assets_dir, out), "cannot write", "free some space", "same command")
    assert not (out / "dataset.json").exists()
    assert make(assets_dir, out).exit_code == 0
    assert content(out) == content(dataset_dir)


@pytest.mark.parametrize("command", ["repair", "rebuild"])
def test_a_full_disk_while_mending(
    assets_dir: Path, dataset_dir: Path, small_disk: Callable[[str], Path], command: str
) -> None:
    used = sum(len(data) for data in content(dataset_dir).values())
    out = small_disk(f"size={(used >> 10) + 40 if command == 'repair' else 100}k") / "set"
    if command == "repair":
        shutil.copytree(dataset_dir, out)
        with (out / "fg_bg-00000.zip").open("r+b") as file:
            file.truncate((dataset_dir / "fg_bg-00000.zip").stat().st_size - 9)
        arguments = ["verify", "--repair", "--dataset", str(out), "--jobs", "1"]
    else:
        folders = ["--fg", str(assets_dir / "fg"), "--bg", str(assets_dir / "bg"), "--out", str(out)]
        lock = str(dataset_dir / "dataset.lock.json")
        arguments = ["rebuild", "--lock", lock, *folders, "--jobs", "1"]
    one_line(CliRunner().invoke(cli, arguments), "free some space", "same command")
    small_disk("size=20m")
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert content(out) == content(dataset_dir)


@pytest.fixture
def read_only(tmp_path: Path, small_disk: Callable[[str], Path]) -> Iterator[Callable[[Path], Path]]:
    """A copy of a folder that nobody can write to, not even root."""
    folders: list[Path] = []

    def copy(source: Path) -> Path:
        if os.getuid() == 0:  # whom permissions do not stop
            folder = shutil.copytree(source, small_disk("size=20m") / "set")
            small_disk("ro")
            return folder
        folder = shutil.copytree(source, tmp_path / "set")
        folder.chmod(0o555)
        folders.append(folder)
        return folder

    yield copy
    for folder in folders:
        folder.chmod(0o755)


def test_a_read_only_folder(
    assets_dir: Path, dataset_dir: Path, tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    (tmp_path / "without").mkdir()
    lost = shutil.copytree(dataset_dir, tmp_path / "without" / "set")
    (lost / "mask-00000.zip").unlink()
    out = read_only(lost)
    one_line(make(assets_dir, out), "cannot write", str(out))
    for command in (["verify", "--repair"], ["stats"]):
        arguments = [*command, "--dataset", str(out), "--jobs", "1"]
        one_line(CliRunner().invoke(cli, arguments))
    assert content(out) == content(lost)


def workers_of(process: int) -> list[int]:
    """The processes that loky has started for it."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == process and b"popen_loky" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_worker_dies(assets_dir: Path, tmp_path: Path, small_config: Configure) -> None:
    out = tmp_path / "set"
    folders = ["--fg", str(assets_dir / "fg"), "--bg", str(assets_dir / "bg"), "--out", str(out)]
    options = ["--size", "64", "--placements", "340", "--jobs", "2"]
    command = [sys.executable, "-m", "mdeas", "make-dataset", *folders, *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (workers := workers_of(process.pid)):
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    (line,) = [line for line in errors.splitlines() if line.startswith("Error: ")]
    assert "a worker process was killed" in line
    assert "same command again" in line
    assert "Traceback" not in errors
    again = small_config(assets_dir, out, placements=340)
    make_dataset(again)
    make_dataset(small_config(assets_dir, tmp_path / "undisturbed", placements=340))
    assert content(out) == content(tmp_path / "undisturbed")


def test_a_picture_disappears_while_it_is_read(
    own_assets: Path, dataset_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, picture = tmp_path / "set", own_assets / "bg" / "room_1.png"
    data, judge = picture.read_bytes(), beginning._judge

    def disappearing(*arguments: object) -> object:
        picture.unlink()
        return judge(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(beginning, "_judge", disappearing)
        one_line(make(own_assets, out), "a picture changed meanwhile", str(picture), "same command")
    assert not (out / "dataset.json").exists()
    picture.write_bytes(data)
    assert make(own_assets, out).exit_code == 0
    assert content(out) == content(dataset_dir)


def test_pictures_are_not_needed_once_they_are_read(
    own_assets: Path,
    dataset_dir: Path,
    tmp_path: Path,
    small_config: Configure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint = composite.make_missing_shards

    def after_a_loss(*arguments: object) -> int:
        shutil.rmtree(own_assets)
        return paint(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(composite, "make_missing_shards", after_a_loss)
    make_dataset(small_config(own_assets, tmp_path / "set"))
    assert content(tmp_path / "set") == content(dataset_dir)


def test_a_lost_picture_is_named_on_going_on(
    own_assets: Path, tmp_path: Path, small_config: Configure
) -> None:
    config = small_config(own_assets, tmp_path / "set")
    make_dataset(config)
    (tmp_path / "set" / "mask-00000.zip").unlink()
    (own_assets / "fg" / "object 2.png").unlink()
    with pytest.raises(MdeasError, match=r"made with fg object 2\.png, which is gone"):
        make_dataset(config)


def test_the_file_that_could_not_be_written_is_named(tmp_path: Path) -> None:
    with files_at_most(1000), pytest.raises(OSError, match="too large") as caught:
        writer = ShardWriter(tmp_path / "some.zip")
        writer.add("entry", b"\0" * 2000)
        writer.close()
    assert explain(caught.value).startswith(f"File too large; {tmp_path / 'some.zip'}; free some space")
    with files_at_most(1000), pytest.raises(OSError, match="too large") as caught:
        write_json(tmp_path / "some.json", ["word"] * 1000)
    assert caught.value.filename == str(tmp_path / "some.json")
