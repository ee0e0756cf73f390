"""``.work``: what a data set keeps in its folder while it is being made, and what all of it consists of.

``plan.json`` (options, assets, splits), the prepared foregrounds, and a record for each finished shard.
``dataset.json`` appears last and ``.work`` goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from .. import MdeasError
from .lock import LOCK_NAME, locked
from .lockfile import LOCKFILE_NAME
from .manifest import (
    BACKGROUNDS_NAME,
    MANIFEST_NAME,
    SAMPLES_NAME,
    DatasetManifest,
    read_json,
    write_bytes,
)
from .shards import KEPT_SUFFIX, PART_SUFFIX, ShardRecord, part_path

WORK_NAME = ".work"
PLAN_NAME = "plan.json"
FOREGROUNDS_NAME = "fg.zip"
PREPARED_NAME = "prepared"
# Folders of shards that are drawn apart begin like this.
APART = "apart-"
# What a data set consists of, all that --overwrite may remove.
_OWN_FILES = re.compile(
    r"((fg_bg|mask|depth)-\d{5,}\.zip|bg\.zip|dataset\.json|samples\.parquet|depth\.json|stats\.json"
    rf"|{re.escape(LOCKFILE_NAME)})({re.escape(PART_SUFFIX)}|{re.escape(KEPT_SUFFIX)})*"
)


@contextlib.contextmanager
def writable(out: Path) -> Iterator[None]:
    """Turns what the system says of writing below ``out`` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise MdeasError(
            f"cannot write: {error.filename or out} ({error.strerror or error}); free some space or make it "
            f"writable and run the same command again, it goes on from here"
        ) from error


def is_complete(out: Path, manifest: DatasetManifest) -> bool:
    """Whether every file of a finished data set is there in its size."""
    return (out / SAMPLES_NAME).exists() and all(is_there(out, record) for record in manifest.shards)


def is_there(out: Path, record: ShardRecord) -> bool:
    """Whether an archive is there in its size."""
    path = out / record.name
    return path.exists() and path.stat().st_size == record.bytes


# ---------------------------------------------------------------- what is removed


def sweep(out: Path) -> None:
    """Remove what a kill after the very last step leaves, unless another command works here just now."""
    if (out / WORK_NAME).exists() or (out / LOCK_NAME).exists():
        with contextlib.suppress(MdeasError), locked(out):
            remove_work(out)


def remove_work(out: Path) -> None:
    """Remove what unfinished work has left in ``.work``; the state of unfinished depth labels stays."""
    work = out / WORK_NAME
    shutil.rmtree(work / PREPARED_NAME, ignore_errors=True)
    for name in (PLAN_NAME, BACKGROUNDS_NAME, FOREGROUNDS_NAME):
        for path in (work / name, part_path(work / name)):
            path.unlink(missing_ok=True)
    for path in (*work.glob("shard-*.json*"), *work.glob("dataset-part-*.json")):
        path.unlink()
    for path in work.glob(f"{APART}*"):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        work.rmdir()


def remove_own(out: Path) -> None:
    """Remove what belongs to a data set, ``dataset.json`` first: without it nothing looks whole."""
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    for path in own_files(out):
        path.unlink(missing_ok=True)
    shutil.rmtree(out / WORK_NAME, ignore_errors=True)


def own_files(out: Path) -> list[Path]:
    """The files of a data set, finished or not, by name."""
    return [path for path in sorted(out.iterdir()) if _OWN_FILES.fullmatch(path.name)]


# ---------------------------------------------------------------- the plan and the shards that are made


def plan_sha256(out: Path) -> str:
    """By which workers know the plan that they are to follow."""
    return hashlib.sha256((out / WORK_NAME / PLAN_NAME).read_bytes()).hexdigest()


def place_backgrounds(out: Path) -> None:
    """Give ``bg.zip`` its place as soon as there is a plan that goes with it."""
    if (out / WORK_NAME / BACKGROUNDS_NAME).exists():
        (out / WORK_NAME / BACKGROUNDS_NAME).replace(out / BACKGROUNDS_NAME)


def _record_path(out: Path, number: int) -> Path:
    return out / WORK_NAME / f"shard-{number:05d}.json"


def write_record(out: Path, number: int, shards: Sequence[ShardRecord], mask_pixels: list[int]) -> None:
    """Note that a shard is finished: its archives, and the pixels of each of its masks."""
    content = {"shards": [asdict(one) for one in shards], "mask_pixels": mask_pixels}
    write_bytes(_record_path(out, number), json.dumps(content).encode(), sync=False)


def read_record(out: Path, number: int) -> tuple[list[ShardRecord], list[int]]:
    """What ``write_record`` has noted."""
    content = read_json(_record_path(out, number))
    return [ShardRecord(**one) for one in content["shards"]], content["mask_pixels"]


def is_made(out: Path, number: int) -> bool:
    """Whether a shard of the plan in ``.work`` is finished."""
    try:
        return all(is_there(out, record) for record in read_record(out, number)[0])
    except (MdeasError, KeyError, TypeError):  # none yet, or torn by a power cut
        return False
