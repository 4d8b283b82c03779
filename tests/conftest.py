"""What tests of every layer share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from demo.installation import Installation
from demo.labelstudio import LabelStudio
from tests import shares
from tests.stopwatch import verdicts

ROOT = Path(__file__).resolve().parents[1]

# Generated cases promise nothing about time; what does is timed by tests/stopwatch.py. They are the
# same in every run, so that no change is refused for a case that it did not bring;
# `--hypothesis-profile explore` looks for new ones.
settings.register_profile("equipoise", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("equipoise")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case that is a file's bytes by its argument: some formats hold the time of writing.

    Processes that collect a test under two names refuse to run any.
    """
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run one process more than there are processors: who asks a Label Studio mostly waits."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # it is said from outside
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was said of deadlines to the process that prints it."""
    said = getattr(session.config, "workeroutput", None)  # only where tests run side by side
    if said is not None:
        said["deadlines"] = (verdicts.kept, verdicts.not_judged)


class _Gathered:
    """Gathers what the processes say of deadlines."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add one process's."""
        kept, not_judged = getattr(node, "workeroutput", {}).get("deadlines", (0, []))
        verdicts.kept += kept
        verdicts.not_judged.extend(not_judged)


def pytest_configure(config: pytest.Config) -> None:
    """Where tests run side by side, each process computes on its own processor."""
    config.pluginmanager.register(_Gathered())
    config.pluginmanager.register(shares)
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which deadlines nobody could judge, because the processors were taken away."""
    if str(verdicts):
        terminalreporter.write_line(str(verdicts))


def shared_data_folder() -> Path:
    """Folder of the real data sets: EQUIPOISE_TEST_DATA, else ../shared/data beside the clone."""
    given = os.environ.get("EQUIPOISE_TEST_DATA")
    return Path(given) if given else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder that holds avdigits/, mvsa/ and mosi/; the test is skipped where it is missing."""
    folder = shared_data_folder()
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set EQUIPOISE_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """Run a Label Studio: `.url`, `.api_key`, `.personal_access_token()`, `.client()`."""
    installation = Installation(ROOT / ".labelstudio")
    folder = tmp_path_factory.mktemp("label-studio")
    with LabelStudio(folder, installation=installation) as server:
        yield server
