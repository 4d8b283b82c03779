"""`equipoise cache` shows what is cached and prunes it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.commands.main import app
from model.cache import FeatureCache


@pytest.fixture(autouse=True)
def filled(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    store = FeatureCache(tmp_path / "cache").store("pixels/1 size=32")
    store.append([bytes([n] * 16) for n in range(1, 5)], np.ones((4, 1000), np.float16))
    store.append_failures({b"x" * 16: "the file is empty"})


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["cache", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_each_encoder_is_listed_with_its_size():
    (found,) = json.loads(shown("--json"))["encoders"]
    assert (found["encoder"], found["values"], found["unreadable"]) == ("pixels/1 size=32", 4, 1)
    assert found["bytes"] > 8000
    assert "4 values" in shown()


def test_pruning_frees_what_is_too_much():
    assert json.loads(shown("--json", "--keep", "1"))["freed"] == 0
    assert json.loads(shown("--json", "--keep", "0"))["freed"] > 8000
    (found,) = json.loads(shown("--json"))["encoders"]
    assert found["values"] == 0


def test_a_negative_size_is_refused():
    assert CliRunner().invoke(app, ["cache", "--keep", "-1"]).exit_code == 2
