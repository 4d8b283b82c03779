"""Every row of docs/papers.md, run on look-alikes of the papers' sets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import curves, running
from experiments.papers.__main__ import main
from experiments.papers.exhibits import EXHIBITS
from experiments.papers.runs import RUNS, told
from experiments.plan import Plan
from model.presets import PRESETS
from tests.experiments import lookalikes

ROOT = Path(__file__).parents[2]
SMALL = ("--small", "--workers", "0")
# Every strategy is replayed in test_replay.py; here, those that a figure is about.
BMMAL = ("--strategies", "random,deepfool,badge,bmmal")
GRACE = ("--strategies", "random,grace_i,grace")
PAGE = (ROOT / "docs" / "papers.md").read_text()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all five sets."""
    root = tmp_path_factory.mktemp("sets")
    lookalikes.food101(root / "food101")
    lookalikes.clips_as_videos(root / "kineticssound")
    lookalikes.clips_as_frames(root / "vggsound", "vggsound")
    lookalikes.simsv2(root / "simsv2.pkl")
    lookalikes.cherma(root / "cherma")
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose replays the tests share, as the tables and figures do."""
    return tmp_path_factory.mktemp("papers")


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_table_and_figure_is_run(
    name: str, sets: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = BMMAL if name.startswith("bmmal") else GRACE
    main([name, "--data", str(sets), "--out", str(out), *SMALL, *some])
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: {EXHIBITS[name].title}")
    for run in EXHIBITS[name].runs:
        found = curves.load(out / run)
        assert all(contender in said for contender in found.contenders) or name == "bmmal-fig8"
        assert len(found.seeds) == 2
        assert found.plan.initial_strategy == "random"
    written = [Path(line.partition(": ")[2]) for line in said.splitlines() if "written:" in line]
    assert bool(written) == (name != "bmmal-guidelines")
    assert all(path.stat().st_size for path in written)


def test_the_full_data_row_is_of_networks_that_learned_every_label(sets: Path, out: Path) -> None:
    main(["grace-table1", "--data", str(sets), "--out", str(out), *SMALL, *GRACE])
    table = pq.read_table(out / "grace-table1-simsv2.parquet").to_pylist()
    assert table[-1]["strategy"] == "all labels"
    assert table[-1]["labels"] == 24
    found = curves.load(out / "simsv2")
    place = found.contenders.index("grace")
    grid = found.values["acc5"][place, :, -1]
    row = next(row for row in table if row["strategy"] == "grace")
    assert row["Acc-5"] == pytest.approx(grid.mean())
    assert row["Acc-5 sd"] == pytest.approx(grid.std(ddof=1))
    assert row["labels"] == 16
    assert all(0 <= row["MAE"] <= 2 for row in table)


def test_numbers_are_predicted_within_their_stated_range(sets: Path, out: Path) -> None:
    main(["grace-fig4", "--data", str(sets), "--out", str(out), *SMALL, *GRACE])
    data = curves.data_of(out / "simsv2")
    assert [(t.low, t.high) for t in data.schema.targets] == [(-1.0, 1.0)] * 4


def test_cls_vectors_of_the_file_stand_in_for_a_chinese_bert(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"simsv2:{sets / 'simsv2.pkl'}+text=features"
    arguments = ["grace-fig7", "--data", spec, "--out", str(tmp_path), "--small"]
    main([*arguments, "--strategies", "random,grace", "--workers", "0"])
    plan = Plan.read(tmp_path / "simsv2")
    assert plan.preset.network.projection["sentence"] == 32
    assert plan.preset.training.loss_weights["sentence"] == 0.2
    assert plan.preset.preparation.encoders["sentence"] == "mean"
    assert "random" in capsys.readouterr().out


def test_a_dry_run_says_what_would_run_and_runs_nothing(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["bmmal-fig4", "--data", str(sets), "--out", str(tmp_path / "x"), "--dry-run"])
    said = capsys.readouterr().out
    assert "food101 (food101:" in said
    assert "1000 labels, then 1000 a round to 7000; 5 seeds; 315 measurements" in said
    assert "paper-vggsound" in said
    assert not (tmp_path / "x").exists()
    main(["bmmal-fig4", "--data", f"vggsound:{sets / 'vggsound'}", "--dry-run"])
    assert "food101 is not there: left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bmmal-fig9", "--data", "x"], "choose from bmmal-fig2"),
        (["bmmal-fig4", "--data", "nowhere"], "holds none of food101, kineticssound"),
        (["bmmal-fig4", "--data", "cherma:x"], "this needs food101 or"),
        (["bmmal-fig4", "--data", "food101:nowhere"], "is missing"),
    ],
)
def test_what_cannot_be_run_is_explained(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--out", str(tmp_path)])


def test_the_page_has_a_row_for_every_table_and_figure() -> None:
    rows = dict(re.findall(r"^\| `make paper FIGURE=(\S+) DATA=ROOT` \|(.*)$", PAGE, re.M))
    assert rows.keys() == EXHIBITS.keys()
    for name, row in rows.items():
        assert all(run.partition("-")[0] in row for run in EXHIBITS[name].runs), name
        hours = sum(RUNS[run].hours for run in EXHIBITS[name].runs)
        assert f"| {told(hours)} |" in row, f"{name}: {told(hours)}"


def test_sizes_are_the_papers() -> None:
    assert {name: (run.initial, run.labels, run.seeds) for name, run in RUNS.items()} == {
        "food101": (1000, 7000, 5),
        "kineticssound": (1000, 7000, 3),
        "vggsound": (2000, 14_000, 3),
        "vggsound-25k": (5000, 25_000, 3),
        "vggsound-gate": (5000, 17_000, 3),
        "simsv2": (100, 800, 3),
        "cherma": (1000, 5000, 3),
    }
    assert all(run.preset in PRESETS for run in RUNS.values())


def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from multiprocessing import get_context

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a")
    assert running.visible_gpus() == ["3", "GPU-5a"]
    monkeypatch.setattr(running.multiprocessing, "parent_process", _Parent)
    turn = get_context("spawn").Value("i", 0)
    taken = []
    for _ in range(3):
        running._start_worker(turn, ["3", "GPU-5a"])
        taken.append(__import__("os").environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["3", "GPU-5a", "3"]


class _Parent:
    """A process that never ends."""

    def join(self) -> None:
        import threading

        threading.Event().wait()


def test_means_leave_out_what_was_not_measured() -> None:
    from experiments.figures.published import means

    grid = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert means(grid)[:2].tolist() == [2.0, 5.0]
    assert np.isnan(means(grid)[2])
