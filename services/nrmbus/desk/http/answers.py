"""Answers of the door as models, for its document; `views` makes them. A later release may add members, never take any away."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from nrmbus.desk.http.documented import Answer, plain
from nrmbus.desk.http.scopes import ScopeName
from nrmbus.desk.staff.members import Standing
from nrmbus.desk.staff.permissions import Role
from nrmbus.web.languages import Language

Ref = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="UTC, to the second.")]
Happened = Annotated[Time, Field(description="When it happened, as its agency says: UTC, to the second.")]
Registered = Annotated[Time, Field(description="When the registrar registered it: UTC, to the second.")]
Received = Annotated[
    Time, Field(description="When this desk received it, or let it through if it was parked: UTC, to the second.")
]
Verdict = Literal["pending", "registered", "refused", "failed"]

CASE: Final = "5f0c2a7be3d94e1f8a6b7c8d9e0f1a2b"
EVENT: Final = "01930000-0000-7000-8000-000000000000"
AT: Final = "2026-03-02T05:00:00Z"


class EventState(Answer):
    """State of one event of this agency, and the registrar's verdict."""

    id: str
    case: Ref = Field(description="Case or incident of the event.")
    type: str | None = Field(None, description="Left out if only the registrar's receipt of it is there.")
    version: int | None = None
    state: Literal["waiting", "signed", "closed"]
    verdict: Verdict = Field(
        description="`refused` by the registrar, or by G-11 here; `failed` if it could not be sent or read."
    )
    code: str | None = Field(None, description="Why it was refused or failed.")
    sentence: str | None = Field(None, description="What happened and what to do, in the words of the profile.")
    accepts: list[int] | None = Field(None, description="The versions that the registrar accepts.")
    rule: str | None = None
    article: str | None = Field(None, description="The law behind the rule.")
    number: int | None = Field(None, description="Number of the registration in its partition.")
    sequence: int | None = Field(None, description="Number among this agency's events of the case.")
    receipt: str | None = Field(None, description="SHA-256 of the registration.")
    receipts: int = Field(description="How often the receipt came.")
    again: bool = Field(description="True while the event is being sent once more.")
    receivers: list[str] | None = None
    ref: str | None = Field(None, description="Reference of the referral.")
    time: Happened | None = None
    asked_id: str | None = Field(
        None, description="The id of the request, if the event was sealed again under another."
    )


class EventOutcome(EventState):
    """State of one event of this agency, or of all events of its request."""

    events: list[EventState] | None = Field(
        None, description="One for each receiver, if the request had several; `verdict` is then that of all."
    )


class Published(Answer):
    """Verdict on a request: the first that is not `registered`, of all its events."""

    verdict: Verdict
    id: str = Field(
        description="The id of the event that the verdict is about, which is one of `events`; of the first if it is `pending`. "
        "The verdicts of the other `events` hold as well."
    )
    case: Ref
    type: str | None = None
    code: str | None = None
    sentence: str | None = None
    accepts: list[int] | None = None
    rule: str | None = None
    article: str | None = None
    number: int | None = None
    receipt: str | None = None
    events: list[EventState] = Field(description="One for each receiver of a consent; else one.")


class Batch(Answer):
    """Verdicts on the events of a request, in their order."""

    verdict: Verdict = Field(description="`pending`, `failed` or `refused` if one of them is, in this order.")
    published: list[Published]


STATE_EXAMPLE: Final = {
    "id": EVENT, "case": CASE, "type": "case.signal_recorded", "version": 1, "state": "closed",
    "verdict": "registered", "number": 7, "sequence": 1, "receipt": "0" * 64, "receipts": 1, "again": False, "time": AT,
}  # fmt: skip
PUBLISHED_EXAMPLE: Final = {
    "verdict": "registered", "id": EVENT, "case": CASE, "type": "case.signal_recorded", "number": 7,
    "receipt": "0" * 64, "events": [STATE_EXAMPLE],
}  # fmt: skip
_OPEN: Final = {
    "id": EVENT, "case": CASE, "type": "case.signal_recorded", "version": 1, "state": "waiting", "verdict": "pending",
    "receipts": 0, "again": False, "time": AT,
}  # fmt: skip
PENDING_EXAMPLE: Final = {
    "verdict": "pending", "id": EVENT, "case": CASE, "type": "case.signal_recorded", "events": [_OPEN],
}  # fmt: skip


class Original(Answer):
    """The event as its agency signed it, with the registrar's registration: enough to verify it."""

    headers: dict[str, str] = Field(description="The signed headers.")
    value: str = Field(description="The signed data, in base64.")
    registration: str = Field(description="As the registrar signed it, in base64.")


