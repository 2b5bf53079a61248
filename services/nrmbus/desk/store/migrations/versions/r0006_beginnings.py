"""From where on a ledger knows its inbox: a ledger that was lost begins later than the inbox did."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; a ledger that is here already began with its inbox."""
    op.create_table(
        "beginnings",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column(
            "inbox_number",
            sa.Integer(),
            nullable=True,
            comment="The first delivery that this ledger knows; none until one came",
        ),
        sa.Column("previous", sa.Text(), nullable=False, comment="SHA-256 of the delivery before it"),
        sa.Column("since", sa.Text(), nullable=True, comment="When the first delivery was registered"),
        sa.Column("until", sa.Integer(), nullable=False, comment="Where the inbox ended when this ledger began"),
        sa.Column("noticed", sa.Text(), nullable=False, comment="When this ledger began"),
        sa.Column("lost", sa.Integer(), nullable=False, comment="1: the agency had a ledger before, which is gone"),
        sa.PrimaryKeyConstraint("partition"),
        comment="From where on a ledger knows its inbox that began when something lay there; none where nothing did",
    )
