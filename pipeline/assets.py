"""The user's pictures: where they are, which files count, and what is wrong with the others."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from . import images
from .ledger import Origin
from .manifest import write_bytes
from .options import BG_DIR, FG_DIR
from .shards import file_sha256
from .split import content_hashes

Kind = Literal["fg", "bg"]

# What people call pictures: a file of such a name that cannot be read is reported, not passed over.
PICTURE_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl"}
    | {".pbm", ".pgm", ".png", ".ppm", ".psd", ".svg", ".tga", ".tif", ".tiff", ".webp"}
)
_PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")

UNKNOWN_ORIGIN = Origin(url="")
BUNDLED_ORIGIN = Origin(url="", author="mdeas", licence="cc0")  # as data/bundled/LICENSE says
# A background whose values hardly vary shows nothing that a network could learn depth from.
FLAT_STD = 2.0
# Backgrounds are named and hashed at this size, whatever the data set's size.
_HASH_GREY = 128


@dataclass(frozen=True)
class Folders:
    """Where the pictures come from."""

    fg: Path
    bg: Path
    bundled: bool


@dataclass(frozen=True)
class Source:
    """A file that looks like a picture, and where it comes from as far as that is known."""

    kind: Kind
    path: Path
    sha256: str
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True)
class Inspection:
    """Verdict on a source: usable with its size and content hashes, or not, with the reason."""

    source: Source
    width: int = 0
    height: int = 0
    hashes: tuple[int, int] = (0, 0)
    reason: str = ""
    note: str = ""


def bundled_folder(kind: Kind) -> Path:
    """The pictures inside the package."""
    return Path(str(resources.files("mdeas.data").joinpath("bundled", kind)))


def find_folders(fg: Path | None, bg: Path | None) -> Folders:
    """The folders to read: as given, else ``data/fg`` and ``data/bg``, else the bundled pictures.

    Raises:
        MdeasError: If a folder is missing, or only one of ``data/fg`` and ``data/bg`` is there.
    """
    if fg is None and bg is None and not FG_DIR.exists() and not BG_DIR.exists():
        return Folders(bundled_folder("fg"), bundled_folder("bg"), bundled=True)
    return Folders(_existing(fg or FG_DIR, "fg"), _existing(bg or BG_DIR, "bg"), bundled=False)


def find_foregrounds(fg: Path | None) -> tuple[Path, bool]:
    """The folder of cut-outs alone and whether it is the bundled one."""
    if fg is None and not FG_DIR.exists() and not BG_DIR.exists():
        return bundled_folder("fg"), True
    return _existing(fg or FG_DIR, "fg"), False


def _existing(folder: Path, kind: Kind) -> Path:
    what = "cut-outs (PNG with alpha)" if kind == "fg" else "backgrounds"
    if not folder.exists():
        raise MdeasError(f"no such folder: {folder}; put {what} there or give another with --{kind}")
    if not folder.is_dir():
        raise MdeasError(f"not a folder: {folder}; give a folder of {what} with --{kind}")
    return folder


def list_sources(folder: Path, kind: Kind) -> list[Source]:
    """Every file of ``folder`` that looks like a picture by its name or its first bytes, by name.

    Raises:
        MdeasError: If there is none.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        sources = [Source(kind, path, file_sha256(path)) for path in files if looks_like_picture(path)]
    except OSError as error:
        raise MdeasError(
            f"cannot read: {error.filename or folder} ({error.strerror}); check the permissions"
        ) from error
    if not sources:
        raise MdeasError(f"no pictures in the folder: {folder}; put some there or give another with --{kind}")
    return sources


def looks_like_picture(path: Path) -> bool:
    """Whether a file's name, or at least its first bytes, are those of a picture."""
    if path.suffix.lower() in PICTURE_EXTENSIONS:
        return True
    with path.open("rb") as file:
        start = file.read(16)
    return start.startswith(_PICTURE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


@dataclass(frozen=True)
class InspectionTask:
    """One source, what the data set asks of it, and where its prepared form goes."""

    source: Source
    size: int
    mask_threshold: int
    least: int  # longer side of the smallest and of the largest placement, in pixels
    most: int
    prepared: Path


def inspect(task: InspectionTask) -> Inspection:
    """Decode a source completely and judge it; if usable, write its prepared form losslessly.

    Prepared: a background as a square of the data set's size, a foreground trimmed, premultiplied
    and reduced to the largest size at which it will be placed.
    """
    source = task.source
    try:
        verdict = _inspect_background(task) if source.kind == "bg" else _inspect_foreground(task)
    except MdeasError as error:
        # "reason: path; advice" is for a user of the function; a list of files needs the reason alone.
        verdict = Inspection(source, reason=str(error).split(f": {source.path}")[0])
    if not source.path.exists() or file_sha256(source.path) != source.sha256:
        raise MdeasError(f"a picture changed meanwhile: {source.path}; run the same command again")
    return verdict


def _inspect_background(task: InspectionTask) -> Inspection:
    rgb = images.read_background(task.source.path, min_side=task.size)
    height, width = rgb.shape[:2]
    pixels = images.square(rgb, task.size)
    write_bytes(task.prepared, images.encode_png(pixels), sync=False)
    note = "flat: hardly any content" if float(pixels.std(axis=(0, 1)).max()) < FLAT_STD else ""
    return Inspection(task.source, width, height, content_hashes(rgb), note=note)


def _inspect_foreground(task: InspectionTask) -> Inspection:
    rgba = images.read_foreground(task.source.path, task.mask_threshold)
    height, width = rgba.shape[:2]
    smallest = images.resize_rgba(rgba, *images.fit(width, height, task.least))
    if smallest[:, :, 3].max() <= task.mask_threshold:
        return Inspection(task.source, reason=f"so thin that its mask is empty at {task.least} pixels")
    prepared = images.premultiply(rgba)
    if max(width, height) > task.most:
        prepared = images.resize_premultiplied(prepared, *images.fit(width, height, task.most))
    write_bytes(task.prepared, _array_bytes(prepared), sync=False)
    return Inspection(task.source, width, height, content_hashes(on_grey(rgba)))


def on_grey(rgba: images.Pixels) -> images.Pixels:
    """A small opaque picture of a trimmed cut-out, by which near-duplicates are told: RGB over grey."""
    height, width = rgba.shape[:2]
    small = images.resize_rgba(rgba, *images.fit(width, height, min(max(width, height), 2 * _HASH_GREY)))
    grey = np.full((*small.shape[:2], 3), _HASH_GREY, np.uint8)
    return images.paste(grey, small, 0, 0)


def _array_bytes(array: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def prepared_array(data: bytes) -> NDArray[np.uint16]:
    """A prepared foreground as ``inspect`` has written it: premultiplied, (H, W, 4)."""
    array: NDArray[np.uint16] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
