# ruff: noqa: F401, F811 - fixtures are imported
"""Rounds that cannot go on, or go on without something: they say why, and change nothing else."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from tenacity import wait_none

from backend.media import download
from backend.rounds import process
from backend.settings import ProjectSettings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.rounds.played import (
    CONFIG,
    LABELLED,
    OPEN,
    SMALL,
    Run,
    annotation,
    check_served,
    config,
    data,
    label,
    run,
    store,
    studio,
)
from tests.backend.studio import FakeStudio


def test_without_a_model_nothing_can_be_ranked_again(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    assert "run `equipoise retrain` first" in run(Kind.RANK, status=1).error
    studio.annotations.clear()
    cold = run(Kind.COLD, "random")
    failed = run(Kind.RANK, status=1)
    assert failed.state == State.FAILED
    assert "There is no trained model yet" in failed.error
    current = store.current(1)
    assert current is not None
    assert current.id == cold.id
    assert studio.remote["model_version"] == cold.version


def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_encoded(
    studio: FakeStudio, run: Run
) -> None:
    studio.remote["label_config"] = (
        '<View><Image name="i" value="$image"/><Rating name="label" toName="i"/></View>'
    )
    for task, said in studio.annotations.items():
        said[0]["result"][0] |= {"type": "rating", "value": {"rating": 1 + task % 5}}
    failed = run(Kind.TRAIN, "bmmal", status=1)
    assert "bmmal" in failed.error
    assert failed.lasting
    assert "encode" not in failed.phase


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((), "No task is labelled with 'label' yet."),
        (("A", "A", "A"), "All labels of 'label' are 'A'"),
    ],
)
def test_too_little_to_train_on_is_said(
    studio: FakeStudio, store: Store, run: Run, said: tuple[str, ...], reason: str
) -> None:
    studio.annotations = {n + 1: [annotation(n + 1, one)] for n, one in enumerate(said)}
    failed = run(Kind.TRAIN, status=1)
    assert failed.state == State.FAILED
    assert failed.lasting, "only another label helps"
    assert reason in failed.error
    assert store.current(1) is None
    assert studio.predictions == []


def test_when_every_task_is_labelled_nothing_is_left_to_rank(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    label(studio, *studio.tasks)
    assert "every task is labelled" in run(Kind.TRAIN, status=1).error
    assert store.current(1) is None


def test_files_that_cannot_be_read_are_counted_by_reason(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    broken = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    for task in (1, 2, 61):
        studio.data[task] = {**data(task), "image": broken}
    found = run(Kind.TRAIN)
    check_served(studio, store, found, OPEN)
    assert [(reason.split(":")[0], n) for reason, n in found.failures.items()] == [("i", 3)]
    assert list(found.work["absent"].values()) == [[1, 2, 61]], "examples of it"
    table = rankings.load(store.ranking(found))
    absent = table.column("task").to_numpy()[~table.column("present:i").to_numpy(zero_copy_only=0)]
    assert absent.tolist() == [61]


def test_what_was_never_there_is_counted_as_well_also_before_the_first_labels(
    studio: FakeStudio, run: Run
) -> None:
    del studio.data[71]["text"]
    studio.data[72]["text"] = ["a", "b"]  # type: ignore[assignment]
    studio.data[73]["image"] = " "
    studio.data[74]["image"] = "http://elsewhere.example/x.png"
    expected = {
        "t: the task has no $text": 1,
        "t: $text is a list, which is not read": 1,
        "i: $image is empty": 1,
        "i: host 'elsewhere.example' is not allowed (setting media_hosts)": 1,
    }
    assert run(Kind.COLD, "max_herding").failures == expected
    assert run(Kind.TRAIN).failures == expected


def test_what_stands_in_the_way_of_learning_is_named(studio: FakeStudio, run: Run) -> None:
    studio.remote["label_config"] = CONFIG.replace('<Text name="t" value="$text"/>', "")
    for task in studio.tasks:
        studio.data[task]["image"] = f"http://elsewhere.example/{task}.png"
    failed = run(Kind.TRAIN, status=1)
    assert "host 'elsewhere.example' is not allowed (setting media_hosts) (90)" in failed.error


def test_a_round_does_not_go_on_without_what_comes_later(
    studio: FakeStudio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_WAIT", wait_none())
    given = studio.answer
    away = {f"/data/{task}.png" for task in range(1, 31)}

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (429, {}) if path in away else given(method, path, body)

    studio.answer = answer  # type: ignore[method-assign]
    for task in range(1, 31):
        studio.data[task]["image"] = f"/data/{task}.png"
    failed = run(Kind.TRAIN, status=1)
    assert "30 of 90 values of 'i' cannot be had now: HTTP 429 (30)" in failed.error
    assert not failed.lasting
    for task in range(11, 31):  # 10 of 90 are not too many
        studio.data[task] = data(task)
    assert run(Kind.TRAIN).failures == {"i: HTTP 429": 10}


def test_a_cancelled_round_changes_nothing_and_a_stranger_s_token_neither(
    studio: FakeStudio, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"settings": ProjectSettings(overrides=SMALL).model_dump()}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    for token, cancelled in (("other", False), (claim.token, True)):
        if cancelled:
            store.cancel(1)
        told = json.dumps({"round": claim.round, "token": token}) + "\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(told))
        assert process.main() == 3
    assert store.round(claim.round).state == State.CANCELLED
    assert store.current(1) is None
    assert studio.predictions == []


def test_a_worker_that_is_told_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert process.main() == 0


def test_a_fault_of_ours_is_kept_with_the_round(
    studio: FakeStudio, store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.remote["label_config"] = "<View/>"
    assert run(Kind.TRAIN, status=1).error
    studio.remote["label_config"] = CONFIG
    store.save_project(1, backend_id=None)
    monkeypatch.setattr(studio, "_tasks", lambda _: (200, {"tasks": [{"id": "x"}], "total": 1}))
    failed = run(Kind.TRAIN, status=2)
    assert failed.state == State.FAILED
    assert "Error" in failed.error


def test_results_that_are_not_understood_are_noted_with_the_round(
    studio: FakeStudio, run: Run
) -> None:
    studio.annotations[1] = [annotation(1, "C")]
    found = run(Kind.TRAIN)
    assert found.work["unread"] == 1
    assert found.labels == LABELLED - 1
