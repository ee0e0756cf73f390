"""``clean`` over folders with every kind of file, and again, and after kills."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import clean as module
from mdeas.pipeline import images
from mdeas.pipeline.assets import on_grey
from mdeas.pipeline.clean import CleanReport, clean
from mdeas.pipeline.isolate import Lost
from mdeas.pipeline.options import CleanConfig
from mdeas.pipeline.split import content_hashes, group_duplicates, split_assets
from PIL import Image
from raw_pictures import BACKGROUNDS, FOREGROUNDS, draw_object, draw_room, encoded, write_raw

Rows = dict[str, dict[str, str]]
SHARED = Path(__file__).parents[3] / "shared" / "assets"


def read_rows(out: Path) -> Rows:
    with (out / "clean.csv").open(encoding="utf-8", newline="") as file:
        return {f"{row['kind']}/{row['file']}": row for row in csv.DictReader(file)}


def run(raw: Path, out: Path, **options: Any) -> CleanReport:
    return clean(CleanConfig(**{"fg": raw / "fg", "bg": raw / "bg", "out": out, "jobs": 1, **options}))


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of file; shared, not to be written to."""
    return write_raw(tmp_path_factory.mktemp("clean") / "raw")


@pytest.fixture(scope="module")
def cleaned(raw_dir: Path) -> tuple[Path, CleanReport]:
    """``raw_dir`` cleaned once; shared, not to be written to."""
    out = raw_dir.parent / "data"
    return out, run(raw_dir, out, jobs=2)


def snapshot(out: Path) -> dict[str, str]:
    """Hashes of everything a user sees: the pictures, the ledgers, the table, the page."""
    paths = [path for path in out.rglob("*") if path.is_file() and ".clean" not in path.parts]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("kind", "name"), [*(("fg", name) for name in FOREGROUNDS), *(("bg", name) for name in BACKGROUNDS)]
)
def test_every_kind_of_file_ends_as_it_should(
    cleaned: tuple[Path, CleanReport], kind: str, name: str
) -> None:
    out, _ = cleaned
    row = read_rows(out)[f"{kind}/{name}"]
    _, verdict, reason = (FOREGROUNDS if kind == "fg" else BACKGROUNDS)[name]
    assert (row["verdict"], bool(row["output"])) == (verdict, verdict in ("kept", "fixed"))
    assert reason in row["reason"]
    assert row["done"] or verdict != "fixed"


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("fg/folder.png", "ignored", "a folder"),
        ("fg/nowhere.png", "rejected", "a link to nowhere"),
        ("bg/pipe.png", "rejected", "not a regular file"),
        ("fg/assets.jsonl", "ignored", "not a picture"),
    ],
)
def test_odd_entries_of_a_folder(
    cleaned: tuple[Path, CleanReport], name: str, verdict: str, reason: str
) -> None:
    row = read_rows(cleaned[0])[name]
    assert row["verdict"] == verdict and reason in row["reason"]


def test_one_row_a_file_and_the_report_agrees(cleaned: tuple[Path, CleanReport], raw_dir: Path) -> None:
    out, report = cleaned
    rows = read_rows(out)
    assert set(rows) == {
        f"{kind}/{path.name}" for kind in ("fg", "bg") for path in (raw_dir / kind).iterdir()
    }
    verdicts = [row["verdict"] for row in rows.values()]
    assert (report.kept, report.fixed) == (verdicts.count("kept"), verdicts.count("fixed"))
    assert (report.rejected, report.ignored) == (verdicts.count("rejected"), verdicts.count("ignored"))
    assert report.duplicates == 4 and report.files == len(rows)
    assert (
        report.fg == len(list((out / "fg").glob("*.png")))
        and report.bg == len(list((out / "bg").iterdir())) - 1
    )
    assert f"{report.kept} kept" in report.summary() and "near-duplicate" in report.summary()


def test_outputs_are_what_make_dataset_reads(cleaned: tuple[Path, CleanReport]) -> None:
    out, _ = cleaned
    for row in read_rows(out).values():
        if not row["output"]:
            continue
        path = out / row["output"]
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None
        if row["kind"] == "fg":
            rgba = images.read_foreground(path)
            assert Image.open(path).size == (rgba.shape[1] + 2, rgba.shape[0] + 2)  # trimmed, with a rim
        else:
            height, width = images.read_background(path, min_side=224).shape[:2]
            assert height == width <= 512


