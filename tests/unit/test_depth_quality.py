"""Scores of labels: what is at fault is found, what is not passes, and the sample table says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from mdeas import MdeasError
from mdeas.pipeline.depth_measures import MEASURES, Reference, detail_of, measure_label
from mdeas.pipeline.depth_quality import judge, summarise
from mdeas.pipeline.depth_record import Mapping
from mdeas.pipeline.depth_scores import FAULTS, has_scores, read_scores, remove_scores, write_scores
from mdeas.pipeline.manifest import read_samples
from numpy.typing import NDArray

SIZE, BACKGROUNDS = 112, 5
LABELLER: Any = SimpleNamespace(mapping=Mapping(0.0, 4.0, 12), info=SimpleNamespace(nearer="larger"))


def smooth(rng: np.random.Generator) -> NDArray[np.float32]:
    """Disparity of a made-up room, 0.5 to 2: nearer below, with bumps."""
    noise = rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    bumps, detail = (cv2.GaussianBlur(noise, (0, 0), width) for width in (9, 2))
    slope = np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None] * rng.uniform(0.3, 1)
    room = bumps / bumps.std() * 0.5 + detail / detail.std() * 0.05 + slope
    return np.asarray(0.5 + 1.5 * (room - room.min()) / np.ptp(room), np.float32)


@pytest.fixture(scope="module")
def rooms() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [smooth(rng) for _ in range(BACKGROUNDS)]


@pytest.fixture(scope="module")
def reference(rooms: list[NDArray[np.float32]]) -> Reference:
    return made_reference(rooms)


def made_reference(rooms: list[NDArray[np.float32]]) -> Reference:
    """What a network would say of the backgrounds."""
    reference = Reference(len(rooms), SIZE)
    for bg, room in enumerate(rooms):
        reference.put(bg, room)
    return reference


def sample(room: NDArray[np.float32], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Disparity of a room with an object in it on a scale of its own, and where the object is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    y, x = rng.integers(35, SIZE - 35, 2)
    mask = np.hypot((rows - y) / 30, (columns - x) / 20) < 1
    label = np.where(mask, room[mask].max() + 0.2, room) * rng.uniform(0.7, 1.2) + 0.1
    return np.asarray(label + cv2.GaussianBlur(rng.normal(0, 0.3, room.shape), (0, 0), 4), np.float32), mask


Label = tuple[NDArray[np.float32], NDArray[np.bool_], int]  # disparity, mask, background


def faults_of(labels: list[Label], reference: Reference, labeller: Any = LABELLER) -> list[str]:
    mapping, larger = labeller.mapping, labeller.info.nearer == "larger"
    measures = [
        measure_label(mapping.values(label[None])[0], mask, bg, reference, mapping, larger)
        for label, mask, bg in labels
    ]
    scores, faults = judge(np.stack(measures), np.array([bg for _, _, bg in labels], np.int32))
    assert ((scores < 0.5) == (faults > 0)).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    return [FAULTS[fault] for fault in faults]


def good_labels(rooms: list[NDArray[np.float32]], count: int = 50) -> list[Label]:
    return [(*sample(rooms[seed % BACKGROUNDS], seed), seed % BACKGROUNDS) for seed in range(count)]


def test_good_labels_pass(rooms: list[NDArray[np.float32]], reference: Reference) -> None:
    assert faults_of(good_labels(rooms), reference) == ["fine"] * 50


def punched(label: NDArray[np.float32]) -> NDArray[np.float32]:
    holed = label.copy()
    holed[40:50, 30:60] = 0
    return holed


def sunk(label: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(mask, label.min(), label)


FAULTY: dict[str, Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]] = {
    "flat": lambda label, mask: np.full_like(label, 1.0),
    "hole": lambda label, mask: punched(label),
    "inverted": lambda label, mask: label.max() + label.min() - label,
    "shifted": lambda label, mask: np.roll(label, 9, axis=1),
    "shifted by 2 %": lambda label, mask: np.roll(label, 2, axis=0),
    "behind": sunk,
}


@pytest.mark.parametrize("fault", FAULTY)
def test_faults_are_found_and_named(
    fault: str, rooms: list[NDArray[np.float32]], reference: Reference
) -> None:
    labels = good_labels(rooms)
    for number in range(5):
        label, mask, bg = labels[number]
        labels[number] = FAULTY[fault](label, mask), mask, bg
    found = faults_of(labels, reference)
    assert found[5:] == ["fine"] * 45
    # Half a room away from its place, a label may as well be any other.
    assert set(found[:5]) <= ({"shifted", "disagrees"} if "shifted" in fault else {fault})


def test_the_label_of_another_sample_is_found(rooms: list[NDArray[np.float32]], reference: Reference) -> None:
    labels = good_labels(rooms)
    for number in range(5):
        _, mask, bg = labels[number]
        labels[number] = sample(rooms[(bg + 1) % BACKGROUNDS], 100 + number)[0], mask, bg
    found = faults_of(labels, reference)
    assert found[5:] == ["fine"] * 45
    assert set(found[:5]) <= {"swapped", "disagrees", "inverted"}


def test_the_label_of_another_sample_on_the_same_background_is_found(
    rooms: list[NDArray[np.float32]], reference: Reference
) -> None:
    labels = good_labels(rooms)
    for number in range(5):
        _, mask, bg = labels[number]
        labels[number] = sample(rooms[bg], 200 + number)[0], mask, bg
    found = faults_of(labels, reference)
    assert found[5:] == ["fine"] * 45
    assert set(found[:5]) <= {"swapped", "disagrees"}


@pytest.mark.parametrize("share", [0.004, 0.02])
def test_a_move_is_measured_to_a_fraction_of_a_cell(
    share: float, rooms: list[NDArray[np.float32]], reference: Reference
) -> None:
    move = np.array([[1, 0, 0.8 * share * SIZE], [0, 1, -0.6 * share * SIZE]], np.float32)
    _, mask = sample(rooms[1], 1)
    moved = cv2.warpAffine(
        rooms[1] + 0.1 * mask.astype(np.float32), move, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE
    )
    values = LABELLER.mapping.values(moved[None])[0]
    measures = measure_label(values, mask, 1, reference, LABELLER.mapping, True)
    assert measures[MEASURES.index("moved")] == pytest.approx(share, rel=0.2)


def test_what_backgrounds_lose_in_memory_is_less_than_a_label_holds(
    rooms: list[NDArray[np.float32]], reference: Reference
) -> None:
    for bg, room in enumerate(rooms):
        lost = reference.ground(bg).parts[0] - detail_of(room)
        assert np.abs(lost).max() < np.ptp(room) / 50_000


def test_depth_is_nearer_the_other_way(rooms: list[NDArray[np.float32]]) -> None:
    """A network that gives depth: its object is nearer with a smaller value."""
    away: Any = SimpleNamespace(mapping=Mapping(-1.0, 5.0, 16), info=SimpleNamespace(nearer="smaller"))
    reference = made_reference([3 - room for room in rooms])
    labels = [(3 - label, mask, bg) for label, mask, bg in good_labels(rooms)]
    label, mask, bg = labels[7]
    labels[7] = np.where(mask, label.max(), label), mask, bg
    found = faults_of(labels, reference, away)
    assert found[7] == "behind"
    assert found[:7] + found[8:] == ["fine"] * 49


def test_a_flat_background_proves_nothing(rooms: list[NDArray[np.float32]]) -> None:
    flat = np.ones((SIZE, SIZE), np.float32)
    _, mask = sample(rooms[0])
    assert faults_of([(flat, mask, 0)] * 6, made_reference([flat])) == ["fine"] * 6


def test_an_object_that_fills_the_frame(rooms: list[NDArray[np.float32]], reference: Reference) -> None:
    label, _ = sample(rooms[0])
    assert faults_of([(label, label > -1, 0)], reference) == ["fine"]


def test_the_summary_counts_faults() -> None:
    summary = summarise(np.array([1, 0.25, 0.25], np.float32), np.array([0, 1, 1], np.int8))
    assert (summary["fine"], summary["flat"], summary["mean_score"]) == (1, 2, 0.5)


def test_the_table_gets_columns_and_loses_them_again(dataset_copy: Path) -> None:
    path = dataset_copy / "samples.parquet"
    before, samples = path.read_bytes(), read_samples(path)
    rng = np.random.default_rng(0)
    scores = rng.random(len(samples)).astype(np.float32)
    faults = rng.integers(0, len(FAULTS), len(samples)).astype(np.int8)
    assert not has_scores(dataset_copy)
    with pytest.raises(MdeasError, match=r"no depth scores.*mdeas label-depth"):
        read_scores(dataset_copy)
    write_scores(dataset_copy, scores, faults)
    there = read_scores(dataset_copy)
    assert np.array_equal(there[0], scores)
    assert np.array_equal(there[1], faults)
    assert np.array_equal(read_samples(path).mask_area, samples.mask_area)
    once = hashlib.sha256(path.read_bytes()).hexdigest()
    write_scores(dataset_copy, 1 - scores, faults)
    write_scores(dataset_copy, scores, faults)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == once
    remove_scores(dataset_copy)
    assert path.read_bytes() == before
    remove_scores(dataset_copy)
    assert path.read_bytes() == before
    assert not list(dataset_copy.glob("*.part"))
    with pytest.raises(ValueError, match="expected 72 scores, got 2"):
        write_scores(dataset_copy, scores[:2], faults[:2])
