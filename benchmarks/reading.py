"""Opening a data set, and samples a second of reading (bg, fg_bg, mask, depth) in random order.

    python benchmarks/reading.py data/dataset [--samples 600] [--repeats 3] [--only open|one|two]

One process: `zipfile` and Pillow; our decoders alone on files in memory, and without the backgrounds, which
reading decodes once and keeps; our batches. Two cores: a plain Dataset of `zipfile` and Pillow under a
DataLoader of two processes; webdataset and mosaicml-streaming (where they are installed) over the same files
with two processes and Pillow; our batches with two threads. All give small integers as ours do, except for
the plain one, which gives floats as is usual. Those two formats hold whole samples, each with its background;
they are measured a second time without. Candidates in turn, medians, workers are up before the clock runs.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mdeas.models.dataset import FgBgDataset, batches, epoch_order
from mdeas.pipeline import images
from mdeas.pipeline.manifest import BACKGROUNDS_NAME, background_name, sample_name, shard_name
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardReader
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

BATCH = 32
NAMES = ("bg.png", "fg_bg.jpg", "mask.png", "depth.png")


class PlainDataset(Dataset[tuple[Tensor, ...]]):
    """What one writes first: `zipfile`, Pillow, floats; archives stay open."""

    def __init__(self, root: Path, numbers: NDArray[np.int64]) -> None:
        reader = DatasetReader(root)
        self.root, self.numbers, self.total = root, numbers, len(reader)
        self.backgrounds = len(reader.manifest.bg)
        self.bg = np.asarray(reader.bg)
        self.per_shard = reader.manifest.samples_per_shard
        self.archives: dict[str, zipfile.ZipFile] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def picture(self, archive: str, name: str) -> NDArray[np.generic]:
        if archive not in self.archives:
            self.archives[archive] = zipfile.ZipFile(self.root / archive)
        return np.asarray(Image.open(io.BytesIO(self.archives[archive].read(name))))

    def arrays(self, index: int) -> list[NDArray[np.generic]]:
        number = int(self.numbers[index])
        found = [self.picture("bg.zip", background_name(int(self.bg[number]), self.backgrounds))]
        for kind in ("fg_bg", "mask", "depth"):
            archive = shard_name(kind, number // self.per_shard)
            found.append(self.picture(archive, sample_name(kind, number, self.total)))
        return found

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        bg, fg_bg, mask, depth = self.arrays(index)
        pictures = [torch.from_numpy(x.copy()).permute(2, 0, 1).float() / 255 for x in (bg, fg_bg)]
        depth = torch.from_numpy(depth.astype(np.float32))[None] / 65535
        return (*pictures, torch.from_numpy(mask.astype(np.float32))[None], depth)


def as_uint8(sample: dict[str, bytes]) -> list[Tensor]:
    """Small tensors of the files of a sample, by Pillow."""
    opened = [Image.open(io.BytesIO(sample[name])) for name in NAMES if name in sample]
    kinds = [np.uint8] * (len(opened) - 1) + [np.uint16]
    return [torch.from_numpy(np.array(one, kind)) for one, kind in zip(opened, kinds, strict=True)]


def files_of(reader: DatasetReader, number: int, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of a sample as they lie in the archives."""
    bg = ShardReader(reader.root / BACKGROUNDS_NAME)
    files = {name: reader.encoded(name.split(".")[0], number) for name in NAMES[1:]}
    files["bg.png"] = bg.read(background_name(int(reader.bg[number]), len(reader.manifest.bg)))
    return {name: files[name] for name in names}


def webdataset_loader(files: list[dict[str, bytes]], out: Path) -> Iterable[object]:
    """The samples in four tar files."""
    import webdataset

    out.mkdir()
    for shard, part in enumerate(np.array_split(np.arange(len(files)), 4)):
        with webdataset.TarWriter(str(out / f"{shard:05d}.tar")) as tar:
            for number in part:
                tar.write({"__key__": f"{number:06d}", **files[number]})
    urls = sorted(str(path) for path in out.glob("*.tar"))
    data = webdataset.WebDataset(urls, shardshuffle=False).map(as_uint8).batched(BATCH)
    return DataLoader(data, batch_size=None, num_workers=2, persistent_workers=True)


def streaming_loader(files: list[dict[str, bytes]], out: Path) -> Iterable[object]:
    """The samples in MDS shards."""
    from streaming import MDSWriter, StreamingDataset

    class Pictures(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: int) -> list[Tensor]:
            return as_uint8(super().__getitem__(index))

    with MDSWriter(out=str(out), columns=dict.fromkeys(files[0], "bytes")) as writer:
        for sample in files:
            writer.write(sample)
    data = Pictures(local=str(out), shuffle=False, batch_size=BATCH)
    return DataLoader(data, batch_size=BATCH, num_workers=2, persistent_workers=True)


