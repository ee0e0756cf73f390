"""Networks of transformers, tiny but of the real classes, saved to folders and labelled with end to end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.models.depth import create_depth_network
from mdeas.models.depth_runtime import is_installed
from mdeas.models.depth_transformers import import_transformers
from mdeas.pipeline.images import decode_gray16
from mdeas.pipeline.reader import DatasetReader
from torch import nn

if not is_installed("transformers"):
    pytest.skip("needs transformers (the extra `hf`)", allow_module_level=True)

CPU = torch.device("cpu")
STAGES = ["stage1", "stage2", "stage3", "stage4"]
DINOV2 = {
    "model_type": "dinov2", "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2,
    "image_size": 70, "patch_size": 14, "out_features": STAGES, "reshape_hidden_states": False,
    "apply_layernorm": True,
}  # fmt: skip
NECK = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8}


def depth_anything(**options: object) -> nn.Module:
    library = import_transformers()
    config = library.DepthAnythingConfig(
        backbone_config=DINOV2,
        patch_size=14,
        reassemble_hidden_size=24,
        head_hidden_size=8,
        **NECK,
        **options,
    )
    return enliven(library.DepthAnythingForDepthEstimation(config), "head.conv3")


def dpt() -> nn.Module:
    library = import_transformers()
    config = library.DPTConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, image_size=64,
        patch_size=16, backbone_out_indices=[0, 1, 2, 3], is_hybrid=False, **NECK,
    )  # fmt: skip
    return enliven(library.DPTForDepthEstimation(config), "head.head.4")


def glpn() -> nn.Module:
    library = import_transformers()
    config = library.GLPNConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, decoder_hidden_size=8, num_attention_heads=[1, 1, 2, 2]
    )
    return enliven(library.GLPNForDepthEstimation(config))


def zoedepth(heads: int = 1) -> nn.Module:
    library = import_transformers()
    backbone = library.BeitConfig(
        image_size=64, patch_size=16, hidden_size=24, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=48, out_features=STAGES, reshape_hidden_states=False,
        use_relative_position_bias=True,
    )  # fmt: skip
    bins = [
        {"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"},
        {"n_bins": 8, "min_depth": 0.001, "max_depth": 80.0, "name": "kitti"},
    ][:heads]
    config = library.ZoeDepthConfig(
        backbone_config=backbone, bottleneck_features=8, bin_embedding_dim=8, num_relative_features=8,
        num_patch_transformer_layers=4, patch_transformer_hidden_size=128,
        patch_transformer_intermediate_size=16, patch_transformer_num_attention_heads=2,
        bin_configurations=bins, num_attractors=[4, 2, 2, 1], **NECK,
    )  # fmt: skip
    return enliven(library.ZoeDepthForDepthEstimation(config))


def prompt_depth_anything() -> nn.Module:
    library = import_transformers()
    config = library.PromptDepthAnythingConfig(
        backbone_config=DINOV2, patch_size=14, reassemble_hidden_size=24, head_hidden_size=8, **NECK
    )
    network = enliven(library.PromptDepthAnythingForDepthEstimation(config), "head.conv3")
    return quieten(network.get_submodule("head.conv3"), network)


def tipsv2_dpt() -> nn.Module:
    library = import_transformers()
    if not hasattr(library, "Tipsv2DptConfig"):
        pytest.skip("this version of transformers does not know TIPSv2")
    backbone = library.Tipsv2VisionConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=70, patch_size=14,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
    )  # fmt: skip
    config = library.Tipsv2DptConfig(backbone_config=backbone, num_depth_bins=16, **NECK)
    return enliven(library.Tipsv2DptForDepthEstimation(config))


def depth_pro() -> nn.Module:
    library = import_transformers()
    encoder = {"model_type": "dinov2", "num_hidden_layers": 2, "num_attention_heads": 1, "patch_size": 4}
    config = library.DepthProConfig(
        patch_size=16, fusion_hidden_size=16, intermediate_hook_ids=[1, 0], intermediate_feature_dims=[10, 8],
        scaled_images_ratios=[0.5, 1.0], scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[12, 12], use_fov_model=True, num_fov_head_layers=2,
        image_model_config={**encoder, "hidden_size": 16, "image_size": 16},
        patch_model_config={**encoder, "hidden_size": 24, "image_size": 16},
        fov_model_config={**encoder, "hidden_size": 32, "image_size": 16},
    )  # fmt: skip
    network = enliven(library.DepthProForDepthEstimation(config), "head.layers.4")
    nn.init.constant_(network.get_submodule("fov_model.head.layers")[-1].bias, 50.0)  # degrees
    return quieten(network.get_submodule("head.layers.4"), network)


def quieten(last: nn.Module, network: nn.Module) -> nn.Module:
    """Answers about one half, so that they lie inside the range of the labels."""
    with torch.no_grad():
        last.weight.mul_(5e-3)  # type: ignore[operator]
        last.bias.fill_(0.5)  # type: ignore[operator]
    return network


def enliven(network: nn.Module, answer: str | None = None) -> nn.Module:
    """Weights as random as new ones, but of a size that lets the picture through to the answer.

    Untouched ones answer with about 1e-7 everywhere and would prove nothing. ``answer`` names the last layer.
    """
    for weight in network.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=1.4 / math.sqrt(weight[0].numel()))
    if answer is not None:
        nn.init.constant_(network.get_submodule(answer).bias, 1.0)  # type: ignore[arg-type]
    return network


def save(network: nn.Module, folder: Path, preprocessor: dict[str, object] | None, card: str = "") -> Path:
    network.eval().save_pretrained(folder)  # type: ignore[operator]
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    if card:
        (folder / "README.md").write_text(card)
    return folder


SMALL = {
    "size": {"height": 70, "width": 70},
    "keep_aspect_ratio": True,
    "ensure_multiple_of": 14,
    "resample": 3,
}
CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, object], str, tuple[int, int]]] = {
    "depth_anything": (depth_anything, SMALL, "relative_disparity", (70, 70)),
    "dpt": (
        dpt,
        {"size": 64, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        "relative_disparity",
        (64, 64),
    ),
    "glpn": (glpn, {"size_divisor": 32}, "metric_depth", (64, 64)),
    "zoedepth": (zoedepth, {"size": {"height": 64, "width": 64}}, "metric_depth", (64, 64)),
    "prompt_depth_anything": (prompt_depth_anything, SMALL, "relative_depth", (70, 70)),
    "tipsv2_dpt": (tipsv2_dpt, {"size": {"height": 70, "width": 70}}, "metric_depth", (70, 70)),
    "depth_pro": (
        depth_pro,
        {"size": 64, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        "metric_depth",
        (64, 64),
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, nn.Module]:
    torch.manual_seed(0)
    make, preprocessor, _, _ = CASES[request.param]
    network = make()
    folder = save(network, tmp_path_factory.mktemp("networks") / f"tiny-{request.param}", preprocessor)
    return request.param, folder, network


@pytest.fixture(scope="module")
def disparity_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save(
        depth_anything(), tmp_path_factory.mktemp("networks") / "tiny", SMALL, "---\nlicense: mit\n---\n"
    )


def test_any_network_labels_a_data_set(case: tuple[str, Path, nn.Module], dataset_copy: Path) -> None:
    sort, folder, _ = case
    arguments = [
        "label-depth",
        "--model",
        str(folder),
        "--dataset",
        str(dataset_copy),
        "--runtime",
        "torch",
        "--bits",
        "16",
    ]
    result = CliRunner().invoke(cli, [*arguments, "--device", "cpu", "--jobs", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    reader = DatasetReader(dataset_copy)
    info = reader.depth_info
    assert info is not None
    kind, size = CASES[sort][2:]
    assert (info.model, info.kind, (info.input_height, info.input_width)) == (f"tiny-{sort}", kind, size)
    assert info.nearer == ("larger" if kind == "relative_disparity" else "smaller")
    assert info.unit == ("metre" if kind == "metric_depth" else None)
    assert info.weights_sha256 is not None
    assert (info.precision, info.licence) == ("float32", "not stated")
    network = create_depth_network(str(folder), None, CPU)
    for index in (0, 40):
        rgb = torch.from_numpy(reader.fg_bg(index)).permute(2, 0, 1)[None]
        answer = network.predict(rgb)[0].numpy()
        label = reader.depth(index) * info.scale + info.offset
        assert np.abs(label - answer).max() < 0.51 * info.scale + 1e-4 * np.abs(answer).max()
        assert answer.std() > 1e-3 * abs(answer.mean())


def test_labels_of_a_folder_fill_a_range_that_was_looked_for(
    disparity_folder: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    """Nothing bounds a disparity: over a range of any answer the labels of most would be 0."""
    pictures, out, source = tmp_path / "pictures", tmp_path / "labels", DatasetReader(dataset_dir)
    pictures.mkdir()
    for index in range(3):
        (pictures / f"{index}.jpg").write_bytes(source.encoded("fg_bg", index))
    arguments = [
        "label-depth",
        "--model",
        str(disparity_folder),
        "--pictures",
        str(pictures),
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(
        cli, [*arguments, "--runtime", "torch", "--bits", "16"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    highest = max(int(decode_gray16(path.read_bytes()).max()) for path in out.glob("*-depth.png"))
    assert 65535 / 1.4 < highest < 65535 / 1.2


def test_the_answer_is_the_models_own(case: tuple[str, Path, nn.Module]) -> None:
    """At the size that it asks for nothing is left but the model and its normalisation."""
    sort, folder, model = case
    preprocessor, size = CASES[sort][1], CASES[sort][3]
    network = create_depth_network(str(folder), None, CPU)
    rgb = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    if sort == "zoedepth":
        assert network.input_size(*size)[0] % 32 == 0  # its mirrored border makes this case another one
        return
    mean, std = {
        "depth_anything": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "dpt": (preprocessor.get("image_mean"), preprocessor.get("image_std")),
        "glpn": ((0.0,) * 3, (1.0,) * 3),
        "tipsv2_dpt": ((0.0,) * 3, (1.0,) * 3),
        "prompt_depth_anything": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "depth_pro": (preprocessor.get("image_mean"), preprocessor.get("image_std")),
    }[sort]
    x = (rgb / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        answer = model(pixel_values=x)
    expected = answer.predicted_depth
    if sort == "depth_pro":  # inverse depth for a picture as wide as the focal length is long
        width_over_focal = 2 * torch.tan(torch.deg2rad(answer.field_of_view) / 2)
        expected = 1 / (expected * width_over_focal.view(-1, 1, 1)).clamp(1e-4, 1e4)
    if expected.shape[-2:] != size:  # Depth Pro gives more than it was asked for, TIPSv2 less
        expected = nn.functional.interpolate(expected[:, None], size, mode="bilinear")[:, 0]
    assert torch.allclose(network.predict(rgb), expected, rtol=1e-4, atol=1e-5)


def test_no_pixel_is_cropped(disparity_folder: Path) -> None:
    """A change at the last row and column of a picture of any size reaches the answer."""
    network = create_depth_network(str(disparity_folder), None, CPU)
    rgb = torch.full((1, 3, 83, 61), 90, dtype=torch.uint8)
    height, width = network.input_size(83, 61)
    assert (height % 14, width % 14) == (0, 0)
    before = network.predict(rgb)
    assert before.shape == (1, 83, 61)
    rgb[..., -1, :] = rgb[..., :, -1] = 255
    assert (network.predict(rgb) - before)[..., -1, -1].abs().item() > 1e-4


def test_an_answer_depends_on_its_picture_alone(case: tuple[str, Path, nn.Module]) -> None:
    network = create_depth_network(str(case[1]), None, CPU)
    rgb = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    answers = network.predict(rgb)
    assert torch.equal(network.predict(rgb[[2, 0, 3, 1]]), answers[[2, 0, 3, 1]])
    assert torch.equal(network.predict(rgb[[1, 1, 1, 1]]), answers[[1, 1, 1, 1]])


@pytest.mark.slow
def test_openvino_answers_as_torch_does(case: tuple[str, Path, nn.Module]) -> None:
    """It is what large networks are run with where it is installed."""
    if not is_installed("openvino"):
        pytest.skip("needs openvino")
    rgb = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    expected = create_depth_network(str(case[1]), None, CPU).predict(rgb)
    network = create_depth_network(str(case[1]), None, CPU, runtime="openvino")
    answers = network.predict(rgb)
    assert (answers - expected).abs().max() < 2e-3 * expected.abs().mean()
    assert torch.equal(network.predict(rgb[[2, 0, 3, 1]]), answers[[2, 0, 3, 1]])


def test_a_batch_does_not_vote_on_the_head_of_zoedepth(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = save(zoedepth(heads=2), tmp_path / "two-heads", {"size": 64})
    network = create_depth_network(str(folder), None, CPU)
    rgb = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    together = network.predict(rgb)
    for number in range(3):
        assert torch.equal(network.predict(rgb[number : number + 1])[0], together[number])
    assert network.value_range == (0.0, 80.0)
    assert create_depth_network(str(folder), None, CPU, runtime="auto").info.runtime == "torch"


def test_metric_depth_anything_says_so(tmp_path: Path) -> None:
    folder = save(depth_anything(depth_estimation_type="metric", max_depth=20), tmp_path / "metric", None)
    network = create_depth_network(str(folder), None, CPU)
    assert (network.info.kind, network.info.nearer, network.info.unit) == ("metric_depth", "smaller", "metre")
    assert network.value_range == (0.0, 20.0)
    assert network.input_size(224, 224) == (
        518,
        518,
    )  # what the library takes without preprocessor_config.json


def test_the_licence_is_that_of_the_card(disparity_folder: Path) -> None:
    assert create_depth_network(str(disparity_folder), None, CPU).info.licence == "mit"


def test_faults_are_said_in_one_line(disparity_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((disparity_folder / "config.json").read_text())
    (broken / "model.safetensors").write_bytes(b"no weights at all")
    strange = tmp_path / "strange"
    strange.mkdir()
    for name in ("config.json", "model.safetensors"):
        (strange / name).write_bytes((disparity_folder / name).read_bytes())
    (strange / "preprocessor_config.json").write_text("{")
    cases: dict[Any, str] = {
        tmp_path / "mistyped" / "folder": "no such depth network",
        tmp_path / "empty": "no network of transformers",
        broken: "cannot be loaded",
        strange: "damaged file",
    }
    for name, message in cases.items():
        with pytest.raises(MdeasError, match=message) as caught:
            create_depth_network(str(name), None, CPU)
        assert "\n" not in str(caught.value)
