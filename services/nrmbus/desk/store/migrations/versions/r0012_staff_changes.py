"""A table says who was given access by whom: members who were added, changed or removed, and tokens that were made or revoked."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""


def upgrade() -> None:
    """Make the table; what was changed before is not known any more."""
    op.execute(
        on_dialect(
            "CREATE TABLE staff_changes (id INTEGER NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, member TEXT NOT NULL, "
            "what TEXT NOT NULL, roles TEXT NOT NULL, PRIMARY KEY (id))"
        )
    )


def downgrade() -> None:
    """Remove it: the earlier release shows it to nobody."""
    op.drop_table("staff_changes")
