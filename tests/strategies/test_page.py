"""docs/strategies.md says what is so."""

import re
from pathlib import Path

import pytest

from strategies import NAMES, STRATEGIES, TargetKind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "strategies.md").read_text()


def table_row(name: str) -> str:
    return next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_has_its_row(name):
    columns = [column.strip() for column in table_row(name).strip("|").split("|")]
    assert len(columns) == 7
    assert (columns[3] == "all") == (STRATEGIES[name].targets == set(TargetKind))


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name):
    options = PAGE[PAGE.index("## Options") : PAGE.index("## What the scores")]
    for option in STRATEGIES[name].options:
        assert f"`{option}`" in options


def test_the_strategies_for_regression_are_those_named():
    said = re.search(r"regression these are (.*?)\.\n", PAGE, re.DOTALL).group(1)
    fitting = {n for n, s in STRATEGIES.items() if TargetKind.REGRESSION in s.targets}
    assert set(re.findall(r"`(\w+)`", said)) == fitting


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(example, "docs/strategies.md", "exec"), names)
    assert len(names["selection"].order) == 500
