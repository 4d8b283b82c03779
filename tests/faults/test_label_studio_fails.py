"""Label Studio slow, failing, resetting, silent or gone, in each phase of a round."""

from __future__ import annotations

import time
from itertools import product

from tests.faults.plan import full_only, note, rng, turns
from tests.faults.promises import Watch, check_settled
from tests.faults.proxy import MODES, Mode, Proxy
from tests.faults.stand import Stand, plain
from tests.stopwatch import Stopwatch

PHASES = {
    "look": r"GET /api/projects/\d+/(\?|$)",
    "fetch": r"GET /api/tasks\?(?!.*predictions_model_versions)",
    "encode": r"GET /data/local-files/",
    "publish": r"POST .*/import/predictions",
    "announce": r"PATCH /api/projects/",
    "tidy": r"DELETE /api/predictions/|GET /api/tasks\?.*predictions_model_versions",
}
"""What a round, or the loop between two, asks Label Studio in each phase."""


def test_every_phase_survives_every_fault(shared: Stand, proxy: Proxy) -> None:
    whole = Stopwatch()
    chance = rng("studio")
    cases = [(phase, mode) for phase, mode in product(PHASES, MODES) if mode != "silent"]
    chance.shuffle(cases)
    done: list[str] = []
    broken = 0
    recovery: list[float] = []
    shared.label(4)
    with Watch(shared) as watch:
        for turn in turns("studio", 1, len(cases)):
            phase, mode = cases[turn]
            shared.add_tasks(2)
            shared.label(1)
            broken += inject(shared, proxy, phase, mode)
            watch.check()
            recovery.append(shared.settle())
            check_settled(shared)
            if absent_media(shared):  # files that it refused: named, and tried again next time
                assert phase == "encode"
                shared.label(1)
                shared.settle()
            assert not absent_media(shared)
            done.append(f"{phase} {mode}")
    note(
        "studio",
        "Label Studio slow (5 s), 500, reset, reset after the work was done, in a phase",
        len(done),
        "the round fails cleanly or gets through, the next one is exact, the queue stays whole; "
        "files that could not be had are absent for one round",
        f"{', '.join(sorted(done))}; {broken} requests met one; "
        f"caught up {max(recovery):.1f} s after the fault at most",
        whole,
    )


def inject(stand: Stand, proxy: Proxy, phase: str, mode: Mode) -> int:
    """Ask for a round and let one phase of it meet a fault until the round has ended.

    Returns:
        How many requests have met it.
    """
    before = len(stand.history())
    left = 3 if mode == "slow" else 1_000_000
    with proxy.fault(PHASES[phase], mode, left) as rule:
        stand.retrain()
        stand.until(lambda: rule.hits, f"{phase} is reached")
        if phase == "look":
            time.sleep(10)  # no round starts as long as nobody answers
            return rule.hits
        stand.until(
            lambda: len(stand.history()) > before and not stand.server.workers(),
            "the round ends",
        )
        return rule.hits


def absent_media(stand: Stand) -> object:
    """Return what the current round could not fetch; the fault is over, so nothing."""
    current = stand.current()
    assert current is not None
    return plain(current["failures"])


@full_only("gone")
def test_a_label_studio_that_is_gone_is_caught_up_with(shared: Stand, proxy: Proxy) -> None:
    whole = Stopwatch()
    shared.label(4)
    shared.settle()
    with Watch(shared) as watch:
        proxy.refuse()
        shared.label(2)
        shared.retrain()
        shared.until(
            lambda: "does not answer" in shared.server.status(shared.project)["problem"],
            "the status says that Label Studio does not answer",
        )
        proxy.listen()
        listened = Stopwatch()
        shared.settle()
        back = listened.wall
        shared.until(
            lambda: not shared.server.status(shared.project)["problem"], "the problem goes"
        )
    check_settled(shared)
    note(
        "gone",
        "Label Studio refuses connections",
        1,
        "status names the problem, labels given meanwhile are in the next round, the problem goes",
        f"caught up {back:.1f} s after it was back; {watch.answers}",
        whole,
    )


@full_only("restart")
def test_label_studio_itself_restarts(shared: Stand) -> None:
    whole = Stopwatch()
    shared.label(4)
    shared.retrain()
    shared.until(lambda: shared.running(), "a round runs")
    time.sleep(1)
    shared.studio.stop()
    met = shared.running() or shared.history()[-1][1] == "failed"
    assert met, "the round was over before"
    time.sleep(8)
    shared.server.get("/health")
    shared.studio.start()
    recovery = shared.settle()
    check_settled(shared)
    note(
        "restart",
        "Label Studio stopped in the middle of a round, started 8 s later",
        1,
        "the server answers meanwhile, the next round is exact",
        f"caught up {recovery:.1f} s after it was back",
        whole,
    )
