"""What `doctor` finds wrong, one condition at a time, and whether the queue works all the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.annotations import Answers, Labelled
from backend.queue import checks
from backend.queue.checks import CHECKS
from backend.queue.connect import SAMPLING, webhook_headers
from backend.queue.facts import Facts
from backend.queue.tab import TAB
from backend.settings import Settings
from backend.store.tables import Project, Round
from tests.backend.studio import CONFIG

FAULT, NOTE = False, True
"""Whether a condition that is not met is only a note."""
LABELLED = [Labelled(1, {"label": ("A",)}, "stamp")]
VERSION, OURS = "equipoise-r0003-auto", "http://equipoise.example:9090"


@pytest.fixture(autouse=True)
def _no_namesakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever these tests run, nothing else has our packages' names."""
    monkeypatch.setattr(checks, "namesakes", list)


def well(folder: Path) -> Facts:
    """Return what is there where nothing is wrong."""
    settings = Settings(data_dir=folder, public_url=OURS, webhook_secret="secret")
    remote = {
        "label_config": CONFIG,
        "sampling": SAMPLING,
        "model_version": VERSION,
        "show_collab_predictions": True,
        "min_annotations_to_start_training": 0,
        "maximum_annotations": 1,
        "evaluate_predictions_automatically": False,
        "task_number": 20_000,
    }
    backend = {"id": 4, "url": OURS + "/", "title": VERSION, "state": "CO", "error_message": None}
    hook = {
        "url": f"{OURS}/webhook",
        "is_active": True,
        "send_for_all_actions": False,
        "actions": ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "MORE"],
        "headers": webhook_headers(settings),
    }
    return Facts(
        remote,
        [backend],
        [hook],
        [{"data": {"title": TAB}}],
        {VERSION: 200},
        Project(id=1, problem=""),
        Round(version=VERSION, published=200, durations={"publish": 0.4}),
        settings,
        1,
        Answers(),
    )


def failing(facts: Facts) -> dict[str, bool]:
    """Return the conditions that are not met, and whether each is only a note."""
    found = [check(facts) for check in CHECKS]
    assert len({one.name for one in found}) == len(CHECKS)
    assert all(one.fix for one in found if not one.ok)
    return {one.name: one.warning for one in found if not one.ok}


def remote(**fields: Any) -> Any:
    """Return a change of the project."""
    return lambda facts: replace(facts, remote={**facts.remote, **fields})


def backend(**fields: Any) -> Any:
    """Return a change of our registration."""
    return lambda facts: replace(facts, backends=[{**facts.backends[0], **fields}])


def hook(**fields: Any) -> Any:
    """Return a change of our webhook."""
    return lambda facts: replace(facts, webhooks=[{**facts.webhooks[0], **fields}])


def current(**fields: Any) -> Any:
    """Return a change of the round that serves."""

    def change(facts: Facts) -> Facts:
        known = {"version": VERSION, "published": 200, "durations": {"publish": 0.4}}
        return replace(facts, current=Round(**{**known, **fields}))

    return change


def test_what_goes_by_our_packages_names_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "namesakes", lambda: ["/there/model.py", "/there/backend"])
    assert failing(well(tmp_path)) == {"names of our packages": NOTE}
    (said,) = [one for one in (check(well(tmp_path)) for check in CHECKS) if not one.ok]
    assert said.found == "taken by /there/model.py, /there/backend"


def test_nothing_is_wrong(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert failing(well(tmp_path)) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (remote(label_config="<View/>"), {"label config": FAULT}),
        (lambda f: replace(f, answers=None), {"annotations are understood": FAULT}),
        (
            lambda f: replace(f, answers=Answers(annotated=3)),
            {"annotations are understood": FAULT},
        ),
        (
            lambda f: replace(f, answers=Answers(LABELLED, 3, Counter(["not a choice"]))),
            {"annotations are understood": NOTE},
        ),
        (
            lambda f: replace(f, backends=[]),
            {
                "backend registered": FAULT,
                "backend reachable from Label Studio": FAULT,
                "backend title": FAULT,
            },
        ),
        (lambda f: replace(f, backends=f.backends * 2), {"backend registered": FAULT}),
        (
            lambda f: replace(f, backends=[{"id": 3, "url": "http://other"}, *f.backends]),
            {"backend registered": FAULT},
        ),
        (backend(state="DI"), {"backend reachable from Label Studio": FAULT}),
        (backend(title="mine"), {"backend title": FAULT}),
        (hook(url="http://other/webhook"), {"webhook": FAULT}),
        (hook(is_active=False), {"webhook": FAULT}),
        (hook(actions=["ANNOTATION_CREATED", "ANNOTATION_UPDATED"]), {"webhook": FAULT}),
        (hook(actions=[], send_for_all_actions=True), {}),
        (hook(headers={}), {"webhook": FAULT}),
        (remote(sampling="Sequential sampling"), {"sampling": FAULT}),
        (
            lambda f: replace(f, current=None),
            {
                "a version is committed": FAULT,
                "project.model_version": FAULT,
                "predictions of this version": FAULT,
            },
        ),
        (remote(model_version=None), {"project.model_version": FAULT}),
        (lambda f: replace(f, counts={VERSION: 199}), {"predictions of this version": FAULT}),
        (lambda f: replace(f, counts={VERSION: 201}), {}),
        (current(durations={"publish": 5.0}), {"predictions are stored quickly": NOTE}),
        (current(durations={"publish": 4.9}), {}),
        (lambda f: replace(f, tabs=[]), {"Data Manager tab": FAULT}),
        (remote(show_collab_predictions=False), {"pre-annotations shown": NOTE}),
        (
            remote(min_annotations_to_start_training=1),
            {"Label Studio's own training trigger": NOTE},
        ),
        (remote(maximum_annotations=2), {"annotations per task": NOTE}),
        (
            remote(evaluate_predictions_automatically=True),
            {"Label Studio's own predictions": NOTE},
        ),
    ],
)
def test_each_condition_is_told_apart(
    tmp_path: Path, change: Any, expected: dict[str, bool]
) -> None:
    tmp_path.chmod(0o700)
    assert failing(change(well(tmp_path))) == expected


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o704, 0o770])
def test_a_data_folder_that_others_may_look_into_is_noted(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert failing(well(tmp_path)) == {"data_dir": NOTE}
