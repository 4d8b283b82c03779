"""What label-studio-ml hands to us, however its two generations call it (real: test_plugin.py)."""

from __future__ import annotations

from typing import Any

import pytest

from backend.server import label_studio_ml
from backend.server.label_studio_ml import EquipoiseModel

EVENT = {"project": {"id": 7}, "tasks": [{"id": 3}]}


class Opened:
    """A store that only knows whether it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class Serving:
    """Notes what is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def predict(self, *asked: Any) -> list[dict[str, Any]]:
        self.asked.append(asked)
        return [{"model_version": "v"} for _ in asked[1]]


def model(monkeypatch: pytest.MonkeyPatch, project: Any) -> EquipoiseModel:
    """Return a model object as either generation leaves it."""
    made = EquipoiseModel.__new__(EquipoiseModel)
    made._project = project
    monkeypatch.setattr(EquipoiseModel, "label_config", "<View/>", raising=False)
    return made


@pytest.mark.parametrize(
    ("own", "posted", "wish"), [(5, 6, 5), ("5.1700000000", 6, 5), (None, 6, 6), (None, "6", 6)]
)
def test_the_project_is_the_models_or_that_of_the_first_task(
    monkeypatch: pytest.MonkeyPatch, own: Any, posted: Any, wish: int
) -> None:
    serving = Serving()
    monkeypatch.setattr(label_studio_ml, "runtime", lambda: (None, serving))
    tasks = [{"id": 1, "project": posted, "data": {}}, {"id": 2, "project": 99, "data": {}}]
    found = model(monkeypatch, own).predict(tasks)
    assert serving.asked == [(wish, tasks, "<View/>")]
    assert len(found) == 2
    assert model(monkeypatch, own).predict([]) == []
    assert len(serving.asked) == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("ANNOTATION_CREATED", EVENT), {}),
        (((),), {"event": "ANNOTATION_CREATED", "data": EVENT, "workdir": "/x", "other": 1}),
        ((), {"event": "ANNOTATION_CREATED", "data": EVENT}),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_events_are_noted_and_the_store_is_closed(
    monkeypatch: pytest.MonkeyPatch, args: tuple[Any, ...], named: dict[str, Any], fails: bool
) -> None:
    store, noted = Opened(), list[tuple[Any, ...]]()

    def note(*told: Any) -> None:
        noted.append(told)
        if fails:
            raise OSError("no room")

    monkeypatch.setattr(label_studio_ml, "open_store", lambda config: store)
    monkeypatch.setattr(label_studio_ml, "note", note)
    if fails:
        with pytest.raises(OSError, match="no room"):
            model(monkeypatch, 7).fit(*args, **named)
    else:
        assert model(monkeypatch, 7).fit(*args, **named) == {}
    assert noted == [(store, "ANNOTATION_CREATED", {"id": 7}, [{"id": 3}])]
    assert store.closed == 1


def test_an_event_without_words_is_noted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store, noted = Opened(), list[tuple[Any, ...]]()
    monkeypatch.setattr(label_studio_ml, "open_store", lambda config: store)
    monkeypatch.setattr(label_studio_ml, "note", lambda *told: noted.append(told))
    model(monkeypatch, 7).fit("START_TRAINING")
    model(monkeypatch, 7).fit()
    assert noted == [(store, "START_TRAINING", None, None), (store, "", None, None)]
