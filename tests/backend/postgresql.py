"""A PostgreSQL server of our own, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running() -> Iterator[str]:
    """Run one and return the address of an empty database; the test is skipped where none is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if found is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is missing: install the extra postgres")
    programs_in = Path(found).resolve().parent
    # Not in pytest's folder, which the next pytest closes to everybody else.
    folder = Path(tempfile.mkdtemp(prefix="equipoise-pg-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [programs_in / "pg_ctl", "-D", folder / "data", "-w"]
    try:
        made = [programs_in / "initdb", "-A", "trust", "-U", "eq", "-D", folder / "data"]
        _run([*made, "--no-sync"], user)
        _run([*control, "-o", options, "-l", folder / "log", "start"], user)
        try:
            yield f"postgresql+psycopg://eq@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str | Path], user: str | None) -> None:
    subprocess.run(
        [str(word) for word in command],
        user=user,
        cwd="/",
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
