"""The page: what it says, that nobody can write into it, and what its forms do."""

from __future__ import annotations

import json
import re
import statistics
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.page.forms import token
from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.page.made import fill
from tests.backend.studio import FakeStudio

CHARTS = ("quality", "shares", "trust", "bins")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "ok & fine")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a Label Studio."""
    with FakeStudio(10) as running:
        yield running


@pytest.fixture
def client(store: Store, tmp_path: Path, studio: FakeStudio) -> TestClient:
    """Return a client of an application whose reconciler stands still."""
    settings = Settings(
        label_studio_url=studio.url, api_key="key", data_dir=tmp_path, min_free_bytes=0
    )
    return TestClient(create_app(settings, store), base_url="http://127.0.0.1:9090")


def form(page: str) -> dict[str, str]:
    """Return the hidden fields of the first form."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return dict(fields[:2])


def test_a_project_is_understood_at_a_glance(client: TestClient, store: Store) -> None:
    version = fill(store)
    page = client.get("/projects/7").text
    assert "Digits, seen and heard" in page
    assert "13 of 20 new labels; with 7 more, a round starts." in page
    assert version in page
    assert "with 90% confidence; 54 tasks that chance chose" in page
    first, again = page.split("<h2>Look again</h2>")
    assert first.count("<li><a href=") == 20
    assert "7 of 360 labels are likely wrong." in again
    assert "1000000</a> labelled <b>0</b>, likely <b>1</b>" in again
    assert "alpha 0.83; a second annotator says the same of 0 (95%), 1 (92%)" in again
    assert "at 95% correct" in again.lower()
    assert again.count("</a> labelled <b>") == 7
    assert "12 tasks are nearly the same as another one" in again
    assert re.search(r"no such file.*for example <a [^>]+>task 9</a>, <a", again)
    assert "Drawn by chance, to measure" in page
    assert re.search(r"Picture says \d \(\.\d\d\), sound says \d \(\.\d\d\)", page)
    assert "/projects/7/data?task=" in page
    assert "3 × sound: no such file" in page
    assert "Label Studio does not answer GET" in page
    assert "held-out" not in page.lower()
    assert [page.count(f'id="{name}-title"') for name in CHARTS] == [1, 1, 1, 1]
    whole, picture, *_ = page.split('<g class="series')[1:]
    assert whole.count("<circle") == 4, "rounds with fewer than 20 tasks by chance are not drawn"
    assert re.search(r"all together, 360 labels: \d+% \(\d+% to \d+%\)", whole)
    assert "picture alone, 360 labels: " in picture
    assert "picture, 360 labels: 64%" in page
    assert "dominance, 360 labels: 28%" in page
    assert re.search(r"surer than right, 360 labels: -?\d+%", page)
    everything = client.get("/", headers={"Accept": "text/html"}).text
    assert 'href="/projects/7"' in everything


def test_the_next_tasks_show_what_they_hold(client: TestClient, store: Store) -> None:
    fill(store)
    page = client.get("/projects/7").text
    pictures = re.findall(
        r'<img class="thumbnail" loading="lazy" src="([^"]+)" alt="([^"]+)"', page
    )
    assert len(pictures) == 20 + 7 + 4, "the next ones, those to look at again, and twins"
    address, alternative = pictures[0]
    assert re.fullmatch(r"/projects/7/tasks/\d+/media/0", address)
    assert re.fullmatch(r"picture of task \d+", alternative)
    page = page.split("<h2>Look again</h2>")[0]
    absent = page.count("absent: no such file")
    assert absent > 0
    assert page.count('<audio controls preload="none"') == 20 - absent


def test_texts_are_shown_as_they_are(client: TestClient, store: Store) -> None:
    fill(store)
    current = store.current(7)
    assert current is not None
    path = store.ranking(current).with_name("glimpses.json")
    noted = json.loads(path.read_text())
    for task in noted:
        noted[task] = [
            {"name": HOSTILE[1], "kind": "text", "text": HOSTILE[0], "reason": ""},
            {"name": "series", "kind": "sequence", "text": "A sequence of 3 values.", "reason": ""},
            {"name": "far", "kind": "text", "text": "", "reason": ""},
            {"name": "gone", "kind": "image", "text": "", "reason": HOSTILE[0]},
        ]
    path.write_text(json.dumps(noted))
    page = client.get("/projects/7").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("<q>&lt;script&gt;alert(1)&lt;/script&gt;</q>") == 20
    assert page.count("<q>A sequence of 3 values.</q>") == 20
    assert re.search(r'<a href="/projects/7/tasks/\d+/media/2">what it says</a>', page)
    path.write_text("{broken")
    broken = client.get("/projects/7").text.split("<h2>Look again</h2>")[0]
    assert broken.count("<li><a href=") == 20


