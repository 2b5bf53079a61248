"""Tables of a desk's ledger. Letters and drafts are stored only as sealed containers.

Times are UTC to the second, as on the wire. ``subject`` is the case or the incident.
"""

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData()

meta: Final = Table(
    "meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="Bus and agency that the ledger belongs to, its random name and its generation. Another desk is refused",
)

positions: Final = Table(
    "positions",
    METADATA,
    Column("partition", Integer, primary_key=True),
    Column("inbox_number", Integer, nullable=False, comment="The last delivery; the next one has this plus one"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the last delivery; the next one names it"),
    Column("next_offset", Integer, nullable=False, comment="Where reading goes on, whatever Kafka remembers"),
    comment="How far each partition of the inbox was read: the chain of deliveries, and the guard of a restored backup",
)

beginnings: Final = Table(
    "beginnings",
    METADATA,
    Column("partition", Integer, primary_key=True),
    Column("inbox_number", Integer, comment="The first delivery that this ledger knows; none until one came"),
    Column("previous", Text, nullable=False, comment="SHA-256 of the delivery before it"),
    Column("since", Text, comment="When the first delivery was registered"),
    Column("until", Integer, nullable=False, comment="Where the inbox ended when this ledger began"),
    Column("noticed", Text, nullable=False, comment="When this ledger began"),
    Column("lost", Integer, nullable=False, comment="1: the agency had a ledger before, which is gone"),
    comment="From where on a ledger knows its inbox that began when something lay there; none where nothing did",
)

inbox: Final = Table(
    "inbox",
    METADATA,
    Column("partition", Integer, primary_key=True),
    Column("inbox_number", Integer, primary_key=True),
    Column("number", Integer, nullable=False, comment="The registration's number"),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of the delivery"),
    Column("delivery", LargeBinary, nullable=False, comment="As the registrar signed it"),
    Column("registration", LargeBinary, nullable=False, comment="As the registrar signed it"),
    Column("received", Text, nullable=False),
    Index("inbox_by_id", "id"),
    comment="Every delivery, once",
)

events: Final = Table(
    "events",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True, comment="The order in which this desk heard"),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("technical", Integer, nullable=False),
    Column("time", Text, nullable=False),
    Column("registered", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("inbox_number", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("referral", Text),
    Column("recipients", Text, nullable=False, comment="JSON: who was told, as far as this desk knows"),
    Column("headers", LargeBinary, nullable=False, comment="JSON: the envelope's headers, as signed"),
    Column("value", LargeBinary, nullable=False, comment="The envelope's data, as signed"),
    Column("letter", LargeBinary, comment="This desk's copy of the letter: sealed"),
    Column("parts", Text, nullable=False, comment="JSON: parts that this desk's key opened when the letter came"),
    Column("shut", Text, comment="Why the letter could not be opened"),
    UniqueConstraint("subject", "source", "id"),
    ForeignKeyConstraint(["partition", "inbox_number"], ["inbox.partition", "inbox.inbox_number"]),
    Index("events_by_case", "subject", "position"),
    comment="Every event that this desk sent or received and that was registered",
)

outbox: Final = Table(
    "outbox",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column(
        "turn",
        Integer,
        nullable=False,
        comment="The order within a case: a row sealed again keeps the turn of the first",
    ),
    Column("subject", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("origin", Text, nullable=False, comment="door, procedure or receipt: who made the draft"),
    Column("state", Text, nullable=False),
    Column("asked", Text, nullable=False, comment="Keyed digest of what was asked, to know it again"),
    Column("clear", LargeBinary, nullable=False, comment="JSON: the draft without its letter"),
    Column("draft", LargeBinary, comment="The draft's letter, sealed to this desk alone"),
    Column("traceparent", Text),
    Column("seal_to", Text, comment="JSON: who may open which part, when the registrar said so"),
    Column("sequence", Integer),
    Column("resealed", Integer, nullable=False, server_default=text("0"), comment="How often it was sealed again"),
    Column("recipients", Text, comment="JSON: who will be told, by the view that it was sealed under"),
    Column("digest", Text, comment="SHA-256 of the record as it is sent; an answer may name it by that alone"),
    Column("headers", LargeBinary, comment="JSON: the signed envelope's headers"),
    Column("value", LargeBinary, comment="The signed envelope's data"),
    Column("letter", LargeBinary, comment="The letter, sealed to its audience"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="How often it was sent"),
    Column(
        "again", Integer, nullable=False, server_default=text("0"), comment="1: to be sent once more, though answered"
    ),
    Column("receipts", Integer, nullable=False, server_default=text("0"), comment="How often the same receipt came"),
    Column("verdict", Text, comment="registered, refused or failed"),
    Column("code", Text),
    Column("rule", Text),
    Column("article", Text),
    Column("number", Integer),
    Column("receipt", Text, comment="SHA-256 of the registration"),
    Column("replaced_by", Text, comment="The id under which it was sealed again"),
    Column("made", Text, nullable=False),
    Column("closed", Text),
    UniqueConstraint("subject", "id"),
    CheckConstraint("state in ('waiting', 'signed', 'closed')", name="outbox_state"),
    Index("outbox_open", "state", "subject", "turn", "seq"),
    Index("outbox_by_id", "id"),
    Index("outbox_again", "again", sqlite_where=text("again = 1")),
    comment="What this agency wants to say, said, and was answered",
)

sequences: Final = Table(
    "sequences",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("next", Integer, nullable=False),
    comment="The number that the next signed event of a case gets",
)

reads: Final = Table(
    "reads",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False, comment="The member of staff by number, or the desk itself"),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    comment="Who opened which part of which letter, when and what for: written before it is opened",
)

tasks: Final = Table(
    "tasks",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("opened", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event", Text, comment="The event that asks for it"),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False, comment="JSON: codes and ids a person needs to act on it"),
    Column("done", Text),
    UniqueConstraint("subject", "event", "kind"),
    Index("tasks_open", "done", "id"),
    comment="What a person has to look at",
)

parked: Final = Table(
    "parked",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", Text, nullable=False),
    Column("position", Integer, nullable=False, unique=True, comment="The event that was not handled"),
    Column("error", Text, nullable=False, comment="The error's class, never its text"),
    Column("since", Text, nullable=False),
    ForeignKeyConstraint(["position"], ["events.position"]),
    Index("parked_by_case", "subject", "id"),
    comment="Cases of which a record could not be handled, and what came behind it, in order",
)

set_aside: Final = Table(
    "set_aside",
    METADATA,
    Column("partition", Integer, primary_key=True),
    Column("offset", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("at", Text, nullable=False),
    comment="Records of the inbox that no registrar delivered to this desk: where they lie, never what they hold",
)

book: Final = Table(
    "book",
    METADATA,
    Column("procedure", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="Sealed: what the agency's procedure keeps over all cases"),
    comment="The procedure's own state",
)

followed: Final = Table(
    "followed",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("next_offset", Integer, nullable=False, comment="Where reading goes on"),
    comment="How far the topics of checkpoints and of this desk's own co-signatures were read",
)

witnessed: Final = Table(
    "witnessed",
    METADATA,
    Column("origin", Text, primary_key=True),
    Column("size", Integer, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("offset", Integer, comment="Where the checkpoint lies; none while only this desk's co-signature was read"),
    Column("digest", LargeBinary, comment="SHA-256 of the note"),
    Column(
        "note", LargeBinary, comment="As the log signed it: of the newest checkpoint alone, the topic has the others"
    ),
    Column("cosignature", LargeBinary, comment="The note that this desk signed"),
    Column("sent", Integer, nullable=False, server_default=text("0"), comment="1: the broker has the co-signature"),
    Column("at", Text, nullable=False, comment="When it was co-signed, and before that, when it was checked"),
    Index("witnessed_unsent", "sent", "origin", "size"),
    comment="Checkpoints that this desk found to follow one another, and which of them it co-signed, before it was sent",
)

witness_alarms: Final = Table(
    "witness_alarms",
    METADATA,
    Column("source", Text, primary_key=True, comment="Topic and offset; the task that it opened has it as its event"),
    Column("origin", Text, comment="The log that signed it; none where no log of this bus did"),
    Column("size", Integer, comment="Of the tree that is claimed"),
    Column("code", Text, nullable=False),
    Column("record", LargeBinary, nullable=False, comment="The record as it came: evidence"),
    Column("held", LargeBinary, comment="The newest note of that log that was checked: what it contradicts"),
    Column("at", Text, nullable=False),
    comment="Checkpoints that were not co-signed, and why",
)

case_keys: Final = Table(
    "case_keys",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("kid", Text, nullable=False, comment="This agency's sealing key that it is sealed to"),
    Column("sealed", LargeBinary, nullable=False, comment="32 random bytes, sealed: never derived, never sent"),
    comment="Of each case, the key under which its letters' keys are kept: without it what is kept opens no more",
)

letter_keys: Final = Table(
    "letter_keys",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("event", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="The part's content key, under the key of its case"),
    comment="What opens the letters that are kept, once the sealing key that they came under is destroyed",
)

erasures: Final = Table(
    "erasures",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("cause", Text, nullable=False, comment="The event that ordered it; empty where its time was over"),
    Column("ground", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("done", Text, comment="When the keys and letters were destroyed here"),
    Column("horizon", Text, comment="From when on no backup of this ledger opens them either"),
    comment="Cases whose letters this desk has to destroy, or has destroyed",
)
