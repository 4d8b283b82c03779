# ruff: noqa: F401, F811 - fixtures are imported
"""Several projects: none waits for another's Label Studio, and only so many rounds run at once."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import text

from backend.predictions.served import Serving
from backend.rounds.due import Due
from backend.rounds.loop import Reconciler
from backend.settings import Settings
from backend.store.store import Claim, Store
from backend.store.tables import Kind, State
from tests.backend.rounds.test_look import CONFIG, store


class Hanging:
    """A Label Studio that hangs, fails or answers by project, over real HTTP."""

    def __init__(self, hangs: int, fails: int) -> None:
        self.hangs, self.fails = hangs, fails
        self.asked: list[int] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        studio = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listing = self.path.startswith("/api/tasks?project=")
                project = int(re.findall(r"\d+", self.path)[0])
                if not listing:
                    studio.asked.append(project)
                if project == studio.hangs:
                    studio.over.wait(60)
                self.send_response(500 if project == studio.fails else 200)
                self.end_headers()
                none = {"tasks": [], "total": 0}
                remote = {
                    "task_number": 0,
                    "total_annotations_number": 0,
                    "label_config": CONFIG,
                    "model_version": "",
                }
                with contextlib.suppress(OSError):
                    self.wfile.write(json.dumps(none if listing else remote).encode())

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler

    def stop(self) -> None:
        """Let everything end."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


def test_a_project_that_hangs_or_fails_costs_the_others_nothing(store: Store) -> None:
    for project in (2, 3):
        store.save_project(project, connected=True, label_config=CONFIG)
    studio = Hanging(hangs=1, fails=2)
    config = Settings(
        label_studio_url=studio.url,
        api_key="key",
        data_dir=store.files,
        poll_seconds=0.2,
        worker_in_waiting=False,
    )
    loop = Reconciler(store, config, Serving(store, config))
    loop.start()
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and (
            studio.asked.count(3) < 4 or not store.project(2).problem
        ):
            time.sleep(0.05)
        assert studio.asked.count(3) >= 4
        assert studio.asked.count(1) == 1, "one request waits, and no second one"
        assert "500" in store.project(2).problem
        assert store.project(3).problem == ""
    finally:
        studio.over.set()
        loop.stop()
        studio.stop()


class Slots:
    """Takes rounds where a process would run them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.started: list[int] = []

    @property
    def free(self) -> int:
        """How many more rounds may start."""
        return self.most - len(self.started)

    def __contains__(self, project: int) -> bool:
        return project in self.started

    def start(self, project: int, claim: Claim) -> bool:
        """Note which project's round starts."""
        self.started.append(project)
        return True


def test_only_so_many_rounds_run_and_who_waited_longest_comes_first(store: Store) -> None:
    for project in (1, 2, 3, 4):
        store.save_project(project, connected=True, label_config=CONFIG)
        claim = store.claim(project, Kind.COLD, "random", "", {})
        assert claim is not None
        store.commit(claim)
        with store.engine.begin() as connection:
            at = {"at": 100.0 + (7 * project) % 5, "round": claim.round}
            connection.execute(text("UPDATE rounds SET started = :at WHERE id = :round"), at)
    config = Settings(data_dir=store.files)
    loop = Reconciler(store, config, Serving(store, config))
    slots = Slots(3)
    loop._workers = slots  # type: ignore[assignment]
    for project in (1, 2, 3, 4):
        loop._due[project] = (time.monotonic(), Due(Kind.COLD, "test"))
    loop._start_due()
    assert slots.started == [3, 1, 4]
    assert set(loop._due) == {2}
    assert Settings().max_rounds == 1


@pytest.mark.parametrize(
    ("found_ago", "room", "asks"),
    [
        (None, True, True),  # nothing is known of it
        (None, False, True),  # its problems are told, though no round could start
        (1.0, True, False),  # it is known what it needs
        (1.0, False, False),
        (60.0, True, True),  # what was known is old
        (60.0, False, False),  # it could not start: nobody is asked again in vain
    ],
)
def test_label_studio_is_asked_of_a_project_when_the_answer_is_of_use(
    store: Store, monkeypatch: pytest.MonkeyPatch, found_ago: float | None, room: bool, asks: bool
) -> None:
    config = Settings(data_dir=store.files, worker_in_waiting=False)
    loop = Reconciler(store, config, Serving(store, config))
    asked: list[int] = []
    monkeypatch.setattr(loop, "look", asked.append)
    loop._workers = slots = Slots(1 if room else 0)  # type: ignore[assignment]
    if found_ago is not None:
        loop._due[1] = (time.monotonic() - found_ago, Due(Kind.COLD, "test"))
    loop._begin_look(1)
    loop._pool.shutdown(wait=True)
    assert asked == [1] * asks
    assert slots.started == []


def test_nothing_starts_once_the_server_stops(store: Store) -> None:
    config = Settings(data_dir=store.files, worker_in_waiting=False)
    loop = Reconciler(store, config, Serving(store, config))
    loop.stop()
    loop._due[1] = (time.monotonic(), Due(Kind.COLD, "found by a look that took long"))
    loop._start_due()
    assert store.rounds(1) == []
    loop._start(1, Due(Kind.COLD, "begun at the same moment"))
    assert [found.state for found in store.rounds(1)] == [State.INTERRUPTED]


def test_a_waiting_project_costs_no_request_between_polls(store: Store) -> None:
    config = Settings(data_dir=store.files)
    loop = Reconciler(store, config, Serving(store, config))
    store.save_project(2, connected=False)
    assert not loop._may_be_due(store.project(1)), "an empty project"
    assert not loop._may_be_due(store.project(2)), "a disconnected one"
    store.mark_changed(1)
    assert loop._may_be_due(store.project(1)), "tasks may have been imported"
