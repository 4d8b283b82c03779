"""The promises, checked from outside: by what Label Studio, the server and the disk show."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import pyarrow as pa

from backend.store import rankings as ranking
from backend.store.store import INITIAL_VERSION
from model import checkpoint
from tests.faults.stand import Stand, config, plain
from tests.stopwatch import Stopwatch, Taken, quantile

HEALTH_SECONDS = 1.0
"""Label Studio's deadline for /health."""
RESTART_SECONDS = 5.0


@dataclass
class Watch:
    """Looks at Label Studio and the server several times a second while the body runs.

    Attributes:
        stand: what is watched.
        alive: whether the server is meant to answer now; tests that kill it say so.
        every: seconds between two looks.
        strict: whether a broken promise fails the test at the end of the body.
        broken: promises that did not hold, in words.
        samples: how often it looked.
        health: what each answer of /health took.
    """

    stand: Stand
    alive: bool = True
    every: float = 0.25
    strict: bool = True
    broken: list[str] = field(default_factory=list)
    samples: int = 0
    health: list[Taken] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(60)
        if kind is None and self.strict:
            self.check()

    def check(self) -> None:
        """Fail with what was seen, if anything was."""
        assert not self.broken, self.broken[:5]
        assert self.samples, "nothing was looked at"
        if self.health:
            quantile(self.health, 0.99).check(HEALTH_SECONDS, "/health, 99% of its answers")

    @property
    def slowest(self) -> float:
        """The slowest answer of /health, in seconds on the wall."""
        return max((taken.most for taken in self.health), default=0.0)

    @property
    def answers(self) -> str:
        """The same in words."""
        return f"/health {self.slowest:.2f} s at most"

    def _loop(self) -> None:
        client = httpx.Client(
            base_url=self.stand.studio.url,
            headers=dict(self.stand.client.headers),
            timeout=60,
            trust_env=False,
        )
        with client:
            while not self._stop.wait(self.every):
                try:
                    self._queue(client)
                    self._health()
                    self.samples += 1
                except httpx.HTTPError as error:
                    self.broken.append(f"no answer to the checker: {error!r}")

    def _queue(self, client: httpx.Client) -> None:
        """Promise 2: the version that the queue uses is committed and wholly there."""
        path = f"/api/projects/{self.stand.project}/"
        version = client.get(path).raise_for_status().json()["model_version"]
        if version == INITIAL_VERSION:
            return
        rows = self.stand.query(
            "SELECT state, published FROM rounds WHERE project = :project AND version = :version",
            project=self.stand.project,
            version=version,
        )
        gone = len(self.stand.deleted)  # before the count, so that it can only be too lenient
        counts = client.get(f"{path}model-versions").raise_for_status().json()
        gone = max(gone, len(self.stand.deleted))
        if not rows or rows[0]["state"] != "done":
            self.broken.append(f"the queue names {version!r}, which no round has committed")
        elif counts.get(version, 0) < rows[0]["published"] - gone:
            self.broken.append(
                f"the queue names {version!r} with {counts.get(version, 0)} of "
                f"{rows[0]['published']} predictions"
            )

    def _health(self) -> None:
        """Promise 3: /health answers in time, whatever goes on."""
        if not self.alive:
            return
        watch = Stopwatch()
        try:
            httpx.get(f"{self.stand.server.url}/health", timeout=30, trust_env=False)
        except httpx.HTTPError as error:
            if self.alive:  # it was killed meanwhile otherwise
                self.broken.append(f"/health: {error!r}")
            return
        self.health.append(watch.taken)


def check_settled(stand: Stand) -> None:
    """Check every promise that holds when nothing runs any more."""
    assert stand.trained_on() == stand.annotations()
    current = stand.current()
    assert current is not None
    assert stand.remote()["model_version"] == current["version"]
    check_files(stand)


def check_files(stand: Stand) -> None:
    """The store opens; what it names can be read; nothing half-written is left."""
    data = stand.server.data
    if stand.store_url.startswith("sqlite"):
        assert stand.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    current = stand.current()
    assert current is not None
    table = ranking.load(data / current["folder"] / "ranking.parquet")
    assert table.num_rows == current["pool"]
    if current["checkpoint"]:
        checkpoint.load(data / current["checkpoint"], device="cpu")
    for path in (data / "cache").glob("*/*.arrow"):
        with pa.memory_map(str(path)) as file:
            pa.ipc.open_file(file).get_batch(0).validate(full=True)
    check_no_halves(stand)


def check_no_halves(stand: Stand) -> None:
    """Folders are those of rounds that count; nothing in them is hidden or half-written."""
    projects = stand.server.data / "projects" / str(stand.project)
    rows = stand.query("SELECT folder FROM rounds WHERE state IN ('done', 'running')")
    done = {Path(row["folder"]).name for row in rows}

    def left() -> set[str]:
        return {path.name for path in projects.iterdir()} - done

    # The server tidies up when it has seen that the worker ended, a moment after the commit.
    stand.until(lambda: not left(), f"nothing is left by rounds that ended early: {left()}")
    for folder, _, names in os.walk(projects):
        halves = [n for n in (*names, Path(folder).name) if re.search(r"^\.|\.(writing|part)$", n)]
        assert not halves, f"{folder}: {halves}"


def check_serves_at_once(stand: Stand) -> float:
    """Promise 3: after a restart the last version answers within 5 seconds of listening."""
    current = stand.current()
    assert current is not None
    table = ranking.load(stand.server.data / current["folder"] / "ranking.parquet")
    task = int(table.column("task")[0].as_py())
    body = {
        "tasks": [{"id": task, "data": {}}],
        "project": str(stand.project),
        "label_config": stand.remote()["label_config"] or config(),
    }
    watch = Stopwatch()
    answer = stand.server.post("/predict", body)
    taken = watch.taken
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["results"]
    # The round that was running may be committed between the two looks.
    after = stand.current()
    assert after is not None
    assert item["model_version"] in {current["version"], after["version"]}
    if plain(current["trained_on"]):
        assert item["result"]
    taken.check(RESTART_SECONDS, "the first /predict after a restart")
    return taken.most
