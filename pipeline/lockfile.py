"""``dataset.lock.json``: all that is needed to make a data set again, and a second copy of its records.

It holds what ``dataset.json`` and ``depth.json`` say (options, seed, assets by hash, versions, the hash of
every archive), fingerprints of a few samples, by which pictures are compared where an encoder of another
version writes other bytes, and a hash of itself. 200 bytes an archive and 300 an asset: 0.3 MB for 400,000
samples.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .images import decode_jpeg, decode_mask
from .manifest import (
    DatasetManifest,
    DepthInfo,
    depth_info_of,
    json_bytes,
    manifest_content,
    manifest_of,
    read_json,
    shard_count,
    shard_name,
    write_json,
)
from .shards import first_entry

LOCKFILE_NAME = "dataset.lock.json"
LOCKFILE_VERSION = 1
# So many samples, each of another archive, cost some tens of milliseconds and 30 kB.
_MOST_FINGERPRINTS = 100
_GRID = 8


@dataclass(frozen=True)
class Fingerprint:
    """What a sample looks like: its composite reduced to ``_GRID`` x ``_GRID``, and a hash of its mask."""

    composite: str  # base64 of uint8 RGB (8, 8, 3)
    mask: str

    def distance(self, other: Fingerprint) -> int:
        """The largest difference between two composites, 0-255; 255 where the masks are not the same."""
        if self.mask != other.mask:
            return 255
        return int(np.abs(_pixels(self).astype(int) - _pixels(other)).max())


@dataclass(frozen=True)
class Lockfile:
    """Content of ``dataset.lock.json``; ``fingerprints`` by sample number."""

    manifest: DatasetManifest
    fingerprints: dict[int, Fingerprint]
    depth: DepthInfo | None = None


def _pixels(fingerprint: Fingerprint) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(fingerprint.composite), np.uint8)


def fingerprint(composite: bytes, mask: bytes) -> Fingerprint:
    """Of a sample's two files."""
    small = cv2.resize(decode_jpeg(composite), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    digest = hashlib.sha256(np.packbits(decode_mask(mask) > 0).tobytes()).hexdigest()
    return Fingerprint(base64.b64encode(small.tobytes()).decode(), digest[:32])


def fingerprints_of(folder: Path, manifest: DatasetManifest) -> dict[int, Fingerprint]:
    """The first sample of up to ``_MOST_FINGERPRINTS`` shards, evenly over the set."""
    total, per_shard = int(manifest.totals["samples"]), manifest.samples_per_shard
    shards = shard_count(total, per_shard)
    found = {}
    for shard in np.unique(np.linspace(0, shards - 1, _MOST_FINGERPRINTS).astype(int)).tolist():
        files = [first_entry(folder / shard_name(kind, shard))[1] for kind in ("fg_bg", "mask")]
        found[shard * per_shard] = fingerprint(*files)
    return found


def write_lockfile(folder: Path, lockfile: Lockfile) -> None:
    """Write it beside the data set."""
    content: dict[str, Any] = {"lock_version": LOCKFILE_VERSION}
    content["dataset"] = manifest_content(lockfile.manifest)
    content["fingerprints"] = {
        str(number): asdict(one) for number, one in sorted(lockfile.fingerprints.items())
    }
    content["depth"] = asdict(lockfile.depth) if lockfile.depth else None
    content["sha256"] = hashlib.sha256(json_bytes(content)).hexdigest()
    write_json(folder / LOCKFILE_NAME, content)


def read_lockfile(path: Path) -> Lockfile:
    """Read a lock file, or a ``dataset.json``, which holds all but the fingerprints.

    Raises:
        MdeasError: If it cannot be read or is no lock file.
    """
    content = read_json(path)
    if isinstance(content, dict) and "lock_version" not in content and "format_version" in content:
        return Lockfile(manifest_of(content, path), {})
    try:
        if content["lock_version"] != LOCKFILE_VERSION:
            raise MdeasError(
                f"lock file of version {content['lock_version']}: {path}; this mdeas reads {LOCKFILE_VERSION}"
            )
        sha256 = content.pop("sha256")
        if hashlib.sha256(json_bytes(content)).hexdigest() != sha256:
            raise MdeasError(f"damaged lock file: {path} (its own hash differs); use another copy of it")
        return Lockfile(
            manifest_of(content["dataset"], path),
            {int(number): Fingerprint(**one) for number, one in content["fingerprints"].items()},
            depth_info_of(content["depth"], path) if content["depth"] else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MdeasError(
            f"no lock file of a data set: {path} (fields are missing or unknown); give another one"
        ) from error


def lock_dataset(folder: Path, manifest: DatasetManifest) -> None:
    """Write the lock file of a finished data set; what it said of depth labels of the same set stays."""
    try:
        before = read_lockfile(folder / LOCKFILE_NAME)
        depth = before.depth if before.manifest == manifest else None
    except MdeasError:
        depth = None
    write_lockfile(folder, Lockfile(manifest, fingerprints_of(folder, manifest), depth))


def lock_labels(folder: Path, manifest: DatasetManifest, info: DepthInfo) -> None:
    """Add what depth labels are to the lock file."""
    try:
        fingerprints = read_lockfile(folder / LOCKFILE_NAME).fingerprints
    except MdeasError:  # none yet, or damaged
        fingerprints = {}
    write_lockfile(folder, Lockfile(manifest, fingerprints, info))
