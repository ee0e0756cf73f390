"""How many pictures a second `mdeas clean` takes, beside decoding alone, and its peak memory by their number.

`python benchmarks/clean.py --fg data/raw/fg --bg data/raw/bg` measures the user's pictures;
`python benchmarks/clean.py --draw 1000 10000` draws so many small ones (cut-outs and photos by turns).

Decoding alone is Pillow's full decode of the same files, one after the other in one process. The peak is
the sum over all processes of the run, sampled from /proc (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from mdeas.pipeline.clean import clean
from mdeas.pipeline.decode import BadPictureError, decode
from mdeas.pipeline.options import CleanConfig

PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class PeakMemory(threading.Thread):
    """The largest sum of the resident memory of this process group, MiB, and that of its largest process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.total = self.largest = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.2):
            sizes = [size for path in Path("/proc").glob("[0-9]*") if (size := self._size(path)) is not None]
            self.total = max(self.total, sum(sizes))
            self.largest = max(self.largest, max(sizes, default=0.0))

    def _size(self, path: Path) -> float | None:
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[21]) * PAGE_MIB if int(fields[2]) == os.getpgrp() else None
        except (OSError, IndexError):
            return None

    def stop(self) -> None:
        self._done.set()
        self.join()


def draw(folder: Path, count: int) -> None:
    """Half cut-outs as PNG, half photos as JPEG, all different."""
    rows, columns = np.mgrid[0:200, 0:240]
    for kind in ("fg", "bg"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        small = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
        if number % 2:
            photo = cv2.resize(small, (320, 260), interpolation=cv2.INTER_CUBIC)
            noise = rng.integers(0, 12, photo.shape, np.uint8)
            cv2.imwrite(str(folder / "bg" / f"{number:06d}.jpg"), photo // 2 + 40 + noise)
        else:
            distance = np.hypot(rows - 100, columns - 120) - 70 - 15 * np.sin(columns / rng.uniform(9, 30))
            alpha = np.clip(-distance * 60 + 128, 0, 255).astype(np.uint8)
            cutout = np.dstack([cv2.resize(small, (240, 200), interpolation=cv2.INTER_CUBIC), alpha])
            cv2.imwrite(str(folder / "fg" / f"{number:06d}.png"), cutout)


def measure(fg: Path, bg: Path, jobs: int) -> dict[str, float | int]:
    """One run into a fresh folder, the rerun that finds nothing to do, and decoding alone."""
    with tempfile.TemporaryDirectory() as out:
        config = CleanConfig(fg=fg, bg=bg, out=Path(out), jobs=jobs)
        memory = PeakMemory()
        memory.start()
        report = clean(config)
        memory.stop()
        again = clean(config)
    started = time.perf_counter()
    for path in [*fg.iterdir(), *bg.iterdir()]:
        try:
            decode(path.read_bytes())
        except BadPictureError:
            continue
    decoding_s = time.perf_counter() - started
    return {
        "files": report.files,
        "usable": report.kept + report.fixed,
        "clean_per_s": round(report.files / report.seconds, 1),
        "rerun_s": again.seconds,
        "decode_alone_per_s": round(report.files / decoding_s, 1),
        "peak_mib": round(memory.total),
        "largest_process_mib": round(memory.largest),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fg", type=Path)
    parser.add_argument("--bg", type=Path)
    parser.add_argument("--draw", type=int, nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    if arguments.fg and arguments.bg:
        print(json.dumps(measure(arguments.fg, arguments.bg, arguments.jobs)), flush=True)
    for count in arguments.draw:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), count)
            print(json.dumps(measure(Path(folder, "fg"), Path(folder, "bg"), arguments.jobs)), flush=True)


if __name__ == "__main__":
    os.setpgrp()
    main()
