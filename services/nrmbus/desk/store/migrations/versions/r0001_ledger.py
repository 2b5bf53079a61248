"""The ledger as it was first made."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, as they were then: what ``tables.py`` says later is for later revisions to bring about."""
    op.create_table(
        "book",
        sa.Column("procedure", sa.Text(), nullable=False),
        sa.Column(
            "state", sa.LargeBinary(), nullable=False, comment="JSON: what the agency's procedure keeps over all cases"
        ),
        sa.PrimaryKeyConstraint("procedure"),
        comment="The procedure's own state",
    )
    op.create_table(
        "inbox",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("inbox_number", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="The registration's number"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the delivery"),
        sa.Column("delivery", sa.LargeBinary(), nullable=False, comment="As the registrar signed it"),
        sa.Column("registration", sa.LargeBinary(), nullable=False, comment="As the registrar signed it"),
        sa.Column("received", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "inbox_number"),
        comment="Every delivery, once",
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="Whose ledger this is: bus and agency. A ledger opened by another desk is refused",
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column(
            "turn",
            sa.Integer(),
            nullable=False,
            comment="The order within a case: a row sealed again keeps the turn of the first",
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False, comment="door, procedure or receipt: who made the draft"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "asked", sa.Text(), nullable=False, comment="SHA-256 of what was asked, to know the same asked twice"
        ),
        sa.Column("clear", sa.LargeBinary(), nullable=False, comment="JSON: the draft without its letter"),
        sa.Column("draft", sa.LargeBinary(), nullable=True, comment="The draft's letter, sealed to this desk alone"),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column(
            "seal_to", sa.Text(), nullable=True, comment="JSON: who may open which part, when the registrar said so"
        ),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column(
            "resealed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How often it was sealed again",
        ),
        sa.Column(
            "recipients",
            sa.Text(),
            nullable=True,
            comment="JSON: who will be told, by the view that it was sealed under",
        ),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=True,
            comment="SHA-256 of the record as it is sent; an answer may name it by that alone",
        ),
        sa.Column("headers", sa.LargeBinary(), nullable=True, comment="JSON: the signed envelope's headers"),
        sa.Column("value", sa.LargeBinary(), nullable=True, comment="The signed envelope's data"),
        sa.Column("letter", sa.LargeBinary(), nullable=True, comment="The letter, sealed to its audience"),
        sa.Column(
            "attempts", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="How often it was sent"
        ),
        sa.Column(
            "again",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="1: to be sent once more, though answered",
        ),
        sa.Column(
            "receipts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How often the same receipt came",
        ),
        sa.Column("verdict", sa.Text(), nullable=True, comment="registered, refused or failed"),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("article", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True, comment="SHA-256 of the registration"),
        sa.Column("replaced_by", sa.Text(), nullable=True, comment="The id under which it was sealed again"),
        sa.Column("made", sa.Text(), nullable=False),
        sa.Column("closed", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'signed', 'closed')", name="outbox_state"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("subject", "id"),
        comment="What this agency wants to say, said, and was answered",
    )
    op.create_index("outbox_open", "outbox", ["state", "subject", "turn", "seq"], unique=False)
    op.create_table(
        "positions",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column(
            "inbox_number", sa.Integer(), nullable=False, comment="The last delivery; the next one has this plus one"
        ),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the last delivery; the next one names it"),
        sa.Column(
            "next_offset", sa.Integer(), nullable=False, comment="Where reading goes on, whatever Kafka remembers"
        ),
        sa.PrimaryKeyConstraint("partition"),
        comment="How far each partition of the inbox was read: the chain of deliveries, and the guard of a restored backup",
    )
    op.create_table(
        "reads",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False, comment="The member of staff by number, or the desk itself"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="Who opened which part of which letter, when and what for: written before it is opened",
    )
    op.create_table(
        "sequences",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("next", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
        comment="The number that the next signed event of a case gets",
    )
    op.create_table(
        "set_aside",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset"),
        comment="Records of the inbox that no registrar delivered to this desk: where they lie, never what they hold",
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("opened", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=True, comment="The event that asks for it"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False, comment="JSON: codes and ids a person needs to act on it"),
        sa.Column("done", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject", "event", "kind"),
        comment="What a person has to look at",
    )
    op.create_index("tasks_open", "tasks", ["done", "id"], unique=False)
    op.create_table(
        "events",
        sa.Column(
            "position", sa.Integer(), autoincrement=True, nullable=False, comment="The order in which this desk heard"
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("technical", sa.Integer(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("registered", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("inbox_number", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("referral", sa.Text(), nullable=True),
        sa.Column("recipients", sa.Text(), nullable=False, comment="JSON: who was told, as far as this desk knows"),
        sa.Column("headers", sa.LargeBinary(), nullable=False, comment="JSON: the envelope's headers, as signed"),
        sa.Column("value", sa.LargeBinary(), nullable=False, comment="The envelope's data, as signed"),
        sa.Column("letter", sa.LargeBinary(), nullable=True, comment="This desk's copy of the letter: sealed"),
        sa.Column(
            "parts", sa.Text(), nullable=False, comment="JSON: parts that this desk's key opened when the letter came"
        ),
        sa.Column("shut", sa.Text(), nullable=True, comment="Why the letter could not be opened"),
        sa.ForeignKeyConstraint(
            ["partition", "inbox_number"],
            ["inbox.partition", "inbox.inbox_number"],
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("subject", "source", "id"),
        comment="Every event that this desk sent or received and that was registered",
    )
    op.create_index("events_by_case", "events", ["subject", "position"], unique=False)
    op.create_table(
        "parked",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="The event that was not handled"),
        sa.Column("error", sa.Text(), nullable=False, comment="The error's class, never its text"),
        sa.Column("since", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["position"],
            ["events.position"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("position"),
        comment="Cases of which a record could not be handled, and what came behind it, in order",
    )
    op.create_index("parked_by_case", "parked", ["subject", "id"], unique=False)
