"""``verify --repair`` after every kind of damage: what it keeps, and that the same commands make the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from green_network import GreenNetwork
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.depth_archives import label_archives
from mdeas.pipeline.lock import locked
from mdeas.pipeline.options import MakeDatasetConfig, VerifyConfig
from mdeas.pipeline.repair import RepairReport, repair_dataset
from mdeas.pipeline.shards import ShardReader
from mdeas.pipeline.verify import verify_dataset

Configure = Callable[..., MakeDatasetConfig]
Damage = Callable[[Path], None]
OPTIONS = {"size": 32, "placements": 50}  # 1,200 samples: two archives a kind
LAST = "depth/000071.png"


@pytest.fixture(scope="module")
def whole(assets_dir: Path, small_config: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "set"
    make_dataset(small_config(assets_dir, out, **OPTIONS))
    return out


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(whole, tmp_path / "set")


@pytest.fixture(scope="module")
def labelled(dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 samples with labels."""
    out = shutil.copytree(dataset_dir, tmp_path_factory.mktemp("labelled") / "set")
    label(out)
    return out


def label(dataset: Path) -> int:
    labeller: Any = GreenNetwork()
    return label_archives(dataset, labeller, batch=10).labelled


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def repair(dataset: Path) -> RepairReport:
    return repair_dataset(VerifyConfig(dataset=dataset, jobs=1))


def problems(dataset: Path) -> tuple[str, ...]:
    return verify_dataset(VerifyConfig(dataset=dataset, jobs=1)).problems


def cut(name: str, by: int) -> Damage:
    def damage(dataset: Path) -> None:
        size = (dataset / name).stat().st_size
        with (dataset / name).open("r+b") as file:
            file.truncate(size - by)

    return damage


def flip(name: str, inside: str) -> Damage:
    """A byte in the picture ``inside``."""

    def damage(dataset: Path) -> None:
        data = bytearray((dataset / name).read_bytes())
        data[data.index(inside.encode()) + len(inside) + 20] ^= 1
        (dataset / name).write_bytes(data)

    return damage


def flip_directory(name: str) -> Damage:
    def damage(dataset: Path) -> None:
        data = bytearray((dataset / name).read_bytes())
        data[data.index(b"PK\x01\x02") + 20] ^= 1
        (dataset / name).write_bytes(data)

    return damage


def remove(name: str) -> Damage:
    return lambda dataset: (dataset / name).unlink()


def rewrite(name: str, old: str, new: str) -> Damage:
    def damage(dataset: Path) -> None:
        text = (dataset / name).read_text()
        assert old in text
        (dataset / name).write_text(text.replace(old, new, 1))

    return damage


def garble(name: str) -> Damage:
    return lambda dataset: (dataset / name).write_bytes(b"\0" * 100) and None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut("fg_bg-00000.zip", 10), id="end record"),
        pytest.param(cut("mask-00001.zip", 9000), id="half the directory"),
        pytest.param(cut("bg.zip", 120), id="backgrounds' directory"),
        pytest.param(flip_directory("fg_bg-00001.zip"), id="byte in the directory"),
        pytest.param(remove("samples.parquet"), id="no table"),
        pytest.param(garble("samples.parquet"), id="no table any more"),
        pytest.param(garble("dataset.json"), id="no dataset.json any more"),
        pytest.param(remove("dataset.json"), id="no dataset.json"),
        pytest.param(rewrite("dataset.json", '"seed": 0', '"seed": 1'), id="another seed"),
        pytest.param(rewrite("dataset.json", '"sha256": "', '"sha256": "0'), id="another hash"),
        pytest.param(garble("dataset.lock.json"), id="no lock file any more"),
        pytest.param(remove("dataset.lock.json"), id="no lock file"),
    ],
)
def test_mended_without_making_anything(whole: Path, damaged: Path, damage: Damage) -> None:
    damage(damaged)
    report = repair(damaged)
    assert len(report.mended) == 1
    assert report.dropped == report.problems == report.next == ()
    assert content(damaged) == content(whole)
    assert problems(damaged) == ()


@pytest.mark.parametrize(
    ("damage", "made"),
    [
        pytest.param(cut("fg_bg-00000.zip", 200_000), 1000, id="half an archive"),
        pytest.param(flip("mask-00001.zip", "mask/001100.png"), 200, id="byte in a mask"),
        pytest.param(flip("bg.zip", "bg/001.png"), 0, id="byte in a background"),
        pytest.param(garble("fg_bg-00001.zip"), 200, id="garbled"),
        pytest.param(remove("mask-00001.zip"), 200, id="lost"),
    ],
)
def test_what_is_dropped_is_made_again(
    assets_dir: Path, small_config: Configure, whole: Path, damaged: Path, damage: Damage, made: int
) -> None:
    damage(damaged)
    report = repair(damaged)
    assert report.problems == report.mended == ()
    (advice,) = report.next
    assert "make-dataset" in advice
    assert "--size 32" in advice
    assert make_dataset(small_config(assets_dir, damaged, **OPTIONS)).made == made
    assert content(damaged) == content(whole)
    assert problems(damaged) == ()


