"""What tests of every layer share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from demo.installation import Installation
from demo.labelstudio import LabelStudio
from tests.stopwatch import verdicts

ROOT = Path(__file__).resolve().parents[1]

# Generated cases promise nothing about time; what does is timed by tests/stopwatch.py.
settings.register_profile("equipoise", deadline=None)
settings.load_profile("equipoise")


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
