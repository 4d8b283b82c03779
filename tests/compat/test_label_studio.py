"""Label Studio's own tests of what our queue stands on, in its environment; and with ours inside.

They pin who gets which task (active learning, uploaded predictions, label races, overlap), what a
backend's title does to a project's version, and what webhooks carry.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.compat.environment import NAME, Environment
from tests.e2e.server import Equipoise

ROOT = Path(__file__).resolve().parents[2]
RULES = ("tests/test_next_task.py", "tests/ml", "tests/webhooks")
NOT_RUN = """Not run here:
- tests that say so themselves, above: most need Redis (two annotators ask in the same moment);
- tests/ml/test_predict.py with ours: it wants the labels that its own mock predicts;
- Label Studio's .tavern.yml tests, and those on PostgreSQL: the environment is SQLite's;
- Label Studio's tests of other versions (test_oldest.py runs a project in an old one)."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return the environment of the pinned Label Studio."""
    return Environment.make(ROOT / "build" / "compat" / NAME, tmp_path_factory.mktemp("copy"))


@pytest.mark.timeout(1800)
def test_the_rules_of_the_queue(environment: Environment) -> None:
    done = environment.tests(*RULES)
    print(f"\nLabel Studio {environment.version}, its own tests: {', '.join(RULES)}")
    print(done.stdout, NOT_RUN, sep="\n")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert passed(done.stdout) >= 50


@pytest.mark.timeout(1800)
def test_its_backend_tests_with_ours_in_the_mock_s_place(
    environment: Environment, live: Equipoise
) -> None:
    done = environment.tests("tests/ml/test_api.py", url=live.url)
    print(f"\nLabel Studio {environment.version}, Equipoise instead of its mocked backend:")
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert passed(done.stdout) >= 6
    asked = re.search(r"asked of Equipoise: (\d+)", done.stdout)
    assert asked is not None
    assert int(asked[1]) >= 10
    assert "POST /setup" in done.stdout


def passed(output: str) -> int:
    """Return how many tests pytest says have passed."""
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found else 0
