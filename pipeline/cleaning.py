"""What happens to one picture on its way from ``data/raw`` to ``data``: decoded, judged, mended, written.

Runs in worker processes: every function here may meet a hostile file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from . import images
from .assets import Kind, on_grey
from .backdrop import BackdropLimits, check_backdrop, fit_backdrop, mend_backdrop
from .cutout import cut_out
from .decode import BadPictureError, Change, Picture, Pixels, cross_check, decode
from .isolate import standard_error
from .manifest import write_bytes
from .matte import (
    SOLID_ALPHA,
    CutoutLimits,
    check_alpha,
    check_object,
    mend_alpha,
    mend_colours,
    no_alpha_reason,
    stretch_alpha,
    trim_margins,
)
from .review import picture_card
from .split import content_hashes

Verdict = Literal["kept", "fixed", "rejected"]

# Colours of two pictures are compared at this size, beside their hashes.
COLOUR_SIDE = 8
# Of a lossy and a lossless copy of the same size, the lossless one is the better one.
LOSSY_WORTH = 0.8
# An object that fills its box to this share is a photo with a transparent frame, or a very plain thing.
FULL_BOX_SHARE = 0.998


@dataclass(frozen=True)
class CleanTask:
    """One file and what is asked of it; ``id`` names everything that is made from it."""

    id: str
    kind: Kind
    path: Path
    sha256: str
    forced: bool  # by keep.txt: whatever can be decoded is kept
    cutout: Literal["none", "rembg"]
    limits: CutoutLimits | BackdropLimits
    folder: Path  # for the cleaned picture, ``id``.png
    review: Path  # for the review picture, ``id``.jpg


@dataclass(frozen=True)
class CleanRecord:
    """What became of one file. The first fields are for people, the later ones for finding duplicates."""

    id: str
    verdict: Verdict
    reason: str
    done: str
    format: str = ""
    width: int = 0
    height: int = 0
    out_width: int = 0
    out_height: int = 0
    out_bytes: int = 0
    hashes: tuple[str, str] = ("", "")  # of the picture and of its mirror image, hexadecimal
    colours: str = ""  # 8 x 8 RGB, hexadecimal
    worth: float = 0.0
    out_sha256: str = ""
    is_settled: bool = True  # whether the same bytes will always end like this


class _UnsettledError(BadPictureError):
    """The file could not be read this time."""


def examine(task: CleanTask) -> CleanRecord:
    """Decode, judge and mend a file; write what is kept, and a picture for the review page.

    Never raises for what is in the file; a full disk or a folder that cannot be written is an ``OSError``.
    """
    picture: Picture | None = None
    try:
        try:
            data = task.path.read_bytes()
        except OSError as error:
            raise _UnsettledError(f"cannot be read ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != task.sha256:
            raise _UnsettledError("changed while it was read")
        picture = decode(data)
        cross_check(data, standard_error())
        if isinstance(task.limits, CutoutLimits):
            pixels, worth, changes = _clean_foreground(task, task.limits, picture)
        else:
            pixels, worth, changes = _clean_background(task, task.limits, picture)
    except BadPictureError as error:
        before = picture.pixels if picture is not None else None
        if before is not None:
            write_bytes(task.review / f"{task.id}.jpg", picture_card(before, None), sync=False)
        height, width = before.shape[:2] if before is not None else (0, 0)
        name = picture.format if picture is not None else ""
        settled = not isinstance(error, _UnsettledError)
        return CleanRecord(task.id, "rejected", str(error), "", name, width, height, is_settled=settled)
    changes = [*picture.changes, *changes]
    write_bytes(task.review / f"{task.id}.jpg", picture_card(picture.pixels, pixels), sync=False)
    return _keep(task, picture, pixels, worth, changes)


def _keep(
    task: CleanTask, picture: Picture, pixels: Pixels, worth: float, changes: list[Change]
) -> CleanRecord:
    content = images.trim(pixels) if task.kind == "fg" else pixels
    flat = on_grey(content) if task.kind == "fg" else content
    colours = cv2.resize(flat, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    encoded = images.encode_png(pixels)
    write_bytes(task.folder / f"{task.id}.png", encoded, sync=False)  # clean() syncs them all at once
    plain, mirrored = content_hashes(flat)
    before, after = picture.pixels.shape, content.shape
    done = [change.done for change in changes]
    if before[:2] != after[:2]:
        done.append(f"{'trimmed' if task.kind == 'fg' else 'made square'} to {after[1]}x{after[0]}")
    return CleanRecord(
        task.id,
        "fixed" if changes else "kept",
        "; ".join(change.was for change in changes) or _note(task.kind, content),
        "; ".join(done),
        picture.format,
        before[1],
        before[0],
        pixels.shape[1],
        pixels.shape[0],
        len(encoded),
        (f"{plain:016x}", f"{mirrored:016x}"),
        bytes(colours.tobytes()).hex(),
        worth * (1.0 if picture.is_lossless else LOSSY_WORTH),
        hashlib.sha256(encoded).hexdigest(),
    )


def _note(kind: Kind, content: Pixels) -> str:
    """What a person should look at in a picture that is kept all the same."""
    if kind == "fg" and float(np.mean(content[:, :, 3] > SOLID_ALPHA)) > FULL_BOX_SHARE:
        return "worth a look: the matte is a full rectangle"
    return ""


def _judged(forced: bool, changes: list[Change], complaint: BadPictureError) -> None:
    """Raise the complaint, or note it where the user's word is against it."""
    if not forced:
        raise complaint
    changes.append(Change(str(complaint), "kept because of keep.txt"))


