"""What a data set is: ``dataset.json``, the sample table and ``depth.json``, read and written."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .shards import PART_SUFFIX, ShardRecord, naming, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1
SAMPLES_PER_SHARD = 1000
MANIFEST_NAME = "dataset.json"
SAMPLES_NAME = "samples.parquet"
DEPTH_INFO_NAME = "depth.json"
BACKGROUNDS_NAME = "bg.zip"
SAMPLE_EXTENSIONS = {"fg_bg": ".jpg", "mask": ".png", "depth": ".png"}
_MEND_MANIFEST = "mend it with `mdeas verify --repair`, or make the data set again with --overwrite"
_MEND_DEPTH = "mend it with `mdeas verify --repair`, or run `mdeas label-depth --overwrite`"

Split = Literal["train", "seen", "new_bg", "new_fg", "new_both"]
SPLITS: tuple[Split, ...] = ("train", "seen", "new_bg", "new_fg", "new_both")
AssetSplit = Literal["train", "val"]


@dataclass(frozen=True)
class Asset:
    """A picture that samples are made of; size of a background as it came, of a foreground as trimmed."""

    id: int
    file: str
    sha256: str
    split: AssetSplit
    width: int
    height: int
    note: str = ""
    title: str = ""
    author: str = ""
    author_url: str = ""
    licence: str = ""
    licence_url: str = ""
    page: str = ""
    url: str = ""


# Whose a picture is and what may be done with it, as far as the ledger beside it says so.
CREDIT_FIELDS = ("title", "author", "author_url", "licence", "licence_url", "page", "url")


@dataclass(frozen=True)
class Rejected:
    """A file that was left out, and why."""

    kind: str
    file: str
    sha256: str
    reason: str


@dataclass(frozen=True)
class DatasetManifest:
    """Content of ``dataset.json``; ``encoders`` as in :mod:`.encoders`, empty in old sets."""

    format_version: int
    mdeas_version: str
    options: dict[str, Any]
    seed: int
    totals: dict[str, int]
    samples_per_shard: int
    fg: tuple[Asset, ...]
    bg: tuple[Asset, ...]
    rejected: tuple[Rejected, ...]
    shards: tuple[ShardRecord, ...]
    encoders: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DepthInfo:
    """Content of ``depth.json``: what depth labels are; ``value * scale + offset`` is the quantity.

    Args:
        mdeas_version: The version that made them.
        dataset_sha256: Hash of the ``dataset.json`` that they belong to; None for a folder of pictures.
        model: The network's name; ``source`` says where its weights come from.
        kind: What the quantity is, ``unit`` what it is counted in (None where it is relative).
        nearer: Which of two values is nearer.
        bits: How many of the 16 bits are used, the upper ones.
        scale, offset: The one mapping of the whole set from 16-bit values to the quantity.
        input_height, input_width: What the network sees (None where pictures differ in size).
        resize: How a picture gets there, and the answer back.
        precision, runtime: Of the network's arithmetic, and what computed it.
        micro_batch, device: Pictures a forward pass, and cpu or cuda: they decide the last bits.
        clipped: Share of values at either end of the 16 bits.
        values: Their least, largest and mean value and their standard deviation on the 0-1 scale.
        format: ``png``, or what files hold the quantity itself in (then ``bits`` is 32, of a float).
        mode: Whether the network saw each sample (``model``), or backgrounds and cut-outs (``composed``).
        quality: How many labels a check found at fault by kind of fault, and their mean score.
    """

    mdeas_version: str
    dataset_sha256: str | None
    model: str
    source: str
    weights_sha256: str | None
    licence: str
    kind: Literal["relative_disparity", "relative_depth", "metric_depth"]
    nearer: Literal["larger", "smaller"]
    unit: str | None
    bits: int
    scale: float
    offset: float
    input_height: int | None
    input_width: int | None
    resize: str
    precision: str
    micro_batch: int
    device: str
    samples: int
    clipped: float
    values: dict[str, float]
    shards: tuple[ShardRecord, ...]
    mode: str = "model"
    format: str = "png"
    runtime: str = "torch"
    quality: dict[str, float] | None = None


def key_digits(total: int) -> int:
    """Digits of a sample's key in a data set of ``total`` samples."""
    return max(6, len(str(total - 1)))


