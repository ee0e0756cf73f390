"""`label-depth --mode model` beside `--mode composed` where the truth is known: rendered rooms.

`python benchmarks/depth_modes.py --samples 1000`

Rooms with exact depth and drawn cut-outs become a data set with `make-dataset`'s own commands, which is
labelled both ways. Where a pasted object is, is a matter of what one takes it for, so there are two truths:
it stands where its lowest pixels meet the room (and nothing that it covers is nearer), or it is a card at 0.5
to 0.95 of the nearest that it covers, which is what the bundled network was trained on. Figures after fitting
scale and shift in log inverse depth, averaged over samples.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import cv2
import numpy as np
from mdeas.models.depth_eval import fitted_metrics, mean_metrics, stands_out
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.depth import label_depth
from mdeas.pipeline.depth_composed import CONTACT
from mdeas.pipeline.options import LabelDepthConfig, MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from mdeas.scenes.cutouts import draw_cutout
from mdeas.scenes.rooms import draw_room
from PIL import Image

HELD_OUT_SEED = 999_983  # of rooms that no training with a smaller seed draws
SIZE = 224
EDGE = 7  # pixels across the band along the object's outline
NEARER = (0.5, 0.95)


def draw(folder: Path, rooms: int, cutouts: int) -> list[np.ndarray]:
    """Pictures into ``fg`` and ``bg``; the rooms' depth in metres."""
    depths = []
    for kind in ("fg", "bg"):
        (folder / kind).mkdir()
    for index in range(rooms):
        rgb, depth = draw_room(HELD_OUT_SEED, index, SIZE, SIZE)
        Image.fromarray(rgb).save(folder / "bg" / f"{index:04d}.png")
        depths.append(depth.astype(np.float64))
    for index in range(cutouts):
        Image.fromarray(draw_cutout(HELD_OUT_SEED, index, 180)).save(folder / "fg" / f"{index:04d}.png")
    return depths


def truths(room: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Depth in metres of a sample under either notion of where its object is."""
    rows = np.flatnonzero(mask.any(axis=1))
    lowest = mask.copy()
    lowest[: rows[-1] + 1 - max(1, round(CONTACT * len(rows)))] = False
    standing = min(float(np.median(room[lowest])), float(np.quantile(room[mask], 0.05)))
    card = float(np.quantile(room[mask], 0.02)) * rng.uniform(*NEARER)
    return {"standing": np.where(mask, standing, room), "card": np.where(mask, card, room)}


def judge(reader: DatasetReader, depths: list[np.ndarray], order: list[int]) -> dict[str, dict[str, float]]:
    """Mean figures by what they are over; every fourth pixel, or ranks would take minutes."""
    info = reader.depth_info
    found: dict[str, list[dict[str, float]]] = {}
    rng = np.random.default_rng(0)
    for number in range(len(reader)):
        room = depths[order[int(reader.samples.bg[number])]]
        mask = reader.mask(number) > 0
        label = np.log(np.maximum(reader.depth(number) * info.scale + info.offset, 1e-6))
        outline = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((EDGE, EDGE))) > 0
        found.setdefault("background", []).append(fitted_metrics(label[~mask][::4], room[~mask][::4]))
        found.setdefault("object nearer", []).append({"share": float(stands_out(-np.log(room), label, mask))})
        for name, truth in truths(room, mask, rng).items():
            found.setdefault(f"whole, {name}", []).append(
                fitted_metrics(label.ravel()[::4], truth.ravel()[::4])
            )
            found.setdefault(f"outline, {name}", []).append(fitted_metrics(label[outline], truth[outline]))
    return {name: mean_metrics(results) for name, results in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--cutouts", type=int, default=40)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        depths = draw(folder, options.rooms, options.cutouts)
        dataset = folder / "dataset"
        made = make_dataset(
            MakeDatasetConfig(fg=folder / "fg", bg=folder / "bg", out=dataset, limit=options.samples)
        )
        order = [int(Path(asset.file).stem) for asset in DatasetReader(dataset).manifest.bg]
        print(f"{made.samples} samples of {made.fg} cut-outs on {made.bg} rooms")
        print("| mode | on | AbsRel | delta1 | Spearman |\n|---|---|---|---|---|")
        config = LabelDepthConfig(dataset=dataset, model=options.model, weights=options.weights)
        notes = []
        for mode in ("model", "composed"):
            report = label_depth(dataclasses.replace(config, mode=mode, overwrite=True))
            for what, figures in judge(DatasetReader(dataset), depths, order).items():
                if "share" in figures:
                    notes.append(f"{mode}: {figures['share']:.1%} of the objects nearer than what they cover")
                    continue
                print(
                    f"| {mode} | {what} | " + " | ".join(f"{value:.3f}" for value in figures.values()) + " |"
                )
            notes.append(f"{mode}: {report.images_per_second:.1f} labels a second")
        print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
