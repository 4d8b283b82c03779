"""Rounds on real Ray nodes: the same ranking, the same fencing, and no secret on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from backend.labelstudio.client import LabelStudio
from backend.predictions.served import Serving
from backend.rounds import encode_ray
from backend.rounds.context import Run
from backend.rounds.encode import encode
from backend.rounds.executor import Workers
from backend.rounds.fetch import fetch
from backend.rounds.loop import Reconciler
from backend.rounds.ray_job import WAITING
from backend.settings import ProjectSettings, Settings, settings
from backend.store.store import Claim, Store
from backend.store.tables import Kind, Round, State
from benchmarks._ray_nodes import KILLS, Nodes, nodes
from model.cache import FeatureCache
from tests.backend.rounds.played import CONFIG, LABELLED, data, label
from tests.backend.studio import FakeStudio
from tests.needs_ray import needs_ray

pytestmark = [needs_ray, pytest.mark.timeout(900)]
TASKS = encode_ray.PART + 44  # two parts
KEY = "a-key-that-ray-must-not-see"
SMALL = {"epochs": 4, "min_steps": 80, "projection": 16}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Run two nodes of one processor, which have the token in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_API_KEY", KEY)
        with nodes() as running:
            running.add()
            yield running


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of pictures with texts; the first tasks are labelled."""
    with FakeStudio(TASKS) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: data(task) for task in running.tasks}
        label(running, *range(1, LABELLED + 1))
        yield running


