"""A small replay: the same numbers for the same seed, equal starts, and kills that cost nothing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from experiments import alarms, curves, running, summary
from experiments.cells import Cell, Cells
from experiments.dataset import DataError
from experiments.measuring import measure
from experiments.merging import merge
from experiments.page import Section, Table, render
from experiments.plan import Contender, Plan, contenders
from experiments.replay import initial_rows, run_chain, trained
from experiments.report import report
from experiments.statistics import Interval
from model.presets import preset
from strategies.errors import UnsupportedTarget
from strategies.pool import TargetKind
from tests.experiments.conftest import CONTENDERS, make_dataset, make_replay


def test_same_seed_gives_the_same_numbers(replay: Path, tmp_path: Path) -> None:
    again = make_replay(tmp_path / "again", contenders=("bmmal", "random"))
    one, other = curves.load(replay), curves.load(again)
    for metric, grid in other.values.items():
        places = [one.contenders.index(name) for name in other.contenders]
        assert np.array_equal(one.values[metric][places], grid, equal_nan=True), metric


def test_first_round_is_the_same_for_all(replay: Path) -> None:
    found = curves.load(replay)
    for metric in found.heads.values():
        first = found.values[metric][:, :, 0]
        assert (first == first[0]).all()
    assert (found.of("multimodal")[0, 0] != found.of("multimodal")[0, 1]).any()


def test_each_round_is_measured_with_a_model_of_all_labels_so_far(replay: Path) -> None:
    found, data = curves.load(replay), curves.data_of(replay)
    cells = found.cells["random", 1]
    rows = initial_rows(replay, 1)
    for cell in cells:
        measured, classes = measure(trained(data, found.plan, rows, 1), data)
        assert dict(cell.metrics) == pytest.approx(measured, abs=1e-6)
        assert dict(cell.classes) == pytest.approx(classes, abs=1e-6)
        rows = np.concatenate([rows, np.asarray(cell.batch, np.int64)])
    assert len({cell.metrics["accuracy"] for cell in cells}) > 1


def test_batches_are_new_and_fill_the_plan(replay: Path) -> None:
    found = curves.load(replay)
    data = curves.data_of(replay)
    for chain in found.cells.values():
        labelled = [row for cell in chain for row in cell.batch]
        assert len(labelled) == len(set(labelled)) == 3 * found.plan.batch
        assert set(labelled) <= set(data.train.tolist())
        assert [cell.labels for cell in chain] == found.plan.labels


@pytest.mark.parametrize("kind", [TargetKind.MULTILABEL, TargetKind.REGRESSION])
def test_other_targets(kind: TargetKind, tmp_path: Path) -> None:
    names = (
        ("random", "grace:pseudo_label=teacher") if kind == "regression" else ("random", "badge")
    )
    found = curves.load(make_replay(tmp_path, kind, names, initial_strategy="random"))
    assert np.isfinite(found.of("multimodal")).all()
    assert set(found.heads) == {"multimodal", "clear", "noisy"}
    last = found.sign * found.of("multimodal")
    assert last[:, :, -1].mean() > last[:, :, 0].mean()


@pytest.mark.parametrize("kind", list(TargetKind))
def test_every_strategy_that_fits_is_replayed_with_a_modality_missing(
    kind: TargetKind, tmp_path: Path
) -> None:
    names = contenders("all", kind)
    folder = make_replay(tmp_path, kind, names, rounds=2, seeds=1)
    assert not curves.data_of(folder).present.all()
    found = curves.load(folder)
    assert found.contenders == names
    batches = [found.cells[name, 0][0].batch for name in names]
    assert all(len(set(batch)) == found.plan.batch for batch in batches)
    assert report(folder).is_file()  # one repetition: nothing has an interval


def test_killed_twice_gives_the_same_table(replay: Path, tmp_path: Path) -> None:
    folder = make_replay(tmp_path / "killed", run=False)
    whole, rng = Plan.read(folder).cells, np.random.default_rng()
    for least in sorted(rng.integers(1, whole - 4, size=2)):
        run = subprocess.Popen([sys.executable, "-c", _RUN, str(folder)])
        while Cells(folder).count() < least and run.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.05))  # anywhere within a measurement
        run.kill()
        assert run.wait() == -signal.SIGKILL, "it had ended by itself"
    assert Cells(folder).count() < whole, "nothing was left to do"
    (folder / "cells" / "random" / "seed-0-round-1.json.1.writing").write_text("{half")
    subprocess.run([sys.executable, "-c", _RUN, str(folder)], check=True, timeout=300)
    assert curves.tidy(curves.load(folder)) == curves.tidy(curves.load(replay))


_RUN = """
import sys
from pathlib import Path
from experiments.running import run
if __name__ == "__main__":
    run(Path(sys.argv[1]), workers=2)
