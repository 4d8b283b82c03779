"""The map's numbers, as the script and the table have them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pyarrow as pa
import pytest

from backend.page import pool_map
from backend.page.pool_map import PoolMap

CLASSES: dict[str, list[Any]] = {
    "task": [11, 12, 13, 14],
    "x": [0.0, 0.5, 1.0, 0.25],
    "y": [1.0, 0.0, 0.1234, 0.5],
    "rank": [1, None, 2, 3],
    "predicted": ["cat", None, "cat", "dog"],
    "label": [None, "dog", None, None],
    "probability": [0.999, None, 0.5, 0.254],
    "decides": ["image", None, "text", "image"],
}
NUMBERS: dict[str, list[Any]] = {
    **CLASSES,
    "predicted": [0.123456, None, 7.0, 2.5],
    "label": [None, -1.5, None, None],
}


def packed(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Return what the script gets."""
    drawn = PoolMap(pa.table(columns))
    assert drawn.tasks == {11, 12, 13, 14}
    found: dict[str, Any] = json.loads(gzip.decompress(drawn.packed))
    return found


def test_classes_are_places_in_a_list_the_commonest_first() -> None:
    assert packed(CLASSES) == {
        "tasks": [11, 12, 13, 14],
        "x": [0, 500, 999, 250],
        "y": [999, 0, 123, 500],
        "rank": [1, -1, 2, 3],
        "classes": ["cat", "dog"],
        "predicted": [0, -1, 0, 1],
        "label": [-1, 1, -1, -1],
        "sure": [100, -1, 50, 25],
        "modalities": ["image", "text"],
        "decides": [0, -1, 1, 0],
    }


def test_numbers_have_a_range_over_predictions_and_labels() -> None:
    found = packed(NUMBERS)
    assert found["range"] == [-1.5, 7.0]
    assert found["predicted"] == [0.1235, None, 7.0, 2.5]
    assert found["label"] == [None, -1.5, None, None]
    assert "classes" not in found


def test_before_there_is_a_model_only_labels_and_places_are_known() -> None:
    little = {k: v for k, v in CLASSES.items() if k not in ("predicted", "probability")}
    found = packed(little)
    assert found["predicted"] == found["sure"] == [-1] * 4
    assert found["classes"] == ["dog"]


@pytest.mark.parametrize("columns", [CLASSES, NUMBERS])
def test_the_same_map_is_packed_the_same(columns: dict[str, list[Any]]) -> None:
    assert PoolMap(pa.table(columns)).packed == PoolMap(pa.table(columns)).packed


def test_the_table_has_a_row_for_each_of_the_first_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = PoolMap(pa.table(CLASSES)).summary
    assert (shown["tasks"], shown["labelled"], shown["more"]) == (4, 1, 0)
    cat, dog = shown["rows"]
    assert cat["sure"] == pytest.approx((0.999 + 0.5) / 2)
    assert {**cat, "sure": 0} == {
        **{"name": "cat", "predicted": 2, "labelled": 0, "sure": 0},
        "decides": [("image", 0.5), ("text", 0.5)],
    }
    assert dog == {
        **{"name": "dog", "predicted": 1, "labelled": 1, "sure": 0.254},
        "decides": [("image", 1.0)],
    }
    monkeypatch.setattr(pool_map, "_SHOWN", 1)
    shown = PoolMap(pa.table(CLASSES)).summary
    assert ([row["name"] for row in shown["rows"]], shown["more"]) == (["cat"], 1)
    numbers = PoolMap(pa.table(NUMBERS)).summary
    assert (numbers["rows"], numbers["labelled"]) == ([], 1)
