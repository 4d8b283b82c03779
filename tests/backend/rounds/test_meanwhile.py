# ruff: noqa: F401, F811 - fixtures are imported
"""What happens in Label Studio while a round computes, seen when it publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.labelstudio.circuit import Circuits
from backend.rounds import pipeline
from backend.rounds.look import Look
from backend.rounds.rank import NOTHING_LEFT
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.rounds.played import (
    CONFIG,
    LABELLED,
    TASKS,
    Run,
    config,
    label,
    queue,
    run,
    store,
    studio,
)
from tests.backend.studio import FakeStudio


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Return `meanwhile(do)`, which does something just before rounds publish."""
    follow = pipeline.follow

    def before(do: Callable[[], Any]) -> None:
        def done(*args: Any) -> None:
            do()
            follow(*args)

        monkeypatch.setattr(pipeline, "follow", done)

    return before


@pytest.mark.parametrize("end", ["labelled", "deleted"])
def test_the_last_tasks_go_and_the_next_look_goes_on(
    studio: FakeStudio,
    store: Store,
    config: Settings,
    run: Run,
    meanwhile: Callable[[Callable[[], Any]], None],
    end: str,
) -> None:
    """Label Studio refuses to name a version without predictions, at each look again."""

    def go() -> None:
        if end == "labelled":
            label(studio, *studio.tasks)
        else:
            studio.tasks -= set(range(LABELLED + 1, TASKS + 1))

    first = run(Kind.TRAIN, "entropy")
    meanwhile(go)
    lost = run(Kind.TRAIN, "entropy", status=1)
    assert (lost.state, lost.error) == (State.FAILED, NOTHING_LEFT)
    assert studio.remote["model_version"] == studio.title == first.version
    look = Look(store, config, Circuits())
    look(1)
    assert store.project(1).problem == ""
    studio.tasks |= set(range(TASKS + 1, TASKS + 31))
    assert look(1) is not None


def test_one_task_is_deleted(
    studio: FakeStudio,
    store: Store,
    run: Run,
    meanwhile: Callable[[Callable[[], Any]], None],
) -> None:
    meanwhile(lambda: studio.tasks.discard(TASKS))  # no event tells of it
    found = run(Kind.TRAIN, "entropy")
    assert found.state == State.DONE
    assert set(queue(studio, found.version)) == set(range(LABELLED + 1, TASKS))
    assert store.current(1).version == studio.remote["model_version"]  # type: ignore[union-attr]


def test_the_label_config_is_changed(
    studio: FakeStudio,
    store: Store,
    config: Settings,
    run: Run,
    meanwhile: Callable[[Callable[[], Any]], None],
) -> None:
    """Its old answers are refused; the order stands, and the next look asks for another round."""
    other = CONFIG.replace('value="A"', 'value="C"').replace('value="B"', 'value="D"')
    meanwhile(lambda: studio.remote.update(label_config=other))
    found = run(Kind.TRAIN, "entropy")
    assert found.state == State.DONE
    assert found.published == TASKS - LABELLED
    assert not any(row["result"] for row in studio.predictions)
    assert Look(store, config, Circuits())(1) is not None
