"""Profile of the Rules that the registration of each event names."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""


def upgrade() -> None:
    """Add the column; what was received before is of the bus's first profile."""
    op.execute(on_dialect("ALTER TABLE events ADD COLUMN policy TEXT"))


def downgrade() -> None:
    """Remove it: the earlier release knows one profile a bus."""
    op.drop_column("events", "policy")
