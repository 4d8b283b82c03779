"""What a round loads: libraries that define the default networks took longer than it itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = ("torch._dynamo", "sympy", "torchvision", "timm", "transformers", "open_clip")


@pytest.mark.parametrize("options", [(), ("preset=quick", "strategy=bmmal")])
def test_a_round_of_pictures_and_texts_loads_no_library_of_networks(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "tests.backend.rounds.whole_round", str(tmp_path)]
    done = subprocess.run(
        [*program, *_HEAVY, "torch", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1:] == ["torch"], "and nothing else"
    assert not {*_HEAVY} & {*done.stdout.splitlines()}
