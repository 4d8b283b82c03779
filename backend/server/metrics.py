"""What /metrics tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.labelstudio.circuit import Circuits
from backend.settings import Settings
from backend.store import disk
from backend.store.store import Store
from backend.store.tables import Project, State

Value = tuple[str, list[str], float]
"""Name of a gauge, values of its labels, what it shows."""
GAUGES: dict[str, tuple[str, list[str]]] = {
    "rounds": ("Rounds by outcome.", ["project", "state"]),
    "new_labels": ("Labels since the last trained round.", ["project"]),
    "pool_tasks": ("Tasks ranked in the last round.", ["project"]),
    "queue_age_seconds": ("Age of the version that serves.", ["project"]),
    "publish_lag_seconds": (
        "For how long Label Studio has not named that version.",
        ["project"],
    ),
    "problem": ("1 while `status` names a problem.", ["project"]),
    "phase_seconds": ("Phase durations of the version that serves.", ["project", "phase"]),
    "absent_media": ("Values its round could not read.", ["project", "reason"]),
    "cache_tasks": ("Tasks of its round by what the cache held.", ["project", "result"]),
    "circuit_open": ("1 while Label Studio does not answer.", []),
    "disk_bytes": ("Bytes free, in the cache, of rounds.", ["what"]),
}


class _Gauges(Collector):
    """The gauges of one answer: read once, so that answers at once do not mix."""

    def __init__(self, values: Iterable[Value]) -> None:
        self._families = {
            name: GaugeMetricFamily(f"equipoise_{name}", text, labels=labels)
            for name, (text, labels) in GAUGES.items()
        }
        for name, labels, value in values:
            self._families[name].add_metric(labels, value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families.values()


def exposition(store: Store, settings: Settings, circuits: Circuits) -> bytes:
    """Return what this process has counted and what the store tells now."""
    registry = CollectorRegistry()
    registry.register(_Gauges(_values(store, settings, circuits)))
    return generate_latest(REGISTRY) + generate_latest(registry)


def _values(store: Store, settings: Settings, circuits: Circuits) -> Iterator[Value]:
    yield "circuit_open", [], circuits.is_open
    for name, value in disk.usage(store, settings).items():
        yield "disk_bytes", [name.removesuffix("_bytes")], value
    for owner in store.projects():
        yield from _of_project(store, owner)


def _of_project(store: Store, owner: Project) -> Iterator[Value]:
    project = str(owner.id)
    rounds = store.rounds(owner.id)
    for state in State:
        yield "rounds", [project, state], sum(found.state == state for found in rounds)
    yield "new_labels", [project], owner.new_labels
    yield "pool_tasks", [project], owner.pool
    yield "problem", [project], bool(owner.problem)
    current = next((found for found in rounds if found.id == owner.current), None)
    if current is None or current.finished is None:
        return
    age = time.time() - current.finished
    yield "queue_age_seconds", [project], age
    told = owner.announced == current.version or not owner.connected
    yield "publish_lag_seconds", [project], 0 if told else age
    for phase, seconds in current.durations.items():
        yield "phase_seconds", [project, phase], seconds
    for reason, count in current.failures.items():
        yield "absent_media", [project, reason[:100]], count
    for result in ("hits", "misses"):
        yield "cache_tasks", [project, result], current.work.get(f"cache_{result}", 0)
