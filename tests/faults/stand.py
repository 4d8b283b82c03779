"""The stand: a small project in a real Label Studio, a real server, and what people do to both."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import numpy as np
from PIL import Image
from sqlalchemy import Engine, NullPool, RowMapping, create_engine, text
from sqlalchemy.exc import OperationalError

from demo.labelstudio import LabelStudio
from demo.project import import_tasks, media_url
from tests.faults.server import Server

Row = RowMapping
CLASSES = ("red", "green", "blue")
WAIT = 900.0
"""Seconds to wait for what must happen; a busy machine is slow, not wrong."""


def config(classes: tuple[str, ...] = CLASSES, control: str = "label") -> str:
    """Return the label config: a picture and a text, one choice."""
    choices = "".join(f'<Choice value="{name}"/>' for name in classes)
    return (
        '<View><Image name="image" value="$image"/><Text name="text" value="$text"/>'
        f'<Choices name="{control}" toName="image" choice="single">{choices}</Choices></View>'
    )


@dataclass
class Stand:
    """One project and one server.

    Attributes:
        studio: the real Label Studio, not through any proxy.
        client: its administrator.
        server: the server under test.
        project: project id.
        rng: decides what people do.
        deleted: tasks that people deleted.
    """

    studio: LabelStudio
    client: httpx.Client
    server: Server
    project: int
    rng: random.Random
    tasks: list[int] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    pictures: int = 0

    # People

    def add_tasks(self, count: int) -> list[int]:
        """Import tasks with new pictures, whose colour is their class."""
        folder = self.studio.media / "faults"
        folder.mkdir(parents=True, exist_ok=True)
        bodies = []
        for _ in range(count):
            self.pictures += 1
            which = self.rng.randrange(len(CLASSES))
            path = folder / f"{self.project}-{self.pictures}.png"
            path.write_bytes(picture(which, self.rng))
            words = f"{CLASSES[which]} {self.rng.choice(CLASSES)} thing {self.pictures}"
            bodies.append({"data": {"image": media_url(self.studio.media, path), "text": words}})
        made = import_tasks(self.client, self.project, bodies)
        self.tasks += made
        return made

    def annotate(self, task: int, choice: str, control: str = "label") -> int:
        """Label a task and return the annotation's id."""
        body = {"result": [_result(choice, control)]}
        answer = self.client.post(f"/api/tasks/{task}/annotations/", json=body)
        answer.raise_for_status()
        return int(answer.json()["id"])

    def reannotate(self, annotation: int, choice: str, control: str = "label") -> None:
        """Change a label."""
        body = {"result": [_result(choice, control)]}
        self.client.patch(f"/api/annotations/{annotation}/", json=body).raise_for_status()

    def label(self, count: int) -> None:
        """Label some tasks that have no label yet, always with more than one class."""
        done = {int(t) for t in self.annotations()}
        left = [t for t in self.tasks if t not in done and t not in self.deleted]
        if len(left) < count + 20:  # a round needs something to rank
            left += self.add_tasks(count + 20)
        for position, task in enumerate(self.rng.sample(left, count)):
            self.annotate(task, CLASSES[position % 2])

    def annotations(self) -> dict[str, list[str]]:
        """Return task id -> choices of the annotations that count, as Label Studio holds them."""
        found: dict[str, list[str]] = {}
        for task in self.export():
            for annotation in task["annotations"]:
                if annotation["was_cancelled"]:
                    continue
                for item in annotation["result"]:
                    found.setdefault(str(task["id"]), []).append(item["value"]["choices"][0])
        return {task: sorted(choices) for task, choices in found.items()}

    def export(self) -> list[dict[str, Any]]:
        """Return every annotated task as Label Studio exports it."""
        answer = self.client.get(
            f"/api/projects/{self.project}/export", params={"exportType": "JSON"}
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def configure(self, label_config: str) -> None:
        """Change the label config."""
        body = {"label_config": label_config}
        self.client.patch(f"/api/projects/{self.project}/", json=body).raise_for_status()

    def remote(self) -> dict[str, Any]:
        """Return the project as Label Studio has it."""
        answer = self.client.get(f"/api/projects/{self.project}/")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    # The store, read from outside

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store."""
        own = f"sqlite:///{self.server.data / 'equipoise.db'}"
        return self.server.extra.get("EQUIPOISE_STORE_URL", own)

    def query(self, sql: str, **values: object) -> list[Row]:
        """Read the store without the code under test."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(sql), values).mappings())

    def change(self, sql: str, **values: object) -> None:
        """Change the store behind the server's back."""
        with self._engine.begin() as connection:
            connection.execute(text(sql), values)

    @cached_property
    def _engine(self) -> Engine:
        waits = {"timeout": 30} if self._is_sqlite else {}
        return create_engine(self.store_url, poolclass=NullPool, connect_args=waits)

    def is_locked(self) -> bool:
        """Tell whether somebody holds a lock that keeps others from writing to the store."""
        waits: dict[str, object] = {"timeout": 0.5} if self._is_sqlite else {}
        lock = (
            ["BEGIN IMMEDIATE"]
            if self._is_sqlite
            else ["SET LOCAL lock_timeout = 500", "SELECT id FROM rounds FOR UPDATE"]
        )
        engine = create_engine(self.store_url, poolclass=NullPool, connect_args=waits)
        try:
            with engine.connect() as connection:
                for sql in lock:
                    connection.execute(text(sql))
                connection.rollback()
        except OperationalError:
            return True
        return False

    @property
    def _is_sqlite(self) -> bool:
        return self.store_url.startswith("sqlite")

    def current(self) -> Row | None:
        """Return the round that serves."""
        rows = self.query(
            "SELECT rounds.* FROM rounds JOIN projects ON projects.current = rounds.id "
            "WHERE projects.id = :project",
            project=self.project,
        )
        return rows[0] if rows else None

    def trained_on(self) -> dict[str, list[str]]:
        """Return task id -> choices that the newest trained round used."""
        rows = self.query(
            "SELECT trained_on FROM rounds WHERE project = :project AND kind = 'train' "
            "AND state = 'done' ORDER BY id DESC LIMIT 1",
            project=self.project,
        )
        stamps = plain(rows[0]["trained_on"]) if rows else {}
        return {
            task: sorted(stamp.partition("=")[2].strip("[]").replace("'", "").split(", "))
            for task, stamp in stamps.items()
        }

    def running(self) -> Row | None:
        """Return the round that the store calls running, whatever its lease."""
        rows = self.query(
            "SELECT * FROM rounds WHERE project = :project AND state = 'running' ORDER BY id DESC",
            project=self.project,
        )
        return rows[0] if rows else None

    def end_lease(self) -> None:
        """Move the running round's lease into the past, as a minute of waiting would."""
        self.change("UPDATE rounds SET lease = 0 WHERE state = 'running'")

    # Waiting

    def until(self, what: Callable[[], Any], why: str, pause: float = 0.1) -> Any:
        """Wait until something holds and return it."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(pause)
        raise AssertionError(
            f"not within {WAIT:g} s: {why}\n"
            f"rounds: {self.history()[-4:]}\n{self.server.log[-3000:]}"
        )

    def history(self) -> list[tuple[str, ...]]:
        """Return version, state and error of every round."""
        sql = "SELECT version, state, error FROM rounds WHERE project = :project ORDER BY id"
        return [tuple(row.values()) for row in self.query(sql, project=self.project)]

    def retrain(self) -> None:
        """Ask for a round."""
        self.server.post(f"/api/projects/{self.project}/retrain", {}).raise_for_status()

    def settle(self, asleep: int | None = None) -> float:
        """Wait until a round has trained on exactly what Label Studio holds; return the seconds.

        A round is asked for wherever none runs, so that the waits after failures (30 seconds and
        more) are not waited for.

        Args:
            asleep: a stopped worker, which is no sign of a round.
        """
        started = time.monotonic()
        wanted = self.annotations()

        def settled() -> bool:
            if self.running() or set(self.server.workers()) - {asleep}:
                return False
            current = self.current()
            assert current is not None
            if self.trained_on() == wanted:
                return bool(self.remote()["model_version"] == current["version"])
            wish = self.requested()
            if not wish or wish.get("again"):  # what failed waits, unless a person asks anew
                self.retrain()
            return False

        self.until(settled, "the next round trains on exactly what Label Studio holds", pause=0.4)
        return time.monotonic() - started

    def requested(self) -> Any:
        """Return the request that waits for a round, if any."""
        sql = "SELECT requested FROM projects WHERE id = :project"
        return plain(self.query(sql, project=self.project)[0]["requested"])


def plain(value: Any) -> Any:
    """Return a JSON column's value: SQLite gives its text, PostgreSQL the value itself."""
    return json.loads(value or "null") if isinstance(value, str | None) else value


def _result(choice: str, control: str) -> dict[str, Any]:
    value = {"choices": [choice]}
    return {"from_name": control, "to_name": "image", "type": "choices", "value": value}


def picture(which: int, rng: random.Random) -> bytes:
    """Return a small PNG of one colour and some noise."""
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 60, (12, 12, 3))
    noise[..., which] += 180
    out = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
