"""Shards drawn together have the bytes of shards drawn one by one, in any groups."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mdeas.pipeline import images, paint
from mdeas.pipeline.manifest import BACKGROUNDS_NAME, Asset
from mdeas.pipeline.paint import Painter, Row, paint_shards, prepared_name, together
from mdeas.pipeline.plan import Plan
from mdeas.pipeline.shards import ShardReader, ShardWriter, publish
from numpy.typing import NDArray

Draw = Callable[..., NDArray[np.uint8]]
SIZE, QUALITY, MASK_THRESHOLD = 48, 80, 127


def plan_of(fg: int, bg: int, placements: int, limit: int | None = None, size: int = SIZE) -> Plan:
    assets = [
        tuple(Asset(number, f"{number}.png", "0" * 64, "train", 80, 60) for number in range(count))
        for count in (fg, bg)
    ]
    return Plan(*assets, size, placements, True, (0.3, 0.9), seed=3, limit=limit)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, draw_fg: Draw, draw_bg: Draw) -> Path:
    """Archives of three foregrounds and of four backgrounds, as ``make_dataset`` prepares them."""
    folder = tmp_path_factory.mktemp("prepared")
    with ShardWriter(folder / "fg.zip") as writer:
        for number in range(3):
            rgba = images.resize_rgba(draw_fg(number), 44, 33)
            with (folder / "fg.npy").open("wb") as file:
                np.save(file, images.premultiply(rgba))
            writer.add(prepared_name(number), (folder / "fg.npy").read_bytes())
    with ShardWriter(folder / BACKGROUNDS_NAME) as writer:
        for number in range(4):
            writer.add(f"bg/{number:03d}.png", images.encode_png(images.square(draw_bg(number % 3), SIZE)))
    return folder


@pytest.fixture
def make_painter(prepared: Path) -> Callable[[Plan], Painter]:
    """A painter of the prepared pictures."""
    return lambda plan: Painter(
        prepared / BACKGROUNDS_NAME, prepared / "fg.zip", plan, QUALITY, MASK_THRESHOLD
    )


@pytest.mark.parametrize(
    ("placements", "limit"),
    [
        (200, None),  # 1,200 samples a background, so that every shard begins elsewhere
        (250, None),  # 1,500
        (60, None),  # 360: several backgrounds in a shard
        (400, 3100),  # some of 2,400
    ],
)
def test_shards_drawn_together_have_the_bytes_of_single_ones(
    make_painter: Callable[[Plan], Painter],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    placements: int,
    limit: int | None,
) -> None:
    plan = plan_of(3, 4, placements, limit)
    numbers = range(-(-len(plan) // 1000))
    (tmp_path / "single").mkdir()
    single = [paint_shards(make_painter(plan), [number], tmp_path / "single")[0] for number in numbers]
    monkeypatch.setattr(paint, "_BLOCK_PIXELS", 70 * SIZE**2)
    assert paint_shards(make_painter(plan), numbers, tmp_path) == single
    for shard in single:
        for record in shard.records:
            assert not (tmp_path / record.name).exists()
            publish(tmp_path / record.name)
            data = (tmp_path / record.name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == record.sha256
        masks = ShardReader(tmp_path / shard.records[1].name)
        areas = [np.count_nonzero(images.decode_mask(masks.read(entry))) for entry in range(len(masks))]
        assert areas == shard.mask_pixels


def test_samples_are_what_a_plain_paste_gives(
    prepared: Path, make_painter: Callable[[Plan], Painter]
) -> None:
    """At the prepared size, where nothing is resized."""
    rows = [
        Row(bg, fg, flip, 1 + bg, 9 - fg, 44, 33) for bg in range(4) for fg in range(3) for flip in (0, 1)
    ]
    foregrounds, backgrounds = ShardReader(prepared / "fg.zip"), ShardReader(prepared / BACKGROUNDS_NAME)
    for row, drawn in zip(rows, make_painter(plan_of(3, 4, 1)).draw(rows), strict=True):
        placed = paint.prepared_array(foregrounds.read(row.fg))[:, :: -1 if row.flip else 1].copy()
        alpha = images.alpha_of(placed)
        composite = images.decode_png(backgrounds.read(row.bg)).copy()
        box = slice(row.y, row.y + 33), slice(row.x, row.x + 44)
        composite[box] = images.blend(composite[box], placed, alpha)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[box] = np.where(alpha > MASK_THRESHOLD, 255, 0)
        assert drawn.composite == images.encode_jpeg(composite, QUALITY)
        assert drawn.mask == images.encode_mask(mask)
        assert drawn.mask_pixels == np.count_nonzero(mask)


def test_groups_share_their_foregrounds_and_shrink_towards_the_end() -> None:
    plan = plan_of(100, 100, 20, size=224)  # four shards a background
    groups = together(range(400), plan, workers=2)
    assert sorted(number for group in groups for number in group) == list(range(400))
    assert [len(group) for group in groups[:3]] == [8, 8, 8]
    assert [len(group) for group in groups[-3:]] == [1, 1, 1]
    assert all(later >= earlier for earlier, later in pairwise([-len(group) for group in groups]))
    assert {len({number % 4 for number in group}) for group in groups} == {1, 2}
    assert together([], plan, workers=2) == []


def test_large_pictures_and_small_sets_are_not_grouped() -> None:
    for plan in (plan_of(100, 100, 20, size=4096), plan_of(3, 100, 20)):
        assert {len(group) for group in together(range(12), plan, workers=1)} == {1}
