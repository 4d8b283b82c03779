"""The switch of the tests that start Ray nodes."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

needs_ray = pytest.mark.skipif(
    not os.environ.get("EQUIPOISE_RAY") or find_spec("ray") is None,
    reason="starts Ray nodes, which takes minutes and the extra ray: `make ray` runs it",
)
