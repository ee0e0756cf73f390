"""Checkpoints: what is saved is what is loaded, and nothing in a file is ever run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from mdeas import MdeasError
from mdeas.models import create_model
from mdeas.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def checkpoint() -> Checkpoint:
    torch.manual_seed(3)
    return Checkpoint(
        model="mdeas",
        size=64,
        weights=create_model("mdeas").state_dict(),
        depth={"kind": "relative_disparity", "nearer": "larger", "scale": 0.5, "offset": 0.25},
        options={"lr": 0.001, "limit": None},
        epoch=3,
        metrics={"seen": {"mask": {"iou": 0.5}}},
        training={"position": {"epoch": 3, "best": {}}, "random": {"cpu": torch.get_rng_state(), "cuda": []}},
    )


def test_round_trip(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.ckpt", checkpoint)
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert {k: v for k, v in vars(loaded).items() if k not in ("weights", "training")} == {
        k: v for k, v in vars(checkpoint).items() if k not in ("weights", "training")
    }
    assert all(torch.equal(loaded.weights[name], value) for name, value in checkpoint.weights.items())
    assert loaded.training is not None
    assert torch.equal(loaded.training["random"]["cpu"], torch.get_rng_state())
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_its_network_predicts_like_the_one_saved(checkpoint: Checkpoint) -> None:
    original = create_model("mdeas").eval()
    original.load_state_dict(checkpoint.weights)
    network = checkpoint.network(torch.device("cpu"))
    assert not network.training
    pair = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(original(*pair)[1], network(*pair)[1], atol=1e-6)


def test_a_failed_write_leaves_the_old_one(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, checkpoint)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "mdeas-checkpoint", "version": 1, "model": Exploit()}, tmp_path / "evil.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Exploit()))
    for name in ("evil.ckpt", "plain.ckpt"):
        with pytest.raises(MdeasError, match="not a checkpoint"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint at all", b"PK\x03\x04 half a zip", b"\x80\x04\x95"]
)
def test_junk_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.ckpt"
    path.write_bytes(content)
    with pytest.raises(MdeasError, match=r"not a checkpoint that can be read: .*junk\.ckpt") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, checkpoint)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(MdeasError, match="not a checkpoint that can be read"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": {}}, "not a checkpoint of mdeas"),
        ([1, 2], "not a checkpoint of mdeas"),
        ({"format": "mdeas-checkpoint", "version": 99}, "checkpoint of version 99"),
        ({"format": "mdeas-checkpoint", "version": 1, "model": "mdeas"}, "damaged checkpoint"),
    ],
)
def test_other_files_of_torch_are_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(MdeasError, match=message):
        load_checkpoint(tmp_path / "other.ckpt")


def test_a_missing_checkpoint_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        MdeasError, match=r"no checkpoint: .*best\.ckpt; train a network first with `mdeas train`"
    ):
        load_checkpoint(tmp_path / "best.ckpt")
