"""What a desk that witnesses the logs has to remember."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of the witness; nothing that was there changes."""
    op.create_table(
        "followed",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("next_offset", sa.Integer(), nullable=False, comment="Where reading goes on"),
        sa.PrimaryKeyConstraint("topic"),
        comment="How far the topics of checkpoints and of this desk's own co-signatures were read",
    )
    op.create_table(
        "witnessed",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column(
            "offset",
            sa.Integer(),
            nullable=True,
            comment="Where the checkpoint lies; none while only this desk's co-signature was read",
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=True, comment="SHA-256 of the note"),
        sa.Column(
            "note",
            sa.LargeBinary(),
            nullable=True,
            comment="As the log signed it: of the newest checkpoint alone, the topic has the others",
        ),
        sa.Column("cosignature", sa.LargeBinary(), nullable=True, comment="The note that this desk signed"),
        sa.Column(
            "sent",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="1: the broker has the co-signature",
        ),
        sa.Column(
            "at", sa.Text(), nullable=False, comment="When it was co-signed, and before that, when it was checked"
        ),
        sa.PrimaryKeyConstraint("origin", "size"),
        comment="Checkpoints that this desk found to follow one another, and which of them it co-signed, before it was sent",
    )
    op.create_index("witnessed_unsent", "witnessed", ["sent", "origin", "size"], unique=False)
    op.create_table(
        "witness_alarms",
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="Topic and offset; the task that it opened has it as its event",
        ),
        sa.Column(
            "origin", sa.Text(), nullable=True, comment="The log that signed it; none where no log of this bus did"
        ),
        sa.Column("size", sa.Integer(), nullable=True, comment="Of the tree that is claimed"),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False, comment="The record as it came: evidence"),
        sa.Column(
            "held",
            sa.LargeBinary(),
            nullable=True,
            comment="The newest note of that log that was checked: what it contradicts",
        ),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
        comment="Checkpoints that were not co-signed, and why",
    )
