"""What changed from round to round: how good the model is, what its modalities bring, its trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.page.chart import Chart, Point, Scale, chart
from backend.rounds.figures import main_figure
from backend.store.tables import Kind, Round, State

Json = dict[str, Any]
_SHARE = "pool_contribution:"


def curves(rounds: Sequence[Round]) -> dict[str, Chart | None]:
    """Return the drawings of a project's trained rounds, by name; None where nothing is known.

    `quality`: the first question's main figure, and that of each modality alone. `shares`: what
    each modality contributes, and how far one outweighs the others. `trust`: how much surer the
    model is than right. `bins`: how often it is right, over how sure it is, in the newest round.
    """
    done = [r for r in rounds if r.state == State.DONE and r.kind == Kind.TRAIN]
    most = max((r.labels for r in done), default=0)
    return {
        "quality": _quality(done, most),
        "shares": _shares(done, most),
        "trust": _trust(done, most),
        "bins": _bins(done),
    }


def _quality(done: Sequence[Round], most: int) -> Chart | None:
    told = [(r, figure) for r in done if (figure := main_figure(r.measured))]
    if not told:
        return None
    name = told[-1][1]["name"]
    of = [(r, found) for r, found in told if found["name"] == name]
    whole = [Point(r.labels, f["value"], f["low"], f["high"]) for r, f in of]
    alone: dict[str, list[Point]] = {}
    for found, _ in of:
        for modality, said in found.measured.get("modalities", {}).items():
            if name in said:
                alone.setdefault(modality, []).append(Point(found.labels, said[name][0]))
    series = [("all together", whole), *((f"{m} alone", line) for m, line in alone.items())]
    points = [point for _, line in series for point in line]
    if name == "mae":
        high = max(p.high if p.high is not None else p.value for p in points) or 1.0
        return chart(series, Scale(0.0, high, False, most))
    low = min(p.low if p.low is not None else p.value for p in points)
    return chart(series, Scale(low // 0.2 * 0.2, 1.0, True, most))


def _shares(done: Sequence[Round], most: int) -> Chart | None:
    found: dict[str, list[Point]] = {}
    for one in done:
        for name, value in one.metrics.items():
            if name.startswith(_SHARE):
                modality = name.removeprefix(_SHARE)
                found.setdefault(modality, []).append(Point(one.labels, value))
    if len(found) < 2:
        return None  # one modality brings everything
    apart = [
        Point(r.labels, r.metrics["pool_dominance"]) for r in done if "pool_dominance" in r.metrics
    ]
    high = max(1.0, *(p.value for p in apart)) if apart else 1.0
    return chart([*found.items(), ("dominance", apart)], Scale(0.0, high, True, most))


def _first(measured: Json) -> Json:
    found: Json = next(iter(measured.get("questions", {}).values()), {})
    return found


def _trust(done: Sequence[Round], most: int) -> Chart | None:
    points = []
    for one in done:
        if "overconfidence" in (found := _first(one.measured)):
            value, low, high = found["overconfidence"]
            points.append(Point(one.labels, value, low, high))
    if not points:
        return None
    far = max(0.1, *(max(abs(p.low or 0), abs(p.high or 0)) for p in points))
    return chart([("surer than right", points)], Scale(-far, far, True, most))


def _bins(done: Sequence[Round]) -> Chart | None:
    bins = _first(done[-1].measured).get("reliability", []) if done else []
    points = [Point(one["sure"], *one["right"]) for one in bins]
    ideal = [Point(0.0, 0.0), Point(1.0, 1.0)]
    scale = Scale(0.0, 1.0, True, 1.0, "sure")
    return chart([("right", points), ("as it should be", ideal)], scale) if points else None
