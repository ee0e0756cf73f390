"""make-dataset: what is in the files, and what may differ and what may not."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.manifest import SPLITS, read_manifest
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.work import WORK_NAME
from numpy.typing import NDArray
from PIL import Image

Draw = Callable[..., NDArray[np.uint8]]
Configure = Callable[..., MakeDatasetConfig]
SHARED_ASSETS = Path(__file__).parents[3] / "shared" / "assets"


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- what is in the files


def test_files_of_a_data_set(dataset_dir: Path) -> None:
    assert sorted(content(dataset_dir)) == [
        "bg.zip",
        "dataset.json",
        "dataset.lock.json",
        "fg_bg-00000.zip",
        "mask-00000.zip",
        "samples.parquet",
    ]
    text = (dataset_dir / "dataset.json").read_text()
    manifest = json.loads(text)
    assert manifest["format_version"] == 1
    assert manifest["options"] == {
        "size": 64,
        "placements": 3,
        "flips": True,
        "scale": [0.3, 0.7],
        "quality": 90,
        "mask_threshold": 127,
        "seed": 0,
        "limit": None,
        "licence": None,
    }
    assert [shard["name"] for shard in manifest["shards"]] == ["bg.zip", "fg_bg-00000.zip", "mask-00000.zip"]
    assert manifest["totals"]["samples"] == 72
    for word in (str(dataset_dir), "/tmp", "jobs", "20" + time.strftime("%y-")):
        assert word not in text


def test_composites_are_backgrounds_with_objects_in_their_boxes(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    rows = reader.samples
    for i in range(len(reader)):
        bg, fg_bg, mask = reader.background(int(rows.bg[i])), reader.fg_bg(i), reader.mask(i)
        top, left = int(rows.y[i]), int(rows.x[i])
        box = np.zeros((64, 64), bool)
        box[top : top + rows.height[i], left : left + rows.width[i]] = True
        assert not mask[~box].any()
        block = np.kron(box.reshape(4, 16, 4, 16).any(axis=(1, 3)), np.ones((16, 16), bool))
        assert np.abs(fg_bg.astype(int) - bg)[~block].mean() < 5  # JPEG alone
        assert np.abs(fg_bg.astype(int) - bg)[mask > 0].mean() > 10
        visible_rows, visible_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert np.ptp(visible_rows) + 1 >= 0.8 * rows.height[i]  # all but the soft edge
        assert np.ptp(visible_columns) + 1 >= 0.8 * rows.width[i]


def test_flip_mirrors_object_and_mask(tmp_path: Path, small_config: Configure, draw_bg: Draw) -> None:
    """One half of the object is red, the other blue and half as high."""
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[4:36, 4:20] = [255, 0, 0, 255]
    rgba[4:20, 20:36] = [0, 0, 255, 255]
    for kind in ("fg", "bg"):
        (tmp_path / kind).mkdir()
    Image.fromarray(rgba).save(tmp_path / "fg" / "two.png")
    Image.fromarray(draw_bg(0)).save(tmp_path / "bg" / "room.png")
    make_dataset(small_config(tmp_path, tmp_path / "set", scale=(0.5, 0.5)))
    reader = DatasetReader(tmp_path / "set")
    for i, flip in enumerate(reader.samples.flip):
        x, y = int(reader.samples.x[i]), int(reader.samples.y[i])
        red, blue = (24, 8) if flip else (8, 24)
        picture, mask = reader.fg_bg(i), reader.mask(i)
        assert np.argmax(picture[y + 8, x + red]) == 0
        assert np.argmax(picture[y + 8, x + blue]) == 2
        assert mask[y + 26, x + red] == 255
        assert mask[y + 26, x + blue] == 0


def test_bytes_do_not_depend_on_jobs_or_place(
    own_assets: Path, tmp_path: Path, small_config: Configure
) -> None:
    """Two shards, from another folder, by two workers."""
    make_dataset(small_config(own_assets, tmp_path / "one", placements=60))
    moved = own_assets.rename(tmp_path / "other place")
    report = make_dataset(small_config(moved, tmp_path / "two", placements=60, jobs=2))
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert one == two
    assert sorted(name for name in one if name.startswith("mask")) == ["mask-00000.zip", "mask-00001.zip"]
    assert (report.samples, report.made, report.shards) == (1440, 1440, 5)


def test_limit_and_seed(assets_dir: Path, tmp_path: Path, small_config: Configure) -> None:
    for seed in (0, 1):
        make_dataset(small_config(assets_dir, tmp_path / f"{seed}", limit=30, seed=seed))
    first, second = DatasetReader(tmp_path / "0"), DatasetReader(tmp_path / "1")
    assert len(first) == len(second) == 30
    assert set(first.samples.bg) == {0, 1, 2}
    assert set(first.samples.fg) == {0, 1, 2, 3}
    assert not np.array_equal(first.samples.x, second.samples.x)
    assert [asset.sha256 for asset in first.manifest.bg] == [asset.sha256 for asset in second.manifest.bg]


def test_no_validation_asset_in_training(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    sides = {kind: [asset.split for asset in getattr(reader.manifest, kind)] for kind in ("fg", "bg")}
    assert sides["fg"].count("val") == sides["bg"].count("val") == 1
    for i in range(len(reader)):
        new = sides["bg"][reader.samples.bg[i]] == "val", sides["fg"][reader.samples.fg[i]] == "val"
        expected = {(True, True): {"new_both"}, (True, False): {"new_bg"}, (False, True): {"new_fg"}}
        assert reader.samples.split[i] in expected.get(new, {"train", "seen"})
    assert {str(name) for name in reader.samples.split} == set(SPLITS)


# ---------------------------------------------------------------- bad and odd pictures


def test_unusable_files_are_left_out_by_name(
    own_assets: Path,
    tmp_path: Path,
    small_config: Configure,
    draw_bg: Draw,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (own_assets / "fg" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (own_assets / "fg" / ".DS_Store").write_bytes(b"junk")
    (own_assets / "fg" / "SOURCES.csv").write_text("file\n")
    (own_assets / "fg" / "empty.png").write_bytes(b"")
    Image.fromarray(draw_bg(1)).save(own_assets / "fg" / "photo.jpg")
    (own_assets / "bg" / "page.jpg").write_bytes(b"<html>not found</html>")
    Image.fromarray(draw_bg(1, 30, 40)).save(own_assets / "bg" / "tiny.png")
    Image.new("RGB", (80, 80), (10, 20, 30)).save(own_assets / "bg" / "flat.png")
    with caplog.at_level(logging.WARNING):
        report = make_dataset(small_config(own_assets, tmp_path / "set"))
    reasons = {f"{one.kind}/{one.file}": one.reason for one in report.rejected}
    assert reasons == {
        "fg/empty.png": "the file is empty",
        "fg/photo.jpg": "no alpha channel: not a cut-out",
        "bg/page.jpg": "a web page, not a picture",
        "bg/tiny.png": "40x30 is smaller than 64x64",
    }
    assert [asset.file for asset in report.flagged] == ["flat.png"]
    assert (report.fg, report.bg) == (4, 4)
    for name, reason in reasons.items():
        assert f"{name}: {reason}" in report.summary()
        assert reason in caplog.text
    assert {one.file for one in read_manifest(tmp_path / "set").rejected} == {
        name.split("/")[1] for name in reasons
    }


def test_odd_names_work(tmp_path: Path, small_config: Configure, draw_fg: Draw, draw_bg: Draw) -> None:
    for kind in ("fg", "bg"):
        (tmp_path / "a b" / kind).mkdir(parents=True)
    Image.fromarray(draw_fg(0)).save(tmp_path / "a b" / "fg" / "naïve name (1).PNG")
    Image.fromarray(draw_fg(1)).save(tmp_path / "plain.png")
    # A name that is no UTF-8, and a picture that only its content tells.
    shutil.copy(tmp_path / "plain.png", os.fsencode(tmp_path / "a b" / "fg") + b"/caf\xe9")
    Image.fromarray(draw_bg(0)).save(tmp_path / "a b" / "bg" / "Zürich 東京.JPG")
    report = make_dataset(small_config(tmp_path / "a b", tmp_path / "ö set"))
    assert (report.fg, report.bg) == (2, 1)
    manifest = read_manifest(tmp_path / "ö set")
    assert [asset.file for asset in manifest.fg] == ["caf\udce9", "naïve name (1).PNG"]
    assert "Zürich 東京.JPG" in (tmp_path / "ö set" / "dataset.json").read_text()
    assert make_dataset(small_config(tmp_path / "a b", tmp_path / "ö set")).made == 0


def test_copies_share_a_side(
    own_assets: Path, tmp_path: Path, small_config: Configure, draw_bg: Draw
) -> None:
    for index in range(3):
        image = Image.fromarray(draw_bg(index))
        image.resize((110, 88)).save(own_assets / "bg" / f"copy {index}.jpg", quality=60)
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(own_assets / "bg" / f"mirror {index}.png")
    make_dataset(small_config(own_assets, tmp_path / "set"))
    sides = {asset.file: asset.split for asset in read_manifest(tmp_path / "set").bg}
    assert set(sides.values()) == {"train", "val"}
    for index in range(3):
        assert sides[f"room_{index}.png"] == sides[f"copy {index}.jpg"] == sides[f"mirror {index}.png"]


def test_thin_cutouts_without_a_mask_are_left_out(
    own_assets: Path, tmp_path: Path, small_config: Configure
) -> None:
    wires = np.zeros((300, 300, 4), np.uint8)
    wires[20:280, 20:280:40] = [200, 200, 200, 255]
    Image.fromarray(wires).save(own_assets / "fg" / "wires.png")
    report = make_dataset(small_config(own_assets, tmp_path / "set"))
    assert [(one.file, one.reason) for one in report.rejected] == [
        ("wires.png", "so thin that its mask is empty at 19 pixels")
    ]


@pytest.mark.skipif(not (SHARED_ASSETS / "bad").is_dir(), reason="the collection of bad files is not there")
def test_every_kind_of_bad_file_gets_its_verdict(tmp_path: Path) -> None:
    """``SOURCES.csv`` says what is expected of each; copies may stay here, as they share a side."""
    with (SHARED_ASSETS / "bad" / "SOURCES.csv").open(newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    for kind, other in (("fg", "bg"), ("bg", "fg")):
        folders = {kind: SHARED_ASSETS / "bad", other: tmp_path / kind / other}
        folders[other].mkdir(parents=True)
        good = next(
            path for path in sorted((SHARED_ASSETS / other).iterdir()) if path.suffix in (".png", ".jpg")
        )
        shutil.copy(good, folders[other])
        report = make_dataset(MakeDatasetConfig(**folders, out=tmp_path / kind / "set", jobs=1, limit=50))
        rejected = {one.file for one in report.rejected}
        flagged = {one.file for one in report.flagged}
        used = {asset.file for asset in getattr(read_manifest(tmp_path / kind / "set"), kind)}
        assert rejected | used == set(expected) - {"Thumbs.db"}
        for name, verdict in expected.items():
            mine, _, what = verdict.rpartition(": ")
            if mine not in ("", kind) or what == "ignored":
                continue
            if any(word in what for word in (" or ", "drop", "note", "NOT", "near-duplicate")):
                continue
            assert (name in rejected) == what.startswith("reject"), (name, verdict)
        if kind == "fg":
            assert {"alpha_haze.png", "inverted_alpha.png"} <= rejected
        else:
            assert {"extreme_aspect.jpg", "flat_black.jpg"} <= rejected | flagged


# ---------------------------------------------------------------- where the pictures come from


def test_missing_and_empty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_fg: Draw) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MdeasError, match=r"no such folder: gone; put cut-outs .* give another with --fg"):
        make_dataset(MakeDatasetConfig(fg=Path("gone"), bg=Path()))
    Path("data/fg").mkdir(parents=True)
    with pytest.raises(MdeasError, match="no such folder: data/bg; put backgrounds there"):
        make_dataset(MakeDatasetConfig())
    Path("data/bg").mkdir()
    with pytest.raises(MdeasError, match="no pictures in the folder: data/fg"):
        make_dataset(MakeDatasetConfig())
    Path("data/fg/notes.txt").write_text("nothing here")
    with pytest.raises(MdeasError, match="no pictures in the folder: data/fg"):
        make_dataset(MakeDatasetConfig())
    Image.fromarray(draw_fg(0)).save("data/fg/cat.png")
    Path("data/bg/room.jpg").write_bytes(b"")
    with pytest.raises(MdeasError, match=r"no usable background: data/bg \(room\.jpg: the file is empty\)"):
        make_dataset(MakeDatasetConfig(jobs=1))
    assert not Path("data/dataset/dataset.json").exists()
    with pytest.raises(MdeasError, match=r"not a folder: data/bg/room\.jpg"):
        make_dataset(MakeDatasetConfig(bg=Path("data/bg/room.jpg")))


def test_bundled_pictures_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = make_dataset(MakeDatasetConfig(limit=40, size=64, jobs=1))
    assert report.bundled
    assert "bundled pictures" in report.summary()
    assert report.fg >= 10
    assert report.bg >= 8
    assert report.rejected == report.flagged == ()
    assert len(DatasetReader(Path("data/dataset"))) == 40


# ---------------------------------------------------------------- an existing data set


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"size": 48}, "made with --size 64, asked for --size 48"),
        ({"scale": (0.2, 0.7)}, r"made with --scale 0\.3 0\.7, asked for --scale 0\.2 0\.7"),
        ({"mask_threshold": 10}, "made with --mask-threshold 127, asked for --mask-threshold 10"),
        ({"limit": 5}, "made with no --limit, asked for --limit 5"),
        ({"flips": False}, "made with --flips, asked for --no-flips"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_other_options_are_refused(
    assets_dir: Path,
    dataset_copy: Path,
    small_config: Configure,
    options: dict[str, object],
    difference: str,
    finished: bool,
) -> None:
    if not finished:
        (dataset_copy / WORK_NAME).mkdir()
        (dataset_copy / "dataset.json").rename(dataset_copy / WORK_NAME / "plan.json")
    before = content(dataset_copy)
    with pytest.raises(MdeasError, match=f"{difference}.*--overwrite"):
        make_dataset(small_config(assets_dir, dataset_copy, **options))
    assert content(dataset_copy) == before


def test_changed_assets_are_refused(
    own_assets: Path, dataset_copy: Path, small_config: Configure, draw_bg: Draw
) -> None:
    before = content(dataset_copy)
    config = small_config(own_assets, dataset_copy)
    assert make_dataset(config).made == 0
    (own_assets / "bg" / "zoo.png").write_bytes((own_assets / "bg" / "room_0.png").read_bytes())
    with pytest.raises(MdeasError, match=r"made without bg zoo\.png, which is new"):
        make_dataset(config)
    (own_assets / "bg" / "zoo.png").unlink()
    Image.fromarray(draw_bg(1, 100, 140)).save(own_assets / "bg" / "room_1.png")
    with pytest.raises(MdeasError, match=r"made with another content of bg room_1\.png"):
        make_dataset(config)
    (own_assets / "fg" / "object 2.png").unlink()
    with pytest.raises(MdeasError, match=r"made with fg object 2\.png, which is gone"):
        make_dataset(config)
    assert content(dataset_copy) == before


def test_finished_set_is_left_alone(assets_dir: Path, dataset_copy: Path, small_config: Configure) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset_copy.iterdir()}
    report = make_dataset(small_config(assets_dir, dataset_copy))
    assert (report.made, report.samples) == (0, 72)
    assert "nothing to do" in report.summary()
    assert {path: path.stat().st_mtime_ns for path in dataset_copy.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["bg.zip", "fg_bg-00001.zip", "mask-00000.zip", "samples.parquet", "torn mask-00001.zip"]
)
def test_missing_files_come_back_with_the_same_bytes(
    assets_dir: Path, tmp_path: Path, small_config: Configure, name: str
) -> None:
    config = small_config(assets_dir, tmp_path / "set", placements=50)
    make_dataset(config)
    (tmp_path / "set" / "depth.json").write_text("{}")
    before = content(tmp_path / "set")
    path = tmp_path / "set" / name.removeprefix("torn ")
    if name.startswith("torn"):
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path.unlink()
    report = make_dataset(config)
    assert report.made == {"bg.zip": 0, "samples.parquet": 1200, "mask-00000.zip": 1000}.get(name, 200)
    assert content(tmp_path / "set") == before


def test_overwrite_starts_afresh_and_spares_other_files(
    assets_dir: Path, dataset_copy: Path, small_config: Configure
) -> None:
    for name in ("depth-00000.zip", "depth-00001.zip.part", "depth.json", "stats.json", "mask-00007.zip"):
        (dataset_copy / name).write_text("of the old set")
    (dataset_copy / "notes.txt").write_text("mine")
    (dataset_copy / "mask-mine.zip").write_text("mine too")
    make_dataset(small_config(assets_dir, dataset_copy, size=48, overwrite=True))
    assert sorted(path.name for path in dataset_copy.iterdir()) == [
        "bg.zip",
        "dataset.json",
        "dataset.lock.json",
        "fg_bg-00000.zip",
        "mask-00000.zip",
        "mask-mine.zip",
        "notes.txt",
        "samples.parquet",
    ]
    assert DatasetReader(dataset_copy).size == 48


@pytest.mark.parametrize("plan", ["{", '{"format_version": 99}'])
def test_overwrite_passes_over_a_plan_that_cannot_be_read(
    assets_dir: Path, dataset_dir: Path, tmp_path: Path, small_config: Configure, plan: str
) -> None:
    out = tmp_path / "set"
    (out / WORK_NAME).mkdir(parents=True)
    (out / WORK_NAME / "plan.json").write_text(plan)
    with pytest.raises(MdeasError, match=r"plan\.json"):
        make_dataset(small_config(assets_dir, out))
    make_dataset(small_config(assets_dir, out, overwrite=True))
    assert content(out) == content(dataset_dir)


def test_orphaned_files_are_not_touched(
    assets_dir: Path, dataset_copy: Path, small_config: Configure
) -> None:
    (dataset_copy / "dataset.json").unlink()
    before = content(dataset_copy)
    with pytest.raises(MdeasError, match=r"files of a data set without its dataset\.json: .*--overwrite"):
        make_dataset(small_config(assets_dir, dataset_copy))
    assert content(dataset_copy) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, "--size 8; give 16 to 4096"),
        ({"placements": 0}, "--placements 0"),
        ({"scale": (0.7, 0.3)}, r"--scale 0\.7 0\.3"),
        ({"scale": (0.0, 0.3)}, r"--scale 0\.0 0\.3"),
        ({"scale": (float("nan"), 0.3)}, "--scale nan"),
        ({"quality": 101}, "--quality 101; give 1 to 100"),
        ({"mask_threshold": 255}, "--mask-threshold 255"),
        ({"limit": 0}, "--limit 0"),
        ({"jobs": 0}, "--jobs 0"),
    ],
)
def test_impossible_options(
    assets_dir: Path, tmp_path: Path, small_config: Configure, options: dict[str, object], message: str
) -> None:
    with pytest.raises(MdeasError, match=message):
        make_dataset(small_config(assets_dir, tmp_path / "set", **options))
    assert not (tmp_path / "set").exists()
