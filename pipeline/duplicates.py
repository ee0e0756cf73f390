"""The best of every set of near-duplicate pictures, and clusters of those that must not straddle a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .split import group_duplicates

# Mean difference of two pictures at 8 x 8, in levels of 255: a re-encoded or brighter copy stays below, the
# same shape in another colour does not.
MAX_COLOUR_DIFFERENCE = 14.0
# How people and programs name a copy.
_COPY = re.compile(r"(?i)\b(copy|kopie|copie|copia|dup|duplicate)|dup_|_dup|\(\d+\)|~\d*$")


@dataclass(frozen=True)
class Candidate:
    """A cleaned picture: what it looks like and how good it is."""

    name: str
    sha256: str
    hashes: tuple[int, int]
    colours: bytes
    worth: float  # pixels, less for a lossy copy
    changes: int  # how much had to be mended
    bytes: int
    exempt: bool = False  # by the user's word neither a duplicate nor a reason to drop another


def find_duplicates(candidates: Sequence[Candidate], max_bits: int) -> list[int | None]:
    """For every candidate the position of the better one that it repeats, None for those to keep.

    Better is larger, then lossless, less mended, of a name that is no copy's, of more bytes. Mirrored
    ones are no repetitions. A negative ``max_bits`` keeps all but pictures of the same bytes.
    """
    order = sorted(range(len(candidates)), key=lambda position: _preference(candidates[position]))
    better: list[int | None] = [None] * len(candidates)
    kept = np.empty(len(candidates), np.int64)
    hashes = np.empty(len(candidates), np.uint64)
    colours = np.empty((len(candidates), len(candidates[0].colours) if candidates else 0), np.int16)
    first_of: dict[str, int] = {}
    count = 0
    for position in order:
        one = candidates[position]
        if one.exempt:
            continue
        same = first_of.setdefault(one.sha256, position)
        if same != position:
            better[position] = same if better[same] is None else better[same]
            continue
        own = np.frombuffer(one.colours, np.uint8).astype(np.int16)
        bits = np.bitwise_count(hashes[:count] ^ np.uint64(one.hashes[0]))
        near = np.flatnonzero(bits.astype(np.int64) <= max_bits)
        near = near[np.abs(colours[near] - own).mean(axis=1) <= MAX_COLOUR_DIFFERENCE]
        if near.size:
            better[position] = int(kept[near[np.argmin(bits[near])]])
            continue
        kept[count], hashes[count], colours[count] = position, one.hashes[0], own
        count += 1
    return better


def _preference(one: Candidate) -> tuple[float, int, bool, int, int, str]:
    is_copy = bool(_COPY.search(one.name.rsplit(".", 1)[0]))
    return (-one.worth, one.changes, is_copy, -one.bytes, len(one.name), one.name)


def find_clusters(candidates: Sequence[Candidate], better: Sequence[int | None]) -> list[str]:
    """A name for every candidate, shared by near-duplicates and mirror images.

    The kept ones are grouped exactly as ``make-dataset`` groups them before it splits, so that no cluster can
    straddle a split; the others go with the one that they repeat.
    """
    kept = [position for position, other in enumerate(better) if other is None]
    shas = [candidates[position].sha256 for position in kept]
    groups = group_duplicates(shas, [candidates[position].hashes for position in kept])
    members: dict[int, list[str]] = {}
    for group, sha in zip(groups, shas, strict=True):
        members.setdefault(group, []).append(sha)
    named = {position: min(members[group])[:10] for position, group in zip(kept, groups, strict=True)}
    return [named[position if other is None else other] for position, other in enumerate(better)]
