"""How far depth labels can be trusted: each held against its background's own label, and a score a sample.

What is measured of a label is in ``depth_measures``. How well labels agree with their background differs from
background to background and from network to network, so most limits are taken from the set itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .depth_measures import FINE_CELLS, FULL_CORRELATION, MEASURES, Grid, Reference, measure_label
from .depth_scores import FAULTS
from .depth_sources import Backgrounds, Pictures
from .progress import Progress
from .threads import in_order

if TYPE_CHECKING:
    from .depth import Labeller

# Limits of what passes. The first is of the background's own standard deviation, the next of all pixels.
LEAST_SPREAD = 0.1
MOST_HOLES = 0.002
LEAST_CORRELATION = 0.3  # and, with the other sign, of what is upside down
# How many times as much of a label its background may leave unexplained as another one does, or as it does
# itself some pixels further.
MOST_UNEXPLAINED = 1.8
MOST_MOVED = 0.0055  # of the side
MOST_BEHIND = 0.5  # of the label's standard deviation
# How many standard deviations a label may be worse than labels on its background usually are: in agreement as
# a whole and in detail, and in what it shows beside the mask. Detail that correlates so well is in its place
# whatever is usual, and what it shows beside the mask must be well above what it shows within.
MOST_DEVIATIONS, MOST_DEVIATIONS_OF_DETAIL, MOST_DEVIATIONS_ASTRAY = 3.0, 3.2, 2.65
LEAST_DETAIL = 0.95
MOST_ASTRAY = 1.8
_LEAST_DEVIATION = 0.25
_FEWEST_SAMPLES = 5  # of a background that say what is usual on it
_SAMPLES_A_TASK = 32
_ROWS_AT_ONCE = 20_000


def look_at_backgrounds(pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller) -> Reference:
    """Ask the network about every background."""
    count, micro_batch = pictures.backgrounds, labeller.micro_batch
    reference = Reference(count, min(FINE_CELLS, pictures.size))
    chunks = iter(range(-(-count // micro_batch)))
    with closing(in_order(backgrounds.chunk, chunks, labeller.jobs, labeller.jobs + 1)) as answers:
        for chunk, answer in answers:
            # Clipped as the labels are.
            stored = labeller.mapping.quantity(labeller.mapping.values(answer))
            for bg, quantity in enumerate(stored, chunk * micro_batch):
                reference.put(bg, quantity)
    return reference


class Check:
    """The check of a set's labels: measured as they are made, or from what is stored of them."""

    def __init__(self, pictures: Pictures, backgrounds: Backgrounds, labeller: Labeller) -> None:
        """Backgrounds are looked at before the first label is measured."""
        self._pictures, self._backgrounds, self._labeller = pictures, backgrounds, labeller
        self._measures = np.zeros((pictures.samples, len(MEASURES)), np.float32)
        self._bg = np.zeros(pictures.samples, np.int32)
        self._is_done = np.zeros(pictures.samples, np.bool_)
        self._reference: Reference | None = None
        self._once = threading.Lock()

    def take(self, numbers: range, labels: Iterable[NDArray[np.uint16]]) -> None:
        """Measure the labels of some samples."""
        with self._once:
            if self._reference is None:
                self._reference = look_at_backgrounds(self._pictures, self._backgrounds, self._labeller)
            reference = self._reference
        bgs = self._pictures.rows(numbers.start, numbers.stop).bg
        for number, bg, label in zip(numbers, bgs.tolist(), labels, strict=True):
            self._measures[number] = measured(self._pictures, number, label, bg, reference, self._labeller)
        self._bg[numbers.start : numbers.stop] = bgs
        self._is_done[numbers.start : numbers.stop] = True

    def judge(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Scores in 0..1 of all samples, 0.5 at the limit of what passes, and indices into ``FAULTS``.

        Labels that were not taken are read first.
        """
        jobs = self._labeller.jobs
        done = int(np.count_nonzero(self._is_done))
        if done < len(self._is_done):
            progress = Progress(len(self._is_done), "checking labels", "samples", done=done)
            with closing(in_order(self._read, self._missing(), jobs, 2 * jobs)) as results, progress:
                for numbers, _ in results:
                    progress.update(len(numbers))
        self._reference = None  # its memory is of use to what comes next
        return judge(self._measures, self._bg)

    def _read(self, numbers: range) -> None:
        self.take(numbers, (self._pictures.depth(number) for number in numbers))

    def _missing(self) -> Iterator[range]:
        for start in range(0, len(self._is_done), _SAMPLES_A_TASK):
            numbers = range(start, min(start + _SAMPLES_A_TASK, len(self._is_done)))
            if not self._is_done[numbers.start : numbers.stop].all():
                yield numbers


def measured(
    pictures: Pictures,
    number: int,
    values: NDArray[np.uint16],
    bg: int,
    reference: Reference,
    labeller: Labeller,
) -> Grid:
    """``MEASURES`` of ``values`` as the label of sample ``number``, which is on ``bg``."""
    larger = labeller.info.nearer == "larger"
    return measure_label(values, pictures.mask(number), bg, reference, labeller.mapping, larger)


def summarise(scores: NDArray[np.float32], faults: NDArray[np.int8]) -> dict[str, float]:
    """What ``depth.json`` says: labels by fault, and the mean score."""
    counts = np.bincount(faults, minlength=len(FAULTS)).tolist()
    return {**dict(zip(FAULTS, counts, strict=True)), "mean_score": round(float(scores.mean(dtype=float)), 6)}


def judge(measures: Grid, bg: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scores and faults from ``MEASURES`` of all samples (N, M) and their backgrounds (N,)."""
    unusual = _unusual(measures, bg)
    scores, faults = np.empty(len(measures), np.float32), np.empty(len(measures), np.int8)
    for start in range(0, len(measures), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        margins = _margins(measures[rows], unusual[rows])
        worst, most = margins.argmax(axis=1), margins.max(axis=1)
        for name in ("inverted", "hole", "flat"):  # these explain whatever else is wrong
            worst[margins[:, FAULTS.index(name)] > 1] = FAULTS.index(name)
        # The limit gives one half. Four digits: the last ones of a float differ from machine to machine.
        scores[rows], faults[rows] = np.round(1 / (1 + most), 4), np.where(most > 1, worst, 0)
    return scores, faults


def _unusual(measures: Grid, bg: NDArray[np.int32]) -> Grid:
    """By how much of its limit each label is worse than those on its background usually are, (N, 3).

    In agreement as a whole and in detail, and in what it shows beside the mask.
    """
    agreement, detail, astray = (
        measures[:, MEASURES.index(name)] for name in ("agreement", "detail", "astray")
    )
    found = np.empty((len(measures), 3), np.float32)
    # Fisher's z of correlations: of even spread.
    found[:, 0] = _deviations(-np.arctanh(_bounded(agreement)), bg) / MOST_DEVIATIONS
    found[:, 1] = _deviations(-np.arctanh(_bounded(detail)), bg) / MOST_DEVIATIONS_OF_DETAIL
    found[:, 2] = _deviations(np.log(np.maximum(astray, 1e-6)), bg) / MOST_DEVIATIONS_ASTRAY
    return found


def _bounded(correlation: Grid) -> Grid:
    return np.clip(correlation, -FULL_CORRELATION, FULL_CORRELATION)


def _margins(measures: Grid, unusual: Grid) -> Grid:
    """How far each label goes towards each limit, (N, faults): 0 is perfect and 1 the limit."""
    of = dict(zip(MEASURES, measures.T, strict=True))
    agreement, detail = _bounded(of["agreement"]), _bounded(of["detail"])
    flat = np.minimum(LEAST_SPREAD * of["flatness"], 1e6)
    shifted = np.maximum(of["moved"] / MOST_MOVED, of["elsewhere"] / MOST_UNEXPLAINED)
    worse_detail = np.minimum(unusual[:, 1], (1 - detail) / (1 - LEAST_DETAIL))
    worse = np.maximum(unusual[:, 0], (1 - agreement) / (1 - LEAST_CORRELATION))
    # A label without any spread is flat; it neither agrees nor not.
    disagrees = np.where(flat > 1, 0, np.maximum(worse, worse_detail))
    # Where the background is not in its place, the object is not either.
    is_elsewhere = np.maximum(shifted, disagrees) > 1
    astray = np.where(is_elsewhere, 0, np.minimum(of["astray"] / MOST_ASTRAY, unusual[:, 2]))
    found = {
        "flat": flat,
        "hole": of["holes"] / MOST_HOLES,
        "inverted": -agreement / LEAST_CORRELATION,
        "shifted": shifted,
        "swapped": np.maximum(astray, of["rivalry"] / MOST_UNEXPLAINED),
        "disagrees": disagrees,
        "behind": of["behind"] / MOST_BEHIND,
    }
    margins = np.zeros((len(measures), len(FAULTS)), np.float32)
    for name, margin in found.items():
        margins[:, FAULTS.index(name)] = np.maximum(margin, 0)
    return margins


def _deviations(values: Grid, bg: NDArray[np.int32]) -> Grid:
    """By how many standard deviations each value is above what is usual on its background."""
    usual = np.full(int(bg.max()) + 1, np.median(values), np.float32)
    order = np.argsort(bg, kind="stable")
    numbers, starts = np.unique(bg[order], return_index=True)
    for number, members in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if len(members) >= _FEWEST_SAMPLES:
            usual[number] = np.median(values[members])
    above = values - usual[bg]
    return above / max(_LEAST_DEVIATION, 1.4826 * float(np.median(np.abs(above))))
