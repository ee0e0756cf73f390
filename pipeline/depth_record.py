"""What depth labels are made with, how far they are, and what ``depth.json`` says of them in the end."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError, __version__
from .manifest import DEPTH_INFO_NAME, DepthInfo, read_depth_info, read_json, write_json
from .shards import ShardRecord
from .stats import PixelSums, sum_pixels

if TYPE_CHECKING:
    from .depth import Labeller

STATE_NAME = ".work/depth.json"
MAX_VALUE = 65535
# What labels of one set must have in common, and the option that each comes from.
_OPTIONS = {
    "model": "--model",
    "weights_sha256": "--weights",
    "precision": "--precision",
    "micro_batch": "--micro-batch",
    "device": "--device",
    "dataset_sha256": "--dataset",
}


@dataclass(frozen=True)
class LabelDepthReport:
    """What ``mdeas label-depth`` did; ``samples`` is the whole set, ``labelled`` the share of this run."""

    path: str
    model: str
    kind: str
    nearer: str
    device: str
    samples: int
    labelled: int
    seconds: float
    images_per_second: float
    bytes: int
    clipped: float
    rejected: tuple[str, ...] = ()

    def summary(self) -> str:
        """Two or three lines for people."""
        lines = [f"{self.samples:,} depth labels in {self.path} ({self.bytes / 1e6:,.1f} MB)"]
        if self.labelled:
            rate = f"{self.seconds:,.1f} s, {self.images_per_second:,.1f} a second on {self.device}"
            lines.append(f"{self.labelled:,} made by this run in {rate}")
        else:
            lines.append("Nothing to do: every picture has its label")
        way = f"{self.kind.replace('_', ' ')}, {self.nearer} is nearer"
        lines.append(f"{self.model}: {way}; {self.clipped:.3%} of the values at an end of the range")
        if self.rejected:
            lines.append(f"{len(self.rejected)} files left out:")
            lines.extend(f"  {line}" for line in self.rejected)
        return "\n".join(lines)


def report_of(
    folder: Path,
    labeller: Labeller,
    info: DepthInfo,
    labelled: int,
    started: float,
    size_bytes: int,
    rejected: tuple[str, ...] = (),
) -> LabelDepthReport:
    """The report of a run that began at ``time.monotonic()`` ``started`` and made ``labelled`` labels."""
    seconds = time.monotonic() - started
    return LabelDepthReport(
        path=str(folder),
        model=info.model,
        kind=info.kind,
        nearer=info.nearer,
        device=str(labeller.device),
        samples=info.samples,
        labelled=labelled,
        seconds=round(seconds, 3),
        images_per_second=round(labelled / seconds, 2),
        bytes=size_bytes,
        clipped=info.clipped,
        rejected=rejected,
    )


@dataclass(frozen=True)
class LabelSums:
    """Exact sums over depth labels; ``clipped`` counts values at either end of the range."""

    pixels: PixelSums
    clipped: int

    @classmethod
    def empty(cls) -> LabelSums:
        """Over no label at all."""
        return cls(PixelSums.empty(channels=1, levels=MAX_VALUE), 0)

    @classmethod
    def of(cls, values: NDArray[np.uint16]) -> LabelSums:
        """Over labels (N, H, W)."""
        pixels = sum_pixels(values.reshape(-1, values.shape[-1]))
        clipped = np.count_nonzero(values == 0) + np.count_nonzero(values == MAX_VALUE)
        return cls(dataclasses.replace(pixels, pictures=len(values)), int(clipped))

    def merge(self, other: LabelSums) -> LabelSums:
        """Over the labels of both."""
        return LabelSums(self.pixels.merge(other.pixels), self.clipped + other.clipped)

    def figures(self) -> dict[str, float]:
        """What ``depth.json`` says of the stored values, on the 0-1 scale."""
        pixels = self.pixels
        return {
            "min": pixels.low[0] / MAX_VALUE,
            "max": pixels.high[0] / MAX_VALUE,
            "mean": pixels.mean()[0],
            "std": pixels.std()[0],
        }

    def clipped_share(self) -> float:
        """Clipped values among all."""
        return self.clipped / max(1, self.pixels.count)


@dataclass
class State:
    """What the labels are made with, and the archives that are finished; saved after each."""

    path: Path
    properties: dict[str, Any]
    finished: dict[str, tuple[ShardRecord, LabelSums]]
    range: tuple[float, float] | None = None  # quantities of the values 0 and MAX_VALUE, once they are known

    def save(self) -> None:
        """Write it atomically."""
        archives = [
            {"record": dataclasses.asdict(record), "sums": dataclasses.asdict(sums)}
            for record, sums in self.finished.values()
        ]
        self.path.parent.mkdir(exist_ok=True)
        write_json(self.path, {"properties": self.properties, "range": self.range, "archives": archives})

    def remove(self) -> None:
        """The labels are complete: the state goes, and its folder if nothing else is in it."""
        self.path.unlink()
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    @classmethod
    def load(cls, path: Path) -> State:
        """Read it.

        Raises:
            MdeasError: If the file is damaged.
        """
        content = read_json(path)
        finished = {}
        for archive in content["archives"]:
            record, sums = ShardRecord(**archive["record"]), archive["sums"]
            finished[record.name] = record, LabelSums(PixelSums.from_json(sums["pixels"]), sums["clipped"])
        found = content["range"]
        return cls(path, content["properties"], finished, (found[0], found[1]) if found else None)


def properties_of(labeller: Labeller, dataset_sha256: str | None) -> dict[str, Any]:
    """What must not change between two runs over the same labels."""
    return {
        "model": labeller.info.name,
        "weights_sha256": labeller.info.weights_sha256,
        "precision": labeller.precision,
        "micro_batch": labeller.micro_batch,
        # Another kind of device rounds the last bits otherwise; another of the same kind does not.
        "device": labeller.device.type,
        "dataset_sha256": dataset_sha256,
    }


def recorded_properties(info: DepthInfo) -> dict[str, Any]:
    """What finished labels were made with."""
    return {name: getattr(info, name) for name in _OPTIONS}


def refuse_other(folder: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """An error naming the first property in which the labels that are there differ."""
    for name, option in _OPTIONS.items():
        if there[name] != asked[name]:
            # Twelve digits are enough to tell two hashes apart.
            both = (str(values[name]) for values in (there, asked))
            old, new = (value[:12] if "sha256" in name else value for value in both)
            raise MdeasError(
                f"depth labels made with another {name.replace('_', ' ')}: {folder} ({old}, now {new}); "
                f"use the same {option}, or --overwrite to label afresh"
            )


def begin(folder: Path, properties: dict[str, Any], labels: str) -> State:
    """The state to go on from, saved; ``depth.json`` is gone from here until the labels are complete again.

    Args:
        folder: Where the labels are.
        properties: What they are to be made with.
        labels: Glob pattern of label files.

    Raises:
        MdeasError: If there are labels that were made otherwise, or that nobody knows the making of.
    """
    path, info = folder / STATE_NAME, read_depth_info(folder)
    if path.exists():
        state = State.load(path)
    elif info is not None:
        known = (info.offset, info.offset + info.scale * MAX_VALUE)
        state = State(path, recorded_properties(info), {}, known)
    elif next(folder.glob(labels), None) is not None:
        raise MdeasError(
            f"depth labels without {DEPTH_INFO_NAME}: {folder}; nobody knows what they are: label afresh "
            "with --overwrite"
        )
    else:
        state = State(path, properties, {})
    refuse_other(folder, state.properties, properties)
    state.save()
    (folder / DEPTH_INFO_NAME).unlink(missing_ok=True)
    return state


def describe(
    labeller: Labeller, sums: LabelSums, size: int | None = None, dataset_sha256: str | None = None
) -> DepthInfo:
    """What labels made by ``labeller`` are; the archives are the caller's to add.

    Args:
        labeller: What made them.
        sums: Over all of them.
        size: The pictures' side; None where they differ.
        dataset_sha256: As in :class:`DepthInfo`.
    """
    info = labeller.info
    input_height, input_width = labeller.network.input_size(size, size) if size else (None, None)
    return DepthInfo(
        mdeas_version=__version__,
        dataset_sha256=dataset_sha256,
        model=info.name,
        source=info.source,
        weights_sha256=info.weights_sha256,
        licence=info.licence,
        kind=info.kind,
        nearer=info.nearer,
        unit=info.unit,
        bits=16,
        scale=labeller.scale,
        offset=labeller.offset,
        input_height=input_height,
        input_width=input_width,
        resize=info.resize,
        precision=labeller.precision,
        micro_batch=labeller.micro_batch,
        device=labeller.device.type,
        samples=sums.pixels.pictures,
        clipped=sums.clipped_share(),
        values=sums.figures(),
        shards=(),
    )
