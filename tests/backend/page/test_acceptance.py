# ruff: noqa: F401, F811 - fixtures are imported
"""Accepting on the page: shown first, done as the command does it, and taken back."""

from __future__ import annotations

import html
import re
import threading

import pytest
from fastapi.testclient import TestClient

from backend.errors import Busy
from backend.labelstudio.annotations import is_accepted
from backend.labelstudio.client import LabelStudio
from backend.page.errands import Errands, Tell
from backend.queue.offers import acceptable
from backend.server.app import create_app
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.queue.test_accept import client, config, store, studio
from tests.backend.studio import FakeStudio


@pytest.fixture
def browser(config: Settings, store: Store) -> TestClient:
    """Return a client of the page."""
    return TestClient(create_app(config, store), base_url="http://127.0.0.1:9090")


def fields(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form of an action."""
    (form,) = re.findall(rf'action="/projects/1/{action}">(.*?)</form>', page, re.DOTALL)
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return {name: html.unescape(value) for name, value in found}


def done(browser: TestClient) -> str:
    """Wait until what was begun is done, and return the page."""
    for thread in threading.enumerate():
        if thread.name == "errand":
            thread.join(timeout=60)
    return browser.get("/projects/1").text


def accepted(studio: FakeStudio) -> int:
    """Count annotations that were accepted."""
    return sum(is_accepted(a) for made in studio.annotations.values() for a in made)


def test_it_is_shown_first_then_written_and_taken_back(
    browser: TestClient, client: LabelStudio, config: Settings, store: Store, studio: FakeStudio
) -> None:
    expected = len(acceptable(client, store, config, 1, 0.1).answers)
    page = browser.get("/projects/1").text
    assert "Take back what was accepted" not in page, "nothing was"
    shown = browser.post("/projects/1/offer", data={**fields(page, "offer"), "error": "0.1"})
    assert f"At 90% correct, {expected} of 200 tasks" in shown.text
    assert f"<h2>Accept {expected} tasks?</h2>" in shown.text
    assert shown.text.count("would be labelled <b>") == 10
    assert accepted(studio) == 0, "nothing is written before it is asked for"
    meant = fields(shown.text, "accept")
    answer = browser.post("/projects/1/accept", data=meant, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/1")
    assert f"Wrote {expected} annotations" in done(browser)
    assert accepted(studio) == expected
    assert "Take back what was accepted" in browser.get("/projects/1").text
    again = browser.post("/projects/1/offer", data={**fields(page, "offer"), "error": "0.1"}).text
    assert "there is nothing to write" in again
    assert 'name="token"' not in again
    asked = browser.get("/projects/1/confirm/undo").text
    browser.post("/projects/1/undo", data=fields(asked, "undo"))
    assert f"Took back {expected} annotations" in done(browser)
    assert accepted(studio) == 0
    assert "Take back what was accepted" not in browser.get("/projects/1").text


def test_nothing_is_accepted_by_a_form_of_something_else(
    browser: TestClient, store: Store, studio: FakeStudio
) -> None:
    page = browser.get("/projects/1").text
    offer = fields(page, "offer")
    meant = fields(
        browser.post("/projects/1/offer", data={**offer, "error": "0.05"}).text, "accept"
    )
    for given in (offer, {**meant, "to": meant["to"].replace("0.05", "0.5")}, {}):
        assert browser.post("/projects/1/accept", data=given).status_code == 403
    assert browser.post("/projects/1/offer", data={"error": "0.05"}).status_code == 403
    for odd in ("", "nan", "2", "<b>"):
        refused = browser.post("/projects/1/offer", data={**offer, "error": odd})
        assert refused.status_code == 409
        assert "Allow a share of 0.001 to 0.5" in refused.text
    claim = store.claim(1, Kind.RANK, "auto", "test", {})
    assert claim is not None
    current = store.current(1)
    assert current is not None
    rankings.save(rankings.load(store.ranking(current)), store.ranking(store.round(claim.round)))
    store.commit(claim, schema=current.schema, checkpoint=current.checkpoint, measured={})
    browser.post("/projects/1/accept", data=meant)
    assert "look again at what may be accepted" in done(browser), "another round serves by now"
    assert accepted(studio) == 0


def test_one_thing_is_done_at_a_time_and_faults_are_told() -> None:
    errands, go = Errands(), threading.Event()

    def slow(tell: Tell) -> str:
        tell(3)
        assert go.wait(60)
        return "all of it"

    thread = errands.start(1, "Accepting", slow)
    with pytest.raises(Busy, match="Accepting goes on"):
        errands.start(1, "Taking back", slow)
    other = errands.start(2, "Accepting", lambda _: "".join(["a", 1]))  # type: ignore[list-item]
    other.join(60)
    go.set()
    thread.join(60)
    found = errands.of(1)
    assert found is not None
    assert (found.done, found.said, found.goes_on) == (3, "all of it", False)
    fault = errands.of(2)
    assert fault is not None
    assert fault.failed
    assert fault.said == "TypeError: see the server's log"
