"""``mdeas models`` tells the truth about every network that can be chosen."""

from __future__ import annotations

from mdeas.models import MODELS, create_model
from mdeas.models.catalogue import list_models
from mdeas.models.depth_hub import ALIASES


def test_every_network_is_listed_with_its_real_size() -> None:
    report = list_models()
    assert [entry.name for entry in report.dual_head] == list(MODELS)
    assert [entry.name for entry in report.depth] == ["bundled", "densedepth", *ALIASES]
    for entry in report.dual_head:
        model = create_model(entry.name)
        assert entry.parameters == sum(parameter.numel() for parameter in model.parameters())
        model.check_size(entry.minimum_side, entry.minimum_side)
    mdeas = report.dual_head[0]
    assert (mdeas.name, mdeas.parameters, mdeas.heads) == ("mdeas", 1_521_026, ("depth", "mask"))
    assert 0 < (report.depth[0].parameters or 0) <= 3_000_000
    lines = report.summary().splitlines()
    assert any(line.startswith("mdeas") and "1,521,026" in line for line in lines)
    assert any("depth-anything-v2-large" in line and "--accept-licence" in line for line in lines)
    assert any(line.startswith("bundled") and "relative_disparity" in line for line in lines)