def test_before_anything_is_known_the_page_says_so(client: TestClient, store: Store) -> None:
    store.save_project(3, title="New", connected=True)
    page = client.get("/projects/3").text
    assert "Nothing is ranked yet." in page
    assert "Not yet: there is no order to serve." in page
    assert "No model yet" in page
    assert client.get("/projects/4").status_code == 404


def test_names_cannot_write_into_the_page(client: TestClient, store: Store) -> None:
    fill(store, classes=HOSTILE, title=HOSTILE[0])
    answer = client.get("/projects/7")
    ours = re.findall(r"<script[^>]*>", answer.text)
    assert [re.sub(r' data-seconds="\d+"', "", one) for one in ours] == [
        f'<script src="/static/{name}.js" defer>' for name in ("refresh", "map_groups", "map")
    ]
    assert "<img src=x" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "{{ 7*7 }}" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    # With no-referrer a browser says `Origin: null` when it posts a form, and that is refused.
    assert answer.headers["referrer-policy"] == "same-origin"
    everything = client.get("/", headers={"Accept": "text/html"}).text
    assert "<script>" not in everything
    odd = client.get("/projects/7/confirm/rollback", params={"to": HOSTILE[1]}).text
    assert "<img" not in odd


class Outline(HTMLParser):
    """Collects headings, unlabelled controls and addresses elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.outside.append(f"{tag} {name}")
            if name in ("src", "href") and tag != "a" and not (value or "").startswith("/"):
                self.outside.append(value or "")


def test_the_page_is_one_outline_and_loads_nothing_from_elsewhere(
    client: TestClient, store: Store
) -> None:
    fill(store)
    outline = Outline()
    page = client.get("/projects/7").text
    outline.feed(page)
    assert outline.outside == []
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    assert '<html lang="en">' in page
    assert client.get("/page.css").headers["content-type"].startswith("text/css")


def test_a_form_of_one_server_is_good_on_another(tmp_path: Path) -> None:
    def made(name: str, **more: str) -> str:
        secrets = {"basic_auth_user": "u", "basic_auth_pass": "p", "webhook_secret": "s", **more}
        return token(Settings(data_dir=tmp_path / name, **secrets), 7, "retrain")

    assert made("one") == made("two")
    assert (
        len({made("one"), made("one", basic_auth_pass="q"), made("one", webhook_secret="t")}) == 3
    )
    assert not list(tmp_path.iterdir()), "nothing is kept in files"


def test_forms_do_what_the_command_line_does(client: TestClient, store: Store) -> None:
    fill(store)
    asked = client.get("/projects/7/confirm/retrain").text
    assert store.project(7).requested == {}
    answer = client.post("/projects/7/retrain", data=form(asked), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/7")
    assert store.project(7).requested["kind"] == Kind.TRAIN
    claim = store.claim(7, Kind.TRAIN, "auto", "test", {})
    assert claim is not None
    page = client.get("/projects/7").text
    assert "A round is running (test)" in page
    client.post("/projects/7/cancel", data=form(client.get("/projects/7/confirm/cancel").text))
    assert store.running(7) is None


def test_a_label_that_was_corrected_since_says_so(client: TestClient, store: Store) -> None:
    def says(task: int, digit: str) -> None:
        result = [{"from_name": "digit", "type": "choices", "value": {"choices": [digit]}}]
        made = {"id": task, "result": result, "completed_by": 1}
        row = {"id": task, "data": {}, "is_labeled": True, "updated_at": "", "annotations": [made]}
        store.mirror(1).drop([task])
        store.mirror(1).put([row])

    first, second = 10**6, 10**6 + 1
    says(first, "0")
    says(second, "1")
    fill(store, 1, trained_on={str(first): "digit=['0']", str(second): "digit=['1']"})
    assert "changed since" not in client.get("/projects/1").text
    says(first, "1")
    page = client.get("/projects/1").text
    assert page.count("changed since") == 1
    assert re.search(
        r"1000000</a> labelled <b>0</b>, likely <b>1</b> <span[^>]*>changed since", page
    )


@pytest.mark.parametrize("given", ["", "0" * 64, "another"])
def test_a_form_of_somebody_else_does_nothing(client: TestClient, store: Store, given: str) -> None:
    fill(store)
    another = form(client.get("/projects/7/confirm/cancel").text)["token"]
    token = another if given == "another" else given
    assert client.post("/projects/7/retrain", data={"token": token}).status_code == 403
    assert store.project(7).requested == {}
    assert client.post("/projects/7/anything", data={"token": token}).status_code == 404


def test_what_cannot_be_rolled_back_is_said(client: TestClient, store: Store) -> None:
    fill(store)
    asked = client.get("/projects/7/confirm/rollback", params={"to": "equipoise-r0009"}).text
    answer = client.post("/projects/7/rollback", data=form(asked))
    assert answer.status_code == 409
    assert "no finished round" in answer.text


def looked(client: TestClient) -> str:
    """Return a project's page once Label Studio has been asked."""
    for _ in range(600):
        page = client.get("/projects/1").text
        if 'data-seconds="60"' in page:
            return page
        time.sleep(0.1)
    raise AssertionError("Label Studio is still being asked")


