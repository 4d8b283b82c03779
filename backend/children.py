"""How our processes start children: so that what lies in the current folder cannot shadow us.

`python -m` puts the current folder first on the module path, where a user's own `backend/` or
`model.py` would win over ours. A child is started in safe-path mode (-P) instead, with the
folders that hold our packages named first: they are right wherever Equipoise is installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME = str(Path(__file__).resolve().parents[1])
"""The folder that holds backend, model and strategies."""


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules as a program."""
    start = f"import sys; sys.path.insert(0, {HOME!r}); import runpy; "
    start += f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [sys.executable, "-P", "-c", start, *arguments]


def shadowed() -> list[str]:
    """Return our packages that something else stands for in this process, with its place."""
    found = []
    for name in ("backend", "model", "strategies", "experiments"):
        module = sys.modules.get(name)
        place = getattr(module, "__file__", None) if module else None
        if place and not place.startswith(HOME + os.sep):
            found.append(f"{name} ({place})")
    return found
