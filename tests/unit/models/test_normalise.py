"""The figures that inputs are normalised by, where they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.models.normalise import read_normalisation


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"bg": {"mean": 3}}', '{"bg": {"mean": ["x"]}}'])
def test_damaged_figures_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "stats.json").write_text(text)
    with pytest.raises(MdeasError, match=r"damaged file: .*stats\.json .*; run `mdeas stats .*` again"):
        read_normalisation(tmp_path, "dataset")


def test_missing_figures_and_kinds_are_named(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match=r"no figures to normalise by: .*run `mdeas stats"):
        read_normalisation(tmp_path, "dataset")
    with pytest.raises(MdeasError, match="no normalisation is called 'nothing'; there are: "):
        read_normalisation(tmp_path, "nothing")
