"""Depth labels of any folder of pictures: a file and a coloured preview each, and ``depth.json``."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import MdeasError
from .depth_archives import fitted_range
from .depth_formats import FLOAT_BITS, FLOAT_FORMATS, PNG
from .depth_record import (
    STATE_NAME,
    LabelDepthReport,
    LabelSums,
    begin,
    describe,
    properties_of,
    report_of,
)
from .images import decode_gray16, encode_gray16, encode_png, read_picture
from .lock import locked
from .manifest import DEPTH_INFO_NAME, write_bytes, write_json
from .preview import colour_depth
from .progress import Progress
from .threads import in_order

if TYPE_CHECKING:
    from .depth import Labeller

# Pictures that are looked at to find the range of labels.
RANGE_PICTURES = 64
LABEL_STEM, PREVIEW_SUFFIX = "-depth", "-preview.png"
_SUFFIXES = {PNG: ".png"} | {name: how.suffix for name, how in FLOAT_FORMATS.items()}


@dataclass(frozen=True)
class _Task:
    """A picture and where its label and its preview go."""

    picture: Path
    label: Path
    preview: Path


@dataclass(frozen=True)
class _Outcome:
    """Sums and bytes of the label, or why there is none."""

    sums: LabelSums | None = None
    size: int = 0
    is_new: bool = False
    fault: str = ""


def label_pictures(
    pictures: Path, out: Path, labeller: Labeller, overwrite: bool = False, form: str = PNG
) -> LabelDepthReport:
    """Labels every picture of the folder ``pictures`` into ``out``; goes on where a stopped run ended.

    ``NAME.jpg`` gives ``NAME-depth.png`` (16 bit, the picture's size; or another ``form``) and
    ``NAME-preview.png`` (bright is near, each picture over its own range). A file that is no picture is left
    out and listed.

    Raises:
        MdeasError: If there is no picture at all, or if labels exist that were made with other options.
    """
    start = time.monotonic()
    tasks = _plan(pictures, out, _SUFFIXES[form])
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with locked(out):
        if overwrite:
            _remove_labels(out)
        properties = properties_of(labeller, None)
        if form != PNG:
            properties |= {"bits": FLOAT_BITS, "format": form}
        state = begin(out, properties, f"*{LABEL_STEM}.*")
        if math.isinf(labeller.mapping.high):
            state.range = state.range or _find_range(labeller, tasks)
            state.save()
            labeller.use_range(*state.range)
        results = in_order(partial(_label, labeller, form), iter(tasks), labeller.jobs, labeller.jobs + 1)
        with closing(results), Progress(len(tasks), "label-depth", "pictures") as progress:
            for _, outcome in results:
                outcomes.append(outcome)
                progress.update()
        sums = LabelSums.empty()
        for outcome in outcomes:
            sums = sums.merge(outcome.sums) if outcome.sums else sums
        if not sums.pixels.pictures:
            raise MdeasError(f"no usable picture: {pictures} ({len(tasks)} files); {outcomes[0].fault}")
        info = describe(labeller, sums)
        if form != PNG:  # nothing is rounded, so nothing is clipped
            info = dataclasses.replace(info, bits=FLOAT_BITS, format=form, scale=1.0, offset=0.0, clipped=0.0)
        write_json(out / DEPTH_INFO_NAME, info)
        state.remove()
    return report_of(
        out,
        labeller,
        info,
        labelled=sum(outcome.is_new for outcome in outcomes),
        started=start,
        size_bytes=sum(outcome.size for outcome in outcomes),
        rejected=tuple(outcome.fault for outcome in outcomes if outcome.fault),
    )


def _plan(pictures: Path, out: Path, suffix: str) -> list[_Task]:
    """Every file of the folder (hidden ones aside) and the names of what is made of it."""
    if not pictures.is_dir():
        raise MdeasError(f"no such folder: {pictures}; give a folder of pictures to --pictures")
    if out.resolve() == pictures.resolve():
        raise MdeasError(f"labels would be taken for pictures later: {out}; choose another --out")
    files = sorted(path for path in pictures.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise MdeasError(f"no files: {pictures}; give a folder of pictures to --pictures")
    stems = Counter(path.stem for path in files)
    tasks = []
    for path in files:
        name = path.stem if stems[path.stem] == 1 else path.name
        tasks.append(_Task(path, out / (name + LABEL_STEM + suffix), out / (name + PREVIEW_SUFFIX)))
    return tasks


def _find_range(labeller: Labeller, tasks: list[_Task]) -> tuple[float, float]:
    """For a network that has no highest value: what pictures from all over the folder need."""

    def highest(task: _Task) -> float:
        try:
            quantity = labeller.answer(read_picture(task.picture)[None])
        except MdeasError:  # said of it when its turn comes
            return 0.0
        return float(quantity.max(where=np.isfinite(quantity), initial=0.0))

    looked_at = tasks[:: math.ceil(len(tasks) / RANGE_PICTURES)]
    found = max(value for _, value in in_order(highest, iter(looked_at), labeller.jobs, labeller.jobs + 1))
    return fitted_range(found, (labeller.mapping.low, labeller.mapping.high))


def _remove_labels(out: Path) -> None:
    labels = [f"*{LABEL_STEM}{suffix}" for suffix in _SUFFIXES.values()]
    for pattern in (DEPTH_INFO_NAME, *labels, "*" + PREVIEW_SUFFIX, STATE_NAME):
        for path in sorted(out.glob(pattern)):
            path.unlink()


def _label(labeller: Labeller, form: str, task: _Task) -> _Outcome:
    """One picture; the preview is written before the label, so that a label means that both are there."""
    mapping = labeller.mapping
    if task.label.exists():
        data = task.label.read_bytes()
        values = (
            decode_gray16(data) if form == PNG else mapping.values(FLOAT_FORMATS[form].decode(data)[None])[0]
        )
        return _Outcome(LabelSums.of(values[None], mapping.top), len(data))
    try:
        picture = read_picture(task.picture)
    except MdeasError as error:
        return _Outcome(fault=str(error))
    quantity = labeller.answer(picture[None])
    if not np.isfinite(quantity).all():
        return _Outcome(fault=f"not a number in the network's answer: {task.picture}; use another --model")
    values = mapping.values(quantity)
    write_bytes(task.preview, encode_png(colour_depth(quantity[0], labeller.info.nearer)))
    data = encode_gray16(values[0]) if form == PNG else FLOAT_FORMATS[form].encode(quantity[0])
    write_bytes(task.label, data)
    return _Outcome(LabelSums.of(values, mapping.top), len(data), is_new=True)
