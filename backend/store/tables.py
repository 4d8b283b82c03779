"""The store's tables: projects, rounds, tasks, leases. A change needs a file in migrations/."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class State(StrEnum):
    """Where a round is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Kind(StrEnum):
    """What a round does: train and rank, or only rank with the model there is."""

    TRAIN = "train"
    RANK = "rank"
    COLD = "cold"


class Base(DeclarativeBase):
    """Declarative base."""

    type_annotation_map = {dict[str, Any]: JSON}  # noqa: RUF012 - SQLAlchemy reads it


class Project(Base):
    """One Label Studio project that has this backend."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(default="")
    label_config: Mapped[str] = mapped_column(default="")
    extra_params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    overrides: Mapped[dict[str, Any]] = mapped_column(default=dict)
    undo: Mapped[dict[str, Any]] = mapped_column(default=dict)
    backend_id: Mapped[int | None] = mapped_column(default=None)
    connected: Mapped[bool] = mapped_column(default=False)
    changes: Mapped[int] = mapped_column(default=0)
    requested: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str] = mapped_column(default="")
    current: Mapped[int | None] = mapped_column(default=None)
    announced: Mapped[str] = mapped_column(default="")
    compared: Mapped[float] = mapped_column(default=0.0)
    compared_annotations: Mapped[int] = mapped_column(default=-1)
    pool: Mapped[int] = mapped_column(default=0)
    new_labels: Mapped[int] = mapped_column(default=0)
    rolled_back: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created: Mapped[str] = mapped_column(default="", server_default="")
    cleaning: Mapped[int] = mapped_column(default=0, server_default="0")
    # What its people were told: event -> cause.
    told: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    # Predictions that were accepted unseen and not taken back, as far as is known.
    accepted: Mapped[int] = mapped_column(default=0, server_default="0")
    # How far the mirror is in step: see backend/store/mirror.py.
    mirror: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Round(Base):
    """One round: its cause, its state and what came of it."""

    __tablename__ = "rounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    project: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    number: Mapped[int]
    kind: Mapped[str]
    version: Mapped[str]
    strategy: Mapped[str]
    cause: Mapped[str]
    state: Mapped[str]
    token: Mapped[str]
    lease: Mapped[float]
    started: Mapped[float]
    finished: Mapped[float | None] = mapped_column(default=None)
    phase: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    labels: Mapped[int] = mapped_column(default=0)
    pool: Mapped[int] = mapped_column(default=0)
    tasks: Mapped[int] = mapped_column(default=0)
    published: Mapped[int] = mapped_column(default=0)
    folder: Mapped[str] = mapped_column(default="")
    checkpoint: Mapped[str] = mapped_column(default="")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    durations: Mapped[dict[str, Any]] = mapped_column(default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    schema: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # As long as the list of labels: read for itself alone, and kept for the newest round only.
    trained_on: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(default="")
    work: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    measured: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    # Task ids, under "tasks": what chance put into the queue with this round.
    drawn: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}", deferred=True)
    lasting: Mapped[bool] = mapped_column(default=False, server_default=false())


class Lease(Base):
    """The right to do something that only one process may do at a time, until a moment."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[str]
    until: Mapped[float]


class Mirrored(Base):
    """One task as Label Studio last showed it.

    Attributes:
        project: project id.
        task: task id.
        updated: when Label Studio says that it changed, as it writes it.
        open: whether annotations are still wanted.
        made: annotations that are not skipped ones.
        skipped: skipped ones.
        data: its data: JSON, compressed.
        annotations: what of its annotations is read: a JSON list, compressed; NULL: it has none.
    """

    __tablename__ = "mirror"

    project: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    task: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    updated: Mapped[str]
    open: Mapped[bool]
    made: Mapped[int]
    skipped: Mapped[int]
    data: Mapped[bytes]
    annotations: Mapped[bytes | None]

    # Counting and listing the open ones need not pass over the data.
    __table_args__ = (Index("mirror_states", "project", "task", "open", "made", "skipped"),)


class Named(Base):
    """A task that an event has named, to be asked for with the next look."""

    __tablename__ = "named"

    id: Mapped[int] = mapped_column(primary_key=True)
    project: Mapped[int] = mapped_column(index=True)
    task: Mapped[int]