class LostField(Answer):
    """Field without a place in the shown version."""

    version: int = Field(description="The version that has it.")
    pointer: str = Field(description="`/data/…` or `/letter/…`.")


class UploadedFile(Answer):
    """What the content is, without its name."""

    media_type: str = Field(description="Kind of content, by the content alone.")
    size: int = Field(description="Size in bytes.")
    sha256: str = Field(description="SHA-256 in lower hex.")


class Uploaded(Answer):
    """Upload that waits for the event that announces it."""

    document: str = Field(description="Id of the upload: `document` of the event `document.shared`.")
    case: Ref
    chunks: int = Field(description="`chunks` of the event's data.")
    file: UploadedFile = Field(description="With a `name`, the file of the event's letter.")
    ends: Time = Field(description="When the upload is destroyed unless an event announces it.")


class DocumentState(Answer):
    """How much of a document has come."""

    chunks: int
    came: int
    complete: bool


class InboxEvent(Answer):
    """Received event. `type` and `version` name its schemas: `nrm.<type>.v<version>.data` and `.letter` of this document."""

    row: int = Field(description="Number of the row in this ledger: the cursor `after`.")
    partition: int
    inbox_number: int
    number: int = Field(description="Number of the registration in the partition.")
    id: str
    type: str
    published: int = Field(description="Version in which it was published.")
    version: int | None = Field(None, description="Version in which it is shown; left out with `unknown`.")
    case: Ref
    source: str = Field(description="Agency that published it.")
    time: Happened
    registered: Registered
    ref: str | None = Field(None, description="Reference of the referral.")
    parts: list[str] = Field(description="Parts of the letter that this agency may open.")
    shut: str | None = Field(None, description="Why the letter stays closed.")
    technical: bool
    parked: bool | None = Field(None, description="True if it waits; the case says why.")
    unknown: bool | None = Field(None, description="True if this release does not know the type or version.")
    original: Original
    data: dict[str, Any] | None = Field(None, description="Facts in the clear; left out with `unknown`.")
    document: DocumentState | None = Field(None, description="Of `document.shared`: how much of its content has come.")
    lost: list[LostField] | None = Field(None, description="Places without a value: what this version cannot say.")
    letter: dict[str, dict[str, Any]] | None = Field(None, description="The opened parts, each with its fields.")


class Inbox(Answer):
    """Page of received events, in order."""

    ledger: str = Field(description="The ledger that numbers the rows; it changes if the ledger is replaced.")
    events: list[InboxEvent]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


class Duty(Answer):
    """Something that is due in a case."""

    code: str = Field(description="Clock of the Rules.")
    agency: str = Field(description="Agency that owes it.")
    due: Time | None = Field(None, description="Left out while a question holds the clock.")
    ref: str | None = None


class Stop(Answer):
    """Withdrawal of consent that this agency recorded or has to answer."""

    agency: str
    withdrawn: Time
    event: str
    answer: str = Field(description="`missing` while there is none.")
    told: bool | None = Field(
        None,
        description="`false` if this desk cannot tell whether the agency was told of the case: it owes an answer only if it was.",
    )
    due: Time | None = Field(None, description="Left out if no answer is owed any more, or this desk knows of no duty.")
    overdue: bool | None = None


class Parked(Answer):
    """Why a case waits: its oldest record that could not be handled."""

    error: str
    sentence: str
    row: int
    type: str
    published: int
    since: Time
    waiting: int = Field(description="Number of records that wait.")


class Case(Answer):
    """Case as this agency sees it: the fold of all sent and received events."""

    case: Ref
    status: str | None = Field(None, description="Status by the Rules; left out with `incomplete`.")
    child: bool | None = None
    version: int | None = Field(None, description="Count of the events that this agency knows of: `expected_version`.")
    on_case: bool | None = Field(None, description="True if this agency takes part in the case.")
    events: int
    open_referrals: list[str] = Field(description="Referrals with a missing answer that this agency would hear.")
    open_deadlines: list[Duty] | None = None
    stops: list[Stop] | None = None
    incomplete: bool | None = Field(None, description="True if the beginning is gone after a loss of the ledger.")
    sentence: str | None = None
    parked: bool
    parked_because: Parked | None = None


class CaseRow(Answer):
    """Case in the list."""

    case: Ref
    events: int
    last: Time = Field(description="Registration of the newest event.")


class CaseList(Answer):
    """Page of cases, by reference."""

    cases: list[CaseRow]
    next: str | None = Field(description="Cursor of the next page; null if there is nothing more.")


