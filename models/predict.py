"""``mdeas predict``: depth and mask pictures from a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .. import MdeasError
from ..pipeline.images import Pixels, encode_gray16, encode_mask, encode_png, read_background
from ..pipeline.manifest import write_bytes, write_json
from ..pipeline.options import RUNS_DIR, PredictConfig
from ..pipeline.preview import colour_depth
from ..pipeline.progress import Progress
from .base import DualHeadNet, heads, nearest_size
from .checkpoint import load_checkpoint
from .device import choose_device
from .metrics import FOREGROUND, LABEL_STEPS
from .pictures import overlay, sheet

DEFAULT_CHECKPOINT = RUNS_DIR / "mdeas" / "best.ckpt"
# Background and frame must show the same view: their shapes may differ by rounding, not by more.
ASPECT_TOLERANCE = 0.01
PANEL_SIDE = 480
COLUMNS = ("background", "frame", "mask", "depth")


@dataclass(frozen=True)
class Prediction:
    """The files of one frame, and the share of it that is foreground."""

    frame: str
    mask: str
    depth: str | None
    overview: str
    foreground: float


@dataclass(frozen=True)
class PredictReport:
    """What was written; ``depth`` says what the values v of the 16-bit pictures are: v * scale + offset."""

    checkpoint: str
    out: str
    size: tuple[int, int]  # height and width that the network saw
    depth: dict[str, Any]
    predictions: tuple[Prediction, ...]

    def summary(self) -> str:
        """One line a frame."""
        lines = (f"{one.overview}  ({one.foreground:.1%} foreground)" for one in self.predictions)
        kind, nearer = str(self.depth["kind"]).replace("_", " "), self.depth["nearer"]
        return "\n".join((*lines, f"masks 0/255, depth 16-bit {kind}, {nearer} is nearer: {self.out}"))


def predict(config: PredictConfig) -> PredictReport:
    """Write ``NAME_mask.png``, ``NAME_depth.png`` and ``NAME_overview.png`` for every frame.

    Pictures of any size are resized so that the shorter side is that of training; the outputs have the
    frame's size.

    Raises:
        MdeasError: If there is no checkpoint, a picture cannot be read, or a frame does not fit
            the background.
    """
    path = config.checkpoint or DEFAULT_CHECKPOINT
    device = choose_device(config.device)
    checkpoint = load_checkpoint(path)
    background = read_background(config.background)
    network = checkpoint.network(device)
    size = network_size(network, checkpoint.size, background)
    names = output_names(config.frames)
    config.out.mkdir(parents=True, exist_ok=True)
    predictions = []
    with Progress(len(config.frames), "predict", "frames") as progress:
        for frame, name in zip(config.frames, names, strict=True):
            pixels = read_background(frame)
            require_same_view(config.background, background, frame, pixels)
            depth, mask = infer(network, background, pixels, size, device)
            predictions.append(
                write_outputs(
                    config.out / name,
                    frame,
                    (background, pixels),
                    (depth, mask),
                    str(checkpoint.depth["nearer"]),
                )
            )
            progress.update()
    report = PredictReport(str(path), str(config.out), size, checkpoint.depth, tuple(predictions))
    write_json(config.out / "predictions.json", asdict(report))
    return report


def network_size(network: DualHeadNet, side: int, picture: Pixels) -> tuple[int, int]:
    """Height and width that the network takes, in the picture's shape, with the shorter side of training."""
    height, width = picture.shape[:2]
    factor = side / min(height, width)
    return nearest_size(network, round(height * factor), round(width * factor))


def require_same_view(background: Path, bg: Pixels, frame: Path, pixels: Pixels) -> None:
    """Raise MdeasError unless both pictures have one shape, up to their scale."""
    (height, width), (frame_height, frame_width) = bg.shape[:2], pixels.shape[:2]
    if abs(height * frame_width / (width * frame_height) - 1) > ASPECT_TOLERANCE:
        raise MdeasError(
            f"the frame has another shape than the background: {frame} is {frame_width}x{frame_height}, "
            f"{background} is {width}x{height}; give pictures of one camera, uncropped"
        )


def output_names(frames: tuple[Path, ...]) -> list[str]:
    """A name for each frame's files: its own, with a number where two are called the same."""
    names: list[str] = []
    for frame in frames:
        name, number = frame.stem, 2
        while name in names:
            name, number = f"{frame.stem}-{number}", number + 1
        names.append(name)
    return names


@torch.no_grad()
def infer(
    network: DualHeadNet, bg: Pixels, frame: Pixels, size: tuple[int, int], device: torch.device
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
    """Depth label in 0..1 and foreground probability, (H, W) each at the frame's size."""
    inputs = [torch.from_numpy(resized(picture, size)).permute(2, 0, 1)[None] for picture in (bg, frame)]
    raw = network(*(picture.to(device).float() / 255 for picture in inputs))
    found = heads(network, raw)
    shape = frame.shape[:2]
    depth, mask = (
        None if part is None else resized(part[0, 0].float().clamp(0, 1).cpu().numpy(), shape)
        for part in (found.depth, found.mask)
    )
    if mask is None:
        raise ValueError("expected a mask from the network, got none")
    return depth, mask


def write_outputs(
    stem: Path,
    frame: Path,
    pictures: tuple[Pixels, Pixels],
    outputs: tuple[NDArray[np.float32] | None, NDArray[np.float32]],
    nearer: str,
) -> Prediction:
    """Write the files of one frame, named after ``stem``; ``pictures`` are background and frame."""
    (bg, pixels), (depth, mask) = pictures, outputs
    mask_path, depth_path, overview_path = (
        stem.with_name(f"{stem.name}_{kind}.png") for kind in ("mask", "depth", "overview")
    )
    found = (mask > FOREGROUND).astype(np.uint8) * np.uint8(255)
    write_bytes(mask_path, encode_mask(found))
    panels = [bg, pixels, overlay(pixels, mask)]
    if depth is not None:
        write_bytes(depth_path, encode_gray16(np.asarray(np.rint(depth * LABEL_STEPS), np.uint16)))
        panels.append(colour_depth(depth, nearer))
    height, width = pixels.shape[:2]
    factor = PANEL_SIDE / max(height, width)
    panel = (max(1, round(height * factor)), max(1, round(width * factor)))
    row = [resized(picture, panel) for picture in panels]
    write_bytes(overview_path, encode_png(sheet([row], COLUMNS)))
    return Prediction(
        frame=str(frame),
        mask=str(mask_path),
        depth=str(depth_path) if depth is not None else None,
        overview=str(overview_path),
        foreground=round(float((mask > FOREGROUND).mean()), 4),
    )


def resized(picture: Any, size: tuple[int, int]) -> Any:
    """An array at height and width ``size``: by area when it shrinks, else bilinearly."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    shrinks = height <= picture.shape[0] and width <= picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
