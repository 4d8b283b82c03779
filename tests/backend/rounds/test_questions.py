"""Rounds of projects that ask several questions of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.config import parse
from backend.labelstudio.votes import label_arrays
from backend.page.status import status
from backend.rounds import audit
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.rounds.played import (
    LABELLED,
    Run,
    config,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio

__all__ = ["config", "run", "store", "studio"]

THREE = (
    '<View><Image name="i" value="$image"/><Text name="t" value="$text"/>'
    '<Choices name="label" toName="i"><Choice value="A"/><Choice value="B"/></Choices>'
    '<Choices name="third" toName="i" choice="multiple" required="true">'
    '<Choice value="one"/><Choice value="two"/></Choices>'
    '<Rating name="stars" toName="i"/></View>'
)


def item(name: str, kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "i", "type": kind, "value": {key: value}}


def answered(task: int, *, stars: bool = True, third: bool = True) -> dict[str, Any]:
    result = [item("label", "choices", "choices", [truth(task)])]
    if third:
        marks = ["one"] if truth(task) == "A" else ["one", "two"]
        result.append(item("third", "choices", "choices", marks))
    if stars:
        result.append(item("stars", "rating", "rating", 5 if truth(task) == "A" else 1))
    return {"id": task, "result": result}


@pytest.fixture
def asked(studio: FakeStudio, store: Store) -> FakeStudio:
    studio.remote["label_config"] = THREE
    store.save_project(1, label_config=THREE)
    for task in range(1, LABELLED + 1):
        studio.annotations[task] = [answered(task, stars=task <= 56, third=task % 2 == 0)]
    return studio


@pytest.mark.parametrize("preset", ["quick", "auto"])
def test_every_question_is_pre_annotated_and_measured(
    asked: FakeStudio,
    store: Store,
    config: Settings,
    run: Run,
    preset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = lambda run, fetched: np.ones(len(fetched.labelled), bool)  # noqa: E731
    monkeypatch.setattr(audit, "audited", every)
    monkeypatch.setattr(audit, "_MOST_HELD", 0.5)
    overrides = {} if preset == "auto" else {"epochs": 4, "min_steps": 80, "projection": 16}
    found = run(Kind.TRAIN, preset=preset, overrides=overrides)
    said = {row["task"]: row["result"] for row in asked.predictions}
    right = dict.fromkeys(("label", "stars"), 0)
    for task, result in said.items():
        answers = {one["from_name"]: one["value"] for one in result}
        assert answers.keys() == {"label", "third", "stars"}
        right["label"] += answers["label"]["choices"] == [truth(task)]
        right["stars"] += answers["stars"]["rating"] == (5 if truth(task) == "A" else 1)
    assert min(right.values()) > 0.8 * len(said)
    table = rankings.load(store.ranking(found))
    assert {"predicted", "predicted@third", "predicted@stars", "probability@third"} <= set(
        table.column_names
    )
    told = status(store, config, 1)["questions"]
    assert {name: (one["waits"], one["labels"]) for name, one in told.items()} == {
        "label": (False, LABELLED),
        "third": (False, LABELLED // 2),
        "stars": (False, 56),
    }
    measured = found.measured["questions"]
    assert measured["label"]["accuracy"][0] > 0.8
    assert measured.keys() >= {"label", "stars"}
    assert measured["stars"]["mae"][0] < 2


@pytest.mark.parametrize("strategy", ["bmmal", "grace", "entropy", "bald", "u_herding", "auto"])
def test_a_question_without_labels_waits_and_stops_no_other(
    asked: FakeStudio, store: Store, config: Settings, run: Run, strategy: str
) -> None:
    for task in range(1, LABELLED + 1):
        asked.annotations[task] = [answered(task, stars=False, third=True)]
    found = run(Kind.TRAIN, strategy, preset="auto", overrides={})
    told = status(store, config, 1)["questions"]
    assert (told["stars"]["waits"], told["stars"]["labels"]) == (True, 0)
    assert not told["label"]["waits"]
    for row in asked.predictions:
        assert {one["from_name"] for one in row["result"]} == {"label", "third"}
    again = run(Kind.RANK, strategy, preset="auto", overrides={})
    assert again.number == found.number


def test_where_the_first_question_waits_the_others_are_learned(
    asked: FakeStudio, store: Store, config: Settings, run: Run
) -> None:
    for task in range(1, LABELLED + 1):
        one = answered(task)
        one["result"] = one["result"][1:]
        asked.annotations[task] = [one]
    run(Kind.TRAIN, "entropy", preset="auto", overrides={})
    told = status(store, config, 1)
    assert told["questions"]["label"]["waits"]
    assert not told["questions"]["third"]["waits"]
    for row in asked.predictions:
        assert {one["from_name"] for one in row["result"]} == {"third", "stars"}


def test_what_is_not_answered_is_unknown_and_not_none_of_them() -> None:
    parsed = parse(THREE)
    tasks = [
        {"id": 1, "annotations": [answered(1, third=False)]},
        {"id": 2, "annotations": [answered(2, stars=False)]},
    ]
    found = label_arrays(read_tasks(tasks, parsed).labelled, parsed.schema.targets)
    assert np.isnan(found["third"][0]).all()
    assert found["third"][1].tolist() == [1, 1]
    assert np.isnan(found["stars"][1])