@pytest.fixture
def make(
    studio: FakeStudio, cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Workers, Store]]]:
    """Return `make(executor)`: workers and a store with the connected project 1."""
    made: list[tuple[Workers, Store]] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray has it on a node

    def make_one(executor: str) -> tuple[Workers, Store]:
        values = {
            "label_studio_url": studio.url,
            "api_key": KEY,
            "min_free_bytes": "0",
            "data_dir": str(tmp_path / executor),
            "device": "cpu",
            "executor": executor,
            "ray_address": cluster.address,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
        config = Settings()
        store = Store(config.database, config.data_dir)
        store.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
        made.append((Workers(store, config), store))
        return made[-1]

    yield make_one
    for workers, store in made:
        workers.stop()
        store.close()


def begin(workers: Workers, store: Store) -> Claim:
    """Claim a round of training, and start it."""
    options = {"settings": ProjectSettings(preset="quick", overrides=SMALL).model_dump()}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    assert workers.start(1, claim)
    return claim


def until(what: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 600
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_round_on_ray_ranks_as_here_and_no_secret_travels(
    make: Callable[[str], tuple[Workers, Store]], cluster: Nodes, studio: FakeStudio
) -> None:
    tables = []
    for executor in ("process", "ray"):
        workers, store = make(executor)
        studio.predictions.clear()
        claim = begin(workers, store)
        until(lambda w=workers: w.ended(1) is not None)
        found = store.round(claim.round)
        assert (found.state, found.error) == (State.DONE, "")
        assert len({row["task"] for row in studio.predictions}) == len(studio.predictions)
        tables.append(pq.read_table(store.path(found.folder) / "ranking.parquet"))
    assert tables[0].equals(tables[1])
    assert list(Path(cluster.logs).rglob("_ray_pkg_*")) == [], "no folder of ours travels either"
    written = [p for p in Path(cluster.logs).rglob("*") if p.is_file()]
    assert any(b"encoding on ray" in path.read_bytes() for path in written)
    for path in written:
        text = path.read_bytes()
        assert KEY.encode() not in text, path
        assert claim.token.encode() not in text, path


def test_a_cancelled_round_ends_on_its_node(
    make: Callable[[str], tuple[Workers, Store]],
) -> None:
    workers, store = make("ray")
    claim = begin(workers, store)
    until(lambda: store.round(claim.round).phase not in ("", WAITING))
    process = workers._running[1].process
    assert store.cancel(1) is not None
    workers.cancel(1)
    assert process.wait(timeout=60) in (3, 4)
    assert store.round(claim.round).state == State.CANCELLED
    again = begin(workers, store)  # and the node is free again
    until(lambda: workers.ended(1) is not None)
    assert store.round(again.round).state == State.DONE


def test_a_stopped_server_says_so_and_a_waiting_round_keeps_its_lease(
    make: Callable[[str], tuple[Workers, Store]],
) -> None:
    workers, store = make("ray")
    claim = begin(workers, store)
    until(lambda: store.round(claim.round).phase == WAITING)
    lease = store.round(claim.round).lease
    assert lease > time.time()
    workers.stop()
    assert store.round(claim.round).state == State.INTERRUPTED


def encoded(store: Store, config: Settings, studio: FakeStudio) -> dict[str, dict[bytes, bytes]]:
    """Encode all tasks as a round does; return the feature cache: encoder -> key -> array."""
    options = ProjectSettings()
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {"settings": options.model_dump()})
    assert claim is not None
    with LabelStudio.of(config) as client:
        run = Run(store, config, client, claim, store.round(claim.round), options)
        fetched = fetch(client, run.mirror, 1)
        inputs = encode(run, fetched, sorted(fetched.tasks))
    assert inputs.present.all()
    store.finish(claim, State.DONE)
    found = {}
    cache = FeatureCache(config.cache)
    for info in cache.describe():
        shards = cache.store(info.fingerprint).shards
        found[info.fingerprint] = {
            key: shard.values[row].tobytes()
            for shard in shards
            for row, key in enumerate(shard.whole_keys())
        }
    return found


def test_nodes_encode_what_the_round_would_bit_for_bit(
    make: Callable[[str], tuple[Workers, Store]],
    studio: FakeStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encode_ray, "PART", 32)  # whole batches of every network
    torch.set_num_threads(1)
    found = []
    for executor in ("process", "ray"):
        _, store = make(executor)
        settings.cache_clear()
        found.append(encoded(store, settings(), studio))
    settings.cache_clear()
    assert [len(keys) for keys in found[0].values()] == [TASKS, TASKS]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def headed() -> Iterator[Nodes]:
    """Run a head that runs nothing itself: what it is given goes to nodes that can be killed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_API_KEY", KEY)
        with nodes(0) as running:
            yield running


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("phase", ["encode", "train"])
@pytest.mark.parametrize("turn", range(KILLS))
def test_a_round_whose_node_is_killed_is_made_again(
    phase: str,
    turn: int,
    headed: Nodes,
    studio: FakeStudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        "label_studio_url": studio.url,
        "api_key": KEY,
        "min_free_bytes": "0",
        "data_dir": str(tmp_path),
        "device": "cpu",
        "executor": "ray",
        "ray_address": headed.address,
        "preset": "quick",
        "overrides": json.dumps(SMALL),
        "poll_seconds": "1",
        "publish": str(TASKS),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    studio.remote["total_annotations_number"] = LABELLED
    config = Settings()
    store = Store(config.database, config.data_dir)
    store.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    loop = Reconciler(store, config, Serving(store, config))
    node = headed.add()
    loop.start()
    try:
        until(lambda: [one for one in store.rounds(1) if one.phase == phase])
        headed.kill(node)
        node = headed.add()
        until(lambda: store.rounds(1)[0].state != State.RUNNING)
        # A cold round may come first, as a round that failed waits a little.
        until(lambda: trained(store))
    finally:
        loop.stop()
        headed.kill(node)
    first = store.rounds(1)[0]
    assert first.state in (State.FAILED, State.INTERRUPTED), first.error
    (done,) = trained(store)
    assert (done.labels, done.pool) == (LABELLED, TASKS - LABELLED)
    assert set(store.trained_on(1)) == {str(task) for task in range(1, LABELLED + 1)}
    served = [row["task"] for row in studio.predictions if row["model_version"] == done.version]
    assert sorted(served) == list(range(LABELLED + 1, TASKS + 1))
    told = [(row["model_version"], row["task"]) for row in studio.predictions]
    assert len(set(told)) == len(told)
    store.close()


def trained(store: Store) -> list[Round]:
    """Return the rounds of training that were finished."""
    found = store.rounds(1)
    return [one for one in found if one.kind == Kind.TRAIN and one.state == State.DONE]
