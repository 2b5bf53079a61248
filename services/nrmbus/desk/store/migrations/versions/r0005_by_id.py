"""Indexes by an event's id alone: an id names one event, whatever its case."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("inbox_by_id", "inbox", ["id"])
    op.create_index("outbox_by_id", "outbox", ["id"])
