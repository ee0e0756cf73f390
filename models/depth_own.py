"""A user's own depth network: ``FILE.py:FUNCTION`` names what makes it.

The function gets ``weights`` (a path or None) and ``device`` and returns anything with the members of
:class:`.depth.DepthNetwork`; docs/depth-models.md has an example.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import cast

from .. import MdeasError
from .depth import DepthNetwork, DepthNetworkInfo
from .depth_runtime import Computation

_MEMBERS = ("info", "value_range", "input_size", "predict")


def own_network(name: str, weights: Path | None, how: Computation) -> DepthNetwork:
    """The network that ``FILE.py:FUNCTION`` makes; runs the file.

    Raises:
        MdeasError: If there is no such file or function, what it returns is no depth network, or it does not
            compute as asked.
    """
    file, _, function = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise MdeasError(f"no such file: {path}; give --model FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(f"mdeas_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MdeasError(f"not a Python file: {path}; give --model FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    if not hasattr(module, function):
        raise MdeasError(f"no function {function} in {path}; give --model FILE.py:FUNCTION")
    network = getattr(module, function)(weights, how.device)
    missing = [member for member in _MEMBERS if not hasattr(network, member)]
    if missing or not isinstance(network.info, DepthNetworkInfo):
        lacks = ", ".join(missing) or "an info of mdeas.models.depth.DepthNetworkInfo"
        raise MdeasError(f"not a depth network: what {name} returns lacks {lacks}; see docs/depth-models.md")
    for asked, has, option in (
        (how.dtype, network.info.precision, "--dtype"),
        (how.runtime, network.info.runtime, "--runtime"),
    ):
        if asked not in ("auto", has):
            raise MdeasError(
                f"{name} computes with {has}, not {asked}; leave out {option} or change its info"
            )
    return cast(DepthNetwork, network)
