"""The stopping hint of a project's own rounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backend.rounds import agreement as stability
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Kind
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

SCHEMA = Schema(
    (Modality("text", ModalityKind.TEXT, "text"),),
    (Target("mood", TargetKind.CLASSIFICATION, ("good", "bad")),),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, title="one")
    yield opened
    opened.close()


def table(tasks: range, bad: int) -> pa.Table:
    """A ranking in which the first `bad` task ids are predicted bad."""
    says = np.array([[0.1, 0.9] if task < bad else [0.8, 0.2] for task in tasks], np.float32)
    return pa.table({"task": list(tasks), f"{ranking.OUTPUT}mood": list(says)})


def play(
    store: Store,
    found: pa.Table,
    labels: int,
    measured: dict[str, Any] | None = None,
    schema: Schema = SCHEMA,
) -> dict[str, float]:
    """Play one round of training to its commit, as a worker does."""
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    metrics = stability.measure(store, 1, found, schema)
    ranking.save(found, store.path(store.round(claim.round).folder) / "ranking.parquet")
    store.renew(claim, labels=labels)
    store.commit(claim, metrics=metrics, measured=measured or {})
    return metrics


def test_agreement_is_measured_on_tasks_in_both_rankings(store: Store) -> None:
    assert play(store, table(range(100), 50), 20) == {}
    found = play(store, table(range(20, 100), 60), 40)
    # Of tasks 20 to 99 the ten from 50 to 59 changed.
    assert found[stability.CHANGED] == pytest.approx(10 / 80)
    assert found[stability.AGREEMENT] == pytest.approx(0.75, abs=0.03)
    assert stability.of_project(store, 1) == {}


def test_a_flat_curve_is_said_to_be_flat(store: Store) -> None:
    for labels in (20, 40, 60):
        play(store, table(range(100), 50), labels)
    hint = stability.of_project(store, 1)
    assert hint["agreement"] == 1.0
    assert not hint["flattened"], "nobody knows yet how often these models are right"
    assert "not known yet: 0 of 20 labels" in hint["text"]
    known = {
        "questions": {"mood": {"kind": "classification", "n": 30, "accuracy": [0.9, 0.8, 0.96]}}
    }
    play(store, table(range(100), 50), 80, known)
    hint = stability.of_project(store, 1)
    assert hint["flattened"]
    assert "flattened" in hint["text"]
    assert "right on 90% (80% to 96%" in hint["text"]


def test_too_few_common_tasks_say_nothing(store: Store) -> None:
    play(store, table(range(100), 50), 20)
    assert play(store, table(range(95, 200), 50), 40) == {}


@pytest.mark.parametrize(
    ("low", "high", "length"), [(0.0, 10.0, 10.0), (None, None, 4.0), (0.0, None, 4.0)]
)
def test_numbers_change_by_a_share_of_their_range(
    store: Store, low: float | None, high: float | None, length: float
) -> None:
    target = Target("price", TargetKind.REGRESSION, low=low, high=high)
    schema = Schema(SCHEMA.modalities, (target,))
    before = np.linspace(2, 5, 40, dtype=np.float32)  # the newer ones reach 6
    column = f"{ranking.OUTPUT}price"
    play(store, pa.table({"task": range(40), column: before}), 20, schema=schema)
    found = play(store, pa.table({"task": range(40), column: before + 1}), 40, schema=schema)
    assert found[stability.CHANGED] == pytest.approx(1 / length, abs=1e-4)
    variance = float(before.var())
    assert found[stability.AGREEMENT] == pytest.approx(2 * variance / (2 * variance + 1), abs=1e-3)


def test_of_several_labels_each_counts(store: Store) -> None:
    target = Target("marks", TargetKind.MULTILABEL, ("x", "y"))
    schema = Schema(SCHEMA.modalities, (target,))
    column = f"{ranking.OUTPUT}marks"
    before = np.tile([[0.5, 0.4], [0.1, 0.9]], (20, 1))  # 1 0, 0 1: half is said
    after = before.copy()
    after[:4, 1] = 0.6
    play(store, pa.table({"task": range(40), column: list(before)}), 20, schema=schema)
    found = play(store, pa.table({"task": range(40), column: list(after)}), 40, schema=schema)
    assert found[stability.CHANGED] == pytest.approx(2 / 80)