def background_name(number: int, total: int) -> str:
    """Entry of a background in ``bg.zip``."""
    return f"bg/{number:0{max(3, len(str(total - 1)))}d}.png"


def sample_name(kind: str, number: int, total: int) -> str:
    """Entry of sample ``number`` in the archives of ``kind`` (fg_bg, mask, depth)."""
    return sample_namer(kind, total)(number)


def sample_namer(kind: str, total: int) -> Callable[[int], str]:
    """``sample_name`` for many samples."""
    digits, extension = key_digits(total), SAMPLE_EXTENSIONS[kind]
    return lambda number: f"{kind}/{number:0{digits}d}{extension}"


def shard_name(kind: str, number: int) -> str:
    """File name of archive ``number`` of ``kind``."""
    return f"{kind}-{number:05d}.zip"


def shard_count(total: int, samples_per_shard: int = SAMPLES_PER_SHARD) -> int:
    """Archives a kind for ``total`` samples."""
    return -(-total // samples_per_shard)


def write_bytes(path: Path, data: bytes, sync: bool = True) -> None:
    """Write ``path`` so that under its name it is either complete or absent.

    Without ``sync`` this holds for kills, but after a power cut the file may be torn.
    """
    part = path.with_name(path.name + PART_SUFFIX)
    with naming(path), part.open("wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)
    if sync:
        sync_folder(path.parent)


def write_json(path: Path, content: object, sync: bool = True) -> None:
    """``write_bytes`` of JSON; dataclasses become objects."""
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        content = dataclasses.asdict(content)
    write_bytes(path, json_bytes(content), sync)


def json_bytes(content: object) -> bytes:
    """What a JSON file of ``content`` holds."""
    return printable(json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def printable(text: str) -> str:
    """``text`` with the bytes of file names that are no UTF-8 as ``\\udc..``, which JSON reads back."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_json(path: Path, advice: str = "remove it and make it again") -> Any:
    """The content of a JSON file; ``advice`` is what to do about a damaged one.

    Raises:
        MdeasError: If it cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise MdeasError(f"cannot read: {path} ({error.strerror}); check the path") from error
    except ValueError as error:
        raise MdeasError(f"damaged file: {path} ({error}); {advice}") from error


def manifest_content(manifest: DatasetManifest) -> dict[str, Any]:
    """A manifest as ``dataset.json`` holds it: of credits, what is known."""
    content = dataclasses.asdict(manifest)
    for kind in ("fg", "bg"):
        content[kind] = [
            {name: value for name, value in asset.items() if value or name not in CREDIT_FIELDS}
            for asset in content[kind]
        ]
    if not manifest.encoders:
        del content["encoders"]
    return content


def manifest_of(content: Any, path: Path) -> DatasetManifest:
    """The manifest that was read from ``path``.

    Raises:
        MdeasError: If it is none, or of a format that this version does not know.
    """
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise MdeasError(
                f"data set of format {content['format_version']}: {path}; this mdeas reads format "
                f"{FORMAT_VERSION}: use the one that made it, or make the data set again"
            )
        return DatasetManifest(
            **{
                **content,
                "fg": tuple(Asset(**asset) for asset in content["fg"]),
                "bg": tuple(Asset(**asset) for asset in content["bg"]),
                "rejected": tuple(Rejected(**one) for one in content["rejected"]),
                "shards": tuple(ShardRecord(**record) for record in content["shards"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise MdeasError(f"damaged file: {path} (fields are missing or unknown); {_MEND_MANIFEST}") from error


def write_manifest(folder: Path, manifest: DatasetManifest, name: str = MANIFEST_NAME) -> None:
    """Write ``dataset.json``, which says that the data set is complete."""
    write_json(folder / name, manifest_content(manifest))


def read_manifest(folder: Path, name: str = MANIFEST_NAME) -> DatasetManifest:
    """Read ``dataset.json``.

    Raises:
        MdeasError: If there is no finished data set, or one of a format that this version does not know.
    """
    path = folder / name
    if not path.exists():
        raise MdeasError(f"no finished data set: {folder}; make it with `mdeas make-dataset --out {folder}`")
    return manifest_of(read_json(path, _MEND_MANIFEST), path)


def depth_info_of(content: Any, path: Path) -> DepthInfo:
    """The description of depth labels that was read from ``path``.

    Raises:
        MdeasError: If it is none.
    """
    try:
        return DepthInfo(
            **{**content, "shards": tuple(ShardRecord(**record) for record in content["shards"])}
        )
    except (KeyError, TypeError) as error:
        raise MdeasError(f"damaged file: {path} (fields are missing or unknown); {_MEND_DEPTH}") from error


def read_depth_info(folder: Path) -> DepthInfo | None:
    """Read ``depth.json``; None where the data set has no depth labels yet."""
    path = folder / DEPTH_INFO_NAME
    return depth_info_of(read_json(path, _MEND_DEPTH), path) if path.exists() else None


@dataclass(frozen=True)
class Samples:
    """The sample table as columns; the row number is the sample's key.

    ``x, y, width, height`` are the box of the placed foreground in pixels, ``scale`` the value drawn,
    ``mask_area`` the mask's share of the frame.
    """

    shard: NDArray[np.int32]
    bg: NDArray[np.int32]
    fg: NDArray[np.int32]
    flip: NDArray[np.bool_]
    scale: NDArray[np.float64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    mask_area: NDArray[np.float64]
    split: NDArray[np.str_]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.shard)


_COLUMN_TYPES = {
    "shard": "int32", "bg": "int32", "fg": "int32", "flip": "bool", "scale": "float64",
    "x": "int32", "y": "int32", "width": "int32", "height": "int32", "mask_area": "float64",
}  # fmt: skip


def _schema() -> pa.Schema:
    import pyarrow as pa  # here, so that workers that only draw do not load it

    fields = [("key", pa.string())]
    fields += [(name, pa.type_for_alias(kind)) for name, kind in _COLUMN_TYPES.items()]
    return pa.schema([*fields, ("split", pa.dictionary(pa.int8(), pa.string()))])


def write_samples(path: Path, parts: Iterable[Samples], total: int) -> None:
    """Write the sample table part by part, so that memory does not grow with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    unfinished, schema = path.with_name(path.name + PART_SUFFIX), _schema()
    digits, start = key_digits(total), 0
    with unfinished.open("wb") as file:
        with pq.ParquetWriter(file, schema) as writer:
            for part in parts:
                codes = np.select([part.split == name for name in SPLITS], range(len(SPLITS))).astype(np.int8)
                columns: list[pa.Array] = [
                    pa.array([f"{i:0{digits}d}" for i in range(start, start + len(part))])
                ]
                columns += [pa.array(getattr(part, name)) for name in _COLUMN_TYPES]
                columns.append(pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(SPLITS)))
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                start += len(part)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def read_samples(path: Path) -> Samples:
    """Read the sample table.

    Raises:
        MdeasError: If it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=[*_COLUMN_TYPES, "split"])
    except (OSError, pa.ArrowException) as error:
        raise MdeasError(f"cannot read the sample table: {path} ({error}); run `mdeas verify`") from error
    columns = {name: table[name].to_numpy().astype(kind, copy=False) for name, kind in _COLUMN_TYPES.items()}
    return Samples(
        **columns, split=table["split"].cast(pa.string()).to_numpy(zero_copy_only=False).astype(np.str_)
    )
