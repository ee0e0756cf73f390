"""Sides by asset: near-duplicates together, both sides filled, content and seed decide."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from mdeas.pipeline.split import content_hashes, group_duplicates, split_assets
from numpy.typing import NDArray

SHAS = [f"{number:064x}" for number in range(50)]
FAR = [(int(word), int(other)) for word, other in np.random.default_rng(0).integers(0, 2**63, (50, 2))]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 50])
def test_about_a_fifth_is_validation(count: int) -> None:
    sides = split_assets(SHAS[:count], FAR[:count], seed=0, salt="fg")
    assert sides.count("val") == (0 if count == 1 else max(1, round(0.2 * count)))


def test_content_and_seed_decide() -> None:
    first = dict(zip(SHAS, split_assets(SHAS, FAR, 0, "fg"), strict=True))
    order = np.random.default_rng(1).permutation(50)
    again = split_assets([SHAS[i] for i in order], [FAR[i] for i in order], 0, "fg")
    assert again == [first[SHAS[i]] for i in order]
    assert split_assets(SHAS, FAR, 1, "fg") != list(first.values())
    assert split_assets(SHAS, FAR, 0, "bg") != list(first.values())


def test_copies_are_found_whatever_was_done_to_them(draw_bg: Callable[..., NDArray[np.uint8]]) -> None:
    rooms = [draw_bg(index, 192, 240) for index in range(3)]
    small = cv2.resize(rooms[0], (150, 120), interpolation=cv2.INTER_AREA)
    coded = cv2.imdecode(cv2.imencode(".jpg", rooms[1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    mirrored = np.ascontiguousarray(rooms[2][:, ::-1])
    bright = cv2.add(rooms[0], np.full_like(rooms[0], 12))
    pictures = [*rooms, small, coded, mirrored, bright]
    groups = group_duplicates(SHAS[:7], [content_hashes(picture) for picture in pictures])
    assert groups == [0, 1, 2, 0, 1, 2, 0]


def test_same_bytes_are_one_group_whatever_the_hashes() -> None:
    assert group_duplicates(["a", "b", "a"], FAR[:3]) == [0, 1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_duplicates_are_never_torn_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 8, 30)
    sides = split_assets(SHAS[:30], [FAR[kind] for kind in kinds], seed, "bg")
    for kind in range(8):
        assert len({side for side, member in zip(sides, kinds, strict=True) if member == kind}) <= 1
    assert {"train", "val"} <= set(sides)


def test_one_group_is_all_training() -> None:
    assert split_assets(SHAS[:5], [FAR[0]] * 5, 0, "fg") == ["train"] * 5
