"""How our processes start children: so that what lies in the current folder cannot shadow us.

`python -m` puts the current folder first on the module path, where a user's own `backend/` or
`model.py` would win over ours. A child is started in safe-path mode (-P) instead, with the
folders that hold our packages named first: they are right wherever Equipoise is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = str(Path(__file__).resolve().parents[1])
"""The folder that holds our packages."""
PACKAGES = ("backend", "demo", "experiments", "model", "strategies")


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules as a program."""
    start = f"import sys; sys.path.insert(0, {HOME!r}); import runpy; "
    start += f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [sys.executable, "-P", "-c", start, *arguments]


def namesakes() -> list[str]:
    """Return what else goes by the names of our packages where Python looks, or in this folder.

    Whoever runs `python -m` in such a folder, or puts it on PYTHONPATH, gets those instead of ours.
    """
    places = dict.fromkeys(str(Path(entry or ".").resolve()) for entry in ["", *sys.path])
    found = []
    for name in PACKAGES:
        for place in places:
            here = Path(place, name)
            lies = here.is_dir() or here.with_suffix(".py").is_file()
            if lies and place != str(Path(HOME).resolve()):
                found.append(str(here if here.is_dir() else here.with_suffix(".py")))
    return found
