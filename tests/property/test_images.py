from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from mdeas.pipeline import images
from mdeas.pipeline.canvas import Canvas, Foreground, Layer, Press
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def pictures(channels: int, most: int = 40) -> st.SearchStrategy[Pixels]:
    side = st.integers(1, most)
    return st.tuples(side, side).flatmap(lambda shape: nps.arrays(np.uint8, (*shape, channels)))


@settings(max_examples=60, deadline=None)
@given(rgba=pictures(4), data=st.data())
def test_blend_is_rounded_exactly_and_lies_between(rgba: Pixels, data: st.DataObject) -> None:
    bg = data.draw(nps.arrays(np.uint8, (*rgba.shape[:2], 3)))
    alpha = rgba[:, :, 3:].astype(float)
    exact = np.rint((alpha * rgba[:, :, :3] + (255 - alpha) * bg) / 255)
    pasted = images.paste(bg, rgba, 0, 0)
    assert np.array_equal(pasted, exact)
    assert (pasted >= np.minimum(bg, rgba[:, :, :3])).all()
    assert (pasted <= np.maximum(bg, rgba[:, :, :3])).all()


@settings(max_examples=60, deadline=None)
@given(rgba=pictures(4, 60), width=st.integers(1, 70), height=st.integers(1, 70), value=st.integers(0, 255))
def test_resized_foregrounds_never_overflow(rgba: Pixels, width: int, height: int, value: int) -> None:
    """White objects of any alpha on any grey: the sum of 16 bits must not wrap around to black."""
    rgba[:, :, :3] = 255
    bg = np.full((height, width, 3), value, np.uint8)
    for placed in (
        images.resize_premultiplied(images.premultiply(rgba), width, height),
        Foreground(images.premultiply(rgba), least=1).at(width, height),
    ):
        assert images.blend(bg, placed, images.alpha_of(placed)).min() >= value


@settings(max_examples=40, deadline=None)
@given(bg=pictures(3, 70), rgba=pictures(4, 70), quality=st.integers(1, 100), data=st.data())
def test_spliced_jpeg_equals_the_full_one(
    bg: Pixels, rgba: Pixels, quality: int, data: st.DataObject
) -> None:
    rgba = rgba[: bg.shape[0], : bg.shape[1]]
    x = data.draw(st.integers(0, bg.shape[1] - rgba.shape[1]))
    y = data.draw(st.integers(0, bg.shape[0] - rgba.shape[0]))
    expected = images.encode_jpeg(images.paste(bg, rgba, x, y), quality)
    press = Press(*bg.shape[:2], quality)
    press.add(Canvas(bg, quality), Layer(images.premultiply(rgba)), x, y)
    assert press.take() == [expected]


@settings(max_examples=60, deadline=None)
@given(mask=st.tuples(st.integers(1, 70), st.integers(1, 70)).flatmap(lambda s: nps.arrays(np.bool_, s)))
def test_mask_round_trip(mask: NDArray[np.bool_]) -> None:
    pixels = mask.astype(np.uint8) * np.uint8(255)
    assert np.array_equal(images.decode_mask(images.encode_mask(pixels)), pixels)


@settings(max_examples=40, deadline=None)
@given(rgba=pictures(4))
def test_flip_twice_is_identity_and_blends_alike(rgba: Pixels) -> None:
    mirrored = np.ascontiguousarray(rgba[:, ::-1])
    assert np.array_equal(mirrored[:, ::-1], rgba)
    bg = np.full((*rgba.shape[:2], 3), 77, np.uint8)
    assert np.array_equal(images.paste(bg, mirrored, 0, 0)[:, ::-1], images.paste(bg, rgba, 0, 0))
