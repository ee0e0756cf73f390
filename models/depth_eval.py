"""How good relative depth is: AbsRel, delta1 and Spearman after fitting scale and shift in log inverse depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from .. import MdeasError
from .depth_net import resize_for_network

Array = NDArray[np.float64]


def fitted_metrics(prediction: Array, depth: Array) -> dict[str, float]:
    """AbsRel, delta1 (Eigen et al. 2014) and Spearman's rank correlation of one picture's known pixels.

    Args:
        prediction: (N,) log inverse depth up to a scale and a shift.
        depth: (N,) true depth, > 0.

    Returns:
        ``absrel``, ``delta1``, ``spearman`` (0 for a constant prediction).
    """
    truth = -np.log(depth)
    x = prediction - prediction.mean()
    variance = float((x * x).mean())
    scale = float((x * truth).mean()) / variance if variance > 1e-12 else 0.0
    fitted = np.exp(-(truth.mean() + scale * x))
    ratio = np.maximum(fitted / depth, depth / fitted)
    return {
        "absrel": float(np.mean(np.abs(fitted - depth) / depth)),
        "delta1": float(np.mean(ratio < 1.25)),
        "spearman": _correlation(_ranks(prediction), _ranks(truth)) if variance > 1e-12 else 0.0,
    }


def _ranks(x: Array) -> Array:
    """Ranks with ties averaged."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1) / 2)[inverse]
    return ranks


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0


def evaluate_pairs(network: nn.Module, folder: Path, every: int = 1) -> dict[str, float]:
    """Mean metrics of ``network`` (picture in 0..1 to log inverse depth) over every ``every``-th frame of ``folder``.

    Raises:
        MdeasError: If the folder holds no frames.
    """
    results = []
    for rgb, depth in read_pairs(folder, every):
        prediction = predict_log_disparity(network, rgb)
        known = depth > 0
        results.append(fitted_metrics(prediction[known], depth[known]))
    return mean_metrics(results)


def mean_metrics(results: list[dict[str, float]]) -> dict[str, float]:
    """Each figure averaged over pictures."""
    return {key: float(np.mean([one[key] for one in results])) for key in results[0]}


def read_pairs(folder: Path, every: int = 1) -> Iterator[tuple[NDArray[np.uint8], Array]]:
    """Frames NAME_rgb.jpg with NAME_depth.png (16 bit, millimetres, 0 = unknown): RGB and metres."""
    names = sorted(folder.glob("*_rgb.*"))[::every]
    if not names:
        raise MdeasError(f"no frames NAME_rgb.jpg in {folder}; expected NAME_depth.png beside each")
    for name in names:
        rgb = cv2.imread(str(name), cv2.IMREAD_COLOR)
        depth_name = name.with_name(name.stem.removesuffix("_rgb") + "_depth.png")
        depth = cv2.imread(str(depth_name), cv2.IMREAD_UNCHANGED)
        if rgb is None or depth is None:
            raise MdeasError(f"cannot be read: {name if rgb is None else depth_name}; remove the frame")
        yield cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB).astype(np.uint8), depth.astype(np.float64) / 1000


@torch.inference_mode()
def predict_log_disparity(network: nn.Module, rgb: NDArray[np.uint8]) -> Array:
    """Log inverse depth (H, W) of one picture (H, W, 3)."""
    height, width = rgb.shape[:2]
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]
    answer = network(resize_for_network(picture))
    answer = F.interpolate(answer[:, None], (height, width), mode="bilinear", align_corners=False)
    return answer[0, 0].double().numpy()
