# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds that judge labels: wrong ones come first, and sure answers may be accepted."""

from __future__ import annotations

import numpy as np

from backend.page.review import review
from backend.page.status import status
from backend.settings import Settings
from backend.store import judgements
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.rounds.played import (
    Run,
    annotation,
    config,
    label,
    queue,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio

AUTO = {"preset": "auto", "overrides": {}}


def test_wrong_labels_are_found_and_sure_answers_may_be_accepted(
    studio: FakeStudio, store: Store, run: Run, config: Settings
) -> None:
    studio.annotations.clear()
    order = queue(studio, run(Kind.COLD, "random").version)
    label(studio, *order[:66])
    other = {"A": "B", "B": "A"}
    wrong = order[3:6]
    for task in wrong:
        studio.annotations[task] = [annotation(task, other[truth(task)], completed_by=7)]
    for task in order[10:30]:
        studio.annotations[task] = [
            annotation(task, truth(task), completed_by=7),
            annotation(task, truth(task), completed_by={"id": 8, "email": "a@b.c"}),
        ]
    found = run(Kind.TRAIN, "random", **AUTO)
    table = judgements.load(store, found.checkpoint)
    assert table is not None
    assert sorted(table.column("task").to_pylist()) == sorted(order[:66])
    assert table.column("audit").to_numpy().all(), "in a random order all are by chance"
    shown = review(store, config, 1, 3)
    assert {row["task"] for row in shown["labels"]} == set(wrong)
    assert all(row["suspect"] and row["given"] != row["likely"] for row in shown["labels"])
    assert shown["labels"][0]["url"].endswith(f"/projects/1/data?task={shown['labels'][0]['task']}")
    about = found.measured["review"]["questions"]["label"]
    assert (about["several"], about["alpha"]) == (20, 1.0)
    assert about["annotators"]["7"]["labels"] == 23
    assert about["annotators"]["7"]["suspect"] == 3
    assert about["annotators"]["8"]["agree"] == [1.0, 1.0, 1.0]
    told = status(store, config, 1)
    assert told["look_again"].startswith("3 of 66 labels are likely wrong")
    assert told["measured"]["accept"]["pool"] == 24
    again = run(Kind.RANK, "random", **AUTO)
    assert again.measured["accept"]["pool"] == 24, "a new order has its own offer"
    for task in wrong:
        label(studio, task)
    found = run(Kind.TRAIN, "random", **AUTO)
    accept = found.measured["accept"]
    assert accept["tasks"] > 10, accept
    assert accept["sentence"].startswith(f"at 95% correct, {accept['tasks']} of 24 tasks")
    assert accept["wrong"] == 0
    assert np.isclose(sum(of["tasks"] for of in accept["classes"].values()), accept["tasks"])


def test_a_network_without_members_judges_what_measures_it(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    found = run(Kind.TRAIN, "entropy")
    table = judgements.load(store, found.checkpoint)
    assert table is not None
    assert table.num_rows == 0
    assert found.measured["accept"]["sentence"].startswith("not known yet: 0 of at least 45")
