"""Training and validation sides, by asset, before anything is composited; near-duplicates stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .manifest import AssetSplit

VALIDATION_SHARE = 0.2
# Of 64 bits: re-encoded, resized or slightly brighter copies differ in 0 to 6, others in 20 and more.
NEAR_DUPLICATE_BITS = 8
_HASH_SIDE = 32


def content_hashes(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    """64-bit DCT hashes of a picture (H, W, 3) and of its mirror image (whose own hash is far from it)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _dct_hash(small), _dct_hash(np.ascontiguousarray(small[:, ::-1]))


def _dct_hash(grey: NDArray[np.float32]) -> int:
    """Signs of the lowest 8 x 8 cosine coefficients against their median (perceptual hash)."""
    low = np.asarray(cv2.dct(grey))[:8, :8].ravel()
    bits = low > np.median(low[1:])  # without the mean brightness, which says nothing of the content
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def group_duplicates(shas: Sequence[str], hashes: Sequence[tuple[int, int]]) -> list[int]:
    """For every asset the position of its group's first member; near-duplicates share a group."""
    parents = list(range(len(shas)))

    def root(position: int) -> int:
        while parents[position] != position:
            position = parents[position]
        return position

    contents = np.unique(np.array(shas, str), return_inverse=True)[1]
    plain = np.array([pair[0] for pair in hashes], np.uint64)
    mirrored = np.array([pair[1] for pair in hashes], np.uint64)
    for position in range(len(shas)):
        bits = np.minimum(
            np.bitwise_count(plain[:position] ^ plain[position]),
            np.bitwise_count(plain[:position] ^ mirrored[position]),
        )
        same = contents[:position] == contents[position]
        for twin in np.flatnonzero((bits <= NEAR_DUPLICATE_BITS) | same):
            low, high = sorted((root(int(twin)), root(position)))
            parents[high] = low
    return [root(position) for position in range(len(shas))]


def split_assets(
    shas: Sequence[str], hashes: Sequence[tuple[int, int]], seed: int, salt: str
) -> list[AssetSplit]:
    """A side for every asset: about a fifth of them, in whole groups of near-duplicates, are validation.

    With two groups or more both sides get at least one; a single group is all training. The order of groups
    comes from content and seed, so renaming files changes nothing and a new asset moves few others.
    """
    groups: dict[int, list[int]] = {}
    for position, first in enumerate(group_duplicates(shas, hashes)):
        groups.setdefault(first, []).append(position)
    if len(groups) < 2:
        return ["train"] * len(shas)
    wanted = max(1, round(VALIDATION_SHARE * len(shas)))
    ranked = sorted(groups.values(), key=lambda group: _rank(min(shas[i] for i in group), seed, salt))
    chosen: set[int] = set()
    for group in ranked:
        if len(chosen) + len(group) <= wanted:
            chosen.update(group)
    if not chosen:  # every group is larger than the share: the smallest has to do
        chosen.update(sorted(ranked, key=len)[0])
    return ["val" if position in chosen else "train" for position in range(len(shas))]


def _rank(sha: str, seed: int, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}/{seed}/{sha}".encode()).digest()
