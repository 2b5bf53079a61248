"""System that asked for an opening, by the name of its token."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""


def upgrade() -> None:
    """Add the column; who asked for earlier openings is not known."""
    op.execute(on_dialect("ALTER TABLE reads ADD COLUMN system TEXT"))


def downgrade() -> None:
    """Remove the column: the earlier release knows the reader alone."""
    op.drop_column("reads", "system")
