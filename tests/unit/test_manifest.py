from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mdeas import MdeasError
from mdeas.pipeline import manifest
from mdeas.pipeline.manifest import Samples, read_manifest, read_samples, write_manifest, write_samples


def test_manifest_round_trip(dataset_dir: Path, tmp_path: Path) -> None:
    first = read_manifest(dataset_dir)
    write_manifest(tmp_path, first)
    assert read_manifest(tmp_path) == first
    assert (tmp_path / "dataset.json").read_bytes() == (dataset_dir / "dataset.json").read_bytes()


def test_names_keep_their_order() -> None:
    assert manifest.sample_name("fg_bg", 7, 400_000) == "fg_bg/000007.jpg"
    assert manifest.sample_name("mask", 1_000_000, 1_000_001) == "mask/1000000.png"
    assert manifest.sample_name("depth", 0, 10**6) == "depth/000000.png"
    assert manifest.background_name(9, 1001) == "bg/0009.png"
    assert manifest.background_name(9, 1000) == "bg/009.png"
    assert manifest.shard_name("mask", 12) == "mask-00012.zip"
    assert [manifest.shard_count(total) for total in (1, 1000, 1001)] == [1, 1, 2]


def test_sample_table_has_the_columns_of_the_contract(dataset_dir: Path) -> None:
    table = pq.read_table(dataset_dir / "samples.parquet")
    assert table.column_names == (
        ["key", "shard", "bg", "fg", "flip", "scale", "x", "y", "width", "height", "mask_area", "split"]
    )
    assert table["key"].to_pylist() == [f"{number:06d}" for number in range(72)]
    assert set(table["split"].to_pylist()) == set(manifest.SPLITS)


def test_samples_round_trip_in_parts(dataset_dir: Path, tmp_path: Path) -> None:
    whole = read_samples(dataset_dir / "samples.parquet")
    names = list(Samples.__annotations__)

    def part(start: int, stop: int) -> Samples:
        return Samples(**{name: getattr(whole, name)[start:stop] for name in names})

    write_samples(tmp_path / "a.parquet", [part(0, 30), part(30, 72)], 72)
    again = read_samples(tmp_path / "a.parquet")
    assert len(again) == 72
    for name in names:
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name


def test_damage_is_one_clear_line(dataset_copy: Path) -> None:
    path = dataset_copy / "dataset.json"
    content = json.loads(path.read_text())
    for text, message in (
        ("{", r"damaged file: .*\.json \(Expecting .*\); mend it with `mdeas verify --repair`"),
        ("{}", r"damaged file: .*\.json \(fields are missing or unknown\); mend it"),
        ("[]", r"damaged file: .*\.json \(fields are missing or unknown\); mend it"),
        (json.dumps({**content, "shards": [{"name": "a"}]}), r"damaged file: .*\(fields are missing"),
        (json.dumps({**content, "format_version": 99}), "data set of format 99: .*make the data set again"),
    ):
        path.write_text(text)
        with pytest.raises(MdeasError, match=message):
            read_manifest(dataset_copy)
    (dataset_copy / "samples.parquet").write_bytes(b"no parquet")
    with pytest.raises(MdeasError, match="cannot read the sample table"):
        read_samples(dataset_copy / "samples.parquet")
    with pytest.raises(MdeasError, match="cannot read"):
        manifest.read_json(dataset_copy / "gone.json")


def test_names_that_are_no_utf8_survive(dataset_dir: Path, tmp_path: Path) -> None:
    first = read_manifest(dataset_dir)
    odd = replace(first, fg=(replace(first.fg[0], file="caf\udce9.png"), *first.fg[1:]))
    write_manifest(tmp_path, odd)
    assert read_manifest(tmp_path) == odd
    (tmp_path / "dataset.json").read_text(encoding="utf-8")
