"""The engine on a real dask cluster on this machine: workers that die, lag behind or see other files."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mdeas import MdeasError
from mdeas.pipeline import cluster as cluster_module
from mdeas.pipeline import parallel
from mdeas.pipeline.composite import make_dataset
from mdeas.pipeline.options import LabelDepthConfig, MakeDatasetConfig, StatsConfig
from mdeas.pipeline.parallel import Cluster
from mdeas.pipeline.stats import compute_stats

distributed = pytest.importorskip("distributed")

Configure = Callable[..., MakeDatasetConfig]


@pytest.fixture(scope="module")
def dask_cluster() -> Iterator[Any]:
    """Two workers of two threads, brought back by their nannies; a death is blamed at once."""
    import dask

    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.deploy.lost-worker-timeout": "10 minutes",  # a busy machine is slow to bring one back
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs="CRITICAL"
        ) as running,
    ):
        yield running


@pytest.fixture
def address(dask_cluster: Any) -> str:
    return str(dask_cluster.scheduler_address)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _square(number: int) -> int:
    return number * number


def _sometimes(number: int) -> int:
    if number == 3:
        raise MdeasError("three: is bad; do not")
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _slow(number: int) -> int:
    time.sleep(0.05)
    return number


def test_every_task_gives_its_result(address: str, tmp_path: Path) -> None:
    there = Cluster(address, tmp_path)
    assert sorted(parallel.run(_square, range(60), 1, there)) == [number**2 for number in range(60)]
    assert list(parallel.run(_square, [], 1, there)) == []
    assert list(tmp_path.iterdir()) == []


def test_failures_are_named_and_the_others_done(address: str, tmp_path: Path) -> None:
    """One task raises, one always kills its worker; they go in groups of three, and share one."""
    done: list[int] = []
    with pytest.raises(MdeasError) as caught:
        for number in parallel.run(_sometimes, range(100), 1, Cluster(address, tmp_path)):
            done.append(number)
    assert sorted(done) == [number for number in range(100) if number not in (3, 5)]
    assert str(caught.value) == (
        "2 of 100 tasks failed, the others are done: 3: three: is bad; do not; "
        "5: its worker died each time: perhaps too little memory; "
        "run the same command again, it does only what is missing"
    )


def test_a_worker_killed_midway_costs_nothing(address: str, dask_cluster: Any, tmp_path: Path) -> None:
    results = parallel.run(_slow, range(60), 1, Cluster(address, tmp_path))
    done = [next(results) for _ in range(10)]
    os.kill(next(iter(dask_cluster.workers.values())).pid, signal.SIGKILL)
    assert sorted([*done, *results]) == list(range(60))


def test_data_set_and_figures_equal_one_machines(
    address: str, dask_cluster: Any, assets_dir: Path, tmp_path: Path, small_config: Configure
) -> None:
    """Five shards, made by threads of two processes, of which one is killed when the first is there."""
    one, two = (tmp_path / name for name in ("one", "two"))
    make_dataset(small_config(assets_dir, one, placements=200))

    def kill_one() -> None:
        while not any(two.glob("mask-*.zip")):
            time.sleep(0.01)
        if pid := next(iter(dask_cluster.workers.values())).pid:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    report = make_dataset(small_config(assets_dir, two, placements=200, scheduler=address))
    killer.join(timeout=10)
    assert report.made == report.samples == 4800
    compute_stats(StatsConfig(one, jobs=1))
    compute_stats(StatsConfig(two, scheduler=address))
    assert content(one) == content(two)


@pytest.mark.slow  # every worker loads torch
def test_depth_labels_equal_one_machines(
    address: str, recut: Callable[..., Path], dataset_dir: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from mdeas.pipeline.depth import label_depth

    one, two = (recut(dataset_dir, tmp_path / name, 14, 10) for name in ("one", "two"))
    config = LabelDepthConfig(one, micro_batch=4, device="cpu", runtime="torch", jobs=1)
    label_depth(config)
    report = label_depth(replace(config, dataset=two, scheduler=address))
    assert report.labelled == 14
    assert content(one) == content(two)


def test_what_is_missing_is_said_in_one_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def message(there: Cluster) -> str:
        with pytest.raises(MdeasError) as caught:
            list(parallel.run(_square, range(3), 1, there))
        return str(caught.value)

    monkeypatch.chdir(tmp_path)
    # Every process sees its own current folder there.
    own = Path("/proc/self/cwd")
    if own.exists():
        assert re.fullmatch(
            r"a worker does not see the same files: tcp://[\d.:]+ \(/proc/self/cwd\); use a path that .*",
            message(Cluster(address, own)),
        )
        (tmp_path / "weights").write_text("w")
        assert "(/proc/self/cwd/weights); use" in message(Cluster(address, tmp_path, (own / "weights",)))
    assert not list(tmp_path.glob(".token*"))
    with monkeypatch.context() as changed:
        changed.setattr(cluster_module, "versions", lambda: {"mdeas": "9.9"})
        assert re.search(
            r"another version: tcp://[\d.:]+ \(mdeas .+, here 9.9\)", message(Cluster(address, tmp_path))
        )
    with monkeypatch.context() as changed:
        changed.setitem(sys.modules, "distributed", None)
        assert "pip install 'mdeas[dask]'" in message(Cluster(address, tmp_path))
    monkeypatch.setattr(cluster_module, "CONNECT_S", 1)
    assert message(Cluster("tcp://127.0.0.1:9", tmp_path)).startswith("no dask cluster: tcp://127.0.0.1:9 (")
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty:
        assert message(Cluster(empty.scheduler_address, tmp_path)).startswith("the cluster has no workers: ")
