"""Label Studio in an environment of its own, and an empty database that is ready to copy."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LABEL_STUDIO_VERSION = "1.23.2"
LABEL_STUDIO_PINS = Path(__file__).with_name("label_studio_pins.txt")
"""Every package of its environment, with the version that was tested."""
DATABASE = "label_studio.sqlite3"
QUIET_SETTINGS = {  # no calls to the outside, no prompts
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LOG_LEVEL": "INFO",
    "no_proxy": "127.0.0.1,localhost",
    "NO_PROXY": "127.0.0.1,localhost",
    "PYTHONUNBUFFERED": "1",
}
# Label Studio reads plain names such as HOST, PORT or DEBUG as settings, so it gets only these.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

Say = Callable[[str], None]


class DemoError(Exception):
    """A part of the demo could not be installed, started or used; the message says what to do."""


def find_uv() -> list[str]:
    """Return the command that runs uv.

    Looks at EQUIPOISE_UV, UV (set by `uv run` itself), PATH, the `.uv/` that `make` creates and
    an installed uv package.
    """
    for name in ("EQUIPOISE_UV", "UV"):
        if path := os.environ.get(name):
            if not Path(path).is_file():
                raise DemoError(f"{name}={path} is not a file; point it to the uv program.")
            return [path]
    if path := shutil.which("uv") or shutil.which("uv", path=".uv/bin"):
        return [path]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise DemoError(
        "uv is needed to install Label Studio into its own environment: `pip install uv`, or "
        "set EQUIPOISE_UV to the uv program, or EQUIPOISE_LABEL_STUDIO to an installed "
        "label-studio program."
    )


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a Label Studio process that keeps its data in `data_dir`."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    settings = {"LABEL_STUDIO_BASE_DATA_DIR": str(data_dir), **QUIET_SETTINGS, **(extra or {})}
    return passed | settings


class Installation:
    """A Label Studio program and a migrated empty database, both made once and kept.

    Attributes:
        folder: where both are kept, per version.
    """

    def __init__(self, home: Path | None = None, *, say: Say = print) -> None:
        """Remember the place; nothing is installed before `program` or `new_database` is called.

        Args:
            home: folder of installations, default `.labelstudio` in the working directory.
            say: receives progress, one line at a time.
        """
        self.folder = (home or Path(".labelstudio")).resolve() / LABEL_STUDIO_VERSION
        self._say = say

    def program(self) -> Path:
        """Return the label-studio program; install it first where that was not done yet.

        EQUIPOISE_LABEL_STUDIO names a program that is installed already.
        """
        if given := os.environ.get("EQUIPOISE_LABEL_STUDIO"):
            if not os.access(given, os.X_OK):
                raise DemoError(f"EQUIPOISE_LABEL_STUDIO={given} is not a program.")
            return Path(given)
        venv = self.folder / "venv"
        done = self.folder / "installed"
        with self._locked():
            if not done.exists():
                self._install(venv)
                done.touch()
        return venv / "bin" / "label-studio"

    def new_database(self, data_dir: Path) -> None:
        """Put an empty, migrated database into `data_dir` unless one is there.

        Migrating takes Label Studio about a minute, so it is done once and copied from then on.
        The copied file holds no user, organization or secret.
        """
        if (data_dir / DATABASE).exists():
            return
        program = self.program()
        template = self.folder / "template.sqlite3"
        with self._locked():
            if not template.exists():
                self._migrate(program, template)
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(template, data_dir / DATABASE)
        (data_dir / DATABASE).chmod(0o600)

    def _install(self, venv: Path) -> None:
        uv = find_uv()
        self._say(f"Installing Label Studio {LABEL_STUDIO_VERSION} into {venv} (once)")
        new = [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)]
        run_with_progress(new, "Making its environment", self._say)
        python = str(venv / "bin" / "python")
        add = [*uv, "pip", "install", "--quiet", "--no-config", "--python", python]
        add += ["--constraints", str(LABEL_STUDIO_PINS), f"label-studio=={LABEL_STUDIO_VERSION}"]
        run_with_progress(add, "Installing Label Studio", self._say)

    def _migrate(self, program: Path, template: Path) -> None:
        scratch = self.folder / "migrating"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        # `version` migrates the database and ends before any user exists.
        run_with_progress(
            [str(program), "version"],
            "Preparing Label Studio's database (about a minute, once)",
            self._say,
            env=environment(scratch),
        )
        os.replace(scratch / DATABASE, template)
        shutil.rmtree(scratch)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def run_with_progress(
    command: Sequence[str],
    what: str,
    say: Say,
    *,
    env: Mapping[str, str] | None = None,
    every: float = 10.0,
) -> None:
    """Run a command to its end, saying every few seconds that it still runs.

    Raises:
        DemoError: the command failed; the message holds the end of its output.
    """
    say(f"{what} ...")
    started = time.monotonic()
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=every)
                break
            except subprocess.TimeoutExpired:
                say(f"{what}: {time.monotonic() - started:.0f} s")
    if process.returncode != 0:
        raise DemoError(f"{what} failed ({process.returncode}):\n{output[-2000:]}")