def test_whoever_looks_has_label_studio_asked_meanwhile(
    client: TestClient, store: Store, studio: FakeStudio
) -> None:
    fill(store, 1)
    page = client.get("/projects/1").text
    assert "is being asked whether it follows it" in page
    assert 'data-seconds="5"' in page, "the answer is shown soon"
    page = looked(client)
    assert "No: the queue is not served in this order" in page
    assert "project.model_version" in page
    assert "What mends it" in page
    assert re.search(r"Asked \d+ seconds ago", page)
    assert "annotations are understood" not in page
    asked = len(studio.requests)
    client.get("/projects/1")
    looked(client)
    assert len(studio.requests) == asked, "asked again within ten minutes"
    version = fill(store, 1)
    assert "is being asked whether it follows it" in client.get("/projects/1").text, "a new order"
    assert version in looked(client)
    assert len(studio.requests) > asked


def test_label_studio_that_does_not_answer_is_the_verdict(
    client: TestClient, store: Store, studio: FakeStudio
) -> None:
    fill(store, 1)
    studio.broken = 500
    page = looked(client)
    assert "No: the queue is not served in this order" in page
    assert "Label Studio answers" in page


def test_what_connecting_mends_has_a_button(
    client: TestClient, store: Store, studio: FakeStudio
) -> None:
    version = fill(store, 1)
    studio.remote["sampling"] = "Sequential sampling"
    assert "Connect it again" in looked(client)
    asked = client.get("/projects/1/confirm/connect").text
    assert "backend, webhook, sampling and tab" in asked
    client.post("/projects/1/connect", data=form(asked))
    for thread in threading.enumerate():
        if thread.name == "errand":
            thread.join(60)
    page = looked(client)
    assert f"Connecting again: the project serves version {version}" in page
    assert studio.remote["sampling"] == "Uncertainty sampling"
    assert "webhook: none" not in page, "it was asked again"
    assert "predictions of this version: 0 of 200" in page, "connecting publishes nothing"
    assert "Connect it again" not in page


def test_a_check_that_is_asked_for_is_doctors(
    client: TestClient, store: Store, studio: FakeStudio
) -> None:
    fill(store, 1)
    page = looked(client)
    asked = len(studio.requests)
    client.post("/projects/1/check", data=form(page))
    assert len(studio.requests) == asked, "asked again within ten seconds"


def test_a_page_of_100_000_tasks_is_small_and_fast(client: TestClient, store: Store) -> None:
    fill(store, tasks=100_000)
    took = []
    for _ in range(60):
        started = time.process_time()  # of all threads: other processes do not count
        answer = client.get("/projects/7")
        took.append(time.process_time() - started)
    assert len(answer.content) < 300_000
    assert statistics.quantiles(took, n=20)[-1] < 0.3, took
