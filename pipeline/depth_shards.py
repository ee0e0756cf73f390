"""Depth labels made elsewhere: archive by archive on a dask cluster, or a part of them with ``--part``."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import MdeasError
from . import parallel
from .depth_archives import Elsewhere, LabelRun, finished_info
from .depth_record import STATE_NAME, State, begin, properties_of, recorded_properties, refuse_other
from .depth_scores import remove_scores
from .lock import locked_part, planning
from .manifest import MANIFEST_NAME, DatasetManifest, read_manifest, shard_count, shard_name, write_json
from .options import LabelDepthConfig
from .part import PartReport, note_path, share
from .progress import Progress

if TYPE_CHECKING:
    from .depth import Labeller


@dataclass(frozen=True)
class LabelTask:
    """One archive of labels to make, over ``range``, with what ``properties`` say."""

    config: LabelDepthConfig
    properties: dict[str, Any]
    range: tuple[float, float]
    shard: int

    def __str__(self) -> str:
        return shard_name("depth", self.shard)


def on_cluster(config: LabelDepthConfig) -> Elsewhere | None:
    """Labels archives on the cluster of ``config.scheduler``; None where there is none."""
    return None if config.scheduler is None else functools.partial(_label_on_cluster, config)


def _label_on_cluster(config: LabelDepthConfig, state: State, missing: Sequence[int]) -> int:
    if state.range is None:
        raise ValueError("expected a range that is settled, got None")
    # Workers have other current folders; a cluster says how many tasks one has at a time.
    folder, weights = config.dataset.absolute(), config.weights and config.weights.absolute()
    there = replace(
        config, dataset=folder, weights=weights, jobs=1, scheduler=None, part=None, overwrite=False
    )
    tasks = [LabelTask(there, state.properties, state.range, shard) for shard in missing]
    needs = (folder / MANIFEST_NAME, *([weights] if weights else []))
    cluster, labelled = parallel.Cluster(config.scheduler or "", folder, needs), 0
    with Progress(len(tasks), "label-depth", "archives") as progress:
        for count in parallel.run(label_shard, tasks, 1, cluster):
            labelled += count
            progress.update()
    return labelled


class _Kept(threading.local):
    """The network of this thread, set up: threads of a worker each have their own."""

    key: tuple[LabelDepthConfig, str] | None = None
    labeller: Labeller
    manifest: DatasetManifest
    ready: contextlib.ExitStack


_kept = _Kept()


def _keep(task: LabelTask) -> _Kept:
    key = task.config, str(task.properties["dataset_sha256"])
    if _kept.key != key:
        from .depth import labeller_of  # torch, which only a worker needs

        _kept.manifest = read_manifest(task.config.dataset)
        _kept.labeller = labeller_of(task.config)
        # For as long as the worker lives: torch's settings are the whole process's, other threads label too.
        _kept.ready = contextlib.ExitStack()
        _kept.ready.enter_context(_kept.labeller.ready())
        _kept.key = key
    return _kept


def label_shard(task: LabelTask) -> int:
    """Makes one archive and its note; gives the number of its labels.

    Raises:
        MdeasError: If this machine would label otherwise than the one that began.
    """
    kept, folder = _keep(task), task.config.dataset
    asked = properties_of(kept.labeller, task.properties["dataset_sha256"], task.config.mode)
    refuse_other(folder, task.properties, asked)
    state = State(folder / STATE_NAME, task.properties, {}, task.range)
    with tempfile.TemporaryDirectory(prefix="apart-", dir=folder / ".work") as apart:
        run = LabelRun(
            folder, kept.manifest, kept.labeller, task.config.batch, state, [task.shard], Path(apart)
        )
        return run.label()


def label_depth_part(config: LabelDepthConfig) -> PartReport:
    """Labels the share of ``config.part``; ``mdeas merge`` ends the labels.

    Raises:
        MdeasError: As ``label_depth``.
    """
    from .depth import labeller_of

    start, folder, part = time.monotonic(), config.dataset, config.part or (1, 1)
    if config.overwrite or config.relabel_bad or config.pictures is not None:
        raise MdeasError("--part labels what is missing of a data set; leave out the other option")
    manifest = read_manifest(folder)
    shards = share(shard_count(int(manifest.totals["samples"]), manifest.samples_per_shard), part)
    labeller = labeller_of(config)
    made = 0
    with labeller.ready(), locked_part(folder, part):
        with planning(folder):
            state = _begin(config, labeller, manifest)
            todo = []
            if state is not None:
                run = LabelRun(folder, manifest, labeller, config.batch, state, shards)
                todo = run.missing()
        if state is not None and todo:
            made, elsewhere = len(todo), on_cluster(config)
            if elsewhere is not None:
                elsewhere(state, todo)
            run.label()
        if state is not None:
            write_json(note_path(folder, "depth", part), _as_json(config))
    return PartReport(
        "label-depth", str(folder), *part, len(shards), made, round(time.monotonic() - start, 3)
    )


def _begin(config: LabelDepthConfig, labeller: Labeller, manifest: DatasetManifest) -> State | None:
    """The state that all parts share; None where the labels are finished."""
    folder = config.dataset
    dataset_sha256 = hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()
    properties = properties_of(labeller, dataset_sha256, config.mode)
    info = finished_info(folder, manifest)
    if info is not None:
        refuse_other(folder, {**recorded_properties(info), "device": properties["device"]}, properties)
        return None
    state = begin(folder, properties, "depth-*.zip*")
    remove_scores(folder)
    return state


def _as_json(config: LabelDepthConfig) -> dict[str, Any]:
    """What ``mdeas merge`` needs to end the labels: the options, without those of one part."""
    chosen = replace(config, part=None, scheduler=None, jobs=-1)
    values = dataclasses.asdict(chosen)
    del values["dataset"], values["pictures"], values["out"]
    return values | {"weights": None if config.weights is None else str(config.weights.absolute())}


def config_of(dataset: Path, values: dict[str, Any]) -> LabelDepthConfig:
    """The inverse, for the labels of ``dataset``."""
    weights = values["weights"]
    return LabelDepthConfig(**{**values, "dataset": dataset, "weights": weights and Path(weights)})
