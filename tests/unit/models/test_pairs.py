"""One background and one frame, with and without the true mask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.models.baseline import difference
from mdeas.models.pairs import USUAL_THRESHOLD, evaluate_pair
from mdeas.models.train import TrainReport
from mdeas.pipeline.images import encode_png
from mdeas.pipeline.options import EvaluateConfig, TrainConfig
from mdeas.pipeline.reader import DatasetReader


@pytest.fixture
def config(
    train_config: TrainConfig, finished: TrainReport, labelled: Path, tmp_path: Path
) -> EvaluateConfig:
    """A background, a frame and its mask, 96 x 96, as files; the checkpoint among them."""
    reader = DatasetReader(labelled)
    sample = int(reader.indices("new_both")[0])
    pictures = {
        "bg": reader.background(int(reader.samples.bg[sample])),
        "frame": reader.fg_bg(sample),
        "mask": reader.mask(sample),
    }
    for name, picture in pictures.items():
        kind = cv2.INTER_NEAREST if name == "mask" else cv2.INTER_LINEAR
        big = cv2.resize(picture, (96, 96), interpolation=kind)
        cv2.imwrite(str(tmp_path / f"{name}.png"), big if big.ndim == 2 else big[:, :, ::-1])
    (tmp_path / "best.ckpt").write_bytes((Path(finished.run) / "best.ckpt").read_bytes())
    return EvaluateConfig(
        dataset=labelled, checkpoint=tmp_path / "best.ckpt", device="cpu", workers=1,
        pair=(tmp_path / "bg.png", tmp_path / "frame.png"), mask=tmp_path / "mask.png",
    )  # fmt: skip


def test_figures_of_both_and_an_overview(config: EvaluateConfig, tmp_path: Path) -> None:
    report = evaluate_pair(config)
    bg, frame, mask = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("bg", "frame", "mask"))
    simple, there = difference(bg, frame) > report.baseline_threshold, mask[:, :, 0] > 127
    assert report.fitted
    assert report.baseline is not None
    assert report.baseline["iou"] == pytest.approx((simple & there).sum() / (simple | there).sum())
    assert report.baseline_foreground == pytest.approx(simple.mean(), abs=1e-4)
    assert report.mask is not None
    assert 0 <= report.mask["iou"] <= 1
    assert f"iou {report.mask['iou']:.3f}" in report.summary().splitlines()[0]
    assert cv2.imread(report.overview).shape[1] > 6 * 480
    assert json.loads((tmp_path / "pair-frame.json").read_text()) == vars(report)


def test_without_a_mask_there_are_pictures_only(config: EvaluateConfig) -> None:
    report = evaluate_pair(replace(config, mask=None))
    assert report.mask is report.baseline is None
    assert "iou" not in report.summary()
    assert cv2.imread(report.overview).shape[1] < 6 * 480


def test_without_the_training_set_the_threshold_is_the_usual_one(
    config: EvaluateConfig, tmp_path: Path
) -> None:
    report = evaluate_pair(replace(config, dataset=tmp_path / "nothing"))
    assert (report.baseline_threshold, report.fitted) == (USUAL_THRESHOLD, False)
    assert "the training set is not at hand" in report.summary()


def test_pictures_that_do_not_fit_are_named(config: EvaluateConfig, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(encode_png(np.zeros((96, 48, 3), np.uint8)))
    with pytest.raises(
        MdeasError, match=r"another size than the frame: .*mask\.png is 48x96, the frame 96x96"
    ):
        evaluate_pair(config)
    (tmp_path / "bg.png").write_bytes(encode_png(np.zeros((96, 48, 3), np.uint8)))
    with pytest.raises(MdeasError, match="give pictures of one camera"):
        evaluate_pair(config)
    with pytest.raises(MdeasError, match=r"nobody\.png"):
        evaluate_pair(replace(config, pair=(tmp_path / "nobody.png", tmp_path / "frame.png")))
