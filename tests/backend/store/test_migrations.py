"""The store's schema version: old stores are migrated whole or not at all, newer ones refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, inspect, text

from backend.errors import StoreError
from backend.store.migrations import HEAD
from backend.store.mirror import State
from backend.store.store import Store
from backend.store.tables import Base, Kind
from tests.backend import postgresql

OLD = Path(__file__).with_name("store_0001.sql")
"""What `sqlite3 .dump` says of a store that 0.1.0 made: one project, one committed round."""


def old_store(folder: Path) -> str:
    """Make a store as 0.1.0 left it and return its address."""
    with sqlite3.connect(folder / "store.db") as connection:
        connection.executescript(OLD.read_text())
    connection.close()
    return f"sqlite:///{folder / 'store.db'}"


def version_of(url: str) -> str | None:
    """Return the schema version that a store carries."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str = connection.execute(
            text("SELECT version_num FROM alembic_version")
        ).scalar_one()
    engine.dispose()
    return found


def differences(url: str) -> list[Any]:
    """Compare a store's tables with what the code declares."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return found


def test_an_old_store_is_migrated_and_keeps_what_it_holds(tmp_path: Path) -> None:
    url = old_store(tmp_path)
    store = Store(url, tmp_path)
    assert version_of(url) == HEAD
    assert differences(url) == []
    owner, current = store.project(7), store.current(7)
    assert current is not None
    assert (owner.title, owner.overrides, owner.rolled_back) == ("Reviews", {"batch": 9}, {})
    assert current.version == "equipoise-r0001-bmmal"
    assert store.trained_on(7) == {"11": "label=['A']"}
    claim = store.claim(7, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    store.commit(claim, work={"cache_hits": 3})
    store.close()
    assert Store(url, tmp_path).round(claim.round).work == {"cache_hits": 3}


def test_a_new_store_is_what_migrating_makes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url, tmp_path)
    store.save_project(1)
    mirror_works(store)
    store.close()
    assert version_of(url) == HEAD
    assert differences(url) == []


def test_the_code_names_the_newest_migration() -> None:
    folder = Path(__file__).parents[3] / "backend" / "store" / "migrations" / "versions"
    files = folder.glob("r*.py")
    assert max(path.stem[1:] for path in files) == HEAD


def test_a_store_of_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url, tmp_path)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    store.close()
    with pytest.raises(StoreError, match=r"0999.*newer"):
        Store(url, tmp_path)
    assert version_of(url) == "0999"


def test_a_foreign_store_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE projects (id INTEGER, title VARCHAR)")
    with pytest.raises(StoreError, match="lacks announced"):
        Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    assert version_of(f"sqlite:///{tmp_path / 'store.db'}") is None


INTERRUPTED = """
import os, sys
from pathlib import Path
from sqlalchemy import Engine, event
from backend.store.store import Store
@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.startswith("ALTER TABLE rounds"):
        os._exit(9)
Store(sys.argv[1], Path(sys.argv[2]))
"""


def test_an_interrupted_migration_leaves_the_old_store(tmp_path: Path) -> None:
    url = old_store(tmp_path)
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, url, str(tmp_path)], check=False)
    assert done.returncode == 9
    with sqlite3.connect(tmp_path / "store.db") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in connection.execute("PRAGMA table_info(projects)")}
    assert "leases" not in tables
    assert "rolled_back" not in columns
    Store(url, tmp_path).close()
    assert differences(url) == []


def test_a_failing_migration_leaves_the_old_store(tmp_path: Path) -> None:
    url = old_store(tmp_path)

    def fail(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("ALTER TABLE rounds"):
            raise RuntimeError("no room")

    event.listen(Engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(RuntimeError, match="no room"):
            Store(url, tmp_path)
    finally:
        event.remove(Engine, "before_cursor_execute", fail)
    assert version_of(url) is None


OPEN = "import sys; from pathlib import Path; from backend.store.store import Store; "
OPEN += "s = Store(sys.argv[1], Path(sys.argv[2])); assert len(s.projects()) == int(sys.argv[3])"


@pytest.mark.parametrize("old", [True, False])
def test_processes_that_open_a_store_at_once_do_not_collide(tmp_path: Path, old: bool) -> None:
    url = old_store(tmp_path) if old else f"sqlite:///{tmp_path / 'store.db'}"
    command = [sys.executable, "-c", OPEN, url, str(tmp_path), str(int(old))]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(120) for process in running] == [0] * 4
    assert version_of(url) == HEAD


def test_opening_a_store_that_is_up_to_date_imports_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    Store(url, tmp_path).close()
    code = OPEN + "; assert not any(m.startswith('alembic') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code, url, str(tmp_path), "0"], check=True)


@pytest.fixture
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server of our own and return the address of an empty database."""
    with postgresql.running() as address:
        yield address


def test_postgresql_is_migrated_alike(postgres: str, tmp_path: Path) -> None:
    engine = create_engine(postgres)
    with engine.begin() as connection:
        context = {"connection": connection}
        upgrade_to_first(context)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()
    store = Store(postgres, tmp_path)
    assert version_of(postgres) == HEAD
    assert differences(postgres) == []
    store.save_project(1, title="one")
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    store.commit(claim)
    assert store.project(1).current == claim.round
    mirror_works(store)
    store.close()


def mirror_works(store: Store) -> None:
    """Write to the mirror of project 1 in every way, and read it."""
    mirror = store.mirror(1)
    plain: list[dict[str, Any]] = [
        {"id": task, "data": {"text": f"ä {task}"}, "is_labeled": False, "updated_at": "2026"}
        for task in range(1, 6)
    ]
    assert mirror.compare(plain, 0, 5) == 5
    said = [{"result": [], "was_cancelled": True}, {"result": [1]}]
    mirror.put([{**plain[1], "is_labeled": True, "annotations": said}])
    assert mirror.compare(plain[:4], 0, None) == 2, "one is gone, one is open again"
    assert mirror.counts() == {"tasks": 4, "done": 0, "made": 1, "skipped": 1}
    assert [task["annotations"] for task in mirror.annotated()] == [said]
    mirror.unannotate((), 0, 4)
    assert list(mirror.annotated()) == []
    assert mirror.ids(only_open=True) == mirror.ids() == [1, 2, 3, 4]
    assert mirror.data([2, 9]) == {2: {"text": "ä 2"}}
    mirror.name([3])
    event, named = mirror.named()
    assert named == {3}
    with mirror.alone(1.0):
        mirror.drop([3])
        mirror.settle(event)
        mirror.save(State("2026", 1.5, 2.5, {"tasks": 1}))
    assert mirror.newest() == 4
    assert mirror.state == State("2026", 1.5, 2.5, {"tasks": 1})
    store.forget(1)
    assert mirror.counts()["tasks"] == 0


def upgrade_to_first(attributes: dict[str, Any]) -> None:
    """Make the tables of 0001."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "backend.store:migrations")
    config.attributes.update(attributes)
    command.upgrade(config, "0001")


def test_leases_are_judged_by_the_database_s_clock(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose clock is an hour ahead took every round from the others."""
    store = Store(postgres, tmp_path)
    store.save_project(1)
    assert store.claim(1, Kind.TRAIN, "bmmal", "test", {}) is not None
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    assert store.claim(1, Kind.TRAIN, "bmmal", "test", {}) is None
    assert store.running(1) is not None
    store.close()
