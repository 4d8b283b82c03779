"""Webhook storms and many clients of /predict while a round trains."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import httpx

from tests.faults.plan import FULL, count, note, rng
from tests.faults.promises import Watch, check_settled
from tests.faults.stand import CLASSES, Stand
from tests.stopwatch import Stopwatch, Taken, quantile

LANES = 25
SECONDS = 1.0
"""Deadline of /webhook and of /predict for ranked tasks."""
# The short run has other tests beside it, and a processor that was seen at half its own speed with
# no time counted as stolen.
STORM_SECONDS = SECONDS if FULL else 2 * SECONDS
GARBAGE = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"action": 7, "project": {"id": "none"}}',
    b'{"action": "ANNOTATION_CREATED", "project": {"id": 999999999}}',
    b'{"action": "ANNOTATION_CREATED", "project": {"id": 1e400}}',
    b'{"action": "ANNOTATIONS_DELETED", "project": [1]}',
)


def storm_of(stand: Stand, total: int, chance: random.Random) -> list[bytes]:
    """Return webhook bodies in random order: 70% events, 20% of them again, 10% garbage."""
    actions = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "PROJECT_UPDATED")
    events = [
        json.dumps(
            {
                "action": chance.choice(actions),
                "project": {"id": stand.project},
                "annotation": {"id": number, "task": chance.choice(stand.tasks)},
            }
        ).encode()
        for number in range(int(total * 0.7))
    ]
    events += chance.sample(events, int(total * 0.2))
    events += [chance.choice(GARBAGE) for _ in range(total - len(events))]
    chance.shuffle(events)
    return events


def test_a_storm_of_webhooks_while_training(shared: Stand) -> None:
    whole = Stopwatch()
    total = count("storm", 300, 1000)
    chance = rng("storm")
    shared.label(4)
    shared.settle()
    shared.change("UPDATE projects SET overrides = :own", own='{"retrain_after": 5}')
    before = len(shared.history())
    with Watch(shared) as watch:
        shared.label(2)
        shared.retrain()
        shared.until(lambda: shared.running(), "a round runs")
        storm = Stopwatch()
        answers = asyncio.run(post_all(shared, "/webhook", storm_of(shared, total, chance), 10.0))
        lasted = storm.wall
        shared.label(2)
        statuses = [status for status, _ in answers]
        assert len(answers) == total
        assert set(statuses) <= {200, 201, 400, 422}, set(statuses)
        assert statuses.count(201) >= 0.9 * total, "every event is taken"
        taken = [one for _, one in answers]
        quantile(taken, 0.99).check(STORM_SECONDS, "/webhook in a storm, 99% of its answers")
        shared.until(lambda: not shared.running(), "the round ends")
        # Events are no labels: they start no round of their own.
        assert len(shared.history()) == before + 1, shared.history()[before:]
        shared.change("UPDATE projects SET overrides = '{}'")
        shared.settle()
    check_settled(shared)
    note(
        "storm",
        f"webhooks within {lasted:.0f} s while a round runs, 20% twice, 10% garbage",
        total,
        f"all answered, p99 under {STORM_SECONDS:g} s, one round, exact label set",
        f"p50 {ms(taken, 0.5)}, p99 {ms(taken, 0.99)}, slowest {ms(taken, 1)}; {watch.answers}",
        whole,
    )


def ms(taken: list[Taken], share: float) -> str:
    """Say what a share of the answers did not exceed on the wall."""
    return f"{quantile(taken, share).most * 1000:.0f} ms"


async def post_all(
    stand: Stand, path: str, bodies: list[bytes], seconds: float
) -> list[tuple[int, Taken]]:
    """Post bodies evenly spread over some seconds; return status and time of each."""

    begin = time.monotonic()
    answers: list[tuple[int, Taken]] = []

    async def lane(first: int) -> None:
        # Each lane has a client of its own: one pool for all sorts its queue for ever.
        async with httpx.AsyncClient(
            base_url=stand.server.url, timeout=60, trust_env=False
        ) as client:
            for position in range(first, len(bodies), LANES):
                due = begin + seconds * position / len(bodies)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                watch = Stopwatch()
                answer = await client.post(
                    path, content=bodies[position], headers={"Content-Type": "application/json"}
                )
                answers.append((answer.status_code, watch.taken))

    await asyncio.gather(*(lane(first) for first in range(LANES)))
    return answers


def test_fifty_clients_of_predict_while_training(shared: Stand) -> None:
    whole = Stopwatch()
    seconds = count("predict", 4, 60)
    shared.label(4)
    shared.settle()
    shared.label(1)
    with Watch(shared) as watch:
        taken, rounds = asyncio.run(fifty(shared, seconds))
    shared.settle()
    check_settled(shared)
    assert rounds, "nothing ran beside them"
    quantile(taken, 0.95).check(SECONDS, "/predict of 50 clients, 95% of its answers")
    note(
        "predict",
        f"50 clients of /predict for {seconds} s while {rounds} rounds run",
        len(taken),
        f"no error, p95 under {SECONDS:g} s for ranked tasks",
        f"{len(taken) / seconds:.0f} answers a second, p50 {ms(taken, 0.5)}, "
        f"p95 {ms(taken, 0.95)}, slowest {ms(taken, 1)}; {watch.answers}",
        whole,
    )


async def fifty(stand: Stand, seconds: float) -> tuple[list[Taken], int]:
    """Let 50 clients ask one after the other; rounds run all the time. Returns the times."""
    done = stand.annotations()
    ranked = [t for t in stand.tasks if str(t) not in done and t not in stand.deleted]
    config = stand.remote()["label_config"]
    before = len(stand.history())
    # On a busy machine the loop may take as long to begin one as the clients ask.
    stand.retrain()
    stand.until(lambda: stand.running() is not None, "a round runs")
    end = time.monotonic() + seconds
    taken: list[Taken] = []

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        chance = random.Random(number)
        await asyncio.sleep(chance.random())
        while time.monotonic() < end:
            body = _body(stand, chance.choice(ranked), config)
            watch = Stopwatch()
            answer = await client.post("/predict", json=body)
            taken.append(watch.taken)
            assert answer.status_code == 200, answer.text
            (item,) = answer.json()["results"]
            assert item["result"][0]["value"]["choices"][0] in CLASSES
            await asyncio.sleep(chance.uniform(0.5, 1.5))  # a person reads

    async def keep_training(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            if stand.running() is None:
                await client.post(f"/api/projects/{stand.project}/retrain", json={})
            await asyncio.sleep(1)

    async with httpx.AsyncClient(base_url=stand.server.url, timeout=60, trust_env=False) as client:
        await asyncio.gather(keep_training(client), *(ask(client, n) for n in range(50)))
    return taken, len(stand.history()) - before


def _body(stand: Stand, task: int, config: str) -> dict[str, Any]:
    data = {"image": "", "text": ""}
    return {
        "tasks": [{"id": task, "data": data}],
        "project": str(stand.project),
        "label_config": config,
    }
