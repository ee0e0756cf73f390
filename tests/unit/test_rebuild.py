"""``mdeas rebuild``: the same bytes from pictures under other names; what it says of others."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline import images, lockfile
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.lockfile import read_lockfile, write_lockfile
from mdeas.pipeline.options import MakeDatasetConfig, RebuildConfig, VerifyConfig
from mdeas.pipeline.rebuild import RebuildReport, rebuild
from mdeas.pipeline.verify import verify_dataset
from PIL import Image

Configure = Callable[..., MakeDatasetConfig]
OPTIONS = {"size": 32, "placements": 50}  # 1,200 samples: two archives a kind


@pytest.fixture(scope="module")
def made(assets_dir: Path, small_config: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    make_dataset(small_config(assets_dir, out, **OPTIONS))
    return out


@pytest.fixture
def pictures(assets_dir: Path, tmp_path: Path) -> Path:
    """The same pictures under other names, in another order, the cut-outs in a folder below."""
    (tmp_path / "fg" / "below").mkdir(parents=True)
    (tmp_path / "bg").mkdir()
    for kind, folder in (("fg", tmp_path / "fg" / "below"), ("bg", tmp_path / "bg")):
        for number, path in enumerate(sorted((assets_dir / kind).iterdir(), reverse=True)):
            shutil.copy(path, folder / f"picture {number}{path.suffix}")
    return tmp_path


def run(lock: Path, pictures: Path, shard: int | None = None) -> RebuildReport:
    return rebuild(
        RebuildConfig(
            lock=lock, fg=pictures / "fg", bg=pictures / "bg", out=pictures / "again", shard=shard, jobs=1
        )
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture
def alone(made: Path, tmp_path: Path) -> Path:
    """The lock file without the archives."""
    return Path(shutil.copy(made / "dataset.lock.json", tmp_path))


def with_other_encoders(lock: Path) -> None:
    """As if the set came from a machine whose encoders write other bytes."""
    found = read_lockfile(lock)
    other = {**found.manifest.encoders, "probe": "0" * 64, "opencv": "3.0.0"}
    shards = tuple(dataclasses.replace(one, sha256="0" * 64) for one in found.manifest.shards)
    manifest = dataclasses.replace(found.manifest, encoders=other, shards=shards)
    write_lockfile(lock.parent, dataclasses.replace(found, manifest=manifest))


def test_the_whole_set(made: Path, alone: Path, pictures: Path) -> None:
    report = run(alone, pictures)
    assert report.problems == report.notes == ()
    assert (report.samples, report.archives, report.identical, report.compared) == (1200, 5, 5, 0)
    assert content(pictures / "again") == content(made)
    assert "5 of 5 archives identical" in report.summary()
    assert run(alone, pictures).identical == 5  # there already


def test_from_dataset_json(made: Path, pictures: Path) -> None:
    assert run(made / "dataset.json", pictures).identical == 5


def test_one_shard_needs_its_own_pictures_only(made: Path, alone: Path, pictures: Path) -> None:
    """The second shard lies on the last background alone."""
    lost = [path for path in (pictures / "bg").iterdir() if path.read_bytes() != last_background(made, alone)]
    for path in lost:
        path.unlink()
    report = run(alone, pictures, shard=1)
    assert (report.samples, report.archives, report.identical) == (200, 2, 2)
    names = ["fg_bg-00001.zip", "mask-00001.zip"]
    assert content(pictures / "again") == {name: (made / name).read_bytes() for name in names}
    assert run(alone, pictures, shard=1).identical == 2


def last_background(made: Path, alone: Path) -> bytes:
    sha256 = read_lockfile(alone).manifest.bg[-1].sha256
    folder = alone.parent / "bg"
    return next(
        path.read_bytes()
        for path in folder.iterdir()
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    )


def test_no_such_shard(alone: Path, pictures: Path) -> None:
    with pytest.raises(MdeasError, match="no such shard: --shard 2; give 0 to 1"):
        run(alone, pictures, shard=2)


def test_lost_and_changed_pictures_are_named(assets_dir: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(assets_dir, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bg" / "room_1.png").unlink()
    Image.new("RGBA", (40, 40), "red").save(tmp_path / "fg" / "object 2.png")
    with pytest.raises(MdeasError) as caught:
        run(made / "dataset.lock.json", tmp_path)
    assert "2 of 7 pictures" in str(caught.value)
    assert "bg room_1.png (missing, sha256 " in str(caught.value)
    assert "fg object 2.png (changed, sha256 " in str(caught.value)
    assert not (tmp_path / "again" / "dataset.json").exists()


def test_a_stopped_rebuild_goes_on(
    made: Path, alone: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mdeas.pipeline import rebuild as module

    with monkeypatch.context() as patch:
        patch.setattr(module, "finish_dataset", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(alone, pictures)
    shutil.rmtree(pictures / "fg")  # not needed any more
    (pictures / "fg").mkdir()
    assert run(alone, pictures).identical == 5
    assert content(pictures / "again") == content(made)


def test_another_set_is_in_the_way(dataset_dir: Path, alone: Path, pictures: Path) -> None:
    shutil.copytree(dataset_dir, pictures / "again")
    with pytest.raises(MdeasError, match="another data set is there"):
        run(alone, pictures)


def test_other_encoders_with_the_archives(made: Path, pictures: Path, tmp_path: Path) -> None:
    original = shutil.copytree(made, tmp_path / "original")
    with_other_encoders(original / "dataset.lock.json")
    report = run(original / "dataset.lock.json", pictures)
    assert report.problems == ()
    assert (report.identical, report.compared) == (0, 2 * 1200 + 3)
    assert "opencv 3.0.0" in report.notes[0]
    assert "write other bytes" in report.notes[0]
    assert verify_dataset(VerifyConfig(dataset=pictures / "again", jobs=1)).problems == ()


def test_other_encoders_with_fingerprints(alone: Path, pictures: Path) -> None:
    with_other_encoders(alone)
    report = run(alone, pictures)
    assert (report.problems, report.identical, report.compared) == ((), 0, 2)


def test_other_pictures_are_told_by_their_fingerprints(alone: Path, pictures: Path) -> None:
    with_other_encoders(alone)
    found = read_lockfile(alone)
    black = images.encode_jpeg(np.zeros((32, 32, 3), np.uint8), 90)
    mask = images.encode_mask(np.full((32, 32), 255, np.uint8))
    fingerprints = {0: lockfile.fingerprint(black, mask), 1000: found.fingerprints[1000]}
    write_lockfile(alone.parent, dataclasses.replace(found, fingerprints=fingerprints))
    assert run(alone, pictures).problems == ("sample 0: another picture than recorded (by its fingerprint)",)


def test_nothing_to_compare_with(alone: Path, pictures: Path) -> None:
    with_other_encoders(alone)
    write_lockfile(alone.parent, dataclasses.replace(read_lockfile(alone), fingerprints={}))
    (problem,) = run(alone, pictures).problems
    assert "nothing to compare their pictures with" in problem


def test_other_versions_that_write_the_same(made: Path, alone: Path, pictures: Path) -> None:
    found = read_lockfile(alone)
    older = {**found.manifest.encoders, "numpy": "1.0"}
    manifest = dataclasses.replace(found.manifest, encoders=older)
    write_lockfile(alone.parent, dataclasses.replace(found, manifest=manifest))
    report = run(alone, pictures)
    assert report.identical == 5
    assert "numpy 1.0" in report.notes[0]
    assert read_lockfile(pictures / "again" / "dataset.lock.json").manifest.encoders["numpy"] == "1.0"


@pytest.mark.parametrize("text", ["{}", "[1]", "null", '{"lock_version": 9}', '{"lock_version": 1}'])
def test_no_lock_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(MdeasError, match="lock file"):
        rebuild(RebuildConfig(lock=tmp_path / "some.json"))


def test_a_damaged_lock_file(alone: Path) -> None:
    alone.write_text(alone.read_text().replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(MdeasError, match=r"damaged lock file: .*its own hash differs"):
        read_lockfile(alone)


def test_resuming_with_other_encoders_is_refused(
    assets_dir: Path, small_config: Configure, made: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(made, tmp_path / "set")
    content = json.loads((out / "dataset.json").read_text())
    content["encoders"] |= {"probe": "0" * 64, "opencv": "3.0.0"}
    (out / "dataset.json").write_text(json.dumps(content))
    (out / "mask-00001.zip").unlink()
    with pytest.raises(MdeasError, match=r"encoders that write other bytes.*opencv 3\.0\.0.*--overwrite"):
        make_dataset(small_config(assets_dir, out, **OPTIONS))
    assert (out / "dataset.json").exists()
