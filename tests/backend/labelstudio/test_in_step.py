# ruff: noqa: F401, F811 - fixtures are imported
"""The mirror of a project's tasks: whatever happens, a full look makes it equal the truth."""

from __future__ import annotations

import time

import pytest

from backend.errors import Busy, LabelStudioError
from backend.labelstudio import in_step
from backend.labelstudio.config import parse
from backend.labelstudio.in_step import follow, is_stale
from backend.rounds.fetch import fetch
from backend.server.events import note
from backend.store import mirror as mirrors
from backend.store.mirror import EVERYTHING, State
from tests.backend.labelstudio.stage import START, Stage, opened, said, stage
from tests.backend.studio import CONFIG


def test_a_filled_mirror_asks_for_changes_only(stage: Stage) -> None:
    stage.step()
    stage.studio.listed = 0
    assert len(stage.step()) == 2, "the project, and what has changed since"
    stage.studio.annotations[3] = [said(1)]
    stage.studio.data[5] = {"text": "edited"}
    assert len(stage.step()) == 2
    assert stage.studio.listed == 2
    stage.check()


@pytest.mark.parametrize("how", ["added", "changed", "deleted", "skipped", "data", "imported"])
def test_every_edit_that_is_dated_is_seen(stage: Stage, how: str) -> None:
    studio = stage.studio
    studio.annotations = {2: [said(1)], 9: [said(2), said(3, "B")]}
    stage.step()
    match how:
        case "added":
            studio.annotations[30] = [said(4)]
        case "changed":
            studio.annotations[9][1] = said(3, "A", ground_truth=True)
        case "deleted":
            studio.annotations[9].pop()
            studio.annotations[2].clear()
        case "skipped":
            studio.annotations[2] = [said(1, was_cancelled=True)]
        case "data":
            studio.data[9] = {"text": "another", "more": [1, None, "ä"]}
        case "imported":
            studio.tasks |= {41, 42}
            studio.annotations[42] = [said(5)]
    asked = stage.step()
    stage.check()
    assert len(asked) == 2


def test_deleted_tasks_are_named_by_events_or_missed_in_the_counts(stage: Stage) -> None:
    studio, store = stage.studio, stage.store
    studio.annotations = {4: [said(1)]}
    stage.step()
    studio.tasks -= {4, 5}
    assert note(store, "TASKS_DELETED", {"id": 1}, [{"id": 4}, {"id": 5}, {"id": "x"}, 7])
    assert len(stage.step()) == 3, "the project, what has changed, and those that were named"
    stage.check()
    studio.tasks -= {1, 30}  # and no event comes
    assert len(stage.step()) > 10
    stage.check()
    assert len(stage.step()) == 2


def test_an_event_is_only_a_reason_to_ask(stage: Stage) -> None:
    note(stage.store, "TASKS_DELETED", 1, [{"id": 3}, {"id": 4}, {"id": 999}])
    note(stage.store, "TASKS_DELETED", 1, "nonsense")
    stage.step()
    stage.check()


def test_an_event_that_names_very_many_is_a_look_at_all(stage: Stage) -> None:
    stage.studio.tasks = {30}
    stage.studio.annotations.clear()
    stage.mirror.name(range(1, mirrors._MOST_NAMED + 5))
    assert stage.mirror.named()[1] == {EVERYTHING}
    stage.step()
    stage.check()
    assert stage.mirror.named()[1] == set()


def test_an_event_that_comes_while_the_named_are_asked_for_is_kept(stage: Stage) -> None:
    stage.mirror.name([3])
    event, named = stage.mirror.named()
    assert named == {3}
    stage.mirror.name([3, 8])
    stage.mirror.settle(event)
    assert stage.mirror.named()[1] == {3, 8}


def test_what_is_done_by_a_setting_shows_in_the_counts(stage: Stage) -> None:
    studio = stage.studio
    studio.annotations = {4: [said(1)], 6: [said(2)]}
    stage.step()
    studio.remote["maximum_annotations"] = 2  # nothing is dated by that
    stage.step()
    stage.check()


def test_tasks_that_were_dated_long_before_they_were_stored(stage: Stage) -> None:
    studio = stage.studio
    studio.tasks |= {50, 51}
    studio.annotations[51] = [said(8)]
    studio.date_edits()
    studio._dates.update({50: START - 7200, 51: START - 7200})
    assert len(stage.step()) == 4, "the project twice, what is dated, what has a new id"
    stage.check()


def test_what_nothing_tells_of_waits_for_the_next_look_at_all(stage: Stage) -> None:
    stage.studio.data[7] = {"text": "written by a bulk action"}
    stage.studio.undated()
    stage.step()
    assert stage.mirror.data([7]) == {7: {"text": "text 7"}}
    stage.step(whole=True)
    stage.check()


