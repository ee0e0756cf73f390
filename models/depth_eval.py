"""How good relative depth is, after fitting scale and shift in log inverse depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .. import MdeasError
from ..pipeline.options import EvaluateDepthConfig
from ..pipeline.progress import Progress
from .depth import DepthNetwork, create_depth_network
from .depth_net import LOOKS, log_disparity
from .device import choose_device

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Frame = tuple[Picture, Array]  # RGB (H, W, 3) and depth in metres (H, W), 0 where unknown
Predict = Callable[[Picture], Array]  # RGB to log inverse depth (H, W) up to a scale and a shift

_RGB_ENDING = "_rgb"
_MILLIMETRES = 1000.0
_SMALLEST_DISPARITY = 1e-6  # a network may answer 0 for the far end


@dataclass(frozen=True)
class EvaluateDepthReport:
    """The figures of the network and of what needs no network: means over places of means over their frames.

    ``by_place`` has those of the network alone.
    """

    pairs: str
    frames: int
    model: str
    parameters: int
    weights_sha256: str | None
    metrics: dict[str, dict[str, float]]
    by_place: dict[str, dict[str, float]]

    def summary(self) -> str:
        """A table."""
        rows = dict(self.metrics)
        if len(self.by_place) > 1:
            rows |= {f"  {place}": values for place, values in self.by_place.items()}
        width = max(len(name) for name in rows)
        places = f"{len(self.by_place)} places" if len(self.by_place) > 1 else "one place"
        lines = [
            f"{self.frames} frames of {places} in {self.pairs}; {self.model}: {self.parameters:,} parameters"
        ]
        lines.append(f"{'':{width}}  AbsRel  delta1  Spearman")
        for name, values in rows.items():
            figures = f"{values['absrel']:6.3f}  {values['delta1']:6.3f}  {values['spearman']:8.3f}"
            lines.append(f"{name:{width}}  {figures}")
        return "\n".join(lines)


def evaluate_depth(config: EvaluateDepthConfig) -> EvaluateDepthReport:
    """Judge a depth network on RGB-D frames, beside a constant and the best linear function of the row.

    A place is what comes before the last ``_`` of a frame's name; each counts the same, however many frames
    there are of it.

    Raises:
        MdeasError: If the folder, the network or the device is not there.
    """
    device = choose_device(config.device)
    network = create_depth_network(config.model, config.weights, device)
    names = frame_names(config.pairs)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with Progress(len(names), "evaluate-depth", "frames") as progress:
        for path, (rgb, depth) in zip(names, read_frames(names), strict=True):
            known = depth > 0
            answers = {
                "constant": np.zeros_like(depth),
                "row": _rows(depth),
                network.info.name: predict_with(network, rgb, device),
            }
            for name, answer in answers.items():
                places = found.setdefault(name, {})
                places.setdefault(_place(path), []).append(fitted_metrics(answer[known], depth[known]))
            progress.update()
    by_place = {
        name: {place: mean_metrics(results) for place, results in places.items()}
        for name, places in found.items()
    }
    return EvaluateDepthReport(
        pairs=str(config.pairs),
        frames=len(names),
        model=network.info.name,
        parameters=network.info.parameters,
        weights_sha256=network.info.weights_sha256,
        metrics={name: mean_metrics(list(places.values())) for name, places in by_place.items()},
        by_place=by_place[network.info.name],
    )


def _place(path: Path) -> str:
    """Of the frame PLACE_NUMBER_rgb.*."""
    return path.stem.removesuffix(_RGB_ENDING).rpartition("_")[0]


def fitted_metrics(prediction: Array, depth: Array) -> dict[str, float]:
    """AbsRel, delta1 (Eigen et al. 2014, arXiv:1406.2283) and Spearman's rank correlation of known pixels.

    Scale and shift are those of least squares in log inverse depth.

    Args:
        prediction: (N,) log inverse depth up to a scale and a shift.
        depth: (N,) true depth, > 0.

    Returns:
        ``absrel``, ``delta1``, ``spearman`` (with log inverse depth; 0 for a constant prediction).
    """
    truth = -np.log(depth)
    x = prediction - prediction.mean()
    variance = float((x * x).mean())
    is_constant = variance < 1e-12
    scale = 0.0 if is_constant else float((x * truth).mean()) / variance
    fitted = np.exp(-(truth.mean() + scale * x))
    ratio = np.maximum(fitted / depth, depth / fitted)
    return {
        "absrel": float(np.mean(np.abs(fitted - depth) / depth)),
        "delta1": float(np.mean(ratio < 1.25)),
        "spearman": 0.0 if is_constant else _correlation(_ranks(prediction), _ranks(truth)),
    }


def mean_metrics(results: list[dict[str, float]]) -> dict[str, float]:
    """Each figure averaged over pictures.

    Raises:
        ValueError: If there is none.
    """
    if not results:
        raise ValueError("no pictures to average over")
    return {key: float(np.mean([one[key] for one in results])) for key in results[0]}


def evaluate_frames(predict: Predict, frames: Iterable[Frame]) -> dict[str, float]:
    """Mean :func:`fitted_metrics` of ``predict`` over ``frames``."""
    results = []
    for rgb, depth in frames:
        known = depth > 0
        results.append(fitted_metrics(predict(rgb)[known], depth[known]))
    return mean_metrics(results)


def frame_names(folder: Path, every: int = 1) -> list[Path]:
    """Every ``every``-th picture NAME_rgb.* of ``folder``, sorted.

    Raises:
        MdeasError: If there is none.
    """
    names = sorted(folder.glob(f"*{_RGB_ENDING}.*"))[::every]
    if not names:
        raise MdeasError(f"no frames in {folder}: expected NAME_rgb.jpg with NAME_depth.png beside it")
    return names


def read_frames(names: list[Path]) -> Iterator[Frame]:
    """Pictures with their NAME_depth.png (16 bit, millimetres, 0 = unknown).

    Raises:
        MdeasError: If a file cannot be read or the sizes differ.
    """
    for name in names:
        depth_name = name.with_name(name.stem.removesuffix(_RGB_ENDING) + "_depth.png")
        rgb = cv2.imread(str(name), cv2.IMREAD_COLOR)
        depth = cv2.imread(str(depth_name), cv2.IMREAD_UNCHANGED)
        if rgb is None or depth is None:
            raise MdeasError(f"cannot be read: {name if rgb is None else depth_name}; remove the frame")
        if depth.dtype != np.uint16 or depth.shape != rgb.shape[:2]:
            raise MdeasError(f"not 16-bit depth of the picture's size: {depth_name}; remove the frame")
        if not depth.any():
            raise MdeasError(f"no known depth at all: {depth_name}; remove the frame")
        yield (
            np.asarray(cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB), np.uint8),
            depth.astype(np.float64) / _MILLIMETRES,
        )


def predict_with(network: DepthNetwork, rgb: Picture, device: torch.device) -> Array:
    """Log inverse depth (H, W) of a picture by a depth network of any kind."""
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].to(device)
    answer = network.predict(picture)[0].double().clamp(min=_SMALLEST_DISPARITY).log().cpu().numpy()
    return answer if network.info.nearer == "larger" else -answer


@torch.inference_mode()
def predict_log_disparity(
    network: nn.Module, rgb: Picture, looks: tuple[tuple[int, bool], ...] = LOOKS
) -> Array:
    """Log inverse depth (H, W) of a picture by a bare network."""
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]
    return np.asarray(log_disparity(network, picture, looks)[0].double().numpy())


def stands_out(bare: Array, pasted: Array, mask: NDArray[np.bool_]) -> bool:
    """Whether a pasted object came out nearer than what it covers.

    Args:
        bare: Log inverse depth (H, W) of the background.
        pasted: The same of the composite; fitted to ``bare`` outside the mask first (scale and shift).
        mask: Where the object is.
    """
    x, y = pasted[~mask], bare[~mask]
    variance = float(x.var())
    scale = float(((x - x.mean()) * (y - y.mean())).mean()) / variance if variance > 1e-12 else 1.0
    fitted = y.mean() + scale * (pasted - x.mean())
    return bool(np.median(fitted[mask]) > np.median(bare[mask]))


def _rows(depth: Array) -> Array:
    """The row number at each pixel: lower down is nearer, as a rule."""
    return np.broadcast_to(np.arange(depth.shape[0], dtype=np.float64)[:, None], depth.shape)


def _ranks(x: Array) -> Array:
    """Ranks with ties averaged."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
