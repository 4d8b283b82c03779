"""A project of pictures, and processes that read them with a broken decoder."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.settings import ProjectSettings, Settings
from backend.store.store import Claim, Store
from backend.store.tables import Kind
from tests.backend.studio import FakeStudio

CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
BROKEN_DECODER = """
import io, os, signal, sys, time
if any("backend" in word for word in sys.orig_argv):
    import PIL.Image
    real = PIL.Image.open
    def broken(file, *rest, **more):
        content = file.getvalue()
        if content.startswith(b"CRASH"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if content.startswith(b"HANG"):
            time.sleep(1000)
        if content.startswith(b"GROW"):
            if not any("quarantine" in word for word in sys.orig_argv):
                os.kill(os.getpid(), signal.SIGKILL)  # as a system without memory does
            bytearray(8 << 30)
        return real(file, *rest, **more)
    PIL.Image.open = broken
"""
"""Put before every process of a test: a decoder with the faults that fuzzers find in real ones."""


def uri(content: bytes) -> str:
    """Return a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def picture(seed: int) -> str:
    """Return a small picture."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return uri(file.getvalue())


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of 10 pictures, 6 of them labelled."""
    with FakeStudio(10) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: {"image": picture(task)} for task in running.tasks}
        for task in range(1, 7):
            value = {"choices": ["A" if task % 2 else "B"]}
            item = {"from_name": "label", "type": "choices", "value": value}
            running.annotations[task] = [{"id": task, "result": [item]}]
        yield running


@pytest.fixture
def settings(studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings that other processes read from the environment, with a broken decoder."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(BROKEN_DECODER)
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'first'}{os.pathsep}{root}")
    values = {
        "label_studio_url": studio.url,
        "api_key": "key",
        "data_dir": str(tmp_path / "data"),
        "min_free_bytes": "0",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(settings.database, settings.data_dir)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


def start(store: Store) -> Claim:
    """Claim a round of training."""
    options = {"settings": ProjectSettings(overrides={"epochs": 2}).model_dump()}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    return claim


def work(claim: Claim) -> int:
    """Run a round's worker and return its status."""
    told = json.dumps({"round": claim.round, "token": claim.token}) + "\n"
    command = [sys.executable, "-m", "backend.rounds.process"]
    return subprocess.run(command, input=told, text=True, check=False).returncode
