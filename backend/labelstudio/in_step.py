"""Keeping the mirror of a project's tasks in step with Label Studio, by asking for changes.

Label Studio dates every edit (`updated_at`), so what was edited since the last time is one request.
What it does not date shows in its counts: tasks that are deleted, or done because the project asks
for fewer annotations. Events name deleted tasks, which spares a look at all of them. Every
`full_compare_seconds` all tasks are looked at whatever the counts say: bulk actions write data
fields and date nothing. So a lost, doubled or reordered event costs time, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from backend.labelstudio.client import COUNTS, LabelStudio
from backend.store.mirror import EVERYTHING, Mirror, State

log = structlog.get_logger(__name__)
Json = dict[str, Any]
_MARGIN = 10.0
"""Seconds before the last look that are looked at again: an edit is dated before it is stored, and
clocks of several machines differ. Imports, which take longer, show in the counts."""
_SHARE = 20
"""Looking at all tasks may take a twentieth of Label Studio's time."""
_WAIT = 900.0
_COUNTS = dict(zip(("tasks", "done", "made", "skipped"), COUNTS, strict=True))


def nothing() -> None:
    """Do nothing between two pages."""


def bring_in_step(
    studio: LabelStudio,
    mirror: Mirror,
    project: int,
    *,
    remote: Json | None = None,
    whole: bool = False,
    wait: float = _WAIT,
    between: Callable[[], None] = nothing,
) -> None:
    """Bring a mirror in step with Label Studio; fill it where that was never done.

    Args:
        studio: Label Studio.
        mirror: what is kept of the project's tasks.
        project: project id.
        remote: the project as Label Studio has just shown it, its counts at least.
        whole: look at all tasks, whatever the counts say.
        wait: seconds to wait for another process that is at it.
        between: called after each page; what it raises ends the reading.

    Raises:
        Busy: another process still reads.
        LabelStudioError: it does not answer; what was read so far is kept.
    """
    with mirror.alone(wait):
        before = remote or studio.project(project, *COUNTS)
        state = mirror.state
        if not state.until:
            _read_all(studio, mirror, project, between)
            return
        everything = _read_changes(studio, mirror, project, between)
        apart = _apart(studio, mirror, project, before, state)
        if "tasks" in apart:  # imported, and dated long before they were stored
            for page in studio.newer(project, mirror.newest()):
                mirror.put(page)
                between()
            apart = _apart(studio, mirror, project, before, state)
        if apart:
            log.info("mirror is apart", project=project, **apart)
        if whole or everything or apart:
            _read_all(studio, mirror, project, between)


def follow(studio: LabelStudio, mirror: Mirror, project: int, wait: float = _WAIT) -> None:
    """Read only what is dated or named: what has changed since a moment ago.

    Raises:
        Busy: another process still reads.
        LabelStudioError: it does not answer.
    """
    with mirror.alone(wait):
        if _read_changes(studio, mirror, project, nothing):
            mirror.name([EVERYTHING])


def is_stale(state: State, every: float) -> bool:
    """Tell whether all tasks should be looked at again.

    Args:
        state: the mirror's.
        every: seconds; longer where that takes much of Label Studio's time.
    """
    # A clock that was set back makes it stale as well.
    return bool(state.until) and abs(time.time() - state.checked) > max(every, _SHARE * state.took)


def _read_changes(
    studio: LabelStudio, mirror: Mirror, project: int, between: Callable[[], None]
) -> bool:
    """Read what is dated later than the mirror, and what events have named.

    Returns:
        Whether events named so many tasks that all must be looked at.
    """
    state, upto = mirror.state, _moment(studio.clock)
    event, named = mirror.named()
    # A clock that was set back dates edits before what was read already.
    for page in studio.changed(project, min(state.until, upto)):
        mirror.put(page)
        between()
    wanted = sorted(named - {EVERYTHING})
    there = set()
    for page in studio.these(project, wanted):
        mirror.put(page)
        there |= {int(task["id"]) for task in page}
    mirror.drop([task for task in wanted if task not in there])
    mirror.save(replace(state, until=upto))
    if EVERYTHING in named:
        return True
    mirror.settle(event)
    return False


def _read_all(
    studio: LabelStudio, mirror: Mirror, project: int, between: Callable[[], None]
) -> None:
    """Look at every task and every annotation, and then at what has changed meanwhile."""
    started, upto, old = time.monotonic(), _moment(studio.clock), mirror.state
    event, _ = mirror.named()
    last = 0
    for page in filter(None, studio.tasks(project)):
        end = int(page[-1]["id"])
        mirror.compare(page, last, end)
        last = end
        between()
    mirror.compare([], last, None)
    last = 0
    for page in filter(None, studio.annotated_pages(project)):
        end = int(page[-1]["id"])
        mirror.put(page)
        mirror.unannotate({int(task["id"]) for task in page}, last, end)
        last = end
        between()
    mirror.unannotate((), last, None)
    mirror.settle(event)
    state = State(upto, time.time(), round(time.monotonic() - started, 3))
    mirror.save(state)
    _read_changes(studio, mirror, project, between)
    # What differs now may have been deleted meanwhile; what differs twice is never explained.
    apart = _apart(studio, mirror, project, studio.project(project), state)
    excused = apart if apart == old.apart else {}
    mirror.save(replace(mirror.state, apart=apart, excused=excused))
    log.info("mirror", project=project, seconds=state.took, **mirror.counts())


def _apart(
    studio: LabelStudio, mirror: Mirror, project: int, before: Json, state: State
) -> dict[str, int]:
    """Return by how much the mirror's counts differ from Label Studio's, where that means much.

    Edits go on meanwhile: a count may be what it was before, or is now, or anything between.
    """
    ours = mirror.counts()
    if not _outside(ours, before, before, state.excused):
        return {}
    return _outside(ours, before, studio.project(project, *COUNTS), state.excused)


def _outside(
    ours: Mapping[str, int], before: Json, after: Json, excused: Mapping[str, int]
) -> dict[str, int]:
    found = {}
    for name, key in _COUNTS.items():
        if before.get(key) is None or after.get(key) is None:
            continue
        low, high = sorted((int(before[key]), int(after[key])))
        more = (0, excused.get(name, 0))
        if not any(low + extra <= ours[name] <= high + extra for extra in more):
            found[name] = ours[name] - int(after[key])
    return found


def _moment(clock: float) -> str:
    return datetime.fromtimestamp(clock - _MARGIN, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
