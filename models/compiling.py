"""What ``--compile`` needs of the machine."""

from __future__ import annotations

import os
import shutil

from .. import MdeasError


def require_compiler() -> None:
    """Check that torch can compile for the CPU: it writes C++, and somebody has to build it.

    Raises:
        MdeasError: If there is no compiler.
    """
    wanted = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([wanted] if wanted else ["g++", "clang++", "cl"])):
        raise MdeasError("--compile needs a C++ compiler; install g++ (or set CXX), or leave --compile away")
