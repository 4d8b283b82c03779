"""What takes longer than an answer may: done in a thread, one thing at a time for each project."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from backend.errors import Busy, EquipoiseError

log = structlog.get_logger(__name__)
Tell = Callable[[int], None]


@dataclass
class Errand:
    """One of them.

    Attributes:
        title: what is done, for people.
        done: how many of it.
        said: what came of it; "" while it goes on.
        failed: whether it ended early.
    """

    title: str
    done: int = 0
    said: str = ""
    failed: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it is not done yet."""
        return not self.said


class Errands:
    """The newest of each project; kept in memory. Thread-safe."""

    def __init__(self) -> None:
        """Start without any."""
        self._newest: dict[int, Errand] = {}
        self._lock = threading.Lock()

    def of(self, project: int) -> Errand | None:
        """Return the newest of a project."""
        return self._newest.get(project)

    def start(self, project: int, title: str, work: Callable[[Tell], str]) -> threading.Thread:
        """Do something and remember what came of it.

        Args:
            project: whose it is.
            title: what is done.
            work: does it, tells how far it is, and returns what to say in the end.

        Raises:
            Busy: something is being done for this project.
        """
        with self._lock:
            before = self._newest.get(project)
            if before is not None and before.goes_on:
                raise Busy(f"{before.title} goes on: wait until it is done.")
            errand = self._newest[project] = Errand(title)
        thread = threading.Thread(target=_do, args=(errand, work), name="errand", daemon=True)
        thread.start()
        return thread


def _do(errand: Errand, work: Callable[[Tell], str]) -> None:
    def tell(count: int) -> None:
        errand.done = count

    try:
        errand.said = work(tell)
    except Exception as error:
        known = isinstance(error, EquipoiseError)
        if not known:
            log.exception("errand failed", title=errand.title)
        errand.failed = True
        errand.said = str(error) if known else f"{type(error).__name__}: see the server's log"
