"""``mdeas evaluate --pair``: a checkpoint on one background and one frame, beside the baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.images import Pixels, encode_png, fit, read_background, read_picture
from ..pipeline.manifest import MANIFEST_NAME, write_bytes, write_json
from ..pipeline.options import EvaluateConfig
from ..pipeline.preview import colour_depth
from ..pipeline.reader import DatasetReader
from .baseline import MEDIAN_SIDE, difference, fit_baseline
from .checkpoint import Checkpoint, load_checkpoint
from .dataset import FgBgDataset
from .device import choose_device
from .evaluate import checkpoint_path
from .metrics import FOREGROUND, mask_sums
from .pictures import overlay, sheet
from .predict import PANEL_SIDE, infer, network_size, require_same_view, resized

HALF = 127  # of a mask's 255
# Near the best ones on data sets of our own; for where the training set is not at hand.
USUAL_THRESHOLD = 20


@dataclass(frozen=True)
class PairReport:
    """What a network and the baseline make of one frame; figures where the true mask was given."""

    checkpoint: str
    background: str
    frame: str
    baseline_threshold: int
    fitted: bool  # the threshold, on the training side of the data set
    foreground: float
    baseline_foreground: float
    mask: dict[str, float] | None
    baseline: dict[str, float] | None
    overview: str
    out: str

    def summary(self) -> str:
        """A line each for the network and for the baseline."""
        lines = [
            figures_line("network", self.foreground, self.mask),
            figures_line("no learning", self.baseline_foreground, self.baseline),
            threshold_line(self.baseline_threshold, self.fitted),
        ]
        return "\n".join([*lines, self.overview, self.out])


def evaluate_pair(config: EvaluateConfig) -> PairReport:
    """Judge a checkpoint on one frame; writes an overview and ``pair-NAME.json`` beside the checkpoint.

    Raises:
        MdeasError: If there is no checkpoint, a picture cannot be read, or the pictures do not fit together.
    """
    if config.pair is None:
        raise MdeasError("no pictures: a pair is a background and a frame; give --pair BG FRAME")
    path, device = checkpoint_path(config), choose_device(config.device)
    checkpoint = load_checkpoint(path)
    bg, frame = (read_background(picture) for picture in config.pair)
    require_same_view(config.pair[0], bg, config.pair[1], frame)
    network = checkpoint.network(device)
    depth, mask = infer(network, bg, frame, network_size(network, checkpoint.size, bg), device)
    threshold, fitted = known_threshold(config, checkpoint)
    simple = (difference(resized(bg, frame.shape[:2]), frame) > threshold).astype(np.float32)
    truth = read_mask(config.mask, frame.shape[:2]) if config.mask else None
    panels = {"background": bg, "frame": frame, "network": overlay(frame, mask)}
    panels["no learning"] = overlay(frame, simple)
    if truth is not None:
        panels["truth"] = overlay(frame, truth)
    if depth is not None:
        panels["depth"] = colour_depth(depth, str(checkpoint.depth["nearer"]))
    out = path.with_name(f"pair-{config.pair[1].stem}.json")
    write_bytes(out.with_suffix(".png"), encode_png(overview(panels)))
    report = PairReport(
        checkpoint=str(path),
        background=str(config.pair[0]),
        frame=str(config.pair[1]),
        baseline_threshold=threshold,
        fitted=fitted,
        foreground=round(float((mask > FOREGROUND).mean()), 4),
        baseline_foreground=round(float(simple.mean()), 4),
        mask=None if truth is None else figures(mask, truth),
        baseline=None if truth is None else figures(simple, truth),
        overview=str(out.with_suffix(".png")),
        out=str(out),
    )
    write_json(out, asdict(report))
    return report


def known_threshold(config: EvaluateConfig, checkpoint: Checkpoint) -> tuple[int, bool]:
    """The baseline's threshold and whether it was fitted: that needs the data set, labelled."""
    if (config.dataset / MANIFEST_NAME).exists() and DatasetReader(config.dataset).has_depth:
        training = FgBgDataset(config.dataset, "train", checkpoint.size)
        if len(training):
            return fit_baseline(training, 0, config.workers).threshold, True
    return USUAL_THRESHOLD, False


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A mask picture as 0 and 1, (H, W).

    Raises:
        MdeasError: If it cannot be read or has another size than the frame.
    """
    pixels = read_picture(path)
    grey = pixels[:, :, :3].max(axis=2) if pixels.ndim == 3 else pixels
    if grey.shape != tuple(shape):
        raise MdeasError(
            f"the mask has another size than the frame: {path} is {grey.shape[1]}x{grey.shape[0]}, the frame "
            f"{shape[1]}x{shape[0]}; give the mask of this frame (--mask)"
        )
    return (grey > HALF).astype(np.float32)


def figures(mask: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, float]:
    """Metrics of one mask."""
    return mask_sums(*(torch.from_numpy(part)[None, None] for part in (mask, truth))).metrics()


def overview(panels: dict[str, Pixels]) -> Pixels:
    """The panels beside each other, under their names."""
    height, width = panels["frame"].shape[:2]
    wide, high = fit(width, height, PANEL_SIDE)
    return sheet([[resized(picture, (high, wide)) for picture in panels.values()]], tuple(panels))


def figures_line(name: str, foreground: float, metrics: dict[str, float] | None) -> str:
    """One line of the summary."""
    shown = ("iou", "f", "precision", "recall", "boundary_f", "mae")
    text = "".join(f"  {one} {metrics[one]:.3f}" for one in shown) if metrics else ""
    return f"{name:<12} {foreground:6.1%} foreground{text}"


def threshold_line(threshold: int, fitted: bool) -> str:
    """What the baseline is."""
    origin = "best on the training side" if fitted else "the usual one: the training set is not at hand"
    return (
        f"no learning: |fg_bg - bg| > {threshold} under a {MEDIAN_SIDE}x{MEDIAN_SIDE} median; "
        f"the threshold is {origin}"
    )
