"""The house: what lies at the top, what is packaged, the image and the Compose file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backend.app import create_app
from backend.demo.background import free_port
from backend.settings import Settings
from backend.store import open_store

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {
    "strategies",
    "model",
    "backend",
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
    assert "equipoise = backend.cli:main" in wheel.read(entry).decode()
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


# The image


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]  # type: ignore[misc]


def final_stage() -> list[tuple[str, str]]:
    """Return the instructions of the last stage."""
    found = instructions()
    start = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def environment(stage: list[tuple[str, str]]) -> dict[str, str]:
    """Return the variables that a stage sets."""
    pairs = " ".join(rest for name, rest in stage if name == "ENV").split()
    return dict(pair.split("=", 1) for pair in pairs)


def test_every_base_image_has_a_tag() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert len(bases) == 2, "two stages"
    for base in bases:
        image = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
        assert re.fullmatch(r"python:3\.1[123]-slim", image)
    assert re.fullmatch(r"\d+\.\d+\.\d+", arguments["UV_RELEASE"])


def test_what_is_copied_exists_and_is_let_through() -> None:
    patterns = (ROOT / ".dockerignore").read_text().split()
    allowed = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    assert "*" in patterns, "everything is left out unless it is named"
    assert not any(fnmatch(".env", name) or fnmatch(".git", name) for name in allowed)
    copied: set[str] = set()
    for name, rest in instructions():
        assert name != "ADD"
        if name == "COPY" and "--from" not in rest:
            copied |= set(rest.split()[:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied


def test_the_image_runs_as_an_ordinary_user() -> None:
    stage = final_stage()
    names = [name for name, _ in stage]
    assert dict(stage)["USER"] not in ("root", "0")
    assert "RUN" not in names[names.index("USER") :]
    (command,) = (rest for name, rest in stage if name == "RUN")
    assert f"useradd --uid 10001 --create-home {dict(stage)['USER']}" in command
    assert not re.search(r"\bsudo\b|chmod 777|curl .*\|", " ".join(rest for _, rest in stage))


def test_the_image_starts_the_server_on_every_address() -> None:
    stage = dict(final_stage())
    variables = environment(final_stage())
    settings = {name: value for name, value in variables.items() if name.startswith("EQUIPOISE_")}
    assert {name.removeprefix("EQUIPOISE_").lower() for name in settings} <= set(
        Settings.model_fields
    )
    assert settings["EQUIPOISE_HOST"] == "0.0.0.0"
    assert stage["EXPOSE"] == settings["EQUIPOISE_PORT"]
    assert stage["VOLUME"] == settings["EQUIPOISE_DATA_DIR"] == "/data"
    assert json.loads(stage["ENTRYPOINT"]) == list(PYPROJECT["project"]["scripts"])
    assert json.loads(stage["CMD"]) == ["serve"]
    secret = re.compile("PASS|TOKEN|API_KEY|SECRET")
    assert not any(secret.search(rest) for name, rest in instructions() if name in ("ARG", "ENV"))


def test_the_health_check_tells_a_running_server_from_none(tmp_path: Path) -> None:
    options, _, command = dict(final_stage())["HEALTHCHECK"].partition("CMD ")
    assert "--timeout" in options
    program = [sys.executable, *json.loads(command)[1:]]
    port = free_port()
    variables = {**os.environ, "EQUIPOISE_PORT": str(port)}
    quiet: dict[str, Any] = {"env": variables, "capture_output": True, "timeout": 60}
    assert subprocess.run(program, check=False, **quiet).returncode != 0
    settings = Settings(data_dir=tmp_path, port=port)
    store = open_store(settings)
    application = create_app(settings, store)
    server = uvicorn.Server(uvicorn.Config(application, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started and time.monotonic() < end:
            time.sleep(0.1)
        assert subprocess.run(program, check=False, **quiet).returncode == 0
    finally:
        server.should_exit = True
        thread.join(30)
        store.close()


# The Compose file


@pytest.fixture
def services() -> dict[str, Any]:
    """Return the services of compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(found["volumes"]) == {"label-studio", "equipoise"}
    return dict(found["services"])


def test_label_studio_is_pinned_and_accepts_the_backend(services: dict[str, Any]) -> None:
    studio = services["label-studio"]
    assert studio["image"] == "heartexlabs/label-studio:1.23.2"
    variables = studio["environment"]
    assert variables["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert "169.254.0.0/16" in variables["USER_ADDITIONAL_BANNED_SUBNETS"]
    assert variables["LABEL_STUDIO_PASSWORD"].startswith("${LABEL_STUDIO_PASSWORD:?")
    assert "LABEL_STUDIO_HOST" not in variables, "media addresses in tasks must stay relative"
    assert studio["volumes"] == ["label-studio:/label-studio/data"]


def test_the_two_find_each_other(services: dict[str, Any]) -> None:
    equipoise = services["equipoise"]
    variables = equipoise["environment"]
    assert {n.removeprefix("EQUIPOISE_").lower() for n in variables} <= set(Settings.model_fields)
    assert variables["EQUIPOISE_LABEL_STUDIO_URL"] == "http://label-studio:8080"
    host = re.fullmatch(r"http://([\w.-]+):9090", variables["EQUIPOISE_PUBLIC_URL"])
    assert host
    assert "." in host[1], "Label Studio refuses webhooks to names without a dot"
    assert host[1] in equipoise["networks"]["default"]["aliases"]
    assert equipoise["depends_on"]["label-studio"]["condition"] == "service_healthy"
    assert equipoise["volumes"] == ["equipoise:/data"]
    assert equipoise["image"].endswith(f":{PYPROJECT['project']['version']}")


def test_nobody_gets_in_from_outside(services: dict[str, Any]) -> None:
    variables = services["equipoise"]["environment"]
    assert variables["EQUIPOISE_BASIC_AUTH_PASS"].startswith("${EQUIPOISE_BASIC_AUTH_PASS:?")
    assert "EQUIPOISE_ALLOW_OPEN" not in variables
    assert services["equipoise"]["cap_drop"] == ["ALL"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "privileged" not in service


def test_the_first_start_needs_no_token(services: dict[str, Any]) -> None:
    # Label Studio has to run before anybody can make one.
    assert services["equipoise"]["environment"]["EQUIPOISE_API_KEY"] == "${EQUIPOISE_API_KEY:-}"
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "compose.yaml").read_text()))
    told = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL)
    assert required <= {line.strip().split("=")[0] for line in told[0].splitlines()}
    assert ".env" in (ROOT / ".gitignore").read_text().split()
