"""Tokens of the agency's own systems."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLE = """
    CREATE TABLE tokens (
        name TEXT NOT NULL, digest TEXT NOT NULL, scopes TEXT NOT NULL, made TEXT NOT NULL, made_by TEXT NOT NULL, ends
        TEXT NOT NULL, revoked TEXT, used INTEGER DEFAULT 0 NOT NULL, last_used TEXT, a_minute INTEGER, PRIMARY KEY
        (name)
    )
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(on_dialect(TABLE))


def downgrade() -> None:
    """Remove the table: the earlier release knows the token of `door.json` alone."""
    op.drop_table("tokens")
