"""JSON read in pieces is what json.loads reads, and is refused where it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from backend.server.json_pieces import loads

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


@given(VALUES, some.sampled_from([None, 1, "\t"]))
def test_the_same_value(value: Any, indent: Any) -> None:
    assert loads(json.dumps(value, indent=indent).encode()) == value


@given(VALUES, some.integers(0, 200), some.sampled_from(["", *'[]{},:"0 x\\']))
def test_the_same_after_damage(value: Any, place: int, put: str) -> None:
    text = json.dumps(value)
    place %= len(text)
    damaged = (text[:place] + put + text[place + 1 :]).encode()
    try:
        wanted = json.loads(damaged)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - as json.loads
            loads(damaged)
    else:
        assert loads(damaged) == wanted


def test_the_last_of_two_names_counts() -> None:
    assert loads(b' { "a" : 1 , "a" : [ 2 , {} ] } ') == {"a": [2, {}]}


def test_only_fields_that_are_read_are_kept() -> None:
    task = {"id": 1, "data": {"tasks": [{"x": 1}]}, "annotations": [{"result": []}]}
    body = {"tasks": [task, 2, [task]], "other": [task], "task": task}
    found = loads(json.dumps(body).encode(), {"tasks": {"id", "data"}})
    assert found["tasks"] == [{"id": 1, "data": {"tasks": [{"x": 1}]}}, 2, [task]]
    assert found["other"] == [task]
    assert found["task"] == task


def test_depth_is_refused_and_costs_no_memory() -> None:
    for deep in (b"[" * 1_000_000, b'{"a":' * 1_000_000):
        with pytest.raises(RecursionError):
            loads(deep)
