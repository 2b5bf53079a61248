"""The agency's people: members, passkeys, sessions, failed attempts to sign in."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    """
    CREATE TABLE members (
        number TEXT NOT NULL, roles TEXT NOT NULL, language TEXT NOT NULL, password TEXT, once_ends TEXT, code_step
        INTEGER, example INTEGER DEFAULT 0 NOT NULL, made TEXT NOT NULL, made_by TEXT NOT NULL, signed_in TEXT, removed
        TEXT, PRIMARY KEY (number)
    )
    """,
    """
    CREATE TABLE passkeys (
        id TEXT NOT NULL, member TEXT NOT NULL, host TEXT NOT NULL, public_key BLOB NOT NULL, uses INTEGER NOT NULL,
        made TEXT NOT NULL, used TEXT, PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX passkeys_of_member ON passkeys (member)",
    """
    CREATE TABLE sessions (
        digest TEXT NOT NULL, id TEXT NOT NULL, member TEXT NOT NULL, began TEXT NOT NULL, used TEXT NOT NULL, how TEXT
        NOT NULL, PRIMARY KEY (digest), UNIQUE (id)
    )
    """,
    "CREATE INDEX sessions_of_member ON sessions (member)",
    "CREATE TABLE sign_in_failures (id INTEGER NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (id))",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(on_dialect(statement))


def downgrade() -> None:
    """Remove the tables, and from the book what was sealed of the agency's people: the earlier release has no pages."""
    for table in ("sign_in_failures", "sessions", "passkeys", "members"):
        op.drop_table(table)
    op.execute("DELETE FROM book WHERE procedure LIKE 'staff/%'")
