"""What is accepted unseen, and labels to look at again, on a real Label Studio; no round is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from backend.commands.main import app
from backend.labelstudio.annotations import ACCEPTED
from backend.labelstudio.client import LabelStudio as Studio
from backend.labelstudio.config import parse
from backend.queue.lists import keep_tabs
from backend.queue.tab import AGAIN, SAFE
from backend.rounds.fetch import fetch
from backend.settings import Settings, settings
from backend.store import judgements, rankings
from backend.store.store import Store, open_store
from backend.store.tables import Kind
from demo.labelstudio import LabelStudio
from demo.project import Annotator, import_tasks
from strategies import Pool, Selection
from tests.backend.studio import CONFIG

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CHROMIUM = Path("/usr/bin/chromium")
LABELLED, OPEN, SUSPECT = 80, 40, 3


def labelled(number: int) -> dict[str, Any]:
    """Return a task that somebody has answered with A."""
    item = {"from_name": "label", "to_name": "txt", "type": "choices", "value": {"choices": ["A"]}}
    annotation = {"result": [item], "lead_time": 2.5}
    return {"data": {"text": f"review {number}"}, "annotations": [annotation]}


def commit(store: Store, project: int, done: list[int], still: list[int]) -> None:
    """Commit a round that is right on all labels by chance, and doubts the first three others."""
    claim = store.claim(project, Kind.TRAIN, "auto", "test", {"settings": {}})
    assert claim is not None
    found, schema = store.round(claim.round), parse(CONFIG).schema
    p = np.linspace(0.99, 0.9, len(still))
    outputs = {"label": np.stack([p, 1 - p], axis=1)}
    nothing = Selection(order=np.arange(len(still)), scores=np.zeros(len(still)))
    facts: dict[str, str | int] = {"strategy": "auto", "round": 1, "model_version": found.version}
    table = rankings.build(still, Pool(size=len(still)), nothing, outputs, schema, facts)
    rankings.save(table, store.ranking(found))
    (store.path(found.folder) / "checkpoint").mkdir()
    wrong = np.arange(len(done)) < SUSPECT
    said = {
        "task": np.array(done),
        "question": np.full(len(done), "label"),
        "given": np.full(len(done), "A"),
        "likely": np.where(wrong, "B", "A"),
        "probability": np.where(wrong, 0.55, 0.95),
        "hit": ~wrong,
        "quality": np.where(wrong, 0.1, 0.9),
        "suspect": wrong,
        "audit": np.arange(len(done)) >= len(done) - 60,
    }
    judgements.save(said, store, found)
    store.commit(
        claim,
        schema=schema.to_json(),
        checkpoint=f"{found.folder}/checkpoint",
        measured={"accept": {"tasks": OPEN}, "review": {"judged": len(done), "suspect": SUSPECT}},
    )


@pytest.fixture
def project(
    label_studio: LabelStudio,
    make_project: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[int, list[int], list[int], Settings, Store]]:
    """Return a project, its labelled and its open tasks; the command line knows it, too."""
    values = {"LABEL_STUDIO_URL": label_studio.url, "API_KEY": label_studio.api_key}
    values |= {"DATA_DIR": str(tmp_path), "PORT": "9", "MIN_FREE_BYTES": "0"}
    for name, value in values.items():
        monkeypatch.setenv(f"EQUIPOISE_{name}", value)
    settings.cache_clear()
    with label_studio.client() as client:
        made = make_project("belief", CONFIG)
        done = import_tasks(client, made, [labelled(number) for number in range(LABELLED)])
        plain = [{"data": {"text": f"open {number}"}} for number in range(OPEN)]
        still = import_tasks(client, made, plain)
    config = settings()
    store = open_store(config)
    store.save_project(made, connected=True, label_config=CONFIG)
    commit(store, made, done, still)
    yield made, done, still, config, store
    store.close()
    settings.cache_clear()


def shown(client: httpx.Client, project: int, title: str) -> set[int] | None:
    """Return the tasks that Label Studio lists in a tab; None where there is no such tab."""
    tabs = client.get("/api/dm/views/", params={"project": project}).json()
    found = [tab["id"] for tab in tabs if tab["data"]["title"] == title]
    if not found:
        return None
    answer = client.get("/api/tasks", params={"project": project, "view": found[0]})
    return {task["id"] for task in answer.raise_for_status().json()["tasks"]}


def command(*arguments: str) -> str:
    """Run a command in this process and return what it prints."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.output


