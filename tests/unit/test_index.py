"""The saved index: the same entries as the archives' directories, never trusted when they have changed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import index
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.index import ENTRY, INDEX_NAME, MISSING, entry_index
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardReader, ShardWriter

KINDS = ("fg_bg", "mask")
MASKS = "mask-00000.zip"


@pytest.fixture
def indexed(dataset_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose index is saved, small as it is."""
    monkeypatch.setattr(index, "SAVED_FROM_SAMPLES", 1)
    read_all(dataset_copy)
    return dataset_copy


def read_all(folder: Path) -> list[bytes]:
    reader = DatasetReader(folder)
    assert len(reader.bg) == len(reader)
    return [reader.encoded(kind, number) for kind in KINDS for number in range(len(reader))]


def never(*_: object) -> None:
    raise AssertionError("built again")


def rewrite(path: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    reader = ShardReader(path)
    entries = change([(name, reader.read(name)) for name in reader.names])
    with ShardWriter(path) as writer:
        for name, data in entries:
            writer.add(name, data)


def test_entries_are_those_of_the_archives(indexed: Path) -> None:
    for kind in KINDS:
        archive = ShardReader(indexed / f"{kind}-00000.zip")
        entries = entry_index(indexed, kind, 72, 1000).entries
        assert entries.dtype == ENTRY
        assert [tuple(entry) for entry in entries.tolist()] == [archive.find(name) for name in archive.names]


def test_a_saved_index_is_mapped_not_made(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_all(indexed)
    assert sorted(path.name for path in (indexed / INDEX_NAME).iterdir()) == ["fg_bg", "mask", "samples"]
    monkeypatch.setattr(index, "_read_directory", never)
    monkeypatch.setattr(index, "_read_table", never)
    assert read_all(indexed) == expected
    assert not entry_index(indexed, "mask", 72, 1000).entries.flags.writeable


def test_equal_data_sets_have_equal_indices(indexed: Path, tmp_path: Path) -> None:
    other = shutil.copytree(indexed, tmp_path / "other", ignore=shutil.ignore_patterns(INDEX_NAME))
    for path in other.iterdir():
        os.utime(path)
    read_all(other)
    for path in (indexed / INDEX_NAME).iterdir():
        assert path.read_bytes() == (other / INDEX_NAME / path.name).read_bytes()


def test_small_data_sets_have_none(dataset_copy: Path) -> None:
    read_all(dataset_copy)
    assert not (dataset_copy / INDEX_NAME).exists()


def test_it_may_be_deleted_or_spoilt(indexed: Path) -> None:
    expected, saved = read_all(indexed), indexed / INDEX_NAME / "mask"
    whole = saved.read_bytes()
    for spoilt in (b"", whole[:-1], b"x" * len(whole), whole + b"x"):
        saved.write_bytes(spoilt)
        assert read_all(indexed) == expected
        assert saved.read_bytes() == whole
    shutil.rmtree(indexed / INDEX_NAME)
    assert read_all(indexed) == expected


def test_without_a_place_to_save_it_everything_is_read(indexed: Path) -> None:
    expected = read_all(indexed)
    shutil.rmtree(indexed / INDEX_NAME)
    (indexed / INDEX_NAME).write_text("in the way")  # as a read-only folder, but for the superuser too
    assert read_all(indexed) == expected


@pytest.mark.parametrize("dated", ["newer", "as before", "older"])
def test_a_changed_archive_is_read_as_it_is(indexed: Path, dated: str) -> None:
    path = indexed / MASKS
    before = path.stat()
    # The masks in reverse order: the same size, all other places.
    rewrite(path, lambda entries: [(a, b) for (a, _), (_, b) in zip(entries, entries[::-1], strict=True)])
    assert path.stat().st_size == before.st_size
    shift = {"newer": 1, "as before": 0, "older": -1}[dated] * 10**9
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + shift))
    reader = ShardReader(path)
    assert read_all(indexed)[72:] == [reader.read(name) for name in reader.names]


def test_a_longer_archive_is_read_as_it_is(indexed: Path) -> None:
    path = indexed / MASKS
    before = path.stat()
    rewrite(path, lambda entries: [(name, data + b"more") for name, data in entries])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert all(data.endswith(b"more") for data in read_all(indexed)[72:])
    assert entry_index(indexed, "mask", 72, 1000).entries["size"][0] == len(read_all(indexed)[72])


def test_archives_of_other_programs_are_indexed(indexed: Path) -> None:
    expected, path = read_all(indexed), indexed / MASKS
    with zipfile.ZipFile(path) as source:
        entries = [(info.filename, source.read(info)) for info in source.infolist()]
    with zipfile.ZipFile(path, "w") as target:
        target.comment = b"another program"
        for name, data in reversed(entries):
            info = zipfile.ZipInfo(name)
            info.extra = b"\x99\x99\x04\x00abcd"
            target.writestr(info, data)
    assert read_all(indexed) == expected
    assert (entry_index(indexed, "mask", 72, 1000).entries["offset"] != MISSING).all()


@pytest.mark.parametrize("name", ["mask/000007x.png", "mask/00000:.png", "mask/000099.png"])
def test_entries_of_other_names_are_no_samples(indexed: Path, name: str) -> None:
    rewrite(indexed / MASKS, lambda entries: [*entries[:7], (name, entries[7][1])])
    offsets = entry_index(indexed, "mask", 72, 1000, fresh=True).entries["offset"]
    assert np.array_equal(offsets == MISSING, np.arange(72) >= 7)
    reader = DatasetReader(indexed)
    assert reader.mask(6).shape == (64, 64)
    with pytest.raises(MdeasError, match=r"no entry mask/000007\.png in .*verify"):
        reader.mask(7)


def test_one_bad_archive_leaves_the_others_readable(
    own_assets: Path,
    small_config: Callable[..., MakeDatasetConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "set"
    make_dataset(small_config(own_assets, out, size=32, placements=50))  # 1,200 samples, two archives
    monkeypatch.setattr(index, "SAVED_FROM_SAMPLES", 1)
    whole = (out / MASKS).read_bytes()
    (out / MASKS).write_bytes(whole[: len(whole) // 2])
    reader = DatasetReader(out)
    assert reader.mask(1000).shape == (32, 32)
    with pytest.raises(MdeasError, match="damaged archive"):
        reader.mask(0)
    (out / MASKS).unlink()
    with pytest.raises(MdeasError, match="cannot open the archive"):
        DatasetReader(out).mask(0)
    (out / MASKS).write_bytes(whole)
    assert DatasetReader(out).mask(0).shape == (32, 32)


def test_many_may_write_it_at_once(indexed: Path) -> None:
    expected = read_all(indexed)
    shutil.rmtree(indexed / INDEX_NAME)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(read_all, [indexed] * 16))
    assert len(list((indexed / INDEX_NAME).iterdir())) == 3


def test_a_table_of_another_length_is_refused(indexed: Path) -> None:
    with pytest.raises(MdeasError, match=r"72 rows for 71 samples: .*samples\.parquet; run `mdeas verify`"):
        index.sample_index(indexed, 71)
    (indexed / "samples.parquet").write_bytes(b"no table")
    with pytest.raises(MdeasError, match=r"cannot read the sample table: .*samples\.parquet"):
        index.sample_index(indexed, 72)


def test_splits_and_backgrounds_are_those_of_the_table(indexed: Path) -> None:
    reader = DatasetReader(indexed)
    assert np.array_equal(reader.bg, reader.samples.bg)
    for split in ("train", "seen", "new_bg", "new_fg", "new_both"):
        assert np.array_equal(reader.indices(split), np.flatnonzero(reader.samples.split == split))
