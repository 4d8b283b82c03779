"""Projects and their rounds: the tables of 0.1.0.

A store is never at less than this version, because one without a version is stamped with it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("title", "label_config")),
        *(_json(name) for name in ("extra_params", "overrides", "undo")),
        sa.Column("backend_id", sa.Integer),
        sa.Column("connected", sa.Boolean, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        _json("requested"),
        sa.Column("problem", sa.String, nullable=False),
        sa.Column("current", sa.Integer),
        sa.Column("announced", sa.String, nullable=False),
        sa.Column("compared", sa.Double, nullable=False),
        *(_number(name) for name in ("compared_annotations", "pool", "new_labels")),
    )
    op.create_table(
        "rounds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.Integer, sa.ForeignKey("projects.id"), nullable=False, index=True),
        _number("number"),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in ("kind", "version", "strategy", "cause", "state", "token")
        ),
        sa.Column("lease", sa.Double, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("finished", sa.Double),
        sa.Column("phase", sa.String, nullable=False),
        *(_number(name) for name in ("done", "total", "labels", "pool", "tasks", "published")),
        *(sa.Column(name, sa.String, nullable=False) for name in ("folder", "checkpoint")),
        *(
            _json(name)
            for name in ("options", "durations", "metrics", "schema", "trained_on", "failures")
        ),
        sa.Column("error", sa.String, nullable=False),
    )


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)
