"""Label Studio's own tests in an environment beside the pinned one, which stays as it is.

The environment holds what the tests need and sees the pinned packages through a .pth file; the
tests run on a copy of Label Studio's package, because it writes a file into itself when it starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from demo.installation import LABEL_STUDIO_VERSION, Installation, find_uv

TOOLS = [
    "pytest==8.4.2",
    "pytest-django==4.14.0",
    "pytest-env==1.8.5",
    "pytest-mock==3.17.0",
    "python-dotenv==1.2.4",
    "iniconfig==2.3.1",
    "pluggy==1.7.0",
    "packaging==26.3",
    "pygments==2.21.0",
    "moto==4.2.14",
    "responses==0.26.3",
    "werkzeug==3.1.9",
    "xmltodict==1.0.4",
    "mock==5.2.0",
    "freezegun==1.5.5",
    "factory-boy==3.3.3",
    "faker==40.63.0",
    "fakeredis==2.32.1",
    "sortedcontainers==2.4.0",
]


@dataclass(frozen=True)
class Environment:
    """Where Label Studio's tests run.

    Attributes:
        python: interpreter that has the tools and sees Label Studio's packages.
        package: copy of Label Studio's package.
    """

    python: Path
    package: Path

    @classmethod
    def make(cls, tools: Path, copy: Path) -> Environment:
        """Make the environment where it is missing, and the copy.

        Args:
            tools: folder that keeps the environment.
            copy: empty folder for the copy.
        """
        own = Installation().program().resolve().parents[1]
        (pinned,) = own.glob("lib/python*/site-packages")
        python = tools / "bin" / "python"
        if not (tools / "complete").exists():
            version = [str(own / "bin" / "python")]
            _run([*find_uv(), "venv", "--quiet", "--clear", "--python", *version, str(tools)])
            command = [*find_uv(), "pip", "install", "--quiet", "--no-config", "--no-deps"]
            _run([*command, "--python", str(python), *TOOLS])
            (beside,) = tools.glob("lib/python*/site-packages")
            (beside / "label_studio.pth").write_text(f"{pinned}\n")
            (tools / "complete").touch()
        package = copy / "label_studio"
        shutil.copytree(pinned / "label_studio", package)
        return cls(python, package)

    @property
    def version(self) -> str:
        """Label Studio's version, as its tests import it."""
        found = _run(
            [str(self.python), "-c", "import label_studio; print(label_studio.__version__)"]
        )
        return found.stdout.strip()

    def tests(self, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
        """Run some of Label Studio's tests.

        Args:
            arguments: for pytest, paths relative to the package.
            url: an Equipoise that answers where they mock a backend; "": the mock answers.
        """
        command = [str(self.python), "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider"]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("EQUIPOISE_", "PYTEST_"))},
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.package.parent / "data"),
            "DJANGO_DB": "sqlite",
            "PYTHONPATH": str(self.package.parent),
        }
        if url:
            command += ["-p", "forward"]
            environment["EQUIPOISE_COMPAT_URL"] = url
            environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
        return subprocess.run(
            [*command, *arguments],
            cwd=self.package,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    done.check_returncode()
    return done


NAME = f"label-studio-{LABEL_STUDIO_VERSION}"
