"""Move every pin to the newest version that the ranges allow, and say what changed.

`[tool.uv] constraint-dependencies` in pyproject.toml is the source that `uv sync` and `uv run`
obey. constraints.txt repeats it for `pip install -c` and the image (tests/test_house.py compares
them), and demo/label_studio_pins.txt does the same for Label Studio's own environment.
`make upgrade` runs this, then the tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
LABEL_STUDIO = ROOT / "demo" / "label_studio_pins.txt"
OLDEST_PYTHON = "3.11"
TABLE = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)
PINNED_BY_TORCH = re.compile(r"nvidia-|cuda-|triton\b")
"""Parts of PyTorch's CUDA builds: it pins them itself, and CPU builds have none."""


def resolve(uv: str, requirements: Path, *options: str) -> list[str]:
    """Return the newest `name==version` lines that a requirements file allows, sorted."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--upgrade"]
    command += ["--python-version", OLDEST_PYTHON, *options, str(requirements)]
    # In the requirements' own folder: uv obeys the pins of the project that it is started in.
    folder = requirements.parent
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    lines = (line.split(";")[0].strip() for line in done.stdout.splitlines())
    return sorted(line for line in lines if line and not PINNED_BY_TORCH.match(line))


def ours(uv: str) -> list[str]:
    """Resolve everything that this project installs anywhere: extras and development, too."""
    with tempfile.TemporaryDirectory() as folder:
        free = Path(folder) / "pyproject.toml"  # the old pins must not hold the new ones
        free.write_text(TABLE.sub("", (ROOT / "pyproject.toml").read_text()))
        return resolve(uv, free, "--all-extras", "--group", f"{free}:dev")


def label_studios(uv: str) -> list[str]:
    """Resolve the environment of the Label Studio that the demo and the tests run."""
    lines = LABEL_STUDIO.read_text().splitlines()
    (wanted,) = (line for line in lines if line.startswith("label-studio=="))
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.in"
        requirements.write_text(wanted + "\n")
        return resolve(uv, requirements, "--no-config")


def changes(old: list[str], new: list[str]) -> list[str]:
    """Return a line for each package that came, went or moved."""
    was, now = (dict(line.split("==") for line in lines) for lines in (old, new))
    return [
        f"{name}: {was.get(name, 'new')} -> {now.get(name, 'gone')}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]


def main(uv: str) -> None:
    """Resolve both environments, write the three files, print what changed."""
    project = (ROOT / "pyproject.toml").read_text()
    old = tomllib.loads(project)["tool"]["uv"]["constraint-dependencies"]
    pins, studio = ours(uv), label_studios(uv)
    table = "".join(f'  "{pin}",\n' for pin in pins)
    written = TABLE.sub(f"constraint-dependencies = [\n{table}]\n", project)
    moved = changes(old, pins)
    moved += [
        f"Label Studio's {line}" for line in changes(LABEL_STUDIO.read_text().split(), studio)
    ]
    (ROOT / "pyproject.toml").write_text(written)
    CONSTRAINTS.write_text("\n".join(pins) + "\n")
    LABEL_STUDIO.write_text("\n".join(studio) + "\n")
    print("\n".join(moved) or "Every pin is the newest that the ranges allow.")


if __name__ == "__main__":
    main(sys.argv[1])
