"""Migrations of a ledger from release to release, by Alembic; they run when a desk starts."""
