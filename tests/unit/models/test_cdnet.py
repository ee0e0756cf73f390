"""A small benchmark tree, drawn here: two categories, a moving square, every label."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.models.cdnet import (
    BACKGROUND_FRAMES,
    Changes,
    background_of,
    changes,
    evaluate_cdnet,
    find_videos,
    judged_frames,
)
from mdeas.models.train import TrainReport
from mdeas.pipeline.options import EvaluateConfig
from PIL import Image

HEIGHT, WIDTH, FRAMES, FIRST = 48, 64, 12, 7


def draw_video(folder: Path, seed: int) -> None:
    """A square that crosses a still scene from frame 7 on, with a shadow; the last rows are not judged."""
    rng = np.random.default_rng(seed)
    scene = np.kron(rng.integers(60, 200, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    for name in ("input", "groundtruth"):
        (folder / name).mkdir(parents=True)
    for number in range(1, FRAMES + 1):
        frame, truth = scene.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        if number >= FIRST:
            left = 6 * (number - FIRST)
            frame[10:26, left : left + 14] = 255 - frame[10:26, left : left + 14]
            frame[26:30, left : left + 14] //= 2
            truth[26:30, left : left + 14] = 50
            truth[10:26, left : left + 14] = 255
            truth[10:26, left] = 170
        truth[40:] = 85
        Image.fromarray(frame).save(folder / "input" / f"in{number:06d}.jpg", quality=95)
        Image.fromarray(truth).save(folder / "groundtruth" / f"gt{number:06d}.png")
    region = np.full((HEIGHT, WIDTH), 255, np.uint8)
    region[:, 60:] = 0
    Image.fromarray(region).save(folder / "ROI.bmp")
    (folder / "temporalROI.txt").write_text(f"{FIRST} {FRAMES}\n")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cdnet")
    for seed, name in enumerate(("baseline/office", "baseline/street", "shadow/cubicle")):
        draw_video(root / name, seed)
    return root


@pytest.fixture
def config(tree: Path, finished: TrainReport, labelled: Path, tmp_path: Path) -> EvaluateConfig:
    (tmp_path / "best.ckpt").write_bytes((Path(finished.run) / "best.ckpt").read_bytes())
    return EvaluateConfig(
        dataset=labelled, checkpoint=tmp_path / "best.ckpt", device="cpu", workers=1, cdnet=tree
    )


def test_videos_categories_and_the_mean_over_categories(config: EvaluateConfig, tmp_path: Path) -> None:
    report = evaluate_cdnet(config)
    assert list(report.videos) == ["baseline/office", "baseline/street", "shadow/cubicle"]
    assert report.frames == 3 * 6
    assert list(report.categories) == ["baseline", "shadow"]
    for side in ("network", "baseline"):
        f = [figures[side]["f"] for figures in report.videos.values()]
        assert report.categories["baseline"][side]["f"] == pytest.approx((f[0] + f[1]) / 2)
        assert report.overall[side]["f"] == pytest.approx(((f[0] + f[1]) / 2 + f[2]) / 2)
    # An inverted square is easy; what is wrong lies on the shadow.
    assert report.overall["baseline"]["recall"] > 0.8
    assert report.overall["baseline"]["shadows"] > 0.8
    assert report.overall["baseline"]["specificity"] > 0.9
    assert json.loads((tmp_path / "cdnet.json").read_text()) == vars(report)
    lines = report.summary().splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["baseline", "shadow", "all"]


def test_a_category_or_a_video_alone(config: EvaluateConfig, tree: Path) -> None:
    assert list(evaluate_cdnet(replace(config, cdnet=tree / "shadow")).videos) == ["shadow/cubicle"]
    alone = evaluate_cdnet(replace(config, cdnet=tree / "shadow" / "cubicle", limit=2))
    assert (list(alone.videos), alone.frames) == (["shadow/cubicle"], 2)


def test_the_background_is_the_median_of_the_frames_before(tree: Path) -> None:
    video = find_videos(tree / "shadow" / "cubicle")[0]
    still = np.asarray(Image.open(video.folder / "input" / "in000001.jpg"))
    assert np.abs(background_of(video).astype(int) - still).max() <= 1
    # Without frames before the judged ones: the median of all, of which the object is nowhere in most.
    whole = background_of(replace(video, first=1)).astype(int)
    assert np.abs(whole - still).max() <= 40
    assert BACKGROUND_FRAMES >= FRAMES


def test_frames_are_spread_over_the_range(tree: Path) -> None:
    video = find_videos(tree / "shadow" / "cubicle")[0]
    assert judged_frames(video, 50) == [7, 8, 9, 10, 11, 12]
    assert judged_frames(video, 2) == [7, 12]
    assert judged_frames(video, 3)[1] in (9, 10)


def test_labels_by_hand() -> None:
    truth = np.array([[0, 50, 85, 170, 255]] * 2, np.uint8)
    found = np.array([[True] * 5, [False] * 5])
    assert changes(found, truth) == Changes(hits=1, wrong=2, missed=1, quiet=2, shadows=1)
    figures = (Changes(hits=1, wrong=2, missed=1, quiet=2, shadows=1) + Changes(hits=1)).figures()
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["precision"] == pytest.approx(2 / 4)
    assert figures["f"] == pytest.approx(4 / 7)
    assert figures["iou"] == pytest.approx(2 / 5)
    assert figures["specificity"] == pytest.approx(2 / 4)
    assert figures["pwc"] == pytest.approx(100 * 3 / 7)
    assert figures["shadows"] == pytest.approx(1 / 2)


def test_what_is_no_benchmark_is_named(config: EvaluateConfig, tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MdeasError, match=r"no videos: .*empty; a benchmark has category/video"):
        evaluate_cdnet(replace(config, cdnet=empty))
    broken = shutil.copytree(tree / "shadow" / "cubicle", tmp_path / "broken" / "cubicle")
    (broken / "temporalROI.txt").write_text("12")
    with pytest.raises(MdeasError, match=r"not a range of frames: .*temporalROI\.txt"):
        evaluate_cdnet(replace(config, cdnet=broken))
    (broken / "temporalROI.txt").write_text("100 120")
    with pytest.raises(MdeasError, match="no ground truth for frames 100 to 120"):
        evaluate_cdnet(replace(config, cdnet=broken))
    (broken / "temporalROI.txt").write_text("7 12")
    (broken / "input" / "in000003.jpg").unlink()
    with pytest.raises(MdeasError, match=r"in000003\.jpg"):
        evaluate_cdnet(replace(config, cdnet=broken))
