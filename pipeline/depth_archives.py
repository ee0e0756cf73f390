"""Depth labels of a data set: its composites streamed through a network into ``depth-NNNNN.zip``.

A batch is what one commit to disk holds; a micro-batch is what one forward pass holds. Memory holds a few
micro-batches, never a batch, so its peak is the same for a thousand samples and for a million. Micro-batches
are cut from the start of each archive: a run that goes on inside one computes it whole and drops what is
there already, so that a restart changes no byte.

Before the first label, the network answers for a few hundred samples from all over the set. The highest
answer among them, with headroom, becomes the end of the one fixed range that the 16 bits of every label stand
for: the labels of a set fill the range, and compare with each other.

While labels are unfinished, ``.work/depth.json`` says what they are made with, and a note beside it for each
archive that is done what is in it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .depth_composed import ComposedSource
from .depth_quality import Check, summarise
from .depth_record import (
    STATE_NAME,
    LabelDepthReport,
    LabelSums,
    Redone,
    State,
    begin,
    describe,
    properties_of,
    recorded_properties,
    refuse_other,
    report_of,
)
from .depth_scores import has_scores, remove_scores, write_scores
from .depth_sources import Backgrounds, NetworkSource, Pictures, Source
from .images import decode_gray16, encode_gray16
from .lock import locked
from .lockfile import lock_labels
from .manifest import (
    DEPTH_INFO_NAME,
    MANIFEST_NAME,
    DatasetManifest,
    DepthInfo,
    read_depth_info,
    read_manifest,
    sample_name,
    shard_count,
    shard_name,
    write_json,
)
from .progress import Progress
from .shards import (
    KEPT_SUFFIX,
    PART_SUFFIX,
    ShardReader,
    ShardRecord,
    ShardWriter,
    file_sha256,
    kept_path,
    part_path,
)
from .threads import give_back_memory, in_order

if TYPE_CHECKING:
    from .depth import Labeller

# The first pass that finds the range: samples looked at (at most so many, and a share of the set, but never
# fewer than the least), and room above the highest answer among them.
RANGE_SAMPLES = 256
RANGE_SHARE, LEAST_RANGE_SAMPLES = 1 / 32, 32
RANGE_HEADROOM = 1.25

# Labels archives by their numbers where the work is not this process's; gives the number of samples.
Elsewhere = Callable[[State, Sequence[int]], int]


@dataclass(frozen=True)
class _Piece:
    """A micro-batch of an archive: positions start..stop are computed, first..stop are written."""

    shard: int
    start: int
    stop: int
    first: int


def label_archives(
    folder: Path,
    labeller: Labeller,
    batch: int,
    overwrite: bool = False,
    mode: str = "model",
    relabel_bad: bool = False,
    elsewhere: Elsewhere | None = None,
) -> LabelDepthReport:
    """Labels every sample of the data set in ``folder``; goes on where a stopped run ended.

    With ``relabel_bad`` all labels are checked, and those at fault made again as they were made before: what
    was damaged since is mended, what the network itself says stays and is counted.

    ``elsewhere`` labels the archives that are missing, each whole, and notes them; without it, this process
    does.

    Raises:
        MdeasError: If there is no data set, an archive of it is damaged, or labels exist that were made with
            other options.
    """
    manifest = read_manifest(folder)
    start = time.monotonic()
    with locked(folder):
        if overwrite:
            remove_labels(folder)
        dataset_sha256 = file_sha256(folder / MANIFEST_NAME)
        properties = properties_of(labeller, dataset_sha256, mode)
        info, labelled, redone = finished_info(folder, manifest), 0, None
        if info is not None and not relabel_bad:
            # What is finished may be looked at on any device.
            refuse_other(folder, {**recorded_properties(info), "device": properties["device"]}, properties)
            State(folder / STATE_NAME, {}, {}).remove()  # what a kill after the very last step leaves
        else:
            state = begin(folder, properties, "depth-*.zip*")
            remove_scores(folder)
            run = LabelRun(folder, manifest, labeller, batch, state)
            if elsewhere is not None:
                labelled = elsewhere(state, run.missing())
            labelled += run.label()
            redone = run.redo() if relabel_bad else None
            info = run.finish()
    size_bytes = sum(record.bytes for record in info.shards)
    return report_of(folder, labeller, info, labelled, start, size_bytes, redone)


def remove_labels(folder: Path) -> None:
    """Removes every depth label of a data set, what says that they are complete first."""
    archives = [f"depth-*.zip{suffix}" for suffix in ("", PART_SUFFIX, KEPT_SUFFIX)]
    archives.append(".work/depth-*.zip.json")
    for pattern in (DEPTH_INFO_NAME, *archives, STATE_NAME):
        for path in sorted(folder.glob(pattern)):
            path.unlink()
    remove_scores(folder)


def finished_info(folder: Path, manifest: DatasetManifest) -> DepthInfo | None:
    """``depth.json`` if every archive that it names is there, and the score of every label."""
    info = read_depth_info(folder)
    if info is None or info.samples != manifest.totals["samples"] or not has_scores(folder):
        return None
    paths = [folder / record.name for record in info.shards]
    return info if all(path.exists() for path in paths) else None


class LabelRun:
    """One run over the archives that are not finished; the writers live as long as it does.

    Args:
        folder: The data set's.
        manifest: Of the data set.
        labeller: What gives the labels.
        batch: Samples a commit to disk.
        state: What they are made with.
        shards: Which archives, all by default.
        out: Where archives are written, ``folder`` by default; they move there when they are done.
    """

    def __init__(
        self,
        folder: Path,
        manifest: DatasetManifest,
        labeller: Labeller,
        batch: int,
        state: State,
        shards: Sequence[int] | None = None,
        out: Path | None = None,
    ) -> None:
        self._folder, self._out = folder, out or folder
        self._labeller = labeller
        self._batch = batch
        self._state = state
        self._pictures = Pictures(folder, manifest)
        self._backgrounds = Backgrounds(self._pictures, labeller)
        self._source: Source = NetworkSource(self._pictures, labeller)
        if state.properties["mode"] == "composed":
            self._source = ComposedSource(self._pictures, self._backgrounds, labeller)
        # Labels are measured as they are made, while they are at hand and the network may wait for a GPU.
        self._check = Check(self._pictures, self._backgrounds, labeller)
        self._is_whole = shards is None
        self._total = self._pictures.samples
        self._per_shard = manifest.samples_per_shard
        self._shards = range(shard_count(self._total, self._per_shard)) if shards is None else shards
        self._writers: dict[int, ShardWriter] = {}
        # None: the archive was resumed, its sums are taken from the file in the end.
        self._sums: dict[int, LabelSums | None] = {}
        self._labelled = 0

    def label(self) -> int:
        """Labels what is missing; returns how many samples that was."""
        total = sum(map(self._pictures.entries, self._shards))
        done = total - sum(map(self._pictures.entries, self.missing()))
        label = f"label-depth ({self._labeller.info.name}, {self._labeller.device})"
        # Two pieces a thread: one at work, one waiting for its turn to be written.
        results = in_order(self._compute, self._pieces(), self._labeller.jobs, 2 * self._labeller.jobs)
        try:
            with closing(results), Progress(total, label, "samples", done=done) as progress:
                for piece, (labels, sums) in results:
                    self._write(piece, labels, sums)
                    progress.update(piece.stop - piece.first)
        finally:
            for writer in self._writers.values():
                writer.abort()
        return self._labelled

    def missing(self) -> list[int]:
        """The archives that are not finished; settles what range of quantities the labels stand for."""
        if self._state.range is None:
            self._state.range = self._find_range()
            self._state.save()
        self._labeller.use_range(*self._state.range)
        for shard in self._shards:
            self._recognise(shard)
        return [shard for shard in self._shards if self._path(shard).name not in self._state.finished]

    def redo(self) -> Redone:
        """Makes the labels at fault again."""
        _, faults = Check(self._pictures, self._backgrounds, self._labeller).judge()
        bad = np.flatnonzero(faults)
        shards = np.unique(bad // self._per_shard).tolist()
        otherwise = sum(self._redo_shard(shard, bad[bad // self._per_shard == shard]) for shard in shards)
        # Of what is stored now; whole micro-batches were made, of which the labels at fault were kept.
        self._check = Check(self._pictures, self._backgrounds, self._labeller)
        return Redone(len(bad), otherwise)

    def _redo_shard(self, shard: int, bad: NDArray[np.int64]) -> int:
        """The same for one archive, which is written anew and takes its own place at once.

        Returns how many labels came out otherwise.
        """
        path, first, micro_batch = self._path(shard), shard * self._per_shard, self._labeller.micro_batch
        wanted = {self._name(shard, int(number) - first) for number in bad}
        starts = np.unique((bad - first) // micro_batch * micro_batch).tolist()
        entries = self._pictures.entries(shard)
        pieces = (_Piece(shard, at, min(at + micro_batch, entries), at) for at in starts)
        made: dict[str, bytes] = {}
        jobs = self._labeller.jobs
        for piece, (labels, _) in in_order(self._compute, pieces, jobs, jobs + 1):
            names = (self._name(shard, position) for position in range(piece.start, piece.stop))
            made |= {name: data for name, data in zip(names, labels, strict=True) if name in wanted}
        with closing(ShardReader(path)) as reader:
            made = {name: data for name, data in made.items() if data != reader.read(name)}
            if made:
                # From here on nobody may take what was noted of it for true.
                self._state.forget(path.name)
                with ShardWriter(path) as writer:
                    for name in reader.names:
                        writer.add(name, made.get(name) or reader.read(name))
        if made:
            top = self._labeller.mapping.top
            self._state.note(*_read_archive(path, self._names(shard), top))
            self._pictures.forget(path)
        return len(made)

    def finish(self) -> DepthInfo:
        """Checks the labels, writes their scores, then ``depth.json``: from here on they are complete."""
        archives = [self._state.finished[name] for name in map(self._name_of, self._shards)]
        sums = LabelSums.empty()
        for _, part in archives:
            sums = sums.merge(part)
        scores, faults = self._check.judge()
        write_scores(self._folder, scores, faults)
        properties = self._state.properties
        info = describe(
            self._labeller, sums, self._pictures.size, properties["dataset_sha256"], properties["mode"]
        )
        info = dataclasses.replace(
            info, shards=tuple(record for record, _ in archives), quality=summarise(scores, faults)
        )
        lock_labels(self._folder, read_manifest(self._folder), info)
        write_json(self._folder / DEPTH_INFO_NAME, info)
        self._state.remove()
        return info

    def _find_range(self) -> tuple[float, float]:
        """From the network's lowest value to the highest that a look over the whole set lets expect."""
        count = min(RANGE_SAMPLES, max(LEAST_RANGE_SAMPLES, round(self._total * RANGE_SHARE)))
        chosen = np.unique(np.linspace(0, self._total - 1, count).astype(np.int64)).tolist()
        micro_batch, jobs = self._labeller.micro_batch, self._labeller.jobs
        chunks = (chosen[start : start + micro_batch] for start in range(0, len(chosen), micro_batch))

        def highest(numbers: list[int]) -> float:
            quantities = self._source.quantities(numbers)
            return float(quantities.max(where=np.isfinite(quantities), initial=-math.inf))

        found = max(value for _, value in in_order(highest, chunks, jobs, 2 * jobs))
        if not math.isfinite(found):
            raise MdeasError(
                f"not a number among the answers of depth network {self._labeller.info.name}; "
                "use another --model"
            )
        return fitted_range(found, self._labeller.network.value_range)

    def _name_of(self, shard: int) -> str:
        return shard_name("depth", shard)

    def _path(self, shard: int) -> Path:
        return self._folder / self._name_of(shard)

    def _name(self, shard: int, position: int) -> str:
        return sample_name("depth", shard * self._per_shard + position, self._total)

    def _names(self, shard: int) -> tuple[str, ...]:
        return tuple(self._name(shard, position) for position in range(self._pictures.entries(shard)))

    def _recognise(self, shard: int) -> None:
        """An archive that is there but not in the state: the run was stopped between the two."""
        path = self._path(shard)
        if not path.exists():
            self._state.finished.pop(path.name, None)
            return
        part_path(path).unlink(missing_ok=True)  # of labels that were being made again
        if not self._state.find(path.name):
            self._state.note(*_read_archive(path, self._names(shard), self._labeller.mapping.top))

    def _pieces(self) -> Iterator[_Piece]:
        """The micro-batches that are missing; opens the archives as they come."""
        for shard in self._shards:
            if self._path(shard).name in self._state.finished:
                continue
            entries, micro_batch = self._pictures.entries(shard), self._labeller.micro_batch
            done = self._open_writer(shard)
            if done == entries:
                self._close(shard)
                continue
            for start in range(done - done % micro_batch, entries, micro_batch):
                yield _Piece(shard, start, min(start + micro_batch, entries), max(start, done))

    def _open_writer(self, shard: int) -> int:
        """Opens the archive for writing; returns how many of its entries an earlier run has left."""
        path = self._out / self._name_of(shard)
        writer = ShardWriter(path, resume=True)
        if writer.names != self._names(shard)[: len(writer)]:  # not ours: begin it again
            writer.abort()
            writer = ShardWriter(path)
        self._writers[shard] = writer
        is_begun = len(writer) or kept_path(self._path(shard)).exists()
        self._sums[shard] = None if is_begun else LabelSums.empty()
        return len(writer)

    def _compute(self, piece: _Piece) -> tuple[list[bytes], LabelSums]:
        """One micro-batch: decoded, labelled, encoded. Runs in a thread of its own."""
        kept = self._kept(piece)
        if kept is not None:
            return kept, LabelSums.empty()
        before = piece.shard * self._per_shard
        quantities = self._source.quantities(range(before + piece.start, before + piece.stop))
        mapping = self._labeller.mapping
        values = mapping.values(quantities[piece.first - piece.start :])
        if self._is_whole:  # of a part, another process will judge
            self._check.take(range(before + piece.first, before + piece.stop), values)
        return [encode_gray16(label) for label in values], LabelSums.of(values, mapping.top)

    def _kept(self, piece: _Piece) -> list[bytes] | None:
        """The labels of a micro-batch if `verify --repair` has saved all of them from a damaged archive."""
        path = kept_path(self._path(piece.shard))
        if not path.exists():
            return None
        with closing(ShardReader(path)) as reader:
            try:
                return [reader.read(name) for name in self._names(piece.shard)[piece.first : piece.stop]]
            except MdeasError:
                return None

    def _write(self, piece: _Piece, labels: list[bytes], sums: LabelSums) -> None:
        writer = self._writers[piece.shard]
        for position, data in enumerate(labels, piece.first):
            writer.add(self._name(piece.shard, position), data)
            if len(writer) % self._batch == 0:
                writer.commit()
                give_back_memory()
        # Labels that were saved are not made by this run; they come without sums.
        self._labelled += len(labels) if sums.pixels.pictures else 0
        before = self._sums[piece.shard]
        self._sums[piece.shard] = None if before is None else before.merge(sums)
        if len(writer) == self._pictures.entries(piece.shard):
            self._close(piece.shard)

    def _close(self, shard: int) -> None:
        """Gives a complete archive its name and notes it in the state."""
        record, sums = self._writers.pop(shard).close(), self._sums.pop(shard)
        if self._out != self._folder:
            (self._out / record.name).replace(self._path(shard))
        if sums is None:
            record, sums = _read_archive(self._path(shard), self._names(shard), self._labeller.mapping.top)
        self._state.note(record, sums)
        kept_path(self._path(shard)).unlink(missing_ok=True)
        give_back_memory()


def fitted_range(found: float, value_range: tuple[float, float]) -> tuple[float, float]:
    """From the network's lowest value to a short number above ``found``, the highest that was looked at."""
    low, most = value_range
    least = low + _round_up(min(abs(most - low), 1.0) / 1000)
    return low, min(most, max(_round_up(found * RANGE_HEADROOM), least))


def _round_up(value: float) -> float:
    """The next number of two significant digits: small differences between machines do not reach it."""
    if value <= 0 or not math.isfinite(value):
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.12g}")


def _read_archive(path: Path, names: tuple[str, ...], top: int) -> tuple[ShardRecord, LabelSums]:
    """Record and sums of a finished archive, from its bytes.

    Raises:
        MdeasError: If it does not hold exactly the labels ``names``.
    """
    with closing(ShardReader(path)) as reader:
        if reader.names != names:
            raise MdeasError(f"other entries than expected: {path}; remove this file and run again")
        sums = LabelSums.empty()
        for name in names:
            sums = sums.merge(LabelSums.of(decode_gray16(reader.read(name))[None], top))
    return ShardRecord(path.name, len(names), path.stat().st_size, file_sha256(path)), sums
