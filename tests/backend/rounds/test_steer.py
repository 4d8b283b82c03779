# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds that are steered: by class, by a number in the task's data, near-duplicates once."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.commands.main import app
from backend.errors import EquipoiseError
from backend.options import ProjectSettings, since
from backend.queue.fitting import check_want
from backend.rounds.conditions import unmet
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round
from model.schema import Modality, ModalityKind, Schema, Target
from strategies import TargetKind
from tests.backend.rounds.played import (
    TASKS,
    Run,
    config,
    data,
    label,
    picture,
    queue,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio

STILL = {"audit_share": 0}


def why(store: Store, found: Round) -> dict[int, str]:
    """Return the sentences of a ranking, in its order."""
    table = rankings.load(store.ranking(found))
    tasks, said = table.column("task").to_pylist(), table.column("why").to_pylist()
    return dict(zip(tasks, said, strict=True))


def test_priority_and_near_duplicates_count_before_there_is_a_model(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    studio.annotations.clear()
    plain = queue(studio, run(Kind.COLD, "auto", **STILL).version)
    late, twin = plain[60], plain[5]
    studio.data[late] = {**studio.data[late], "urgent": "100"}
    studio.data[plain[30]] = {**studio.data[plain[30]], "urgent": "soon"}
    studio.data[plain[40]] = dict(studio.data[twin])
    found = run(Kind.COLD, "auto", priority_key="urgent", **STILL)
    order, said = queue(studio, found.version), why(store, found)
    assert order[0] == late
    assert said[late].endswith("counts 1e+02 times: priority 100.")
    last = next(task for task in (plain[40], twin) if task == order[-1])
    assert "nearly the same as another task" in said[last]
    assert sum("nearly the same" in text for text in said.values()) == 1
    first = {plain[40]: twin, twin: plain[40]}[last]
    assert store.round(found.id).work["twins"] == {"count": 1, "examples": [[last, first]]}
    assert sum("priority" in text for text in said.values()) == 1, "what is no number counts 1"
    every = run(Kind.COLD, "auto", once=False, **STILL)
    assert "nearly the same" not in " ".join(why(store, every).values())


def test_what_does_not_meet_the_conditions_is_put_off_and_not_drawn(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    for task in studio.tasks:
        day = f"2026-01-{1 + task % 28:02d}"
        lang = ("en", ["de", "fr"], "it")[task % 3]
        studio.data[task] = {**studio.data[task], "lang": lang, "day": day}
    auto = {"preset": "auto", "overrides": {}, "once": False}
    given = {"only": {"lang": ["en", "de"]}, "newer_than": {"day": "2026-01-10"}}
    found = run(Kind.TRAIN, "auto", **auto, **given)
    order, said = queue(studio, found.version), why(store, found)
    fine = [task % 3 != 2 and 1 + task % 28 > 10 for task in order]
    assert 0 < sum(fine) < len(fine)
    assert fine == sorted(fine, reverse=True), "those that meet them, then the others"
    off = [task for task, meets in zip(order, fine, strict=True) if not meets]
    assert all("put off: " in said[task] for task in off)
    assert all("put off: " not in said[task] for task in order if task not in off)
    some = next(task for task in off if task % 3 == 2)
    assert "put off: lang is it" in said[some]
    table = rankings.load(store.ranking(found))
    drawn = table.filter(table.column("audit")).column("task").to_pylist()
    assert drawn
    assert not set(drawn) & set(off)
    meets = dict(zip(*(table.column(n).to_pylist() for n in ("task", "meets")), strict=True))
    assert {task for task, one in meets.items() if one == 0} >= set(off)


@pytest.mark.parametrize(
    ("data", "why_not"),
    [
        ({"lang": "en", "n": 3, "at": "2026-02-01"}, ""),
        ({"lang": ["fr", "en"], "n": "3", "at": "2026-02-01T00:00:00+02:00"}, ""),
        ({"lang": "en", "n": 3, "at": 1769800000}, "at is 1769800000"),
        ({"lang": "en", "n": 3, "at": 1770000000.5}, ""),
        ({"lang": "EN", "n": 3, "at": "2026-02-02"}, "lang is EN"),
        ({"n": 3, "at": "2026-02-02"}, "it has no lang"),
        ({"lang": "en", "n": 3.5, "at": "2026-02-02"}, "n is 3.5"),
        ({"lang": "en", "n": 3, "at": "soon"}, "it has no time in at"),
        ({"lang": "en", "n": 3, "at": True}, "it has no time in at"),
        ({"lang": "en", "n": 3, "at": 1e300}, "it has no time in at"),
    ],
)
def test_conditions_say_what_is_not_met(data: dict[str, object], why_not: str) -> None:
    limits = {"at": since("2026-01-31T12:00:00", datetime.now(UTC))}
    assert unmet(data, {"lang": ["en", "de"], "n": 3}, limits) == why_not


def test_times_are_absolute_or_so_long_ago() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert since("2 weeks", now) == datetime(2026, 2, 15, tzinfo=UTC)
    assert since("1 hour", now) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    with pytest.raises(ValueError, match="is no time"):
        ProjectSettings(newer_than={"at": "recently"})


def test_wanted_classes_come_first_and_say_so(studio: FakeStudio, store: Store, run: Run) -> None:
    auto = {"preset": "auto", "overrides": {}, **STILL}
    found = run(Kind.TRAIN, "auto", want={"B": 50}, once=False, **auto)
    order = queue(studio, found.version)
    assert [truth(task) for task in order[:10]] == ["B"] * 10
    assert all("B is wanted" in why(store, found)[task] for task in order[:10])
    table = rankings.load(store.ranking(found))
    weight = table.column("weight").to_numpy()
    assert weight[0] > 25
    assert weight[-1] < 25
    assert np.all(weight >= 1)


def test_classes_that_nobody_asks_for_are_refused(
    studio: FakeStudio, store: Store, run: Run, config: Settings
) -> None:
    schema = Schema(
        (Modality("t", ModalityKind.TEXT, "t"),),
        (Target("q", TargetKind.CLASSIFICATION, ("a", "b")),),
    )
    check_want({"a": 2}, schema)
    with pytest.raises(EquipoiseError, match="'c'; the classes are: a, b"):
        check_want({"c": 2}, schema)
    assert (
        "'defect'; the classes are: A, B"
        in run(Kind.TRAIN, "auto", status=1, want={"defect": 2}).error
    )
    refused = CliRunner().invoke(app, ["set", "--project", "1", "--want", "defect=2"])
    assert isinstance(refused.exception, EquipoiseError)
    accepted = CliRunner().invoke(
        app,
        [
            *("set", "--project", "1", "--want", "B=2", "--priority-key", "p", "--no-once"),
            *("--only", 'lang=["en", "de"]', "--newer-than", "at=3 days"),
        ],
    )
    assert accepted.exit_code == 0, accepted.output
    assert store.project(1).overrides == {
        "want": {"B": 2},
        "priority_key": "p",
        "once": False,
        "only": {"lang": ["en", "de"]},
        "newer_than": {"at": "3 days"},
    }
