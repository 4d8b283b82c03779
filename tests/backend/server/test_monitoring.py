"""What can be watched: metrics, dashboard, alerts, logs; and what may not be seen in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY

from backend import counters
from backend.labelstudio.circuit import FAILURES, Circuit
from backend.server import metrics
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State

DOCS = Path(__file__).parents[3] / "docs"


def exported() -> set[str]:
    """Return every name that can be asked for."""
    assert counters.WEBHOOKS  # declared where they are counted
    names = {f"equipoise_{name}" for name in metrics.GAUGES}
    for family in REGISTRY.collect():
        names.add(family.name)
        names |= {sample.name for sample in family.samples}
        if family.type == "counter":
            names.add(f"{family.name}_total")
    return names


def asked_for(expression: str) -> set[str]:
    """Return the metrics that an expression reads."""
    return set(re.findall(r"\bequipoise_\w+", expression))


def test_the_dashboard_asks_for_metrics_that_are_exported() -> None:
    board = json.loads((DOCS / "grafana.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries = [entry["query"] for entry in board["templating"]["list"]]
    used = set().union(*map(asked_for, [*expressions, *queries]))
    assert used <= exported()
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    ours = {name for name in exported() if re.fullmatch(r"equipoise_\w+", name)}
    ours = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in ours}
    assert {name.removesuffix("_total") for name in ours} == {
        name.removesuffix("_total") for name in shown
    }, "every metric has its place on the dashboard"


def test_the_alerts_are_rules_about_metrics_that_are_exported() -> None:
    rules = yaml.safe_load((DOCS / "alerts.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 8
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "annotations", "labels"}
        assert asked_for(rule["expr"])
        assert asked_for(rule["expr"]) <= exported()
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["annotations"]["summary"]


def text_of(store: Store, settings: Settings, circuit: Circuit) -> str:
    """Return what /metrics says."""
    return metrics.exposition(store, settings, circuit).decode()


def test_metrics_tell_the_state_and_forget_what_is_gone(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    settings, circuit = Settings(data_dir=tmp_path), Circuit()
    store.save_project(41, connected=True, problem="no room", announced="older")
    claim = store.claim(41, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    store.commit(
        claim,
        pool=7,
        durations={"train": 2.5},
        failures={"image: HTTP 404": 3},
        work={"cache_hits": 5, "cache_misses": 2},
    )
    failed = store.claim(41, Kind.TRAIN, "bmmal", "test", {})
    assert failed is not None
    store.finish(failed, State.FAILED, "why")
    store.save_project(41, problem="no room")
    for _ in range(FAILURES):
        circuit.failed()
    text = text_of(store, settings, circuit)
    for line in (
        'equipoise_rounds{project="41",state="failed"} 1.0',
        'equipoise_pool_tasks{project="41"} 7.0',
        'equipoise_phase_seconds{phase="train",project="41"} 2.5',
        'equipoise_absent_media{project="41",reason="image: HTTP 404"} 3.0',
        'equipoise_cache_tasks{project="41",result="hits"} 5.0',
        'equipoise_cache_tasks{project="41",result="misses"} 2.0',
        'equipoise_problem{project="41"} 1.0',
        "equipoise_circuit_open 1.0",
        'equipoise_disk_bytes{what="min_free"} 1e+09',
    ):
        assert line in text
    lag = re.search(r'equipoise_publish_lag_seconds{project="41"} (\S+)', text)
    assert lag is not None
    assert float(lag[1]) > 0
    current = store.current(41)
    assert current is not None
    store.save_project(41, announced=current.version, problem="")
    circuit.succeeded()
    again = store.claim(41, Kind.RANK, "bmmal", "test", {})
    assert again is not None
    store.commit(again, durations={"rank": 1.0})
    store.save_project(41, announced=store.round(again.round).version)
    text = text_of(store, settings, circuit)
    assert 'equipoise_publish_lag_seconds{project="41"} 0.0' in text
    assert "equipoise_circuit_open 0.0" in text
    assert 'phase="train",project="41"' not in text
    assert "HTTP 404" not in text
    store.close()


LOG = """
import logging
import structlog
from backend.logs import configure
configure("INFO")
structlog.contextvars.bind_contextvars(project=1, round=7, version="equipoise-r0001-bmmal")
structlog.get_logger("a").info("phase", phase="train")
logging.getLogger("of a library").warning("it said %s", "something")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("a").exception("failed")
"""


def test_every_line_of_the_log_is_json_and_names_its_round() -> None:
    done = subprocess.run([sys.executable, "-c", LOG], capture_output=True, text=True, check=True)
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["phase", "it said something", "failed"]
    assert {line["round"] for line in lines} == {7}
    assert "ZeroDivisionError" in lines[-1]["exception"]


SECRETS = {
    "EQUIPOISE_API_KEY": "token-of-label-studio",
    "EQUIPOISE_BASIC_AUTH_USER": "somebody",
    "EQUIPOISE_BASIC_AUTH_PASS": "password-of-ours",
    "EQUIPOISE_WEBHOOK_SECRET": "secret-of-webhooks",
}


def test_secrets_are_in_no_message_log_or_archive(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'data' / 'equipoise.db'}", tmp_path / "data")
    store.save_project(1, title="one", connected=True, backend_id=1)
    store.close()
    environment = {
        **os.environ,
        **SECRETS,
        "EQUIPOISE_DATA_DIR": str(tmp_path / "data"),
        "EQUIPOISE_LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "EQUIPOISE_LOG_LEVEL": "DEBUG",
    }
    code = """
import sys
from backend.commands import main as cli
for words in (["status"], ["doctor", "--project", "1"], ["backup", "--out", sys.argv[1]]):
    sys.argv[1:] = words
    try:
        cli.main()
    except SystemExit:
        pass
"""
    out = str(tmp_path / "backup.tar")
    code = code.replace("sys.argv[1]]", f"{out!r}]")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, cwd=tmp_path
    )
    assert b"does not answer" in done.stdout
    seen = done.stdout + done.stderr + Path(out).read_bytes()
    for secret in set(SECRETS.values()) - {"somebody"}:
        assert secret.encode() not in seen
