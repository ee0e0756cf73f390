"""``clean`` over folders with every kind of file, and again, and after kills."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import struct
import zlib
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
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Rows = dict[str, dict[str, str]]
SHARED = Path(__file__).parents[3] / "shared" / "assets"


def draw_object(seed: int, height: int = 150, width: int = 200) -> Pixels:
    """A blob with soft edges and patches of colour in wide margins; every seed looks different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    angle = np.arctan2(rows - height / 2, columns - width / 2)
    distance = np.hypot(rows - height / 2, columns - width / 2)
    waves = sum(rng.uniform(-0.12, 0.12) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 6))
    alpha = np.clip((0.34 * height * (1 + waves) - distance) / 4 + 0.5, 0, 1)
    patches = cv2.resize(rng.integers(20, 236, (5, 6, 3)).astype(np.uint8), (width, height))
    return np.dstack([patches, (alpha * 255).round()]).astype(np.uint8)


def draw_room(seed: int, height: int = 260, width: int = 340) -> Pixels:
    """Coarse patches of colour with grain: different for every seed, with a hash of its own."""
    rng = np.random.default_rng(1000 + seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (width, height))
    return np.clip(coarse + rng.normal(0, 3, coarse.shape), 0, 255).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, name: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rgba16(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in (pixels.astype(np.uint16) * 257).astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(3751 * 30_000), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def flipped(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 200
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def with_alpha(pixels: Pixels, alpha: Any) -> Pixels:
    return np.dstack([pixels[:, :, :3], np.broadcast_to(np.asarray(alpha, np.uint8), pixels.shape[:2])])


def animation(name: str, seed: int) -> bytes:
    frames = [Image.fromarray(draw_object(seed + step)) for step in range(3)]
    return encoded(frames[0], name, save_all=True, append_images=frames[1:])


def palette(seed: int) -> bytes:
    rgba = draw_object(seed)
    image = Image.fromarray(rgba[:, :, :3]).quantize(255)
    indices = np.asarray(image).copy()
    indices[rgba[:, :, 3] < 128] = 255
    replaced = Image.fromarray(indices, "P")
    replaced.putpalette([*(image.getpalette() or [])[:765], 0, 0, 0])
    return encoded(replaced, "PNG", transparency=255)


def premultiplied(seed: int) -> Pixels:
    rgba = draw_object(seed)
    rgba[:, :, :3] = np.maximum(rgba[:, :, :3], 150)
    return with_alpha((rgba[:, :, :3] * (rgba[:, :, 3:] / 255)).round().astype(np.uint8), rgba[:, :, 3])


def in_corner(seed: int) -> Pixels:
    canvas = np.zeros((900, 1000, 4), np.uint8)
    canvas[-70:-10, -90:-10] = cv2.resize(draw_object(seed), (80, 60), interpolation=cv2.INTER_AREA)
    return canvas


def checkerboard(seed: int) -> Pixels:
    rgba = draw_object(seed)
    rows, columns = np.mgrid[0:150, 0:200] // 8
    board = np.where((rows + columns) % 2, 255, 204)[..., None].astype(np.float64)
    alpha = rgba[:, :, 3:] / 255
    return (rgba[:, :, :3] * alpha + board * (1 - alpha)).round().astype(np.uint8)


def specks(seed: int) -> Pixels:
    alpha = np.zeros((150, 200), np.uint8)
    alpha[np.random.default_rng(seed).integers(0, 150, 12), np.arange(12) * 16] = 255
    return with_alpha(draw_object(seed), alpha)


def cmyk(seed: int) -> bytes:
    return encoded(Image.fromarray(draw_room(seed)).convert("CMYK"), "JPEG", quality=92)


def sideways(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(draw_room(seed)).copy(), "JPEG", quality=95, exif=exif.tobytes())


BRIGHTER = np.array([6, 6, 6, 0])
# Name, bytes, verdicts that are right, what the reason must say.
FOREGROUNDS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "good.png": (lambda: encoded(draw_object(0)), "kept", ""),
    "second.png": (lambda: encoded(draw_object(1)), "kept", ""),
    "third.webp": (lambda: encoded(draw_object(2), "WEBP", lossless=True, exact=True), "kept", ""),
    "two objects.png": (lambda: encoded(np.hstack([draw_object(3), draw_object(4)])), "kept", ""),
    "no_alpha_rgb.png": (lambda: encoded(draw_object(5)[:, :, :3]), "rejected", "opaque: no alpha"),
    "alpha_all_255.png": (lambda: encoded(with_alpha(draw_object(6), 255)), "rejected", "opaque"),
    "alpha_254.png": (lambda: encoded(with_alpha(draw_object(7), 254)), "rejected", "opaque"),
    "alpha_all_0.png": (lambda: encoded(with_alpha(draw_object(8), 0)), "rejected", "empty"),
    "alpha_0_1.png": (
        lambda: encoded(with_alpha(draw_object(9), draw_object(9)[:, :, 3] > 127)),
        "fixed",
        "alpha stored as 0 and 1",
    ),
    "tiny.png": (lambda: encoded(cv2.resize(draw_object(10), (12, 9))), "rejected", "too small"),
    "truncated.png": (lambda: encoded(draw_object(11))[:-3000], "rejected", "truncated"),
    "corrupt_idat.png": (lambda: flipped(encoded(draw_object(12))), "rejected", "damaged"),
    "palette_trns.png": (lambda: palette(13), "fixed", "palette"),
    "rgba16.png": (lambda: rgba16(draw_object(14)), "fixed", "16 bits"),
    "gray_alpha.png": (lambda: encoded(Image.fromarray(draw_object(15)).convert("LA")), "fixed", "grey"),
    "alpha_specks.png": (lambda: encoded(specks(16)), "rejected", "only specks"),
    "alpha_haze.png": (
        lambda: encoded(with_alpha(draw_object(17), np.maximum(draw_object(17)[:, :, 3], 3))),
        "fixed",
        "haze",
    ),
    "huge_margin.png": (lambda: encoded(in_corner(18)), "fixed", "of the canvas"),
    "premultiplied.png": (lambda: encoded(premultiplied(19)), "fixed", "premultiplied"),
    "inverted_alpha.png": (
        lambda: encoded(with_alpha(draw_object(20), 255 - draw_object(20)[:, :, 3])),
        "rejected",
        "inverted",
    ),
    "fake.png": (lambda: encoded(checkerboard(21)), "rejected", "fake transparency"),
    "fake_alpha.png": (
        lambda: encoded(with_alpha(checkerboard(22), 255)),
        "rejected",
        "fake transparency",
    ),
    "good (1).png": (lambda: encoded(draw_object(0)), "rejected", "the same bytes as good.png"),
    "resized.png": (
        lambda: encoded(cv2.resize(draw_object(1), (140, 105), interpolation=cv2.INTER_AREA)),
        "rejected",
        "a near-duplicate of second.png",
    ),
    "reencoded.webp": (
        lambda: encoded((draw_object(0) + BRIGHTER).clip(0, 255).astype(np.uint8), "WEBP", quality=80),
        "rejected",
        "a near-duplicate of good.png",
    ),
    "mirrored.png": (lambda: encoded(draw_object(1)[:, ::-1].copy()), "kept", ""),
    "animated.gif": (lambda: animation("GIF", 30), "rejected", "animated"),
    "animated.webp": (lambda: animation("WEBP", 33), "rejected", "animated"),
    "animated.png": (lambda: animation("PNG", 36), "rejected", "animated"),
    "html.png": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "rejected", "web page"),
    "drawing.png": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "rejected", "SVG"),
    "drawing.svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/> ', "rejected", "SVG"),
    "zero_byte.png": (lambda: b"", "rejected", "empty"),
    "bomb.png": (bomb, "rejected", "more than 100 megapixels"),
    'naïve name (2), "quoted".PNG': (lambda: encoded(draw_object(40)), "kept", ""),
    "no extension": (lambda: encoded(draw_object(41)), "kept", ""),
    "really a gif.jpg": (lambda: palette(42), "fixed", "palette"),
    "n" * 240 + ".png": (lambda: encoded(draw_object(43)), "kept", ""),
    "same.png": (lambda: encoded(draw_object(44)), "kept", ""),
    "SAME.PNG": (lambda: encoded(draw_object(45)), "kept", ""),
    "Thumbs.db": (lambda: b"not a picture", "ignored", "not a picture"),
    "notes.txt": (lambda: b"hello", "ignored", "not a picture"),
    ".hidden.png": (lambda: encoded(draw_object(46)), "ignored", "hidden"),
}
BACKGROUNDS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "room.jpg": (lambda: encoded(draw_room(0), "JPEG", quality=95), "kept", ""),
    "hall.png": (lambda: encoded(draw_room(1)), "kept", ""),
    "cmyk.jpg": (lambda: cmyk(2), "fixed", "CMYK"),
    "exif_orientation_6.jpg": (lambda: sideways(3), "fixed", "EXIF orientation 6"),
    "gray_bg.jpg": (lambda: encoded(Image.fromarray(draw_room(4)).convert("L"), "JPEG"), "fixed", "grey"),
    "jpeg_named.png": (lambda: encoded(draw_room(5), "JPEG"), "kept", ""),
    "opaque_alpha.png": (lambda: encoded(with_alpha(draw_room(6), 255)), "fixed", "alpha channel"),
    "letterbox.png": (
        lambda: encoded(np.pad(draw_room(7), ((60, 60), (0, 0), (0, 0)))),
        "fixed",
        "bars along",
    ),
    "dup_bg_reencoded.jpg": (
        lambda: encoded(Image.fromarray(draw_room(0)).resize((300, 230)), "JPEG", quality=55),
        "rejected",
        "a near-duplicate of room.jpg",
    ),
    "too_small_bg.jpg": (lambda: encoded(draw_room(8, 120, 180), "JPEG"), "rejected", "too small"),
    "extreme_aspect.jpg": (lambda: encoded(draw_room(9, 240, 1600), "JPEG"), "rejected", "too long"),
    "truncated.jpg": (lambda: encoded(draw_room(10), "JPEG")[:6000], "rejected", "truncated"),
    "flat_black.jpg": (lambda: encoded(np.zeros((480, 640, 3), np.uint8), "JPEG"), "rejected", "flat"),
    "cut_out.png": (lambda: encoded(draw_object(50, 300, 300)), "rejected", "transparent"),
    "16bit.png": (
        lambda: encoded(Image.fromarray(draw_room(11)[:, :, 0].astype(np.uint16) * 256)),
        "fixed",
        "16 bits",
    ),
    "pages.tif": (
        lambda: encoded(draw_room(12), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        "rejected",
        "several pages",
    ),
}


def read_rows(out: Path) -> Rows:
    with (out / "clean.csv").open(encoding="utf-8", newline="") as file:
        return {f"{row['kind']}/{row['file']}": row for row in csv.DictReader(file)}


def write_raw(root: Path) -> Path:
    for kind, files in (("fg", FOREGROUNDS), ("bg", BACKGROUNDS)):
        (root / kind).mkdir(parents=True)
        for name, (make, _, _) in files.items():
            (root / kind / name).write_bytes(make())
    (root / "fg" / "folder.png").mkdir()
    (root / "fg" / "nowhere.png").symlink_to("not there")
    os.mkfifo(root / "bg" / "pipe.png")
    ledger = [
        {"file": "good.png", "url": "https://example.org/g", "author": "A. Person", "licence": "by"},
        {
            "file": "second.png",
            "url": "https://example.org/s",
            "licence": "cc0",
            "page": "https://example.org",
        },
    ]
    (root / "fg" / "assets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ledger))
    return root


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