"""


def test_what_is_measured_is_not_measured_again(
    replay: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(replay, tmp_path / "again"))
    asked: list[int] = []
    whole = Cells(replay).chain("bmmal", 0, 4)

    def again(*args: Any) -> Cell:
        asked.append(args[-1])
        return replace(whole[min(args[-1], 3)], round=args[-1])

    monkeypatch.setattr("experiments.replay._cell", again)
    run_chain(folder, "bmmal", 0)
    assert asked == []
    (folder / "cells" / "bmmal" / "seed-0-round-2.json").unlink()
    run_chain(folder, "bmmal", 0)
    assert asked == [2, 3], "what follows a gap rests on it"
    asked.clear()
    replace(Plan.read(folder), rounds=5).write(folder)
    run_chain(folder, "bmmal", 0)
    assert asked == [3, 4], "the last round chose nothing; one more round has it choose"


def test_another_replay_in_the_same_folder_is_refused(replay: Path) -> None:
    with pytest.raises(DataError, match="another batch"):
        running.prepare(
            make_dataset(),
            CONTENDERS,
            Plan.read(replay).preset,
            replay,
            initial=10,
            batch=9,
            rounds=4,
            seeds=2,
        )


def test_plans_that_cannot_be_run_are_refused(tmp_path: Path) -> None:
    small = {"initial": 10, "batch": 8, "rounds": 4, "seeds": 1}

    def start(names: tuple[str, ...] = ("random",), **changes: int) -> None:
        running.prepare(
            make_dataset(TargetKind.REGRESSION),
            names,
            preset("quick"),
            tmp_path / "refused",
            **{**small, **changes},
        )

    with pytest.raises(DataError, match="at most 12 rounds"):
        start(rounds=50)
    with pytest.raises(UnsupportedTarget, match="grace"):
        start(("badge",))
    with pytest.raises(DataError, match="no strategy 'rndom'"):
        start(("rndom",))
    with pytest.raises(DataError, match="polarity, mc_mean, teacher"):
        Contender.read("grace:pseudo_label=guess")


def test_all_means_every_strategy_that_fits() -> None:
    named = contenders("grace, all", TargetKind.REGRESSION)
    assert named[0] == "grace"
    assert "random" in named
    assert "badge" not in named
    assert len(set(named)) == len(named)


def test_report_holds_what_was_measured(replay: Path) -> None:
    page = report(replay)
    tables = {
        name: pq.read_table(replay / f"{name}.parquet") for name in ("measurements", "summary")
    }
    assert tables["summary"].num_rows == len(CONTENDERS)
    found = curves.load(replay)
    rows = tables["measurements"].filter(
        (pc.field("metric") == found.metric) & (pc.field("round") == 3)
    )
    assert rows.num_rows == len(CONTENDERS) * 2
    assert np.mean(rows["value"].to_numpy()) == pytest.approx(
        found.of("multimodal")[:, :, -1].mean()
    )
    for stem in ("curves", "gains", "areas", "wins", "contributions", "weights", "classes", "map"):
        assert (replay / f"{stem}.png").read_bytes().startswith(b"\x89PNG"), stem
    assert (replay / "measurements.csv").read_text().startswith('"setting"')
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 9
    assert "http" not in text.replace("http://www.w3.org", "")


def test_joint_report_sums_the_wins(replay: Path, tmp_path: Path) -> None:
    other = make_replay(tmp_path / "other", TargetKind.MULTILABEL, ("random", "bmmal"))
    page = merge([replay, other], tmp_path / "joint")
    assert "2 settings, 2 strategies" in page.read_text()
    assert pq.read_table(tmp_path / "joint" / "summary.parquet").num_rows == 5


def test_alarms_count_moments_with_rounds_left(replay: Path) -> None:
    found = curves.load(replay)
    moments = alarms.moments(found, replay, window=1)
    always, never = alarms.count(moments, -1.0), alarms.count(moments, 1.1)
    assert always.moments == always.given == 3 * 2 * 2
    assert always.false == always.moments - always.flat
    assert (never.given, never.false) == (0, 0)


def test_replays_that_do_not_fit_together_are_refused(replay: Path, tmp_path: Path) -> None:
    numbers = make_replay(tmp_path / "a", TargetKind.REGRESSION, ("coreset", "bald"), rounds=2)
    with pytest.raises(DataError, match="has no random"):
        merge([replay, numbers], tmp_path / "joint")
    with pytest.raises(DataError, match="named twice"):
        merge([replay, replay / ".." / replay.name], tmp_path / "joint")
    with pytest.raises(DataError, match="holds no replay"):
        merge([replay, tmp_path / "none"], tmp_path / "joint")
    assert not (tmp_path / "joint").exists()


def test_replays_of_the_same_name_are_told_apart(replay: Path, tmp_path: Path) -> None:
    other = make_replay(tmp_path / "other", contenders=("random",), rounds=2)
    page = merge([replay, other], tmp_path / "joint")
    settings = pq.read_table(tmp_path / "joint" / "summary.parquet")["setting"].unique()
    assert len(settings) == 2
    assert f"({other})" in page.read_text()


def test_a_verdict_names_the_sure_winner_before_a_luckier_one(replay: Path) -> None:
    found = curves.load(replay)
    rows = {row.contender: row for row in summary.rows(found)}
    lucky = replace(rows["grace"], gain=Interval(0.05, -0.01, 0.11), p_holm=0.4)
    sure = replace(rows["bmmal"], gain=Interval(0.03, 0.02, 0.04), p_holm=0.01)
    said = summary.verdict(found, [lucky, sure, rows["random"]])
    assert said.startswith("Use bmmal: it is better than random by 0.030")
    assert "grace" not in said
    behind = replace(lucky, gain=Interval(-0.05, -0.06, -0.04), p_holm=0.01)
    said = summary.verdict(found, [sure, rows["random"], behind])
    assert "Surely worse than random: grace." in said
    said = summary.verdict(found, [rows["random"], behind])
    assert said.startswith("No strategy did better than random here: use random.")
    one = replace(lucky, gain=Interval(0.05, float("nan"), float("nan")), p_holm=1.0)
    assert "nan" not in summary.verdict(found, [one, rows["random"]])


def test_page_escapes_what_people_wrote() -> None:
    page = render("<b>", "&", [Section("s", "<script>", [("<u>", "")], Table(["a"], [["<i>"]]))])
    assert "<script>" not in page
    assert "<i>" not in page
    assert "<u>" not in page


@pytest.mark.browser
def test_page_renders_in_a_browser(replay: Path) -> None:
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("needs Debian's chromium")
    from playwright.sync_api import sync_playwright

    page = report(replay)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        view = browser.new_page(viewport={"width": 1100, "height": 900})
        view.set_default_timeout(180_000)
        errors: list[str] = []
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto(page.as_uri())
        sizes = view.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
        overflow = view.evaluate("document.documentElement.scrollWidth > innerWidth")
        rows = view.locator("tbody tr").count()
        browser.close()
    assert len(sizes) == 9
    assert min(sizes) > 800
    assert not overflow
    assert rows == len(CONTENDERS)
    assert errors == []


@pytest.mark.parametrize("kind", [TargetKind.CLASSIFICATION, TargetKind.REGRESSION])
def test_one_strategy_alone_has_a_report(kind: TargetKind, tmp_path: Path) -> None:
    folder = make_replay(tmp_path / "alone", kind, ("random",), seeds=1, rounds=3)
    page = report(folder).read_text()
    assert "Only one strategy was replayed" in page
    assert merge([folder], tmp_path / "joint").is_file()


def test_the_first_labels_are_chosen_as_a_live_projects_are(tmp_path: Path) -> None:
    live = make_replay(tmp_path / "live", run=False)
    chance = make_replay(tmp_path / "chance", initial_strategy="random", run=False)
    data = curves.data_of(live)
    one, other = initial_rows(live, 0), initial_rows(chance, 0)
    assert len(set(one)) == len(one) == len(other) == 10
    assert set(one) <= set(data.train.tolist())
    assert set(one) != set(other)
    assert (initial_rows(live, 0) == one).all()
    assert Plan.read(live).initial_strategy == "live"
    with pytest.raises(DataError, match="initial_strategy"):
        make_replay(tmp_path / "chance", run=False)
    with pytest.raises(DataError, match="cannot be chosen by 'bmmal'; choose from live, random"):
        make_replay(tmp_path / "other", initial_strategy="bmmal", run=False)


def test_options_go_to_the_contenders_that_have_them() -> None:
    kind = TargetKind.CLASSIFICATION
    found = contenders("random,grace:alpha_init=0.5,dbal,entropy", kind, ["diverse=true"])
    assert found == (
        *("random:diverse=true", "grace:alpha_init=0.5+diverse=true", "dbal"),
        "entropy:diverse=true",
    )
    assert Contender.read(found[1]).options == {"alpha_init": 0.5, "diverse": True}
    with pytest.raises(DataError, match="none of dbal has an option 'diverse'"):
        contenders("dbal", kind, ["diverse=true"])
    with pytest.raises(DataError, match="write name=value"):
        contenders("dbal", kind, ["beta"])
    with pytest.raises(DataError, match="option 'beta' must be a whole number, not 'many'"):
        contenders("dbal:beta=many", kind, ["beta=3"])
