"""Archives: any reader can read them, the same entries give the same bytes, and a kill loses nothing."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import zipfile
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline import shards
from mdeas.pipeline.shards import ShardReader, ShardWriter, part_path

ENTRIES = {f"mask/{number:06d}.png": bytes([number]) * (number * 37) for number in range(40)}


def write(path: Path, entries: dict[str, bytes] | None = None) -> shards.ShardRecord:
    writer = ShardWriter(path)
    for name, data in (ENTRIES if entries is None else entries).items():
        writer.add(name, data)
    return writer.close()


def test_other_readers_agree(tmp_path: Path) -> None:
    path = tmp_path / "mask-00000.zip"
    record = write(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(ENTRIES)
        assert {name: archive.read(name) for name in archive.namelist()} == ENTRIES
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert record == shards.ShardRecord(
        path.name, len(ENTRIES), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert not part_path(path).exists()


def test_unzip_agrees(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", {"naïve name/ä.png": b"abc", "z": b""})
    try:
        run = subprocess.run(["unzip", "-t", tmp_path / "a.zip"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unzip is not installed")
    assert run.returncode == 0, run.stdout
    assert "No errors detected" in run.stdout


def test_round_trip_by_name_and_position(tmp_path: Path) -> None:
    write(tmp_path / "a.zip")
    reader = ShardReader(tmp_path / "a.zip")
    assert len(reader) == len(ENTRIES)
    assert reader.names == tuple(ENTRIES)
    for position, (name, data) in enumerate(ENTRIES.items()):
        assert reader.read(name) == reader.read(position) == data
    other = pickle.loads(pickle.dumps(reader))
    assert other.read(7) == reader.read(7)
    reader.close()
    assert reader.read(3) == ENTRIES["mask/000003.png"]


def test_archives_of_other_writers_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"with an extra field")
    assert ShardReader(path).read("a") == b"with an extra field"


def test_empty_archive(tmp_path: Path) -> None:
    assert write(tmp_path / "a.zip", {}).entries == 0
    assert ShardReader(tmp_path / "a.zip").names == ()


def test_more_entries_than_sixteen_bits_count(tmp_path: Path) -> None:
    entries = {f"{number:06d}": b"" for number in range(66_000)}
    write(tmp_path / "many.zip", entries)
    assert len(ShardReader(tmp_path / "many.zip")) == 66_000
    with zipfile.ZipFile(tmp_path / "many.zip") as archive:
        assert len(archive.namelist()) == 66_000


def test_offsets_beyond_four_gib(tmp_path: Path) -> None:
    """A sparse file stands in for 4 GiB of pictures."""
    path = tmp_path / "large.zip"
    writer = ShardWriter(path)
    writer.add("a", b"first")
    writer.commit()
    writer._file.seek(5 << 30)
    writer._offset = 5 << 30
    writer.add("b", b"far away")
    writer.close()
    assert ShardReader(path).read("b") == b"far away"
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a") == b"first"
        assert archive.read("b") == b"far away"


def test_names_ascend(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.zip")
    writer.add("b", b"")
    for name in ("b", "a"):
        with pytest.raises(ValueError, match="ascending order"):
            writer.add(name, b"")
    writer.abort()


@pytest.mark.parametrize("cut", [0, 1, 29, 30, 45, 46, 500, 5_000, 20_000, 10**9])
def test_resume_after_a_kill_gives_the_same_bytes(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "whole.zip")
    whole = (tmp_path / "whole.zip").read_bytes()
    path = tmp_path / "killed.zip"
    part_path(path).write_bytes(whole[:cut])
    with ShardWriter(path, resume=True) as writer:
        held = len(writer)
        assert writer.names == tuple(ENTRIES)[:held]
        for name in tuple(ENTRIES)[held:]:
            writer.add(name, ENTRIES[name])
    assert path.read_bytes() == whole


def test_resume_drops_what_cannot_be_trusted(tmp_path: Path) -> None:
    write(tmp_path / "whole.zip")
    data = bytearray((tmp_path / "whole.zip").read_bytes())
    position = data.index(b"mask/000020.png") + 100
    data[position] ^= 1
    part_path(tmp_path / "a.zip").write_bytes(bytes(data))
    writer = ShardWriter(tmp_path / "a.zip", resume=True)
    assert writer.names == tuple(ENTRIES)[:20]
    writer.abort()


def test_without_resume_a_part_is_begun_afresh(tmp_path: Path) -> None:
    part_path(tmp_path / "a.zip").write_bytes(b"junk" * 100_000)
    write(tmp_path / "a.zip")
    assert ShardReader(tmp_path / "a.zip").names == tuple(ENTRIES)


def test_exception_leaves_the_part(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "a.zip") as writer:
        writer.add("a", b"data")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip.part"]


def test_committed_entries_survive(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.zip")
    writer.add("a", b"data")
    writer.commit()
    again = ShardWriter(tmp_path / "a.zip", resume=True)
    assert again.names == ("a",)
    again.abort()
    writer.abort()


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"mask/000020.png") + 50] ^= 1
    path.write_bytes(bytes(data))
    reader = ShardReader(path)
    assert reader.read(19) == ENTRIES["mask/000019.png"]
    with pytest.raises(MdeasError, match=r"damaged archive: .*a\.zip \(mask/000020\.png\)"):
        reader.read(20)
    with pytest.raises(MdeasError, match="no entry mask/7"):
        reader.read("mask/7")
    for junk in (b"", b"no zip at all", bytes(data[:-30])):
        path.write_bytes(junk)
        with pytest.raises(MdeasError, match="damaged archive"):
            len(ShardReader(path))
    with pytest.raises(MdeasError, match="cannot open the archive"):
        len(ShardReader(tmp_path / "gone.zip"))
