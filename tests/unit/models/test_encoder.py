"""ImageNet weights in an encoder: from a file, from the hub's cache, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mdeas import MdeasError
from mdeas.models import create_model
from mdeas.models.backbone import create_backbone
from mdeas.models.encoder import IMAGENET, load_encoder
from safetensors.torch import save_file
from torch import Tensor

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """A whole ResNet-18 as timm names its tensors, classifier included."""
    torch.manual_seed(1)
    return create_backbone("resnet18").state_dict()


def check(source: str, weights: dict[str, Tensor]) -> None:
    """Load ``source`` into a fresh network and look at what changed."""
    model = create_model("maskdepth")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_encoder(model, "maskdepth", source)
    after = model.state_dict()
    torch.testing.assert_close(after["levels.3.1.conv2.weight"], weights["layer4.1.conv2.weight"])
    torch.testing.assert_close(after["levels.0.0.bn1.weight"], weights["layer1.0.bn1.weight"])
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert sum(name.startswith("levels.") and name.endswith("conv1.weight") for name in changed) == 8
    assert all(name.startswith(("levels.", "stem.1.")) for name in changed)


def test_from_files_of_timm_and_torchvision(weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "timm.safetensors")
    check(str(tmp_path / "timm.safetensors"), weights)
    # torchvision's files are older than the counter of batches
    old = {name: tensor for name, tensor in weights.items() if "num_batches" not in name}
    torch.save(old, tmp_path / "resnet18.pth")
    check(str(tmp_path / "resnet18.pth"), weights)


def test_from_the_hub(weights: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        MdeasError, match=r"hub cannot be reached.*resnet18.*--encoder-weights FILE"
    ) as caught:
        load_encoder(create_model("maskdepth"), "maskdepth", IMAGENET)
    assert "\n" not in str(caught.value)

    kept = tmp_path / "models--timm--resnet18.tv_in1k"  # as the hub's own library keeps what it fetched
    snapshot = kept / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text("{}")
    save_file(weights, snapshot / "model.safetensors")
    check(IMAGENET, weights)


def test_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    model = create_model("maskdepth")
    with pytest.raises(MdeasError, match=r"no such weights file: .*nowhere"):
        load_encoder(model, "maskdepth", str(tmp_path / "nowhere.pth"))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    with pytest.raises(MdeasError, match=r"cannot read weights: .*broken"):
        load_encoder(model, "maskdepth", str(broken))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(MdeasError, match=r"cannot read weights: .*broken"):
        load_encoder(model, "maskdepth", str(broken))
    torch.save({"layer1.0.conv1.weight": weights["layer1.0.conv1.weight"]}, tmp_path / "part.pth")
    with pytest.raises(MdeasError, match=r"not weights of resnet18: .*part\.pth \(.*missing"):
        load_encoder(model, "maskdepth", str(tmp_path / "part.pth"))
    with pytest.raises(MdeasError, match=r"mdeas has no encoder"):
        load_encoder(create_model("mdeas"), "mdeas", IMAGENET)
