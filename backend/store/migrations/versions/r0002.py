"""Leases for work that is not a round, rolled back projects, and what a round's cache held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table and the columns; what is there already gets empty values."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("token", sa.String, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    for table, column in (("projects", "rolled_back"), ("rounds", "work")):
        op.add_column(table, sa.Column(column, sa.JSON, nullable=False, server_default="{}"))
