"""What is due, decided from the store and what Label Studio says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.labelstudio.config import parse
from backend.predictions.served import Serving
from backend.queue.cleanup import OldVersions
from backend.rounds.loop import Due, Reconciler
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State

CONFIG = (
    '<View><Text name="txt" value="$text"/><Choices name="label" toName="txt">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)


class Labels:
    """Label Studio's answers that a decision reads: tasks with their annotations."""

    def __init__(self, count: int, versions: Sequence[str] = ()) -> None:
        self.count = count
        self.versions = versions

    def version_counts(self, project: int) -> dict[str, int]:
        """Return predictions per version."""
        return dict.fromkeys(self.versions, 20)

    def annotated(self, project: int) -> Iterator[dict[str, Any]]:
        """Yield labelled tasks."""
        for task in range(self.count):
            value = {"choices": ["A" if task % 2 else "B"]}
            result = [{"from_name": "label", "type": "choices", "value": value}]
            yield {"id": task, "annotations": [{"result": result}]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, connected=True, label_config=CONFIG)
    yield opened
    opened.close()


def due(store: Store, labels: int, tasks: int = 200, **settings: Any) -> Due | None:
    """Return what is due when `labels` of `tasks` tasks are labelled."""
    config = Settings(data_dir=store.files, **settings)
    reconciler = Reconciler(store, config, Serving(store, config))
    remote = {
        "total_annotations_number": labels,
        "task_number": tasks,
        "label_config": CONFIG,
    }
    store.save_project(1, compared_annotations=-1)
    return reconciler._due(Labels(labels), store.project(1), remote)  # type: ignore[arg-type]


def commit(store: Store, kind: Kind, labels: int, strategy: str = "bmmal", **options: Any) -> None:
    """Commit a round over `labels` labels."""
    claim = store.claim(1, kind, strategy, "test", options)
    assert claim is not None
    trained = {
        str(
            task["id"]
        ): f"label={[str(task['annotations'][0]['result'][0]['value']['choices'][0])]}"
        for task in Labels(labels).annotated(1)
    }
    fields = {"trained_on": trained} if kind is Kind.TRAIN else {}
    store.commit(claim, tasks=200, schema=parse(CONFIG).schema.to_json(), **fields)


def kind_of(found: Due | None) -> Kind | None:
    """Return the kind of what is due."""
    return found.kind if found else None


def test_the_first_look_is_cold_unless_there_are_labels(store: Store) -> None:
    assert kind_of(due(store, 3)) is Kind.COLD
    assert kind_of(due(store, 20)) is Kind.TRAIN
    assert due(store, 0, tasks=0) is None


def test_new_labels_count_from_the_last_trained_round(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    assert due(store, 49) is None
    assert kind_of(due(store, 50)) is Kind.TRAIN
    assert kind_of(due(store, 10)) is Kind.TRAIN  # 20 were deleted
    assert kind_of(due(store, 35, retrain_after=5)) is Kind.TRAIN


def test_a_cancelled_round_needs_new_labels_to_come_again(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.claim(1, Kind.TRAIN, "bmmal", "test", {"new_labels": 25})
    store.cancel(1)
    assert due(store, 55) is None
    assert due(store, 74) is None
    assert kind_of(due(store, 75)) is Kind.TRAIN
    store.request(1, Kind.TRAIN, "asked for")
    assert kind_of(due(store, 55)) is Kind.TRAIN


def test_failures_are_retried_later_interruptions_at_once(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    for state, expected in ((State.INTERRUPTED, Kind.TRAIN), (State.FAILED, None)):
        claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
        assert claim is not None
        store.finish(claim, state, "why")
        assert kind_of(due(store, 60)) is expected


def test_another_strategy_or_many_new_tasks_rank_again(store: Store) -> None:
    commit(store, Kind.TRAIN, 30, configured="bmmal")
    assert due(store, 30) is None
    assert kind_of(due(store, 30, strategy="entropy")) is Kind.RANK
    assert due(store, 30, tasks=219) is None
    assert kind_of(due(store, 30, tasks=220)) is Kind.RANK


def test_a_ranking_asked_for_with_another_strategy_lasts(store: Store) -> None:
    commit(store, Kind.TRAIN, 30, configured="bmmal")
    commit(store, Kind.RANK, 30, strategy="entropy", configured="bmmal")
    assert due(store, 30) is None


def test_a_round_waits_while_old_versions_pile_up_in_label_studio(store: Store) -> None:
    settings = Settings(data_dir=store.files)
    old = OldVersions(store, settings, threading.Event())

    def piled_up(*others: str) -> bool:
        versions = [found.version for found in store.rounds(1)]
        return old.piled_up(Labels(0, [*versions, *others]), 1)  # type: ignore[arg-type]

    assert not piled_up("equipoise-r0001-a", "equipoise-r0002-a", "equipoise-r0003-a")
    for _ in range(settings.keep_versions + 2):
        commit(store, Kind.TRAIN, 30)
    assert not piled_up("somebody else's")
    assert piled_up("equipoise-r0099-failed")


def test_a_changed_config_trains_again(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    old = parse(CONFIG.replace('"B"', '"C"')).schema.to_json()
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    store.commit(claim, tasks=200, schema=old, trained_on=store.trained_on(1))
    found = due(store, 30)
    assert kind_of(found) is Kind.TRAIN
    assert found is not None
    assert "gained ['B'], lost ['C']" in found.cause


def test_what_a_person_asked_for_is_asked_again_until_a_round_did_it(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.request(1, Kind.TRAIN, "asked for")
    asked = due(store, 31)
    assert asked is not None
    for state in (State.INTERRUPTED, State.FAILED):
        claim = store.claim(1, Kind.TRAIN, "bmmal", asked.cause, {})
        assert claim is not None
        assert not store.project(1).requested
        store.finish(claim, state, "why")
        found = due(store, 31)
        # After a failure it waits like every retry; a new wish of a person does not.
        assert (found is None) == (state is State.FAILED)
    store.request(1, Kind.TRAIN, "asked for")
    assert kind_of(due(store, 31)) is Kind.TRAIN
    commit(store, Kind.TRAIN, 31)
    assert not store.project(1).requested


def test_a_round_whose_server_and_worker_died_is_ended_and_its_wish_kept(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.request(1, Kind.TRAIN, "asked for")
    claim = store.claim(1, Kind.TRAIN, "bmmal", "asked for", {})
    assert claim is not None
    store.bury(1)
    assert store.round(claim.round).state == State.RUNNING  # its lease holds
    store.renew(claim)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE rounds SET lease = 0 WHERE state = 'running'"))
    store.bury(1)
    assert store.round(claim.round).state == State.INTERRUPTED
    assert kind_of(due(store, 31)) is Kind.TRAIN
    store.cancel(1)
    assert due(store, 31) is None
