"""`equipoise simulate` and `equipoise report` on the command line, without Label Studio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from typer.testing import CliRunner

from backend.commands.main import app

RUN = CliRunner()
SIZES = {"initial": 10, "batch": 10, "rounds": 1, "seeds": 1, "workers": 1}
SMALL = [part for name, value in SIZES.items() for part in (f"--{name}", str(value))]
SMALL += ["--strategies", "random,bmmal", "--override", "epochs=1", "--override", "min_steps=5"]


def manifest(folder: Path) -> Path:
    """Write tasks of a text and a feature vector; every tenth lacks the vector."""
    rng = np.random.default_rng(0)
    lines = ["words,vector,mood"]
    for number in range(60):
        kind = number % 2
        if number % 10:
            np.save(folder / f"{number}.npy", rng.standard_normal((1, 4)).astype("f4") + kind)
        lines.append(f"{('good', 'bad')[kind]} film {number},{number}.npy,{('up', 'down')[kind]}")
    path = folder / "tasks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_manifest_is_replayed_and_its_report_written_again(tmp_path: Path) -> None:
    columns = "words=text,vector=sequence,mood=choice"
    folder = tmp_path / "replay"
    named = ["--data", str(manifest(tmp_path)), "--columns", columns, "--out", str(folder)]
    done = RUN.invoke(app, ["simulate", *named, *SMALL])
    assert done.exit_code == 0, done.output
    assert "48 tasks to label, 12 to test" in done.output
    assert "treated as absent: 6 x vector: there is no such file" in done.output
    assert pq.read_table(folder / "summary.parquet")["strategy"].to_pylist().count("bmmal") == 1
    (folder / "report.html").unlink()
    assert RUN.invoke(app, ["report", str(folder)]).exit_code == 0
    assert (folder / "report.html").is_file()
    other = RUN.invoke(app, ["simulate", *named, *SMALL, "--initial", "12"])
    assert other.exit_code == 1
    assert "another initial" in str(other.exception or other.output)


def test_what_cannot_be_replayed_is_one_line(tmp_path: Path) -> None:
    path = str(manifest(tmp_path))
    wrong = {
        ("--data", path): "a manifest needs --columns",
        ("--data", path, "--columns", "words=text,mood=number"): "'up', which is no number",
        ("--data", path, "--columns", "words=text,mod=choice"): "no column 'mod'",
    }
    for arguments, why in wrong.items():
        done = RUN.invoke(app, ["simulate", *arguments, "--out", str(tmp_path / "out"), *SMALL])
        assert done.exit_code == 1, arguments
        assert why in str(done.exception or done.output), arguments
    assert not (tmp_path / "out").exists()
    done = RUN.invoke(app, ["report", str(tmp_path / "none")])
    assert "holds no replay" in str(done.exception or done.output)
