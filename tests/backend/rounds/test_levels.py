# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds of projects that learn nothing, or something else than a choice."""

from __future__ import annotations

import numpy as np

from backend.rounds.due import Due
from backend.rounds.start import claim_round
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.rounds.played import (
    LABELLED,
    OPEN,
    Run,
    check_served,
    config,
    queue,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio


def ask(studio: FakeStudio, store: Store, control: str) -> None:
    """Let the project ask something else about its texts; nothing is annotated yet."""
    text = f'<View><Text name="t" value="$text"/>{control}</View>'
    studio.remote["label_config"] = text
    studio.annotations.clear()
    store.save_project(1, label_config=text)


def test_free_text_covers_the_pool_and_what_is_annotated(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    ask(studio, store, '<TextArea name="c" toName="t"/>')
    first = run(Kind.COLD, "max_herding")
    check_served(studio, store, first, studio.tasks)
    assert first.strategy == "max_herding"
    result = [{"from_name": "c", "type": "textarea", "value": {"text": ["so it is"]}}]
    sunny = [task for task in studio.tasks if truth(task) == "A"][:20]
    studio.annotations = {task: [{"id": task, "result": result}] for task in sunny}
    again = run(Kind.COLD, "max_herding")
    check_served(studio, store, again, studio.tasks - set(sunny))
    assert (again.strategy, again.labels, again.checkpoint) == ("max_herding", 20, "")
    assert truth(queue(studio, again.version)[0]) == "B", "what is unlike the annotated comes first"
    assert store.trained_on(1) == dict.fromkeys(map(str, sunny), "annotated")
    assert all(row["result"] == [] for row in studio.predictions)


def test_a_wish_to_train_what_cannot_be_learned_covers(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    ask(studio, store, '<TextArea name="c" toName="t"/>')
    found = run(Kind.TRAIN, "max_herding")
    check_served(studio, store, found, studio.tasks)
    assert found.checkpoint == ""


def test_which_labels_occur_orders_the_queue_and_pre_annotates_nothing(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    labels = '<Label value="sun"/><Label value="rain"/>'
    ask(studio, store, f'<Labels name="c" toName="t">{labels}</Labels>')
    for task in range(1, LABELLED + 1):
        word = "sun" if truth(task) == "A" else "rain"
        value = {"start": 0, "end": 3, "labels": [word]}
        result = [{"from_name": "c", "to_name": "t", "type": "labels", "value": value}]
        studio.annotations[task] = [{"id": task, "result": result}]
    found = run(Kind.TRAIN)
    check_served(studio, store, found, OPEN)
    assert all(row["result"] == [] for row in studio.predictions)
    table = rankings.load(store.ranking(found))
    said = dict(zip(*(table.column(c).to_pylist() for c in ("task", "predicted")), strict=True))
    right = [said[task] == ("sun" if truth(task) == "A" else "rain") for task in OPEN]
    assert np.mean(right) > 0.8


def test_a_rating_alone_is_ranked_with_default_settings(
    studio: FakeStudio, store: Store, run: Run, config: Settings
) -> None:
    ask(studio, store, '<Rating name="c" toName="t" maxRating="10"/>')
    for task in range(1, LABELLED + 1):
        value = {"rating": 9 if truth(task) == "A" else 2}
        result = [{"from_name": "c", "to_name": "t", "type": "rating", "value": value}]
        studio.annotations[task] = [{"id": task, "result": result}]
    claim = claim_round(store, config, 1, Due(Kind.TRAIN, "60 new labels"))
    assert claim is not None
    begun = store.round(claim.round)
    assert begun.strategy == begun.options["settings"]["strategy"] == "auto"
    store.finish(claim, State.INTERRUPTED, "the test runs it itself")
    found = run(Kind.TRAIN, "auto")
    check_served(studio, store, found, OPEN)
