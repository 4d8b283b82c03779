"""A folder that has a `backend/` or a `model.py` of its own changes nothing for ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from backend.children import HOME, namesakes, python_module
from demo.background import free_port

MODULES = ("backend.rounds.process", "backend.predictions.process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder such as label-studio-ml's examples and many projects have."""
    (tmp_path / "model.py").write_text("raise SystemExit('a model of somebody else')\n")
    for name in ("backend", "strategies"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('somebody else')\n")
    return tmp_path


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("on_the_path", [False, True])
def test_children_are_ours_wherever_they_start(
    folder: Path, module: str, on_the_path: bool
) -> None:
    path = {"PYTHONPATH": str(folder)} if on_the_path else {}
    environment = {**os.environ, **path, "EQUIPOISE_DATA_DIR": str(folder / "data")}
    done = subprocess.run(
        python_module(module),
        stdin=subprocess.DEVNULL,  # no work: it ends by itself
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_arguments_reach_the_module() -> None:
    command = python_module("backend.media.quarantine", "no such file")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "FileNotFoundError" in done.stderr
    assert "no such file" in done.stderr


def test_doctor_can_name_what_bears_our_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HOME)
    monkeypatch.setattr(sys, "path", [HOME])
    assert namesakes() == []
    monkeypatch.chdir(folder)
    assert namesakes() == [str(folder / name) for name in ("backend", "model.py", "strategies")]


def test_the_plugin_needs_no_folder_of_its_own(folder: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "EQUIPOISE_DATA_DIR": str(folder / "data"),
        "EQUIPOISE_LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "EQUIPOISE_API_KEY": "key",
    }
    program = Path(sys.executable).with_name("equipoise")
    server = subprocess.Popen([program, "plugin", "--port", str(port)], env=environment, cwd=folder)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and server.poll() is None:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).json()
            except httpx.HTTPError:
                time.sleep(0.2)
            else:
                assert answer["model_dir"] == str(folder / "data" / "plugin")
                return
        pytest.fail(f"the plugin did not start ({server.poll()})")
    finally:
        server.terminate()
        server.wait(timeout=30)
