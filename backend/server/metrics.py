"""What /metrics tells Prometheus."""

from __future__ import annotations

import threading
import time

from prometheus_client import Gauge

from backend.labelstudio.circuit import Circuits
from backend.settings import Settings
from backend.store import disk
from backend.store.store import Store
from backend.store.tables import Project, State


class Collector:
    """Gauges that are read from the store when Prometheus asks."""

    def __init__(self) -> None:
        """Declare the gauges."""
        self._lock = threading.Lock()
        self._all: list[Gauge] = []
        of = ["project"]
        self._rounds = self._gauge("rounds", "Rounds by outcome.", [*of, "state"])
        self._labels = self._gauge("new_labels", "Labels since the last trained round.", of)
        self._pool = self._gauge("pool_tasks", "Tasks ranked in the last round.", of)
        self._age = self._gauge("queue_age_seconds", "Age of the version that serves.", of)
        self._lag = self._gauge(
            "publish_lag_seconds", "For how long Label Studio has not named that version.", of
        )
        self._problem = self._gauge("problem", "1 while `status` names a problem.", of)
        self._phase = self._gauge(
            "phase_seconds", "Phase durations of the version that serves.", [*of, "phase"]
        )
        self._absent = self._gauge(
            "absent_media", "Media its round could not fetch or decode.", [*of, "reason"]
        )
        self._cache = self._gauge(
            "cache_tasks", "Tasks of its round by what the cache held.", [*of, "result"]
        )
        self._circuit = self._gauge("circuit_open", "1 while Label Studio does not answer.", [])
        self._disk = self._gauge("disk_bytes", "Bytes free, in the cache, of rounds.", ["what"])

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        gauge = Gauge(f"equipoise_{name}", text, labels)
        if labels:
            self._all.append(gauge)
        return gauge

    def update(self, store: Store, settings: Settings, circuit: Circuits) -> None:
        """Read the store; what is not there any more is not told any more."""
        with self._lock:
            for gauge in self._all:
                gauge.clear()
            self._circuit.set(circuit.is_open)
            for name, value in disk.usage(store, settings).items():
                self._disk.labels(what=name.removesuffix("_bytes")).set(value)
            for owner in store.projects():
                self._project(store, owner)

    def _project(self, store: Store, owner: Project) -> None:
        name = str(owner.id)
        rounds = store.rounds(owner.id)
        for state in State:
            count = sum(found.state == state for found in rounds)
            self._rounds.labels(project=name, state=state).set(count)
        self._labels.labels(project=name).set(owner.new_labels)
        self._pool.labels(project=name).set(owner.pool)
        self._problem.labels(project=name).set(bool(owner.problem))
        current = next((found for found in rounds if found.id == owner.current), None)
        if current is None or current.finished is None:
            return
        age = time.time() - current.finished
        self._age.labels(project=name).set(age)
        told = owner.announced == current.version or not owner.connected
        self._lag.labels(project=name).set(0 if told else age)
        for phase, seconds in current.durations.items():
            self._phase.labels(project=name, phase=phase).set(seconds)
        for reason, count in current.failures.items():
            self._absent.labels(project=name, reason=reason[:100]).set(count)
        for result in ("hits", "misses"):
            found = current.work.get(f"cache_{result}", 0)
            self._cache.labels(project=name, result=result).set(found)


collector = Collector()
