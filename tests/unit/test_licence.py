"""What make-dataset does with the ledger beside the pictures: credits, the licences asked for, changes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline.assets import Source
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.ledger import LICENCES, Origin
from mdeas.pipeline.licence import asks_for_credit, check_licences, refusal, with_origins
from mdeas.pipeline.manifest import Asset, read_manifest
from mdeas.pipeline.options import MakeDatasetConfig
from mdeas.pipeline.work import WORK_NAME

Configure = Callable[..., MakeDatasetConfig]


def write_ledger(folder: Path, **lines: dict[str, str]) -> None:
    """A ledger by the stems of files that are there."""
    files = {path.stem: path.name for path in folder.iterdir()}
    text = "".join(json.dumps({"file": files[stem], **line}) + "\n" for stem, line in lines.items())
    (folder / "assets.jsonl").write_text(text)


@pytest.fixture
def licensed(own_assets: Path) -> Path:
    """Rooms under by, by-nc and nothing known, cut-outs under cc0."""
    write_ledger(
        own_assets / "bg",
        room_0={"licence": "CC BY 4.0", "author": "A. Person", "page": "http://a.test/p", "title": "T\ud800"},
        room_1={"licence_url": "https://creativecommons.org/licenses/by-nc/4.0/", "url": "http://a.test/1"},
    )
    write_ledger(own_assets / "fg", **{f"object {index}": {"licence": "cc0"} for index in range(4)})
    return own_assets


def test_codes_of_licences() -> None:
    assert check_licences(["BY", "CC0 1.0", "by", "cc0"]) == ("cc0", "by")
    assert check_licences([]) == ()
    with pytest.raises(MdeasError, match=r"unknown licence: --licence mit; use some of cc0, pdm, by, by-sa"):
        check_licences(["by", "mit"])


@pytest.mark.parametrize(
    ("licence", "reason"),
    [("by", ""), ("by-nc", "licence by-nc is not among cc0, by"), ("", "no licence known")],
)
def test_reasons(licence: str, reason: str) -> None:
    source = Source("fg", Path("a.png"), "", Origin("", licence=licence))
    assert refusal(source, ("cc0", "by")) == reason
    assert refusal(source, ()) == ""


def test_which_licences_ask_for_credit() -> None:
    asset = Asset(0, "a.png", "", "train", 1, 1)
    asking = [code for code in (*LICENCES, "", "mit") if asks_for_credit(replace(asset, licence=code))]
    assert asking == [code for code in LICENCES if code not in ("cc0", "pdm")]


def test_a_line_for_another_content_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sha256 = hashlib.sha256(b"new").hexdigest()
    source = Source("fg", tmp_path / "a.png", sha256)
    for written, licence in ((sha256.upper(), "by"), ("", "by"), ("0" * 64, "")):
        (tmp_path / "assets.jsonl").write_text(
            json.dumps({"file": "a.png", "licence": "by", "sha256": written})
        )
        with caplog.at_level(logging.WARNING):
            assert with_origins([source], tmp_path)[0].origin.licence == licence
    assert caplog.text.count("another content of") == 1


def test_credits_are_in_the_manifest(licensed: Path, tmp_path: Path, small_config: Configure) -> None:
    report = make_dataset(small_config(licensed, tmp_path / "set", limit=20))
    assert report.rejected == ()
    assert report.credits == 2
    assert report.summary().splitlines()[-1] == "credits: 2 pictures ask for attribution: see dataset.json"
    rooms = json.loads((tmp_path / "set" / "dataset.json").read_text())["bg"]
    fixed = {"id", "file", "sha256", "split", "width", "height", "note"}
    assert [{key: room[key] for key in room if key not in fixed} for room in rooms] == [
        {"title": "T\ud800", "author": "A. Person", "licence": "by", "page": "http://a.test/p"},
        {
            "licence": "by-nc",
            "licence_url": "https://creativecommons.org/licenses/by-nc/4.0/",
            "url": "http://a.test/1",
        },
        {},
    ]
    manifest = read_manifest(tmp_path / "set")
    assert [one.licence for one in manifest.bg] == ["by", "by-nc", ""]
    assert manifest.options["licence"] is None


def test_without_a_ledger_only_the_pictures_count(dataset_dir: Path) -> None:
    assets = json.loads((dataset_dir / "dataset.json").read_text())["fg"]
    assert set(assets[0]) == {"id", "file", "sha256", "split", "width", "height", "note"}


def test_only_pictures_under_the_licences(licensed: Path, tmp_path: Path, small_config: Configure) -> None:
    config = small_config(licensed, tmp_path / "set", limit=20, licence=("by", "cc0"))
    report = make_dataset(config)
    assert {f"{one.kind}/{one.file}": one.reason for one in report.rejected} == {
        "bg/room_1.png": "licence by-nc is not among cc0, by",
        "bg/room_2.png": "no licence known",
    }
    assert "  bg/room_2.png: no licence known" in report.summary()
    assert "credits: 1 picture asks for attribution" in report.summary()
    manifest = read_manifest(tmp_path / "set")
    assert [one.file for one in manifest.bg] == ["room_0.png"]
    assert len(manifest.rejected) == 2
    assert make_dataset(replace(config, licence=("CC0", "by"))).made == 0
    with pytest.raises(MdeasError, match="made with --licence cc0,by, asked for no --licence"):
        make_dataset(replace(config, licence=()))
    make_dataset(replace(config, out=tmp_path / "again", jobs=2))
    for path in sorted((tmp_path / "set").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_none_left_touches_nothing(
    licensed: Path, dataset_copy: Path, tmp_path: Path, small_config: Configure
) -> None:
    before = {path.name: path.read_bytes() for path in dataset_copy.iterdir()}
    message = r"no background under cc0: .*bg \(1 by, 1 by-nc, 1 no licence known\); allow more by --licence"
    with pytest.raises(MdeasError, match=message):
        make_dataset(small_config(licensed, dataset_copy, licence=("cc0",), overwrite=True))
    assert {path.name: path.read_bytes() for path in dataset_copy.iterdir()} == before


@pytest.mark.parametrize("finished", [True, False])
def test_another_ledger_is_another_data_set(
    licensed: Path, tmp_path: Path, small_config: Configure, finished: bool
) -> None:
    config = small_config(licensed, tmp_path / "set", limit=20, licence=("cc0", "by"))
    make_dataset(config)
    if not finished:
        (config.out / WORK_NAME).mkdir()
        (config.out / "dataset.json").rename(config.out / WORK_NAME / "plan.json")
    ledger = licensed / "bg" / "assets.jsonl"
    lines = ledger.read_text()
    for old, new, name in (
        ("A. Person", "B. Person", "room_0"),
        ("/licenses/by-nc/", "/licenses/by/", "room_1"),
        ("/licenses/by-nc/", "/licenses/by-sa/", "room_1"),
    ):
        ledger.write_text(lines.replace(old, new))
        with pytest.raises(MdeasError, match=f"the ledger said something else of bg {name}.*--overwrite"):
            make_dataset(config)
    ledger.write_text(lines + json.dumps({"file": "room_2.png", "licence": "by"}))
    with pytest.raises(MdeasError, match="something else of bg room_2"):
        make_dataset(config)
    ledger.write_text(lines)
    assert not finished or make_dataset(config).made == 0


def test_a_damaged_ledger_is_named(licensed: Path, tmp_path: Path, small_config: Configure) -> None:
    (licensed / "fg" / "assets.jsonl").write_text("no json\n")
    with pytest.raises(MdeasError, match=r"damaged ledger; .*assets\.jsonl line 1"):
        make_dataset(small_config(licensed, tmp_path / "set"))
    (licensed / "fg" / "assets.jsonl").unlink()
    (licensed / "fg" / "assets.jsonl").mkdir()
    with pytest.raises(MdeasError, match=r"cannot read: .*assets\.jsonl"):
        make_dataset(small_config(licensed, tmp_path / "set"))


def test_the_bundled_pictures_are_cc0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = make_dataset(MakeDatasetConfig(limit=10, size=32, jobs=1, licence=("cc0",)))
    assert report.bundled
    assert report.credits == 0
    assert {one.licence for one in read_manifest(Path("data/dataset")).fg} == {"cc0"}
