"""The columns ``depth_score`` and ``depth_fault`` of ``samples.parquet``: there once the labels are.

The table is written anew beside itself and takes its place at once. Without the columns it is byte for byte
what ``make-dataset`` wrote, and with them it depends on nothing but the labels.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import MdeasError
from .manifest import SAMPLES_NAME
from .shards import part_path, sync_folder
from .threads import give_back_memory

if TYPE_CHECKING:
    import pyarrow as pa

SCORE, FAULT = "depth_score", "depth_fault"
# What can be wrong with a label; ``fine`` is none of it.
FAULTS = ("fine", "flat", "hole", "inverted", "shifted", "swapped", "disagrees", "behind")


def has_scores(folder: Path) -> bool:
    """Whether the sample table says how good the labels are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / SAMPLES_NAME
    try:
        return path.exists() and SCORE in pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise MdeasError(
            f"cannot read the sample table: {path} ({str(error).splitlines()[0]}); "
            "mend it with `mdeas verify --repair`"
        ) from error


def write_scores(folder: Path, scores: NDArray[np.float32], faults: NDArray[np.int8]) -> None:
    """Adds the columns, or replaces them: a score in 0..1 and an index into ``FAULTS`` a sample."""
    _rewrite(folder, (scores, faults))


def remove_scores(folder: Path) -> None:
    """The table as ``make-dataset`` wrote it.

    Raises:
        MdeasError: If there is none: better before the first label than after the last.
    """
    if not (folder / SAMPLES_NAME).exists():
        raise MdeasError(
            f"no sample table: {folder / SAMPLES_NAME}; make it again with `mdeas verify --repair`"
        )
    if has_scores(folder):
        _rewrite(folder, None)


def read_scores(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores and indices into ``FAULTS`` by sample.

    Raises:
        MdeasError: If the table does not have them.
    """
    import pyarrow.parquet as pq

    if not has_scores(folder):
        raise MdeasError(f"no depth scores: {folder / SAMPLES_NAME}; run `mdeas label-depth` first")
    table = pq.read_table(folder / SAMPLES_NAME, columns=[SCORE, FAULT])
    faults = table[FAULT].combine_chunks()
    # A file may list its words in any order.
    position = np.array([FAULTS.index(word) for word in faults.dictionary.to_pylist()], np.int8)
    return table[SCORE].to_numpy(), position[faults.indices.to_numpy()]


def _rewrite(folder: Path, columns: tuple[NDArray[np.float32], NDArray[np.int8]] | None) -> None:
    """Row group by row group, so that memory does not grow with the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / SAMPLES_NAME
    unfinished, start = part_path(path), 0
    with _system_memory(), pq.ParquetFile(path) as source, unfinished.open("wb") as file:
        there: pa.Schema = source.schema_arrow
        names = [name for name in there.names if name not in (SCORE, FAULT)]
        fields = [there.field(name) for name in names]
        if columns is not None:
            if len(columns[0]) != source.metadata.num_rows:
                raise ValueError(f"expected {source.metadata.num_rows} scores, got {len(columns[0])}")
            fields += [pa.field(SCORE, pa.float32()), pa.field(FAULT, pa.dictionary(pa.int8(), pa.string()))]
        schema = pa.schema(fields)
        with pq.ParquetWriter(file, schema) as writer:
            for group in range(source.num_row_groups):
                arrays = [
                    source.read_row_group(group, columns=[name], use_threads=False).column(0)
                    for name in names
                ]
                stop = start + len(arrays[0])
                if columns is not None:
                    faults = pa.array(columns[1][start:stop])
                    arrays.append(pa.array(columns[0][start:stop]))
                    arrays.append(pa.DictionaryArray.from_arrays(faults, pa.array(FAULTS)))
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                start = stop
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(folder)


@contextlib.contextmanager
def _system_memory() -> Iterator[None]:
    """Arrow's own pool keeps several times what a row group needs; the C library gives it back."""
    import pyarrow as pa

    give_back_memory()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)
        give_back_memory()
