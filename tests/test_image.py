"""The image and the Compose file: linted, and the health check run. No container engine needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml

from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import open_store
from demo.background import free_port

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


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
    settings = Settings(data_dir=tmp_path, port=port, worker_in_waiting=False)
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
