"""What the demo shows: steps that stay, progress that passes, and the table of rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.status import Status

SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class RoundLine:
    """One line of the table.

    Attributes:
        round: number of the round.
        labels: labels that the model was trained on.
        accuracy: on the held-out set.
        alone: accuracy of each modality on its own.
        contributions: mean contribution of each modality.
        seconds: from the last label to the new queue being live.
    """

    round: int
    labels: int
    accuracy: float
    alone: dict[str, float]
    contributions: dict[str, float]
    seconds: float


class Screen:
    """Writes to a terminal with a spinner; elsewhere (CI, files) progress becomes plain lines."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._status: Status | None = None
        self._said = -SECONDS_BETWEEN_LINES
        self._headed = False

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._status = self.console.status("Starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """Take the spinner away: nothing goes on any more."""
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """Show what goes on now; it is replaced by what comes next."""
        if self._status is not None:
            self._status.update(text)
        elif time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self.console.print(f"  {text}", markup=False)
            self._said = time.monotonic()

    def tell(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text)

    def round(self, line: RoundLine) -> None:
        """Print one line of the table, and its head before the first."""
        names = list(line.alone)
        if not self._headed:
            self._headed = True
            accuracy = "accuracy".center(9 * (len(names) + 1))
            self._row(f"[bold]{'':14}{accuracy}{'contribution'.center(9 * len(names))}[/bold]")
            titles = "".join(f"{name[:8]:>9}" for name in ("both", *names, *names))
            self._row(f"[bold]{'round':>5}{'labels':>9}{titles}{'seconds':>9}[/bold]")
        shares = [line.accuracy, *line.alone.values(), *line.contributions.values()]
        cells = "".join(f"{share:>9.3f}" for share in shares)
        self._row(f"{line.round:>5}{line.labels:>9}{cells}{line.seconds:>9.1f}")

    def _row(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)
