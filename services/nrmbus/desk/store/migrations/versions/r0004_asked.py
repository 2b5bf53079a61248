"""By what a request is known again is keyed: the bare digests of what was asked, letters included, go."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take them out; what was asked before and is asked again under its id is then other words to the desk."""
    op.execute("PRAGMA secure_delete = ON")
    op.execute("UPDATE outbox SET asked = '' WHERE origin = 'door'")
