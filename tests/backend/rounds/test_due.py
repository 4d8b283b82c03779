"""What is due, as a table: a pure function from facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.labelstudio.config import parse
from backend.rounds.due import Facts, Failures, Serves
from backend.rounds.due import due as decide
from backend.store.tables import Kind
from tests.backend.rounds.test_look import CONFIG

SERVES = Serves(Kind.TRAIN, "equipoise-r0001-bmmal", None, "bmmal", 100)
FACTS = Facts(100, parse(CONFIG).schema, 0, 20, "bmmal", serves=SERVES)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"serves": None}, (Kind.COLD, "first look")),
        ({"serves": None, "tasks": 0}, None),
        ({"serves": None, "new_labels": 20}, (Kind.TRAIN, "20 new labels")),
        ({"new_labels": 19}, None),
        ({"new_labels": 20}, (Kind.TRAIN, "20 new labels")),
        ({"new_labels": 30, "refused": 11}, None),
        ({"new_labels": 31, "refused": 11}, (Kind.TRAIN, "31 new labels")),
        ({"strategy": "grace"}, (Kind.RANK, "strategy changed to grace")),
        ({"tasks": 119}, None),
        ({"tasks": 120}, (Kind.RANK, "20 new tasks")),
        ({"serves": replace(SERVES, has_ranking=False)}, (Kind.RANK, "is gone from the disk")),
        (
            {"serves": replace(SERVES, has_ranking=False, has_model=False)},
            (Kind.TRAIN, "is gone from the disk"),
        ),
        (
            {"serves": replace(SERVES, kind=Kind.COLD), "strategy": "grace", "tasks": 120},
            (Kind.COLD, "20 new tasks"),
        ),
        (
            {"wish": {"kind": "rank", "cause": "asked for"}, "new_labels": 20},
            (Kind.RANK, "asked for"),
        ),
        (
            {"wish": {"kind": "rank", "cause": "asked for", "again": True}, "new_labels": 20},
            (Kind.TRAIN, "20 new labels"),
        ),
        ({"new_labels": 20, "failures": {Kind.TRAIN: Failures(1, 29.0)}}, None),
        (
            {"new_labels": 20, "failures": {Kind.TRAIN: Failures(1, 31.0)}},
            (Kind.TRAIN, "20 new labels"),
        ),
        ({"new_labels": 20, "failures": {Kind.TRAIN: Failures(3, 119.0)}}, None),
        (
            {"new_labels": 20, "failures": {Kind.TRAIN: Failures(1, -1.0)}},  # a clock set back
            (Kind.TRAIN, "20 new labels"),
        ),
        (
            {"new_labels": 20, "failures": {Kind.RANK: Failures(5, 1.0)}},
            (Kind.TRAIN, "20 new labels"),
        ),
        (
            {"new_labels": 20, "failures": {Kind.TRAIN: Failures(1, 1000.0, True, 20)}},
            None,
        ),
        (
            {"new_labels": 21, "failures": {Kind.TRAIN: Failures(1, 1.0, True, 20)}},
            (Kind.TRAIN, "21 new labels"),
        ),
    ],
)
def test_what_is_due(changed: dict[str, Any], expected: tuple[Kind, str] | None) -> None:
    found = decide(replace(FACTS, **changed))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.kind is expected[0]
        assert expected[1] in found.cause


FREE = parse('<View><Text name="t" value="$t"/><TextArea name="a" toName="t"/></View>').schema


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"serves": None}, (Kind.COLD, "first look")),
        ({"serves": None, "new_labels": 20}, (Kind.COLD, "first look")),
        ({"new_labels": 19}, None),
        ({"new_labels": 20}, (Kind.COLD, "20 annotated tasks")),
        ({"strategy": "grace"}, None),
        ({"tasks": 120}, (Kind.COLD, "20 new tasks")),
    ],
)
def test_a_project_that_learns_nothing_is_covered_again_and_never_trained(
    changed: dict[str, Any], expected: tuple[Kind, str] | None
) -> None:
    serves = replace(SERVES, kind=Kind.COLD, schema=FREE)
    found = decide(replace(FACTS, **{"serves": serves, "schema": FREE, **changed}))
    assert (found and (found.kind, found.cause[: len((expected or ("", ""))[1])])) == expected


def test_a_project_whose_questions_were_taken_away_is_covered() -> None:
    serves = replace(SERVES, schema=parse(CONFIG).schema)
    found = decide(replace(FACTS, serves=serves, schema=FREE))
    assert found is not None
    assert found.kind is Kind.COLD
