# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds that draw tasks by chance, and measure their model on these alone."""

from __future__ import annotations

import numpy as np
import pytest

from backend.rounds import audit
from backend.settings import ProjectSettings
from backend.store import export, rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round, State
from model.inputs import Inputs
from model.measuring import ENOUGH
from tests.backend.rounds.played import (
    OPEN,
    TASKS,
    Run,
    annotation,
    config,
    data,
    label,
    queue,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many labels each model has learned from that was trained beside a round's own."""
    found: list[int] = []
    real = audit.learn

    def counted(run: object, inputs: Inputs, *rest: object) -> object:
        found.append(inputs.size)
        return real(run, inputs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(audit, "learn", counted)
    return found


def drawn(store: Store, found: Round) -> list[int]:
    """Return the tasks of a ranking that chance chose."""
    table = rankings.load(store.ranking(found))
    return list(table.filter(table.column("audit")).column("task").to_pylist())


def test_a_share_of_every_order_is_drawn_and_marked(
    studio: FakeStudio,
    store: Store,
    run: Run,
) -> None:
    studio.annotations.clear()
    cold = run(Kind.COLD, "max_herding", audit_share=0.2)
    chosen = drawn(store, cold)
    assert len(chosen) == TASKS * 0.2
    assert store.drawn(1) == set(chosen)
    places = np.sort([queue(studio, cold.version).index(task) for task in chosen])
    assert np.diff(places).tolist() == [5] * (len(chosen) - 1), "evenly among the others"
    label(studio, *range(1, 61))
    found = run(Kind.TRAIN, "auto", preset="auto", overrides={}, audit_share=0.2)
    again = drawn(store, found)
    assert set(again) >= set(chosen) & OPEN, "who was drawn and is not labelled stays in line"
    table = rankings.load(store.ranking(found))
    why = dict(zip(table.column("task").to_pylist(), table.column("why").to_pylist(), strict=True))
    assert all(why[task].startswith("Drawn by chance") for task in again)
    assert all(text.endswith(".") for text in why.values())
    assert {"audit", "why"} <= set(export.flat(table).column_names)


def test_nothing_is_told_before_chance_has_chosen_enough(
    studio: FakeStudio,
    store: Store,
    run: Run,
) -> None:
    studio.annotations.clear()
    order = queue(studio, run(Kind.COLD, "random").version)
    label(studio, *order[: ENOUGH - 1])
    found = run(Kind.TRAIN, "random", preset="auto", overrides={})
    assert (found.measured["audited"], found.measured["questions"]) == (ENOUGH - 1, {})
    label(studio, *order[:30])
    found = run(Kind.TRAIN, "random", preset="auto", overrides={})
    measured = found.measured
    assert measured["audited"] == 30, "in a random order every label is one by chance"
    value, low, high = measured["questions"]["label"]["accuracy"]
    assert low < value <= high
    assert value > 0.8
    assert measured["questions"]["label"]["n"] == 30
    assert measured["modalities"].keys() == {"i", "t"}
    assert sum(measured["counts"]["label"].values()) == 30


def test_a_network_without_members_is_trained_again_without_what_measures_it(
    studio: FakeStudio, run: Run, sizes: list[int]
) -> None:
    studio.annotations.clear()
    studio.tasks = set(range(1, 131))
    studio.data = {task: data(task) for task in studio.tasks}
    order = queue(studio, run(Kind.COLD, "random").version)
    label(studio, *order[:95])
    assert run(Kind.TRAIN, "random").measured["questions"] == {}, "a fifth of 95 is too few"
    assert sizes == []
    label(studio, *order[:110])
    found = run(Kind.TRAIN, "random")
    assert sizes == [88]
    assert found.measured["audited"] == 110
    assert found.measured["questions"]["label"]["n"] == 22
    assert found.measured["questions"]["label"]["accuracy"][0] > 0.8


@pytest.mark.parametrize("strategy", ["auto", "margin"])
def test_what_chance_chose_has_no_say_in_what_is_labelled_next(
    studio: FakeStudio, store: Store, run: Run, strategy: str
) -> None:
    studio.annotations.clear()
    order = queue(studio, run(Kind.COLD, "max_herding", audit_share=0.2).version)
    label(studio, *order[:60])
    options = {"preset": "auto", "overrides": {}, "audit_share": 0.05, "once": False}
    found = run(Kind.TRAIN, strategy, **options)
    chosen = store.drawn(1) & set(order[:60])
    assert len(chosen) == 12
    for task in chosen:  # annotators may say of these what they like
        other = "B" if truth(task) == "A" else "A"
        studio.annotations[task] = [annotation(task, other)]
    again = run(Kind.TRAIN, strategy, **options)
    tables = [rankings.load(store.ranking(each)) for each in (found, again)]
    drawn_too = set(drawn(store, found)) | set(drawn(store, again))
    orders = [[t for t in x.column("task").to_pylist() if t not in drawn_too] for x in tables]
    assert orders[0] == orders[1]
    sure = [
        sorted(zip(*(x[c].to_pylist() for c in ("task", "probability")), strict=True))
        for x in tables
    ]
    assert sure[0] != sure[1], "but what is predicted has been learned from them, too"


def test_what_measures_is_what_chooses_where_it_may_be_done_without(
    studio: FakeStudio, run: Run, sizes: list[int]
) -> None:
    studio.annotations.clear()
    studio.tasks = set(range(1, 131))
    studio.data = {task: data(task) for task in studio.tasks}
    order = queue(studio, run(Kind.COLD, "max_herding", audit_share=0.2).version)
    label(studio, *order[:110])
    found = run(Kind.TRAIN, "auto", preset="auto", overrides={})
    assert sizes == [88], "one model instead of three"
    assert found.measured["questions"]["label"]["n"] == found.measured["audited"] >= ENOUGH
    assert found.measured["questions"]["label"]["accuracy"][0] > 0.8


def test_where_only_what_chance_chose_can_be_read_the_model_itself_chooses(
    studio: FakeStudio, store: Store, run: Run, sizes: list[int]
) -> None:
    studio.annotations.clear()
    order = queue(studio, run(Kind.COLD, "max_herding", audit_share=0.2).version)
    label(studio, *order[:60])
    for task in set(order[:60]) - store.drawn(1):
        studio.data[task] = {"image": "data:image/png;base64,AAAA", "text": ""}
    found = run(Kind.TRAIN, "auto", preset="auto", overrides={})
    assert (found.state, sizes) == (State.DONE, [48])


def test_a_project_may_do_without(studio: FakeStudio, store: Store, run: Run) -> None:
    found = run(Kind.TRAIN, "entropy", audit_share=0)
    assert drawn(store, found) == []
    with pytest.raises(ValueError, match=r"0\.05 or more"):
        ProjectSettings(audit_share=0.01)
