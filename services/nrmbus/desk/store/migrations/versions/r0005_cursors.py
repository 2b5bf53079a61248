"""Cursors of programs that keep nothing themselves."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLE = """
    CREATE TABLE cursors (
        token TEXT NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL, moved TEXT NOT NULL, PRIMARY KEY (token,
        name)
    )
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(on_dialect(TABLE))


def downgrade() -> None:
    """Remove the table: in the earlier release every program keeps its own cursor."""
    op.drop_table("cursors")
