"""Webhooks: endpoints, deliveries and their attempts; the order in which events of the outbox were answered."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    "ALTER TABLE outbox ADD COLUMN answered INTEGER",
    "CREATE INDEX outbox_answered ON outbox (answered)",
    """
    CREATE TABLE webhooks (
        id TEXT NOT NULL, url TEXT NOT NULL, types TEXT NOT NULL, in_order INTEGER NOT NULL, state TEXT NOT NULL, since
        TEXT NOT NULL, heard INTEGER NOT NULL, answered INTEGER NOT NULL, tasked INTEGER NOT NULL, failing TEXT, failed
        TEXT, held TEXT, told INTEGER DEFAULT 0 NOT NULL, PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE deliveries (
        id INTEGER NOT NULL, webhook TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
        about TEXT NOT NULL, place INTEGER, time TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER DEFAULT 0 NOT NULL,
        due TEXT NOT NULL, closed TEXT, PRIMARY KEY (id), UNIQUE (webhook, message), FOREIGN KEY(webhook) REFERENCES
        webhooks (id)
    )
    """,
    "CREATE INDEX deliveries_open ON deliveries (webhook, state, due)",
    "CREATE INDEX deliveries_in_order ON deliveries (webhook, state, subject, id)",
    """
    CREATE TABLE attempts (
        id INTEGER NOT NULL, delivery INTEGER NOT NULL, at TEXT NOT NULL, status INTEGER, error TEXT, milliseconds
        INTEGER NOT NULL, PRIMARY KEY (id), FOREIGN KEY(delivery) REFERENCES deliveries (id)
    )
    """,
    "CREATE INDEX attempts_of_delivery ON attempts (delivery)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(on_dialect(statement))


def downgrade() -> None:
    """Remove the tables: the earlier release sends no webhooks."""
    for table in ("attempts", "deliveries", "webhooks"):
        op.drop_table(table)
    op.drop_index("outbox_answered", "outbox")
    op.drop_column("outbox", "answered")
