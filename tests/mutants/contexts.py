"""Which test executes which line: a pytest plugin that notes it, and its reader.

What a process executes that a test starts counts for that test, if the process inherits the test's
environment and ends by itself. What a shared fixture executes counts for every test that uses the
fixture; what a module of tests executes when it is imported, for its tests. What only ever runs on
import counts for every test that executes a line of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

FOLDERS = ("strategies", "model", "experiments", "backend")
LIVE = {"e2e", "faults", "browser"}
FIXTURE, MODULE, CHILD = "fixture ", "module ", "child "
CHILDREN = "EQUIPOISE_MUTANTS_CHILDREN"
"""Names the folder for the lines of processes that tests start, in their environment."""


class Recorder:
    """Records lines, durations and outcomes of tests."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._coverage = coverage.Coverage(
            data_file=out / "coverage", config_file=False, include=[f"{f}/*" for f in FOLDERS]
        )
        self._coverage.start()
        self._context = ""
        self._tests: dict[str, dict[str, Any]] = {}

    def _switch(self, context: str) -> None:
        self._context = context
        self._coverage.switch_context(context)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what needs a living Label Studio or a browser."""
        items[:] = [
            item
            for item in items
            if not LIVE & {mark.name for mark in item.iter_markers()}
            and "label_studio" not in getattr(item, "fixturenames", ())
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        """Note the lines of a module's import."""
        before = self._context
        if isinstance(collector, pytest.Module):
            self._switch(MODULE + collector.nodeid)
        try:
            return (yield)
        finally:
            self._switch(before)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note a test's lines."""
        fixtures = list(getattr(item, "fixturenames", ()))
        self._tests[item.nodeid] = {"fixtures": fixtures, "seconds": 0.0, "passed": True}
        self._switch(item.nodeid)
        answer = yield
        self._switch("")
        return answer

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Note a shared fixture's lines."""
        before = self._context
        if fixturedef.scope != "function":
            self._switch(FIXTURE + fixturedef.argname)
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test took and whether it can tell anything."""
        test = self._tests[report.nodeid]
        test["seconds"] += report.duration
        test["passed"] &= report.outcome == "passed"

    def pytest_sessionfinish(self) -> None:
        """Write it all down."""
        self._coverage.stop()
        self._coverage.save()
        (self._out / "tests.json").write_text(json.dumps(self._tests))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Record where the driver says so, before anything of ours is imported."""
    early_config.pluginmanager.register(Recorder(Path(os.environ["EQUIPOISE_MUTANTS"])))


CHILD_STARTS = f"""
import atexit, os

def note():
    import coverage

    test = {CHILD!r} + os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    tree, out = os.path.dirname(__file__), os.environ[{CHILDREN!r}]
    found = coverage.Coverage(
        data_file=os.path.join(out, "coverage"), data_suffix="child", config_file=False,
        include=[f"{{tree}}/{{folder}}/*" for folder in {FOLDERS!r}], context=test,
    )
    found.start()
    atexit.register(found.save)
    atexit.register(found.stop)

if {CHILDREN!r} in os.environ and "PYTEST_CURRENT_TEST" in os.environ:
    note()
"""
"""A sitecustomize.py for the tree, which every Python reads that has the tree on PYTHONPATH."""


def gather(out: Path) -> None:
    """Add what children of tests noted to what their tests did."""
    data = coverage.CoverageData(str(out / "coverage"))
    data.read()
    for path in out.glob("coverage.child*"):
        part = coverage.CoverageData(str(path))
        part.read()
        data.update(part)
        path.unlink()
    data.write()


class Executed:
    """Which tests execute a line, the fastest first."""

    def __init__(self, out: Path, tree: Path) -> None:
        """Read what was recorded of a tree."""
        self._tree = tree
        self._data = coverage.CoverageData(str(out / "coverage"))
        self._data.read()
        self._tests = json.loads((out / "tests.json").read_text())
        self._passed = {name for name, test in self._tests.items() if test["passed"]}
        self._lines: dict[str, dict[int, set[str]]] = {}

    def seconds(self, tests: list[str]) -> float:
        """Return how long tests took together."""
        return sum(self._tests[test]["seconds"] for test in tests)

    def tests(self, path: str, *lines: int) -> list[str]:
        """Return the tests that execute the first of some lines that any test executes."""
        by_line = self._by_line(path)
        found = next((by_line[line] for line in lines if by_line.get(line)), None)
        contexts = {one for line in lines for one in self._raw(path).get(line, ())}
        kinds = {next((k for k in (MODULE, CHILD) if one.startswith(k)), one) for one in contexts}
        if kinds - {CHILD} and kinds <= {"", MODULE, CHILD}:
            found = set().union(*by_line.values())
        return sorted(found or (), key=lambda test: self._tests[test]["seconds"])

    def _by_line(self, path: str) -> dict[int, set[str]]:
        if path not in self._lines:
            self._lines[path] = {n: self._named(c) for n, c in self._raw(path).items()}
        return self._lines[path]

    def _raw(self, path: str) -> dict[int, list[str]]:
        return self._data.contexts_by_lineno(str(self._tree / path))

    def _named(self, contexts: list[str]) -> set[str]:
        shared = {c.removeprefix(FIXTURE) for c in contexts if c.startswith(FIXTURE)}
        found = self._passed & {c.removeprefix(CHILD) for c in contexts}
        modules = {c.removeprefix(MODULE) for c in contexts if c.startswith(MODULE)}
        if modules:
            found |= {n for n in self._passed if n.partition("::")[0] in modules}
        if shared:
            found |= {n for n in self._passed if shared & set(self._tests[n]["fixtures"])}
        return found
