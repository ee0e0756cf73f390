from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import reader as reader_module
from mdeas.pipeline.images import Pixels
from mdeas.pipeline.manifest import SPLITS
from mdeas.pipeline.reader import DatasetReader, PictureCache


def test_every_sample_can_be_read(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    assert (len(reader), reader.size) == (4 * 3 * 2 * 3, 64)
    for index in range(len(reader)):
        assert reader.fg_bg(index).shape == (64, 64, 3)
        mask = reader.mask(index)
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) == {0, 255}
        assert np.count_nonzero(mask) / 64**2 == reader.samples.mask_area[index]


def test_splits_cover_the_set_and_agree_with_the_totals(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    parts = {split: reader.indices(split) for split in SPLITS}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(reader)))
    for split, indices in parts.items():
        assert len(indices) == reader.manifest.totals[split] > 0


def test_reader_travels_to_other_processes(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    first = reader.fg_bg(5), reader.background(1)
    other = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(first[0], other.fg_bg(5))
    assert np.array_equal(first[1], other.background(1))


def test_no_depth_before_label_depth(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    assert not reader.has_depth
    assert reader.depth_info is None
    with pytest.raises(MdeasError, match=r"depth-00000\.zip"):
        reader.depth(0)


def test_errors_say_what_to_do(dataset_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match=r"no finished data set: .*make it with `mdeas make-dataset"):
        DatasetReader(tmp_path)
    reader = DatasetReader(dataset_dir)
    with pytest.raises(MdeasError, match="no such split: val; choose one of train, seen"):
        reader.indices("val")
    with pytest.raises(IndexError, match="below 72, got 72"):
        reader.fg_bg(72)


def test_backgrounds_are_decoded_once_and_the_oldest_forgotten() -> None:
    made: list[int] = []

    def make(number: int) -> Pixels:
        made.append(number)
        return np.full((10, 10, 3), number, np.uint8)

    cache = PictureCache(limit_bytes=2 * 300)
    for number in (1, 2, 1, 3, 1, 2):
        assert cache.get(number, make)[0, 0, 0] == number
    assert made == [1, 2, 3, 2]
    tiny = PictureCache(limit_bytes=1)
    assert tiny.get(5, make) is tiny.get(5, make)


def test_threads_read_the_same(dataset_dir: Path) -> None:
    reader = DatasetReader(dataset_dir)
    expected = [DatasetReader(dataset_dir).encoded("fg_bg", number) for number in range(len(reader))]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: reader.encoded("fg_bg", number), range(len(reader))))
    assert found == expected


def test_hundreds_of_archives_may_be_open() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, before[1]))
        reader_module._allow_open_files(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
        reader_module._allow_open_files(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600 + 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
