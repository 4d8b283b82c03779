"""What this process counts for Prometheus; backend/server/metrics.py tells it."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

PREDICT_SECONDS = Histogram("equipoise_predict_seconds", "Time to answer /predict.")
WEBHOOKS = Counter("equipoise_webhooks_total", "Events received from Label Studio.", ["action"])
NOT_PREDICTED = Counter(
    "equipoise_predictions_refused_total",
    "Tasks that /predict answered without a prediction, by what was in the way.",
    ["reason"],
)
