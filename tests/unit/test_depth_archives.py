"""Labels of a data set: streaming, committing, resuming after a real kill, refusing."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import depth_archives
from mdeas.pipeline.depth_archives import label_archives
from mdeas.pipeline.depth_record import STATE_NAME, Mapping, Redone, mapping_of
from mdeas.pipeline.depth_scores import has_scores, read_scores, remove_scores
from mdeas.pipeline.images import encode_gray16, encode_jpeg
from mdeas.pipeline.manifest import read_manifest, shard_name, write_manifest
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardReader, ShardWriter
from numpy.typing import NDArray

PER_SHARD, TOTAL, SIZE = 10, 24, 64
Recut = Callable[[Path, Path, int, int], Path]


class FakeLabeller:
    """A labeller without torch: depth is the green channel, stretched and clipped, plus the row.

    It also looks at how pictures arrive: an answer that depended on the batch would show in the bytes.
    """

    precision, runtime = "float32", "torch"

    def __init__(self, jobs: int = 2, micro_batch: int = 4, device: str = "cpu", bits: int = 16) -> None:
        self.info = SimpleNamespace(
            name="fake", source="here", weights_sha256="0" * 64, licence="MIT", kind="relative_disparity",
            nearer="larger", unit=None, resize="none",
        )  # fmt: skip
        self.network = SimpleNamespace(
            input_size=lambda height, width: (height // 2, width // 2), value_range=(1.0, 100.0)
        )
        self.mapping = Mapping(1.0, 100.0, bits)
        self.device = SimpleNamespace(type=device)
        self.jobs, self.micro_batch = jobs, micro_batch
        self.shapes: list[tuple[int, ...]] = []

    def use_range(self, low: float, high: float) -> None:
        self.mapping = Mapping(low, high, self.mapping.bits)

    def answer(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.shapes.append(pictures.shape)
        rows = np.arange(pictures.shape[1])[None, :, None] / 4
        # The first picture of the micro-batch leaks into all: only a fixed grid of micro-batches hides it.
        leak = int(pictures[0].sum()) % 7
        return np.asarray(pictures[..., 1] * 0.8 + rows + leak, np.float32)


def as_labeller(**options: Any) -> Any:
    return FakeLabeller(**options)


@pytest.fixture
def dataset(recut: Recut, dataset_dir: Path, tmp_path: Path) -> Path:
    return recut(dataset_dir, tmp_path / "set", TOTAL, PER_SHARD)


def labels_of(folder: Path) -> dict[str, bytes]:
    """Every file of the labels by name, and the table with their scores."""
    names = [*sorted(folder.glob("depth*")), folder / "samples.parquet"]
    return {path.name: path.read_bytes() for path in names}


@pytest.fixture
def finished(recut: Recut, dataset_dir: Path, tmp_path: Path) -> dict[str, bytes]:
    """What one run in one go gives."""
    folder = recut(dataset_dir, tmp_path / "reference", TOTAL, PER_SHARD)
    label_archives(folder, as_labeller(jobs=1), batch=3)
    return labels_of(folder)


def test_labels_are_the_networks_answers(dataset: Path) -> None:
    report = label_archives(dataset, as_labeller(), batch=3)
    reader = DatasetReader(dataset)
    assert reader.has_depth
    info = reader.depth_info
    assert info is not None
    labels = [*(f"depth-0000{n}.zip" for n in range(3)), "depth.json", "samples.parquet"]
    assert sorted(labels_of(dataset)) == labels
    stored = np.stack([reader.depth(index) for index in range(TOTAL)])
    highest = 0.0
    for start in range(0, PER_SHARD, 4):
        micro = [min(start + row, PER_SHARD - 1) for row in range(4)]
        answers = FakeLabeller().answer(np.stack([reader.fg_bg(index) for index in micro]))
        highest = max(highest, float(answers.max()))
        stop = min(start + 4, PER_SHARD)
        expected = mapping_of(info).values(answers)[: stop - start]
        assert np.array_equal(stored[start:stop], expected)
    assert (report.samples, report.labelled, info.samples) == (TOTAL, TOTAL, TOTAL)
    assert 0 < info.clipped == np.mean((stored == 0) | (stored == 65535))
    assert info.values["mean"] == pytest.approx(stored.mean() / 65535, rel=1e-12)
    assert info.values["std"] == pytest.approx(stored.std() / 65535, rel=1e-9)
    assert (info.values["min"], info.values["max"]) == (stored.min() / 65535, stored.max() / 65535)
    assert info.offset == 1.0
    assert highest > info.offset + 65535 * info.scale == pytest.approx(100)
    assert (info.bits, info.micro_batch) == (16, 4)
    for record in info.shards:
        data = (dataset / record.name).read_bytes()
        assert (record.bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [record.entries for record in info.shards] == [10, 10, 4]
    assert not (dataset / ".work").exists()
    assert not (dataset / ".lock").exists()


def test_archives_are_readable_by_zipfile_with_the_keys_of_the_composites(dataset: Path) -> None:
    label_archives(dataset, as_labeller(), batch=1000)
    for shard in range(3):
        with zipfile.ZipFile(dataset / shard_name("depth", shard)) as archive:
            assert archive.testzip() is None
            keys = [name.removeprefix("depth/").removesuffix(".png") for name in archive.namelist()]
        composites = ShardReader(dataset / shard_name("fg_bg", shard)).names
        assert keys == [name.removeprefix("fg_bg/").removesuffix(".jpg") for name in composites]


@pytest.mark.parametrize(("jobs", "batch"), [(1, 1), (1, 1000), (3, 4), (5, 7)])
def test_neither_jobs_nor_batch_change_a_byte(
    dataset: Path, finished: dict[str, bytes], jobs: int, batch: int
) -> None:
    label_archives(dataset, as_labeller(jobs=jobs), batch=batch)
    assert labels_of(dataset) == finished


def test_every_forward_pass_has_the_same_shape(dataset: Path) -> None:
    labeller = as_labeller()
    label_archives(dataset, labeller, batch=5)
    assert set(labeller.shapes) == {(4, SIZE, SIZE, 3)}
    assert len(labeller.shapes) == 6 + (3 + 3 + 1) + 1  # the range, the labels, the backgrounds


def test_a_commit_a_batch_and_never_across_archives(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[tuple[str, int]] = []

    class Noting(ShardWriter):
        def commit(self) -> None:
            commits.append((self.path.name, len(self)))
            super().commit()

    monkeypatch.setattr(depth_archives, "ShardWriter", Noting)
    label_archives(dataset, as_labeller(), batch=4)
    assert commits == [
        ("depth-00000.zip", 4), ("depth-00000.zip", 8), ("depth-00001.zip", 4), ("depth-00001.zip", 8),
        ("depth-00002.zip", 4),
    ]  # fmt: skip


def test_few_micro_batches_are_under_way(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many samples there are, no more pieces are computed ahead than two a thread."""
    ahead: list[int] = []
    submitted = written = 0
    pieces, write = depth_archives.LabelRun._pieces, depth_archives.LabelRun._write

    def noting_pieces(run: Any) -> Any:
        nonlocal submitted
        for piece in pieces(run):
            submitted += 1
            ahead.append(submitted - written)
            yield piece

    def noting_write(run: Any, *rest: Any) -> None:
        nonlocal written
        written += 1
        write(run, *rest)

    monkeypatch.setattr(depth_archives.LabelRun, "_pieces", noting_pieces)
    monkeypatch.setattr(depth_archives.LabelRun, "_write", noting_write)
    label_archives(dataset, as_labeller(jobs=2, micro_batch=1), batch=4)
    assert submitted == written == TOTAL
    assert max(ahead) == 4


