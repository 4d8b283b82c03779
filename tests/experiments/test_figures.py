"""What figures draw: their lines, bars and numbers, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import pictures
from experiments.curves import Curves
from experiments.figures import choices, learning, matrices, published, style
from experiments.statistics import half_width
from strategies.pool import TargetKind
from tests.experiments.toy import NAMES, curves, with_values

FINALS = [[0.8, 0.4], [0.4, 0.4], [0.0, 0.2]]
Drawn = Callable[..., list[Any]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Drawn:
    """Return a call that draws something into a file and returns the picture's panels."""
    kept: list[Any] = []
    monkeypatch.setattr(style.plt, "close", kept.append)

    def draw(what: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        path = tmp_path / "picture.png"
        told = True if what.__annotations__.get("return") == "bool" else None
        assert what(*args, path, **kwargs) is told
        assert path.read_bytes().startswith(b"\x89PNG")
        return list(kept[-1].axes)

    return draw


def points(lines: Sequence[Any]) -> list[list[tuple[float, float]]]:
    """Return the points of each line."""
    return [
        [(round(float(x), 6), round(float(y), 6)) for x, y in zip(*line.get_data(), strict=True)]
        for line in lines
    ]


def named(panel: Any) -> dict[str, list[tuple[float, float]]]:
    """Return the points of the lines that the legend names."""
    lines = [line for line in panel.lines if not line.get_label().startswith("_")]
    return dict(zip([line.get_label() for line in lines], points(lines), strict=True))


def test_curves_are_means_with_the_interval_of_each_head(drawn: Drawn) -> None:
    heads = {"one": [0.9, 0.8, 0.7], "two": [0.5, 0.6, 0.4]}
    found = curves(FINALS, heads=heads)
    panels = drawn(learning.draw_curves, found)
    assert [panel.get_title("left") for panel in panels] == [
        *("all modalities", "one alone", "two alone"),
    ]
    assert named(panels[0]) == {
        "grace": [(10, 0), (20, 0.6), (30, 0.6)],
        "random": [(10, 0), (20, 0.4), (30, 0.4)],
        "entropy": [(10, 0), (20, 0.1), (30, 0.1)],
    }
    assert named(panels[1])["random"] == [(10, 0.8), (20, 0.8), (30, 0.8)]
    grace = panels[0].collections[0].get_paths()[0].vertices[:, 1]
    width = float(half_width(np.array([0.8, 0.4])))
    assert (grace.min(), grace.max()) == pytest.approx((0.6 - width, 0.6 + width))
    assert panels[0].get_ylim() == pytest.approx((-0.048, 0.648)), "the means fill the panel"
    assert panels[0].get_ylabel() == "accuracy (mean over classes)"


def test_contenders_beyond_the_colours_are_grey_and_named_others(drawn: Drawn) -> None:
    names = ("random", *(f"strategy{n}" for n in range(8)))
    (panel,) = drawn(learning.draw_curves, curves([[0.1 * n] * 2 for n in range(9)], names=names))
    assert len(named(panel)) == 6 + 1 + 1
    assert named(panel)["others"] == []
    grey = [line for line in panel.lines if line.get_color() == "#bbbbbb"]
    assert points(grey)[0] == [(10, 0), (20, 0.7), (30, 0.7)]
    assert len(grey) == 2 + 1


@pytest.mark.parametrize(
    ("kind", "sign"), [(TargetKind.CLASSIFICATION, 1), (TargetKind.REGRESSION, -1)]
)
def test_gains_are_on_the_reference_and_right_is_better(
    drawn: Drawn, kind: TargetKind, sign: int
) -> None:
    found = curves(FINALS, kind)
    panels = drawn(learning.draw_gains, found)
    assert [panel.get_title("left") or panel.get_title() for panel in panels][:2] == [
        *("grace", "entropy"),
    ]
    zero, gap = points(panels[0].lines)
    assert {y for _, y in zero} == {0}
    assert gap == [(10, 0), (20, sign * 0.2), (30, sign * 0.2)]
    (panel,) = drawn(learning.draw_areas, found)
    order = ["entropy", "grace"] if sign > 0 else ["grace", "entropy"]
    assert [text.get_text() for text in panel.get_yticklabels()] == order
    middles = {y: x for ((x, y),) in (p for p in points(panel.lines) if len(p) == 1)}
    assert middles[order.index("grace")] == pytest.approx(sign * 0.15)
    assert middles[order.index("entropy")] == pytest.approx(-sign * 0.225)


def test_areas_are_coloured_where_the_interval_excludes_zero(drawn: Drawn) -> None:
    finals = [[0.8, 0.81], [0.4, 0.4], [0.1, 0.11]]
    (panel,) = drawn(learning.draw_areas, curves(finals))
    colours = [line.get_color() for line in panel.lines if len(line.get_xdata()) == 1]
    assert colours == ["#D55E00", "#0072B2"]
    (panel,) = drawn(learning.draw_areas, curves([[0.8, 0.0], [0.4, 0.4], [0.8, 0.1]]))
    assert {line.get_color() for line in panel.lines[:-1]} == {style.GREY}


def by_weights(found: Curves) -> Curves:
    """Add what was chosen."""
    return with_values(
        found,
        chosen__weight__two=[[0.6, 0.8, 9], [0.5, 0.5, 9], [0.2, 0.2, 9]],
        pool__weight__two=[[0.5, 0.5, 0], [0.5, 0.5, 0], [0.4, 0.6, 0]],
    )


def test_weights_of_what_was_chosen_stand_against_the_pool(drawn: Drawn, tmp_path: Path) -> None:
    heads = {"one": [0.9, 0.8, 0.7], "two": [0.5, 0.6, 0.4]}
    found = by_weights(curves(FINALS, heads=heads))
    over, overall = drawn(choices.draw_weights, found)[:2]
    assert named(over)["grace"] == [(10, 0.6), (20, 0.8)]
    assert over.get_title("left") == "weight of two in the chosen tasks"
    assert overall.get_xlabel() == "difference in weight"
    names = [text.get_text() for text in overall.get_yticklabels()]
    assert names == ["entropy", "random", "grace"]
    middles = [p[0] for p in points(overall.lines) if len(p) == 1]
    assert middles == [(-0.3, 0), (0, 1), (0.2, 2)]
    spans = [p for p in points(overall.lines)[:-1] if len(p) == 2]
    assert spans == [[(x, y), (x, y)] for x, y in middles], "equal seeds: no width"
    assert not choices.draw_weights(curves(FINALS, heads=heads), tmp_path / "none.png")
    assert not choices.draw_weights(by_weights(curves(FINALS)), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_contributions_are_drawn_beside_an_equal_share(drawn: Drawn, tmp_path: Path) -> None:
    found = with_values(
        curves(FINALS),
        contribution__one=[[0.7, 0.6, 0.5]] * 3,
        contribution__two=[[0.3, 0.4, 0.5]] * 3,
    )
    one, two = drawn(choices.draw_contributions, found)
    assert [(p.get_title("left"), p.get_xlabel()) for p in (one, two)] == [
        *(("one", "labels"), ("two", "labels")),
    ]
    assert named(one)["random"] == [(10, 0.7), (20, 0.6), (30, 0.5)]
    assert named(two)["random"] == [(10, 0.3), (20, 0.4), (30, 0.5)]
    assert {y for _, y in points(one.lines)[-1]} == {0.5}
    assert not choices.draw_contributions(curves(FINALS), tmp_path / "none.png")


def test_criteria_are_drawn_of_contenders_that_have_them(drawn: Drawn, tmp_path: Path) -> None:
    nothing = [np.nan] * 3
    found = with_values(
        curves(FINALS),
        chosen__worth=[[0.5, 0.6, 9], nothing, nothing],
        pool__worth=[[0.2, 0.3, 9], nothing, nothing],
        chosen__eased=[[0.1, 0.2, 9], nothing, nothing],
    )
    (panel,) = drawn(choices.draw_criteria, found)
    assert (panel.get_title("left") or panel.get_title(), panel.get_xlabel()) == ("grace", "labels")
    assert named(panel) == {
        "informativeness x representativeness, chosen": [(10, 0.5), (20, 0.6)],
        "informativeness x representativeness, pool": [(10, 0.2), (20, 0.3)],
        "alpha x easiness, chosen": [(10, 0.1), (20, 0.2)],
    }
    assert not choices.draw_criteria(curves(FINALS), tmp_path / "none.png")


def test_maps_show_the_first_seeds_first_batch_and_all_of_them(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = np.array([[0.0, 0], [1, 1], [2, 2], [3, 3]])
    monkeypatch.setattr(choices, "flat", lambda features: at)
    monkeypatch.setattr(published, "flat", lambda features: at)
    found = curves(FINALS)
    batches = {0: [7], 1: [5], 2: []}
    cells = {
        key: [replace(c, batch=[4] if key[1] else batches[c.round]) for c in chain]
        for key, chain in found.cells.items()
    }
    found, rows = replace(found, cells=cells), np.array([4, 5, 6, 7])
    panel = drawn(choices.draw_map, found, at, rows)[0]
    others, chosen = (part.get_offsets().tolist() for part in panel.collections)
    assert chosen == [[3, 3]]
    assert others == [[0, 0], [1, 1], [2, 2]]
    signs = np.array([1.0, 0.0, 1.0, -0.5])
    panel = drawn(published.draw_rounds, found, at, rows, signs)[0]
    shown = {part.get_label(): part.get_offsets().tolist() for part in panel.collections[1:]}
    assert shown == {"negative": [[3, 3]], "neutral": [[1, 1]], "positive": []}
    assert panel.collections[0].get_offsets().tolist() == [[0, 0], [2, 2]]


def test_large_maps_keep_every_chosen_task(monkeypatch: pytest.MonkeyPatch) -> None:
    found = curves(FINALS)
    cells = {
        (name, seed): [replace(c, batch=[10 * place + c.round, 5]) for c in chain]
        for place, ((name, seed), chain) in enumerate(found.cells.items())
    }
    found, rows = replace(found, cells=cells), np.arange(100)
    first = sorted({5, *(cells[name, 0][0].batch[0] for name in NAMES)})
    for most, count in ((30, 30), (2, len(first)), (1000, 100)):
        monkeypatch.setattr(choices, "MAP_POINTS", most)
        kept = pictures._thinned(rows, found, 0).tolist()
        assert len(kept) == len(set(kept)) == count
        assert set(first) <= set(kept)
        assert kept == sorted(kept)
    assert kept == rows.tolist()


def test_coordinates_are_finite_for_few_and_for_many() -> None:
    rng = np.random.default_rng(0)
    for size, width in ((5, 3), (40, 50)):
        found = choices.flat(rng.standard_normal((size, width)).astype(np.float32))
        assert found.shape == (size, 2)
        assert np.isfinite(found).all()


def test_win_tables_hold_the_numbers_and_the_column_averages(drawn: Drawn) -> None:
    table = np.array([[0, 1.0, 0.5], [0, 0, 0.004], [0.25, 0, 0]])
    (panel, _) = drawn(_wins, {"all modalities": table}, NAMES)
    image = panel.images[0].get_array()
    assert image.shape == (4, 3)
    assert image[3].tolist() == pytest.approx(table.mean(axis=0).tolist())
    said = {tuple(map(int, text.get_position())): text for text in panel.texts}
    assert {place: text.get_text() for place, text in said.items()} == {
        **{(1, 0): "1.0", (2, 0): ".5", (0, 2): ".2"},
        **{(0, 3): ".1", (1, 3): ".3", (2, 3): ".2"},
    }
    assert said[1, 0].get_color() == "white"
    assert said[2, 0].get_color() == "black"
    assert [text.get_text() for text in panel.get_yticklabels()] == [*NAMES, "column average"]
    assert panel.images[0].get_clim() == (0, 1)


def _wins(tables: dict[str, np.ndarray], names: tuple[str, ...], path: Path) -> None:
    matrices.draw_wins(tables, names, path)


def test_win_tables_are_of_the_fused_the_stronger_and_the_weaker_head() -> None:
    heads = {"one": [0.1, 0.2, 0.3], "two": [0.5, 0.6, 0.4]}
    found = matrices.win_tables(curves(FINALS, heads=heads))
    assert list(found) == ["all modalities", "stronger modality", "weaker modality"]
    assert found["stronger modality"][1].tolist() == [1, 0, 1]
    assert found["weaker modality"][2].tolist() == [1, 1, 0]
    assert list(matrices.win_tables(curves(FINALS))) == ["all modalities"]


def test_classes_are_compared_over_all_rounds_but_the_first(drawn: Drawn, tmp_path: Path) -> None:
    found = with_values(
        curves(FINALS),
        class__a=[[9, 0.5, 0.7], [0, 0.4, 0.4], [0, 0.4, 0.4]],
        class__b=[[9, 0.1, 0.1], [0, 0.4, 0.4], [0, 0.5, 0.3]],
    )
    panel, _ = drawn(matrices.draw_classes, found)
    assert panel.images[0].get_array().tolist() == [
        pytest.approx([0.2, -0.3]),
        pytest.approx([0, 0]),
    ]
    assert panel.images[0].get_clim() == pytest.approx((-0.3, 0.3))
    texts = {tuple(map(int, t.get_position())): t.get_text() for t in panel.texts}
    assert (texts[0, 0], texts[1, 0]) == ("+20.0", "-30.0")
    assert [text.get_text() for text in panel.get_xticklabels()] == ["a", "b"]
    assert [text.get_text() for text in panel.get_yticklabels()] == ["grace", "entropy"]
    assert not matrices.draw_classes(curves(FINALS), tmp_path / "none.png")


def test_gains_of_classes_are_bars_of_their_signs_colour(drawn: Drawn) -> None:
    gains = {"one": {"a": 0.2, "b": 0.0}, "two": {"a": -0.1, "b": 0.3}}

    def draw(path: Path) -> None:
        published.draw_class_gains(gains, path, "bmmal less badge")

    one, two = drawn(draw)
    assert [panel.get_title("left") for panel in (one, two)] == ["one alone", "two alone"]
    assert one.get_xlabel() == two.get_xlabel() == "bmmal less badge"
    assert [bar.get_width() for bar in one.patches] == [0.2, 0.0]
    assert [bar.get_width() for bar in two.patches] == [-0.1, 0.3]
    same = [bar.get_facecolor()[:3] for bar in (*one.patches, *two.patches)]
    assert same[0] == same[1] == same[3] != same[2]
    assert [text.get_text() for text in one.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("of_choices", [False, True])
def test_what_is_drawn_over_rounds_leaves_out_the_last_where_nothing_was_chosen(
    drawn: Drawn, of_choices: bool
) -> None:
    grid = np.array([[[1, 2, 9.0], [3, np.nan, 9]]] * 3)

    def draw(path: Path) -> None:
        published.draw_over_rounds(curves(FINALS), {"it": grid}, path, "y", choices=of_choices)

    (panel,) = drawn(draw)
    assert named(panel)["grace"] == [(10, 2), (20, 2), (30, 9)][: 2 if of_choices else 3]
    assert (panel.get_title("left"), panel.get_xlabel(), panel.get_ylabel()) == (
        "it",
        "labels",
        "y",
    )


def test_the_best_known_are_drawn_in_colour_and_random_in_black() -> None:
    names = ("entropy", "x", "random", "grace", "dbal:beta=3", "y", "z", "bmmal", "w")
    found = style.lines(names)
    assert list(found) == ["grace", "bmmal", "entropy", "dbal:beta=3", "x", "y", "random"]
    assert found["random"].colour == "#000000"
    assert len({line.colour for line in found.values()}) == len(found)
    assert len({line.marker for line in found.values()}) == len(found)
    assert style.short("grace:pseudo_label=teacher+alpha_init=0.5") == "grace teacher 0.5"
    assert style.short("grace") == "grace"


def test_panels_without_a_drawing_are_hidden(drawn: Drawn) -> None:
    names = ("random", *(f"s{n}" for n in range(7)))
    panels = drawn(learning.draw_gains, curves([[0.1, 0.2]] * 8, names=names))
    assert [panel.axison for panel in panels] == [True] * 7 + [False] * 3
    ticks = [panel.xaxis.get_tick_params()["labelbottom"] for panel in panels]
    assert ticks[2:5] == [True] * 3, "the lowest of their columns"
    assert ticks[:2] == [False] * 2
