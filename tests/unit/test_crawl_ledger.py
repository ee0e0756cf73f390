"""The ledger: round trips, torn lines, and licences however they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdeas import MdeasError
from mdeas.pipeline.ledger import (
    ASSETS_NAME,
    FAILURES_NAME,
    Failure,
    LedgerEntry,
    LedgerWriter,
    licence_code,
    read_assets,
    read_failures,
    write_failures,
)

ENTRIES = [
    LedgerEntry(
        "http://a.test/1", title="T\u00fcr\u2028und \U0001f6aa", licence="by", file="a.png", bytes=7, width=3
    ),
    LedgerEntry(
        "http://a.test/2", author='"quoted"\\', file="b.png", sha256="00", date="2026-01-02T03:04:05+00:00"
    ),
]


def write(folder: Path, *entries: LedgerEntry) -> Path:
    with LedgerWriter[LedgerEntry](folder / ASSETS_NAME) as ledger:
        for entry in entries:
            ledger.append(entry)
    return folder / ASSETS_NAME


def test_round_trip(tmp_path: Path) -> None:
    assert read_assets(tmp_path) == []
    write(tmp_path, *ENTRIES)
    assert read_assets(tmp_path) == ENTRIES
    assert json.loads((tmp_path / ASSETS_NAME).read_text(encoding="utf-8").split("\n")[0])["file"] == "a.png"


def test_whatever_a_kill_leaves_of_the_last_line(tmp_path: Path) -> None:
    path = write(tmp_path, *ENTRIES)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in [*range(first, len(whole), 17), len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:end])
        held = read_assets(tmp_path)
        assert held == (ENTRIES if end == len(whole) - 1 else ENTRIES[:1])
        write(tmp_path, ENTRIES[1])
        assert path.read_bytes() == (whole + whole[first:] if end == len(whole) - 1 else whole)


def test_the_last_line_for_a_file_holds(tmp_path: Path) -> None:
    write(tmp_path, *ENTRIES, LedgerEntry("http://a.test/1", licence="cc0", file="a.png"))
    assert [(entry.file, entry.licence) for entry in read_assets(tmp_path)] == [
        ("a.png", "cc0"),
        ("b.png", ""),
    ]


def test_failures(tmp_path: Path) -> None:
    old, new = (
        Failure("http://a.test/1", reason="HTTP 404"),
        Failure("http://a.test/1", reason="timeout", query="cat"),
    )
    with LedgerWriter[Failure](tmp_path / FAILURES_NAME) as ledger:
        ledger.append(old)
        ledger.append(new)
    assert read_failures(tmp_path) == [new]
    write_failures(tmp_path, [old])
    assert read_failures(tmp_path) == [old]
    write_failures(tmp_path, [])
    assert not (tmp_path / FAILURES_NAME).exists()


def test_a_ledger_written_by_hand(tmp_path: Path) -> None:
    (tmp_path / ASSETS_NAME).write_text(
        '\ufeff{"file": "mine.png", "licence": "cc0", "note": [1]}\r\n\n{"url": "http://a"}'
    )
    assert read_assets(tmp_path) == [LedgerEntry("", licence="cc0", file="mine.png"), LedgerEntry("http://a")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("{}", 'neither "file" nor "url"'),
        ('{"file": "a.png", "bytes": "7"}', '"bytes" should be a number'),
        ('{"file": "a.png", "bytes": true}', '"bytes" should be a number'),
        ('{"file": "a.png", "licence": null}', '"licence" should be a text'),
        ('{"file": "../a.png"}', '"file" should be a name in this folder'),
        ('{"file": "/etc/passwd"}', '"file" should be a name in this folder'),
        ('{"file": ".."}', '"file" should be a name in this folder'),
        ('{"file": "b\\\\a.png"}', '"file" should be a name in this folder'),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / ASSETS_NAME).write_text(f'{{"file": "first.png"}}\n{line}\n')
    with pytest.raises(MdeasError) as caught:
        read_assets(tmp_path)
    assert problem in str(caught.value) and f"{tmp_path / ASSETS_NAME} line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CC BY-SA 4.0", "by-sa"),
        ("cc-by-sa", "by-sa"),
        ("CC-BY-4.0", "by"),
        ("BY", "by"),
        ("by-nc-nd-2.0", "by-nc-nd"),
        ("CC BY 2.0 de", "by"),
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.de", "by-sa"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "pdm"),
        ("CC0 1.0", "cc0"),
        ("Public Domain", "pdm"),
        ("Creative Commons Attribution-NonCommercial-NoDerivs 2.0 Generic", "by-nc-nd"),
        ("Creative Commons Attribution Share Alike 4.0", "by-sa"),
        ("sampling+", "sampling+"),
        ("MIT", "mit"),
        ("All rights reserved ", "all rights reserved"),
        ("", ""),
    ],
)
def test_licence_codes(text: str, code: str) -> None:
    assert licence_code(text) == code
    assert licence_code(code) == code


@settings(max_examples=50)
@given(st.text())
def test_any_text_has_a_stable_licence_code(text: str) -> None:
    assert licence_code(licence_code(text)) == licence_code(text)