def test_a_finished_set_is_left_alone(dataset: Path) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    times = {path: path.stat().st_mtime_ns for path in dataset.iterdir()}
    labeller = as_labeller(device="cuda")
    report = label_archives(dataset, labeller, batch=9)
    assert (report.labelled, report.samples) == (0, TOTAL)
    assert "Nothing to do" in report.summary()
    assert labeller.shapes == []
    assert {path: path.stat().st_mtime_ns for path in dataset.iterdir()} == times


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_depth_archives import FakeLabeller
from mdeas.pipeline import depth_archives
from mdeas.pipeline.shards import ShardWriter

class Dying(ShardWriter):
    left = {after}
    def add(self, name, data):
        if Dying.left == 0:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.left -= 1
        super().add(name, data)
    def close(self):
        record = super().close()
        if {die_after_close} == int(self.path.name[6:11]):
            os.kill(os.getpid(), signal.SIGKILL)
        return record

depth_archives.ShardWriter = Dying
depth_archives.label_archives(Path({folder!r}), FakeLabeller(jobs={jobs}), batch=3)
"""


def run_and_kill(folder: Path, after: int, jobs: int = 2, die_after_close: int = -1) -> None:
    """Label in a process of its own that dies of SIGKILL, before entry ``after`` or with an archive done."""
    code = KILLED.format(
        tests=str(Path(__file__).parent), folder=str(folder), after=after, jobs=jobs,
        die_after_close=die_after_close,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("after", [0, 6, 13])
def test_a_kill_at_any_entry_changes_no_byte(dataset: Path, finished: dict[str, bytes], after: int) -> None:
    run_and_kill(dataset, after)
    assert not (dataset / "depth.json").exists()
    report = label_archives(dataset, as_labeller(jobs=3), batch=4)
    assert labels_of(dataset) == finished
    assert report.labelled == TOTAL - after


def test_a_kill_between_an_archive_and_its_record(dataset: Path, finished: dict[str, bytes]) -> None:
    run_and_kill(dataset, after=999, die_after_close=1)
    assert (dataset / "depth-00001.zip").exists()
    report = label_archives(dataset, as_labeller(), batch=4)
    assert labels_of(dataset) == finished
    # The lookahead may have begun the last archive, but not written to it.
    assert report.labelled == 4


def test_killed_again_and_again(dataset: Path, finished: dict[str, bytes]) -> None:
    for _ in range(2):
        run_and_kill(dataset, after=11)
    label_archives(dataset, as_labeller(), batch=4)
    assert labels_of(dataset) == finished


def test_a_torn_tail_is_cut_off(dataset: Path, finished: dict[str, bytes]) -> None:
    run_and_kill(dataset, after=6)
    part = dataset / "depth-00000.zip.part"
    part.write_bytes(part.read_bytes()[:-100])
    report = label_archives(dataset, as_labeller(), batch=4)
    assert labels_of(dataset) == finished
    assert report.labelled == TOTAL - 5


def test_an_interrupt_keeps_what_is_labelled(
    dataset: Path, finished: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = depth_archives.LabelRun._write, 0

    def interrupted(run: Any, *rest: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        write(run, *rest)

    monkeypatch.setattr(depth_archives.LabelRun, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label_archives(dataset, as_labeller(), batch=1000)
    monkeypatch.undo()
    assert not (dataset / ".lock").exists()
    assert label_archives(dataset, as_labeller(), batch=1000).labelled == TOTAL - PER_SHARD
    assert labels_of(dataset) == finished


def test_a_full_disk_keeps_what_is_labelled(
    dataset: Path, finished: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(writer: ShardWriter) -> None:
        raise OSError(28, "No space left on device", str(writer.path))

    monkeypatch.setattr(ShardWriter, "commit", full)
    with pytest.raises(OSError, match="No space left"):
        label_archives(dataset, as_labeller(), batch=4)
    monkeypatch.undo()
    assert not (dataset / "depth-00000.zip").exists()
    assert label_archives(dataset, as_labeller(), batch=4).labelled == TOTAL - 4
    assert labels_of(dataset) == finished


def test_a_lost_archive_is_made_again(dataset: Path, finished: dict[str, bytes]) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    (dataset / "depth-00001.zip").unlink()
    assert not DatasetReader(dataset).has_depth
    report = label_archives(dataset, as_labeller(), batch=4)
    assert report.labelled == PER_SHARD
    assert labels_of(dataset) == finished


def test_overwrite_starts_afresh(dataset: Path, finished: dict[str, bytes]) -> None:
    label_archives(dataset, as_labeller(micro_batch=2), batch=4)
    assert labels_of(dataset) != finished
    report = label_archives(dataset, as_labeller(), batch=4, overwrite=True)
    assert report.labelled == TOTAL
    assert labels_of(dataset) == finished


def damage(folder: Path, shard: int, position: int, label: NDArray[np.uint16]) -> None:
    """Put another label into a finished archive."""
    path = folder / shard_name("depth", shard)
    reader = ShardReader(path)
    entries = {name: reader.read(name) for name in reader.names}
    entries[reader.names[position]] = encode_gray16(label)
    with ShardWriter(path) as writer:
        for name, data in entries.items():
            writer.add(name, data)


@pytest.mark.parametrize("is_killed", [False, True])
def test_bad_labels_are_made_again(dataset: Path, finished: dict[str, bytes], is_killed: bool) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    assert not read_scores(dataset)[1].any()
    flat = np.full((SIZE, SIZE), 9999, np.uint16)
    damage(dataset, 1, 2, flat)
    damage(dataset, 1, 7, flat)
    damage(dataset, 2, 3, np.zeros_like(flat))
    if is_killed:  # when the first archive is mended and not yet noted
        code = KILLED.format(
            tests=str(Path(__file__).parent), folder=str(dataset), after=999, jobs=2, die_after_close=1
        )
        code = code.replace("batch=3", "batch=3, relabel_bad=True")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not (dataset / "depth.json").exists()
        assert not has_scores(dataset)
    report = label_archives(dataset, as_labeller(), batch=4, relabel_bad=True)
    assert labels_of(dataset) == finished
    count = 1 if is_killed else 3
    assert (report.labelled, report.redone) == (0, Redone(count, count))
    assert f"{count} labels at fault made again; {count} of them came out otherwise" in report.summary()
    assert report.quality is not None
    assert report.quality["fine"] == TOTAL
    again = label_archives(dataset, as_labeller(), batch=4, relabel_bad=True)
    assert (again.redone, labels_of(dataset)) == (Redone(0, 0), finished)
    assert "No label is at fault" in again.summary()


def test_overwriting_takes_the_scores_back(dataset: Path) -> None:
    table = (dataset / "samples.parquet").read_bytes()
    label_archives(dataset, as_labeller(), batch=4)
    assert (dataset / "samples.parquet").read_bytes() != table
    depth_archives.remove_labels(dataset)
    assert (dataset / "samples.parquet").read_bytes() == table
    assert not list(dataset.glob("depth*"))


@pytest.mark.parametrize("content", [None, b"no table"])
def test_a_table_that_cannot_be_read_is_named_before_the_first_label(
    dataset: Path, content: bytes | None
) -> None:
    path = dataset / "samples.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MdeasError, match=r"sample table: .*samples\.parquet.*mdeas verify --repair"):
        label_archives(dataset, as_labeller(), batch=4)
    assert not list(dataset.glob("depth*"))


def test_lost_scores_are_found_again(dataset: Path, finished: dict[str, bytes]) -> None:
    """As when make-dataset has written the table anew."""
    label_archives(dataset, as_labeller(), batch=4)
    remove_scores(dataset)
    assert label_archives(dataset, as_labeller(), batch=4).labelled == 0
    assert labels_of(dataset) == finished


@pytest.mark.parametrize(("bits", "top"), [(8, 0xFF00), (12, 0xFFF0), (16, 0xFFFF)])
def test_fewer_bits_are_the_upper_ones(dataset: Path, bits: int, top: int) -> None:
    report = label_archives(dataset, as_labeller(bits=bits), batch=4)
    reader = DatasetReader(dataset)
    info = reader.depth_info
    assert info is not None
    assert (info.bits, report.bits, f"{bits} bits" in report.summary()) == (bits, bits, True)
    stored = np.stack([reader.depth(index) for index in range(4)])
    answers = FakeLabeller().answer(np.stack([reader.fg_bg(index) for index in range(4)]))
    assert not (stored & (0xFFFF - top)).any()
    assert len(np.unique(stored)) > 50
    mapping = mapping_of(info)
    assert mapping.top == top
    clipped = np.clip(answers, mapping.low, mapping.high)
    step = info.scale * (0x10000 >> bits)
    assert np.abs(stored * info.scale + info.offset - clipped).max() <= step * 0.502
    with pytest.raises(MdeasError, match=rf"another bits: .*\({bits}, now 10\).*--bits"):
        label_archives(dataset, as_labeller(bits=10), batch=4)


def other(change: str) -> FakeLabeller:
    labeller = FakeLabeller(micro_batch=3 if change == "micro_batch" else 4)
    if change == "model":
        labeller.info.name = "another"
    if change == "weights_sha256":
        labeller.info.weights_sha256 = "1" * 64
    if change == "precision":
        labeller.precision = "bfloat16"
    if change == "runtime":
        labeller.runtime = "onnxruntime"
    if change == "device":
        labeller.device.type = "cuda"
    return labeller


OPTIONS = {
    "model": r"fake, now another.*--model",
    "weights_sha256": r"000000000000, now 111111111111.*--weights",
    "precision": r"float32, now bfloat16.*--dtype",
    "runtime": r"torch, now onnxruntime.*--runtime",
    "micro_batch": r"4, now 3.*--micro-batch",
    "device": r"cpu, now cuda.*--device",
}


# What is finished may be looked at on any device.
CASES = [(change, True) for change in OPTIONS if change != "device"] + [(change, False) for change in OPTIONS]


@pytest.mark.parametrize(("change", "is_finished"), CASES)
def test_other_options_are_refused_and_touch_nothing(dataset: Path, change: str, is_finished: bool) -> None:
    if is_finished:
        label_archives(dataset, as_labeller(), batch=4)
    else:
        (dataset / "fg_bg-00002.zip").rename(dataset / "away")
        with pytest.raises(MdeasError, match=r"fg_bg-00002\.zip"):
            label_archives(dataset, as_labeller(), batch=4)
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    with pytest.raises(MdeasError, match=f"{OPTIONS[change]}.*--overwrite"):
        label_archives(dataset, other(change), batch=4)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_labels_of_another_mode_are_refused(dataset: Path) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    with pytest.raises(MdeasError, match=r"another mode: .*\(model, now composed\).*--mode"):
        label_archives(dataset, as_labeller(), batch=4, mode="composed")


def test_labels_of_another_data_set_are_refused(dataset: Path) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    manifest = read_manifest(dataset)
    write_manifest(dataset, dataclasses.replace(manifest, seed=99))
    with pytest.raises(MdeasError, match=r"another dataset.*--overwrite"):
        label_archives(dataset, as_labeller(), batch=4)


def test_archives_of_unknown_origin_are_refused(dataset: Path) -> None:
    label_archives(dataset, as_labeller(), batch=4)
    (dataset / "depth.json").unlink()
    with pytest.raises(MdeasError, match=r"without depth\.json.*--overwrite"):
        label_archives(dataset, as_labeller(), batch=4)


def test_a_damaged_composite_is_named(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth_archives, "RANGE_SAMPLES", 1)  # so that it is not found before the first label
    path = dataset / "fg_bg-00001.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"fg_bg/000013.jpg") + 60] ^= 1
    path.write_bytes(data)
    with pytest.raises(MdeasError, match=r"fg_bg-00001\.zip \(fg_bg/000013\.jpg\).*mdeas verify"):
        label_archives(dataset, as_labeller(), batch=4)
    assert (dataset / "depth-00000.zip").exists()
    assert not (dataset / "depth.json").exists()


@pytest.mark.parametrize("content", ["{}", "[]", '{"range": 1, "properties": {}}', "{"])
def test_a_damaged_note_of_what_was_begun_is_one_clear_line(
    dataset: Path, finished: dict[str, bytes], content: str
) -> None:
    (dataset / ".work").mkdir(exist_ok=True)
    (dataset / STATE_NAME).write_text(content)
    with pytest.raises(MdeasError, match=r"depth\.json.*--overwrite"):
        label_archives(dataset, as_labeller(), batch=3)
    label_archives(dataset, as_labeller(), batch=3, overwrite=True)
    assert labels_of(dataset) == finished


@pytest.mark.parametrize(("content", "fault"), [(b"no picture", "damaged"), (None, "expected 64x64 pixels")])
def test_a_picture_that_cannot_be_used_is_named(dataset: Path, content: bytes | None, fault: str) -> None:
    path = dataset / "fg_bg-00000.zip"
    reader = ShardReader(path)
    entries = {name: reader.read(name) for name in reader.names}
    entries["fg_bg/000002.jpg"] = content or encode_jpeg(np.zeros((8, 64, 3), np.uint8), 90)
    with ShardWriter(path) as writer:
        for name, data in entries.items():
            writer.add(name, data)
    with pytest.raises(MdeasError, match=rf"{fault}.*fg_bg-00000\.zip \(fg_bg/000002\.jpg\).*mdeas verify"):
        label_archives(dataset, as_labeller(), batch=4)


def test_an_archive_of_other_length_is_named(dataset: Path) -> None:
    with ShardWriter(dataset / "fg_bg-00001.zip") as writer:
        writer.add("fg_bg/000010.jpg", b"x")
    with pytest.raises(MdeasError, match=r"expected 10 entries, found 1: .*fg_bg-00001\.zip"):
        label_archives(dataset, as_labeller(), batch=4)


def test_a_second_process_is_refused(dataset: Path) -> None:
    from mdeas.pipeline.lock import locked

    with locked(dataset), pytest.raises(MdeasError, match="another mdeas process"):
        label_archives(dataset, as_labeller(), batch=4)


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="mdeas make-dataset"):
        label_archives(tmp_path, as_labeller(), batch=4)
