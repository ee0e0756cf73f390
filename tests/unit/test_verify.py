"""Every fault put into a data set is found and named, and a whole one has none."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mdeas import MdeasError
from mdeas.pipeline.images import encode_gray16, encode_jpeg, encode_mask
from mdeas.pipeline.manifest import (
    DepthInfo,
    read_manifest,
    sample_name,
    write_json,
    write_manifest,
)
from mdeas.pipeline.options import VerifyConfig
from mdeas.pipeline.shards import ShardReader, ShardRecord, ShardWriter
from mdeas.pipeline.verify import VerifyReport, verify_dataset
from numpy.typing import NDArray

MASKS, FRAMES = "mask-00000.zip", "fg_bg-00000.zip"


def verify(dataset: Path, sample: int | None = None) -> VerifyReport:
    return verify_dataset(VerifyConfig(dataset=dataset, sample=sample, jobs=1))


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], None], is_recorded: bool = True) -> None:
    """Change the entries of an archive; ``is_recorded`` also notes its new bytes in ``dataset.json``."""
    reader = ShardReader(archive)
    entries = {name: reader.read(name) for name in reader.names}
    reader.close()
    change(entries)
    writer = ShardWriter(archive)
    for name in sorted(entries):
        writer.add(name, entries[name])
    record = writer.close()
    if is_recorded:
        manifest = read_manifest(archive.parent)
        shards = tuple(record if one.name == record.name else one for one in manifest.shards)
        write_manifest(archive.parent, dataclasses.replace(manifest, shards=shards))


def change_row(dataset: Path, column: str, row: int, value: object) -> None:
    table = pq.read_table(dataset / "samples.parquet")
    values = table[column].to_pylist()
    values[row] = value
    kind = table.schema.field(column).type
    array = (
        pa.array(values, pa.string()).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(values, kind)
    )
    position = table.schema.get_field_index(column)
    pq.write_table(table.set_column(position, column, array), dataset / "samples.parquet")


def add_depth(
    dataset: Path,
    height: int = 64,
    width: int = 64,
    labels: dict[int, NDArray[np.uint16]] | None = None,
    values: dict[str, float] | None = None,
) -> None:
    """Depth labels of all samples, as ``label-depth`` would leave them, those in ``labels`` as given."""
    special = {number: encode_gray16(label) for number, label in (labels or {}).items()}
    total = read_manifest(dataset).totals["samples"]
    with ShardWriter(dataset / "depth-00000.zip") as writer:
        ramp = encode_gray16(np.arange(height * width, dtype=np.uint16).reshape(height, width))
        for number in range(total):
            writer.add(sample_name("depth", number, total), special.get(number, ramp))
        record = writer.close()
    info = DepthInfo(
        mdeas_version="0", dataset_sha256=hashlib.sha256((dataset / "dataset.json").read_bytes()).hexdigest(),
        model="test", source="", weights_sha256=None, licence="MIT", kind="relative_disparity",
        nearer="larger", unit="", bits=16, scale=1.0, offset=0.0, input_height=height, input_width=width,
        resize="", precision="float32", micro_batch=1, device="cpu", samples=total, clipped=0.0,
        values=values or {},
        shards=(record,),
    )  # fmt: skip
    write_json(dataset / "depth.json", info)


def test_a_whole_set(dataset_copy: Path) -> None:
    add_depth(dataset_copy)
    report = verify(dataset_copy)
    assert report.problems == report.notes == ()
    assert (report.samples, report.archives, report.decoded) == (72, 4, 3 * 72 + 3)
    assert report.summary().endswith("No fault found")


def test_a_sample_of_the_pictures(dataset_copy: Path) -> None:
    assert verify(dataset_copy, sample=5).decoded == 5 + 5 + 3


def test_two_processes_find_the_same(dataset_copy: Path) -> None:
    (dataset_copy / MASKS).unlink()
    with (dataset_copy / FRAMES).open("r+b") as file:
        file.truncate(5000)
    one = verify(dataset_copy)
    two = verify_dataset(VerifyConfig(dataset=dataset_copy, jobs=2))
    assert one.problems == two.problems
    assert len(one.problems) == 3


@pytest.mark.parametrize("archive", [MASKS, FRAMES, "bg.zip"])
def test_a_flipped_byte(dataset_copy: Path, archive: str) -> None:
    path = dataset_copy / archive
    data = bytearray(path.read_bytes())
    name = ShardReader(path).names[2]
    data[data.index(name.encode()) + len(name) + 20] ^= 1
    path.write_bytes(data)
    assert verify(dataset_copy).problems == (f"{archive}: {name}: damaged bytes (CRC)",)


def test_a_flipped_byte_outside_the_pictures(dataset_copy: Path) -> None:
    path = dataset_copy / MASKS
    data = bytearray(path.read_bytes())
    data[10] ^= 1  # the date of the first entry, which no reader looks at
    path.write_bytes(data)
    assert verify(dataset_copy).problems == (f"{MASKS}: other bytes than recorded (sha256)",)


def test_a_missing_entry(dataset_copy: Path) -> None:
    rewrite(dataset_copy / MASKS, lambda entries: entries.pop("mask/000007.png") and None)
    assert verify(dataset_copy).problems == (
        f"{MASKS}: mask/000007.png: missing",
        f"{MASKS}: recorded with 71 entries, expected 72",
    )


def test_a_strange_entry(dataset_copy: Path) -> None:
    rewrite(dataset_copy / MASKS, lambda entries: entries.update({"mask/extra.png": b"x"}), is_recorded=False)
    problems = verify(dataset_copy).problems
    assert f"{MASKS}: mask/extra.png: not expected here" in problems


def test_a_missing_archive(dataset_copy: Path) -> None:
    (dataset_copy / FRAMES).unlink()
    assert verify(dataset_copy).problems == (
        f"{FRAMES}: missing; run `mdeas make-dataset` again, it makes what is missing",
    )


def test_a_truncated_archive(dataset_copy: Path) -> None:
    size = (dataset_copy / FRAMES).stat().st_size
    with (dataset_copy / FRAMES).open("r+b") as file:
        file.truncate(size - 10)
    assert verify(dataset_copy).problems == (
        f"{FRAMES}: {size - 10} bytes, expected {size}",
        f"{FRAMES}: its directory cannot be read: no zip, or cut short",
    )


def test_swapped_masks(dataset_copy: Path) -> None:
    def swap(entries: dict[str, bytes]) -> None:
        first, second = "mask/000000.png", "mask/000040.png"
        entries[first], entries[second] = entries[second], entries[first]

    rewrite(dataset_copy / MASKS, swap)
    problems = verify(dataset_copy).problems
    assert [line.split(":")[1].strip() for line in problems] == ["mask/000000.png", "mask/000040.png"]


def test_a_mask_moved_out_of_its_box(dataset_copy: Path) -> None:
    def turn(entries: dict[str, bytes]) -> None:
        from mdeas.pipeline.images import decode_mask

        mask = decode_mask(entries["mask/000003.png"])
        entries["mask/000003.png"] = encode_mask(np.ascontiguousarray(mask[::-1, ::-1]))

    rewrite(dataset_copy / MASKS, turn)
    assert verify(dataset_copy).problems == (
        f"{MASKS}: mask/000003.png: foreground outside the box of its row in samples.parquet",
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key", "000099"),
        ("bg", 2),
        ("fg", 3),
        ("flip", False),
        ("x", 63),
        ("scale", 0.123),
        ("split", "new_both"),
    ],
)
def test_a_wrong_row(dataset_copy: Path, column: str, value: object) -> None:
    row = 4
    before = pq.read_table(dataset_copy / "samples.parquet")[column][row].as_py()
    assert before != value
    change_row(dataset_copy, column, row, value)
    problems = verify(dataset_copy).problems
    assert problems[0].startswith(f"samples.parquet: row 4: {column} is {value}")


@pytest.mark.parametrize("column", ["x", "flip", "split", "mask_area"])
def test_a_row_without_a_value(dataset_copy: Path, column: str) -> None:
    change_row(dataset_copy, column, 4, None)
    assert verify(dataset_copy).problems == (f"samples.parquet: {column}: 1 values missing",)


def test_an_area_that_is_no_number(dataset_copy: Path) -> None:
    change_row(dataset_copy, "mask_area", 4, float("nan"))
    (problem,) = verify(dataset_copy).problems
    assert problem.endswith("its row in samples.parquet says nothing")


def test_an_empty_mask(dataset_copy: Path) -> None:
    empty = encode_mask(np.zeros((64, 64), np.uint8))
    rewrite(dataset_copy / MASKS, lambda entries: entries.update({"mask/000003.png": empty}))
    change_row(dataset_copy, "mask_area", 3, 0.0)
    assert verify(dataset_copy).problems == (f"{MASKS}: mask/000003.png: is empty: no foreground at all",)


def test_an_entry_twice(dataset_copy: Path) -> None:
    with zipfile.ZipFile(dataset_copy / MASKS, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("mask/000071.png", archive.read("mask/000071.png"))
    assert f"{MASKS}: 1 entries come twice" in verify(dataset_copy).problems


def test_labels_that_say_nothing_or_too_much(dataset_copy: Path) -> None:
    add_depth(dataset_copy, labels={3: np.full((64, 64), 7, np.uint16)}, values={"min": 0.0, "max": 0.05})
    first, *others = verify(dataset_copy).problems
    assert (
        first == "depth-00000.zip: depth/000000.png: values from 0 to 4095, those of all labels are 0 to 3277"
    )
    assert "depth-00000.zip: depth/000003.png: is empty: 7 everywhere" in others


def test_totals_that_do_not_follow(dataset_copy: Path) -> None:
    manifest = read_manifest(dataset_copy)
    strange = ShardRecord("mask-00007.zip", 1, 1, "0" * 64)
    write_manifest(
        dataset_copy,
        dataclasses.replace(
            manifest, totals={**manifest.totals, "train": 1}, shards=(*manifest.shards, strange)
        ),
    )
    first, second = verify(dataset_copy).problems
    assert first == f"dataset.json: totals: train is 1, expected {manifest.totals['train']}"
    assert second == "dataset.json: mask-00007.zip is recorded, but does not belong to these samples"


def test_options_that_cannot_be_read(dataset_copy: Path) -> None:
    manifest = read_manifest(dataset_copy)
    write_manifest(dataset_copy, dataclasses.replace(manifest, options={}))
    with pytest.raises(MdeasError, match=r"damaged file: .*dataset\.json"):
        verify(dataset_copy)


def test_a_folder_in_the_place_of_an_archive(dataset_copy: Path) -> None:
    (dataset_copy / MASKS).unlink()
    (dataset_copy / MASKS).mkdir()
    assert any(
        line.startswith(f"{MASKS}: its directory cannot be read") for line in verify(dataset_copy).problems
    )


def test_a_wrong_area(dataset_copy: Path) -> None:
    change_row(dataset_copy, "mask_area", 4, 0.5)
    (problem,) = verify(dataset_copy).problems
    assert problem.startswith(f"{MASKS}: mask/000004.png: ")
    assert "its row in samples.parquet says 2048" in problem


def test_a_short_or_missing_table(dataset_copy: Path) -> None:
    path = dataset_copy / "samples.parquet"
    pq.write_table(pq.read_table(path).slice(0, 70), path)
    assert verify(dataset_copy).problems == ("samples.parquet: 70 rows, expected 72",)
    path.write_bytes(b"PAR1 no more")
    assert verify(dataset_copy).problems[0].startswith("samples.parquet: cannot be read")
    path.unlink()
    assert verify(dataset_copy).problems[0].startswith("samples.parquet: missing")


def test_pictures_of_another_form(dataset_copy: Path) -> None:
    def spoil(entries: dict[str, bytes]) -> None:
        names = sorted(entries)
        entries[names[0]] = encode_jpeg(np.zeros((32, 64, 3), np.uint8), 90)
        entries[names[1]] = encode_mask(np.zeros((64, 64), np.uint8))
        entries[names[2]] = entries[names[2]][:200]

    rewrite(dataset_copy / FRAMES, spoil)
    first, second, third = verify(dataset_copy).problems
    assert first == f"{FRAMES}: fg_bg/000000.jpg: is 64x32, expected 64x64"
    assert second == f"{FRAMES}: fg_bg/000001.jpg: is PNG 1, expected JPEG RGB"
    assert third.startswith(f"{FRAMES}: fg_bg/000002.jpg: cannot be decoded")


def test_depth_labels(dataset_copy: Path) -> None:
    add_depth(dataset_copy, height=32)
    problems = verify(dataset_copy).problems
    assert problems[0] == "depth-00000.zip: depth/000000.png: is 64x32, expected 64x64"
    assert problems[-1] == "depth-00000.zip: 52 faults more"
    (dataset_copy / "depth-00000.zip").unlink()
    assert verify(dataset_copy).problems == (
        "depth-00000.zip: missing; run `mdeas label-depth` again, it makes what is missing",
    )


def test_depth_of_another_set(dataset_copy: Path) -> None:
    add_depth(dataset_copy)
    with (dataset_copy / "dataset.json").open("a") as file:
        file.write("\n")
    assert verify(dataset_copy).problems == (
        "depth.json: made for another dataset.json; run `mdeas label-depth --overwrite`",
    )


def test_left_overs_are_no_fault(dataset_copy: Path) -> None:
    add_depth(dataset_copy)
    (dataset_copy / "depth.json").unlink()
    assert verify(dataset_copy).problems == ("depth-00000.zip: recorded nowhere",)
    (dataset_copy / "depth-00001.zip.part").write_bytes(b"torn")
    (dataset_copy / ".work").mkdir()
    (dataset_copy / ".work" / "depth.json").write_text("{}")
    report = verify(dataset_copy)
    assert report.problems == ()
    assert report.notes == (
        "depth-00001.zip.part: unfinished; `mdeas label-depth` goes on from here",
        "depth labels: unfinished; `mdeas label-depth` goes on from here",
    )


def test_an_archive_that_nobody_recorded(dataset_copy: Path) -> None:
    (dataset_copy / "mask-00001.zip").write_bytes(b"")
    assert verify(dataset_copy).problems == ("mask-00001.zip: recorded nowhere",)


def test_an_unrecorded_archive_of_the_set(dataset_copy: Path) -> None:
    manifest = read_manifest(dataset_copy)
    shards = tuple(one for one in manifest.shards if one.name != MASKS)
    write_manifest(dataset_copy, dataclasses.replace(manifest, shards=shards))
    assert verify(dataset_copy).problems == (f"{MASKS}: not recorded",)


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match="make-dataset"):
        verify(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(MdeasError, match=r"damaged file: .*dataset\.json"):
        verify(tmp_path)


def test_records_are_what_is_checked(dataset_copy: Path) -> None:
    manifest = read_manifest(dataset_copy)
    wrong = [ShardRecord(one.name, one.entries, one.bytes, "0" * 64) for one in manifest.shards]
    write_manifest(dataset_copy, dataclasses.replace(manifest, shards=tuple(wrong)))
    assert len(verify(dataset_copy).problems) == 3
