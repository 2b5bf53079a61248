"""The agency's own labels of cases, and the colleagues who have them."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    "CREATE TABLE case_labels (subject TEXT NOT NULL, kid TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (subject))",
    "CREATE TABLE assignments (subject TEXT NOT NULL, task INTEGER NOT NULL, member TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (subject, task))",
)


def upgrade() -> None:
    """Make the tables."""
    for table in TABLES:
        op.execute(on_dialect(table))


def downgrade() -> None:
    """Remove the tables: the earlier release has no pages, and the labels are lost."""
    op.drop_table("assignments")
    op.drop_table("case_labels")
