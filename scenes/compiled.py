"""The one door to numba: a decorator that compiles, and keeps the machine code where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .. import MdeasError

try:
    import numba
except ImportError as error:
    raise MdeasError(
        "drawing scenes needs numba, which is not installed; pip install 'mdeas[scenes]'"
    ) from error

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compiles a kernel at its first call; cached on disk unless neither the package nor the user's cache can be written."""
    try:
        result: Function = numba.njit(cache=True, fastmath=True)(function)
    except RuntimeError:  # "cannot cache function …: no locator available"
        result = numba.njit(fastmath=True)(function)
    return result
