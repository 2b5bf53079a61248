"""Baseline: the tables of the first release."""

import re

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    "CREATE TABLE meta (name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name))",
    """
    CREATE TABLE positions (
        partition INTEGER NOT NULL, inbox_number INTEGER NOT NULL, digest TEXT NOT NULL, next_offset INTEGER NOT
        NULL, PRIMARY KEY (partition)
    )
    """,
    """
    CREATE TABLE beginnings (
        partition INTEGER NOT NULL, inbox_number INTEGER, previous TEXT NOT NULL, since TEXT, until INTEGER NOT
        NULL, noticed TEXT NOT NULL, lost INTEGER NOT NULL, PRIMARY KEY (partition)
    )
    """,
    """
    CREATE TABLE inbox (
        partition INTEGER NOT NULL, inbox_number INTEGER NOT NULL, number INTEGER NOT NULL, subject TEXT NOT NULL,
        source TEXT NOT NULL, id TEXT NOT NULL, verdict TEXT NOT NULL, digest TEXT NOT NULL, delivery BLOB NOT NULL,
        registration BLOB NOT NULL, received TEXT NOT NULL, PRIMARY KEY (partition, inbox_number)
    )
    """,
    "CREATE INDEX inbox_by_id ON inbox (id)",
    """
    CREATE TABLE outbox (
        seq INTEGER NOT NULL, turn INTEGER NOT NULL, subject TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
        origin TEXT NOT NULL, state TEXT NOT NULL, asked TEXT NOT NULL, clear BLOB NOT NULL, draft BLOB, traceparent
        TEXT, seal_to TEXT, sequence INTEGER, resealed INTEGER DEFAULT 0 NOT NULL, recipients TEXT, digest TEXT,
        headers BLOB, value BLOB, letter BLOB, attempts INTEGER DEFAULT 0 NOT NULL, again INTEGER DEFAULT 0 NOT
        NULL, receipts INTEGER DEFAULT 0 NOT NULL, verdict TEXT, code TEXT, rule TEXT, article TEXT, number INTEGER,
        receipt TEXT, replaced_by TEXT, made TEXT NOT NULL, closed TEXT, PRIMARY KEY (seq), UNIQUE (subject, id),
        CONSTRAINT outbox_state CHECK (state in ('waiting', 'signed', 'closed'))
    )
    """,
    "CREATE INDEX outbox_open ON outbox (state, subject, turn, seq)",
    "CREATE INDEX outbox_by_id ON outbox (id)",
    "CREATE INDEX outbox_again ON outbox (again) WHERE again = 1",
    "CREATE TABLE sequences (subject TEXT NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (subject))",
    """
    CREATE TABLE reads (
        id INTEGER NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, subject TEXT NOT NULL, source TEXT NOT NULL, event
        TEXT NOT NULL, part TEXT NOT NULL, purpose TEXT NOT NULL, PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE tasks (
        id INTEGER NOT NULL, opened TEXT NOT NULL, subject TEXT NOT NULL, event TEXT, kind TEXT NOT NULL, about TEXT
        NOT NULL, done TEXT, PRIMARY KEY (id), UNIQUE (subject, event, kind)
    )
    """,
    "CREATE INDEX tasks_open ON tasks (done, id)",
    """
    CREATE TABLE set_aside (
        partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, code
        TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (partition, "offset")
    )
    """,
    "CREATE TABLE book (procedure TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (procedure))",
    "CREATE TABLE followed (topic TEXT NOT NULL, next_offset INTEGER NOT NULL, PRIMARY KEY (topic))",
    """
    CREATE TABLE witnessed (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, "offset" INTEGER, digest BLOB, note BLOB,
        cosignature BLOB, sent INTEGER DEFAULT 0 NOT NULL, at TEXT NOT NULL, PRIMARY KEY (origin, size)
    )
    """,
    "CREATE INDEX witnessed_unsent ON witnessed (sent, origin, size)",
    """
    CREATE TABLE witness_alarms (
        source TEXT NOT NULL, origin TEXT, size INTEGER, code TEXT NOT NULL, record BLOB NOT NULL, held BLOB, at
        TEXT NOT NULL, PRIMARY KEY (source)
    )
    """,
    "CREATE TABLE case_keys (subject TEXT NOT NULL, kid TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (subject))",
    """
    CREATE TABLE letter_keys (
        subject TEXT NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL, part TEXT NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (subject, source, event, part)
    )
    """,
    """
    CREATE TABLE erasures (
        subject TEXT NOT NULL, cause TEXT NOT NULL, ground TEXT NOT NULL, asked TEXT NOT NULL, done TEXT, horizon
        TEXT, PRIMARY KEY (subject)
    )
    """,
    """
    CREATE TABLE events (
        position INTEGER NOT NULL, subject TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT
        NULL, technical INTEGER NOT NULL, time TEXT NOT NULL, registered TEXT NOT NULL, partition INTEGER NOT NULL,
        inbox_number INTEGER NOT NULL, number INTEGER NOT NULL, referral TEXT, recipients TEXT NOT NULL, headers
        BLOB NOT NULL, value BLOB NOT NULL, letter BLOB, parts TEXT NOT NULL, shut TEXT, PRIMARY KEY (position),
        UNIQUE (subject, source, id), FOREIGN KEY(partition, inbox_number) REFERENCES inbox (partition,
        inbox_number)
    )
    """,
    "CREATE INDEX events_by_case ON events (subject, position)",
    """
    CREATE TABLE parked (
        id INTEGER NOT NULL, subject TEXT NOT NULL, position INTEGER NOT NULL, error TEXT NOT NULL, since TEXT NOT
        NULL, PRIMARY KEY (id), FOREIGN KEY(position) REFERENCES events (position), UNIQUE (position)
    )
    """,
    "CREATE INDEX parked_by_case ON parked (subject, id)",
)
"""Statements that made the tables of ``tables.py`` at the first release; later revisions change them, this one never."""


ON_POSTGRESQL = (
    (r"\(\s*(seq|id|position) INTEGER NOT NULL", r"(\1 BIGSERIAL NOT NULL"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bTEXT\b", 'TEXT COLLATE "C"'),
    (r"\bBLOB\b", "BYTEA"),
)
"""The same columns on PostgreSQL: patterns, and what replaces them. A leading number counts up automatically."""


def on_dialect(statement: str) -> str:
    """Return *statement* as the database behind the migration writes it."""
    for pattern, replacement in ON_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else ():
        statement = re.sub(pattern, replacement, statement)
    return statement


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(on_dialect(statement))
