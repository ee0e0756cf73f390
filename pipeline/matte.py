"""Judge and mend the matte of a cut-out: is alpha real, what is haze or a speck, whose colour has an edge.

Pictures are uint8, RGBA (H, W, 4) or RGB (H, W, 3); colours are straight (not premultiplied). Nothing here
knows of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .decode import BadPictureError, Change, Pixels
from .images import HAZE_ALPHA, MIN_FOREGROUND_PIXELS, trim

Floats = NDArray[np.float32]

SOLID_ALPHA = 127  # what make-dataset counts as the object by default
# A picture whose alpha never goes below this is opaque in all but name.
OPAQUE_ALPHA = 230
# A floor of haze up to this can be taken off; more of it is a ghost of the old background.
MAX_HAZE_FLOOR = 32
# An inverted matte is opaque around the canvas and its transparent part is enclosed.
INVERTED_BORDER_SHARE = 0.7
INVERTED_ENCLOSED_SHARE = 0.5
# Detached bits below this share of the largest part, and this many pixels, are dirt and not part of the
# object.
SPECK_SHARE = 0.0005
SPECK_PIXELS = 64
# Thinner than this share of its own box it is a line, and its mask at 224 pixels would be nearly empty.
MIN_COVERAGE = 0.01
# Where the object fills less than this of the canvas, trimming is worth telling.
SMALL_SHARE = 0.25

# Pixels between these alphas are soft edges: their colour is compared with that of the opaque neighbourhood.
SOFT_LOW, SOFT_HIGH = 12, 243
MIN_SOFT_PIXELS = 40
NEIGHBOUR_RADII = (3, 9, 27)
# A halo is reported where soft pixels differ from their neighbourhood by this many levels (root mean square)
# and an old background explains so much of it.
MIN_HALO = 10.0
MIN_EXPLAINED = 0.45
MIN_STRENGTH = 0.35
PREMULTIPLIED_BLACK = 40


@dataclass(frozen=True)
class CutoutLimits:
    """What a cut-out must be: least and kept longer side in pixels, least solid share of its box."""

    min_side: int
    keep_side: int
    min_coverage: float = MIN_COVERAGE


def check_alpha(rgba: Pixels) -> None:
    """Tell apart the ways in which an alpha channel is none.

    Raises:
        BadPictureError: Opaque, empty, faint, haze all over, or inverted.
    """
    alpha = rgba[:, :, 3]
    if int(alpha.max()) == 1:
        alpha = alpha * np.uint8(255)  # as stretch_alpha does: a program has stored it as 0 and 1
    least, most = int(alpha.min()), int(alpha.max())
    if most == 0:
        raise BadPictureError("empty: alpha is 0 everywhere")
    if least >= OPAQUE_ALPHA:
        raise BadPictureError(_opaque_reason(rgba, f"opaque: alpha is never below {least}"))
    if most <= SOLID_ALPHA:
        raise BadPictureError(f"faint: alpha is never above {most}")
    if least > MAX_HAZE_FLOOR:
        raise BadPictureError(f"haze: alpha is never below {least}, nothing is transparent")
    solid = alpha > SOLID_ALPHA
    if _border_share(solid) > INVERTED_BORDER_SHARE and _enclosed_share(~solid) > INVERTED_ENCLOSED_SHARE:
        raise BadPictureError("inverted alpha: opaque around the canvas, transparent inside")
    clear = float(np.mean(alpha <= max(HAZE_ALPHA, least + HAZE_ALPHA)))
    if clear < 0.2 and _border_share(solid) > INVERTED_BORDER_SHARE and has_checkerboard(rgba[:, :, :3]):
        raise BadPictureError("fake transparency: a checkerboard is painted where it should be transparent")


def no_alpha_reason(rgb: Pixels) -> str:
    """Why a picture without an alpha channel is no cut-out, in words."""
    return _opaque_reason(rgb, "opaque: no alpha channel")


def _opaque_reason(pixels: Pixels, otherwise: str) -> str:
    if has_checkerboard(pixels[:, :, :3]):
        return "fake transparency: a checkerboard is painted into an opaque picture"
    return otherwise


def _border_share(solid: NDArray[np.bool_]) -> float:
    return float(np.mean(np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])))


def _enclosed_share(clear: NDArray[np.bool_]) -> float:
    """Share of the clear pixels in parts that do not touch the border; 0 without any."""
    total = int(np.count_nonzero(clear))
    if not total:
        return 0.0
    _, labels = cv2.connectedComponents(clear.astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = int(np.count_nonzero(np.isin(labels, border[border > 0])))
    return (total - outside) / total


def has_checkerboard(rgb: Pixels, min_share: float = 0.08) -> bool:
    """Whether a checkerboard of two greys, as editors draw behind transparency, covers part of a picture.

    On such a board a pixel equals its diagonal neighbour one cell away and differs from its neighbours one
    cell to the right and one down, for one cell size all over it. At least ``min_share`` of the picture must
    be like that.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < 16:
        return False
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY).astype(np.int16)
    neutral = np.abs(rgb[:, :, 0].astype(np.int16) - rgb[:, :, 2]) <= 14
    neutral &= np.abs(rgb[:, :, 1].astype(np.int16) - rgb[:, :, 2]) <= 14
    # Rows and columns enough for every cell size, not the whole of a large picture.
    step = max(1, min(height, width) // 200)
    if not _may_have_two_greys(grey[::step, ::step], neutral[::step, ::step], min_share):
        return False
    for cell in _cell_sizes(min(height, width)):
        here, right, down, across = (
            grey[:-cell:step, :-cell:step],
            grey[:-cell:step, cell::step],
            grey[cell::step, :-cell:step],
            grey[cell::step, cell::step],
        )
        like = np.abs(here - across) <= 10
        like &= np.abs(right - down) <= 10
        like &= np.abs(here - right) >= 16
        like &= np.abs(here - down) >= 16
        like &= neutral[:-cell:step, :-cell:step] & neutral[cell::step, cell::step]
        # Two cells on, it repeats, which a single crossing of two edges does not.
        first = grey[: -2 * cell : step, : -2 * cell : step]
        like = like[: first.shape[0], : first.shape[1]]
        like &= np.abs(first - grey[: -2 * cell : step, 2 * cell :: step]) <= 10
        like &= np.abs(first - grey[2 * cell :: step, : -2 * cell : step]) <= 10
        if float(np.mean(like)) > min_share and _two_levels(first[like]):
            return True
    return False


def _may_have_two_greys(grey: NDArray[np.int16], neutral: NDArray[np.bool_], min_share: float) -> bool:
    """Whether the two commonest greys could make up a board: a quick no for nearly every photo."""
    counts = np.bincount(grey[neutral], minlength=256)
    around = np.convolve(counts, np.ones(17), mode="same")
    first = int(around.argmax())
    around[max(0, first - 16) : first + 17] = 0
    least = 0.4 * min_share * grey.size  # of the half of the board that each of them covers
    return bool(counts[max(0, first - 8) : first + 9].sum() >= least and around.max() >= least)


def _cell_sizes(side: int) -> list[int]:
    return [cell for cell in (*range(4, 25), *range(26, 65, 2)) if cell * 4 <= side]


def _two_levels(values: NDArray[np.int16]) -> bool:
    """Whether nearly all values lie around two levels, as those of a board do."""
    low, high = np.percentile(values, [20, 80])
    near = np.minimum(np.abs(values - low), np.abs(values - high)) <= 10
    return bool(high - low >= 16 and np.mean(near) > 0.8)


# ---------------------------------------------------------------- mending alpha


def stretch_alpha(rgba: Pixels) -> tuple[Pixels, list[Change]]:
    """A copy with alpha over the whole range, from a canvas on which it begins above 0 or is only 0 and 1."""
    least, most = max(int(rgba[:, :, 3].min()), _veil(rgba[:, :, 3])), int(rgba[:, :, 3].max())
    levels = np.arange(256)
    if 0 < least <= MAX_HAZE_FLOOR:
        table = np.clip((levels - least) * 255 // (255 - least), 0, 255)
        change = Change(f"haze: alpha up to {least} all over", "haze taken off")
    elif most == 1:
        table = np.clip(levels * 255, 0, 255)
        change = Change("alpha stored as 0 and 1", "scaled to 0 and 255")
    else:
        return rgba, []
    stretched = rgba.copy()
    stretched[:, :, 3] = table.astype(np.uint8)[rgba[:, :, 3]]
    return stretched, [change]


def _veil(alpha: Pixels) -> int:
    """The highest level of a haze that lies over much of the canvas and its border, or 0."""
    faint = (alpha > HAZE_ALPHA) & (alpha <= MAX_HAZE_FLOOR)
    if float(np.mean(faint)) < 0.25 or _border_share(faint) < 0.3:
        return 0
    return int(np.percentile(alpha[faint], 99))  # above it begin the object's own soft edges


def mend_alpha(rgba: Pixels) -> tuple[Pixels, list[Change]]:
    """A copy without patches of haze and without specks."""
    changes: list[Change] = []
    mended = rgba.copy()
    alpha = mended[:, :, 3]
    faint = (alpha > 0) & (alpha <= HAZE_ALPHA)
    if float(np.mean(faint)) > 0.1:
        changes.append(Change("haze over a part of the canvas", "haze taken off"))
    alpha[faint] = 0
    mended[:, :, 3], specks = _without_specks(alpha)
    if specks:
        changes.append(Change(f"{specks} stray specks", "specks removed"))
    return mended, changes


def _without_specks(alpha: Pixels) -> tuple[Pixels, int]:
    """Alpha without detached tiny parts, and how many there were."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0).astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count <= 2:
        return alpha, 0
    largest = int(areas.max())
    tiny = areas <= min(SPECK_PIXELS, largest * SPECK_SHARE)
    # Parts so faint that no threshold would show them are no specks to tell of, but go all the same.
    faint = np.ones(count, bool)
    faint[np.unique(labels[alpha > SOLID_ALPHA])] = False
    drop = np.concatenate([[False], tiny])
    if not drop.any():
        return alpha, 0
    return np.where(drop[labels], 0, alpha).astype(np.uint8), int(np.count_nonzero(drop & ~faint))


def check_object(rgba: Pixels, limits: CutoutLimits) -> None:
    """Check what is left of a trimmed cut-out.

    Raises:
        BadPictureError: Nothing but specks, too small, or too thin.
    """
    height, width = rgba.shape[:2]
    solid = rgba[:, :, 3] > SOLID_ALPHA if rgba.size else np.zeros((0, 0), bool)
    pixels = int(np.count_nonzero(solid))
    largest = 0
    if pixels:
        _, _, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)
        largest = int(stats[1:, cv2.CC_STAT_AREA].max())
    if (
        largest < min(MIN_FOREGROUND_PIXELS, limits.min_side**2 // 8)
        and max(height, width) >= limits.min_side
    ):
        raise BadPictureError(f"only specks: no part has more than {largest} solid pixels")
    if max(height, width) < limits.min_side:
        raise BadPictureError(
            f"too small: an object of {width}x{height} pixels, {limits.min_side} are needed"
        )
    if min(height, width) < 4 or pixels < limits.min_coverage * height * width:
        raise BadPictureError(f"too thin: {pixels} solid pixels in a box of {width}x{height}")


def trim_margins(rgba: Pixels) -> tuple[Pixels, list[Change]]:
    """Trimmed to the matte; told of where most of the canvas was margin."""
    height, width = rgba.shape[:2]
    trimmed = trim(rgba)
    share = trimmed.shape[0] * trimmed.shape[1] / (height * width)
    if share >= SMALL_SHARE:
        return trimmed, []
    return trimmed, [Change(f"the object fills {share:.1%} of the canvas", "margins cut off")]


# ---------------------------------------------------------------- mending colours


def mend_colours(rgba: Pixels) -> tuple[Pixels, list[Change]]:
    """Free the colours of soft edges from the background they were cut out of.

    An edge pixel with opacity a that was cut out of a photo shows a F + (1 - a) B, and would carry a halo of
    the old background B everywhere. F is first taken from the opaque neighbourhood. If some B, one colour or
    what is still stored under the transparent pixels nearby, explains how the soft pixels differ from it, the
    mixture is undone. Black that explains it fully means premultiplied colours. Edges that agree with their
    neighbourhood keep their colours. Transparent pixels take those of the object, so that no later resizing
    brings a rim.
    """
    alpha = rgba[:, :, 3]
    near, known = neighbour_colours(rgba[:, :, :3], alpha > SOFT_HIGH, alpha < 255)
    mended = rgba.copy()
    mended[alpha == 0, :3] = np.rint(near[alpha == 0])
    measured = (alpha >= SOFT_LOW) & (alpha <= SOFT_HIGH) & known
    if int(np.count_nonzero(measured)) < MIN_SOFT_PIXELS:
        return mended, []
    halo = _fit_halo(rgba, near, measured)
    if halo is None:
        return mended, []
    edge = (alpha > 0) & (alpha < 255) & (known | halo.is_premultiplied)
    mended[edge, :3] = _unmix(rgba, near, known, halo, edge)
    return mended, [halo.change]


def neighbour_colours(
    rgb: Pixels, certain: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """For wanted pixels the mean colour of the certain ones around, from the smallest radius that has some.

    Returns:
        Float32 (H, W, 3) on the scale 0-255, 0 where nothing is known, and where something is.
    """
    weight = certain.astype(np.float32)
    weighted = rgb.astype(np.float32) * weight[..., None]
    near = np.zeros(rgb.shape, np.float32)
    known = np.zeros(certain.shape, bool)
    for radius in NEIGHBOUR_RADII:
        window = (2 * radius + 1, 2 * radius + 1)
        share = cv2.blur(weight, window)
        found = wanted & ~known & (share > 0.02)
        if not found.any():
            continue
        mean = cv2.blur(weighted, window)
        near[found] = mean[found] / share[found][:, None]
        known |= found
        if (known == wanted).all():
            break
    return near, known


@dataclass(frozen=True)
class _Halo:
    """What the edges were mixed with: ``background`` of every pixel (H, W, 3) and how much of it, 0 to 1."""

    background: Floats
    strength: float
    is_premultiplied: bool
    change: Change


def _fit_halo(rgba: Pixels, near: Floats, measured: NDArray[np.bool_]) -> _Halo | None:
    """The background that explains the soft pixels best, or None where their colours are the object's own."""
    colours, own = rgba[measured].astype(np.float32), near[measured]
    rest = 1 - colours[:, 3:] / 255
    difference = colours[:, :3] - own
    power = float(np.mean(difference**2))
    if power < MIN_HALO**2:
        return None
    # One colour for all edges, by least squares in colour = F + (1 - a) (B - F).
    one = np.clip(np.sum(rest * (difference + rest * own), axis=0) / np.sum(rest**2), 0, 255)
    candidates = [(*_explained(difference, rest * (one - own), power), np.broadcast_to(one, near.shape))]
    clear = rgba[:, :, 3] == 0
    if clear.any() and float(rgba[clear, :3][::7].std(axis=0).max()) > 4:
        stored, there = neighbour_colours(rgba[:, :, :3], clear, ~clear & (rgba[:, :, 3] < 255))
        stored[~there] = near[~there]
        candidates.append((*_explained(difference, rest * (stored[measured] - own), power), stored))
    explained, strength, background = max(candidates, key=lambda candidate: candidate[0])
    if explained < MIN_EXPLAINED or strength < MIN_STRENGTH:
        return None
    if strength > 0.7 and one.max() < PREMULTIPLIED_BLACK and _fits_under_alpha(colours):
        change = Change("premultiplied colours", "divided by alpha")
        return _Halo(np.zeros_like(near), 1.0, True, change)
    red, green, blue = (round(float(value)) for value in background[measured].mean(axis=0))
    change = Change(
        f"edges carry the old background, about rgb({red}, {green}, {blue})", "edge colours freed"
    )
    return _Halo(background.astype(np.float32), strength, False, change)


def _explained(difference: Floats, model: Floats, power: float) -> tuple[float, float]:
    """Share of the difference that ``strength`` x ``model`` explains, and that strength, 0 to 1."""
    strength = float(np.clip(np.sum(difference * model) / max(float(np.sum(model**2)), 1e-6), 0, 1))
    left = float(np.mean((difference - strength * model) ** 2))
    return 1 - left / power, strength


def _fits_under_alpha(colours: Floats) -> bool:
    """Whether no channel exceeds alpha, which premultiplied colours cannot."""
    return bool(np.mean(colours[:, :3].max(axis=1) <= colours[:, 3] + 3) > 0.97)


def _unmix(
    rgba: Pixels, near: Floats, known: NDArray[np.bool_], halo: _Halo, edge: NDArray[np.bool_]
) -> Pixels:
    """Colours of the edge pixels without the old background.

    Dividing by a small opacity magnifies noise, so the fainter a pixel, the more it takes of its
    neighbourhood.
    """
    colours = rgba[edge].astype(np.float32)
    opacity = colours[:, 3:] / 255
    rest = halo.strength * (1 - opacity)
    freed = np.clip((colours[:, :3] - rest * halo.background[edge]) / np.maximum(1 - rest, 0.02), 0, 255)
    trust = np.where(known[edge][:, None], opacity, 1)
    return np.rint(trust * freed + (1 - trust) * near[edge]).astype(np.uint8)
