"""Tables of a desk's ledger. Letters and drafts are stored only as sealed containers.

Times are UTC to the second, as on the wire. ``subject`` is the case, the incident, or the bulletin of an agency (`of_case`).
"""

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    literal,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from nrmbus.desk.store.columns import INTEGER, METADATA, TEXT
from nrmbus.desk.store.tables_of_people import (
    assignments,
    case_labels,
    drafts,
    members,
    notice_again,
    notice_place,
    notices,
    passkeys,
    sessions,
    sign_in_failures,
    staff_changes,
)
from nrmbus.events.bulletin import PREFIX

__all__ = [
    "METADATA",
    "assignments",
    "attempts",
    "beginnings",
    "book",
    "case_keys",
    "case_labels",
    "cursors",
    "deliveries",
    "document_pieces",
    "documents",
    "drafts",
    "erasures",
    "events",
    "followed",
    "has_bytes",
    "inbox",
    "letter_keys",
    "members",
    "meta",
    "notice_again",
    "notice_place",
    "notices",
    "of_case",
    "outbox",
    "parked",
    "passkeys",
    "positions",
    "reads",
    "sequences",
    "sessions",
    "set_aside",
    "sign_in_failures",
    "staff_changes",
    "tasks",
    "tokens",
    "webhooks",
    "witness_alarms",
    "witnessed",
]


