"""The tool behind `make mutants`: it makes every kind of change, and tells what tests notice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import run_tests
from tests.mutants.mutate import mutants

SOURCE = '''\
"""Words."""

LIMIT = 3


def half(number: int = 1) -> float:
    """Return a half."""
    log.info("half of %d", number + 1)
    if not (number < LIMIT and number != 7):
        raise ValueError(f"more than {LIMIT - 1}")
    note(
        -number
    )
    return number / 2
'''


def test_each_kind_of_change_is_made_once_and_messages_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(SOURCE)
    found = mutants(tmp_path, "half.py")
    assert [(m.line, m.before, m.after) for m in found] == [
        (3, "3", "4"),
        (6, "1", "2"),
        (9, "not (number < LIMIT and number != 7)", "number < LIMIT and number != 7"),
        (9, "number < LIMIT and number != 7", "number < LIMIT or number != 7"),
        (9, "number < LIMIT", "number <= LIMIT"),
        (9, "number < LIMIT", "number >= LIMIT"),
        (9, "number != 7", "number == 7"),
        (9, "7", "8"),
        (11, "note( -number )", "pass"),
        (12, "-number", "number"),
        (14, "return number / 2", "return None"),
        (14, "number / 2", "number * 2"),
        (14, "2", "3"),
    ]
    assert all(ast.dump(ast.parse(m.source)) != ast.dump(ast.parse(SOURCE)) for m in found)
    assert {m.statement_line for m in found if m.line == 12} == {11}


@pytest.mark.parametrize(
    ("body", "limit", "passes"),
    [("assert 1", 60, True), ("assert 0", 60, False), ("import time; time.sleep(60)", 2, False)],
)
def test_a_failure_and_a_hang_are_noticed(
    tmp_path: Path, body: str, limit: float, passes: bool
) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert run_tests(tmp_path, ["test_it.py"], limit, tmp_path / "log") is passes