class Ours:
    """Our batches, by threads."""

    def __init__(self, dataset: FgBgDataset, order: NDArray[np.int64], threads: int) -> None:
        self.dataset, self.order, self.threads = dataset, order, threads

    def __iter__(self) -> Iterator[object]:
        return batches(self.dataset, self.order, BATCH, self.threads)


def each(function: Callable[[int], object], count: int) -> Iterable[object]:
    """An iterable that can be gone through again."""

    class Calls:
        def __iter__(self) -> Iterator[object]:
            return (function(index) for index in range(count))

    return Calls()


def one_process(dataset: FgBgDataset, order: NDArray[np.int64]) -> dict[str, Iterable[object]]:
    """Candidates without any worker."""
    reader, numbers = dataset.reader, dataset.samples[order]
    decoders = {"fg_bg": images.decode_jpeg, "mask": images.decode_mask, "depth": images.decode_gray16}
    files = [[(f, reader.encoded(kind, int(n))) for kind, f in decoders.items()] for n in numbers]
    with_bg = [
        [(images.decode_png, files_of(reader, int(n), NAMES[:1])["bg.png"]), *rest]
        for n, rest in zip(numbers, files, strict=True)
    ]
    return {
        "zipfile + Pillow": each(PlainDataset(reader.root, numbers).arrays, len(numbers)),
        "decoding alone": each(lambda index: [f(data) for f, data in with_bg[index]], len(numbers)),
        "the same, no bg": each(lambda index: [f(data) for f, data in files[index]], len(numbers)),
        "mdeas": Ours(dataset, order, 0),
    }


def two_cores(dataset: FgBgDataset, order: NDArray[np.int64], scratch: Path) -> dict[str, Iterable[object]]:
    """Candidates with two workers."""
    reader, numbers = dataset.reader, dataset.samples[order]
    plain = PlainDataset(reader.root, numbers)
    found: dict[str, Iterable[object]] = {
        "plain DataLoader": DataLoader(plain, BATCH, num_workers=2, persistent_workers=True)
    }
    for name, make in (("webdataset", webdataset_loader), ("streaming", streaming_loader)):
        for label, names in ((name, NAMES), (f"{name}, no bg", NAMES[1:])):
            try:
                files = [files_of(reader, int(number), names) for number in numbers]
                found[label] = make(files, scratch / label)
            except ImportError as error:
                print(f"{label}: {error}")
    return {**found, "mdeas": Ours(dataset, order, 2)}


def measure(title: str, candidates: dict[str, Iterable[object]], samples: int, repeats: int) -> None:
    """Median samples a second of every candidate, after one turn in which workers come up and caches fill."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(repeats + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            for _ in candidate:
                pass
            if turn:
                rates[name].append(samples / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = next(iter(medians.values()))
    print(f"{title}: {samples:,} samples, the median of {repeats}")
    for name, rate in medians.items():
        beside = medians["mdeas"] / rate
        print(f"  {name:20} {rate:8,.0f} samples/s  x {rate / base:5.2f}   mdeas x {beside:5.2f}")


OPENING = """
import sys, time, zipfile
from pathlib import Path
from mdeas.models.dataset import FgBgDataset
memory = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
folder, how = Path(sys.argv[1]), sys.argv[2]
before, start = memory(), time.perf_counter()
if how == "zipfile":
    kept = [zipfile.ZipFile(path) for path in sorted(folder.glob("*.zip"))]
else:
    kept = FgBgDataset(folder)
opened = time.perf_counter()
if how == "mdeas, first sample":
    kept[0]
    opened = time.perf_counter()
print(1000 * (opened - start), memory() - before)
"""


def opening(folder: Path, repeats: int) -> None:
    """Milliseconds and MiB of opening the data set in a fresh process."""
    total = len(DatasetReader(folder))
    print(f"opening {total:,} samples, the median of {repeats} fresh processes")
    for how in ("zipfile", "mdeas", "mdeas, first sample"):
        runs = [
            subprocess.run(
                [sys.executable, "-c", OPENING, folder, how], capture_output=True, text=True, check=True
            )
            for _ in range(repeats)
        ]
        ms, mib = (statistics.median(float(run.stdout.split()[part]) for run in runs) for part in (0, 1))
        print(f"  {how:20} {ms:9.1f} ms {mib:8.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("open", "one", "two"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.only in (None, "open"):
        opening(options.dataset, options.repeats)
    dataset = FgBgDataset(options.dataset)
    order = epoch_order(len(dataset), 0, 0)[: options.samples]
    if options.only in (None, "one"):
        measure("one process", one_process(dataset, order), len(order), options.repeats)
    if options.only in (None, "two"):
        with tempfile.TemporaryDirectory() as scratch:
            measure("two cores", two_cores(dataset, order, Path(scratch)), len(order), options.repeats)


if __name__ == "__main__":
    main()
