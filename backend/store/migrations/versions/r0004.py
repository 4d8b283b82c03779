"""What chance put into the queue with each round, and what was measured on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; what is there already gets empty values."""
    for name in ("measured", "drawn"):
        op.add_column("rounds", sa.Column(name, sa.JSON, nullable=False, server_default="{}"))
