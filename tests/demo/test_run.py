"""The demo's own rules: whose folder it empties, what it refuses, how it reports what it found."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from demo.curve import Comparison, plot
from demo.installation import DemoError
from demo.run import MARKER, Options, run, workspace
from demo.screen import RoundLine, Screen


def line(number: int, accuracy: float) -> RoundLine:
    return RoundLine(
        number,
        20 * number,
        accuracy,
        {"image": accuracy - 0.2, "audio": accuracy - 0.1},
        {"image": 0.4, "audio": 0.6},
        12.3,
    )


def comparison(ours: Sequence[float], *random: Sequence[float]) -> Comparison:
    return Comparison("bmmal", [line(i, a) for i, a in enumerate(ours, start=1)], random)


def test_the_verdict_counts_labels_saved_beside_the_best_and_the_worst_random_order() -> None:
    said = comparison([0.5, 0.8, 0.9], [0.5, 0.7, 0.65], [0.5, 0.71, 0.85]).verdict()
    assert "60 labels bmmal reaches 0.900; random order 0.750 on average of 2" in said
    # .75 lies 5/6 of the way from 20 labels to 40, .65 half way, .85 half way from 40 to 60.
    assert "needed 37 labels for that mean: 23 of 60 saved (10 to 30 beside" in said


def test_a_loss_against_random_is_reported() -> None:
    lost = comparison([0.5, 0.6, 0.7], [0.5, 0.7, 0.8], [0.5, 0.7, 0.8]).verdict()
    assert "does not reach that mean: no labels saved" in lost
    close = comparison([0.5, 0.6, 0.7], [0.5, 0.6, 0.6], [0.5, 0.7, 0.8]).verdict()
    assert "needed 60 labels for that mean: 0 of 60 saved (none to 20 beside" in close


def test_a_curve_that_begins_above_random_needed_its_first_labels() -> None:
    assert "needed 20 labels" in comparison([0.8, 0.7, 0.9], [0.5, 0.6, 0.7]).verdict()


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    plot(comparison([0.5, 0.8, 0.9], [0.5, 0.7, 0.8]), tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (960, 600)


def test_outside_a_terminal_the_table_is_plain_lines_and_progress_is_sparse() -> None:
    written = io.StringIO()
    with Screen(Console(file=written, width=80)) as screen:
        for step in range(50):
            screen.say(f"step {step}")
        screen.round(line(1, 0.5))
        screen.round(line(2, 0.75))
    lines = written.getvalue().splitlines()
    assert lines[0].strip() == "step 0"
    assert lines[1].split() == ["accuracy", "contribution"]
    assert lines[2].split()[:4] == ["round", "labels", "both", "image"]
    assert lines[4].split() == ["2", "40", "0.750", "0.550", "0.650", "0.400", "0.600", "12.3"]
    assert len(lines) == 5
    assert max(map(len, lines)) < 80


def test_only_a_demo_folder_is_emptied(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    with pytest.raises(DemoError, match="holds something that no demo made"), workspace(mine):
        pass
    assert (mine / "data").is_dir()

    demo = tmp_path / "demo"
    with workspace(demo) as folder:
        (folder / "data").mkdir()
        (folder / "curve.png").touch()
    with workspace(demo) as folder:
        assert [item.name for item in folder.iterdir()] == [MARKER]


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        workspace(tmp_path / "demo"),
        pytest.raises(DemoError, match="Another demo runs"),
        workspace(tmp_path / "demo"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(strategy="bmmmal"), "No strategy 'bmmmal'; choose one of .*bmmal"),
        (Options(rounds=1), "at least 2 rounds"),
        (Options(rounds=100), "only 1200 tasks"),
        (Options(orders=0), "at least 1 random order"),
        (Options(data=Path("nowhere")), "nowhere holds no avdigits_raw.tar.gz"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    options: Options, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DemoError, match=message):
        run(options)
    assert list(tmp_path.iterdir()) == []
