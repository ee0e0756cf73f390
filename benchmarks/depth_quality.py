"""What the check of depth labels finds: faults of each kind put into 1 % of the labels of a set.

`python benchmarks/depth_quality.py --dataset data/dataset`

The set must be labelled. Nothing is written to it. As 1 % of a small set is few, this is done over and over,
each time with other labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from mdeas.models.depth import create_depth_network
from mdeas.pipeline.depth import Labeller
from mdeas.pipeline.depth_quality import judge, look_at_backgrounds, measured
from mdeas.pipeline.depth_record import mapping_of
from mdeas.pipeline.depth_scores import FAULTS
from mdeas.pipeline.depth_sources import Backgrounds, Pictures
from mdeas.pipeline.manifest import read_depth_info, read_manifest

SHARE = 0.01


def shifted(label: np.ndarray, by: float, rng: np.random.Generator) -> np.ndarray:
    """Moved in any direction by ``by`` pixels, the border repeated."""
    angle = rng.uniform(0, 2 * np.pi)
    move = np.array([[1, 0, round(by * np.cos(angle))], [0, 1, round(by * np.sin(angle))]], np.float32)
    return cv2.warpAffine(label, move, label.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def holed(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """NaN in a rectangle of 1 to 20 % of the picture, which a file holds as 0."""
    side = label.shape[0]
    area = rng.uniform(0.01, 0.2)
    width = round(side * np.sqrt(area) * rng.uniform(0.7, 1.4))
    height = min(side, round(area * side * side / width))
    x, y = rng.integers(0, side - width + 1), rng.integers(0, side - height + 1)
    label = label.copy()
    label[y : y + height, x : x + width] = 0
    return label


def faulty(pictures: Pictures, number: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A label with each kind of fault."""
    label = pictures.depth(number)
    bg = pictures.rows(number, number + 1).bg[0]
    others = rng.permutation(pictures.samples)
    is_same = pictures_bg(pictures)[others] == bg
    same = others[is_same & (others != number)]
    side = label.shape[0]
    return {
        "flat": np.full_like(label, int(label.mean())),
        "NaN everywhere": np.zeros_like(label),
        "NaN in a part": holed(label, rng),
        "inverted": (int(label.max()) + int(label.min()) - label.astype(int)).astype(np.uint16),
        "shifted by 2 %": shifted(label, 0.02 * side, rng),
        "shifted by 4 %": shifted(label, 0.04 * side, rng),
        "shifted by 8 %": shifted(label, 0.08 * side, rng),
        "shifted by 16 %": shifted(label, 0.16 * side, rng),
        "of a sample on another background": pictures.depth(int(others[~is_same][0])),
        "of a sample on the same background": pictures.depth(int(same[0])) if len(same) else label,
    }


def pictures_bg(pictures: Pictures) -> np.ndarray:
    return pictures.rows(0, pictures.samples).bg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    info = read_depth_info(options.dataset)
    if info is None:
        parser.error("the data set has no depth labels")
    device = torch.device("cpu")
    labeller = Labeller(create_depth_network(options.model, options.weights, device), device, 16, 1)
    labeller.mapping = mapping_of(info)
    pictures = Pictures(options.dataset, read_manifest(options.dataset))
    with labeller.ready():
        reference = look_at_backgrounds(pictures, Backgrounds(pictures, labeller), labeller)
    bg, rng = pictures_bg(pictures), np.random.default_rng(0)

    def measures(number: int, label: np.ndarray) -> np.ndarray:
        return measured(pictures, number, label, int(bg[number]), reference, labeller)

    clean = np.stack([measures(number, pictures.depth(number)) for number in range(pictures.samples)])
    kinds = list(faulty(pictures, 0, rng))
    each = max(1, round(SHARE * pictures.samples))
    found: dict[str, list[bool]] = {kind: [] for kind in kinds}
    alarms: list[np.ndarray] = []
    for _ in range(options.rounds):
        mixed, touched = (
            clean.copy(),
            rng.permutation(pictures.samples)[: each * len(kinds)].reshape(-1, each),
        )
        for kind, numbers in zip(kinds, touched, strict=True):
            for number in numbers.tolist():
                mixed[number] = measures(number, faulty(pictures, number, rng)[kind])
        _, faults = judge(mixed, bg)
        for kind, numbers in zip(kinds, touched, strict=True):
            found[kind] += (faults[numbers] > 0).tolist()
        alarms.append(np.delete(faults, touched.ravel()))
    print(f"{pictures.samples} labels ({info.mode}), {options.rounds} rounds of {each} faults a kind")
    print("| fault | found |\n|---|---|")
    for kind, hits in found.items():
        print(f"| {kind} | {np.mean(hits):.1%} |")
    print("\n| untouched labels | share |\n|---|---|")
    for number, name in enumerate(FAULTS[1:], 1):
        print(f"| {name} | {np.mean(np.concatenate(alarms) == number):.2%} |")


if __name__ == "__main__":
    main()
