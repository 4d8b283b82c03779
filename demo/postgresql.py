"""A PostgreSQL server of our own, in a folder of its own: for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.installation import DemoError

USER = "eq"
DATABASE = "postgres"


def initdb() -> Path:
    """Return the program that makes a server's folder; the others lie beside it.

    Raises:
        DemoError: there is none.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if found is None:
        raise DemoError("no PostgreSQL server here (Debian: apt-get install postgresql)")
    return Path(found).resolve()


def for_label_studio(socket: Path) -> dict[str, str]:
    """Return the variables that make a Label Studio use the server of a socket's folder."""
    names = {"USER": USER, "NAME": DATABASE, "HOST": str(socket)}
    return {"DJANGO_DB": "default", **{f"POSTGRE_{name}": names[name] for name in names}}


@contextmanager
def running(*options: str) -> Iterator[Path]:
    """Run a server without a network port and return the folder of its socket.

    It has one empty database, `DATABASE`, of `USER`, without a password.

    Args:
        *options: settings of the server, such as "fsync=off".

    Raises:
        DemoError: there is no PostgreSQL on this machine.
    """
    make = initdb()
    # Not in pytest's folder, which the next pytest closes to everybody else.
    folder = Path(tempfile.mkdtemp(prefix="equipoise-pg-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    settings = ["listen_addresses=", f"unix_socket_directories={folder}", *options]
    control: list[str | Path] = [make.with_name("pg_ctl"), "-D", folder / "data", "-w"]
    try:
        _run([make, "-A", "trust", "-U", USER, "-D", folder / "data", "--no-sync"], user)
        said = " ".join(f"-c {setting}" for setting in settings)
        _run([*control, "-o", said, "-l", folder / "log", "start"], user)
        try:
            yield folder
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
