"""Foreground masks: the thresholded alpha of a cut-out."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from . import images
from .assets import Source, find_foregrounds, list_sources
from .manifest import Rejected, printable, write_bytes
from .options import MakeMasksConfig

log = logging.getLogger(__name__)


def threshold_alpha(alpha: NDArray[np.uint8], mask_threshold: int) -> NDArray[np.uint8]:
    """The mask of an alpha matte, both (H, W): 255 where alpha > ``mask_threshold``, else 0."""
    return np.asarray(cv2.threshold(alpha, mask_threshold, 255, cv2.THRESH_BINARY)[1], np.uint8)


@dataclass(frozen=True)
class MakeMasksReport:
    """What ``make_masks`` did."""

    out: str
    masks: int
    bundled: bool
    rejected: tuple[Rejected, ...]

    def summary(self) -> str:
        """The report in words."""
        lines = [f"{self.masks} masks in {self.out}"]
        if self.bundled:
            lines.append("made of the bundled pictures: there is neither data/fg nor data/bg")
        if self.rejected:
            lines.append(f"{len(self.rejected)} files left out:")
            lines += [f"  {one.file}: {one.reason}" for one in self.rejected]
        return printable("\n".join(lines))


def make_masks(config: MakeMasksConfig) -> MakeMasksReport:
    """Write the mask of every cut-out as a 1-bit PNG of the cut-out's own size.

    A file that cannot be used is reported and left out; the others are done.

    Raises:
        MdeasError: If no cut-out can be used, or the folder cannot be written.
    """
    check_threshold(config.mask_threshold)
    folder, bundled = find_foregrounds(config.fg)
    sources = list_sources(folder, "fg")
    rejected: list[Rejected] = []
    for source, name in zip(sources, _mask_names(sources), strict=True):
        try:
            rgba = images.read_foreground(source.path, config.mask_threshold, trimmed=False)
        except MdeasError as error:
            reason = str(error).split(f": {source.path}")[0]
            rejected.append(Rejected("fg", source.path.name, source.sha256, reason))
            log.warning("left out %s: %s", source.path.name, reason)
            continue
        mask = threshold_alpha(rgba[:, :, 3], config.mask_threshold)
        try:
            config.out.mkdir(parents=True, exist_ok=True)
            write_bytes(config.out / name, images.encode_mask(mask))
        except OSError as error:
            raise MdeasError(
                f"cannot write: {config.out} ({error.strerror}); free some space or choose another --out"
            ) from error
    if len(rejected) == len(sources):
        raise MdeasError(
            f"no usable cut-out: {folder} ({rejected[0].file}: {rejected[0].reason}); see the warnings"
        )
    return MakeMasksReport(str(config.out), len(sources) - len(rejected), bundled, tuple(rejected))


def check_threshold(mask_threshold: int) -> None:
    """Refuse thresholds that make every mask empty or full.

    Raises:
        MdeasError: If it is not in 0-254.
    """
    if not 0 <= mask_threshold <= 254:
        raise MdeasError(f"bad threshold: --mask-threshold {mask_threshold}; give 0 to 254")


def _mask_names(sources: list[Source]) -> list[str]:
    """``cat.png`` of ``cat.webp``; where two files differ in their extension alone, it stays in the name."""
    stems = Counter(source.path.stem for source in sources)
    return [
        f"{source.path.stem if stems[source.path.stem] == 1 else source.path.name}.png" for source in sources
    ]
