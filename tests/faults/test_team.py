"""A team at work: three projects, one of them broken, 50,000 predictions of somebody else.

Twenty labels a minute go to two projects in the order that Label Studio serves. The third project's
requests are never answered. Every label must be in its project's next round, no round may wait for
anything but trainings, and memory must stay flat. EQUIPOISE_SOAK_MINUTES says how long (30).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from demo.installation import DATABASE
from demo.project import Annotator, create_project, serve_folder
from tests.faults.build import connect
from tests.faults.plan import full_only, note, rng
from tests.faults.proxy import Proxy
from tests.faults.stand import CLASSES, Stand, plain
from tests.faults.test_soak import check_flat, size_of
from tests.stopwatch import Stopwatch

MINUTES = float(os.environ.get("EQUIPOISE_SOAK_MINUTES", "30"))
LABELS_A_MINUTE = 20
RETRAIN_AFTER = 10
FOREIGN = 50_000
PATIENCE = 60.0
"""Seconds that a round may wait for, or spend on, anything but trainings."""


@dataclass
class Seen:
    """A round as it was seen when it had ended."""

    id: int
    kind: str
    state: str
    started: float
    finished: float
    training: float
    tasks: frozenset[int] = frozenset()


@dataclass
class Member:
    """One project that is labelled: who labels it, when, and the rounds that came."""

    stand: Stand
    annotator: Annotator
    given: list[tuple[float, int]] = field(default_factory=list)
    rounds: list[Seen] = field(default_factory=list)

    def label(self) -> None:
        """Label the task that Label Studio serves next; its text begins with its class."""
        task = self.annotator.next_task()
        assert task is not None, "enough tasks were imported"
        choice = str(task["data"]["text"]).split()[0]
        self.annotator.submit(int(task["id"]), choice)
        self.given.append((time.time(), int(task["id"])))

    @property
    def trained(self) -> bool:
        """Whether a training has ended."""
        return any(found.kind == "train" for found in self.rounds)

    def look(self) -> None:
        """Note rounds that have ended, and that a trained one knows all labels before it."""
        known = {found.id for found in self.rounds}
        rows = self.stand.query(
            "SELECT id, kind, state, started, finished, durations, trained_on FROM rounds "
            "WHERE project = :project AND state != 'running' AND id > :last ORDER BY id",
            project=self.stand.project,
            last=max(known, default=0),
        )
        for row in rows:
            spent = plain(row["durations"]) or {}
            training = spent.get("train", 0.0) + spent.get("evaluate", 0.0)
            tasks = frozenset(int(task) for task in plain(row["trained_on"]) or {})
            place = row["id"], row["kind"], row["state"], row["started"], row["finished"]
            self.rounds.append(Seen(*place, training, tasks))
            assert row["state"] == "done", self.stand.history()[-3:]
            if row["kind"] == "train" and (tasks or row is rows[-1]):  # older lists are dropped
                before = {task for at, task in self.given if at < row["started"]}
                assert before <= tasks, f"{len(before - tasks)} labels are missing in a round"

    def waits(self, others: list[Seen]) -> Iterator[float]:
        """Yield how long each training was due while no round ran anywhere."""
        trained = [found for found in self.rounds if found.kind == "train"]
        for last, found in zip([None, *trained], trained, strict=False):
            if last is not None and not last.tasks:
                continue
            new = [at for at, task in self.given if last is None or task not in last.tasks]
            if len(new) < RETRAIN_AFTER or new[RETRAIN_AFTER - 1] > found.started:
                continue  # it was asked for
            due = max(new[RETRAIN_AFTER - 1], last.finished if last else 0.0)
            busy = sum(
                max(0.0, min(other.finished, found.started) - max(other.started, due))
                for other in others
                if other.id != found.id
            )
            yield max(0.0, found.started - due - busy)


@contextmanager
def project_beside(stand: Stand, title: str, tasks: int) -> Iterator[Stand]:
    """Another project on the same two servers, connected."""
    project = create_project(stand.client, title, stand.remote()["label_config"])
    other = Stand(stand.studio, stand.client, stand.server, project, rng(title))
    try:
        other.add_tasks(tasks)
        serve_folder(stand.client, project, stand.studio.media / "faults")
        connect(other)
        yield other
    finally:
        stand.client.delete(f"/api/projects/{project}/")


def import_foreign(stand: Stand, count: int) -> int:
    """Give a project predictions of another model: one over the API, copied in the database."""
    body = {
        "task": stand.tasks[0],
        "model_version": "somebody else's",
        "score": 0.5,
        "result": [
            {
                "from_name": "label",
                "to_name": "image",
                "type": "choices",
                "value": {"choices": [CLASSES[0]]},
            }
        ],
    }
    url = f"/api/projects/{stand.project}/import/predictions"
    stand.client.post(url, json=[body]).raise_for_status()
    each = count // len(stand.tasks)
    with sqlite3.connect(stand.studio.folder / DATABASE, timeout=120) as database:
        columns = [str(row[1]) for row in database.execute("PRAGMA table_info(prediction)")]
        columns.remove("id")
        copied = ", ".join("task.id" if c == "task_id" else f"prediction.{c}" for c in columns)
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {each}) "
            f"INSERT INTO prediction ({', '.join(columns)}) SELECT {copied} FROM prediction, n, "
            "task WHERE prediction.project_id = ? AND prediction.model_version = ? "
            "AND task.project_id = prediction.project_id",
            (stand.project, body["model_version"]),
        )
        database.execute(
            "UPDATE task SET total_predictions = total_predictions + ? WHERE project_id = ?",
            (each, stand.project),
        )
    return 1 + each * len(stand.tasks)


@full_only("team")
def test_a_team_labels_for_half_an_hour(make_stand: Callable[..., Stand], proxy: Proxy) -> None:
    whole = Stopwatch()
    tasks = int(LABELS_A_MINUTE * MINUTES / 2) + 100
    settings = {"retrain_after": str(RETRAIN_AFTER), "publish": "60", "via": proxy.url}
    stand = make_stand("team", tasks=tasks, **settings)
    foreign = import_foreign(stand, FOREIGN)
    with (
        project_beside(stand, "team beside", tasks) as second,
        project_beside(stand, "team broken", 30) as broken,
        proxy.fault(about(broken), "silent") as rule,
    ):
        members = [Member(s, Annotator(s.client, s.project)) for s in (stand, second)]
        used = work(members)
        for member in members:
            member.stand.settle()
            member.look()
        hits = rule.hits
        counts = stand.client.get(f"/api/projects/{stand.project}/model-versions").json()
    check(members, used, hits, counts, foreign, whole)


def about(stand: Stand) -> str:
    """Return the pattern of every request about a project."""
    return rf"/projects/{stand.project}\b|[?&]project={stand.project}\b"


@dataclass
class Used:
    """What the server used, every 5 s: bytes of memory, bytes on disk without the cache."""

    memory: list[int] = field(default_factory=list)
    disk: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        quarter = len(self.memory) // 4
        if not quarter:
            return "too short to tell what it used"
        early, late = max(self.memory[quarter : 2 * quarter]), max(self.memory[-quarter:])
        return (
            f"memory {early / 1e6:.0f} MB at most in the second quarter, {late / 1e6:.0f} in the "
            f"last; data {self.disk[quarter] / 1e6:.1f} -> {self.disk[-1] / 1e6:.1f} MB"
        )


def work(members: list[Member]) -> Used:
    """Label for the whole time, look meanwhile, and return what the server used."""
    used, server = Used(), members[0].stand.server
    begun = time.monotonic()
    given, looked = 0, 0.0
    while (passed := time.monotonic() - begun) < MINUTES * 60:
        if given < passed * LABELS_A_MINUTE / 60:
            members[given % len(members)].label()
            given += 1
        for member in members:
            member.look()
        if passed - looked > 5 and all(member.trained for member in members):
            looked = passed  # the process that predicts loads after the first training
            used.memory.append(server.memory())
            used.disk.append(size_of(server.data))
        time.sleep(0.2)
    assert given >= 0.9 * MINUTES * LABELS_A_MINUTE, f"Label Studio took {given} labels only"
    return used


def check(
    members: list[Member],
    used: Used,
    hits: int,
    counts: dict[str, Any],
    foreign: int,
    whole: Stopwatch,
) -> None:
    """Judge, and note the figures."""
    rounds = [found for member in members for found in member.rounds]
    trained = [found for found in rounds if found.kind == "train"]
    waits = [wait for member in members for wait in member.waits(rounds)]
    beside = [found.finished - found.started - found.training for found in trained]
    labels = sum(len(member.given) for member in members)
    print("waits", [round(wait, 1) for wait in waits], "beside", [round(b, 1) for b in beside])
    assert hits > 0, "the broken project was asked about"
    assert len(trained) >= labels / RETRAIN_AFTER / 2, "rounds came"
    assert len(waits) >= len(trained) / 2
    assert max(waits) < PATIENCE
    assert max(beside) < PATIENCE
    assert counts["somebody else's"] == foreign, "they are not ours to delete"
    settled = MINUTES >= 15  # the second quarter has as many rounds on disk as are kept
    flat = check_flat(used.memory, used.disk if settled else [0] * len(used.disk), [])
    if flat.endswith("flat"):
        flat = "memory and disk flat" if settled else "memory flat, too short to tell of the disk"
    note(
        "team",
        f"{LABELS_A_MINUTE} labels a minute for {MINUTES:g} minutes in two projects, a third "
        f"silent, {foreign:,} foreign predictions",
        labels,
        f"every label in the next round, no round waits for anything but trainings; {flat}",
        f"{len(trained)} rounds, due for {max(waits):.1f} s at most before they began "
        f"({sorted(waits)[len(waits) // 2]:.1f} s as a rule), {max(beside):.1f} s at most beside "
        f"training; {used}; the silent project was asked about {hits} times; "
        f"{sum(counts.values()) - foreign} predictions of ours",
        whole,
    )


def test_waits_leave_out_what_ran_meanwhile() -> None:
    given = [(float(at), at) for at in range(1, 31)]
    first = Seen(1, "train", "done", 12.0, 15.0, 1.0, frozenset(range(1, 12)))
    other = Seen(2, "rank", "done", 20.0, 25.0, 1.0)
    second = Seen(3, "train", "done", 27.0, 30.0, 1.0, frozenset(range(1, 27)))
    member = Member(None, None, given, [first, second])  # type: ignore[arg-type]
    assert list(member.waits([first, other, second])) == pytest.approx([2.0, 2.0])
