"""What a project's people were told: event -> cause."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; nothing was told before."""
    op.add_column("projects", sa.Column("told", sa.JSON, nullable=False, server_default="{}"))
