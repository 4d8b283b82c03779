"""Parts on Ray's nodes, where a node dies between being counted and being asked."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from backend.rounds import encode_ray
from backend.settings import Settings


class Clock:
    """A clock that waiting and working move."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


class Gone:
    """A Ray whose free processor was a dead node's: what it is given never ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def remote(self, function: Any) -> Gone | object:
        """Take a function, or a call of it."""
        return self

    def options(self, **asked: Any) -> Asked:
        """Take what a job asks for."""
        return Asked()

    def wait(
        self, waiting: list[object], num_returns: int, timeout: float
    ) -> tuple[list[object], list[object]]:
        """Nothing has ended."""
        self._clock.now += timeout
        return [], waiting


class Asked:
    """A job that can be given calls."""

    def remote(self, *call: Any) -> object:
        """Take one."""
        return object()


class Round:
    """What of a round is needed."""

    settings = Settings(api_key="key")

    def __init__(self) -> None:
        self.told: list[int] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note it."""
        self.told.append(done)


@pytest.mark.parametrize("seconds", [2.0, 100.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_round_does_not_wait_for_a_node_that_is_gone(
    count: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, encoded = Clock(), []
    monkeypatch.setattr(encode_ray, "time", clock)

    def part(work: str, environment: object) -> None:
        clock.now += seconds
        encoded.append(work)

    monkeypatch.setattr(encode_ray, "encode_part", part)
    run, parts = Round(), deque(str(n) for n in range(count))
    encode_ray._work(run, Gone(clock), parts, 1, 10 * count)  # type: ignore[arg-type]
    assert encoded == [str(n) for n in reversed(range(1, count))], "it did the others itself"
    assert max(run.told) == 10 * (count - 1)
    waited = clock.now - seconds * (count - 1)
    longest = seconds if count > 1 else 0
    assert 4 * longest <= waited <= max(40, 5 * longest)
