"""What is due, decided from the store and what Label Studio says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.circuit import Circuits
from backend.labelstudio.config import parse
from backend.rounds.due import Due
from backend.rounds.due import due as decide
from backend.rounds.look import Look
from backend.settings import Settings
from backend.store import claims
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
        self.read = 0

    def version_counts(self, project: int) -> dict[str, int]:
        """Return predictions per version."""
        return dict.fromkeys(self.versions, 20)

    def annotated(self, project: int) -> Iterator[dict[str, Any]]:
        """Yield labelled tasks."""
        self.read += 1
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
    config = Settings(data_dir=store.files, **{"strategy": "bmmal", **settings})
    remote = {
        "total_annotations_number": labels,
        "task_number": tasks,
        "label_config": CONFIG,
    }
    store.save_project(1, compared_annotations=-1)
    look = Look(store, config, Circuits())
    for found in store.rounds(1):
        if found.state == State.DONE:
            store.ranking(found).parent.mkdir(parents=True, exist_ok=True)
            store.ranking(found).touch()
    return decide(look.facts(Labels(labels), store.project(1), remote))  # type: ignore[arg-type]


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
        wish = store.project(1).requested
        claim = store.claim(1, Kind.TRAIN, "bmmal", asked.cause, {}, wish=wish)
        assert claim is not None
        assert not store.project(1).requested
        store.finish(claim, state, "why")
        found = due(store, 31)
        # After a failure it waits like every retry; a new wish of a person does not.
        assert (found is None) == (state is State.FAILED)
    store.request(1, Kind.TRAIN, "asked for")
    assert kind_of(due(store, 31)) is Kind.TRAIN
    claim = store.claim(1, Kind.TRAIN, "bmmal", "", {}, wish=store.project(1).requested)
    assert claim is not None
    store.commit(claim)
    assert not store.project(1).requested


def test_a_wish_outlives_a_round_that_began_for_another_reason(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.request(1, Kind.RANK, "asked for", strategy="entropy")
    commit(store, Kind.TRAIN, 50)
    assert kind_of(due(store, 50)) is Kind.RANK
    wish = store.project(1).requested
    store.request(1, Kind.TRAIN, "asked for while that round was being claimed")
    assert store.claim(1, Kind.RANK, "entropy", "", {}, wish=wish)
    assert store.project(1).requested["kind"] == Kind.TRAIN


def test_a_wish_that_cannot_be_fulfilled_is_told_and_dropped(store: Store) -> None:
    store.request(1, Kind.RANK, "asked for")
    wish = store.project(1).requested
    claim = store.claim(1, Kind.RANK, "bmmal", "asked for", {}, wish=wish)
    assert claim is not None
    store.finish(claim, State.FAILED, "There is no trained model yet.", lasting=True)
    assert store.project(1).requested == {}
    assert kind_of(due(store, 20)) is Kind.TRAIN


def test_a_wish_that_failed_gives_way_to_new_labels(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.request(1, Kind.RANK, "asked for")
    for _ in range(3):
        wish = store.project(1).requested
        claim = store.claim(1, Kind.RANK, "bmmal", "asked for", {}, wish=wish)
        assert claim is not None
        store.finish(claim, State.FAILED, "HTTP 503")
    assert due(store, 49) is None, "it waits, as its kind has failed"
    assert kind_of(due(store, 50)) is Kind.TRAIN, "and nobody waits for it"


def test_the_label_that_was_missing_starts_a_round_at_once(store: Store) -> None:
    commit(store, Kind.COLD, 0)
    options = {"labels_then": 20, "new_labels": 20}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "20 new labels", options)
    assert claim is not None
    store.finish(claim, State.FAILED, "All labels are 'A'.", lasting=True)
    assert due(store, 20) is None
    assert kind_of(due(store, 21)) is Kind.TRAIN


def test_a_cancel_that_comes_too_late_leaves_the_round_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    seen = store.running(1)
    store.commit(claim)  # after `cancel` has read that the round runs
    monkeypatch.setattr(claims, "running_round", lambda *_: seen)
    assert store.cancel(1) is None
    assert store.round(claim.round).state == State.DONE


def test_labels_are_compared_once_for_the_events_and_the_count_of_the_same(store: Store) -> None:
    commit(store, Kind.TRAIN, 30)
    store.save_project(1, new_labels=0, compared_annotations=30, compared=time.time(), changes=19)
    look = Look(store, Settings(data_dir=store.files), Circuits())
    remote = {"total_annotations_number": 49, "task_number": 200, "label_config": CONFIG}
    asked = Labels(49)
    assert look.facts(asked, store.project(1), remote).new_labels == 0  # type: ignore[arg-type]
    assert asked.read == 0
    store.mark_changed(1)
    remote["total_annotations_number"] = 50
    asked = Labels(50)
    assert look.facts(asked, store.project(1), remote).new_labels == 20  # type: ignore[arg-type]
    assert asked.read == 1


@pytest.mark.parametrize(("ago", "read"), [(590, 0), (610, 1), (-610, 1)])
def test_labels_are_compared_now_and_then_though_nothing_says_that_they_changed(
    store: Store, ago: float, read: int
) -> None:
    """An event may be lost, an answer corrected without another count, a clock set back."""
    commit(store, Kind.TRAIN, 30)
    compared = time.time() - ago
    store.save_project(1, new_labels=0, compared_annotations=30, compared=compared, changes=0)
    look = Look(store, Settings(data_dir=store.files), Circuits())
    remote = {"total_annotations_number": 30, "task_number": 200, "label_config": CONFIG}
    asked = Labels(30)
    look.facts(asked, store.project(1), remote)  # type: ignore[arg-type]
    assert asked.read == read
    later = store.project(1)
    assert (abs(later.compared - time.time()) < 30) is bool(read)
