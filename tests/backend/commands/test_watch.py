"""`equipoise watch` says what the page says first, whatever projects are called."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from backend.commands.main import app
from backend.commands.watch import _seen
from backend.settings import Settings, settings
from backend.store.store import Store
from tests.backend.page.made import fill


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_MIN_FREE_BYTES", "0")
    settings.cache_clear()
    opened = Store(Settings().database, tmp_path)
    yield opened
    opened.close()
    settings.cache_clear()


def test_it_says_what_happens_and_what_comes_next(store: Store) -> None:
    version = fill(store, title="[red]Reviews[/red] [/x]")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(_seen(store, settings(), None))
    said = console.export_text()
    assert "[red]Reviews[/red] [/x] (7)" in said
    assert "13 of 20 new labels; with 7 more, a round starts." in said
    assert version in said
    assert "54 tasks that chance chose)" in said
    assert "▇" in said
    assert "Label Studio does not answer GET" in said
    assert said.count(" says ") >= 2


def test_where_the_output_is_no_terminal_it_looks_once(store: Store) -> None:
    found = CliRunner().invoke(app, ["watch"])
    assert found.exit_code == 0
    assert "No project yet" in found.output
    fill(store)
    assert "new labels" in CliRunner().invoke(app, ["watch", "--project", "7"]).output
