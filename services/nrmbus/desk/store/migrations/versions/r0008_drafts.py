"""Drafts of the agency's people."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLE = """
    CREATE TABLE drafts (
        id TEXT NOT NULL, subject TEXT NOT NULL, owner TEXT NOT NULL, type TEXT NOT NULL, ref TEXT NOT NULL,
        page TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, sealed BLOB NOT NULL, made TEXT NOT NULL,
        changed TEXT NOT NULL, PRIMARY KEY (id)
    )
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(on_dialect(TABLE))
    op.create_index("drafts_of_owner", "drafts", ["owner", "changed"])


def downgrade() -> None:
    """Remove the table: the earlier release has no pages, and what was not sent is lost."""
    op.drop_table("drafts")
