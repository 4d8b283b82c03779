"""An earlier round serves again: complete before it is named, and not undone by the next look."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import EquipoiseError
from backend.labelstudio.circuit import Circuits
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.predictions.served import Serving
from backend.queue import publish as publishing
from backend.queue.rollback import rollback
from backend.rounds.due import due
from backend.rounds.look import Look
from backend.rounds.loop import Reconciler
from backend.settings import Settings
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Kind, Round
from strategies import Pool, Selection
from tests.backend.studio import CONFIG, FakeStudio

SCHEMA = parse(CONFIG).schema


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a Label Studio with 10 open tasks."""
    with FakeStudio(10) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


def settings_of(store: Store, studio: FakeStudio) -> Settings:
    """Return settings that name the Label Studio of the test."""
    return Settings(label_studio_url=studio.url, api_key="key", data_dir=store.files)


def finish(store: Store, client: LabelStudio, order: list[int], strategy: str = "bmmal") -> Round:
    """Commit and publish a trained round that ranks tasks 1 to 10 in an order."""
    options = {"settings": {"publish": 5, "strategy": strategy}, "configured": strategy}
    claim = store.claim(1, Kind.TRAIN, strategy, "test", options)
    assert claim is not None
    found = store.round(claim.round)
    table = ranking.build(
        list(range(1, 11)),
        Pool(size=10),
        Selection(order=np.array(order), scores=np.zeros(10)),
        {"label": np.full((10, 2), 0.5)},
        SCHEMA,
        {"strategy": strategy, "round": found.number, "model_version": found.version},
    )
    ranking.save(table, store.ranking(found))
    rows = publishing.predictions(table, parse(CONFIG), found.version, 5, client.open_tasks(1))
    published = publishing.publish(client, 1, rows, found.version)
    store.commit(claim, schema=SCHEMA.to_json(), published=published, tasks=10)
    publishing.announce(client, Settings(), 1, 4, found.version)
    return store.round(claim.round)


@pytest.fixture
def client(studio: FakeStudio) -> Iterator[LabelStudio]:
    """Return a client of the Label Studio of the test."""
    with LabelStudio(studio.url, "key", attempts=1) as opened:
        yield opened


@pytest.fixture
def rounds(store: Store, client: LabelStudio) -> list[Round]:
    """Finish three rounds, each with another order."""
    return [finish(store, client, list(np.roll(range(10), shift))) for shift in range(3)]


def test_it_serves_again_and_its_predictions_were_kept(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    before = [p["id"] for p in studio.predictions]
    rollback(client, store, settings_of(store, studio), 1, rounds[1].version)
    assert [p["id"] for p in studio.predictions] == before
    assert studio.remote["model_version"] == studio.title == rounds[1].version
    owner = store.project(1)
    assert (owner.current, owner.announced) == (rounds[1].id, rounds[1].version)


def test_what_label_studio_lost_is_stored_before_the_version_is_named(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    version = rounds[0].version
    first = {p["task"]: p["score"] for p in studio.predictions if p["model_version"] == version}
    publishing.delete_version(client, 1, version)
    studio.tasks -= {2}  # deleted meanwhile
    rollback(client, store, settings_of(store, studio), 1, version)
    again = {p["task"]: p["score"] for p in studio.predictions if p["model_version"] == version}
    assert set(again) == (set(first) | {6}) - {2}  # the next one of the ranking moved up
    assert all(again[task] == first[task] for task in again if task in first)
    assert studio.named[-1] == (version, 5)


def test_broken_off_anywhere_it_leaves_a_complete_version_and_can_be_repeated(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    version, newest = rounds[0].version, rounds[2].version
    config = settings_of(store, studio)
    publishing.delete_version(client, 1, version)
    wanted = 0
    while True:  # Label Studio dies after 0, 1, 2, ... requests
        allowed = len(studio.requests) + wanted
        answer = studio.answer

        def dying(
            method: str, path: str, body: Any, *, left: int = allowed, real: Any = answer
        ) -> tuple[int, Any]:
            if len(studio.requests) > left:
                return 503, {"detail": "gone"}
            found: tuple[int, Any] = real(method, path, body)
            return found

        studio.answer = dying  # type: ignore[method-assign]
        try:
            rollback(client, store, config, 1, version)
            break
        except EquipoiseError:
            served = studio.remote["model_version"]
            assert served in (version, newest)
            assert studio.count(served) == 5
        finally:
            studio.answer = answer  # type: ignore[method-assign]
        wanted += 1
    assert wanted >= 4
    assert studio.remote["model_version"] == version
    assert studio.count(version) == 5


def test_the_next_look_does_not_undo_it(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    config = settings_of(store, studio)
    finish(store, client, list(range(10)), strategy="entropy")  # and the setting is bmmal
    studio.remote["task_number"] = 40  # 30 more than the rounds have seen
    rollback(client, store, config, 1, rounds[0].version)
    store.save_project(1, compared_annotations=0, compared=2e9)
    reconciler = Reconciler(store, config, Serving(store, config))
    for _ in range(2):
        reconciler.look(1)
        current = store.current(1)
        assert current is not None
        assert current.version == studio.remote["model_version"] == rounds[0].version
        assert store.running(1) is None
        assert store.project(1).problem == ""
    assert studio.count(rounds[0].version) == 5
    studio.remote["task_number"] = 60
    found = due(Look(store, config, Circuits()).facts(client, store.project(1), client.project(1)))
    assert found is not None
    assert found.cause == "20 new tasks"
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    assert store.round(claim.round).number == 5
    store.commit(claim)
    assert store.project(1).rolled_back == {}


def test_a_ranking_of_a_rolled_back_model_has_its_number(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    rollback(client, store, settings_of(store, studio), 1, rounds[0].version)
    claim = store.claim(1, Kind.RANK, "grace", "test", {})
    assert claim is not None
    assert store.round(claim.round).version == "equipoise-r0001-grace"


def test_only_what_is_still_on_disk_is_offered(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    shutil.rmtree(store.path(rounds[0].folder))
    offered = rf"Available: {rounds[2].version}, {rounds[1].version}\."
    for version in (rounds[0].version, "equipoise-r0009-bmmal"):
        with pytest.raises(EquipoiseError, match=offered):
            rollback(client, store, settings_of(store, studio), 1, version)


def test_a_running_round_is_not_overtaken(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    with pytest.raises(EquipoiseError, match="equipoise cancel --project 1"):
        rollback(client, store, settings_of(store, studio), 1, rounds[0].version)
    assert studio.remote["model_version"] == rounds[2].version


def test_a_round_of_another_label_config_is_refused(
    store: Store, studio: FakeStudio, client: LabelStudio, rounds: list[Round]
) -> None:
    studio.remote["label_config"] = CONFIG.replace('"B"', '"C"')
    with pytest.raises(EquipoiseError, match="another label config"):
        rollback(client, store, settings_of(store, studio), 1, rounds[0].version)
    assert store.project(1).current == rounds[2].id