def of_case(subject: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that *subject* is a case or an incident: a list of cases never has a bulletin."""
    return subject.not_like(f"{PREFIX}%")


class _HasBytes(FunctionElement[bool]):
    """Condition that a column of bytes contains other bytes."""

    type = Boolean()
    inherit_cache = True


@compiles(_HasBytes, "sqlite")
def _instr(element: _HasBytes, compiler: SQLCompiler, **how: Any) -> str:
    return f"instr({compiler.process(element.clauses, **how)}) > 0"


@compiles(_HasBytes, "postgresql")
def _position(element: _HasBytes, compiler: SQLCompiler, **how: Any) -> str:
    whole, part = (compiler.process(each, **how) for each in element.clauses)
    return f"position({part} in {whole}) > 0"


def has_bytes(column: ColumnElement[Any], part: bytes) -> ColumnElement[bool]:
    """Return the condition that *column* contains *part*."""
    return _HasBytes(column, literal(part, LargeBinary()))


meta: Final = Table(
    "meta",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
    comment="Bus and agency that the ledger belongs to, its random name and its generation. Another desk is refused",
)

positions: Final = Table(
    "positions",
    METADATA,
    Column("partition", INTEGER, primary_key=True, autoincrement=False),
    Column("inbox_number", INTEGER, nullable=False, comment="The last delivery; the next one has this plus one"),
    Column("digest", TEXT, nullable=False, comment="SHA-256 of the last delivery; the next one names it"),
    Column("next_offset", INTEGER, nullable=False, comment="Where reading goes on, whatever Kafka remembers"),
    comment="How far each partition of the inbox was read: the chain of deliveries, and the guard of a restored backup",
)

beginnings: Final = Table(
    "beginnings",
    METADATA,
    Column("partition", INTEGER, primary_key=True, autoincrement=False),
    Column("inbox_number", INTEGER, comment="The first delivery that this ledger knows; none until one came"),
    Column("previous", TEXT, nullable=False, comment="SHA-256 of the delivery before it"),
    Column("since", TEXT, comment="When the first delivery was registered"),
    Column("until", INTEGER, nullable=False, comment="Where the inbox ended when this ledger began"),
    Column("noticed", TEXT, nullable=False, comment="When this ledger began"),
    Column("lost", INTEGER, nullable=False, comment="1: the agency had a ledger before, which is gone"),
    comment="From where on a ledger knows its inbox that began when something lay there; none where nothing did",
)

inbox: Final = Table(
    "inbox",
    METADATA,
    Column("partition", INTEGER, primary_key=True),
    Column("inbox_number", INTEGER, primary_key=True),
    Column("number", INTEGER, nullable=False, comment="The registration's number"),
    Column("subject", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("verdict", TEXT, nullable=False),
    Column("digest", TEXT, nullable=False, comment="SHA-256 of the delivery"),
    Column("delivery", LargeBinary, nullable=False, comment="As the registrar signed it"),
    Column("registration", LargeBinary, nullable=False, comment="As the registrar signed it"),
    Column("received", TEXT, nullable=False, comment="When it came; of a parked record, when it was released"),
    Index("inbox_by_id", "id"),
    comment="Every delivery, once",
)

events: Final = Table(
    "events",
    METADATA,
    Column("position", INTEGER, primary_key=True, autoincrement=True, comment="The order in which this desk heard"),
    Column("subject", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("technical", INTEGER, nullable=False),
    Column("time", TEXT, nullable=False),
    Column("registered", TEXT, nullable=False),
    Column("partition", INTEGER, nullable=False),
    Column("inbox_number", INTEGER, nullable=False),
    Column("number", INTEGER, nullable=False),
    Column("referral", TEXT),
    Column("recipients", TEXT, nullable=False, comment="JSON: who was told, as far as this desk knows"),
    Column("headers", LargeBinary, nullable=False, comment="JSON: the envelope's headers, as signed"),
    Column("value", LargeBinary, nullable=False, comment="The envelope's data, as signed"),
    Column("letter", LargeBinary, comment="This desk's copy of the letter: sealed"),
    Column("parts", TEXT, nullable=False, comment="JSON: parts that this desk's key opened when the letter came"),
    Column("shut", TEXT, comment="Why the letter could not be opened"),
    Column("policy", TEXT),  # the profile of the Rules that the registration names
    UniqueConstraint("subject", "source", "id"),
    ForeignKeyConstraint(["partition", "inbox_number"], ["inbox.partition", "inbox.inbox_number"]),
    Index("events_by_case", "subject", "position"),
    comment="Every event that this desk sent or received and that was registered",
)

outbox: Final = Table(
    "outbox",
    METADATA,
    Column("seq", INTEGER, primary_key=True, autoincrement=True),
    Column(
        "turn",
        INTEGER,
        nullable=False,
        comment="The order within a case: a row sealed again keeps the turn of the first",
    ),
    Column("subject", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("origin", TEXT, nullable=False, comment="door, procedure or receipt: who made the draft"),
    Column("state", TEXT, nullable=False),
    Column("asked", TEXT, nullable=False, comment="Keyed digest of what was asked, to know it again"),
    Column("clear", LargeBinary, nullable=False, comment="JSON: the draft without its letter"),
    Column("draft", LargeBinary, comment="The draft's letter, sealed to this desk alone"),
    Column("traceparent", TEXT),
    Column("seal_to", TEXT, comment="JSON: who may open which part, when the registrar said so"),
    Column("sequence", INTEGER),
    Column("resealed", INTEGER, nullable=False, server_default=text("0"), comment="How often it was sealed again"),
    Column("recipients", TEXT, comment="JSON: who will be told, by the view that it was sealed under"),
    Column("digest", TEXT, comment="SHA-256 of the record as it is sent; an answer may name it by that alone"),
    Column("headers", LargeBinary, comment="JSON: the signed envelope's headers"),
    Column("value", LargeBinary, comment="The signed envelope's data"),
    Column("letter", LargeBinary, comment="The letter, sealed to its audience"),
    Column("attempts", INTEGER, nullable=False, server_default=text("0"), comment="How often it was sent"),
    Column(
        "again", INTEGER, nullable=False, server_default=text("0"), comment="1: to be sent once more, though answered"
    ),
    Column("receipts", INTEGER, nullable=False, server_default=text("0"), comment="How often the same receipt came"),
    Column("verdict", TEXT, comment="registered, refused or failed"),
    Column("code", TEXT),
    Column("rule", TEXT),
    Column("article", TEXT),
    Column("number", INTEGER),
    Column("receipt", TEXT, comment="SHA-256 of the registration"),
    Column("replaced_by", TEXT, comment="The id under which it was sealed again"),
    Column("made", TEXT, nullable=False),
    Column("closed", TEXT),
    Column("answered", INTEGER, comment="The order in which rows were closed"),
    UniqueConstraint("subject", "id"),
    CheckConstraint("state in ('waiting', 'signed', 'closed')", name="outbox_state"),
    Index("outbox_open", "state", "subject", "turn", "seq"),
    Index("outbox_by_id", "id"),
    Index("outbox_answered", "answered"),
    Index("outbox_again", "again", sqlite_where=text("again = 1"), postgresql_where=text("again = 1")),
    comment="What this agency wants to say, said, and was answered",
)

sequences: Final = Table(
    "sequences",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("next", INTEGER, nullable=False),
    comment="The number that the next signed event of a case gets",
)

reads: Final = Table(
    "reads",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("at", TEXT, nullable=False),
    Column("who", TEXT, nullable=False, comment="The member of staff by number, or the desk itself"),
    Column("subject", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("event", TEXT, nullable=False),
    Column("part", TEXT, nullable=False, comment="deleted: the anonymous message was deleted for good"),
    Column("purpose", TEXT, nullable=False),
    Column("system", TEXT, comment="Name of the token of the system that asked; none where the desk itself opened"),
    comment="Who opened which part of which letter, when and what for: written before it is opened",
)

tasks: Final = Table(
    "tasks",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("opened", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("event", TEXT, comment="The event that asks for it"),
    Column("kind", TEXT, nullable=False),
    Column("about", TEXT, nullable=False, comment="JSON: codes and ids a person needs to act on it"),
    Column("done", TEXT),
    UniqueConstraint("subject", "event", "kind"),
    Index("tasks_open", "done", "id"),
    comment="What a person has to look at",
)

parked: Final = Table(
    "parked",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("subject", TEXT, nullable=False),
    Column("position", INTEGER, nullable=False, unique=True, comment="The event that was not handled"),
    Column("error", TEXT, nullable=False, comment="The error's class, never its text"),
    Column("since", TEXT, nullable=False),
    ForeignKeyConstraint(["position"], ["events.position"]),
    Index("parked_by_case", "subject", "id"),
    comment="Cases of which a record could not be handled, and what came behind it, in order",
)

set_aside: Final = Table(
    "set_aside",
    METADATA,
    Column("partition", INTEGER, primary_key=True),
    Column("offset", INTEGER, primary_key=True),
    Column("size", INTEGER, nullable=False),
    Column("sha256", TEXT, nullable=False),
    Column("code", TEXT, nullable=False),
    Column("at", TEXT, nullable=False),
    comment="Records of the inbox that no registrar delivered to this desk: where they lie, never what they hold",
)

book: Final = Table(
    "book",
    METADATA,
    Column("procedure", TEXT, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="Sealed: what the agency's procedure keeps over all cases"),
    comment="The procedure's own state",
)

followed: Final = Table(
    "followed",
    METADATA,
    Column("topic", TEXT, primary_key=True),
    Column("next_offset", INTEGER, nullable=False, comment="Where reading goes on"),
    comment="How far the topics of checkpoints and of this desk's own co-signatures were read",
)

witnessed: Final = Table(
    "witnessed",
    METADATA,
    Column("origin", TEXT, primary_key=True),
    Column("size", INTEGER, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("offset", INTEGER, comment="Where the checkpoint lies; none while only this desk's co-signature was read"),
    Column("digest", LargeBinary, comment="SHA-256 of the note"),
    Column(
        "note", LargeBinary, comment="As the log signed it: of the newest checkpoint alone, the topic has the others"
    ),
    Column("cosignature", LargeBinary, comment="The note that this desk signed"),
    Column("sent", INTEGER, nullable=False, server_default=text("0"), comment="1: the broker has the co-signature"),
    Column("at", TEXT, nullable=False, comment="When it was co-signed, and before that, when it was checked"),
    Index("witnessed_unsent", "sent", "origin", "size"),
    comment="Checkpoints that this desk found to follow one another, and which of them it co-signed, before it was sent",
)

witness_alarms: Final = Table(
    "witness_alarms",
    METADATA,
    Column("source", TEXT, primary_key=True, comment="Topic and offset; the task that it opened has it as its event"),
    Column("origin", TEXT, comment="The log that signed it; none where no log of this bus did"),
    Column("size", INTEGER, comment="Of the tree that is claimed"),
    Column("code", TEXT, nullable=False),
    Column("record", LargeBinary, nullable=False, comment="The record as it came: evidence"),
    Column("held", LargeBinary, comment="The newest note of that log that was checked: what it contradicts"),
    Column("at", TEXT, nullable=False),
    comment="Checkpoints that were not co-signed, and why",
)

case_keys: Final = Table(
    "case_keys",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("kid", TEXT, nullable=False, comment="This agency's sealing key that it is sealed to"),
    Column("sealed", LargeBinary, nullable=False, comment="32 random bytes, sealed: never derived, never sent"),
    comment="Of each case, the key under which its letters' keys are kept: without it what is kept opens no more",
)

letter_keys: Final = Table(
    "letter_keys",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("source", TEXT, primary_key=True),
    Column("event", TEXT, primary_key=True),
    Column("part", TEXT, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="The part's content key, under the key of its case"),
    comment="What opens the letters that are kept, once the sealing key that they came under is destroyed",
)

erasures: Final = Table(
    "erasures",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("cause", TEXT, nullable=False, comment="The event that ordered it; empty where its time was over"),
    Column("ground", TEXT, nullable=False),
    Column("asked", TEXT, nullable=False),
    Column("done", TEXT, comment="When the keys and letters were destroyed here"),
    Column("horizon", TEXT, comment="From when on no backup of this ledger opens them either"),
    comment="Cases whose letters this desk has to destroy, or has destroyed",
)

tokens: Final = Table(
    "tokens",
    METADATA,
    Column("name", TEXT, primary_key=True, comment="Of the system that got it"),
    Column("digest", TEXT, nullable=False, comment="SHA-256 of the token, which is nowhere"),
    Column("scopes", TEXT, nullable=False, comment="With spaces between"),
    Column("made", TEXT, nullable=False),
    Column("made_by", TEXT, nullable=False, comment="Name of the token that asked for it, or number of the member"),
    Column("ends", TEXT, nullable=False),
    Column("revoked", TEXT, comment="When it was ended early"),
    Column("used", INTEGER, nullable=False, server_default=text("0"), comment="How often, up to half a minute ago"),
    Column("last_used", TEXT),
    Column("a_minute", INTEGER, comment="Requests a minute that it may send; none: as many as the desk's other tokens"),
    comment="Tokens of the agency's own systems; one whose name is given again is replaced",
)

cursors: Final = Table(
    "cursors",
    METADATA,
    Column("token", TEXT, primary_key=True, comment="Name of the token of the program"),
    Column("name", TEXT, primary_key=True, comment="As the program chose it"),
    Column("position", INTEGER, nullable=False, comment="The row that was read last"),
    Column("moved", TEXT, nullable=False),
    comment="How far programs have read the inbox that keep nothing themselves",
)

webhooks: Final = Table(
    "webhooks",
    METADATA,
    Column("id", TEXT, primary_key=True, comment="Random; the secret is in the book under this name"),
    Column("url", TEXT, nullable=False),
    Column(
        "types", TEXT, nullable=False, comment="JSON: the types that it is sent; an empty list: all but technical ones"
    ),
    Column("in_order", INTEGER, nullable=False, comment="1: of a case, one after the other"),
    Column("state", TEXT, nullable=False, comment="active, paused, disabled or removed"),
    Column("since", TEXT, nullable=False, comment="When the state began"),
    Column("heard", INTEGER, nullable=False, comment="The last position of events that was looked at for it"),
    Column("answered", INTEGER, nullable=False, comment="The same of outbox, by the order in which rows were closed"),
    Column("tasked", INTEGER, nullable=False, comment="The same of tasks"),
    Column("failing", TEXT, comment="Since when nothing but failures came; none after a success"),
    Column("failed", TEXT, comment="The last failure"),
    Column("held", TEXT, comment="Until when nothing is sent to it; when it is paused: when it is pinged next"),
    Column("told", INTEGER, nullable=False, server_default=text("0"), comment="1: a task says that it fails"),
    comment="Endpoints of the agency's own system that are told that something happened",
)

deliveries: Final = Table(
    "deliveries",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("webhook", TEXT, nullable=False),
    Column("message", TEXT, nullable=False, comment="webhook-id: the same on each attempt"),
    Column("type", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False, comment="Never sent: the order is that of the case"),
    Column("about", TEXT, nullable=False, comment="The id that is sent: of the event, or the task's number"),
    Column("place", INTEGER, comment="The row that the link leads to"),
    Column("time", TEXT, nullable=False),
    Column("state", TEXT, nullable=False, comment="open, delivered, exhausted or cancelled"),
    Column("attempts", INTEGER, nullable=False, server_default=text("0"), comment="Since it became open"),
    Column("due", TEXT, nullable=False),
    Column("closed", TEXT),
    UniqueConstraint("webhook", "message"),
    ForeignKeyConstraint(["webhook"], ["webhooks.id"]),
    Index("deliveries_open", "webhook", "state", "due"),
    Index("deliveries_in_order", "webhook", "state", "subject", "id"),
    comment="What each endpoint is to be told, and was told; no content",
)

attempts: Final = Table(
    "attempts",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("delivery", INTEGER, nullable=False),
    Column("at", TEXT, nullable=False),
    Column("status", INTEGER, comment="Of the answer; none where none came"),
    Column("error", TEXT, comment="Why none came: one word of a closed list"),
    Column("milliseconds", INTEGER, nullable=False),
    ForeignKeyConstraint(["delivery"], ["deliveries.id"]),
    Index("attempts_of_delivery", "delivery"),
    comment="Each attempt of a delivery; no bodies",
)

documents: Final = Table(
    "documents",
    METADATA,
    Column("document", TEXT, primary_key=True),
    Column("subject", TEXT, nullable=False),
    Column("event", TEXT, comment="The event that announces it; none while it waits for one"),
    Column(
        "sealed",
        LargeBinary,
        comment="Size, digest and kind of content, sealed to this desk; none until all of it came",
    ),
    Column("made", TEXT, nullable=False),
    Column("ends", TEXT, nullable=False, comment="When it is destroyed unless an event announces it"),
    comment="Documents that were uploaded to be shared, until their last chunk is registered",
)

document_pieces: Final = Table(
    "document_pieces",
    METADATA,
    Column("document", TEXT, primary_key=True),
    Column("index", INTEGER, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False, comment="A piece of the content, sealed to this desk alone"),
    comment="Content of the documents above, until it is in the outbox",
)