def _clean_foreground(
    task: CleanTask, limits: CutoutLimits, picture: Picture
) -> tuple[Pixels, float, list[Change]]:
    """The cleaned cut-out, the pixels that its object had, and what was done."""
    changes: list[Change] = []
    rgba = picture.pixels
    has_alpha = picture.has_alpha and int(rgba[:, :, 3].min()) < 255
    if not has_alpha and task.cutout == "rembg":
        rgba = cut_out(np.ascontiguousarray(rgba[:, :, :3]))
        changes.append(Change("no alpha", "cut out by rembg"))
    elif not picture.has_alpha:
        _judged(task.forced, changes, BadPictureError(no_alpha_reason(rgba)))
        rgba = np.dstack([rgba, np.full(rgba.shape[:2], 255, np.uint8)])
    try:
        check_alpha(rgba)
    except BadPictureError as complaint:
        _judged(task.forced, changes, complaint)
    rgba, stretched = stretch_alpha(rgba)
    rgba, margins = trim_margins(rgba)  # before shrinking: a small object on a huge canvas keeps its pixels
    factor = max(*rgba.shape[:2], 1) // (2 * limits.keep_side)
    if factor > 1:
        rgba = images.reduce_rgba(rgba, factor)
    if rgba.size:
        rgba, mended = mend_alpha(rgba)
        rgba, more = trim_margins(rgba)
        changes += [*stretched, *mended, *(margins or more)]
    if not rgba.size:
        raise BadPictureError("empty: nothing is visible")
    try:
        check_object(rgba, limits)
    except BadPictureError as complaint:
        _judged(task.forced, changes, complaint)
    height, width = rgba.shape[:2]
    longer = max(height, width)
    if longer > limits.keep_side:
        scale = limits.keep_side / longer
        rgba = images.resize_rgba(rgba, max(1, round(width * scale)), max(1, round(height * scale)))
    rgba, freed = mend_colours(rgba)
    # A transparent rim of one pixel: every program then sees a cut-out, also in an object that fills its box.
    rimmed = np.pad(rgba, ((1, 1), (1, 1), (0, 0)))
    return rimmed, float(height * width * max(factor, 1) ** 2), [*changes, *freed]


def _clean_background(
    task: CleanTask, limits: BackdropLimits, picture: Picture
) -> tuple[Pixels, float, list[Change]]:
    """The cleaned square, the pixels that it had, and what was done."""
    changes: list[Change] = []
    try:
        rgb, changes = mend_backdrop(picture.pixels)
    except BadPictureError as complaint:
        _judged(task.forced, changes, complaint)
        rgb = np.ascontiguousarray(picture.pixels[:, :, :3])
    try:
        check_backdrop(rgb, limits)
    except BadPictureError as complaint:
        _judged(task.forced, changes, complaint)
    return fit_backdrop(rgb, limits), float(min(rgb.shape[:2]) ** 2), changes
