"""What the page draws from round to round, before it is drawn."""

from __future__ import annotations

from typing import Any

import pytest

from backend.page import curves
from backend.page.chart import Point, Scale
from backend.store.tables import Kind, Round, State

Drawn = dict[str, tuple[list[tuple[str, list[Point]]], Scale]]


def trained(labels: int, **more: Any) -> Round:
    """Return a round that has trained."""
    return Round(
        state=State.DONE, kind=Kind.TRAIN, labels=labels, **{"measured": {}, "metrics": {}, **more}
    )


def measured(kind: str, name: str, figure: list[float], **modalities: float) -> dict[str, Any]:
    """Return what was measured on labels by chance."""
    question = {"kind": kind, name: figure, "n": 40}
    alone = {m: {name: [value, None, None]} for m, value in modalities.items()}
    return {"questions": {"y": question}, "modalities": alone}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a call (rounds) -> name -> (series, scale) of what there is to draw."""

    def chart(series: Any, scale: Scale) -> Any:
        return [(name, list(points)) for name, points in series], scale

    monkeypatch.setattr(curves, "chart", chart)
    return lambda *rounds: {k: v for k, v in curves.curves(rounds).items() if v is not None}


def test_quality_is_of_all_together_and_of_each_alone(drawn: Any) -> None:
    first = trained(20, measured=measured("classification", "accuracy", [0.5, 0.35, 0.65]))
    last = trained(
        40, measured=measured("classification", "accuracy", [0.8, 0.7, 0.9], image=0.6, text=0.5)
    )
    other = Round(
        state=State.FAILED, kind=Kind.TRAIN, labels=99, measured=last.measured, metrics={}
    )
    series, scale = drawn(first, last, other)["quality"]
    assert dict(series) == {
        "all together": [Point(20, 0.5, 0.35, 0.65), Point(40, 0.8, 0.7, 0.9)],
        "image alone": [Point(40, 0.6)],
        "text alone": [Point(40, 0.5)],
    }
    assert scale == Scale(pytest.approx(0.2), 1.0, True, 40), "from the fifth below the lowest"


def test_errors_are_drawn_from_nothing_to_the_highest(drawn: Any) -> None:
    only = trained(20, measured=measured("regression", "mae", [0.5, 0.25, 0.75], image=0.6))
    series, scale = drawn(only)["quality"]
    assert scale == Scale(0.0, 0.75, False, 20)
    assert dict(series)["image alone"] == [Point(20, 0.6)]


def test_shares_are_of_two_modalities_or_more(drawn: Any) -> None:
    one = {"pool_contribution:image": 1.0, "pool_dominance": 0.0}
    assert "shares" not in drawn(trained(20, metrics=one))
    three = {f"pool_contribution:{m}": 1 / 3 for m in "abc"} | {"pool_dominance": 1.0}
    series, scale = drawn(trained(20, metrics=three), trained(30))["shares"]
    assert dict(series)["dominance"] == [Point(20, 0.5)], "two is the most, of three"
    assert dict(series)["a"] == [Point(20, 1 / 3)]
    assert scale == Scale(0.0, 1.0, True, 30)


@pytest.mark.parametrize(("bounds", "far"), [((-0.02, 0.06), 0.1), ((-0.3, 0.2), 0.3)])
def test_trust_is_around_nothing(drawn: Any, bounds: tuple[float, float], far: float) -> None:
    question = {"kind": "classification", "accuracy": [0.5, 0.4, 0.6], "n": 40}
    question["overconfidence"] = [0.02, *bounds]
    series, scale = drawn(trained(20, measured={"questions": {"y": question}}))["trust"]
    assert series == [("surer than right", [Point(20, 0.02, *bounds)])]
    assert scale == Scale(-far, far, True, 20)


def test_nothing_is_drawn_of_nothing(drawn: Any) -> None:
    assert drawn() == {}
    assert drawn(trained(20)) == {}
