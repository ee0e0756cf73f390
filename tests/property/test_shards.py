from __future__ import annotations

import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdeas.pipeline.shards import ShardReader, ShardWriter, part_path

# A fresh file a case is all that these need of the temporary folder.
shared_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
entries = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=12),
    st.binary(max_size=300),
    max_size=12,
)


def write(path: Path, content: dict[str, bytes], resume: bool = False) -> bytes:
    with ShardWriter(path, resume=resume) as writer:
        for name in sorted(content)[len(writer) :]:
            writer.add(name, content[name])
    return path.read_bytes()


@shared_folder
@given(content=entries)
def test_round_trip(tmp_path: Path, content: dict[str, bytes]) -> None:
    path = tmp_path / "a.zip"
    write(path, content)
    reader = ShardReader(path)
    assert {name: reader.read(name) for name in reader.names} == content
    assert list(reader.names) == sorted(content)
    with zipfile.ZipFile(path) as archive:
        assert {info.filename: archive.read(info) for info in archive.infolist()} == content


@shared_folder
@given(content=entries, cut=st.floats(0, 1), junk=st.binary(max_size=40))
def test_a_kill_at_any_byte_loses_nothing_whole(
    tmp_path: Path, content: dict[str, bytes], cut: float, junk: bytes
) -> None:
    whole = write(tmp_path / "whole.zip", content)
    path = tmp_path / "killed.zip"
    part_path(path).write_bytes(whole[: round(cut * len(whole))] + junk)
    assert write(path, content, resume=True) == whole
