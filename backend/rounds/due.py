"""What is due in a project: a pure function from facts to a round, or to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.store.tables import Kind, Round, State
from model.schema import Schema

FIRST_DELAY = 30.0
LONGEST_DELAY = 1800.0


@dataclass(frozen=True)
class Due:
    """A round that should start now."""

    kind: Kind
    cause: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Serves:
    """The round that serves, as far as it decides what comes next.

    Attributes:
        kind: what it did.
        version: its name.
        schema: what it was made for; None where it was not noted.
        strategy: the project's setting when it began, whatever it was ranked by.
        tasks: tasks that the project had.
        has_ranking: whether its ranking is still on disk.
        has_model: whether its checkpoint is.
    """

    kind: Kind
    version: str
    schema: Schema | None
    strategy: str
    tasks: int
    has_ranking: bool = True
    has_model: bool = True


@dataclass(frozen=True)
class Failures:
    """Rounds of one kind that failed since anything came of the project's rounds.

    Attributes:
        count: how many, in a row.
        ago: seconds since the last one ended; less than 0 where a clock was set back.
        lasting: whether it will fail again until labels or label config change.
        new_labels: labels that were new when it began.
    """

    count: int = 0
    ago: float = 0.0
    lasting: bool = False
    new_labels: int = 0

    def wait(self, new_labels: int) -> bool:
        """Tell whether a round of this kind would come too soon."""
        if not self.count:
            return False
        if self.lasting and new_labels != self.new_labels:
            return False  # the label that was missing may be there now
        delay = LONGEST_DELAY if self.lasting else FIRST_DELAY * 2.0 ** (self.count - 1)
        return 0 <= self.ago < min(delay, LONGEST_DELAY)


@dataclass(frozen=True)
class Facts:
    """All that decides whether a round is due.

    Attributes:
        tasks: tasks that the project has.
        schema: what its label config says now.
        new_labels: tasks whose labels differ from what the last trained round used.
        refused: new labels over which a person cancelled a round: they start no other one.
        retrain_after: new labels that start a round.
        strategy: the project's setting.
        wish: what a person asked for: kind, cause, options; `again` where it failed already.
        serves: the round that serves.
        failures: by kind.
    """

    tasks: int
    schema: Schema
    new_labels: int
    retrain_after: int
    strategy: str
    refused: int = 0
    wish: Mapping[str, Any] = field(default_factory=dict)
    serves: Serves | None = None
    failures: Mapping[Kind, Failures] = field(default_factory=dict)

    def waits(self, kind: Kind) -> bool:
        """Tell whether the last rounds of a kind failed too recently to try again."""
        return self.failures.get(kind, Failures()).wait(self.new_labels)


def due(facts: Facts) -> Due | None:
    """Decide which round should start now, if any.

    A person's wish comes first; one that failed already comes after new labels, so that nothing
    outranks them for ever. Each kind of round waits for its own failures only.
    """
    wish, again = _wish(facts)
    first = [] if again else [wish]
    last = [wish] if again else []
    labels = _new_labels(facts)
    for found in (_lost(facts), *first, labels, *last, _cold(facts), *_changes(facts)):
        if found is None:
            continue
        if found is wish and not again:
            return found
        if not facts.waits(found.kind):
            return found
    return None


def _wish(facts: Facts) -> tuple[Due | None, bool]:
    if not facts.wish:
        return None, False
    wish = facts.wish
    found = Due(Kind(wish["kind"]), wish["cause"], wish.get("options") or {})
    return found, bool(wish.get("again"))


def _lost(facts: Facts) -> Due | None:
    """Make up for a round that serves and whose ranking is not on disk any more."""
    serves = facts.serves
    if serves is None or serves.has_ranking or facts.wish:
        return None
    kind = Kind.TRAIN
    if serves.kind == Kind.COLD:
        kind = Kind.COLD
    elif serves.has_model:
        kind = Kind.RANK
    return Due(kind, f"the ranking of {serves.version} is gone from the disk")


def _new_labels(facts: Facts) -> Due | None:
    if facts.new_labels - facts.refused < facts.retrain_after:
        return None
    if facts.schema.targets:
        cause, kind = f"{facts.new_labels} new labels", Kind.TRAIN
    elif facts.serves is not None:  # nothing to learn: what was annotated is covered now
        cause, kind = f"{facts.new_labels} annotated tasks", Kind.COLD
    else:
        return None
    return Due(kind, cause, {"new_labels": facts.new_labels})


def _cold(facts: Facts) -> Due | None:
    if facts.serves is not None or not facts.tasks:
        return None
    return Due(Kind.COLD, "first look at the pool")


def _changes(facts: Facts) -> list[Due | None]:
    """List what changed since the round that serves: label config, strategy, tasks."""
    serves = facts.serves
    if serves is None:
        return []
    cold = serves.kind == Kind.COLD
    changes = facts.schema.changes_since(serves.schema) if serves.schema is not None else ()
    if changes:
        kind = Kind.COLD if cold or not facts.schema.targets else Kind.TRAIN
        return [Due(kind, f"label config changed: {'; '.join(changes)}"[:300])]
    found: list[Due | None] = []
    if not cold and facts.strategy != serves.strategy:
        found.append(Due(Kind.RANK, f"strategy changed to {facts.strategy}"))
    added = facts.tasks - serves.tasks
    if added >= facts.retrain_after:
        found.append(Due(Kind.COLD if cold else Kind.RANK, f"{added} new tasks"))
    return found


def failures_of(rounds: Sequence[Round], now: float) -> dict[Kind, Failures]:
    """Count failures by kind, back to the last round that ended otherwise.

    Args:
        rounds: a project's rounds, oldest first.
        now: seconds since the epoch.
    """
    found: dict[Kind, Failures] = {}
    for past in reversed(rounds):
        if past.state != State.FAILED:
            break
        kind = Kind(past.kind)
        newest = found.get(kind)
        if newest is None:
            labels = int(past.options.get("labels_then", 0))
            newest = Failures(0, now - (past.finished or 0.0), past.lasting, labels)
        found[kind] = Failures(newest.count + 1, newest.ago, newest.lasting, newest.new_labels)
    return found


def refused_labels(rounds: Sequence[Round]) -> int:
    """Return the new labels over which a person cancelled the last round."""
    if not rounds or rounds[-1].state != State.CANCELLED:
        return 0
    return int(rounds[-1].options.get("new_labels", 0))
