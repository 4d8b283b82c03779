"""What the command line says is said as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from backend.commands.console import out

ROOT = Path(__file__).resolve().parents[3]


def test_names_in_brackets_are_no_markup() -> None:
    with out.capture() as said:
        out.print("[/data/x] [bold]")
    assert said.get() == "[/data/x] [bold]\n"


def test_an_error_with_brackets_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "[/data/x]"
    done = subprocess.run(
        [sys.executable, "-m", "backend.commands.main", "rounds", "--project", "1"],
        env={**os.environ, "EQUIPOISE_DATA_DIR": str(folder), "EQUIPOISE_API_KEY": "k"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "[/data/x]" in done.stderr
    assert "Traceback" not in done.stderr
