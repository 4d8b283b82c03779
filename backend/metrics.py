"""What /metrics tells Prometheus."""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge, Histogram

from backend.store import Store
from backend.tables import State

PREDICT_SECONDS = Histogram("equipoise_predict_seconds", "Time to answer /predict.")
WEBHOOKS = Counter("equipoise_webhooks_total", "Events received from Label Studio.", ["action"])
NOT_PREDICTED = Counter(
    "equipoise_predictions_refused_total", "Tasks answered without a prediction.", ["reason"]
)


class Collector:
    """Gauges that are read from the store when Prometheus asks."""

    def __init__(self) -> None:
        """Declare the gauges."""
        self._rounds = Gauge("equipoise_rounds", "Rounds by outcome.", ["project", "state"])
        self._labels = Gauge(
            "equipoise_new_labels", "Labels since the last trained round.", ["project"]
        )
        self._pool = Gauge("equipoise_pool_tasks", "Tasks ranked in the last round.", ["project"])
        self._age = Gauge(
            "equipoise_queue_age_seconds", "Age of the version that serves.", ["project"]
        )
        self._phase = Gauge(
            "equipoise_phase_seconds", "Phase durations of the last round.", ["project", "phase"]
        )

    def update(self, store: Store) -> None:
        """Read the store."""
        for owner in store.projects():
            name = str(owner.id)
            rounds = store.rounds(owner.id)
            for state in State:
                count = sum(found.state == state for found in rounds)
                self._rounds.labels(project=name, state=state).set(count)
            self._labels.labels(project=name).set(owner.new_labels)
            self._pool.labels(project=name).set(owner.pool)
            current = store.current(owner.id)
            if current is not None and current.finished is not None:
                self._age.labels(project=name).set(time.time() - current.finished)
                for phase, seconds in current.durations.items():
                    self._phase.labels(project=name, phase=phase).set(seconds)


collector = Collector()