def test_what_is_accepted_teaches_nothing_and_leaves_nothing(
    label_studio: LabelStudio, project: tuple[int, list[int], list[int], Settings, Store]
) -> None:
    number, done, still, config, store = project
    own = ("--project", str(number))
    with (
        label_studio.client() as client,
        Studio(label_studio.url, label_studio.api_key) as studio,
    ):
        before = fetch(studio, store.mirror(number), number)
        assert {item.task for item in before.labelled} == set(done)
        keep_tabs(studio, store, config, number)
        assert shown(client, number, AGAIN) == set(done[:SUSPECT])
        safe = shown(client, number, SAFE)
        assert safe is not None
        assert safe < set(still), "those that chance draws next are kept apart"
        listed = command("review", *own)
        assert f"{SUSPECT} of {LABELLED} labels are likely wrong" in listed
        assert f"{label_studio.url}/projects/{number}/data?task={done[0]}" in listed

        assert f"Wrote {len(safe)} annotations" in command("accept", *own, "--yes")
        accepted = fetch(studio, store.mirror(number), number)
        assert accepted.accepted == safe
        assert [item.stamp for item in accepted.labelled] == [i.stamp for i in before.labelled]
        assert set(accepted.pool) == set(still) - safe
        assert shown(client, number, SAFE) is None
        first, second, third = sorted(safe)[:3]
        (made,) = client.get(f"/api/tasks/{first}").json()["annotations"]
        assert made["result"][0]["value"] == {"choices": ["A"]}
        assert made["result"][0]["meta"][ACCEPTED].startswith("equipoise-")
        assert made["result"][0]["origin"] == "prediction"
        assert not made["lead_time"]
        exported = client.get(f"/api/projects/{number}/export", params={"exportType": "JSON"})
        (kept,) = next(t for t in exported.json() if t["id"] == first)["annotations"]
        assert kept["result"][0]["meta"][ACCEPTED].startswith("equipoise-")

        # Somebody saves one again as the editor does, and another adds an answer beside ours.
        changed = [{**made["result"][0], "value": {"choices": ["B"]}}]
        body = {"result": changed, "lead_time": 4.2}
        client.patch(f"/api/annotations/{made['id']}/", json=body).raise_for_status()
        Annotator(client, number, subject="txt").submit(second, "B")
        now = fetch(studio, store.mirror(number), number)
        answers = {item.task: item.values["label"] for item in now.labelled}
        assert (answers[first], answers[second]) == (("B",), ("B",))
        assert third not in answers
        assert now.accepted == safe - {first, second}

        assert f"Took back {len(safe) - 1} annotations" in command("accept", *own, "--undo")
        left = fetch(studio, store.mirror(number), number)
        assert {item.task for item in left.labelled} == {*done, first, second}
        assert not left.accepted
        assert set(left.pool) == set(still) - {first, second}
        assert client.get(f"/api/tasks/{third}").json()["is_labeled"] is False
        assert shown(client, number, SAFE) == safe - {first, second}


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
def test_the_data_manager_opens_our_tabs(
    label_studio: LabelStudio, project: tuple[int, list[int], list[int], Settings, Store]
) -> None:
    number, _, _, config, store = project
    with Studio(label_studio.url, label_studio.api_key) as studio:
        keep_tabs(studio, store, config, number)
        tabs = {tab["data"]["title"]: tab["id"] for tab in studio.tabs(number)}
    said: list[str] = []
    with sync_playwright() as play:
        running = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = running.new_page(viewport={"width": 1200, "height": 700})
        page.set_default_timeout(180_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.credentials.username)
        page.fill("input[name=password]", label_studio.credentials.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/login" not in url)
        for title, count in ((AGAIN, f"Tasks: {SUSPECT} /"), (SAFE, "Tasks: ")):
            page.goto(f"{label_studio.url}/projects/{number}/data?tab={tabs[title]}")
            page.get_by_text(count).first.wait_for()
        running.close()
    # Whoever opens a tab makes Label Studio's browser write it again, as it understands it.
    with label_studio.client() as client:
        assert len(shown(client, number, AGAIN) or ()) == SUSPECT
        assert 0 < len(shown(client, number, SAFE) or ()) < OPEN
    assert said == []
