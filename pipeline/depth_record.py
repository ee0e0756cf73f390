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
from .depth_scores import FAULTS
from .manifest import DEPTH_INFO_NAME, DepthInfo, read_depth_info, read_json, write_json
from .pixel_sums import PixelSums, sum_pixels
from .shards import KEPT_SUFFIX, ShardRecord

if TYPE_CHECKING:
    from .depth import Labeller

STATE_NAME = ".work/depth.json"
MAX_VALUE = 65535
# What labels of one set must have in common, and the option that each comes from.
_OPTIONS = {
    "model": "--model",
    "weights_sha256": "--weights",
    "mode": "--mode",
    "bits": "--bits",
    "format": "--format",
    "precision": "--dtype",
    "runtime": "--runtime",
    "micro_batch": "--micro-batch",
    "device": "--device",
    "dataset_sha256": "--dataset",
}
# Of labels that were begun before these were recorded.
_BEFORE = {"mode": "model", "bits": 16, "format": "png", "runtime": "torch"}


@dataclass(frozen=True)
class Mapping:
    """The one mapping of a set between what a label stands for and the numbers of its file.

    Numbers are 16 bit whatever ``bits`` is: fewer of them are the upper ones, the rest is 0 and compresses
    away, and every reader of 16-bit pictures reads them.
    """

    low: float
    high: float
    bits: int = 16

    @property
    def top(self) -> int:
        """The largest number, which stands for ``high``; 0 stands for ``low``."""
        return MAX_VALUE >> (16 - self.bits) << (16 - self.bits)

    @property
    def scale(self) -> float:
        """Quantity of one step of the 16-bit numbers."""
        return (self.high - self.low) / self.top

    def values(self, quantity: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Numbers of quantities (N, H, W): clipped, and 0 all over a label with anything but numbers in it.

        A label of nothing but 0 is no label, which the check of the labels tells from any other.
        """
        unused = 16 - self.bits
        steps = np.rint((quantity - self.low) / (self.scale * (1 << unused)))
        steps = np.clip(steps, 0, MAX_VALUE >> unused)
        steps[~np.isfinite(quantity).all(axis=(1, 2))] = 0
        return np.asarray(steps.astype(np.uint16) << np.uint16(unused), np.uint16)

    def quantity(self, values: NDArray[np.uint16]) -> NDArray[np.float32]:
        """What numbers stand for."""
        return values * np.float32(self.scale) + np.float32(self.low)


@dataclass(frozen=True)
class Redone:
    """What ``--relabel-bad`` did: labels ``at_fault`` made again, some of which came out ``otherwise``."""

    at_fault: int
    otherwise: int

    def summary(self) -> str:
        """A line for people."""
        if not self.at_fault:
            return "No label is at fault"
        return f"{self.at_fault:,} labels at fault made again; {self.otherwise:,} of them came out otherwise"


@dataclass(frozen=True)
class LabelDepthReport:
    """What ``mdeas label-depth`` did; ``samples`` is the whole set, ``labelled`` the share of this run."""

    path: str
    model: str
    kind: str
    nearer: str
    device: str
    runtime: str
    precision: str
    samples: int
    labelled: int
    seconds: float
    images_per_second: float
    bytes: int
    clipped: float
    bits: int
    mode: str
    quality: dict[str, float] | None = None  # as in depth.json
    redone: Redone | None = None  # with --relabel-bad
    rejected: tuple[str, ...] = ()

    def summary(self) -> str:
        """A few lines for people."""
        lines = [f"{self.samples:,} depth labels in {self.path} ({self.bytes / 1e6:,.1f} MB)"]
        if self.labelled:
            rate = f"{self.seconds:,.1f} s, {self.images_per_second:,.1f} a second"
            how = f"on {self.device} with {self.runtime} in {self.precision}"
            lines.append(f"{self.labelled:,} made by this run in {rate} {how}")
        elif self.redone is None:
            lines.append("Nothing to do: every picture has its label")
        way = f"{self.kind.replace('_', ' ')}, {self.nearer} is nearer"
        composed = ", composed of backgrounds and cut-outs" if self.mode == "composed" else ""
        lines.append(
            f"{self.model}{composed}: {way}; {self.bits} bits, {self.clipped:.3%} of the values at an end of "
            "the range"
        )
        if self.redone is not None:
            lines.append(self.redone.summary())
        if self.quality is not None:
            lines.append(quality_line(self.quality))
        if self.rejected:
            lines.append(f"{len(self.rejected)} files left out:")
            lines.extend(f"  {line}" for line in self.rejected)
        return "\n".join(lines)


def quality_line(quality: dict[str, float]) -> str:
    """What the check of the labels found, in words."""
    found = {name: int(count) for name, count in quality.items() if name in FAULTS[1:] and count}
    mean = f"mean score {quality['mean_score']:.3f}"
    if not found:
        return f"checked against the backgrounds: nothing found, {mean}"
    listed = ", ".join(f"{count:,} {name}" for name, count in found.items())
    return f"checked against the backgrounds: {listed}; {mean}"


def report_of(
    folder: Path,
    labeller: Labeller,
    info: DepthInfo,
    labelled: int,
    started: float,
    size_bytes: int,
    redone: Redone | None = None,
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
        runtime=info.runtime,
        precision=info.precision,
        samples=info.samples,
        labelled=labelled,
        seconds=round(seconds, 3),
        images_per_second=round(labelled / seconds, 2),
        bytes=size_bytes,
        clipped=info.clipped,
        bits=info.bits,
        mode=info.mode,
        quality=info.quality,
        redone=redone,
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
    def of(cls, values: NDArray[np.uint16], top: int = MAX_VALUE) -> LabelSums:
        """Over labels (N, H, W) of which ``top`` is the largest number."""
        pixels = sum_pixels(values.reshape(-1, values.shape[-1]))
        clipped = np.count_nonzero(values == 0) + np.count_nonzero(values == top)
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
    """What the labels are made with, and the archives that are finished.

    Each archive has a note of its own beside the state: several processes may label one set, and to write one
    file of all after each archive would take longer than the labels of a large set.
    """

    path: Path
    properties: dict[str, Any]
    finished: dict[str, tuple[ShardRecord, LabelSums]]
    range: tuple[float, float] | None = None  # quantities of the values 0 and MAX_VALUE, once they are known

    def save(self) -> None:
        """Write it atomically, without the archives."""
        self.path.parent.mkdir(exist_ok=True)
        write_json(self.path, {"properties": self.properties, "range": self.range})

    def note(self, record: ShardRecord, sums: LabelSums) -> None:
        """An archive is finished."""
        self.finished[record.name] = record, sums
        content = {"record": dataclasses.asdict(record), "sums": dataclasses.asdict(sums)}
        write_json(self._note_path(record.name), content, sync=False)

    def find(self, name: str) -> bool:
        """Whether an archive is noted, by this process or by another."""
        if name not in self.finished and self._note_path(name).exists():
            # A power cut may have torn it: then the archive itself is read.
            with contextlib.suppress(MdeasError, KeyError, TypeError):
                self._add(read_json(self._note_path(name)))
        return name in self.finished

    def forget(self, name: str) -> None:
        """What was noted of an archive is no more."""
        self.finished.pop(name, None)
        self._note_path(name).unlink(missing_ok=True)

    def remove(self) -> None:
        """The labels are complete: the state goes, and its folder if nothing else is in it."""
        self.forget_notes()
        for path in self.path.parent.parent.glob("depth-*.zip" + KEPT_SUFFIX):
            path.unlink()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def forget_notes(self) -> None:
        """What was noted of archives is no more."""
        self.finished.clear()
        for path in self.path.parent.glob("depth-*.zip.json*"):
            path.unlink()

    def _note_path(self, name: str) -> Path:
        return self.path.parent / f"{name}.json"

    def _add(self, archive: dict[str, Any]) -> None:
        record, sums = ShardRecord(**archive["record"]), archive["sums"]
        self.finished[record.name] = record, LabelSums(PixelSums.from_json(sums["pixels"]), sums["clipped"])

    @classmethod
    def load(cls, path: Path) -> State:
        """Read it.

        Raises:
            MdeasError: If the file is damaged.
        """
        content = read_json(path, "start afresh with --overwrite")
        try:
            found = content["range"]
            state = cls(path, content["properties"], {}, (found[0], found[1]) if found else None)
            for archive in content.get("archives", []):  # as version 0.1 wrote it
                state._add(archive)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise MdeasError(f"damaged file: {path}; start afresh with --overwrite") from error
        return state


def properties_of(labeller: Labeller, dataset_sha256: str | None, mode: str = "model") -> dict[str, Any]:
    """What must not change between two runs over the same labels."""
    return {
        "model": labeller.info.name,
        "weights_sha256": labeller.info.weights_sha256,
        "mode": mode,
        "bits": labeller.mapping.bits,
        "format": "png",
        "precision": labeller.precision,
        "runtime": labeller.runtime,
        "micro_batch": labeller.micro_batch,
        # Another kind of device rounds the last bits otherwise; another of the same kind does not.
        "device": labeller.device.type,
        "dataset_sha256": dataset_sha256,
    }


def recorded_properties(info: DepthInfo) -> dict[str, Any]:
    """What finished labels were made with."""
    return {name: getattr(info, name) for name in _OPTIONS}


def made_with(folder: Path) -> dict[str, Any]:
    """What the labels in ``folder``, finished or not, were made with; empty where there are none."""
    if (folder / STATE_NAME).exists():
        return {**_BEFORE, **State.load(folder / STATE_NAME).properties}
    info = read_depth_info(folder)
    return recorded_properties(info) if info else {}


def refuse_other(folder: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """An error naming the first property in which the labels that are there differ."""
    there = {**_BEFORE, **there}
    for name, option in _OPTIONS.items():
        if there[name] != asked[name]:
            # Twelve digits are enough to tell two hashes apart.
            both = (str(values[name]) for values in (there, asked))
            old, new = (value[:12] if "sha256" in name else value for value in both)
            raise MdeasError(
                f"depth labels made with another {name.replace('_', ' ')}: {folder} ({old}, now {new}); "
                f"use the same {option}, or --overwrite to label afresh"
            )


def mapping_of(info: DepthInfo) -> Mapping:
    """The mapping that ``depth.json`` states."""
    high = info.offset + info.scale * Mapping(0.0, 1.0, info.bits).top
    # The end was a short number, and gives the same scale only if it is that number again.
    return Mapping(info.offset, float(f"{high:.12g}"), info.bits)


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
        known = None
        if info.format == "png":
            mapping = mapping_of(info)
            known = (mapping.low, mapping.high)
        state = State(path, recorded_properties(info), {}, known)
    elif next(folder.glob(labels), None) is not None:
        raise MdeasError(
            f"depth labels without {DEPTH_INFO_NAME}: {folder}; nobody knows what they are: label afresh "
            "with --overwrite"
        )
    else:
        state = State(path, properties, {})
    refuse_other(folder, state.properties, properties)
    if not path.exists():
        state.forget_notes()
        state.save()
    (folder / DEPTH_INFO_NAME).unlink(missing_ok=True)
    return state


def describe(
    labeller: Labeller,
    sums: LabelSums,
    size: int | None = None,
    dataset_sha256: str | None = None,
    mode: str = "model",
) -> DepthInfo:
    """What labels made by ``labeller`` are; the archives are the caller's to add.

    Args:
        labeller: What made them.
        sums: Over all of them.
        size: The pictures' side; None where they differ.
        dataset_sha256, mode: As in :class:`DepthInfo`.
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
        bits=labeller.mapping.bits,
        scale=labeller.mapping.scale,
        offset=labeller.mapping.low,
        input_height=input_height,
        input_width=input_width,
        resize=info.resize,
        precision=labeller.precision,
        runtime=labeller.runtime,
        micro_batch=labeller.micro_batch,
        device=labeller.device.type,
        samples=sums.pixels.pictures,
        clipped=sums.clipped_share(),
        values=sums.figures(),
        shards=(),
        mode=mode,
    )
