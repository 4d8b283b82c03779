"""The store's schema version: made new, brought up to date, or refused, when a store is opened.

A store that is up to date costs one query; Alembic is imported only when there is something to do.
All of a migration is one transaction behind a lock, so that it happens once, whoever opens the
store at the same time, and not at all if it is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from backend.errors import StoreError
from backend.store.tables import Base

HEAD = "0007"
"""The version that this code reads and writes; the newest file in `versions/`."""
FIRST = "0001"
_LOCK = 0x45515549  # "EQUI", the advisory lock of PostgreSQL
_FIRST_COLUMNS = {
    "projects": "id title label_config extra_params overrides undo backend_id connected changes "
    "requested problem current announced compared compared_annotations pool new_labels",
    "rounds": "id project number kind version strategy cause state token lease started finished "
    "phase done total labels pool tasks published folder checkpoint options durations metrics "
    "schema trained_on failures error",
}
"""The tables of 0.1.0, which wrote no version yet."""


def bring_up_to_date(engine: Engine) -> None:
    """Make the store's tables, or migrate them, or leave them alone if they are as they must be.

    Raises:
        StoreError: a newer Equipoise has written the store, or something else has.
    """
    if _version(engine) == HEAD:
        return
    with _locked(engine) as connection:
        found = _stamped(connection)
        if found == HEAD:  # another process was faster
            return
        if found is None and not _tables(connection):
            Base.metadata.create_all(connection)
            _stamp(connection, HEAD)
            return
        if found is None:
            _check_first(connection)
            _stamp(connection, FIRST)
        elif not found.isdigit() or found > HEAD:
            raise StoreError(
                f"The store has schema version {found}, this Equipoise knows {HEAD}: a newer one "
                "has migrated it. Install that version again, or restore the backup made before."
            )
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "backend.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _version(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return _read(connection)
    except (OperationalError, ProgrammingError):  # no such table, or no store at all yet
        return None


def _read(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _stamped(connection: Connection) -> str | None:
    return _read(connection) if inspect(connection).has_table("alembic_version") else None


def _stamp(connection: Connection, version: str) -> None:
    connection.execute(
        text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    )
    connection.execute(text("DELETE FROM alembic_version"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) & set(Base.metadata.tables)


def _check_first(connection: Connection) -> None:
    for table, columns in _FIRST_COLUMNS.items():
        found = (
            {column["name"] for column in inspect(connection).get_columns(table)}
            if inspect(connection).has_table(table)
            else set()
        )
        missing = sorted(set(columns.split()) - found)
        if missing:
            raise StoreError(
                f"The store carries no schema version, and its table {table!r} is not Equipoise's: "
                f"it lacks {', '.join(missing)}. Name another store (setting store_url or "
                "data_dir), or restore a backup."
            )


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that no other migration runs beside; all of it is kept, or nothing."""
    own = create_engine(engine.url, poolclass=NullPool, **_arguments(engine))
    with own.connect() as connection:
        if own.dialect.name == "sqlite":
            # The driver would commit before a change of tables; in this mode it leaves that to us.
            raw = connection.connection.dbapi_connection
            raw.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection
        connection.commit()


def _arguments(engine: Engine) -> dict[str, dict[str, int]]:
    return {"connect_args": {"timeout": 60}} if engine.dialect.name == "sqlite" else {}
