"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backend.s3 import S3


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """Run an S3 server."""
    running = S3()
    yield running
    running.stop()


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """Return it with an empty bucket."""
    s3_server.refuses = False
    s3_server.clear()
    s3_server.asked.clear()
    return s3_server
