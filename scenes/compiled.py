"""The one door to numba: a decorator that compiles, and keeps the machine code where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from .. import MdeasError

try:
    import numba
except ImportError as error:
    raise MdeasError(
        "drawing scenes needs numba, which is not installed; pip install 'mdeas[scenes]'"
    ) from error

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compiles a kernel at its first call; cached on disk where that can be written."""
    try:
        return cast(Function, numba.njit(cache=True, fastmath=True)(function))
    except RuntimeError:  # "cannot cache function …: no locator available"
        return cast(Function, numba.njit(fastmath=True)(function))
