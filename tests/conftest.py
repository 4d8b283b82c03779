"""What tests of every layer share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
