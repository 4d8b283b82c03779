"""Circuit breakers: after repeated failures Label Studio is asked rarely, until it answers."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable

FAILURES = 3
FIRST_DELAY = 10.0
LONGEST_DELAY = 60.0
_HINT_EVERY = 1.0


class Circuit:
    """Whether requests to one Label Studio are worth a try. Thread-safe.

    Closed, everything passes. After FAILURES failures in a row it opens: nothing passes but one
    trial at the end of each delay, which doubles with each failed trial. A success closes it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start closed."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._hinted = -_HINT_EVERY

    @property
    def is_open(self) -> bool:
        """Whether Label Studio did not answer the last requests."""
        return self._failures >= FAILURES

    @property
    def waits(self) -> float:
        """Seconds until a request may pass; 0 when one may now."""
        return max(0.0, self._retry_at - self._clock()) if self.is_open else 0.0

    def admit(self) -> bool:
        """Tell whether a request may be sent; while open, this is then the one trial."""
        with self._lock:
            if not self.is_open:
                return True
            if self._clock() < self._retry_at:
                return False
            self._retry_at = self._clock() + self._delay()
            return True

    def succeeded(self) -> None:
        """Note an answer: everything passes again."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """Note that no answer came, or one of a server that is not well."""
        with self._lock:
            self._failures += 1
            if self.is_open:
                self._retry_at = self._clock() + self._delay()

    def hint(self) -> None:
        """Note that Label Studio has called us, so that a trial is worth it before its time."""
        with self._lock:
            now = self._clock()
            if self.is_open and now - self._hinted >= _HINT_EVERY:
                self._hinted = self._retry_at = now

    def _delay(self) -> float:
        doubled = FIRST_DELAY * 2.0 ** min(self._failures - FAILURES, 10)
        # Jitter, so that several servers do not come back all at once.
        return random.uniform(0.5, 1.0) * min(doubled, LONGEST_DELAY)


class Circuits:
    """One circuit per project, so that one whose answers fail closes no other's. Thread-safe."""

    def __init__(self) -> None:
        """Start with all of them closed."""
        self._circuits: defaultdict[int, Circuit] = defaultdict(Circuit)
        self._lock = threading.Lock()

    def of(self, project: int) -> Circuit:
        """Return a project's circuit."""
        with self._lock:
            return self._circuits[project]

    @property
    def is_open(self) -> bool:
        """Whether any project's is open."""
        with self._lock:
            return any(circuit.is_open for circuit in self._circuits.values())

    def hint(self) -> None:
        """Note that Label Studio has called us; see `Circuit.hint`."""
        with self._lock:
            known = list(self._circuits.values())
        for circuit in known:
            circuit.hint()