def test_upright_colours_survive(cleaned: tuple[Path, CleanReport]) -> None:
    turned = images.read_background(cleaned[0] / "bg" / "exif_orientation_6.png").astype(int)
    want = images.square(draw_room(3), 260).astype(int)
    assert np.abs(turned - want).mean() < 4
    bright = images.read_background(cleaned[0] / "bg" / "16bit.png")
    np.testing.assert_array_equal(bright, images.square(draw_room(11)[:, :, [0, 0, 0]], 260))


def test_clusters_hold_mirror_images_and_never_straddle_a_split(cleaned: tuple[Path, CleanReport]) -> None:
    out, _ = cleaned
    rows = read_rows(out)
    one, mirrored, copy = rows["fg/second.png"], rows["fg/mirrored.png"], rows["fg/resized.png"]
    assert one["cluster"] == mirrored["cluster"] == copy["cluster"]
    assert rows["fg/good.png"]["cluster"] != one["cluster"]
    # What make-dataset computes from the cleaned files alone puts the same ones together.
    for kind in ("fg", "bg"):
        kept = [row for row in rows.values() if row["kind"] == kind and row["output"]]
        hashes = []
        for row in kept:
            path = out / row["output"]
            if kind == "fg":
                hashes.append(content_hashes(on_grey(images.read_foreground(path))))
            else:
                hashes.append(content_hashes(images.read_background(path)))
        shas = [hashlib.sha256((out / row["output"]).read_bytes()).hexdigest() for row in kept]
        groups = group_duplicates(shas, hashes)
        clusters = [row["cluster"] for row in kept]
        assert [groups.index(group) for group in groups] == [clusters.index(name) for name in clusters]
        for seed in range(10):
            sides = split_assets(shas, hashes, seed, kind)
            assert len({(name, side) for name, side in zip(clusters, sides, strict=True)}) == len(
                set(clusters)
            )


