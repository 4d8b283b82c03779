"""What `doctor` asks once for all its checks, and what a check says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.labelstudio.annotations import Answers
from backend.settings import Settings
from backend.store.tables import Project, Round

Json = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        ok: whether it is as it must be.
        found: what is there.
        fix: what to do when it is not ok.
        warning: not ok, but the queue works; only a limit to know about.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    warning: bool = False

    @property
    def by_connecting(self) -> bool:
        """Whether `connect` mends it."""
        return not self.ok and "equipoise connect" in self.fix


@dataclass(frozen=True)
class Facts:
    """What Label Studio and our store say of one project, asked once for all checks."""

    remote: Json
    backends: list[Json]
    webhooks: list[Json]
    tabs: list[Json]
    counts: dict[str, int]
    owner: Project | None
    current: Round | None
    settings: Settings
    project: int
    answers: Answers | None

    @property
    def ours(self) -> list[Json]:
        return [b for b in self.backends if b["url"].rstrip("/") == self.settings.url]

    @property
    def connect(self) -> str:
        return f"run `equipoise connect --project {self.project}`"
