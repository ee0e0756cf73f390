"""The figures of ``stats.json`` against plain integer numpy over the decoded files."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import images, pixel_sums
from mdeas.pipeline.options import StatsConfig
from mdeas.pipeline.pixel_sums import PixelSums, sum_masks, sum_pictures, sum_pixels
from mdeas.pipeline.reader import DatasetReader
from mdeas.pipeline.shards import ShardReader, ShardWriter
from mdeas.pipeline.stats import compute_stats
from numpy.typing import NDArray
from PIL import Image


def exact(pictures: list[NDArray[np.uint8]]) -> tuple[list[float], list[float], list[list[int]]]:
    """Mean and std per channel as exact fractions, and histograms, the slow way."""
    values = np.stack(pictures).astype(np.int64).reshape(len(pictures), *pictures[0].shape[:2], -1)
    means, stds, histograms = [], [], []
    for channel in range(values.shape[-1]):
        v = values[..., channel].ravel()
        mean = Fraction(int(v.sum()), v.size)
        variance = Fraction(int((v * v).sum()), v.size) - mean * mean
        means.append(float(mean / 255))
        stds.append(math.sqrt(variance / 255**2))
        histograms.append(np.bincount(v, minlength=256).tolist())
    return means, stds, histograms


def test_figures_are_those_of_integer_numpy_over_the_decoded_files(dataset_copy: Path) -> None:
    report = compute_stats(StatsConfig(dataset=dataset_copy, jobs=1))
    written = json.loads((dataset_copy / "stats.json").read_text())
    reader = DatasetReader(dataset_copy)
    pictures = {
        "bg": [reader.background(number) for number in range(len(reader.manifest.bg))],
        "fg_bg": [reader.fg_bg(index) for index in range(len(reader))],
        "mask": [reader.mask(index) for index in range(len(reader))],
    }
    for kind, of_kind in pictures.items():
        mean, std, histogram = exact(of_kind)
        found = written[kind]
        assert found["pictures"] == len(of_kind)
        assert found["count"] == len(of_kind) * reader.size**2
        assert found["mean"] == mean
        assert found["std"] == pytest.approx(std, rel=1e-15)
        assert found["histogram"] == histogram
        assert found["min"] == [picture / 255 for picture in np.min(of_kind, axis=(0, 1, 2)).reshape(-1)]
        assert found["max"] == [picture / 255 for picture in np.max(of_kind, axis=(0, 1, 2)).reshape(-1)]
    # Red and blue differ in these rooms: channels in another order would show.
    assert written["bg"]["mean"][0] != written["bg"]["mean"][2]
    assert report.missing == ("depth",)
    assert "depth" not in written
    assert "Not there yet: depth" in report.summary()


def test_jobs_do_not_change_the_file(dataset_copy: Path) -> None:
    compute_stats(StatsConfig(dataset=dataset_copy, jobs=1))
    one = (dataset_copy / "stats.json").read_bytes()
    compute_stats(StatsConfig(dataset=dataset_copy, jobs=2))
    assert (dataset_copy / "stats.json").read_bytes() == one


def test_a_damaged_picture_is_named(dataset_copy: Path) -> None:
    names = ShardReader(dataset_copy / "mask-00000.zip").names
    with ShardWriter(dataset_copy / "mask-00000.zip") as writer:
        for name in names:
            writer.add(name, b"no picture")
    with pytest.raises(MdeasError, match=r"mask-00000\.zip \(mask/000000\.png\); run `mdeas verify`"):
        compute_stats(StatsConfig(dataset=dataset_copy, jobs=1))
    assert not (dataset_copy / "stats.json").exists()


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="make-dataset"):
        compute_stats(StatsConfig(dataset=tmp_path))


def test_sums_of_16_bits() -> None:
    values = np.array([[0, 1, 255], [256, 65535, 65535]], np.uint16)
    sums = sum_pixels(values)
    assert sums.total == (int(values.sum(dtype=np.int64)),)
    assert sums.squares == (1 + 255**2 + 256**2 + 2 * 65535**2,)
    assert (sums.low, sums.high, sums.levels) == ((0,), (65535,), 65535)
    assert [bin for bin, count in enumerate(sums.histogram[0]) if count] == [0, 1, 255]
    assert sums.histogram[0][0] == 3


def test_large_pictures_are_summed_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (37, 50)).astype(np.uint16)
    whole = sum_pixels(values)
    monkeypatch.setattr(pixel_sums, "STRIP_PIXELS", 200)
    assert sum_pixels(values) == whole
    monkeypatch.setattr(pixel_sums, "STRIP_PIXELS", 1)
    assert sum_pixels((values >> 8).astype(np.uint8)).total == (int((values >> 8).sum(dtype=np.int64)),)


def test_the_largest_strip_is_still_exact() -> None:
    side = math.isqrt(pixel_sums.STRIP_PIXELS)
    white = sum_pixels(np.full((side, side), 65535, np.uint16))
    assert white.squares == (side * side * 65535**2,)
    # An odd sum of squares just below: a float that rounds would lose the last bit.
    almost = np.full((side, side), 65535, np.uint16)
    almost[0, 0] = 65534
    assert sum_pixels(almost).squares == (side * side * 65535**2 - 65535**2 + 65534**2,)


def test_other_levels_do_not_merge() -> None:
    with pytest.raises(ValueError, match="levels and channels"):
        PixelSums.empty(1, 255).merge(PixelSums.empty(1, 65535))
    with pytest.raises(ValueError, match="at least one picture"):
        PixelSums.empty(1, 255).figures()


def test_round_trip_through_json() -> None:
    sums = sum_pixels(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    assert PixelSums.from_json(json.loads(json.dumps(dataclasses.asdict(sums)))) == sums


def test_packed_masks_give_what_unpacked_ones_do() -> None:
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, shape).astype(np.uint8) * 255 for shape in ((9, 13), (8, 16), (1, 1))]
    masks += [np.zeros((5, 5), np.uint8), np.full((5, 5), 255, np.uint8)]
    buffer = io.BytesIO()
    Image.fromarray(masks[0]).save(buffer, "PNG")  # 8 bits: not ours
    files = [images.encode_mask(mask) for mask in masks] + [buffer.getvalue()]
    assert sum_masks(files, images.decode_mask) == sum_pictures([*masks, masks[0]], 1, 255)
    assert sum_masks([], images.decode_mask) == PixelSums.empty(1, 255)
    assert sum_masks(files[3:4], images.decode_mask).high == (0,)


def test_a_broken_mask_is_refused() -> None:
    with pytest.raises(MdeasError, match="damaged"):
        sum_masks([images.encode_mask(np.zeros((4, 4), np.uint8))[:-20]], images.decode_mask)
