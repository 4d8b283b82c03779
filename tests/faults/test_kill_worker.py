"""kill -9 of the training child, at random moments and while it writes."""

from __future__ import annotations

import contextlib
import os
import signal

from tests.faults.moments import MOMENTS, wait_for
from tests.faults.plan import note, rng, turns
from tests.faults.promises import Watch, check_settled
from tests.faults.stand import Stand
from tests.stopwatch import Stopwatch


def test_a_killed_worker_harms_nothing(shared: Stand) -> None:
    whole = Stopwatch()
    chance = rng("kill-worker")
    hit: list[str] = []
    recovery: list[float] = []
    shared.label(4)
    with Watch(shared) as watch:
        for _ in turns("kill-worker", 1, 50):
            for _ in range(5):  # until a moment is caught
                shared.add_tasks(1)
                shared.label(1)
                shared.retrain()
                hit.append(kill_once(shared, chance.choice(MOMENTS)))
                watch.check()
                recovery.append(shared.settle())
                check_settled(shared)
                if hit[-1] != "too late":
                    break
    assert set(hit) != {"too late"}
    kinds = ", ".join(f"{hit.count(kind)} {kind}" for kind in sorted(set(hit)))
    note(
        "kill-worker",
        "kill -9 of the training child",
        sum(what != "too late" for what in hit),
        "promises 1-3, the next round completes on the exact labels",
        f"killed while in: {kinds}; next round done after {max(recovery):.1f} s at most; "
        f"{watch.answers}; queue looked at {watch.samples} times",
        whole,
    )


def kill_once(stand: Stand, moment: str) -> str:
    """Kill the worker at a moment and return what it was doing."""
    wait_for(stand, moment)
    pids, doing = stand.server.workers(), stand.running()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not pids:
        return "too late"
    phase = doing["phase"] or "start" if doing else "commit"
    return moment if moment.endswith("file") else phase
