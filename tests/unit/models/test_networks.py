"""Every dual-head network against its published layer table and one contract."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mdeas import MdeasError
from mdeas.models import MODELS, create_model
from mdeas.models.base import VARIANCE_FLOOR, DualHeadNet, Heads, heads, nearest_size, ready
from mdeas.models.losses import create_loss
from torch import Tensor, nn

LAYERS = Path(__file__).parents[2] / "golden" / "layers"
PARAMETERS = {
    "mdeas": 1_521_026,
    "dsresnet": 10_343_490,
    "resunet": 15_855_712,
    "resunext": 16_409_856,
    "maskdepth": 16_181_090,
    "masknet": 59_745,
}
# The side that each table was made at; no table of maskdepth was published.
TABLE_SIDES = {"mdeas": 224, "dsresnet": 224, "resunet": 192, "resunext": 192, "masknet": 224}
# Tables that have no row for the network as a whole.
WITHOUT_WHOLE = {"mdeas", "resunet", "resunext"}

Row = tuple[str, str, int]


def table_of(name: str) -> list[Row]:
    with (LAYERS / f"{name}.csv").open() as file:
        rows = [(row["layer"], row["output_shape"], int(row["params"])) for row in csv.DictReader(file)]
    assert rows[-1][2] == sum(row[2] for row in rows[:-1]) == PARAMETERS[name]
    return rows[:-1]


def layers_of(network: DualHeadNet, side: int) -> list[Row]:
    """A row for every call of every module but plain containers, in the order in which they return."""
    rows: list[Row] = []

    def note(module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs = output if isinstance(output, tuple) else (output,)
        shapes = ";".join("x".join(map(str, one.shape[1:])) for one in outputs if one is not None)
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows.append((type(module).__name__, shapes, own))

    for module in network.modules():
        if type(module) not in (nn.Sequential, nn.ModuleList):
            module.register_forward_hook(note)
    network(*torch.rand(2, 1, 3, side, side, device="meta"))
    return rows


# A backward pass through a network of ten million parameters takes seconds.
SMALL = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if PARAMETERS[name] > 5e6 else []) for name in PARAMETERS],
)


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(name: str) -> DualHeadNet:
    torch.manual_seed(0)
    return create_model(name)


@pytest.mark.parametrize("name", TABLE_SIDES)
def test_every_layer_is_that_of_the_table(name: str) -> None:
    rows = layers_of(create_model(name).to("meta"), TABLE_SIDES[name])  # shapes without arithmetic
    if name in WITHOUT_WHOLE:
        rows = rows[:-1]
    assert rows == table_of(name)


def test_parameters_are_those_published(name: str, network: DualHeadNet) -> None:
    assert network.parameters_count == PARAMETERS[name]


def test_both_heads_have_the_size_of_the_input(network: DualHeadNet) -> None:
    height, width = nearest_size(network, 48, 64)
    with torch.no_grad():
        depth, mask = heads(network.eval(), network(*torch.rand(2, 2, 3, height, width)))[:2]
    assert mask.shape == (2, 1, height, width)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    assert (depth is None) == (network.outputs.depth == "none")
    assert depth is None or depth.shape == mask.shape


def test_depends_on_both_inputs(network: DualHeadNet) -> None:
    network.eval()
    bg, frame, other = torch.rand(3, 1, 3, 64, 64)
    with torch.no_grad():
        results = [network(*pair)[1] for pair in ((bg, frame), (other, frame), (bg, other))]
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@SMALL
def test_gradient_reaches_every_parameter(network: DualHeadNet) -> None:
    depth, mask = network(*torch.rand(2, 2, 3, 64, 64))
    (mask.sum() + (0 if depth is None else depth.sum())).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_sizes_it_cannot_take_are_refused_with_the_nearest(network: DualHeadNet) -> None:
    if network.multiple == 1:
        pytest.skip("takes any size")
    side = 2 * network.minimum + 1
    nearest = rf"{side - 1}x{side - 1} or {side - 1 + network.multiple}x{side - 1 + network.multiple}"
    with pytest.raises(MdeasError, match=rf"got {side}x{side}; the nearest is {nearest}"):
        network(*torch.rand(2, 1, 3, side, side))
    assert nearest_size(network, side, side) == (side - 1, side - 1)


def test_sizes_below_the_least_are_refused(network: DualHeadNet) -> None:
    least = network.minimum
    with pytest.raises(MdeasError, match=rf"got 8x8; the nearest is {least}x{least}"):
        network.check_size(8, 8)
    network.check_size(least, least)


@pytest.mark.parametrize(
    "shapes", [((1, 3, 64, 64), (1, 3, 64, 32)), ((1, 1, 64, 64),) * 2, ((3, 64, 64),) * 2]
)
def test_wrong_shapes_are_named(network: DualHeadNet, shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=rf"expected .*\(B, 3, H, W\), got \({shapes[0][0]}"):
        network(*(torch.rand(shape) for shape in shapes))


def test_loaded_weights_predict_the_same(name: str, network: DualHeadNet) -> None:
    other = create_model(name)
    other.load_state_dict(network.state_dict())
    pair = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        expected, got = network.eval()(*pair), other.eval()(*pair)
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True) if a is not None)


@SMALL
def test_steps_on_one_batch_lower_its_loss(network: DualHeadNet) -> None:
    side = network.minimum
    bg, frame = torch.rand(2, 2, 3, side, side)
    mask = (torch.rand(2, 1, side, side) > 0.5).float()
    target = Heads(torch.rand(2, 1, side, side), mask)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss, _ = create_loss("mdeas")(heads(network, network(bg, frame)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.05


def test_a_nearly_dead_channel_does_not_explode_when_predicting(network: DualHeadNet) -> None:
    for norm in norms_of(network):
        norm.fill_(1e-17)
    used = ready(network)
    assert (used.training, network.training) == (False, True)
    assert [float(norm.min()) for norm in norms_of(used)] == pytest.approx(
        [VARIANCE_FLOOR] * len(norms_of(used))
    )
    assert max(float(norm.max()) for norm in norms_of(network)) == pytest.approx(1e-17)


def norms_of(network: DualHeadNet) -> list[Tensor]:
    """The running variances of every batch norm."""
    return [buffer for name, buffer in network.named_buffers() if name.endswith("running_var")]


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(MdeasError, match="no network is called 'unet'; there are: mdeas, dsresnet, resunet"):
        create_model("unet")


def test_names_are_known_without_torch() -> None:
    code = "import sys, mdeas.models; print(list(mdeas.models.MODELS), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{list(MODELS)} False"
