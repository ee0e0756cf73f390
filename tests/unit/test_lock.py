from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.pipeline.lock import LOCK_NAME, locked

HOLDER = """
import sys, pathlib
from mdeas.pipeline.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_process_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(MdeasError, match="another mdeas process is working"),
            locked(tmp_path),
        ):
            pass
        holder.kill()
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(MdeasError, match=r"cannot write: .*missing"), locked(tmp_path / "missing"):
        pass
