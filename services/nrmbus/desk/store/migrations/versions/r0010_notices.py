"""Notices by mail, and when each member wants them."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    """
    CREATE TABLE notices (
        id INTEGER NOT NULL, member TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, due TEXT
        NOT NULL, mail TEXT, mailed TEXT, attempts INTEGER DEFAULT 0 NOT NULL, code TEXT, closed TEXT, PRIMARY KEY (id),
        UNIQUE (member, key)
    )
    """,
    "CREATE INDEX notices_open ON notices (state, due)",
    "CREATE TABLE notice_place (way TEXT NOT NULL, heard INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (way))",
    "ALTER TABLE members ADD COLUMN notices TEXT DEFAULT 'at_once' NOT NULL",
)


def upgrade() -> None:
    """Make the tables; a member with an address is told at once."""
    for statement in TABLES:
        op.execute(on_dialect(statement))


def downgrade() -> None:
    """Remove them: the earlier release sends no mail."""
    op.drop_column("members", "notices")
    op.drop_table("notice_place")
    op.drop_table("notices")
