"""The matte of a cut-out: false alphas told apart, haze and specks removed, edges freed of backgrounds."""

from __future__ import annotations

import numpy as np
import pytest
from mdeas.pipeline.decode import BadPictureError
from mdeas.pipeline.matte import (
    CutoutLimits,
    check_alpha,
    check_object,
    has_checkerboard,
    mend_alpha,
    mend_colours,
    no_alpha_reason,
    stretch_alpha,
    trim_margins,
)
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LIMITS = CutoutLimits(min_side=32, keep_side=1024)


def matte(height: int = 120, width: int = 160, softness: float = 10) -> NDArray[np.float64]:
    """Opacity 0 to 1 of a disc in the middle, with a soft edge of so many pixels."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.clip((40 - np.hypot(rows - height / 2, columns - width / 2)) / softness + 0.5, 0, 1)


def texture(height: int = 120, width: int = 160) -> NDArray[np.float64]:
    rows, columns = np.mgrid[0:height, 0:width]
    wave = 12 * np.sin(rows / 5) * np.cos(columns / 6)
    return np.stack([200 + wave, 120 + wave, 60 + wave], axis=-1)


def cutout(rgb: NDArray[np.float64], opacity: NDArray[np.float64]) -> Pixels:
    return np.dstack([rgb, opacity * 255]).round().clip(0, 255).astype(np.uint8)


def board(
    height: int, width: int, cell: int, low: int = 204, high: int = 255, noise: float = 0
) -> NDArray[np.float64]:
    rows, columns = np.mgrid[0:height, 0:width] // cell
    grey = np.where((rows + columns) % 2, low, high).astype(float)
    grey += np.random.default_rng(0).normal(0, noise, grey.shape) if noise else 0
    return grey[..., None].repeat(3, axis=2).clip(0, 255)


GOOD = cutout(texture(), matte())


def test_a_cut_out_is_good_and_stays_as_it_is() -> None:
    check_alpha(GOOD)
    assert stretch_alpha(GOOD) == (GOOD, [])
    mended, changes = mend_alpha(GOOD)
    assert changes == []
    np.testing.assert_array_equal(mended[:, :, 3][GOOD[:, :, 3] > 7], GOOD[:, :, 3][GOOD[:, :, 3] > 7])
    freed, changes = mend_colours(GOOD)
    assert changes == []
    np.testing.assert_array_equal(freed[GOOD[:, :, 3] > 0], GOOD[GOOD[:, :, 3] > 0])
    check_object(trim_margins(GOOD)[0], LIMITS)


ONES = np.ones((120, 160))
FALSE_ALPHAS = {
    "opaque": (ONES, "opaque: alpha is never below 255"),
    "254 everywhere": (ONES * 254 / 255, "opaque: alpha is never below 254"),
    "empty": (ONES * 0, "empty"),
    "faint": (matte() * 0.4, "faint: alpha is never above 102"),
    "ghost of the background": (np.maximum(matte(), 0.5), "haze: alpha is never below"),
    "inverted": (1 - matte(), "inverted"),
}


@pytest.mark.parametrize("kind", FALSE_ALPHAS)
def test_false_alphas_are_told_apart(kind: str) -> None:
    opacity, reason = FALSE_ALPHAS[kind]
    with pytest.raises(BadPictureError, match=reason):
        check_alpha(cutout(texture(), opacity))


def test_inverted_alpha_of_an_object_at_the_border_is_told() -> None:
    opacity = np.ones((120, 160))
    opacity[60:, 50:110] = 0  # a person who is cut off below
    opacity[119] = 1
    with pytest.raises(BadPictureError, match="inverted"):
        check_alpha(cutout(texture(), opacity))


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_tight_objects_are_no_inverted_mattes(share: float) -> None:
    """A tin seen from the front fills its canvas but for the corners, and may have a small hole."""
    opacity = np.ones((120, 160))
    opacity[:6, :6] = opacity[:6, -6:] = opacity[-6:, :6] = opacity[-6:, -6:] = 0
    opacity[50:53, 50:53] = 0 if share else 1
    check_alpha(cutout(texture(), opacity))


@pytest.mark.parametrize("cell", [5, 8, 10, 16, 20])
@pytest.mark.parametrize(("low", "high"), [(204, 255), (153, 102), (191, 255)])
def test_painted_checkerboards_are_found(cell: int, low: int, high: int) -> None:
    opacity = matte()[..., None]
    rgb = texture() * opacity + board(120, 160, cell, low, high, noise=2) * (1 - opacity)
    assert has_checkerboard(rgb.round().astype(np.uint8))
    assert no_alpha_reason(rgb.round().astype(np.uint8)).startswith("fake transparency")
    opaque = cutout(rgb, np.ones((120, 160)))
    with pytest.raises(BadPictureError, match="fake transparency"):
        check_alpha(opaque)


def test_a_checkerboard_beside_rounded_transparent_corners_is_found() -> None:
    opacity = np.ones((120, 160))
    opacity[:5, :5] = opacity[-5:, -5:] = 0
    inside = matte()[..., None]
    rgb = texture() * inside + board(120, 160, 8) * (1 - inside)
    with pytest.raises(BadPictureError, match="fake transparency: a checkerboard is painted"):
        check_alpha(cutout(rgb, opacity))


@pytest.mark.parametrize("picture", [texture(), np.full((120, 160, 3), 128.0), board(120, 160, 60)])
def test_other_pictures_have_no_checkerboard(picture: NDArray[np.float64]) -> None:
    assert not has_checkerboard(picture.round().astype(np.uint8))
    assert no_alpha_reason(picture.round().astype(np.uint8)) == "opaque: no alpha channel"


# ---------------------------------------------------------------- mending alpha


def test_haze_is_taken_off_and_the_box_shrinks() -> None:
    hazy = GOOD.copy()
    hazy[:, :, 3] = np.maximum(hazy[:, :, 3], 3)
    mended, changes = stretch_alpha(hazy)
    assert [change.done for change in changes] == ["haze taken off"]
    assert mended[0, 0, 3] == 0 and mended[60, 80, 3] == 255
    assert trim_margins(mended)[0].shape[0] < 100


def test_a_veil_that_has_holes_is_taken_off_too() -> None:
    veiled = GOOD.copy()
    veil = np.random.default_rng(0).integers(14, 25, (120, 160), np.uint8)
    veil[:9, :9] = 0
    veiled[:, :, 3] = np.maximum(veiled[:, :, 3], veil)
    mended, changes = stretch_alpha(veiled)
    assert "alpha up to 24 all over" in changes[0].was
    assert not mended[0, 20:, 3].any() and mended[60, 80, 3] == 255


def test_patches_of_haze_are_taken_off() -> None:
    hazy = GOOD.copy()
    hazy[:, :60, 3] = np.maximum(hazy[:, :60, 3], 6)
    mended, changes = mend_alpha(hazy)
    assert "haze over a part" in changes[0].was
    assert not mended[:20, :20, 3].any()


def test_alpha_of_0_and_1_is_scaled() -> None:
    flat = GOOD.copy()
    flat[:, :, 3] = matte() > 0.5
    with pytest.raises(BadPictureError, match="faint"):
        check_alpha(np.where(flat == 1, 2, flat).astype(np.uint8))
    check_alpha(flat)
    mended, changes = stretch_alpha(flat)
    assert set(np.unique(mended[:, :, 3])) == {0, 255} and "0 and 1" in changes[0].was


def test_specks_go_and_second_objects_stay() -> None:
    two = GOOD.copy()
    two[5:25, 5:25] = 255
    two[110, 150] = two[3, 150] = 255
    mended, changes = mend_alpha(two)
    assert "2 stray specks" in changes[0].was
    assert mended[110, 150, 3] == mended[3, 150, 3] == 0
    assert mended[10, 10, 3] == mended[60, 80, 3] == 255


def stray_pixels() -> Pixels:
    few = np.zeros((120, 160, 4), np.uint8)
    few[::30, ::40] = 255
    return few


def line() -> Pixels:
    thin = np.zeros((200, 200, 4), np.uint8)
    np.fill_diagonal(thin[:, :, 3], 255)
    return thin


@pytest.mark.parametrize(
    ("rgba", "reason"),
    [
        (stray_pixels(), "only specks"),
        (GOOD[50:62, 75:90], "too small: an object of 15x12"),
        (line(), "only specks|too thin"),
        (np.full((2, 200, 4), 255, np.uint8), "too thin"),
        (np.zeros((0, 0, 4), np.uint8), "too small"),
    ],
)
def test_what_is_no_object_is_refused(rgba: Pixels, reason: str) -> None:
    with pytest.raises(BadPictureError, match=reason):
        check_object(rgba, LIMITS)


def test_wide_margins_are_told_and_narrow_ones_are_not() -> None:
    canvas = np.zeros((1000, 1000, 4), np.uint8)
    canvas[850:970, 800:960] = GOOD
    trimmed, changes = trim_margins(canvas)
    assert trimmed.shape == trim_margins(GOOD)[0].shape and "of the canvas" in changes[0].was
    assert trim_margins(GOOD)[1] == []


# ---------------------------------------------------------------- mending colours


def edge_error(rgba: Pixels) -> float:
    """How far the colours of the soft edge are from the object's own, root mean square."""
    alpha = rgba[:, :, 3]
    soft = (alpha > 25) & (alpha < 230)
    return float(np.sqrt(np.mean((rgba[soft, :3].astype(float) - texture()[soft]) ** 2)))


