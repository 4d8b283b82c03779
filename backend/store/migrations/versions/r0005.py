"""What Label Studio's tasks hold, kept here, so that a round asks only for what has changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables, empty: the next round fills them."""
    op.add_column("projects", sa.Column("mirror", sa.JSON, nullable=False, server_default="{}"))
    op.create_table(
        "mirror",
        sa.Column("project", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("task", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("updated", sa.String, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("made", sa.Integer, nullable=False),
        sa.Column("skipped", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("annotations", sa.LargeBinary, nullable=True),
    )
    columns = ["project", "task", "open", "made", "skipped"]
    op.create_index("mirror_states", "mirror", columns)
    op.create_table(
        "named",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("task", sa.Integer, nullable=False),
    )
    op.create_index("ix_named_project", "named", ["project"])