def test_counts_that_never_agree_are_excused_once_all_was_looked_at_twice(stage: Stage) -> None:
    stage.studio.remote["finished_task_number"] = 3
    try:
        assert len(stage.step()) > 10
        assert len(stage.step()) > 10, "what differed may have been edited meanwhile"
        assert len(stage.step()) == 2
        stage.check()
        assert stage.mirror.state.excused == {"done": -3}
    finally:
        del stage.studio.remote["finished_task_number"]


def test_a_clock_that_is_set_back_hides_no_edit(stage: Stage) -> None:
    studio = stage.studio
    stage.step()
    stage.now -= 100_000
    studio.annotations[3] = [said(1)]
    stage.step(seconds=30)
    stage.check()
    studio.annotations[3] = [said(1, "B")]
    stage.step(seconds=30)
    stage.check()


def test_a_reading_that_breaks_off_is_done_again(stage: Stage) -> None:
    studio = stage.studio
    studio.annotations = {task: [said(task)] for task in range(1, 20)}
    studio.tasks.discard(25)

    def broken() -> None:
        studio.broken = 500

    for options in ({}, {"whole": True}):
        until = stage.mirror.state
        with pytest.raises(LabelStudioError):
            stage.step(between=broken, **options)
        studio.broken = None
        assert stage.mirror.state == until
    stage.step()
    stage.check()


def test_a_task_that_is_deleted_between_two_pages_hides_no_other(stage: Stage) -> None:
    studio = stage.studio
    studio.annotations = {task: [said(task)] for task in range(1, 31)}
    studio.undated()
    gone = iter((1, 2, 9, 10, 16, 3, 18))

    def delete() -> None:
        studio.tasks.discard(next(gone, 0))

    stage.step(whole=True, between=delete)
    stage.step()
    stage.check()


def test_only_one_process_reads_at_a_time(stage: Stage) -> None:
    with stage.mirror.alone(0.0):
        with pytest.raises(Busy, match="reading the tasks of project 1"):
            stage.step(wait=0.0)
        with pytest.raises(Busy):
            follow(stage.client, stage.mirror, 1, wait=0.0)


def test_before_it_publishes_a_round_asks_once(stage: Stage) -> None:
    stage.step()
    stage.studio.annotations[3] = [said(1)]
    stage.studio.date_edits()
    before = len(stage.studio.requests)
    follow(stage.client, stage.mirror, 1)
    assert len(stage.studio.requests) == before + 1
    assert 3 not in stage.mirror.ids(only_open=True)


def test_when_all_must_be_looked_at_again() -> None:
    now = time.time()
    assert not is_stale(State(), 600)
    assert not is_stale(State("x", now - 599, 29.0), 600)
    assert is_stale(State("x", now - 601, 29.0), 600)
    assert not is_stale(State("x", now - 601, 31.0), 600), "it would take too much of its time"
    assert is_stale(State("x", now + 10_000, 1.0), 600)


def test_a_round_reads_of_the_mirror_what_it_would_of_label_studio(stage: Stage) -> None:
    studio = stage.studio
    studio.annotations = {
        2: [said(1, "B", completed_by=5)],
        3: [said(2, was_cancelled=True)],
        30: [said(3), said(4, "B")],
    }
    found = fetch(stage.client, stage.mirror, 1)
    assert [(one.task, one.values["label"]) for one in found.labelled] == [
        (2, ("B",)),
        (30, ("A", "B")),
    ]
    assert found.labelled[0].by == {"label": (5,)}
    assert found.pool == [t for t in range(1, 31) if t not in (2, 30)]
    assert found.skipped == {3}
    assert list(found.tasks) == list(range(1, 31))
    rows = found.tasks.of([30, 1, 7, 2, 3])
    assert [row["id"] for row in rows] == [30, 1, 7, 2, 3]
    assert rows[-1] == rows[4] == found.tasks[3] == {"id": 3, "data": {"text": "text 3"}}
    assert len(rows[1:3]) == 2
    studio.tasks.discard(7)
    stage.step(whole=True)
    assert rows[2] == {"id": 7, "data": {"text": "text 7"}} or rows[2]["data"] == {}
    assert found.tasks.of([7])[0] == {"id": 7, "data": {}}
    assert parse(CONFIG).schema == found.config.schema


def test_the_margin_is_looked_at_again(stage: Stage) -> None:
    """An edit is dated before it is stored; it is found when the storing takes a while."""
    studio = stage.studio
    stage.step()
    studio.annotations[3] = [said(1)]
    studio.date_edits()
    studio._dates[3] = stage.now - in_step._MARGIN / 2
    stage.step(seconds=1)
    stage.check()


def test_a_flood_of_events_is_kept_as_one(stage: Stage) -> None:
    for start in range(0, 3 * mirrors._MOST_NAMED, 300):
        stage.mirror.name(range(start + 1, start + 301))
    event, named = stage.mirror.named()
    assert EVERYTHING in named
    assert len(named) <= mirrors._MOST_NAMED
    stage.mirror.settle(event)
