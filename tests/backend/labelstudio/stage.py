"""A Label Studio in memory whose clock is turned by hand, and a mirror of its project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.in_step import bring_in_step
from backend.store import mirror as mirrors
from backend.store import mirrored
from backend.store.mirror import Mirror
from backend.store.store import Store
from tests.backend.studio import CONFIG, FakeStudio

Json = dict[str, Any]
START = 1_800_000_000.0


def said(number: int, choice: str = "A", **more: Any) -> Json:
    """Return an annotation."""
    value = {"choices": [choice]}
    result = [{"from_name": "label", "to_name": "txt", "type": "choices", "value": value}]
    return {"id": number, "result": result, "was_cancelled": False, "ground_truth": False, **more}


class Stage:
    """A Label Studio whose clock is turned by hand, a client of it, and a mirror."""

    def __init__(self, studio: FakeStudio, client: LabelStudio, store: Store) -> None:
        self.studio, self.client, self.store = studio, client, store
        self.now = START
        studio.clock = lambda: self.now

    @property
    def mirror(self) -> Mirror:
        """The mirror."""
        return self.store.mirror(1)

    def step(self, seconds: float = 3600.0, **options: Any) -> list[str]:
        """Bring the mirror in step later, and return what was asked for."""
        self.studio.date_edits()
        self.now += seconds
        before = len(self.studio.requests)
        bring_in_step(self.client, self.mirror, 1, **options)
        return self.studio.requests[before:]

    def reset(self, tasks: int) -> None:
        """Begin again with another project and an empty mirror."""
        self.now = START
        studio = self.studio
        studio.tasks = set(range(1, tasks + 1))
        studio.data = {task: {"text": f"text {task}"} for task in studio.tasks}
        studio.annotations = {}
        studio.remote["maximum_annotations"] = 1
        studio._seen.clear()
        studio.date_edits()
        self.store.forget(1)
        self.store.save_project(1, connected=True, label_config=CONFIG)

    def check(self) -> None:
        """Compare the mirror with the truth, task by task."""
        studio, mirror = self.studio, self.mirror
        assert mirror.ids() == sorted(studio.tasks)
        assert mirror.ids(only_open=True) == [t for t in mirror.ids() if not studio._is_done(t)]
        assert mirror.data(mirror.ids()) == {t: studio.data.get(t, {}) for t in studio.tasks}
        annotated = {t: made for t in studio.tasks if (made := studio.annotations.get(t))}
        kept = {task["id"]: task["annotations"] for task in mirror.annotated()}
        assert kept == {t: [_kept(one) for one in made] for t, made in annotated.items()}
        names = ("task_number", "finished_task_number", "total_annotations_number")
        counts = studio.counts()
        assert list(mirror.counts().values())[:3] == [counts[name] for name in names]


def _kept(annotation: Json) -> Json:
    return {name: annotation[name] for name in mirrors._KEPT if name in annotation}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return one stage for all tests here; each begins again."""
    folder = tmp_path_factory.mktemp("store")
    store = Store(f"sqlite:///{folder / 'store.db'}", folder)
    store.engine.dispose()

    @event.listens_for(store.engine, "connect")
    def quick(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # what is tested here survives no power cut

    with FakeStudio(0) as studio, LabelStudio(studio.url, "key", attempts=1) as client:
        yield Stage(studio, client, store)
    store.close()


@pytest.fixture
def stage(opened: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a project with 30 tasks in pages of 7, mirrored."""
    opened.studio.page, opened.studio.broken = 7, None
    monkeypatch.setattr(mirrors, "CHUNK", 4)
    monkeypatch.setattr(mirrored, "CHUNK", 4)
    opened.reset(30)
    opened.step()
    opened.check()
    return opened
