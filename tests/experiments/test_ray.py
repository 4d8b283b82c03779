"""Replays on real Ray nodes: the same cells, and a node that dies costs its work only."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks._ray_nodes import KILLS, Nodes, nodes
from experiments import running
from experiments.cells import Cells
from model import cluster as clusters
from tests.experiments.conftest import make_replay
from tests.needs_ray import needs_ray

pytestmark = [needs_ray, pytest.mark.timeout(900)]
CONTENDERS = ("random", "bmmal", "grace")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Run a head of one processor."""
    with nodes() as found:
        yield found


def cells(folder: Path) -> dict[str, Any]:
    """Return every measurement of a replay, without how long it took."""
    found = {}
    for path in sorted((folder / "cells").glob("*/*.json")):
        cell = json.loads(path.read_text())
        del cell["seconds"]
        found[f"{path.parent.name}/{path.name}"] = cell
    return found


@pytest.mark.parametrize("turn", range(KILLS))
def test_cells_are_the_same_and_a_killed_node_costs_its_work_only(
    cluster: Nodes, tmp_path: Path, turn: int
) -> None:
    here = make_replay(tmp_path / "here", contenders=CONTENDERS, run=False)
    there = make_replay(tmp_path / "there", contenders=CONTENDERS, run=False)
    running.run(here, workers=1)
    node = cluster.add()
    killed = threading.Event()

    def kill() -> None:
        while Cells(there).count() <= turn:  # each time somewhere else
            time.sleep(0.05)
        cluster.kill(node)
        killed.set()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    running.run(there, ray=cluster.address)
    killer.join(60)
    assert killed.is_set()
    assert len(cells(here)) == 24
    assert cells(there) == cells(here)


def test_work_that_kills_its_worker_each_time_is_given_up(
    cluster: Nodes,
) -> None:
    with (
        clusters.connected(cluster.address) as ray,
        pytest.raises(clusters.NodeLost),
    ):
        list(clusters.each(ray, os_exit, [(3,)], name="dies", tries=2))


def os_exit(code: int) -> None:
    """End the worker."""
    import os

    os._exit(code)
