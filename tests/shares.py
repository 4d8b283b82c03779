"""Which process runs which test, where tests run side by side.

What needs an installed Label Studio is kept in two processes, in halves that take about as long: a
server each serves it all. They come first, so that no process waits for another at the end; every
other test goes to whichever process is free. The mark `xdist_group` would say the same, but
pytest-xdist 3.8 loses it under pytest 9.2: groups were torn apart without a word.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "live beside": (
        "tests/e2e/test_levels.py",
        "tests/e2e/test_main_job.py",
        "tests/e2e/test_speed.py",
        "tests/faults/",
        "tests/demo/test_labelstudio.py",
        "tests/backend/labelstudio/test_templates.py",
    ),
    "live": ("tests/e2e/",),
    "ray": ("tests/backend/rounds/test_ray.py", "tests/experiments/test_ray.py"),
}
"""Where the tests of a group lie; the first group that fits is a test's."""


def group_of(nodeid: str) -> str:
    """Return a test's group; its own name where it has none."""
    for group, places in GROUPS.items():
        if nodeid.startswith(places):
            return group
    return nodeid


class Shares(LoadScopeScheduling):
    """Hands out whole groups, those of most tests first, then one test after another."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares | None:
    """Take the place of pytest-xdist's own `--dist loadgroup`."""
    return Shares(config, log) if config.getvalue("dist") == "loadgroup" else None
