"""EXR files: read back here, and by the format's own library where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.exr import decode_exr, encode_exr
from numpy.typing import NDArray

SHAPES = [(1, 1), (1, 7), (16, 5), (17, 3), (45, 64)]


def values(height: int, width: int) -> NDArray[np.float32]:
    """Smooth, with noise, and with numbers of every size."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(height).normal(0, 1, (height, width))
    found = (np.sin(rows / 9) + columns / 5 + noise * (columns % 3 == 0)).astype(np.float32)
    found[0, 0] = 1e30
    return found


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_what_is_written_is_read(height: int, width: int) -> None:
    data = encode_exr(values(height, width))
    assert np.array_equal(decode_exr(data), values(height, width))


def test_smooth_pictures_get_smaller() -> None:
    smooth = np.linspace(0, 1, 200 * 100, dtype=np.float32).reshape(200, 100)
    assert len(encode_exr(smooth)) < 0.7 * smooth.nbytes


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_the_formats_own_library_reads_it(height: int, width: int, tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    path = tmp_path / "depth.exr"
    path.write_bytes(encode_exr(values(height, width)))
    with library.File(str(path)) as file:
        assert np.array_equal(file.channels()["Y"].pixels, values(height, width))


def test_other_files_are_refused() -> None:
    data = encode_exr(values(45, 64))
    for broken in (b"", b"no picture", data[:200], data[:-50], data.replace(b"lineOrder", b"lineOther")):
        with pytest.raises(MdeasError, match="no EXR file"):
            decode_exr(broken)
    with pytest.raises(ValueError, match="float64"):
        encode_exr(np.zeros((2, 2)))  # type: ignore[arg-type]
