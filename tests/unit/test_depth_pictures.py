"""Labels of any folder of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.depth_formats import FLOAT_FORMATS
from mdeas.pipeline.depth_pictures import label_pictures
from mdeas.pipeline.depth_record import Mapping
from mdeas.pipeline.images import decode_gray16
from numpy.typing import NDArray
from PIL import Image


class FakeLabeller:
    """Depth is 256 times the red channel."""

    precision, runtime, micro_batch, jobs = "float32", "torch", 8, 2
    mapping = Mapping(1.0, 1.0 + 65535 / 2)

    def __init__(self, name: str = "fake") -> None:
        self.info = SimpleNamespace(
            name=name, source="here", weights_sha256=None, licence="MIT", kind="relative_disparity",
            nearer="larger", unit=None, resize="none",
        )  # fmt: skip
        self.network = SimpleNamespace(input_size=lambda height, width: (height // 2, width // 2))
        self.device = SimpleNamespace(type="cpu")
        self.calls = 0

    def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls += 1
        return np.asarray(pictures[..., 0] * 128.0 + 1, np.float32)  # 256 steps of a half, from 1 on


def as_labeller(name: str = "fake") -> Any:
    return FakeLabeller(name)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, (height, width) in {"a.png": (40, 60), "b.png": (70, 30), "b.bmp": (20, 20)}.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)
    (folder / ".hidden").write_text("not looked at")
    return folder


def test_a_label_and_a_preview_a_picture(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels" / "deep"
    report = label_pictures(pictures, out, as_labeller())
    assert sorted(path.name for path in out.iterdir()) == [
        "a-depth.png", "a-preview.png", "b.bmp-depth.png", "b.bmp-preview.png", "b.png-depth.png",
        "b.png-preview.png", "depth.json",
    ]  # fmt: skip
    red = np.asarray(Image.open(pictures / "b.png"))[..., 0]
    assert np.array_equal(decode_gray16((out / "b.png-depth.png").read_bytes()), red.astype(np.uint16) * 256)
    assert np.asarray(Image.open(out / "b.png-preview.png")).shape == (70, 30, 3)
    info = json.loads((out / "depth.json").read_text())
    assert (info["samples"], info["model"], info["scale"], info["shards"]) == (3, "fake", 0.5, [])
    assert (report.samples, report.labelled, report.rejected) == (3, 3, ())


def test_again_labels_what_is_new(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    first = label_pictures(pictures, out, as_labeller())
    before = (out / "a-depth.png").stat().st_mtime_ns
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(pictures / "new.png")
    labeller = as_labeller()
    report = label_pictures(pictures, out, labeller)
    assert (labeller.calls, report.labelled, report.samples) == (1, 1, 4)
    assert (out / "a-depth.png").stat().st_mtime_ns == before
    assert report.bytes > first.bytes
    again = label_pictures(pictures, out, as_labeller())
    assert again.labelled == 0
    assert "Nothing to do" in again.summary()


def test_files_that_are_no_pictures_are_listed(pictures: Path, tmp_path: Path) -> None:
    (pictures / "readme.txt").write_text("hello")
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:300])
    report = label_pictures(pictures, tmp_path / "labels", as_labeller())
    assert report.samples == 3
    assert len(report.rejected) == 2
    assert "cut.png" in report.rejected[0]
    assert "readme.txt" in report.rejected[1]
    assert "2 files left out" in report.summary()


def test_any_form_of_picture(pictures: Path, tmp_path: Path) -> None:
    rgba = np.zeros((10, 90, 4), np.uint8)  # long and narrow, half of it transparent
    rgba[:, :45] = [80, 0, 0, 255]
    Image.fromarray(rgba).save(pictures / "strip.png")
    out = tmp_path / "labels"
    assert label_pictures(pictures, out, as_labeller()).rejected == ()
    label = decode_gray16((out / "strip-depth.png").read_bytes())
    assert (label[:, :45] == 80 * 256).all()
    assert (label[:, 45:] == 255 * 256).all()


def test_folders_that_cannot_be_labelled(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="no such folder"):
        label_pictures(tmp_path / "none", tmp_path / "labels", as_labeller())
    with pytest.raises(MdeasError, match="choose another --out"):
        label_pictures(pictures, pictures / ".." / "pictures", as_labeller())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MdeasError, match="no files"):
        label_pictures(empty, tmp_path / "labels", as_labeller())
    (empty / "x.txt").write_text("x")
    with pytest.raises(MdeasError, match=r"no usable picture: .*empty \(1 files\)"):
        label_pictures(empty, tmp_path / "labels", as_labeller())
    assert not (tmp_path / "labels" / "depth.json").exists()


def test_another_network_is_refused_until_overwrite(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    label_pictures(pictures, out, as_labeller())
    with pytest.raises(MdeasError, match=r"fake, now other.*--model.*--overwrite"):
        label_pictures(pictures, out, as_labeller("other"))
    assert label_pictures(pictures, out, as_labeller("other"), overwrite=True).labelled == 3


def test_an_interrupted_run_goes_on(pictures: Path, tmp_path: Path) -> None:
    class Interrupted(FakeLabeller):
        def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls:
                raise KeyboardInterrupt
            return super().answer(pictures)

    broken: Any = Interrupted()
    broken.jobs = 1
    out = tmp_path / "labels"
    with pytest.raises(KeyboardInterrupt):
        label_pictures(pictures, out, broken)
    assert not (out / "depth.json").exists()
    report = label_pictures(pictures, out, as_labeller())
    assert (report.labelled, report.samples) == (2, 3)


@pytest.mark.parametrize(("form", "suffix"), [("npy", ".npy"), ("exr", ".exr"), ("hdf5", ".h5")])
def test_floats_are_the_networks_own_numbers(pictures: Path, tmp_path: Path, form: str, suffix: str) -> None:
    out = tmp_path / "labels"
    report = label_pictures(pictures, out, as_labeller(), form=form)
    assert (out / "a-preview.png").exists()
    red = np.asarray(Image.open(pictures / "b.png"))[..., 0]
    data = (out / f"b.png-depth{suffix}").read_bytes()
    stored = FLOAT_FORMATS[form].decode(data)
    assert np.array_equal(stored, (red * 128.0 + 1).astype(np.float32))
    assert FLOAT_FORMATS[form].encode(stored) == data
    info = json.loads((out / "depth.json").read_text())
    assert (info["bits"], info["format"], info["scale"], info["offset"]) == (32, form, 1.0, 0.0)
    again = label_pictures(pictures, out, as_labeller(), form=form)
    assert (again.labelled, again.samples, again.bytes) == (0, 3, report.bytes)
    with pytest.raises(MdeasError, match=r"another bits: .*\(32, now 16\)"):
        label_pictures(pictures, out, as_labeller())
    label_pictures(pictures, out, as_labeller(), overwrite=True)
    assert not list(out.glob(f"*{suffix}"))


def test_a_picture_without_an_answer_is_listed(pictures: Path, tmp_path: Path) -> None:
    class Unsure(FakeLabeller):
        def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            answer = super().answer(pictures)
            return answer if answer.shape[1] > 30 else answer * np.float32(np.nan)

    unsure: Any = Unsure()
    report = label_pictures(pictures, tmp_path / "labels", unsure)
    assert report.samples == 2
    assert "not a number" in report.rejected[0]
    assert "b.bmp" in report.rejected[0]
