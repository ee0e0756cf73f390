"""The data set as tensors: the values of the archives, in an order that depends on nothing but the seed."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mdeas import MdeasError
from mdeas.models.dataset import FgBgDataset, batches, epoch_order, label_meaning, subset
from mdeas.pipeline.reader import DatasetReader
from torch.utils.data import DataLoader


def test_a_sample_is_what_the_archives_hold(labelled: Path) -> None:
    dataset, reader = FgBgDataset(labelled), DatasetReader(labelled)
    number = int(reader.indices("train")[3])
    bg, fg_bg, mask, depth = dataset[3]
    assert [part.dtype for part in (bg, fg_bg, mask, depth)] == [torch.float32] * 4
    expected = reader.background(int(reader.samples.bg[number]))
    assert np.array_equal((bg * 255).round().byte().permute(1, 2, 0).numpy(), expected)
    assert np.array_equal((fg_bg * 255).round().byte().permute(1, 2, 0).numpy(), reader.fg_bg(number))
    assert np.array_equal(mask[0].numpy() * 255, reader.mask(number))
    assert np.array_equal((depth[0] * 65535).round().numpy().astype(np.uint16), reader.depth(number))


@pytest.mark.parametrize("split", ["train", "seen", "new_bg", "new_fg", "new_both"])
def test_a_split_is_that_of_the_table(labelled: Path, split: str) -> None:
    dataset, reader = FgBgDataset(labelled, split), DatasetReader(labelled)
    assert np.array_equal(dataset.samples, reader.indices(split))
    assert len(dataset) == len(reader.indices(split))


def test_another_size_is_averaged_and_the_mask_stays_sharp(labelled: Path) -> None:
    full, half = FgBgDataset(labelled)[0], FgBgDataset(labelled, size=32)[0]
    assert [tuple(part.shape) for part in half] == [(3, 32, 32), (3, 32, 32), (1, 32, 32), (1, 32, 32)]
    average = torch.nn.functional.avg_pool2d(full.fg_bg[None], 2)[0]
    assert float((half.fg_bg - average).abs().max()) < 1.01 / 255
    assert set(half.mask.unique().tolist()) <= {0.0, 1.0}
    assert float(half.mask.mean()) == pytest.approx(float(full.mask.mean()), rel=0.1)
    expected = cv2.resize(full.depth[0].numpy(), (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(half.depth[0].numpy() - expected).max() < 1e-4


def test_a_mask_is_not_shifted_when_shrunk(labelled: Path) -> None:
    full, half = FgBgDataset(labelled)[0].mask[0], FgBgDataset(labelled, size=32)[0].mask[0]
    centres = [np.argwhere(mask.numpy() > 0).mean(axis=0) for mask in (full, half)]
    assert (centres[0] + 0.5) / 64 == pytest.approx((centres[1] + 0.5) / 32, abs=0.5 / 64)


def test_a_limit_is_a_seeded_subset(labelled: Path) -> None:
    everything = set(FgBgDataset(labelled).samples)
    chosen = [tuple(FgBgDataset(labelled, limit=10, seed=seed).samples) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(len(set(one)) == 10 and set(one) <= everything for one in chosen)
    assert list(chosen[0]) == sorted(chosen[0])
    assert len(FgBgDataset(labelled, limit=10**6)) == len(everything)


def test_an_index_past_the_end(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, "seen")
    assert torch.equal(dataset[-1].fg_bg, dataset[len(dataset) - 1].fg_bg)
    with pytest.raises(IndexError, match=f"below {len(dataset)}"):
        dataset[len(dataset)]


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_the_workers(labelled: Path, workers: int) -> None:
    dataset = FgBgDataset(labelled, size=32)
    order = epoch_order(len(dataset), seed=5, epoch=2)
    expected = list(batches(dataset, order, 7, workers=0))
    got = list(batches(dataset, order, 7, workers))
    assert [tuple(indices) for indices, _ in got] == [
        tuple(order[at : at + 7]) for at in range(0, len(order), 7)
    ]
    for (_, a), (_, b) in zip(expected, got, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_batches_can_be_left_early(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, size=32)
    stream = batches(dataset, np.arange(len(dataset)), 4, workers=2)
    indices, batch = next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(indices) == len(batch.mask) == 4


def test_an_error_in_a_thread_arrives(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = FgBgDataset(labelled)

    def fail(_index: int) -> None:
        raise MdeasError("damaged")

    monkeypatch.setattr(dataset.reader, "fg_bg", fail)
    with pytest.raises(MdeasError, match="damaged"):
        next(iter(batches(dataset, np.arange(4), 2, workers=2)))


def test_the_order_of_an_epoch_is_a_permutation_of_its_own(labelled: Path) -> None:
    orders = [tuple(epoch_order(50, seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[3]
    assert len(set(orders)) == 3


def test_travels_to_worker_processes(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, "new_fg", size=32, limit=6)
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(a, b) for a, b in zip(dataset[2], copy[2], strict=True))


@pytest.mark.slow
def test_torch_loader_with_worker_processes(labelled: Path) -> None:
    dataset = FgBgDataset(labelled, "new_fg", size=32, limit=6)
    loaded = list(DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context="spawn"))
    assert [part.shape for part in loaded[1]] == [
        (3, 3, 32, 32),
        (3, 3, 32, 32),
        (3, 1, 32, 32),
        (3, 1, 32, 32),
    ]
    assert torch.equal(loaded[1].fg_bg[2], dataset[5].fg_bg)


def test_pictures_are_channels_last_in_memory(labelled: Path) -> None:
    sample = FgBgDataset(labelled).read(np.arange(4)).to(torch.device("cpu"))
    assert sample.fg_bg.is_contiguous(memory_format=torch.channels_last)


def test_says_what_the_labels_are(labelled: Path) -> None:
    meaning = label_meaning(FgBgDataset(labelled).depth_info)
    assert meaning["kind"] == "relative_disparity"
    assert meaning["nearer"] == "larger"
    assert meaning["offset"] == 0.1


def test_without_labels_the_command_is_named(dataset_dir: Path) -> None:
    with pytest.raises(MdeasError, match=r"no depth labels: .*; run `mdeas label-depth"):
        FgBgDataset(dataset_dir)


def test_without_a_data_set_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="mdeas make-dataset"):
        FgBgDataset(tmp_path)


def test_an_unknown_split_lists_the_known(labelled: Path) -> None:
    with pytest.raises(MdeasError, match=r"no such split: test; choose one of train, seen"):
        FgBgDataset(labelled, "test")


def test_subset_without_a_limit_is_everything() -> None:
    numbers = np.arange(5)
    assert subset(numbers, None, 0) is numbers
