"""Sure predictions become marked annotations, teach nobody, and are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from backend.commands.main import app
from backend.errors import EquipoiseError
from backend.labelstudio.annotations import is_accepted, read_task
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.queue.accept import accept, undo
from backend.queue.acceptable import Offer, key, offer, unfit
from backend.queue.lists import keep_tabs, spread
from backend.queue.offers import acceptable
from backend.queue.tab import AGAIN, SAFE
from backend.rounds.fetch import fetch
from backend.settings import ProjectSettings, Settings, settings
from backend.store import judgements, rankings
from backend.store.store import Store
from backend.store.tables import Kind
from strategies import Pool, Selection
from strategies.audit import places
from tests.backend.studio import CONFIG, FakeStudio

LABELLED, TASKS = 200, 400
OPEN = list(range(LABELLED + 1, TASKS + 1))
AGREEMENT = {
    "several": 12,
    "alpha": 0.61,
    "classes": {"A": 0.9, "B": 0.75},
    "annotators": {
        "1": {"labels": 150, "agree": [0.9, 0.8, 1.0], "alone": 138, "suspect": 30},
        "2": {"labels": 62, "agree": None, "alone": 50, "suspect": 9},
    },
}
CONFIDENCE = np.linspace(0.99, 0.5, len(OPEN))


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return 400 tasks, of which 200 are labelled."""
    with FakeStudio(TASKS) as running:
        for task in range(1, LABELLED + 1):
            running.annotations[task] = [person(task, "A")]
        yield running


