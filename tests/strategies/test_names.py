"""The names are known without loading what the strategies need."""

from __future__ import annotations

import subprocess
import sys

from strategies import NAMES, STRATEGIES


def test_each_name_is_its_strategys_own() -> None:
    assert tuple(STRATEGIES) == NAMES
    assert all(strategy.name == name for name, strategy in STRATEGIES.items())


def test_checking_a_name_loads_no_heavy_library() -> None:
    code = (
        "import sys, strategies, backend.settings; print({'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
