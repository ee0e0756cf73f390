"""``mdeas evaluate --cdnet``: a checkpoint on a change-detection benchmark, beside the baseline.

The tree is that of CDnet 2014 (Wang et al., CVPR workshops 2014): ``category/video/`` with ``input``,
``groundtruth``, ``temporalROI.txt`` and ``ROI.bmp``. Its sequences have no picture of the background: the
median of frames before the judged ones stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.images import Pixels, read_picture
from ..pipeline.manifest import write_json
from ..pipeline.options import EvaluateConfig
from ..pipeline.progress import Progress
from .baseline import difference
from .checkpoint import load_checkpoint
from .device import choose_device
from .evaluate import checkpoint_path
from .metrics import FOREGROUND
from .pairs import known_threshold, threshold_line
from .predict import infer, network_size

STATIC, SHADOW, OUTSIDE, UNKNOWN, MOVING = 0, 50, 85, 170, 255  # labels of the ground truth
RANGE_NAME, REGION_NAMES = "temporalROI.txt", ("ROI.bmp", "ROI.jpg")
BACKGROUND_FRAMES = 25  # of which the median is taken
FRAMES = 50  # judged of each video, evenly over its range, without --limit

Figures = dict[str, float]


@dataclass(frozen=True)
class Video:
    """One sequence."""

    folder: Path
    category: str
    first: int  # frames judged, counted from 1
    last: int


@dataclass(frozen=True)
class Changes:
    """Counts of judged pixels."""

    hits: int = 0
    wrong: int = 0
    missed: int = 0
    quiet: int = 0  # rightly nothing
    shadows: int = 0  # of the wrong ones, on a hard shadow

    def __add__(self, other: Changes) -> Changes:
        """Both together."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Changes(*(mine + theirs for mine, theirs in pairs))

    def figures(self) -> Figures:
        """Those of the benchmark, and the IoU; ``pwc`` is the percentage of wrong pixels."""
        all_pixels = self.hits + self.wrong + self.missed + self.quiet
        return {
            "recall": _share(self.hits, self.hits + self.missed),
            "precision": _share(self.hits, self.hits + self.wrong),
            "f": _share(2 * self.hits, 2 * self.hits + self.wrong + self.missed),
            "iou": _share(self.hits, self.hits + self.wrong + self.missed),
            "specificity": _share(self.quiet, self.quiet + self.wrong),
            "pwc": 100 * (1 - _share(self.hits + self.quiet, all_pixels)),
            "shadows": self.shadows / max(1, self.wrong),
        }


@dataclass(frozen=True)
class CdnetReport:
    """Figures of videos, their means over each category, and the mean over categories, as is usual there."""

    checkpoint: str
    folder: str
    frames: int
    baseline_threshold: int
    fitted: bool
    videos: dict[str, dict[str, Figures]]  # network and baseline
    categories: dict[str, dict[str, Figures]]
    overall: dict[str, Figures]
    out: str

    def summary(self) -> str:
        """A line a category, the baseline in brackets."""
        shown = ("f", "iou", "precision", "recall", "pwc")
        lines = [f"{'category':<24}" + "".join(f"{name:>16}" for name in shown)]
        for name, both in {**self.categories, "all categories": self.overall}.items():
            pairs = (f"{both['network'][one]:.3f} ({both['baseline'][one]:.3f})" for one in shown)
            lines.append(f"{name:<24}" + "".join(f"{pair:>16}" for pair in pairs))
        lines.append(f"in brackets {threshold_line(self.baseline_threshold, self.fitted)}")
        return "\n".join([*lines, f"{self.frames:,} frames of {len(self.videos)} videos", self.out])


def evaluate_cdnet(config: EvaluateConfig) -> CdnetReport:
    """Judge a checkpoint on every video below ``config.cdnet``; writes ``cdnet.json`` beside the checkpoint.

    Raises:
        MdeasError: If there is no checkpoint, no video, or a file of one cannot be read.
    """
    if config.cdnet is None:
        raise MdeasError("no folder: a benchmark has category/video below it; give --cdnet DIR")
    videos = find_videos(config.cdnet)
    path, device = checkpoint_path(config), choose_device(config.device)
    checkpoint = load_checkpoint(path)
    network = checkpoint.network(device)
    threshold, fitted = known_threshold(config, checkpoint)
    chosen = {video: judged_frames(video, config.limit or FRAMES) for video in videos}
    count = sum(map(len, chosen.values()))
    found: dict[str, dict[str, Figures]] = {}
    with Progress(count, "cdnet", "frames") as progress:
        for video, frames in chosen.items():
            background, region = background_of(video), region_of(video)
            size = network_size(network, checkpoint.size, background)
            sums = {"network": Changes(), "baseline": Changes()}
            for number in frames:
                frame, truth = read_frame(video, number), read_truth(video, number, region)
                _, mask = infer(network, background, frame, size, device)
                sums["network"] += changes(mask > FOREGROUND, truth)
                sums["baseline"] += changes(difference(background, frame) > threshold, truth)
                progress.update(note=video.folder.name)
            name = f"{video.category}/{video.folder.name}"
            found[name] = {side: one.figures() for side, one in sums.items()}
    categories = {
        category: means([found[name] for name in found if name.startswith(f"{category}/")])
        for category in dict.fromkeys(video.category for video in videos)
    }
    out = path.with_name("cdnet.json")
    report = CdnetReport(
        str(path), str(config.cdnet), count, threshold, fitted, found, categories,
        means(list(categories.values())), str(out),
    )  # fmt: skip
    write_json(out, asdict(report))
    return report


