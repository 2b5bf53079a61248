"""How a ledger of an earlier release becomes one of this release: alembic, run when a desk starts."""
