"""The address of a PostgreSQL server of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo import postgresql
from demo.installation import DemoError


@contextmanager
def running() -> Iterator[str]:
    """Run one and return the address of an empty database; the test is skipped where none is."""
    try:
        postgresql.initdb()
    except DemoError as error:
        pytest.skip(str(error))
    pytest.importorskip("psycopg", reason="psycopg is missing: install the extra postgres")
    with postgresql.running("fsync=off") as folder:
        yield f"postgresql+psycopg://{postgresql.USER}@/{postgresql.DATABASE}?host={folder}"
