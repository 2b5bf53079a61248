"""A table names the events that were parked and went on, for notices to look at once more."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""


def upgrade() -> None:
    """Make the table; events that went on before are not looked at again."""
    op.execute(on_dialect("CREATE TABLE notice_again (position INTEGER NOT NULL, PRIMARY KEY (position))"))


def downgrade() -> None:
    """Remove it: the earlier release looks at each event once."""
    op.drop_table("notice_again")