def test_the_advice_can_be_typed(assets_dir: Path, small_config: Configure, tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_dataset(small_config(assets_dir, out, size=32, flips=False, scale=(0.5, 0.6), limit=8))
    before = content(out)
    (out / "mask-00000.zip").unlink()
    (advice,) = repair(out).next
    given = advice[advice.index("(") + 1 : advice.rindex(")")].split()
    assert "--no-flips" in given
    folders = ["--fg", str(assets_dir / "fg"), "--bg", str(assets_dir / "bg"), "--out", str(out)]
    result = CliRunner().invoke(cli, ["make-dataset", *folders, *given, "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert content(out) == before


def test_everything_at_once(assets_dir: Path, small_config: Configure, whole: Path, damaged: Path) -> None:
    for damage in (
        garble("dataset.json"),
        remove("samples.parquet"),
        flip("mask-00000.zip", "mask/000007.png"),
        cut("fg_bg-00001.zip", 30),
        remove("bg.zip"),
    ):
        damage(damaged)
    report = repair(damaged)
    assert len(report.mended) == 3
    assert len(report.dropped) == 1
    assert make_dataset(small_config(assets_dir, damaged, **OPTIONS)).made == 1000
    assert content(damaged) == content(whole)


def test_a_whole_set_is_left_alone(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    report = repair(whole)
    assert report.mended == report.dropped == report.problems == report.next == ()
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_nothing_left_to_mend_from(damaged: Path) -> None:
    garble("dataset.json")(damaged)
    remove("dataset.lock.json")(damaged)
    with pytest.raises(MdeasError, match=r"damaged file: .*no good dataset\.lock\.json.*--overwrite"):
        repair(damaged)


def test_an_unfinished_set_is_for_make_dataset(damaged: Path) -> None:
    (damaged / ".work").mkdir()
    (damaged / "dataset.json").rename(damaged / ".work" / "plan.json")
    with pytest.raises(MdeasError, match=r"run the same `mdeas make-dataset` again"):
        repair(damaged)


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="no data set"):
        repair(tmp_path / "none")


def test_another_process_is_at_work(damaged: Path) -> None:
    with locked(damaged), pytest.raises(MdeasError, match="another mdeas process"):
        repair(damaged)


def test_strange_files_are_named_and_left(damaged: Path) -> None:
    (damaged / "mask-00007.zip").write_bytes(b"mine")
    assert repair(damaged).problems == ("mask-00007.zip: recorded nowhere",)
    assert (damaged / "mask-00007.zip").read_bytes() == b"mine"


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("damage", "made"),
    [
        pytest.param(cut("depth-00000.zip", 10), 0, id="end record"),
        pytest.param(flip("depth-00000.zip", "depth/000002.png"), 4, id="byte in a label"),
        pytest.param(cut("depth-00000.zip", 20_000), None, id="torn"),
        pytest.param(remove("depth-00000.zip"), 72, id="lost"),
        pytest.param(garble("depth.json"), 0, id="no depth.json any more"),
        pytest.param(remove("depth.json"), 0, id="no depth.json"),
    ],
)
def test_labels(labelled: Path, tmp_path: Path, damage: Damage, made: int | None) -> None:
    damaged = shutil.copytree(labelled, tmp_path / "set")
    damage(damaged)
    assert repair(damaged).problems == ()
    again = label(damaged)
    assert made in (again, None)
    assert again < 72 or made == 72
    assert content(damaged) == content(labelled)
    assert problems(damaged) == ()


def test_good_labels_after_a_bad_one_are_kept(labelled: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(labelled, tmp_path / "set")
    flip("depth-00000.zip", "depth/000002.png")(damaged)
    report = repair(damaged)
    assert report.dropped == ("depth-00000.zip: 1 of 72 labels; the others are kept",)
    assert LAST in ShardReader(damaged / "depth-00000.zip.kept").names
    assert any("kept" in note for note in verify_dataset(VerifyConfig(dataset=damaged, jobs=1)).notes)


def test_a_table_with_scores(labelled: Path, tmp_path: Path) -> None:
    """They follow from the labels."""
    damaged = shutil.copytree(labelled, tmp_path / "set")
    garble("samples.parquet")(damaged)
    (advice,) = repair(damaged).next
    assert "label-depth" in advice
    assert label(damaged) == 0
    assert content(damaged) == content(labelled)


def test_unfinished_labels_survive_make_dataset(
    assets_dir: Path, small_config: Configure, labelled: Path, tmp_path: Path
) -> None:
    """Their state lives in ``.work`` too, which make-dataset tidies up."""
    unfinished = shutil.copytree(labelled, tmp_path / "set")
    info = json.loads((unfinished / "depth.json").read_text())
    state = {"properties": {}, "range": None, "archives": [], "info": info}
    (unfinished / ".work").mkdir()
    (unfinished / ".work" / "depth.json").write_text(json.dumps(state))
    (unfinished / "mask-00000.zip").unlink()
    for made in (72, 0):
        assert make_dataset(small_config(assets_dir, unfinished)).made == made
        assert (unfinished / ".work" / "depth.json").exists()
