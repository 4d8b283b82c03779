"""Our optimizers are torch's, without what torch loads to say that it compiles nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from model.optimisation import KINDS

_BOTH = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def fitted(kind: type[torch.optim.Optimizer], steps: int, **options: object) -> list[torch.Tensor]:
    torch.manual_seed(0)
    some, more = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((5, 3), (4,)))
    groups = [
        {"params": [some], "lr": 0.1, "weight_decay": 0.3},
        {"params": [more], "lr": 0.02, "weight_decay": 0.0},
    ]
    chosen = kind(groups, lr=0.1, betas=(0.9, 0.99), **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(chosen, lambda step: 1 / (1 + step))
    for _ in range(steps):
        chosen.zero_grad()
        (some.square().sum() + more.cos().sum()).backward()
        chosen.step()
        schedule.step()
    return [some.detach(), more.detach()]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_the_steps_are_torch_s(name: str, fused: bool) -> None:
    ours, theirs = fitted(KINDS[name], 7, fused=fused), fitted(_BOTH[name], 7, fused=fused)
    for found, wanted in zip(ours, theirs, strict=True):
        assert torch.equal(found, wanted)
    assert not torch.equal(ours[0], fitted(KINDS[name], 6, fused=fused)[0])


def test_the_compiler_is_left_alone() -> None:
    look = (
        "import sys, torch; from tests.model.test_optimisation import KINDS, fitted; "
        "[fitted(kind, 2, fused=True) for kind in KINDS.values()]; "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
