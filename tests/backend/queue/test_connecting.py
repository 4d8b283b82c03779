"""Connecting: several at once end as one would have."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.commands.main import app
from backend.errors import EquipoiseError
from backend.labelstudio.circuit import Circuits
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.page.status import status
from backend.queue.connect import connect
from backend.queue.doctor import examine
from backend.queue.media_check import media_checks
from backend.queue.tab import TAB, make_tab
from backend.rounds.look import Look
from backend.settings import Settings
from backend.settings import settings as process_settings
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.studio import CONFIG, FakeStudio


def test_connects_at_once_take_turns(tmp_path: Path) -> None:
    with FakeStudio() as studio:
        settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)

        def work(_: int) -> list[str]:
            store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
            with LabelStudio(studio.url, "key") as client:
                lines = connect(client, store, settings, 1)
            store.close()
            return lines

        Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path).close()
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(work, range(4)))
        assert len(studio.hooks) == 1
        made = [line for lines in done for line in lines if line.startswith("created the webhook")]
        assert len(made) == 1


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"webhook_secret": "s3cret"}, {"X-Equipoise-Secret": "s3cret"}),
        ({"basic_auth_user": "u", "basic_auth_pass": "p"}, {"X-Equipoise-Secret": None}),
        (
            {"webhook_secret": "s3cret", "basic_auth_user": "u", "basic_auth_pass": "p"},
            {"X-Equipoise-Secret": "s3cret"},
        ),
        ({}, {}),
    ],
)
def test_the_webhook_carries_what_lets_it_in_and_doctor_looks_at_it(
    tmp_path: Path, given: dict[str, str], header: dict[str, Any]
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with FakeStudio() as studio, LabelStudio(studio.url, "key") as client:
        settings = Settings(label_studio_url=studio.url, data_dir=tmp_path, **given)
        connect(client, store, settings, 1)
        if None in header.values():  # never the password: one is made, for its owner's eyes
            kept = tmp_path / "webhook_secret"
            assert kept.stat().st_mode & 0o777 == 0o600
            header = {"X-Equipoise-Secret": kept.read_text()}
            assert len(kept.read_text()) >= 32
        assert studio.hooks[0]["headers"] == header

        def webhook_is_well() -> bool:
            (check,) = [c for c in examine(client, store, settings, 1) if c.name == "webhook"]
            return check.ok

        assert webhook_is_well()
        studio.hooks[0]["headers"] = {"X-Equipoise-Secret": "old"}
        assert webhook_is_well() == (not header)
    store.close()


@pytest.mark.parametrize(("state", "well"), [("CO", True), ("PR", True), ("DI", False)])
def test_doctor_reads_the_states_of_old_label_studios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, well: bool
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with FakeStudio() as studio, LabelStudio(studio.url, "key") as client:
        settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
        connect(client, store, settings, 1)
        shown = {key: value for key, value in studio._backend().items() if key != "readable_state"}
        monkeypatch.setattr(studio, "_backend", lambda: {**shown, "state": state})
        name = "backend reachable from Label Studio"
        (check,) = [c for c in examine(client, store, settings, 1) if c.name == name]
        assert check.ok == well
    store.close()


@pytest.mark.parametrize(
    ("tasks", "took", "well"),
    [(12_000, None, True), (12_000, 0.7, True), (12_000, 14.3, False), (300, 14.3, True)],
)
def test_doctor_says_what_spares_a_large_project_the_count_of_its_tasks(
    tmp_path: Path, tasks: int, took: float | None, well: bool
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with FakeStudio(tasks) as studio, LabelStudio(studio.url, "key") as client:
        settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
        connect(client, store, settings, 1)
        if took is not None:
            claim = store.claim(1, Kind.COLD, "random", "test", {})
            store.commit(claim, durations={"publish": took})
        name = "predictions are stored quickly"
        (check,) = [c for c in examine(client, store, settings, 1) if c.name == name]
        assert check.ok == well
        assert check.warning, "the queue works all the same"
        assert ("counted all its 12,000 tasks" in check.found) == (not well)
        assert "=true in Label Studio's environment" in check.fix
    store.close()


def test_media_are_tried_before_a_round_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    good = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    with FakeStudio(4) as studio, LabelStudio(studio.url, "key") as client:
        studio.remote["label_config"] = (
            '<View><Image name="i" value="$image"/><Image name="j" value="$other"/>'
            '<Text name="t" value="$text"/><Choices name="label" toName="i">'
            '<Choice value="A"/><Choice value="B"/></Choices></View>'
        )
        studio.data = {
            1: {"image": good, "other": "http://elsewhere.example/x.png", "text": "x"},
            2: {"image": good, "other": ["/x.png"], "text": "x"},
            3: {"other": "http://elsewhere.example/y.png", "text": "x"},
            4: {"image": good, "text": "x"},
        }
        for name, value in {"LABEL_STUDIO_URL": studio.url, "API_KEY": "key"}.items():
            monkeypatch.setenv(f"EQUIPOISE_{name}", value)
        monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path))
        store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
        store.save_project(1)
        images, others, texts = media_checks(client, store, Settings(), 1)
        store.close()
    assert (images.ok, images.warning) == (False, True)
    assert images.found == "3 of 4 readable, because the task has no $image (1)"
    assert (others.ok, others.warning) == (False, False)
    assert "host 'elsewhere.example' is not allowed (setting media_hosts) (2)" in others.found
    assert others.found.startswith("0 of 4 readable")
    assert (texts.ok, texts.found) == (True, "4 of 4 readable")


RATING = '<View><Text name="t" value="$text"/><Rating name="r" toName="t"/></View>'
BOXES = (
    '<View><Image name="i" value="$image"/><TextArea name="note" toName="i"/>'
    '<RectangleLabels name="b" toName="i"><Label value="cat"/></RectangleLabels></View>'
)


def connected(tmp_path: Path, label_config: str, **given: Any) -> list[str]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    try:
        with FakeStudio() as studio, LabelStudio(studio.url, "key") as client:
            studio.remote["label_config"] = label_config
            settings = Settings(label_studio_url=studio.url, data_dir=tmp_path, **given)
            return connect(client, store, settings, 1)
    finally:
        store.close()


def test_connect_says_at_which_level_and_what_is_left_out(tmp_path: Path) -> None:
    lines = connected(tmp_path, BOXES)
    assert lines[0].startswith("presence: which labels of 'b' occur in a task")
    assert any(line.startswith("leaves out <TextArea name='note'>") for line in lines)


def test_the_default_fits_whatever_is_asked(tmp_path: Path) -> None:
    assert connected(tmp_path, RATING)[0].startswith("learned")


@pytest.mark.parametrize("given", [{"strategy": "bmmal"}, {"projects": {1: {"strategy": "badge"}}}])
def test_a_strategy_that_a_person_chose_is_refused_where_it_does_not_fit(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    with pytest.raises(EquipoiseError, match=r"not defined for 'r' \(regression\).*auto"):
        connected(tmp_path, RATING, **given)


def test_set_refuses_a_strategy_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_PUBLIC_URL", "http://127.0.0.1:9")
    process_settings.cache_clear()
    config = process_settings()
    store = Store(config.database, tmp_path)
    store.save_project(1, label_config=RATING)
    try:
        done = CliRunner().invoke(app, ["set", "--project", "1", "--strategy", "bmmal"])
        assert isinstance(done.exception, EquipoiseError)
        assert "not defined for 'r'" in str(done.exception)
        assert store.project(1).overrides == {}
        done = CliRunner().invoke(app, ["set", "--project", "1", "--strategy", "coreset"])
        assert done.exit_code == 0, done.output
        assert store.project(1).overrides == {"strategy": "coreset"}
    finally:
        store.close()
        process_settings.cache_clear()


def answer(*choices: str) -> list[dict[str, Any]]:
    result = {"from_name": "label", "type": "choices", "value": {"choices": list(choices)}}
    return [{"id": 1, "result": [result]}]


def test_annotations_that_say_nothing_are_an_alarm_in_status_and_doctor(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with FakeStudio() as studio, LabelStudio(studio.url, "key") as client:
        settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
        connect(client, store, settings, 1)
        look = Look(store, settings, Circuits())

        def understood() -> Any:
            name = "annotations are understood"
            (check,) = [c for c in examine(client, store, settings, 1) if c.name == name]
            return check

        assert understood().ok
        whole, quick = (examine(client, store, settings, 1, labels=read) for read in (True, False))
        failed = [{c.name for c in found if not c.ok} for found in (whole, quick)]
        assert failed[0] == failed[1], "what is not asked for does not fail"
        assert len(quick) == len(whole) - 1
        studio.annotations = {1: answer("gone"), 2: answer("gone")}
        studio.remote["total_annotations_number"] = 2
        look(1)
        told = "2 tasks are annotated, and none of that is a label"
        assert status(store, settings, 1)["problem"].startswith(told)
        check = understood()
        assert not check.ok
        assert not check.warning
        assert "2 x 'label' answered with 'gone'" in check.found
        studio.annotations[2] = answer("A")
        store.save_project(1, compared_annotations=-1)
        look(1)
        assert status(store, settings, 1)["problem"] == ""
        check = understood()
        assert check.warning, "one of them is not understood"
        assert "1 of 2 annotated tasks" in check.found
    store.close()


def test_the_tab_shows_what_a_task_is_about_and_an_older_one_is_made_anew() -> None:
    free = parse('<View><Text name="t" value="$t"/><TextArea name="a" toName="t"/></View>')
    with FakeStudio() as studio, LabelStudio(studio.url, "key") as client:
        studio.tabs = [{"id": 7, "data": {"title": TAB, "ordering": ["tasks:predictions_score"]}}]
        assert "created" in make_tab(client, 1, parse(CONFIG))
        assert "found" in make_tab(client, 1, parse(CONFIG))
        (tab,) = studio.tabs
        hidden = tab["data"]["hiddenColumns"]["explore"]
        assert "tasks:completed_at" in hidden
        assert {"tasks:id", "tasks:predictions_score", "tasks:predictions_results"}.isdisjoint(
            hidden
        )
        studio.tabs = []
        make_tab(client, 1, free)
        assert "tasks:predictions_results" in studio.tabs[0]["data"]["hiddenColumns"]["explore"]
