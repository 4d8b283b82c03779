"""`equipoise encoders` prints what can look at each kind of input."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from backend.commands.main import app
from model import available
from model.encoders import ENCODERS
from model.schema import ModalityKind


def test_a_table_and_json(monkeypatch):
    monkeypatch.setattr(available, "SECONDS", 1e-9)
    some = {ModalityKind.SEQUENCE: ENCODERS[ModalityKind.SEQUENCE]}
    monkeypatch.setattr(available, "ENCODERS", some)
    shown = CliRunner().invoke(app, ["encoders"])
    assert shown.exit_code == 0
    assert "statistics" in shown.output
    found = json.loads(CliRunner().invoke(app, ["encoders", "--json"]).output)
    assert [offer["name"] for offer in found["encoders"]] == ["vector", "mean", "mlp", "bilstm"]
    assert found["missing"] == []
