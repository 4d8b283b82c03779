"""`equipoise connect` waits for the first order, `doctor` looks at media where that makes sense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from backend.commands import project
from backend.queue import doctor, media_check
from backend.queue.facts import Check
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(Settings(data_dir=tmp_path).database, tmp_path)
    opened.save_project(1, connected=True)
    yield opened
    opened.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what happens while the command sleeps, one call a second; the clock goes with it."""
    now, left = [0.0], list[Any]()

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if left:
            left.pop(0)()

    monkeypatch.setattr(project.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(project.time, "sleep", sleep)
    return left


def test_the_first_order_is_waited_for_and_told(
    store: Store, steps: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    claims: list[Any] = []

    def begin() -> None:
        claims.append(store.claim(1, Kind.TRAIN, "bmmal", "test", {}))

    def go_on() -> None:
        store.renew(claims[0], phase="encode", done=3, total=9)

    def end() -> None:
        store.commit(claims[0])

    def announce() -> None:
        current = store.current(1)
        assert current is not None
        store.save_project(1, announced=current.version)

    steps += [begin, go_on, lambda: None, end, announce]
    project._first_order(store, 1)
    current = store.current(1)
    assert current is not None
    assert capsys.readouterr().out.splitlines() == [
        *("  first order: starting 0/0", "  first order: encode 3/9"),
        f"- the queue follows {current.version}",
    ]


def test_what_stands_in_the_way_of_the_first_order_is_told_at_once(
    store: Store, steps: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    store.save_project(1, problem="no room on the disk")
    steps.append(lambda: pytest.fail("it went on waiting"))
    project._first_order(store, 1)
    assert capsys.readouterr().out == "- no order yet: no room on the disk\n"


def test_nobody_waits_for_ever(
    store: Store, steps: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    project._first_order(store, 1)
    assert capsys.readouterr().out == (
        "- no order yet; `equipoise status --project 1` tells when there is\n"
    )
    assert project.time.monotonic() == project._FIRST_ORDER


@pytest.mark.parametrize(
    ("reached", "config", "looked"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_doctor_looks_at_media_where_it_knows_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reached: bool,
    config: bool,
    looked: bool,
) -> None:
    @contextmanager
    def connected() -> Iterator[tuple[None, None, None]]:
        yield None, None, None

    checks = [
        Check("Label Studio", reached, "there", "start it"),
        Check("label config", config, "read", "mend it"),
        Check("overlap", False, "2", "set it to 1", warning=True),
    ]
    monkeypatch.setattr(project, "label_studio", connected)
    monkeypatch.setattr(doctor, "examine", lambda *_: list(checks))
    monkeypatch.setattr(media_check, "media_checks", lambda *_: [Check("media", True, "fine")])
    if reached and config:
        project.doctor(1)
    else:
        with pytest.raises(typer.Exit) as ended:
            project.doctor(1)
        assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert ("ok   media: fine" in said) is looked
    assert "note overlap: 2\n       fix: set it to 1" in said
    assert ("FAIL" in said) is not (reached and config)