class Read(Answer):
    """Opening of one part of one letter at this desk."""

    row: int = Field(description="Number of the row in this ledger: the cursor `after`.")
    at: Time
    who: str = Field(description="Staff number, or `desk` for the desk itself.")
    source: str
    event: str
    part: str
    purpose: str
    system: str | None = Field(
        None, description="Name of the token by which it was asked for; left out if the desk itself opened it."
    )


class ReadList(Answer):
    """Page of openings of a case's letters, oldest first."""

    reads: list[Read]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


class Written(Answer):
    """Parts of one letter, and whether each has content."""

    source: str
    event: str
    parts: dict[str, bool]


class Recorded(Answer):
    """Registration of a reading: with it the case may be read."""

    verdict: Literal["registered"]
    id: str
    case: Ref
    number: int
    events: list[EventState]
    written: list[Written] | None = Field(None, description="For `person_report`: the parts with content, by name.")


class Released(Answer):
    """Result of letting a case's parked records through."""

    case: Ref
    left: int = Field(description="Number of records that still wait.")


class Task(Answer):
    """Task for a person; further members depend on its kind."""

    model_config = ConfigDict(extra="allow")

    task: int
    opened: Time
    kind: str
    case: str | None = None
    event: str | None = None
    sentence: str | None = None
    code: str | None = None


class TaskList(Answer):
    """Page of open tasks, oldest first."""

    tasks: list[Task]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more.")


class TaskDone(Answer):
    """Task that is done."""

    task: int
    done: Literal[True]


class Token(Answer):
    """Token of one of the agency's systems, without the token itself."""

    name: str = Field(description="Of the system that got it.")
    scopes: list[ScopeName] = Field(description="What it permits; none: health and metrics alone.")
    state: Literal["valid", "ended", "revoked"]
    made: Time
    made_by: str = Field(description="Name of the token that asked for it, or number of the member who did at a page.")
    ends: Time
    a_minute: int | None = Field(None, description="Requests a minute, if it has a limit of its own.")
    revoked: Time | None = None
    used: int = Field(description="How often.")
    last_used: Time | None = None


class TokenList(Answer):
    """Page of tokens, by name."""

    tokens: list[Token]
    next: str | None = Field(description="Cursor of the next page; null if there is nothing more.")


class MadeToken(Token):
    """Token that was just made."""

    token: str = Field(description="Shown once: the desk has only its digest.")


class StaffMember(Answer):
    """Member of the agency's staff, as the administrator sees one."""

    number: str = Field(description="Random: all that the bus sees of the member, as `actor`.")
    name: str = Field(description="By which the member signs in; empty if the key that it was sealed to is destroyed.")
    roles: list[Role]
    language: Language
    state: Standing = Field(description="Invited: the one-time password was not used yet.")
    once_ends: Time | None = Field(None, description="End of the one-time password.")
    second_factor: list[Literal["code", "passkey", "provider"]] = Field(
        description="Beside a password, or `provider`: the agency's own sign-in."
    )
    example: bool = Field(description="An invented member of a bus for playing, who has no second factor.")
    made: Time
    signed_in: Time | None = Field(None, description="Last sign-in.")


class StaffList(Answer):
    """Page of members of staff, by number."""

    staff: list[StaffMember]
    next: str | None = Field(description="Cursor of the next page; null if there is nothing more.")


class InvitedMember(StaffMember):
    """Member of staff who was just added or reset."""

    password: str | None = Field(
        None, description="One-time password for the first sign-in, shown once; none if the member has no need of it."
    )


class Alarm(Answer):
    """Checkpoint that does not follow the checked history."""

    code: str
    sentence: str
    size: int | None
    at: Time
    record: str


class WitnessedLog(Answer):
    """Log of the history, as this desk checked and co-signed it."""

    origin: str
    size: int = Field(description="Size of the last co-signed tree.")
    root: str | None
    at: Time | None
    checked: int
    alarms: list[Alarm]


class Witness(Answer):
    """Logs of the history."""

    logs: list[WitnessedLog]


class Health(Answer):
    """State of the desk, in one snapshot; a member may be null. The page of the room `desk` explains each."""

    model_config = ConfigDict(extra="allow", json_schema_extra=plain)

    service: str = Field(description="The agency.")
    live: bool
    ready: bool = Field(description="True once the inbox was read to its end and nothing stands in the way.")
    release: str | None = None
    held_up: str | None = Field(None, description="Code of the reason why nothing is sent; null if there is none.")
    trouble: str | None = Field(
        None, description="Code of the reason why the inbox has stopped; null if there is none."
    )
    lag: int | None = Field(None, description="Unread records of the inbox; null while unknown.")
    outbox_open: int | None = Field(None, description="Events without an answer.")
    tasks: int | None = Field(None, description="Open tasks.")
    parked: int | None = Field(None, description="Cases that wait.")
