"""The tool behind `make mutants`: it makes every kind of change, and tells what tests notice."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mutants.__main__ import run_tests
from tests.mutants.contexts import CHILD_STARTS, CHILDREN, Executed, gather
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


THING = """\
NUMBER = 3


def read(text):
    return int(text) + NUMBER


def never():
    return 1
"""
MODULES = {
    "test_early": "from strategies.thing import read\nFOUND = read('4')\n"
    "def test_early():\n    assert FOUND == 7\n",
    "test_late": "from strategies.thing import read\ndef test_late():\n    assert read('1') == 4\n",
    "test_other": "def test_other():\n    assert True\n",
    "test_parent": "import subprocess, sys\n"
    "def test_parent():\n"
    "    code = 'from strategies.thing import never; never()'\n"
    "    subprocess.run([sys.executable, '-P', '-c', code], check=True)\n",
}


def test_what_modules_of_tests_and_children_execute_counts_for_their_tests(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(CHILD_STARTS)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").touch()
    (tmp_path / "strategies" / "thing.py").write_text(THING)
    (tmp_path / "checks").mkdir()
    for name, source in MODULES.items():
        (tmp_path / "checks" / f"{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.contexts", "checks"]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "EQUIPOISE_MUTANTS": str(tmp_path)}
    env[CHILDREN] = str(tmp_path)
    env = {name: value for name, value in env.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    gather(tmp_path)
    assert not list(tmp_path.glob("coverage.*"))
    executed = Executed(tmp_path, tmp_path)
    by_line = {line: sorted(executed.tests("strategies/thing.py", line)) for line in (5, 9)}
    both = ["checks/test_early.py::test_early", "checks/test_late.py::test_late"]
    assert by_line == {5: both, 9: ["checks/test_parent.py::test_parent"]}
    assert sorted(executed.tests("strategies/thing.py", 1)) == [*both, *by_line[9]]
    assert executed.tests("strategies/thing.py", 2) == [], "nothing stands there"


@pytest.mark.parametrize(
    ("body", "limit", "passes"),
    [("assert 1", 60, True), ("assert 0", 60, False), ("import time; time.sleep(60)", 2, False)],
)
def test_a_failure_and_a_hang_are_noticed(
    tmp_path: Path, body: str, limit: float, passes: bool
) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert run_tests(tmp_path, ["test_it.py"], limit, tmp_path / "log") is passes
