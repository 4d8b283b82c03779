"""How many predictions were accepted unseen, that can be taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; the next round finds those that there are."""
    op.add_column("projects", sa.Column("accepted", sa.Integer, nullable=False, server_default="0"))
