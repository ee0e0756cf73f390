"""Pictures for people: the right panels in the right places."""

from __future__ import annotations

import numpy as np
import torch
from mdeas.models.base import Heads
from mdeas.models.dataset import Sample
from mdeas.models.pictures import COLUMNS, GAP, TITLE_HEIGHT, grey, overlay, sample_row, sheet


def test_grey_rounds_and_clips() -> None:
    values = np.array([[-1, 0, 0.5, 1, 2]], np.float32)
    assert grey(values)[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_overlay_darkens_what_the_mask_leaves_out() -> None:
    frame, mask = np.full((40, 40, 3), 200, np.uint8), np.zeros((40, 40), np.float32)
    mask[10:30, 10:30] = 1
    shown = overlay(frame, mask)
    assert shown[20, 20].tolist() == [200] * 3
    assert shown[2, 2].tolist() == [70] * 3
    assert shown[10, 20].tolist() == [0, 255, 80]


def test_a_row_is_truth_beside_prediction_in_the_same_colours() -> None:
    depth = torch.linspace(0, 1, 32)[:, None].expand(2, 1, 32, 32)
    mask = torch.zeros(2, 1, 32, 32)
    sample = Sample(torch.full((2, 3, 32, 32), 0.2), torch.full((2, 3, 32, 32), 0.6), mask, depth)
    row = sample_row(sample, Heads(depth, mask + 0.5), 1, "larger")
    assert len(row) == len(COLUMNS)
    assert [int(row[column][0, 0, 0]) for column in (0, 1, 2, 3)] == [51, 153, 0, 128]
    assert np.array_equal(row[4], row[5])
    assert row[4][-1].mean() > row[4][0].mean()
    farther = sample_row(sample, Heads(depth, mask), 1, "smaller")
    assert farther[4][-1].mean() < farther[4][0].mean()
    assert len(sample_row(sample, Heads(None, mask), 0, "larger")) == COLUMNS.index("depth label")


def test_a_sheet_has_titles_and_tiles_large_enough_for_them() -> None:
    tile = np.full((32, 32, 3), 90, np.uint8)
    picture = sheet([[tile] * 3] * 2, ("bg", "fg_bg", "mask", "depth label"), ["seen", "new_bg"])
    assert picture.shape == (TITLE_HEIGHT + 2 * (128 + GAP), 3 * (128 + GAP) - GAP, 3)
    assert picture[:TITLE_HEIGHT].max() > 200
    assert (picture[TITLE_HEIGHT + 60, 132:260] == 90).all()
