"""`equipoise rank-files` on the command line: a table in, an order out, no Label Studio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from backend.commands.main import app

RUN = CliRunner()
COLUMNS = "words=text,vector=sequence,mood=choice"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path / "data"))


def tasks(folder: Path, labelled: int, kind: str = "csv", size: int = 80) -> Path:
    """Write tasks of a text and a vector that tell two moods apart; some have a label."""
    rng = np.random.default_rng(0)
    mood = rng.integers(0, 2, size)
    vectors = rng.standard_normal((size, 6)).astype("f4")
    vectors[:, 0] += 6 * mood
    words = [f"{('good', 'bad')[m]} film {number}" for number, m in enumerate(mood)]
    said = [("up", "down")[m] if number < labelled else "" for number, m in enumerate(mood)]
    path = folder / f"tasks.{kind}"
    if kind == "parquet":
        columns = {"words": words, "vector": list(vectors), "mood": said}
        pq.write_table(pa.table(columns), path)
        return path
    for number, vector in enumerate(vectors):
        np.save(folder / f"{number}.npy", vector[None])
    lines = [f"{w},{n}.npy,{s}" for n, (w, s) in enumerate(zip(words, said, strict=True))]
    path.write_text("\n".join(["words,vector,mood", *lines]) + "\n")
    return path


def run(path: Path, *arguments: str, columns: str = COLUMNS):
    to = path.with_name("order.parquet")
    done = RUN.invoke(
        app, ["rank-files", str(path), "--columns", columns, "--out", str(to), *arguments]
    )
    return done, to


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_has_no_label_is_ranked_by_what_has(tmp_path: Path, kind: str) -> None:
    path = tasks(tmp_path, 20, kind)
    done, to = run(path)
    assert done.exit_code == 0, done.output
    assert "learned from 20 labelled tasks" in done.output
    assert "order: u_herding, because classes are asked for" in done.output
    found = pq.read_table(to)
    assert sorted(found.column("task").to_pylist()) == list(range(20, 80))
    truth = np.random.default_rng(0).integers(0, 2, 80)
    said = [("up", "down")[truth[row]] for row in found.column("task").to_pylist()]
    right = np.mean(
        [a == b for a, b in zip(said, found.column("predicted").to_pylist(), strict=True)]
    )
    assert right > 0.9
    assert all(found.column("why").to_pylist())


def test_an_order_of_files_is_steered_like_a_projects(tmp_path: Path) -> None:
    path = tasks(tmp_path, 20, "parquet")
    table = pq.read_table(path)
    rows = np.arange(table.num_rows)
    more = {
        "lang": pa.array([("en", "de")[row % 2] for row in rows]),
        "urgent": pa.array([1000.0 if row == 70 else None for row in rows]),
    }
    for name, column in more.items():
        table = table.append_column(name, column)
    # Task 72 is task 70 once more, under another number.
    words, vectors = table.column("words").to_pylist(), table.column("vector").to_pylist()
    words[72], vectors[72] = words[70], vectors[70]
    table = table.set_column(0, "words", pa.array(words)).set_column(1, "vector", [vectors])
    pq.write_table(table, path)
    done, to = run(path, "--only", "lang=en", "--priority-key", "urgent", "--want", "up=3")
    assert done.exit_code == 0, done.output
    found = pq.read_table(to).to_pylist()
    assert found[0]["task"] == 70
    assert "priority 1000" in found[0]["why"]
    (late,) = [row["task"] for row in found if "nearly the same" in row["why"]]
    assert late == 72
    outside = [row for row in found if row["task"] % 2]
    assert all(row["meets"] == 0 and "put off: lang is de" in row["why"] for row in outside)
    assert {row["task"] % 2 for row in found[:29]} == {0}, "those that meet it come first"
    assert any("up is wanted" in row["why"] for row in found)
    done, to = run(path, "--no-once")
    assert "nearly the same" not in " ".join(row["why"] for row in pq.read_table(to).to_pylist())
    done, _ = run(path, "--want", "sideways=3")
    assert done.exit_code == 1
    assert "sideways" in str(done.exception)


def test_a_strategy_and_its_options_are_obeyed(tmp_path: Path) -> None:
    done, to = run(tasks(tmp_path, 20), "--strategy", "margin", "--option", "diverse=true")
    assert done.exit_code == 0, done.output
    assert set(pq.read_table(to).column("strategy").to_pylist()) == {"margin"}
    done, _ = run(tasks(tmp_path, 20), "--strategy", "margin", "--option", "nothing=1")
    assert done.exit_code == 1
    assert "nothing" in str(done.exception)


def test_without_labels_the_order_covers(tmp_path: Path) -> None:
    path = tasks(tmp_path, 0)
    done, to = run(path, columns="words=text,vector=sequence")
    assert done.exit_code == 0, done.output
    assert "covers the pool: nothing is labelled" in done.output
    assert pq.read_table(to).num_rows == 80


def test_what_is_labelled_is_covered_where_nothing_can_be_learned_from_it(tmp_path: Path) -> None:
    path = tasks(tmp_path, 80)
    header, *lines = path.read_text().splitlines()
    kept = [next(line for line in lines if line.endswith(mood)) for mood in ("up", "down")]
    gone = ["," + line.partition(",")[0] + ".npy," + line.rpartition(",")[2] for line in kept]
    rest = [line.rpartition(",")[0] + "," for line in lines if line not in kept]
    path.write_text("\n".join([header, *gone, *rest]) + "\n")  # the labelled have no media
    done, to = run(path)
    assert done.exit_code == 0, done.output
    assert "covers the pool: " in done.output
    assert pq.read_table(to).num_rows == 78


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    path = tasks(tmp_path, 80)
    assert "every task is labelled" in str(run(path)[0].exception)
    assert "no column 'photo'" in str(run(path, columns="photo=image")[0].exception)
    bad = path.with_name("tasks.xlsx")
    bad.write_bytes(b"no table")
    assert "a manifest is a .csv, .jsonl or .parquet file" in str(run(bad)[0].exception)
    broken = path.with_name("broken.parquet")
    broken.write_bytes(b"PAR1 and nothing else")
    assert "is no .parquet file" in str(run(broken)[0].exception)
