"""Tables of the agency's people: sign-in, drafts, labels, colleagues and notices. Callers import them from `tables`."""

from typing import Final

from sqlalchemy import Column, Index, LargeBinary, Table, UniqueConstraint, text

from nrmbus.desk.store.columns import INTEGER, METADATA, TEXT

members: Final = Table(
    "members",
    METADATA,
    Column("number", TEXT, primary_key=True, comment="Random: all that the bus sees of a member of staff"),
    Column("roles", TEXT, nullable=False, comment="With spaces between"),
    Column("language", TEXT, nullable=False),
    Column("password", TEXT, comment="Argon2 hash; none after removal, or where another provider signs the member in"),
    Column(
        "once_ends", TEXT, comment="The password is one for the first sign-in, which ends then; none for an own one"
    ),
    Column("code_step", INTEGER, comment="Time step of the last code of the second factor that was taken"),
    Column("example", INTEGER, nullable=False, server_default=text("0"), comment="1: invented, without second factor"),
    Column("made", TEXT, nullable=False),
    Column("made_by", TEXT, nullable=False, comment="Number of the administrator, or name of a token"),
    Column("signed_in", TEXT, comment="Last sign-in"),
    Column("removed", TEXT, comment="When the member left; the row stays, so that the history's number keeps its name"),
    Column(
        "notices",
        TEXT,
        nullable=False,
        server_default=text("'at_once'"),
        comment="at_once, daily or none: when mails come",
    ),
    comment="The agency's people; name, address and secrets of each are sealed in the book",
)

passkeys: Final = Table(
    "passkeys",
    METADATA,
    Column("id", TEXT, primary_key=True, comment="As the authenticator chose it, in base64url"),
    Column("member", TEXT, nullable=False),
    Column("host", TEXT, nullable=False, comment="Name of the desk's machine that the passkey is for"),
    Column("public_key", LargeBinary, nullable=False),
    Column("uses", INTEGER, nullable=False, comment="The authenticator's own counter"),
    Column("made", TEXT, nullable=False),
    Column("used", TEXT, comment="Last use"),
    Index("passkeys_of_member", "member"),
    comment="Passkeys of the agency's people",
)

sessions: Final = Table(
    "sessions",
    METADATA,
    Column("digest", TEXT, primary_key=True, comment="SHA-256 of the cookie's value, which is nowhere"),
    Column("id", TEXT, nullable=False, comment="Random, by which a list names the session"),
    Column("member", TEXT, nullable=False),
    Column("began", TEXT, nullable=False),
    Column("used", TEXT, nullable=False, comment="Last use, up to a minute ago"),
    Column("how", TEXT, nullable=False, comment="What the member signed in with"),
    UniqueConstraint("id"),
    Index("sessions_of_member", "member"),
    comment="Who is signed in; a row that is gone ends a session",
)

sign_in_failures: Final = Table(
    "sign_in_failures",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("who", TEXT, nullable=False, comment="Keyed digest of the name that was tried, known or not"),
    Column("at", TEXT, nullable=False),
    comment="Failed attempts to sign in within the last minutes",
)

staff_changes: Final = Table(
    "staff_changes",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("at", TEXT, nullable=False),
    Column("who", TEXT, nullable=False, comment="Number of the administrator, or name of a token"),
    Column("member", TEXT, nullable=False, comment="Number of the member who was changed, or name of the token"),
    Column("what", TEXT, nullable=False, comment="added, roles, reset or removed; token added or token removed"),
    Column(
        "roles",
        TEXT,
        nullable=False,
        comment="The member's roles afterwards, or the token's scopes, with spaces between",
    ),
    comment="Who was given access by whom; nothing is deleted from it",
)

drafts: Final = Table(
    "drafts",
    METADATA,
    Column("id", TEXT, primary_key=True, comment="Also the id of the event that it becomes"),
    Column("subject", TEXT, nullable=False),
    Column("owner", TEXT, nullable=False, comment="Number of the member of staff who types"),
    Column("type", TEXT, nullable=False),
    Column(
        "ref", TEXT, nullable=False, comment="Record of the case that the event answers; empty where it answers none"
    ),
    Column("page", TEXT, nullable=False, comment="Where its owner goes on"),
    Column("version", INTEGER, nullable=False, comment="Number of the change, so that no tab overwrites another"),
    Column("state", TEXT, nullable=False, comment="open, waits (for a second person) or sent"),
    Column("sealed", LargeBinary, nullable=False, comment="What was typed, sealed to this desk alone"),
    Column("made", TEXT, nullable=False),
    Column("changed", TEXT, nullable=False, comment="It ends 30 days later"),
    Index("drafts_of_owner", "owner", "changed"),
    comment="What the agency's people have typed in its pages and not sent yet",
)

case_labels: Final = Table(
    "case_labels",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("kid", TEXT, nullable=False, comment="This agency's sealing key that it is sealed to"),
    Column("sealed", LargeBinary, nullable=False, comment="The agency's own label, sealed to this desk alone"),
    comment="How the agency's people call a case among themselves; never on the bus",
)

assignments: Final = Table(
    "assignments",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("task", INTEGER, primary_key=True, autoincrement=False, comment="0: the case itself"),
    Column("member", TEXT, nullable=False, comment="Number of the member of staff"),
    Column("at", TEXT, nullable=False),
    comment="Which colleague has a case, or one of its tasks",
)

notices: Final = Table(
    "notices",
    METADATA,
    Column("id", INTEGER, primary_key=True, autoincrement=True),
    Column("member", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False, comment="overdue, due_soon, message, waits, asked or answered"),
    Column("key", TEXT, nullable=False, comment="Digest of what it is about: no case can be read from it"),
    Column("state", TEXT, nullable=False, comment="open, sent, refused, exhausted or dropped"),
    Column("due", TEXT, nullable=False),
    Column("mail", TEXT, comment="The mail that it leaves in, from the first attempt on: its Message-ID"),
    Column("mailed", TEXT, comment="The mail's date: the first attempt"),
    Column("attempts", INTEGER, nullable=False, server_default=text("0")),
    Column("code", TEXT, comment="What the mail server answered last, without its words"),
    Column("closed", TEXT),
    UniqueConstraint("member", "key"),
    Index("notices_open", "state", "due"),
    comment="What people are to be told by mail, and were told; no content, no address",
)

notice_place: Final = Table(
    "notice_place",
    METADATA,
    Column("way", TEXT, primary_key=True, comment="mail"),
    Column("heard", INTEGER, nullable=False, comment="The last position of events that was looked at"),
    Column("at", TEXT, nullable=False, comment="The time up to which duties were looked at"),
    comment="How far notices have come: one row",
)

notice_again: Final = Table(
    "notice_again",
    METADATA,
    Column("position", INTEGER, primary_key=True, comment="Of an event that was parked and went on"),
    comment="Events that notices look at once more; empty in an agency that sends no mail",
)