@pytest.mark.parametrize(
    "background",
    [(255, 255, 255), (0, 0, 0), (30, 200, 40), (90, 110, 160)],
    ids=["white", "black", "green", "blue"],
)
def test_halo_of_one_colour_is_removed(background: tuple[int, int, int]) -> None:
    opacity = matte()[..., None]
    mixed = texture() * opacity + np.array(background) * (1 - opacity)
    bad = cutout(np.where(opacity > 0, mixed, 0), matte())
    mended, changes = mend_colours(bad)
    assert len(changes) == 1
    assert edge_error(mended) < 0.25 * edge_error(bad)
    np.testing.assert_array_equal(mended[:, :, 3], bad[:, :, 3])


def test_premultiplied_colours_are_divided() -> None:
    bad = cutout(texture() * matte()[..., None], matte())
    mended, changes = mend_colours(bad)
    assert changes[0].was == "premultiplied colours"
    assert edge_error(mended) < 6 < 30 < edge_error(bad)


def test_halo_of_a_photo_that_is_still_stored_is_removed() -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    photo = np.stack([columns * 1.5, rows * 2.0, 255 - columns], axis=-1)
    opacity = matte()[..., None]
    bad = cutout(texture() * opacity + photo * (1 - opacity), matte())
    mended, changes = mend_colours(bad)
    assert "old background" in changes[0].was
    assert edge_error(mended) < 0.35 * edge_error(bad)


def test_transparent_pixels_take_the_object_s_colour() -> None:
    white = GOOD.copy()
    white[GOOD[:, :, 3] == 0, :3] = 255
    mended, _ = mend_colours(white)
    ring = (GOOD[:, :, 3] == 0) & (np.hypot(*(np.mgrid[0:120, 0:160] - [[[60]], [[80]]])) < 50)
    assert np.abs(mended[ring, :3].astype(float) - [200, 120, 60]).mean() < 12


def test_hard_edges_have_no_halo_to_remove() -> None:
    hard = cutout(texture(), (matte() > 0.5).astype(float))
    mended, changes = mend_colours(hard)
    assert changes == []
    np.testing.assert_array_equal(mended[hard[:, :, 3] > 0], hard[hard[:, :, 3] > 0])