@pytest.fixture
def config(studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings that commands read, too."""
    values = {"LABEL_STUDIO_URL": studio.url, "API_KEY": "key", "DATA_DIR": str(tmp_path)}
    for name, value in {**values, "PORT": "9", "MIN_FREE_BYTES": "0"}.items():
        monkeypatch.setenv(f"EQUIPOISE_{name}", value)
    settings.cache_clear()
    return settings()


@pytest.fixture
def store(config: Settings) -> Iterator[Store]:
    """Return a store whose round has judged 200 labels, 120 of them by chance."""
    opened = Store(config.database, config.data_dir)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    claim = opened.claim(1, Kind.TRAIN, "auto", "test", {"settings": {}})
    assert claim is not None
    found = opened.round(claim.round)
    rankings.save(ranking(found.version), opened.ranking(found))
    (opened.path(found.folder) / "checkpoint").mkdir()
    judgements.save(columns(), opened, found)
    schema = parse(CONFIG).schema.to_json()
    some = Offer(0.05, len(OPEN), {201: "A"}, probability={"A": 0.8})
    judged = {"judged": LABELLED, "suspect": 39, "questions": {"label": AGREEMENT}}
    measured = {"review": judged, "accept": some.to_json()}
    folder = f"{found.folder}/checkpoint"
    opened.commit(claim, schema=schema, checkpoint=folder, measured=measured)
    yield opened
    opened.close()
    settings.cache_clear()


def ranking(version: str) -> pa.Table:
    """Return a ranking of the open tasks: A more and more unsure, every fourth one B."""
    top = np.where(np.arange(len(OPEN)) % 4 == 3, 1, 0)
    p = np.where(top == 1, 1 - CONFIDENCE, CONFIDENCE)
    return rankings.build(
        OPEN,
        Pool(size=len(OPEN)),
        Selection(order=np.arange(len(OPEN)), scores=np.zeros(len(OPEN))),
        {"label": np.stack([p, 1 - p], axis=1)},
        parse(CONFIG).schema,
        {"strategy": "auto", "round": 1, "model_version": version},
    )


def columns() -> dict[str, Any]:
    """Return judgements: what is said with .8 and more is right, half of the rest is wrong."""
    p = np.linspace(0.99, 0.5, LABELLED)
    hit = (p >= 0.8) | (np.arange(LABELLED) % 2 == 0)
    likely = np.arange(LABELLED) // 2 % 2
    names = np.array(["A", "B"], object)
    return {
        "task": np.arange(1, LABELLED + 1),
        "question": np.full(LABELLED, "label"),
        "given": names[np.where(hit, likely, 1 - likely)],
        "likely": names[likely],
        "probability": p,
        "hit": hit,
        "quality": np.where(hit, 0.9, 0.1),
        "suspect": ~hit,
        "audit": np.arange(LABELLED) % 5 < 3,
    }


def person(task: int, said: str, **more: Any) -> dict[str, Any]:
    """Return an annotation that somebody made."""
    item = {"from_name": "label", "to_name": "txt", "value": {"choices": [said]}}
    return {"id": task, "completed_by": 1, "lead_time": 3.5, "result": [item], **more}


@pytest.fixture
def client(studio: FakeStudio) -> Iterator[LabelStudio]:
    """Return a client of the Label Studio of the test."""
    with LabelStudio(studio.url, "key", attempts=1) as opened:
        yield opened


def test_what_is_accepted_is_sure_and_leaves_the_next_draws_of_chance(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    studio.annotations[210] = [person(9, "A")]
    studio.annotations[211] = [{**person(8, "A"), "was_cancelled": True}]
    studio.tasks.remove(212)
    found = acceptable(client, store, config, 1, 0.05)
    probability = dict(zip(OPEN, CONFIDENCE, strict=True))
    assert len(found.answers) > 50
    assert min(probability[task] for task in found.answers) > 0.7
    assert {task: said for task, said in found.answers.items() if task % 4 == 0} == {
        task: "B" for task in found.answers if task % 4 == 0
    }
    assert not {210, 211, 212} & set(found.answers), "people have answered, or it is gone"
    options = ProjectSettings()
    place = places(OPEN, key(options, 1))
    first = {OPEN[row] for row in np.argsort(place)[: len(OPEN) // 10]}
    assert not first & set(found.answers)
    left = {t for t in OPEN if probability[t] > 0.9} - first - {210, 211, 212}
    assert left <= set(found.answers)
    assert "at 95% correct" in found.sentence
    assert f"{len(found.answers)} of 200 tasks" in found.sentence
    told = found.to_json()
    assert sum(of["tasks"] for of in told["classes"].values()) == told["tasks"]


def test_accepted_answers_teach_nothing_and_go_again(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    before = fetch(client, store.mirror(1), 1)
    found = acceptable(client, store, config, 1, 0.05)
    told: list[int] = []
    written = accept(client, store, 1, found, told.append)
    assert written == len(found.answers) == told[-1]
    now = fetch(client, store.mirror(1), 1)
    assert [item.stamp for item in now.labelled] == [item.stamp for item in before.labelled]
    assert now.accepted == set(found.answers)
    assert set(now.pool) == set(before.pool) - now.accepted
    one, two, three, four = sorted(found.answers)[:4]
    (made,) = studio.annotations[one]
    assert made["result"][0]["value"] == {"choices": [found.answers[one]]}
    assert made["result"][0]["meta"]["equipoise_accepted"].startswith("equipoise-")
    # Who saves one again, calls it ground truth or adds an answer has looked at it.
    made["lead_time"] = 4.2
    studio.annotations[two][0]["ground_truth"] = True
    studio.annotations[three].append(person(7, "B"))
    now = fetch(client, store.mirror(1), 1)
    assert {one, two, three} <= {item.task for item in now.labelled}
    assert not {one, two, three} & now.accepted
    assert {i.task: i.values["label"] for i in now.labelled}[three] == ("B",)
    assert acceptable(client, store, config, 1, 0.05).answers == {}, "once is enough"
    assert undo(client, store, 1) == written - 2
    assert not any(is_accepted(a) for made in studio.annotations.values() for a in made)
    assert studio.annotations[four] == []
    assert len(studio.annotations[one]) == len(studio.annotations[two]) == 1
    assert [a["id"] for a in studio.annotations[three]] == [7]


def named(studio: FakeStudio, title: str) -> set[int] | None:
    """Return the tasks that a tab shows; None without such a tab."""
    tabs = [tab["data"]["filters"] for tab in studio.tabs if tab["data"]["title"] == title]
    if not tabs:
        return None
    (filters,) = tabs
    assert filters["conjunction"] == "or"
    shown: set[int] = set()
    for item in filters["items"]:
        value = item["value"]
        ends = (value["min"], value["max"]) if item["operator"] == "in" else (value, value)
        shown |= set(range(ends[0], ends[1] + 1))
    return shown


def test_tabs_name_what_is_suspect_and_what_is_safe_while_there_is_some(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    studio.tabs.append({"id": 90, "data": {"title": "Mine"}})
    keep_tabs(client, store, config, 1)
    suspect = columns()["task"][columns()["suspect"]]
    assert named(studio, AGAIN) == set(suspect[:50].tolist())
    offered = list(acceptable(client, store, config, 1, 0.05).answers)
    safe = named(studio, SAFE)
    assert safe is not None
    assert safe <= set(offered)
    assert len(safe) == 50
    assert {offered[0], offered[-1]} <= safe, "the surest and the least sure"
    next(t for t in studio.tabs if t["data"]["title"] == AGAIN)["data"]["columnsWidth"] = {"a": 1}
    before = [dict(tab) for tab in studio.tabs]
    keep_tabs(client, store, config, 1)
    assert studio.tabs == before, "nothing is made twice"
    run = CliRunner().invoke
    assert "Wrote" in run(app, ["accept", "--project", "1", "--yes"]).output
    assert named(studio, SAFE) is None, "all of it is accepted"
    assert "Took back" in run(app, ["accept", "--project", "1", "--undo"]).output
    assert named(studio, SAFE) == safe
    removed = CliRunner().invoke(app, ["disconnect", "--project", "1"]).output
    assert f"removed the tab '{AGAIN}'" in removed
    assert [tab["data"]["title"] for tab in studio.tabs] == ["Mine"]


def test_a_list_is_cut_evenly() -> None:
    assert spread(range(5), 9) == [0, 1, 2, 3, 4]
    assert spread(range(100), 4) == [0, 33, 66, 99]


def test_an_offer_of_another_round_is_refused(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    found = acceptable(client, store, config, 1, 0.05)
    with pytest.raises(EquipoiseError, match="equipoise-other was looked at"):
        accept(client, store, 1, replace(found, version="equipoise-other"))
    assert "POST" not in " ".join(studio.requests)


def test_a_task_that_is_gone_meanwhile_is_passed_over(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    found = acceptable(client, store, config, 1, 0.05)
    studio.tasks.remove(next(iter(found.answers)))
    assert accept(client, store, 1, found) == len(found.answers) - 1
    assert store.project(1).accepted == len(found.answers) - 1


def test_what_was_written_before_a_failure_is_known(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    found = acceptable(client, store, config, 1, 0.05)

    def stop(written: int) -> None:
        if written == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accept(client, store, 1, found, stop)
    assert store.project(1).accepted == 3
    assert accept(client, store, 1, acceptable(client, store, config, 1, 0.05)) > 0
    assert store.project(1).accepted == len(found.answers)


def test_too_few_labels_by_chance_promise_nothing() -> None:
    config, options = parse(CONFIG), ProjectSettings()
    few = pa.table({k: list(v) for k, v in columns().items()}).slice(0, 70)
    assert few.filter(few.column("audit")).num_rows == 42
    found = offer(few, ranking("v"), config, options, 1)
    assert found.sentence == "not known yet: 42 of at least 45 labels of tasks that chance chose"
    assert offer(None, ranking("v"), config, options, 1).answers == {}
    unjudged = offer(None, ranking("v"), config, options, 1, audited=10)
    assert unjudged.reason.startswith("not known yet: 10 of at least 45 labels")
    some = offer(few, ranking("v"), config, options, 1, audited=60).reason
    assert some.endswith(
        "60 of at least 45 labels of tasks that chance chose, of which the round could judge 42"
    )
    wrong = {**columns(), "hit": np.zeros(LABELLED, bool)}
    table = pa.table({k: list(v) for k, v in wrong.items()})
    assert offer(table, ranking("v"), config, options, 1).reason.startswith("none yet")
    assert offer(table, ranking("v"), config, options, 1).to_json()["tasks"] == 0


@pytest.mark.parametrize(
    ("controls", "why"),
    [
        (
            '<Choices name="l" toName="t" choice="multiple"><Choice value="A"/></Choices>',
            "one class",
        ),
        ('<Rating name="l" toName="t"/>', "one class"),
        (
            '<Choices name="l" toName="t"><Choice value="A"/><Choice value="B"/></Choices>'
            '<Choices name="m" toName="t"><Choice value="C"/><Choice value="D"/></Choices>',
            "asks 2",
        ),
    ],
)
def test_what_cannot_be_accepted_says_why(controls: str, why: str) -> None:
    config = parse(f'<View><Text name="t" value="$text"/>{controls}</View>')
    assert why in unfit(config)


def test_the_command_tells_before_it_writes(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    expected = len(acceptable(client, store, config, 1, 0.05).answers)
    run = CliRunner().invoke
    told = run(app, ["accept", "--project", "1", "--error", ".05"])
    assert told.exit_code == 0, told.output
    assert f"At 95% correct, {expected} of 200 tasks" in told.output
    assert "Nothing was written" in told.output
    assert "POST" not in " ".join(studio.requests)
    written = run(app, ["accept", "--project", "1", "--yes"])
    assert f"Wrote {expected} annotations" in written.output
    assert read_task({"id": 1, "annotations": studio.annotations[201]}, parse(CONFIG)) is None
    gone = run(app, ["accept", "--project", "1", "--undo"])
    assert f"Took back {expected} annotations" in gone.output
    strict = run(app, ["accept", "--project", "1", "--error", ".01"])
    assert "of at least 230 labels" in strict.output


def test_a_changed_label_config_is_refused(
    store: Store, config: Settings, client: LabelStudio, studio: FakeStudio
) -> None:
    studio.remote["label_config"] = CONFIG.replace('value="B"', 'value="C"')
    with pytest.raises(EquipoiseError, match="another label config"):
        acceptable(client, store, config, 1, 0.05)


def test_suspect_labels_are_listed_with_a_link(store: Store, config: Settings) -> None:
    shown = CliRunner().invoke(app, ["review", "--project", "1", "--count", "3"])
    assert shown.exit_code == 0, shown.output
    assert "39 of 200 labels are likely wrong" in shown.output
    assert shown.output.count("/projects/1/data?task=") == 3
    assert "12 tasks with several answers, Krippendorff's alpha 0.61" in shown.output
    assert "annotator 1 gave 150 labels, others agree with 90% (80% to 100%)" in shown.output
    assert "annotator 2 gave 62 labels; 9 of 50 that nobody else gave are likely" in shown.output


def test_all_judgements_are_written_the_worst_first(
    store: Store, config: Settings, tmp_path: Path
) -> None:
    place = tmp_path / "labels.csv"
    run = CliRunner().invoke(app, ["review", "--project", "1", "--out", str(place)])
    assert "200 labels written" in run.output
    first, *rows = place.read_text().splitlines()
    assert '"quality","suspect","audit"' in first
    assert len(rows) == LABELLED
    assert ",0.1,true," in rows[0]
    assert ",0.9,false," in rows[-1]
    refused = CliRunner().invoke(app, ["review", "--project", "1", "--out", "labels.txt"])
    assert "Cannot export" in str(refused.exception)