def test_the_ledger_travels(cleaned: tuple[Path, CleanReport]) -> None:
    out, _ = cleaned
    lines = [json.loads(line) for line in (out / "fg" / "assets.jsonl").read_text().splitlines()]
    by_raw = {line["raw_file"]: line for line in lines}
    good = by_raw["good.png"]
    assert (good["author"], good["licence"], good["file"]) == ("A. Person", "by", "good.png")
    data = (out / "fg" / "good.png").read_bytes()
    assert (good["sha256"], good["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (good["width"], good["height"]) == Image.open(io.BytesIO(data)).size
    assert by_raw['naïve name (2), "quoted".PNG']["file"] == 'naïve name (2), "quoted".png'
    assert {line["file"] for line in lines} == {path.name for path in (out / "fg").glob("*.png")}
    assert good["cluster"] == read_rows(out)["fg/good.png"]["cluster"]


# ---------------------------------------------------------------- again


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three cut-outs and two rooms."""
    raw = tmp_path / "raw"
    for kind, draw, count in (("fg", draw_object, 3), ("bg", draw_room, 2)):
        (raw / kind).mkdir(parents=True)
        for seed in range(count):
            (raw / kind / f"{seed}.png").write_bytes(encoded(draw(seed)))
    return raw


def test_jobs_change_nothing_and_a_rerun_decodes_nothing(
    cleaned: tuple[Path, CleanReport], raw_dir: Path, tmp_path: Path
) -> None:
    out, _ = cleaned
    other = tmp_path / "data"
    shutil.copytree(out, other)
    report = run(raw_dir, other)
    assert report.examined == 0
    assert snapshot(other) == snapshot(out)


def test_only_what_is_new_is_decoded(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert run(small, out).examined == 5
    (small / "fg" / "new.png").write_bytes(encoded(draw_object(7)))
    (small / "fg" / "0.png").rename(small / "fg" / "renamed.png")
    (small / "bg" / "1.png").unlink()
    report = run(small, out)
    assert report.examined == 1
    names = {f"{path.parent.name}/{path.name}" for path in out.glob("[fb]g/*.png")}
    assert names == {"fg/renamed.png", "fg/1.png", "fg/2.png", "fg/new.png", "bg/0.png"}
    assert set(read_rows(out)) == names


def test_other_options_judge_again(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    run(small, out)
    report = run(small, out, bg_size=100)
    assert report.examined == 2
    assert Image.open(out / "bg" / "0.png").size == (100, 100)
    assert run(small, out).examined == 2


def test_the_next_best_takes_the_place_of_a_picture_that_is_gone(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    (small / "fg" / "smaller.png").write_bytes(
        encoded(cv2.resize(draw_object(0), (150, 112), interpolation=cv2.INTER_AREA))
    )
    run(small, out)
    assert read_rows(out)["fg/smaller.png"]["duplicate_of"] == "0.png"
    (small / "fg" / "0.png").unlink()
    report = run(small, out)
    assert report.examined == 0 and read_rows(out)["fg/smaller.png"]["verdict"] == "kept"
    assert (out / "fg" / "smaller.png").exists() and not (out / "fg" / "0.png").exists()


def test_same_shape_in_another_colour_is_no_duplicate(tmp_path: Path) -> None:
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 60, 200))):
        rgba = draw_object(0)
        rgba[:, :, :3] = colour
        path = tmp_path / "fg" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(rgba))
    clean(CleanConfig(fg=tmp_path / "fg", out=tmp_path / "data", jobs=1))
    assert {row["verdict"] for row in read_rows(tmp_path / "data").values()} == {"kept"}


def test_keep_and_drop_lists_win(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    out.mkdir()
    (small / "fg" / "opaque.png").write_bytes(encoded(draw_object(8)[:, :, :3]))
    (small / "fg" / "copy of 1.png").write_bytes(encoded(draw_object(1)))
    (small / "bg" / "little.png").write_bytes(encoded(draw_room(9, 100, 100)))
    (small / "bg" / "broken.png").write_bytes(b"broken")
    (out / "keep.txt").write_text("# mine\nopaque.png\nfg/copy of 1.png\nlittle.png\nbg/broken.png\n")
    (out / "drop.txt").write_text("fg/2.png\n")
    run(small, out)
    rows = read_rows(out)
    assert (rows["fg/2.png"]["verdict"], rows["fg/2.png"]["reason"]) == ("rejected", "listed in drop.txt")
    assert rows["bg/1.png"]["verdict"] == "kept"
    for name in ("fg/opaque.png", "bg/little.png"):
        assert rows[name]["verdict"] == "fixed" and "keep.txt" in rows[name]["done"]
        assert (out / rows[name]["output"]).exists()
    assert rows["fg/copy of 1.png"]["output"] and rows["fg/1.png"]["output"]
    assert rows["bg/broken.png"]["verdict"] == "rejected"
    assert images.read_foreground(out / "fg" / "opaque.png").shape[2] == 4
    (out / "keep.txt").unlink()
    (out / "drop.txt").unlink()
    run(small, out)
    assert read_rows(out)["fg/2.png"]["output"] and not read_rows(out)["fg/opaque.png"]["output"]
    (out / "keep.txt").write_text("0.png")
    (out / "drop.txt").write_text("0.png")
    with pytest.raises(MdeasError, match=re.escape("0.png is in keep.txt and in drop.txt")):
        run(small, out)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


STEPS = [step if step in (2, 7, 12, 17) else pytest.param(step, marks=pytest.mark.slow) for step in range(24)]


@pytest.mark.parametrize("step", STEPS)
def test_a_stop_at_any_step_is_made_good(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed before the n-th change on the disk: run again, it is as if nothing had been."""
    (small / "fg" / "copy.png").write_bytes(encoded(draw_object(1)))
    want = tmp_path / "want"
    run(small, want)
    out = tmp_path / "data"
    (small / "fg" / "0.png").rename(tmp_path / "0.png")
    run(small, out)
    (tmp_path / "0.png").rename(small / "fg" / "0.png")  # so that the second run moves things, too
    left = [step]

    def counting(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return change(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counting(Path.replace))
        patch.setattr(Path, "unlink", counting(Path.unlink))
        with contextlib.suppress(Killed):
            run(small, out)
    with (out / ".clean" / "records.jsonl").open("a") as lines:
        lines.write('\n{"id": "torn')
    run(small, out)
    assert snapshot(out) == snapshot(want)


def test_a_file_that_crashes_a_decoder_loses_its_own_row_only(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.run_isolated

    def crashing(function: Any, tasks: list[Any], jobs: int) -> Any:
        yield Lost(tasks[0], "decoding it crashed (SIGSEGV)")
        yield from real(function, tasks[1:], jobs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_isolated", crashing)
        report = run(small, tmp_path / "data")
    assert (report.kept, report.rejected) == (4, 1)
    assert read_rows(tmp_path / "data")["fg/0.png"]["reason"] == "decoding it crashed (SIGSEGV)"
    report = run(small, tmp_path / "data")  # perhaps there was too little memory: it is tried again
    assert (report.examined, report.kept) == (1, 5)


def test_a_picture_that_a_power_cut_has_torn_is_made_again(small: Path, tmp_path: Path) -> None:
    want = tmp_path / "want"
    run(small, want)
    out = tmp_path / "data"
    run(small, out)
    (out / "fg" / "0.png").write_bytes(b"")
    assert run(small, out).examined == 1
    assert snapshot(out) == snapshot(want)


# ---------------------------------------------------------------- what the user can mend


def test_missing_and_empty_folders_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MdeasError, match="nothing to clean; data/raw/fg, data/raw/bg; run `mdeas crawl`"):
        clean(CleanConfig())
    with pytest.raises(MdeasError, match="no such folder; nope; give another with --fg"):
        clean(CleanConfig(fg=Path("nope")))
    (tmp_path / "data" / "raw" / "fg").mkdir(parents=True)
    with pytest.raises(MdeasError, match="no pictures to clean; data/raw/fg; put some there"):
        clean(CleanConfig())


def test_pictures_of_the_user_are_never_touched(small: Path, tmp_path: Path) -> None:
    mine = tmp_path / "data" / "fg" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(encoded(draw_object(5)))
    with pytest.raises(MdeasError, match=r"1 pictures not made by mdeas clean, first mine\.png"):
        run(small, tmp_path / "data")
    with pytest.raises(MdeasError, match="also where cleaned ones go"):
        clean(CleanConfig(fg=tmp_path / "data" / "fg", out=tmp_path / "data"))
    assert mine.read_bytes() == encoded(draw_object(5))


def test_damaged_notes_of_earlier_runs(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    run(small, out)
    before = snapshot(out)
    (out / ".clean" / "records.jsonl").write_text('{}\n[]\n{"id": 3}\n{')
    assert run(small, out).examined > 0
    assert snapshot(out) == before
    (out / ".clean" / "outputs.json").write_text("[]")
    with pytest.raises(MdeasError, match=r"damaged file; .*outputs\.json; remove it"):
        run(small, out)


def test_nothing_usable_is_an_error_after_the_table_is_written(tmp_path: Path) -> None:
    (tmp_path / "fg").mkdir()
    (tmp_path / "fg" / "page.png").write_bytes(b"<html>")
    with pytest.raises(MdeasError, match=r"none of 1 files can be used; .*clean\.csv says why"):
        clean(CleanConfig(fg=tmp_path / "fg", out=tmp_path / "data", jobs=1))
    assert read_rows(tmp_path / "data")["fg/page.png"]["reason"] == "a web page, not a picture"


def test_one_kind_at_a_time_keeps_the_rows_of_the_other(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    clean(CleanConfig(fg=small / "fg", out=out, jobs=1))
    before = snapshot(out)
    clean(CleanConfig(bg=small / "bg", out=out, jobs=1))
    assert set(read_rows(out)) == {"fg/0.png", "fg/1.png", "fg/2.png", "bg/0.png", "bg/1.png"}
    after = snapshot(out)
    assert all(after[name] == sha for name, sha in before.items() if name.startswith(("fg/", "review/")))
    assert clean(CleanConfig(fg=small / "fg", out=out, jobs=1)).examined == 0


def test_cutout_says_what_is_missing(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MdeasError, match=r"rembg is not installed; .* pip install 'mdeas\[cutout\]'"):
        run(small, tmp_path / "data", cutout="rembg")
    fake_rembg(tmp_path, monkeypatch)
    (tmp_path / "weights" / "u2net.onnx").unlink()
    with pytest.raises(MdeasError, match=r"no weights for rembg; .*u2net\.onnx; run `rembg d u2net`"):
        run(small, tmp_path / "data", cutout="rembg")


def fake_rembg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name whose matte is what is brighter than 128."""
    (tmp_path / "rembg").mkdir()
    (tmp_path / "rembg" / "__init__.py").write_text(
        "def new_session(model):\n    return model\n"
        "def remove(picture, session, only_mask):\n"
        "    assert session == 'u2net' and only_mask\n"
        "    return picture.convert('L').point(lambda v: 255 * (v > 128))\n"
    )
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "u2net.onnx").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "weights"))


def test_cutout_gives_opaque_pictures_a_matte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_rembg(tmp_path, monkeypatch)
    rgb = np.full((100, 120, 3), 20, np.uint8)
    rgb[30:70, 40:90] = [250, 180, 120]
    (tmp_path / "fg").mkdir()
    (tmp_path / "fg" / "opaque.png").write_bytes(encoded(rgb))
    clean(CleanConfig(fg=tmp_path / "fg", out=tmp_path / "data", jobs=1, cutout="rembg"))
    row = read_rows(tmp_path / "data")["fg/opaque.png"]
    assert row["verdict"] == "fixed" and "cut out by rembg" in row["done"]
    assert images.read_foreground(tmp_path / "data" / "fg" / "opaque.png").shape == (40, 50, 4)


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    for kind in ("fg", "bg"):
        (tmp_path / kind).mkdir()
    (tmp_path / "fg" / "large.png").write_bytes(encoded(cv2.resize(draw_object(0), (1200, 900))))
    (tmp_path / "bg" / "large.jpg").write_bytes(encoded(cv2.resize(draw_room(0), (900, 700)), "JPEG"))
    clean(CleanConfig(fg=tmp_path / "fg", bg=tmp_path / "bg", out=tmp_path / "data", jobs=1, fg_max_side=128))
    assert max(images.read_foreground(tmp_path / "data" / "fg" / "large.png").shape) == 128
    assert images.read_background(tmp_path / "data" / "bg" / "large.png").shape == (512, 512, 3)


# ---------------------------------------------------------------- the shared pictures, where they are present


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared pictures are not here")
def test_shared_bad_files_end_as_expected(tmp_path: Path) -> None:
    """Each with the good ones that it may repeat, in the folder of its kind."""
    with (SHARED / "bad" / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    for kind in ("fg", "bg"):
        (tmp_path / kind).mkdir()
    for name, wish in expected.items():
        for kind in ("fg", "bg"):
            if not wish.startswith("bg:" if kind == "fg" else "fg:"):
                shutil.copy(SHARED / "bad" / name, tmp_path / kind / name)
    for name in {match for wish in expected.values() for match in re.findall(r"duplicate of (\S+)", wish)}:
        kind = "fg" if name.endswith(".png") else "bg"
        shutil.copy(SHARED / kind / name, tmp_path / kind / name)
    clean(CleanConfig(fg=tmp_path / "fg", bg=tmp_path / "bg", out=tmp_path / "data", jobs=2))
    for key, row in read_rows(tmp_path / "data").items():
        wish = expected.get(row["file"], "keep")
        if "duplicate" in wish and row["kind"] == ("bg" if "bg" in row["file"] else "fg"):
            of = re.search(r"duplicate of (\S+)", wish)
            assert row["duplicate_of"] == (of[1] if of else "tux_dog.png"), key
        elif re.match(r"(\wg: )?reject", wish):
            assert row["verdict"] == "rejected", key
        elif wish == "ignore":
            assert row["verdict"] == "ignored", key
        elif re.match(r"\wg: (fix|note)", wish):
            assert row["verdict"] == "fixed" or row["duplicate_of"], key
        elif wish == "keep" or "NOT required" in wish:
            assert row["output"], key


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared pictures are not here")
def test_no_good_shared_picture_is_rejected(tmp_path: Path) -> None:
    clean(CleanConfig(fg=SHARED / "fg", bg=SHARED / "bg", out=tmp_path / "data", jobs=1))
    rejected = [key for key, row in read_rows(tmp_path / "data").items() if row["verdict"] == "rejected"]
    assert rejected == []
