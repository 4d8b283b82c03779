"""What `notify_url` is told: once for each cause, signed, and again only where that helps."""

from __future__ import annotations

import json
import queue
import re
import runpy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from backend.commands.main import app
from backend.labelstudio.circuit import Circuits
from backend.notices import notifier as notifying
from backend.notices.delivery import NotDelivered, deliver, message, signature
from backend.notices.events import Event, events
from backend.notices.notifier import Notifier
from backend.settings import Settings, settings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.page.made import fill
from tests.backend.studio import FakeStudio

ROOT = Path(__file__).resolve().parents[3]
SECRET = "a secret that only we two know"


class Receiver:
    """Takes what is posted, or answers with another status."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[dict[str, Any]] = []
        self.asked: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                at = self.headers["X-Equipoise-Timestamp"]
                assert self.headers["X-Equipoise-Signature"] == signature(SECRET, at, body)
                receiver.asked.append(self.path)
                if receiver.status == 204:
                    receiver.got.append(json.loads(body))
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/T0KEN"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a running receiver."""
    running = Receiver()
    threading.Thread(target=running.server.serve_forever, daemon=True).start()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a Label Studio."""
    with FakeStudio(10) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver, studio: FakeStudio) -> Settings:
    """Return settings that name the receiver."""
    return Settings(
        label_studio_url=studio.url,
        api_key="key",
        data_dir=tmp_path,
        min_free_bytes=0,
        notify_url=receiver.url,
        notify_secret=SECRET,
    )


@pytest.fixture
def store(config: Settings) -> Iterator[Store]:
    """Return a store of a project whose newest round failed, and of which tasks may be accepted."""
    opened = Store(config.database, config.data_dir)
    fill(opened, 1, tasks=40, rounds=2)
    yield opened
    opened.close()


@pytest.fixture
def notifier(store: Store, config: Settings, monkeypatch: pytest.MonkeyPatch) -> Notifier:
    """Return a notifier that looks at queues, and sends again, at each turn."""
    monkeypatch.setattr(notifying, "_LOOK", 0.0)
    monkeypatch.setattr(notifying, "_FIRST", 0.0)
    return Notifier(store, config, Circuits())


def names(receiver: Receiver) -> list[str]:
    """Return the events that were taken."""
    return [told["event"] for told in receiver.got]


def test_each_event_is_told_once_for_each_cause(
    notifier: Notifier, receiver: Receiver, store: Store
) -> None:
    for _ in range(3):
        notifier.turn()
    assert sorted(names(receiver)) == ["acceptable", "queue_lost", "round_failed"]
    failed = next(told for told in receiver.got if told["event"] == "round_failed")
    assert failed["text"] == "A round failed: Label Studio does not answer GET /api/projects/7/."
    assert failed["title"] == "Digits, seen and heard"
    assert failed["url"].endswith(":9090/projects/1")
    lost = next(told for told in receiver.got if told["event"] == "queue_lost")
    assert "project.model_version" in lost["text"]
    for error in ("Label Studio does not answer GET /api/projects/7/.", "The disk is full."):
        claim = store.claim(1, Kind.TRAIN, "auto", "test", {})
        assert claim is not None
        store.finish(claim, State.FAILED, error)
        notifier.turn()
    assert names(receiver).count("round_failed") == 2, "the same reason again is no news"
    assert len({told["id"] for told in receiver.got}) == 4
    current = store.current(1)
    assert current is not None
    for end in (State.DONE, State.FAILED):
        claim = store.claim(1, Kind.TRAIN, "auto", "test", {})
        assert claim is not None
        if end == State.DONE:
            store.commit(claim, schema=current.schema, measured={})
        else:
            store.finish(claim, State.FAILED, "The disk is full.")
        notifier.turn()
    assert names(receiver).count("round_failed") == 3, "it was mended between"
    assert set(store.project(1).told) == {"round_failed", "queue_lost"}


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (429, True), (403, False), (302, False)]
)
def test_what_may_be_taken_later_is_sent_again(
    notifier: Notifier, receiver: Receiver, store: Store, status: int, again: bool
) -> None:
    receiver.status = status
    with capture_logs() as said:
        notifier.turn()
    assert {line["event"] for line in said} == {"not told"}
    assert f"notify_url answered {status}" in {line["reason"] for line in said}
    assert "T0KEN" not in str(said)
    assert SECRET not in str(said)
    assert set(receiver.asked) == {"/hooks/T0KEN"}, "nothing is followed elsewhere"
    receiver.status = 204
    notifier.turn()
    assert ("round_failed" in names(receiver)) == again
    assert "queue_lost" in names(receiver), "what is found now is told now"


def test_a_queue_is_lost_only_after_two_looks(
    notifier: Notifier, receiver: Receiver, studio: FakeStudio
) -> None:
    notifier.turn()
    assert "queue_lost" not in names(receiver)
    studio.broken = 502
    notifier.turn()
    assert "queue_lost" not in names(receiver), "nothing is known of it"
    studio.broken = None
    notifier.circuits.hint()
    notifier.turn()
    assert "queue_lost" in names(receiver)


def test_a_label_config_that_cannot_be_read_is_named(
    notifier: Notifier, receiver: Receiver, studio: FakeStudio
) -> None:
    studio.remote["label_config"] = "<View/>"
    notifier.turn()
    notifier.turn()
    (told,) = [one for one in receiver.got if one["event"] == "queue_lost"]
    assert "label config" in told["text"]


def test_nobody_is_told_of_what_is_disconnected(
    notifier: Notifier, receiver: Receiver, store: Store
) -> None:
    store.save_project(1, connected=False)
    notifier.turn()
    assert receiver.asked == []


def test_nothing_to_tell_is_nothing(store: Store) -> None:
    store.save_project(2, connected=True)
    assert events(store, 2, ()) == {}


def test_the_receiver_of_the_docs_takes_ours_and_nothing_else(
    config: Settings, tmp_path: Path
) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    (code,) = re.findall(r"```python\n(import hashlib.*?)```", text, re.DOTALL)
    code = code.replace("the same as notify_secret", SECRET)
    code = code.replace("HTTPServer((", "server = HTTPServer((").replace("8000", "0")
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    (tmp_path / "receiver.py").write_text(code.replace(".serve_forever()", ""))
    known = runpy.run_path(str(tmp_path / "receiver.py"), {"print": said.put})
    threading.Thread(target=known["server"].serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{known['server'].server_port}"
    told = message(config, 1, "Digits", Event("test", "test", "Equipoise can reach you."))
    mine = Settings(notify_url=url, notify_secret=SECRET)
    deliver(mine, told)
    other = Settings(notify_url=url, notify_secret="another")
    with pytest.raises(NotDelivered, match="answered 403"):
        deliver(other, told)
    known["server"].shutdown()
    known["server"].server_close()
    with pytest.raises(NotDelivered, match="does not answer") as away:
        deliver(mine, told)
    assert away.value.passing
    assert said.get(timeout=60) == "Equipoise can reach you."
    assert said.empty()


def test_the_command_tries_it_and_says_what_holds(
    store: Store, config: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.commands.console.settings", lambda: config)
    run = CliRunner().invoke
    assert "It was taken." in run(app, ["notify", "--test"]).output
    assert names(receiver) == ["test"]
    listed = run(app, ["notify"]).output
    assert "project 1: round_failed: A round failed" in listed
    assert "(not told yet)" in listed
    receiver.status = 401
    refused = run(app, ["notify", "--test"])
    assert str(refused.exception) == "notify_url answered 401"


def test_an_address_without_a_secret_is_refused() -> None:
    for wrong in ({}, {"notify_secret": ""}):
        with pytest.raises(ValueError, match="set notify_secret"):
            Settings(notify_url="http://127.0.0.1:1", **wrong)
    with pytest.raises(ValueError, match="must start with http"):
        Settings(notify_url="ftp://a", notify_secret="s")
    settings.cache_clear()
