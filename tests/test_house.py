"""The house: what lies at the top, what is packaged, and with which versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {
    "strategies",
    "model",
    "backend",
    "demo",
    "experiments",
    "benchmarks",
    "tests",
    "docs",
    ".ci",
}
FILES = {
    "pyproject.toml",
    "README.md",
    "Dockerfile",
    "compose.yaml",
    "Makefile",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "constraints.txt",
    ".dockerignore",
    ".gitignore",
    ".pre-commit-config.yaml",
}
PYTORCH_PINS = re.compile(r"nvidia-|cuda-|triton$")
"""Parts of PyTorch's CUDA builds: it pins them itself, and CPU builds have none."""


def tracked() -> list[str]:
    """Return the files under version control."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: there is no list of tracked files")
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_nothing_else_lies_at_the_top() -> None:
    names = tracked()
    assert {name.split("/")[0] for name in names if "/" in name} == FOLDERS
    assert {name for name in names if "/" not in name} == FILES


# The package


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the wheel from what the image is built from."""
    uv = os.environ.get("EQUIPOISE_UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not on the path; `make test` names it")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [uv, "build", "--quiet", "--wheel", "--out-dir", out, source]
    # The build backend is in uv's cache wherever uv has installed this project.
    if subprocess.run([*build, "--offline"], check=False).returncode != 0:
        subprocess.run(build, check=True)
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packages = set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    names = set(wheel.namelist())
    info = {name for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names - info} == packages
    source = {name for name in tracked() if name.split("/")[0] in packages}
    assert source <= names
    assert any(name.endswith("licenses/LICENSE") for name in info)


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (entry,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "equipoise = backend.commands.main:main" in wheel.read(entry).decode()
    (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    text = wheel.read(metadata).decode()
    assert f"\nVersion: {PYPROJECT['project']['version']}\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    assert "direct_url" not in text
    assert " @ " not in "".join(re.findall("Requires-Dist: .*", text)), "addresses of packages"


def test_the_installed_version_is_this_one() -> None:
    assert version("equipoise") == PYPROJECT["project"]["version"]


def closure(names: list[str], extras: set[str]) -> set[str]:
    """Return every installed distribution that the named requirements need."""
    found: set[str] = set()
    waiting = [(Requirement(name), extras) for name in names]
    while waiting:
        requirement, wanted = waiting.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
            continue
        name = canonicalize_name(requirement.name)
        known = name in found
        found.add(name)
        if known and not requirement.extras:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            found.discard(name)
            continue
        waiting += [(Requirement(need), set(requirement.extras)) for need in needs]
    return {name for name in found if not PYTORCH_PINS.match(name)}


def test_the_constraints_are_what_is_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines)
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line) for line in lines)
    project = PYPROJECT["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["postgres"]
    installed = closure(needed, {"postgres"})
    assert installed <= set(pins)
    if sys.version_info[:2] == (3, 11):  # the version that the image has
        for name in installed:
            assert version(name) == pins[name], name
    for need in map(Requirement, needed):
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), need
