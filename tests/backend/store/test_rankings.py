"""A ranking as a file: what was written is what answers, also of an earlier release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backend.store import rankings
from model.schema import Modality, ModalityKind, Schema, Target
from strategies import Pool, Selection
from strategies.pool import TargetKind

SCHEMA = Schema(
    (Modality("words", ModalityKind.TEXT, "words"),),
    (
        Target("mood", TargetKind.CLASSIFICATION, ("up", "down")),
        Target("stars", TargetKind.REGRESSION),
    ),
)


def table(size: int = 5) -> tuple[pa.Table, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    outputs = {"mood": rng.dirichlet([1, 1], size), "stars": rng.random(size)}
    outputs = {name: values.astype(np.float32) for name, values in outputs.items()}
    order = rng.permutation(size)
    built = rankings.build(
        range(100, 100 + size),
        Pool(size),
        Selection(order, np.zeros(size)),
        outputs,
        SCHEMA,
        {"strategy": "random"},
    )
    return built, {name: values[order] for name, values in outputs.items()}


@pytest.mark.parametrize("size", [5, 0])
def test_what_answers_is_read_back_as_it_was(size: int, tmp_path: Path) -> None:
    built, outputs = table(size)
    rankings.save(built, tmp_path / "ranking.parquet")
    for read in (rankings.load, rankings.load_answers):
        found = rankings.outputs_of(read(tmp_path / "ranking.parquet"))
        assert set(found) == {"mood", "stars"}
        for name, values in outputs.items():
            assert found[name].dtype == np.float32
            np.testing.assert_array_equal(found[name].ravel(), values.ravel())
            assert found[name].shape == values.shape or not size


def test_a_ranking_of_an_earlier_release_answers(tmp_path: Path) -> None:
    built, outputs = table()
    place = built.column_names.index("output:mood")
    lists = pa.array(outputs["mood"].tolist(), pa.list_(pa.float32()))
    rankings.save(built.set_column(place, "output:mood", lists), tmp_path / "ranking.parquet")
    found = rankings.outputs_of(rankings.load_answers(tmp_path / "ranking.parquet"))
    np.testing.assert_array_equal(found["mood"], outputs["mood"])


def test_an_answer_loads_no_pandas(tmp_path: Path) -> None:
    rankings.save(table()[0], tmp_path / "ranking.parquet")
    code = (
        "import sys; from pathlib import Path; from backend.store import rankings as r; "
        f"t = r.load_answers(Path({str(tmp_path / 'ranking.parquet')!r})); "
        "r.outputs_of(t); r.numbers(t.column('queue_score')); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
