from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from mdeas.pipeline.threads import share_heaps
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
if sys.argv[1:]:
    share_heaps(int(sys.argv[1]))
barrier = threading.Barrier(12)
def allocate():
    barrier.wait()
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc for its heaps")
@pytest.mark.parametrize(("arguments", "heaps"), [([], range(4, 100)), (["2"], [1, 2]), (["12"], [1, 2, 3])])
def test_threads_share_heaps(arguments: list[str], heaps: range | list[int]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAPS, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("<heap nr=") in heaps
