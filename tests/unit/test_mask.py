from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.mask import make_masks, threshold_alpha
from mdeas.pipeline.options import MakeMasksConfig
from numpy.typing import NDArray
from PIL import Image

Draw = Callable[..., NDArray[np.uint8]]


def test_foreground_is_where_alpha_exceeds_the_threshold() -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for threshold in (0, 127, 254):
        assert np.array_equal(threshold_alpha(alpha, threshold), np.where(alpha > threshold, 255, 0))


def test_one_lossless_mask_a_cutout(assets_dir: Path, draw_fg: Draw, tmp_path: Path) -> None:
    report = make_masks(MakeMasksConfig(fg=assets_dir / "fg", out=tmp_path / "masks"))
    assert (report.masks, report.rejected, report.bundled) == (4, (), False)
    for index in range(4):
        mask = Image.open(tmp_path / "masks" / f"object {index}.png")
        assert mask.mode == "1"
        assert np.array_equal(np.array(mask), draw_fg(index)[:, :, 3] > 127)
    assert "4 masks in" in report.summary()


def test_bad_cutouts_are_named_and_the_rest_is_done(
    tmp_path: Path, draw_fg: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "fg").mkdir()
    Image.fromarray(draw_fg(0)).save(tmp_path / "fg" / "cat.png")
    Image.fromarray(draw_fg(1)).save(tmp_path / "fg" / "cat.webp", lossless=True)
    Image.new("RGB", (50, 50)).save(tmp_path / "fg" / "photo.png")
    (tmp_path / "fg" / "Thumbs.db").write_bytes(b"junk")
    with caplog.at_level(logging.WARNING):
        report = make_masks(MakeMasksConfig(fg=tmp_path / "fg", out=tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cat.png.png", "cat.webp.png"]
    assert [(one.file, one.reason) for one in report.rejected] == [
        ("photo.png", "no alpha channel: not a cut-out")
    ]
    assert "photo.png: no alpha channel" in caplog.text
    assert "photo.png: no alpha channel" in report.summary()


def test_no_usable_cutout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fg").mkdir()
    with pytest.raises(MdeasError, match="no pictures in the folder"):
        make_masks(MakeMasksConfig(fg=tmp_path / "fg", out=tmp_path / "out"))
    Image.new("RGB", (50, 50)).save(tmp_path / "fg" / "photo.png")
    with pytest.raises(MdeasError, match=r"no usable cut-out: .*photo\.png: no alpha"):
        make_masks(MakeMasksConfig(fg=tmp_path / "fg", out=tmp_path / "out"))
    with pytest.raises(MdeasError, match="--mask-threshold 255; give 0 to 254"):
        make_masks(MakeMasksConfig(fg=tmp_path / "fg", mask_threshold=255))
    with pytest.raises(MdeasError, match=r"no such folder: .*gone; put cut-outs .* --fg"):
        make_masks(MakeMasksConfig(fg=tmp_path / "gone"))


def test_unwritable_out(assets_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MdeasError, match=r"cannot write: .*file"):
        make_masks(MakeMasksConfig(fg=assets_dir / "fg", out=tmp_path / "file"))
