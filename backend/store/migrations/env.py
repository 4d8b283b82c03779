"""How Alembic runs: on the connection, and inside the transaction, that the caller opened."""

from __future__ import annotations

from alembic import context

from backend.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
