"""Two servers behind a balancer, restarted one after the other: nobody is told of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from backend.settings import Settings
from backend.store.store import open_store
from demo.background import free_port
from tests.backend import postgresql
from tests.backend.s3 import S3
from tests.backend.server.test_protocol import predict_body
from tests.backend.server.test_replicas import commit, server
from tests.e2e.server import Equipoise
from tests.faults.plan import full_only, note, rng, turns
from tests.stopwatch import Stopwatch

ROW = "rolling-restart"
CLIENTS = 50
CONFIG = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "nginx.conf"


@full_only(ROW)
def test_no_answer_fails_while_servers_restart(tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("no nginx here (Debian: apt-get install nginx-light)")
    whole = Stopwatch()
    chance = rng(ROW)
    s3 = S3()
    restarts = 0
    try:
        with postgresql.running() as database:
            elsewhere = Settings(
                data_dir=tmp_path / "ranked", store_url=database, artifacts_url=s3.url
            )
            store = open_store(elsewhere)
            version = commit(store, [2, 1, 0])
            replicas = [server(tmp_path / name, database, s3).start() for name in ("one", "two")]
            try:
                with balancer(tmp_path, replicas) as url, Storm(url, version) as storm:
                    for turn in turns(ROW, 1, 20):
                        replica = replicas[turn % 2]
                        replica.stop()
                        time.sleep(chance.uniform(0, 1))
                        replica.start()
                        time.sleep(3)  # as long as the balancer leaves it alone
                        restarts += 1
            finally:
                for replica in replicas:
                    replica.stop()
            noted = store.project(3).changes
            store.close()
    finally:
        s3.stop()
    assert storm.failed == []
    assert storm.predicted > CLIENTS
    assert noted >= storm.events, "every event that was accepted is counted in the store"
    note(
        ROW,
        "one of two servers behind nginx restarted",
        restarts,
        "no answer failed, every event is in the store",
        f"{storm.predicted} /predict of {CLIENTS} clients and {storm.events} events; "
        f"the slowest took {storm.slowest:.1f} s",
        whole,
    )


@contextmanager
def balancer(folder: Path, replicas: list[Equipoise]) -> Iterator[str]:
    """Run nginx as docs/deploy has it before servers on this machine; yields its address."""
    port = free_port()
    text = CONFIG.read_text().replace("listen 9090", f"listen 127.0.0.1:{port}")
    for number, replica in enumerate(replicas, start=1):
        text = text.replace(f"equipoise-{number}:9090", f"127.0.0.1:{replica.port}")
    assert not re.search(r"equipoise-\d", text)
    place = folder / "nginx.conf"
    place.write_text(
        f"pid {folder}/nginx.pid; daemon off; worker_processes 1; "
        f"events {{ worker_connections 1024; }} http {{ access_log off; {text} }}"
    )
    command = ["nginx", "-e", str(folder / "nginx.log"), "-c", str(place)]
    with subprocess.Popen(command) as process:
        try:
            end = time.monotonic() + 30
            while not _answers(f"http://127.0.0.1:{port}/health"):
                assert time.monotonic() < end, (folder / "nginx.log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Storm:
    """Clients that ask for predictions, and one that sends events, until told to stop."""

    def __init__(self, url: str, version: str) -> None:
        self._url, self._version = url, version
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(CLIENTS + 1)
        self.failed: list[str] = []
        self.predicted = self.events = 0
        self.slowest = 0.0

    def __enter__(self) -> Storm:
        for _ in range(CLIENTS):
            self._pool.submit(self._predict)
        self._pool.submit(self._send)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def _predict(self) -> None:
        body = predict_body({"id": 11, "data": {"text": "x"}})
        with httpx.Client(base_url=self._url, timeout=100) as client:
            while not self._stop.wait(0.5):
                started = time.monotonic()
                found = self._post(client, "/predict", body)
                with self._lock:
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.predicted += 1
                    if found is not None and self._version not in found.text:
                        self.failed.append(found.text[:200])

    def _send(self) -> None:
        body = {"action": "ANNOTATION_CREATED", "project": {"id": 3}}
        with httpx.Client(base_url=self._url, timeout=100) as client:
            while not self._stop.wait(0.05):
                self.events += self._post(client, "/webhook", body) is not None

    def _post(self, client: httpx.Client, path: str, body: object) -> httpx.Response | None:
        try:
            return client.post(path, json=body).raise_for_status()
        except httpx.HTTPError as error:
            with self._lock:
                self.failed.append(f"{path}: {error!r}")
            return None
