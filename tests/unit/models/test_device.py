"""The device is chosen once, and a wrong one is one clear line."""

from __future__ import annotations

import pytest
import torch
from mdeas import MdeasError
from mdeas.models.device import choose_device


def test_auto_takes_what_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "meta", "cpu0"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(MdeasError, match=rf"no such device: {name}; .*use (--device )?auto"):
        choose_device(name)
