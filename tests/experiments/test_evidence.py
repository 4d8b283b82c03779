"""The evidence: settings by name, a page from carried results, and a hint tuned elsewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from experiments import evidence, evidence_page
from experiments.alarms import LEAST_HINTS, Moment, count, held_out, tune
from experiments.anchors import FORMER
from experiments.dataset import DataError, Dataset
from experiments.plan import LIVE, RANDOM, Contender, Plan, contenders
from model.stopping import CALIBRATION, CALIBRATION_FILE, Calibration
from strategies.pool import TargetKind
from tests.experiments.conftest import make_dataset, make_replay

DOCS = Path(__file__).resolve().parents[2] / "docs"


def moments(agreement: float, left: float, times: int = LEAST_HINTS) -> list[Moment]:
    return [Moment(agreement, 1 - agreement, left, 0.001)] * times


def test_settings_are_chosen_by_name() -> None:
    assert evidence.choose(None) == evidence.SETTINGS
    chosen = evidence.choose("mosi-two-number, avdigits-official")
    assert [one.name for one in chosen] == ["mosi-two-number", "avdigits-official"]
    for wrong in ("avdigits", ","):
        with pytest.raises(DataError, match="there are: avdigits-official, "):
            evidence.choose(wrong)


@pytest.mark.parametrize("kind", TargetKind)
def test_every_setting_has_contenders_that_its_target_allows(kind: TargetKind) -> None:
    for setting in evidence.SETTINGS:
        found = contenders(evidence.orders_for(setting, kind), kind)
        assert {"random", "auto", "coreset"} <= set(found)
        for text in found:
            Contender.read(text).strategy.check(kind)


def test_the_threshold_is_the_lowest_that_no_group_speaks_against() -> None:
    flat = [*moments(0.75, 0.0), *moments(0.95, 0.0)]
    rising = [*moments(0.85, 0.05), *moments(0.95, 0.0)]
    assert tune([flat]) == 0.7
    assert tune([flat, rising]) == 0.86
    assert tune([moments(0.95, 0.0, LEAST_HINTS - 1)]) == 1.0


def test_a_group_has_no_say_in_the_threshold_it_is_measured_with() -> None:
    flat, rising = moments(0.75, 0.0), moments(0.85, 0.05)
    found = held_out({"flat": flat, "rising": rising})
    assert found["rising"] == (0.7, count(rising, 0.7))
    assert (found["rising"][1].given, found["rising"][1].false) == (LEAST_HINTS, LEAST_HINTS)
    assert held_out({"flat": flat}) == {}


def test_the_page_is_written_from_carried_results(tmp_path: Path) -> None:
    kinds = {"blobs-classes": TargetKind.CLASSIFICATION, "blobs-numbers": TargetKind.REGRESSION}
    folders = []
    for name, kind in kinds.items():
        names = ("random", "grace", "grace_ir", "grace_i")
        names += ("badge", "bmmal") if kind == "classification" else ("grace:pseudo_label=teacher",)
        made = make_replay(tmp_path / "made" / name, kind, names)
        left_behind = shutil.ignore_patterns("column-*", "initial")
        folders.append(Path(shutil.copytree(made, tmp_path / "carried" / name, ignore=left_behind)))
    docs = tmp_path / "docs"
    (docs / "evidence").mkdir(parents=True)
    (docs / "evidence" / "old.png").write_bytes(b"")
    page, _ = evidence_page.write(folders, docs, ["avdigits-official"])
    text = page.read_text()
    assert "Planned and not run yet: avdigits-official." in text
    for title in ("In short", "Leads on random", "GRACE's pseudo-labels", "The stopping hint"):
        assert f"## {title}" in text
    assert not re.search(r"\bnan\b", text)
    pictures = {path.name for path in (docs / "evidence").iterdir()}
    assert "old.png" not in pictures
    assert all(f"(evidence/{name})" in text for name in pictures)


def test_a_setting_and_its_former_default_are_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def named(spec: str, root: Path) -> Dataset:
        asked.append(spec)
        return make_dataset(TargetKind.REGRESSION)

    monkeypatch.setattr(evidence, "named", named)
    setting = evidence.Setting("toy", "now", "then", 10, 5, 4, 60, "auto,random,badge", 3)
    folder = evidence.prepare(tmp_path, tmp_path / "out", setting)
    assert folder == tmp_path / "out" / "toy"
    assert asked == ["now", "then"]
    plan, former = Plan.read(folder), Plan.read(folder / FORMER)
    assert plan.contenders == ("auto", "random"), "badge is not for numbers"
    assert (plan.labels, plan.pool, plan.seeds) == ([10, 15, 20, 25], 60, 3)
    assert (plan.preset.name, plan.initial_strategy) == ("auto", LIVE)
    assert former.contenders == (RANDOM,)
    assert former.labels == [20, 25], "its last models only, with as many labels"
    assert (former.preset.name, former.initial_strategy, former.seeds) == ("quick", RANDOM, 3)
    assert evidence.prepare(tmp_path, tmp_path / "out", setting) == folder, "found as it is"


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    folders, unfinished = evidence.split(tmp_path)
    assert folders == []
    assert unfinished == [one.name for one in evidence.SETTINGS]


def test_the_hint_says_what_the_page_says(tmp_path: Path) -> None:
    CALIBRATION.write(tmp_path / "again.json")
    assert Calibration.read(tmp_path / "again.json") == CALIBRATION
    assert CALIBRATION_FILE.read_text() == (tmp_path / "again.json").read_text()
    page = (DOCS / "evidence.md").read_text()
    assert f"with the ones before at {CALIBRATION.agreement:.2f} or more" in " ".join(page.split())
    if CALIBRATION.given:
        assert f"**{CALIBRATION.wrong} of {CALIBRATION.given} " in page
