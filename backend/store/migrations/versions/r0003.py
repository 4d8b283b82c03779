"""Failures that last, when a project was made in Label Studio, and what is left to clean up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; what is there already gets empty values."""
    no = sa.Column("lasting", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("rounds", no)
    created = sa.Column("created", sa.String, nullable=False, server_default="")
    op.add_column("projects", created)
    op.add_column("projects", sa.Column("cleaning", sa.Integer, nullable=False, server_default="0"))
