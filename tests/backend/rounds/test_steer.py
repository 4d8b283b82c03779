# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds that are steered: by class, by a number in the task's data, near-duplicates once."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.commands.main import app
from backend.errors import EquipoiseError
from backend.queue.fitting import check_want
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round
from model.schema import Modality, ModalityKind, Schema, Target
from strategies import TargetKind
from tests.backend.rounds.test_pipeline import (
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
    assert sum("priority" in text for text in said.values()) == 1, "what is no number counts 1"
    every = run(Kind.COLD, "auto", once=False, **STILL)
    assert "nearly the same" not in " ".join(why(store, every).values())


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
        app, ["set", "--project", "1", "--want", "B=2", "--priority-key", "p", "--no-once"]
    )
    assert accepted.exit_code == 0, accepted.output
    kept = store.project(1).overrides
    assert kept == {"want": {"B": 2}, "priority_key": "p", "once": False}
