"""The lock file: what it holds, what it tells apart, how large it gets; and the encoders that it names."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import encoders as module
from mdeas.pipeline.encoders import PROBE, differences, encoders, refuse_other_encoders, writes_same_bytes
from mdeas.pipeline.images import encode_jpeg, encode_mask
from mdeas.pipeline.lockfile import fingerprint, fingerprints_of, lock_dataset, read_lockfile, write_lockfile
from mdeas.pipeline.manifest import read_manifest, write_manifest
from mdeas.pipeline.shards import ShardRecord


def test_it_says_what_dataset_json_says(dataset_dir: Path, tmp_path: Path) -> None:
    lockfile = read_lockfile(dataset_dir / "dataset.lock.json")
    assert lockfile.manifest == read_manifest(dataset_dir)
    assert list(lockfile.fingerprints) == [0]
    assert lockfile.depth is None
    write_manifest(tmp_path, lockfile.manifest)
    assert (tmp_path / "dataset.json").read_bytes() == (dataset_dir / "dataset.json").read_bytes()
    write_lockfile(tmp_path, lockfile)
    assert (tmp_path / "dataset.lock.json").read_bytes() == (dataset_dir / "dataset.lock.json").read_bytes()


def test_size(dataset_dir: Path, tmp_path: Path) -> None:
    """400 archives a kind of 400,000 samples and 200 pictures."""
    lockfile = read_lockfile(dataset_dir / "dataset.lock.json")
    names = [f"{kind}-{number:05d}.zip" for kind in ("fg_bg", "mask") for number in range(400)]
    manifest = dataclasses.replace(
        lockfile.manifest,
        fg=lockfile.manifest.fg[:1] * 100,
        bg=lockfile.manifest.bg[:1] * 100,
        shards=tuple(ShardRecord(name, 1000, 12345678, "0" * 64) for name in names),
    )
    many = dict.fromkeys(range(100), lockfile.fingerprints[0])
    write_lockfile(tmp_path, dataclasses.replace(lockfile, manifest=manifest, fingerprints=many))
    assert (tmp_path / "dataset.lock.json").stat().st_size < 300_000


def test_fingerprints_tell_pictures_apart() -> None:
    grey = np.full((64, 64, 3), 100, np.uint8)
    spot, mask = grey.copy(), np.zeros((64, 64), np.uint8)
    spot[:16, :16], mask[5, 5] = 200, 255
    one = fingerprint(encode_jpeg(grey, 90), encode_mask(mask))
    assert one.distance(fingerprint(encode_jpeg(grey, 50), encode_mask(mask))) <= 1
    assert one.distance(fingerprint(encode_jpeg(spot, 90), encode_mask(mask))) > 90
    assert one.distance(fingerprint(encode_jpeg(grey, 90), encode_mask(mask[::-1].copy()))) == 255


def test_a_damaged_archive_has_no_fingerprint(dataset_copy: Path) -> None:
    manifest = read_manifest(dataset_copy)
    for data in (b"", b"PK", b"PK\x03\x04" + b"\1" * 100):
        (dataset_copy / "mask-00000.zip").write_bytes(data)
        with pytest.raises(MdeasError, match=r"damaged archive: .*mask-00000\.zip"):
            fingerprints_of(dataset_copy, manifest)
    (dataset_copy / "mask-00000.zip").unlink()
    with pytest.raises(MdeasError, match="damaged archive"):
        fingerprints_of(dataset_copy, manifest)


def test_a_damaged_one_is_replaced(dataset_copy: Path, dataset_dir: Path) -> None:
    (dataset_copy / "dataset.lock.json").write_text("{")
    lock_dataset(dataset_copy, read_manifest(dataset_copy))
    name = "dataset.lock.json"
    assert (dataset_copy / name).read_bytes() == (dataset_dir / name).read_bytes()


def test_encoders_are_named() -> None:
    found = encoders(90)
    assert set(found) >= {PROBE, "opencv", "libjpeg", "libpng", "zlib", "pillow", "numpy"}
    assert re.fullmatch(r"[0-9a-f]{64}", found[PROBE])
    assert found == encoders(90)
    assert "/" not in json.dumps(found)


def test_other_bytes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = {**encoders(90), "opencv": "3.4"}
    assert writes_same_bytes(recorded, encoders(90))
    assert writes_same_bytes({}, encoders(90))
    assert differences(recorded, encoders(90)).startswith("opencv 3.4, here ")
    refuse_other_encoders(tmp_path, recorded, 90)
    monkeypatch.setattr(module.images, "encode_jpeg", lambda rgb, quality: encode_jpeg(rgb, quality - 1))
    with pytest.raises(MdeasError, match=r"encoders that write other bytes.*opencv 3\.4"):
        refuse_other_encoders(tmp_path, recorded, 90)
