"""kill -9 of the server, at random moments and while the round writes; half the time with it."""

from __future__ import annotations

import contextlib
import os
import signal

from tests.faults.moments import MOMENTS, wait_for
from tests.faults.plan import note, rng, turns
from tests.faults.promises import Watch, check_serves_at_once, check_settled
from tests.faults.stand import Stand
from tests.stopwatch import Stopwatch


def test_a_killed_server_loses_nothing(shared: Stand) -> None:
    whole = Stopwatch()
    chance = rng("kill-server")
    stand = shared
    hit: list[str] = []
    alone = 0
    first_answer, recovery = [], []
    stand.label(4)
    with Watch(stand) as watch:
        for _ in turns("kill-server", 1, 50):
            stand.add_tasks(1)
            stand.label(1)
            stand.retrain()
            with_worker = chance.random() < 0.5
            alone += not with_worker
            hit.append(kill_once(stand, watch, chance.choice(MOMENTS), with_worker))
            stand.label(1)  # nobody hears of this one
            stand.server.start()
            first_answer.append(check_serves_at_once(stand))
            watch.alive = True
            watch.check()
            recovery.append(stand.settle())
            check_settled(stand)
    kinds = ", ".join(f"{hit.count(kind)} {kind}" for kind in sorted(set(hit)))
    note(
        "kill-server",
        "kill -9 of the server",
        len(hit),
        "promises 1-3, nothing unreadable, nothing half-written left",
        f"{alone} times the server alone, else its worker with it; the round was in: {kinds}; "
        f"the last version answered {max(first_answer):.2f} s after the restart at most; next "
        f"round done after {max(recovery):.1f} s at most",
        whole,
    )


def kill_once(stand: Stand, watch: Watch, moment: str, with_worker: bool) -> str:
    """Kill the server at a moment of its round and return what the round was doing."""
    wait_for(stand, moment)
    watch.alive = False
    pids, doing = stand.server.workers() if with_worker else [], stand.running()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stand.server.kill()
    if pids:
        stand.end_lease()  # a dead round is taken over when its lease of a minute has run out
    phase = doing["phase"] or "start" if doing else "end"
    return moment if moment.endswith("file") else phase
