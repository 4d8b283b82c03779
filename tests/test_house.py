"""The house: what lies at the top, what is packaged, and with which versions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from demo.installation import LABEL_STUDIO_PINS, LABEL_STUDIO_VERSION, Installation

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


PINS = PYPROJECT["tool"]["uv"]["constraint-dependencies"]
UV = os.environ.get("EQUIPOISE_UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
needs_uv = pytest.mark.skipif(
    not Path(UV).is_file(), reason="uv is not installed; make installs it"
)


def name_and_version(pin: str) -> tuple[str, str]:
    """Return the parts of a pin."""
    name, _, found = pin.partition("==")
    return name, found


def test_every_installation_reads_the_same_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == PINS == sorted(PINS)
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line) for line in lines)
    assert "constraints.txt" in (ROOT / "Dockerfile").read_text()


def test_what_is_installed_is_what_is_pinned() -> None:
    pins = dict(map(name_and_version, PINS))
    installed = {
        canonicalize_name(found.name): found.version
        for found in distributions()
        if not PYTORCH_PINS.match(canonicalize_name(found.name))
    }
    installed.pop("equipoise")
    if sys.version_info[:2] != (3, 11):  # the pins are made for the image's version
        installed = {name: found for name, found in installed.items() if name in pins}
    assert installed.keys() <= pins.keys()
    assert {name: pins[name] for name in installed} == installed


def test_the_pins_lie_in_the_ranges() -> None:
    pins = dict(map(name_and_version, PINS))
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups.append(PYPROJECT["dependency-groups"]["dev"])
    for need in (Requirement(need) for group in groups for need in group):
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), need


@needs_uv
def test_a_pin_is_obeyed_and_not_equal_by_luck(tmp_path: Path) -> None:
    """What the index has beyond a pin is not taken: here an older version is pinned, and wins."""
    text = (ROOT / "pyproject.toml").read_text()
    (pin,) = (pin for pin in PINS if pin.startswith("joblib=="))
    older = "joblib==1.5.0"
    assert older != pin
    (tmp_path / "pyproject.toml").write_text(text.replace(f'"{pin}"', f'"{older}"'))
    command = [UV, "lock", "--quiet", "--project", str(tmp_path)]
    subprocess.run(command, check=True, env=without_uv_settings())
    locked = tomllib.loads((tmp_path / "uv.lock").read_text())["package"]
    versions = {package["name"]: package.get("version") for package in locked}
    assert versions["joblib"] == "1.5.0"
    assert versions["faker"] == dict(map(name_and_version, PINS))["faker"]


def without_uv_settings() -> dict[str, str]:
    """Return an environment in which uv reads nothing but the project."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "VIRTUAL_ENV"))}


def test_label_studio_is_installed_as_it_is_pinned() -> None:
    pins = dict(map(name_and_version, LABEL_STUDIO_PINS.read_text().split()))
    assert pins["label-studio"] == LABEL_STUDIO_VERSION
    program = Installation(ROOT / ".labelstudio").program()
    python = program.with_name("python")
    listing = "import json, importlib.metadata as m; "
    listing += "print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([python, "-c", listing], capture_output=True, text=True, check=True)
    installed = {canonicalize_name(k): v for k, v in json.loads(done.stdout).items()}
    assert installed.keys() <= pins.keys()  # some are for older Pythons only
    assert {name: pins[name] for name in installed} == installed
