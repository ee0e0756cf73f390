"""The bundled depth network on everything there is to check it with.

`python benchmarks/depth_network.py --pairs RGBD --fg FG --bg BG` prints a Markdown table: real RGB-D frames
beside two predictors that need no network, rendered rooms that the training never drew, how often a pasted
object comes out nearer than what it covers, and what a picture costs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mdeas.models.depth import BUNDLED_WEIGHTS, BundledDepthNetwork
from mdeas.models.depth_eval import (
    Frame,
    Picture,
    Predict,
    evaluate_frames,
    frame_names,
    predict_log_disparity,
    read_frames,
    stands_out,
)
from mdeas.models.depth_net import LOOKS, fuse_batch_norm, load_weights
from mdeas.pipeline.images import paste, read_background, read_foreground, resize_rgba, square
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.scenes.rooms import draw_room

HELD_OUT_SEED = 999_983  # of rooms that no training with a smaller seed draws
SIZE = 224
OPAQUE = 127


def rows(rgb: Picture) -> np.ndarray:
    return np.broadcast_to(np.arange(rgb.shape[0], dtype=np.float64)[:, None], rgb.shape[:2])


def held_out_rooms(count: int) -> Iterator[Frame]:
    for index in range(count):
        rgb, depth = draw_room(HELD_OUT_SEED, index, 240, 320)
        yield rgb, depth.astype(np.float64)


def share_nearer(predict: Predict, fg: Path, bg: Path, count: int) -> float:
    """Of ``count`` cut-outs pasted as `make-dataset` does, the share nearer than what it covers."""
    rng = np.random.default_rng(0)
    foregrounds, backgrounds = sorted(fg.glob("*.png")), sorted(bg.glob("*.jpg"))
    nearer = []
    for _ in range(count):
        bare = square(read_background(backgrounds[rng.integers(len(backgrounds))]), SIZE)
        rgba = read_foreground(foregrounds[rng.integers(len(foregrounds))])
        factor = rng.uniform(*MakeDatasetConfig.scale) * SIZE / max(rgba.shape[:2])
        height, width = (max(1, round(side * factor)) for side in rgba.shape[:2])
        rgba = resize_rgba(rgba, width, height)
        x, y = int(rng.integers(SIZE - width + 1)), int(rng.integers(SIZE - height + 1))
        mask = np.zeros((SIZE, SIZE), bool)
        mask[y : y + height, x : x + width] = rgba[:, :, 3] > OPAQUE
        nearer.append(stands_out(predict(bare), predict(paste(bare, rgba, x, y)), mask))
    return float(np.mean(nearer))


def milliseconds(network: BundledDepthNetwork, threads: int, batch: int) -> float:
    torch.set_num_threads(threads)
    pictures = torch.randint(0, 256, (batch, 3, SIZE, SIZE), dtype=torch.uint8)
    took = []
    for _ in range(7):
        start = time.perf_counter()
        network.predict(pictures)
        took.append((time.perf_counter() - start) / batch * 1000)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, help="RGB-D frames: NAME_rgb.jpg beside NAME_depth.png")
    parser.add_argument("--fg", type=Path, help="cut-outs")
    parser.add_argument("--bg", type=Path, help="backgrounds")
    parser.add_argument("--weights", type=Path, default=Path("models/weights") / BUNDLED_WEIGHTS)
    parser.add_argument("--every", type=int, default=1, help="use every N-th frame")
    parser.add_argument("--rooms", type=int, default=300, help="held-out rendered rooms")
    parser.add_argument("--objects", type=int, default=500, help="pasted objects")
    args = parser.parse_args()
    network, _ = load_weights(args.weights)
    fuse_batch_norm(network)
    torch.set_num_threads(1)
    predictors: dict[str, Predict] = {
        "constant": lambda rgb: np.zeros(rgb.shape[:2]),
        "row": rows,
        "network": lambda rgb: predict_log_disparity(network, rgb),
        "network, one look": lambda rgb: predict_log_disparity(network, rgb, LOOKS[:1]),
        "network, one larger look": lambda rgb: predict_log_disparity(network, rgb, ((LOOKS[1][0], False),)),
    }
    print("| on | predictor | AbsRel | delta1 | Spearman |\n|---|---|---|---|---|")
    for name, predict in predictors.items():
        sources: dict[str, Iterator[Frame]] = {"rendered rooms": held_out_rooms(args.rooms)}
        if args.pairs:
            sources["real frames"] = read_frames(frame_names(args.pairs, args.every))
        for source, frames in sources.items():
            figures = evaluate_frames(predict, frames)
            print(f"| {source} | {name} | " + " | ".join(f"{value:.3f}" for value in figures.values()) + " |")
    if args.fg and args.bg:
        share = share_nearer(predictors["network"], args.fg, args.bg, args.objects)
        print(f"\npasted objects nearer than what they cover: {share:.1%} of {args.objects}")
    bundled = BundledDepthNetwork(args.weights, torch.device("cpu"))
    print(f"{bundled.info.parameters:,} parameters, {args.weights.stat().st_size:,} bytes")
    for threads in (1, 2):
        cost = " and ".join(
            f"{milliseconds(bundled, threads, batch):.1f} (batch {batch})" for batch in (1, 32)
        )
        print(f"ms a picture of {SIZE}x{SIZE}, {threads} threads: {cost}")


if __name__ == "__main__":
    main()
