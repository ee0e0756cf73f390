"""Pictures from a checkpoint, for frames of any size."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models.checkpoint import load_checkpoint
from mdeas.models.predict import infer, network_size, output_names, predict
from mdeas.models.train import TrainReport
from mdeas.pipeline.images import encode_png
from mdeas.pipeline.options import PredictConfig
from mdeas.pipeline.reader import DatasetReader


@pytest.fixture
def pictures(labelled: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A background and a frame of it, 150 x 100."""
    reader = DatasetReader(labelled)
    sample = int(reader.indices("train")[0])
    paths = tmp_path / "bg.png", tmp_path / "frame.png"
    sources = reader.background(int(reader.samples.bg[sample])), reader.fg_bg(sample)
    for path, source in zip(paths, sources, strict=True):
        path.write_bytes(encode_png(cv2.resize(source, (150, 100))))
    return paths


@pytest.fixture
def checkpoint(finished: TrainReport) -> Path:
    return Path(finished.run) / "best.ckpt"


def test_writes_mask_depth_and_overview(
    pictures: tuple[Path, Path], checkpoint: Path, tmp_path: Path
) -> None:
    bg, frame = pictures
    report = predict(PredictConfig(bg, (frame, frame), checkpoint, tmp_path / "out", "cpu"))
    assert report.size == (32, 48)
    names = {"frame_mask.png", "frame_depth.png", "frame_overview.png"}
    again = {name.replace("frame_", "frame-2_") for name in names}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | again | {"predictions.json"}
    mask = cv2.imread(report.predictions[0].mask, cv2.IMREAD_UNCHANGED)
    assert mask.shape[:2] == (100, 150)
    assert set(np.unique(mask)) <= {0, 255}
    assert report.predictions[0].foreground == pytest.approx((mask > 0).mean(), abs=1e-4)
    depth = cv2.imread(str(report.predictions[0].depth), cv2.IMREAD_UNCHANGED)
    assert (depth.shape, depth.dtype) == ((100, 150), np.uint16)
    overview = cv2.imread(report.predictions[0].overview)
    assert overview.shape[1] > 4 * 480
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert written["depth"]["kind"] == "relative_disparity"
    assert "larger is nearer" in report.summary()


def test_outputs_are_those_of_the_network(
    pictures: tuple[Path, Path], checkpoint: Path, labelled: Path
) -> None:
    reader = DatasetReader(labelled)
    sample = int(reader.indices("train")[0])
    bg, frame = reader.background(int(reader.samples.bg[sample])), reader.fg_bg(sample)
    network = load_checkpoint(checkpoint).network(torch.device("cpu"))
    depth, mask = infer(network, bg, frame, (64, 64), torch.device("cpu"))
    inputs = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (bg, frame)]
    with torch.no_grad():
        expected = network(*inputs)
    assert depth is not None
    assert np.abs(depth - expected[0][0, 0].clamp(0, 1).numpy()).max() < 1e-5
    assert np.abs(mask - expected[1][0, 0].numpy()).max() < 1e-5


def test_the_shape_of_the_frame_is_kept(checkpoint: Path) -> None:
    network = load_checkpoint(checkpoint).network(torch.device("cpu"))
    shapes = {(100, 150): (32, 48), (480, 640): (32, 48), (200, 200): (32, 32), (900, 300): (96, 32)}
    for shape, expected in shapes.items():
        assert network_size(network, 32, np.zeros((*shape, 3), np.uint8)) == expected


def test_a_background_at_another_scale_is_taken(
    pictures: tuple[Path, Path], checkpoint: Path, tmp_path: Path
) -> None:
    bg, frame = pictures
    bg.write_bytes(encode_png(cv2.resize(cv2.imread(str(bg)), (300, 200))))
    report = predict(PredictConfig(bg, (frame,), checkpoint, tmp_path / "out", "cpu"))
    assert cv2.imread(report.predictions[0].mask).shape[:2] == (100, 150)


def test_another_shape_is_refused(pictures: tuple[Path, Path], checkpoint: Path, tmp_path: Path) -> None:
    bg, frame = pictures
    frame.write_bytes(encode_png(np.zeros((100, 100, 3), np.uint8)))
    message = r"frame\.png is 100x100, .*bg\.png is 150x100; give pictures of one camera"
    with pytest.raises(MdeasError, match=message):
        predict(PredictConfig(bg, (frame,), checkpoint, tmp_path / "out", "cpu"))


def test_a_damaged_picture_is_named(pictures: tuple[Path, Path], checkpoint: Path, tmp_path: Path) -> None:
    bg, frame = pictures
    frame.write_bytes(frame.read_bytes()[:200])
    with pytest.raises(MdeasError, match=r"frame\.png"):
        predict(PredictConfig(bg, (frame,), checkpoint, tmp_path / "out", "cpu"))


def test_missing_files_are_named(pictures: tuple[Path, Path], checkpoint: Path, tmp_path: Path) -> None:
    bg, frame = pictures
    with pytest.raises(MdeasError, match=r"nothing\.png"):
        predict(PredictConfig(bg, (tmp_path / "nothing.png",), checkpoint, tmp_path / "out", "cpu"))
    with pytest.raises(MdeasError, match="train a network first with `mdeas train`"):
        predict(PredictConfig(bg, (frame,), tmp_path / "no.ckpt", tmp_path / "out", "cpu"))
    with pytest.raises(MdeasError, match="not a checkpoint"):
        predict(PredictConfig(bg, (frame,), bg, tmp_path / "out", "cpu"))


def test_two_frames_of_one_name_keep_both_outputs() -> None:
    frames = (Path("a/x.jpg"), Path("b/x.jpg"), Path("x-2.jpg"), Path("y.png"))
    assert output_names(frames) == ["x", "x-2", "x-2-2", "y"]
