"""Parts and their merge: the bytes of one machine, in one folder or several, and who must wait for whom."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline import merge as merge_module
from mdeas.pipeline.composite import make_dataset, make_dataset_part
from mdeas.pipeline.lock import locked, locked_part
from mdeas.pipeline.merge import merge
from mdeas.pipeline.options import LabelDepthConfig, MakeDatasetConfig, MergeConfig, StatsConfig
from mdeas.pipeline.part import part_of, share
from mdeas.pipeline.stats import compute_stats, compute_stats_part

Configure = Callable[..., MakeDatasetConfig]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def config(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeDatasetConfig:
    """Three shards of small pictures, made in one go."""
    out = tmp_path_factory.mktemp("parts") / "whole"
    config = MakeDatasetConfig(
        fg=assets_dir / "fg", bg=assets_dir / "bg", out=out, size=32, placements=90, jobs=1
    )
    make_dataset(config)
    compute_stats(StatsConfig(out, jobs=1))
    return config


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shares_are_everything_once(parts: int) -> None:
    for count in (0, 1, 5, 100):
        shares = [share(count, (number, parts)) for number in range(1, parts + 1)]
        assert [number for one in shares for number in one] == list(range(count))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert all(number in shares[part_of(number, count, parts) - 1] for number in range(count))


def test_parts_in_one_folder(config: MakeDatasetConfig, tmp_path: Path) -> None:
    """In any order, more parts than shards, one of them twice."""
    out = tmp_path / "set"
    made = [make_dataset_part(replace(config, out=out, part=(number, 4))).made for number in (4, 1, 3, 4)]
    assert made == [1, 0, 1, 0]  # three shards: the first part has none
    with pytest.raises(MdeasError, match=r"shards are missing: .*set \(--part 2/4\); run `mdeas"):
        merge(MergeConfig(out))
    make_dataset_part(replace(config, out=out, part=(2, 4)))
    report = merge(MergeConfig(out))
    assert report.written == ("dataset.json",)
    for number in (2, 1):
        compute_stats_part(StatsConfig(out, jobs=1, part=(number, 2)))
    assert merge(MergeConfig(out)).written == ("stats.json",)
    assert content(out) == content(config.out)
    with pytest.raises(MdeasError, match="nothing to merge"):
        merge(MergeConfig(out))
    assert make_dataset_part(replace(config, out=out, part=(1, 4))).made == 0


@pytest.mark.parametrize("links", [True, False])
def test_parts_in_their_own_folders(
    config: MakeDatasetConfig, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tuple(tmp_path / f"part {number}" for number in (1, 2))
    for number, folder in enumerate(folders, 1):
        make_dataset_part(replace(config, out=folder, part=(number, 2)))
    if not links:

        def refuse(*_: object) -> None:
            raise OSError("other disk")

        monkeypatch.setattr(merge_module.os, "link", refuse)
        archive = folders[1] / "mask-00002.zip"
        whole = archive.read_bytes()
        archive.write_bytes(whole[:-1] + b"!")
        with pytest.raises(MdeasError, match=r"not as it was made: .*mask-00002.zip"):
            merge(MergeConfig(tmp_path / "set", folders))
        archive.write_bytes(whole)
    with pytest.raises(MdeasError, match=r"shards are missing: .* \(--part 2/2\); run `mdeas make-dataset`"):
        merge(MergeConfig(tmp_path / "half", folders[:1]))
    merge(MergeConfig(tmp_path / "set", folders))
    compute_stats(StatsConfig(tmp_path / "set", jobs=1))
    assert content(tmp_path / "set") == content(config.out)


def test_an_ordinary_run_ends_what_parts_began(config: MakeDatasetConfig, tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_dataset_part(replace(config, out=out, part=(2, 2)))
    assert make_dataset(replace(config, out=out)).made == 1000
    compute_stats(StatsConfig(out, jobs=1))
    assert content(out) == content(config.out)


def test_parts_that_do_not_belong_together(config: MakeDatasetConfig, tmp_path: Path) -> None:
    one, two, out = (tmp_path / name for name in ("one", "two", "set"))
    make_dataset_part(replace(config, out=one, part=(1, 2)))
    make_dataset_part(replace(config, out=two, part=(2, 2), seed=1))
    with pytest.raises(MdeasError, match=r"a part of another data set: .*two \(other --seed\)"):
        merge(MergeConfig(out, (one, two)))
    with pytest.raises(MdeasError, match="made with --seed 0, asked for --seed 1"):
        make_dataset_part(replace(config, out=one, part=(2, 2), seed=1))
    with pytest.raises(MdeasError, match="--overwrite with --part"):
        make_dataset_part(replace(config, out=one, part=(2, 2), overwrite=True))
    with pytest.raises(MdeasError, match=r"no part was made here: .*assets"):
        merge(MergeConfig(tmp_path / "new", (tmp_path / "assets",)))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("note", ["{}", "[]", "{"])
def test_a_damaged_note_is_named(config: MakeDatasetConfig, tmp_path: Path, note: str) -> None:
    out = tmp_path / "set"
    make_dataset(replace(config, out=out, limit=10))
    compute_stats_part(StatsConfig(out, part=(1, 1), jobs=1))
    (out / ".work" / "stats-part-1-of-1.json").write_text(note)
    with pytest.raises(MdeasError, match=r"stats-part-1-of-1\.json.*; remove it and"):
        merge(MergeConfig(out))


def test_stats_parts_that_do_not_belong_together(config: MakeDatasetConfig, tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_dataset(replace(config, out=out, limit=100))
    compute_stats_part(StatsConfig(out, jobs=1, part=(1, 2)))
    with pytest.raises(MdeasError, match=r"parts are missing: .* \(--part 2/2\)"):
        merge(MergeConfig(out))
    compute_stats_part(StatsConfig(out, jobs=1, part=(2, 3)))
    with pytest.raises(MdeasError, match="figures of 2 and of 3 parts"):
        merge(MergeConfig(out))
    (out / ".work" / "stats-part-2-of-3.json").unlink()
    compute_stats_part(StatsConfig(out, jobs=1, part=(2, 2)))
    make_dataset(replace(config, out=out, limit=101, overwrite=True))
    compute_stats_part(StatsConfig(out, jobs=1, part=(1, 1)))
    assert merge(MergeConfig(out)).samples == 101


HOLDER = """
import sys, pathlib
from mdeas.pipeline.lock import locked_part
with locked_part(pathlib.Path(sys.argv[1]), (1, 2)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_for_whom(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locked_part(tmp_path, (2, 2)):
            pass
        with pytest.raises(MdeasError, match="another mdeas process is working on part 1/2"):
            locked_part(tmp_path, (1, 2)).__enter__()
        with pytest.raises(MdeasError, match=r"working on a part of another division: .*-1-of-2"):
            locked_part(tmp_path, (3, 3)).__enter__()
        with pytest.raises(MdeasError, match="another mdeas process is working on this data set"):
            locked(tmp_path).__enter__()
        holder.kill()
    with locked(tmp_path), pytest.raises(MdeasError, match="is working on this data set"):
        locked_part(tmp_path, (1, 2)).__enter__()


def test_depth_parts(recut: Callable[..., Path], dataset_dir: Path, tmp_path: Path) -> None:
    """Two archives: in one folder, in a copy for each part, and in one go."""
    pytest.importorskip("torch")
    from mdeas.pipeline.depth import label_depth
    from mdeas.pipeline.depth_shards import label_depth_part

    first, whole, copied = (
        recut(dataset_dir, tmp_path / name, 14, 10) for name in ("one", "whole", "copied")
    )
    other = shutil.copytree(first, tmp_path / "two")
    config = LabelDepthConfig(whole, micro_batch=4, device="cpu", runtime="torch", jobs=1)
    label_depth(config)
    made = label_depth_part(replace(config, dataset=first, part=(1, 2))).made
    label_depth_part(replace(config, dataset=other, part=(2, 2)))
    with pytest.raises(MdeasError, match=r"depth labels are missing: .*one \(--part 2/2\); run"):
        merge(MergeConfig(first))
    assert merge(MergeConfig(copied, (first, other))).written == ("depth.json",)
    label_depth_part(replace(config, dataset=first, part=(2, 2)))
    merge(MergeConfig(first))
    assert made == 1
    assert content(first) == content(copied) == content(whole)
    assert label_depth_part(replace(config, dataset=first, part=(2, 2))).made == 0
    with pytest.raises(MdeasError, match="depth labels made with another micro batch"):
        label_depth_part(replace(config, dataset=other, part=(1, 2), micro_batch=8))


def test_parts_at_the_same_time(config: MakeDatasetConfig, tmp_path: Path) -> None:
    """Both find no plan: one of them makes it, the other waits for it."""
    out = tmp_path / "set"
    command = [
        sys.executable, "-m", "mdeas", "make-dataset", "--fg", str(config.fg), "--bg", str(config.bg),
        "--out", str(out), "--size", "32", "--placements", "90", "--jobs", "1", "--part",
    ]  # fmt: skip
    running = [subprocess.Popen([*command, f"{number}/2"], stderr=subprocess.PIPE) for number in (1, 2)]
    assert [process.wait() for process in running] == [0, 0], [p.communicate()[1] for p in running]
    merge(MergeConfig(out))
    compute_stats(StatsConfig(out, jobs=1))
    assert content(out) == content(config.out)
