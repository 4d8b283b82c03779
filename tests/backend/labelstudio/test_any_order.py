# ruff: noqa: F401, F811 - fixtures are imported
"""Whatever happens in whatever order, and however told of: a full look makes it the truth."""

from __future__ import annotations

from hypothesis import HealthCheck, given
from hypothesis import settings as fast
from hypothesis import strategies as st

from backend.labelstudio.in_step import follow
from backend.server.events import note
from tests.backend.labelstudio.stage import Json, Stage, opened, said, stage
from tests.backend.studio import FakeStudio

EDITS = ("label", "relabel", "unlabel", "skip", "data", "undated", "delete", "import", "overlap")
EDIT = st.tuples(
    st.sampled_from(EDITS), st.integers(1, 14), st.sampled_from(("lost", "once", "twice", "late"))
)
ACTION = EDIT | st.sampled_from((("step", 0, ""), ("follow", 0, "")))


@fast(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTION, max_size=16), tasks=st.integers(0, 12))
def test_whatever_happens_a_look_at_all_makes_it_the_truth(
    stage: Stage, actions: list[tuple[str, int, str]], tasks: int
) -> None:
    stage.reset(tasks)
    late: list[tuple[str, list[Json]]] = []
    number = 0
    silent = False
    for what, task, events in actions:
        stage.studio.date_edits()
        stage.now += 7  # now and then within the margin, now and then not
        if what in ("step", "follow"):
            filled = stage.mirror.state.until
            if what == "step" or not filled:
                stage.step(0)
                if not silent:
                    stage.check()
            else:
                follow(stage.client, stage.mirror, 1)
            continue
        number += 1
        silent |= what == "undated"
        told = _edit(stage.studio, what, task, number)
        if events == "late":
            late.insert(0, told)
        for _ in range({"once": 1, "twice": 2}.get(events, 0)):
            note(stage.store, told[0], {"id": 1}, told[1])
    for told in late:
        note(stage.store, told[0], {"id": 1}, told[1])
    stage.step(whole=True)
    stage.check()


def _edit(studio: FakeStudio, what: str, task: int, number: int) -> tuple[str, list[Json]]:
    """Edit something, and return the event that Label Studio sends: its name, and its tasks."""
    if what == "import":
        new = 100 + number
        studio.tasks.add(new)
        studio.data[new] = {"text": f"new {number}"}
        if number % 3 == 0:
            studio.annotations[new] = [said(number)]
        return "TASKS_CREATED", [{"id": new}]
    if what == "overlap":
        studio.remote["maximum_annotations"] = 1 + number % 2
        return "PROJECT_UPDATED", []
    if what == "delete":
        studio.tasks.discard(task)
        studio.annotations.pop(task, None)
        return "TASKS_DELETED", [{"id": task}]
    if task in studio.tasks:
        _edit_task(studio, what, task, number)
    return "ANNOTATION_UPDATED", []


def _edit_task(studio: FakeStudio, what: str, task: int, number: int) -> None:
    made = studio.annotations.setdefault(task, [])
    choice = "AB"[number % 2]
    match what:
        case "label":
            made.append(said(number, choice))
        case "relabel" if made:
            made[0] = said(made[0]["id"], choice)
        case "unlabel" if made:
            made.pop()
        case "skip":
            made.append(said(number, was_cancelled=True))
        case "data":
            studio.data[task] = {"text": f"edit {number}"}
        case "undated":
            studio.data[task] = {"text": f"bulk {number}"}
            studio.undated()