def find_videos(folder: Path) -> list[Video]:
    """Every video below ``folder``, or ``folder`` itself, by name.

    Raises:
        MdeasError: If there is none, or its range cannot be read.
    """
    videos = []
    for path in sorted(folder.rglob(RANGE_NAME)):
        numbers = re.findall(r"\d+", path.read_text(encoding="utf-8", errors="replace"))
        if len(numbers) != 2 or not 1 <= int(numbers[0]) <= int(numbers[1]):
            raise MdeasError(f"not a range of frames: {path}; it holds the first and the last, as 570 1700")
        video = path.parent.resolve()
        videos.append(Video(path.parent, video.parent.name, int(numbers[0]), int(numbers[1])))
    if not videos:
        raise MdeasError(
            f"no videos: {folder}; a benchmark has category/video with input, groundtruth and {RANGE_NAME} "
            "(--cdnet)"
        )
    return videos


def judged_frames(video: Video, limit: int) -> list[int]:
    """At most ``limit`` numbers of frames with a ground truth, evenly over the video's range."""
    there = [number for number in range(video.first, video.last + 1) if _truth_path(video, number).exists()]
    if not there:
        raise MdeasError(
            f"no ground truth for frames {video.first} to {video.last}: {video.folder / 'groundtruth'}; "
            "unpack the benchmark again"
        )
    picked = np.linspace(0, len(there) - 1, min(limit, len(there))).round().astype(int)
    return [there[index] for index in picked]


def background_of(video: Video) -> Pixels:
    """The median of frames before the judged ones, or of all where there are none before."""
    last = video.first - 1 or video.last
    numbers = np.unique(np.linspace(1, last, min(BACKGROUND_FRAMES, last)).round().astype(int))
    frames = [read_frame(video, int(number)) for number in numbers]
    if len({frame.shape for frame in frames}) != 1:
        raise MdeasError(f"frames of several sizes: {video.folder / 'input'}; unpack the benchmark again")
    return np.asarray(np.median(np.stack(frames), axis=0), np.uint8)


def read_frame(video: Video, number: int) -> Pixels:
    """Frame ``number`` of a video, RGB."""
    return np.ascontiguousarray(read_picture(video.folder / "input" / f"in{number:06d}.jpg")[:, :, :3])


def read_truth(video: Video, number: int, region: NDArray[np.bool_] | None) -> Pixels:
    """Labels of a frame, (H, W); ``OUTSIDE`` where ``region`` leaves a pixel out."""
    truth = _grey(read_picture(_truth_path(video, number)))
    if region is None:
        return truth
    if truth.shape != region.shape:
        raise MdeasError(f"the ground truth has another size than ROI: {_truth_path(video, number)}")
    return np.where(region, truth, np.uint8(OUTSIDE))


def region_of(video: Video) -> NDArray[np.bool_] | None:
    """Where a video is judged; None: everywhere."""
    for name in REGION_NAMES:
        if (video.folder / name).exists():
            return _grey(read_picture(video.folder / name)) > 0
    return None


def changes(found: NDArray[np.bool_], truth: Pixels) -> Changes:
    """Counts of one frame; unknown motion and what lies outside of the region do not count."""
    if found.shape != truth.shape:
        raise MdeasError(
            f"the ground truth is {truth.shape}, the frame {found.shape}: unpack the benchmark again"
        )
    moving, shadow = truth == MOVING, truth == SHADOW
    still = (truth == STATIC) | shadow
    return Changes(
        hits=int((found & moving).sum()),
        wrong=int((found & still).sum()),
        missed=int((~found & moving).sum()),
        quiet=int((~found & still).sum()),
        shadows=int((found & shadow).sum()),
    )


def means(parts: Sequence[dict[str, Figures]]) -> dict[str, Figures]:
    """The mean of every figure over videos, or over categories."""
    return {
        side: {name: fmean(part[side][name] for part in parts) for name in parts[0][side]}
        for side in ("network", "baseline")
    }


def _truth_path(video: Video, number: int) -> Path:
    return video.folder / "groundtruth" / f"gt{number:06d}.png"


def _grey(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, 0])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
