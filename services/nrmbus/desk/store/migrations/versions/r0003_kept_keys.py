"""Keys of cases, under which the keys of kept letters lie, and which cases were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; letters that lie here already are looked after before the key that they came under is destroyed."""
    op.create_table(
        "case_keys",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False, comment="This agency's sealing key that it is sealed to"),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="32 random bytes, sealed: never derived, never sent"
        ),
        sa.PrimaryKeyConstraint("subject"),
        comment="Of each case, the key under which its letters' keys are kept: without it what is kept opens no more",
    )
    op.create_table(
        "letter_keys",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="The part's content key, under the key of its case"
        ),
        sa.PrimaryKeyConstraint("subject", "source", "event", "part"),
        comment="What opens the letters that are kept, once the sealing key that they came under is destroyed",
    )
    op.create_table(
        "erasures",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "cause", sa.Text(), nullable=False, comment="The event that ordered it; empty where its time was over"
        ),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("done", sa.Text(), nullable=True, comment="When the keys and letters were destroyed here"),
        sa.Column(
            "horizon", sa.Text(), nullable=True, comment="From when on no backup of this ledger opens them either"
        ),
        sa.PrimaryKeyConstraint("subject"),
        comment="Cases whose letters this desk has to destroy, or has destroyed",
    )
