"""Somebody reads or hands on what the bus knows of a case, on record before it happens.

The reader is the event's `source` and `actor`. The subject is the case; a question over no case has as its subject a
random number of the reader's own, which no case has.

Breaking the glass is how an agency on a case learns in an emergency what no consent covers: two of its staff ask, the
holder of the case may object, and what is needed is sealed to it and to nobody else.
"""

import re
from typing import Annotated, Final, Literal

from nrmbus.events.codes import DutyRole, ExtensionGround, RevocationGround
from nrmbus.events.model import (
    AgencyId,
    Codes,
    CodesOrNone,
    Data,
    Day,
    EventId,
    Letter,
    Line,
    OneAgency,
    Part,
    Text,
    clear,
    sealed,
)
from nrmbus.events.referral import Contact

Access = Literal["letter", "event", "case", "search", "figures", "person_report", "export"]
"""Kind of access: to parts of a letter, an event, a case, all cases by a search or as figures; or a disclosure: the
person-report to the person, and a case as evidence."""

AccessPurpose = Literal[
    "case_work", "supervision", "audit", "complaint", "court", "person_request", "incident", "emergency"
]
"""Purpose: work on the case, or its supervision; an inspection by plan, on a complaint, for a court or prosecution; a
request of the person; the investigation of a loss or misuse; somebody is in danger."""

NOBODYS: Final = frozenset({"by-itself", "desk"})
"""Names under which machines act: no member of staff has one of them."""
_READER: Final = re.compile(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_reader(who: str) -> bool:
    """Return whether a person may read as *who*: a staff number has a digit and is no name reserved for machines."""
    return _READER.fullmatch(who) is not None and who.lower() not in NOBODYS


class AccessGranted(Data):
    """Somebody may read or hand on what is named here; on record before it happens, and nobody else hears of it [D]."""

    type = "access.granted"
    technical = True

    what: Annotated[Access, clear("What is read or handed on")]
    purpose: Annotated[AccessPurpose, clear("Why")]
    parts: Annotated[Codes[Part] | None, clear("The parts of a letter that are opened")] = None
    event: Annotated[
        EventId | None,
        clear("The event that is read, where it is one", example="01930000-0000-7000-8000-000000000000"),
    ] = None


class AccessRevokedLetter(Letter):
    """Why; the agency whose access ends does not learn it, since it could warn somebody."""

    revocation_ground: Annotated[
        RevocationGround | None, sealed("story", "DC4", "Why the access is ended", example="recruiter_in_group")
    ] = None


class AccessRevoked(Data):
    """One agency's access to the case ends at once: somebody of the group turned out to have recruited the others [S11] [D].

    Two members of staff act. The person, asked alone, may let the agency in again by a consent that another agency records.
    """

    type = "access.revoked"
    letter = AccessRevokedLetter

    receivers: Annotated[OneAgency, clear("The one agency whose access ends")]


Emergency = Literal["imminent_danger", "medical_emergency", "missing_person", "security_breach"]
"""Kind of emergency [D]: life or freedom is in danger now; the person needs care and cannot speak; nobody knows where the
person is; the people from whom the person flees can find her. The profile names the parts that each kind needs."""

Objection = Literal["not_needed", "person_safe", "person_refused", "already_shared", "other"]
"""Reason of the holder's objection."""


class AccessBreakGlass(Data):
    """Two of an agency's staff ask, without consent, for what an emergency needs; the holder and a second agency hear at once [D]."""

    type = "access.break_glass"

    reason: Annotated[Emergency, clear("Which emergency; the parts that are asked for follow from it")]


class AccessBreakGlassObjected(Data):
    """The duty officer of the case's holder objects in time, and nothing is handed over [D]."""

    type = "access.break_glass_objected"

    reason: Annotated[Objection, clear("Why")]
    duty_role: Annotated[DutyRole, clear("Who objects")]


class AccessResealDue(Data):
    """Nobody objected in time, or the danger does not wait: the holder's desk seals to the asking agency what it holds [D]."""

    type = "access.reseal_due"
    technical = True

    holder: Annotated[AgencyId, clear("Whose desk it is", example="example-shelter")]


class AccessResealedLetter(Letter):
    """What the holder knows of what the emergency needs; a part that it does not need stays empty."""

    name: Annotated[Line | None, sealed("identity", "DC3", "Name, or the name to go by", example="Alina Example")] = (
        None
    )
    birth_date: Annotated[Day | None, sealed("identity", "DC3", "Date of birth", example="1996-02-29")] = None
    document: Annotated[
        Line | None, sealed("identity", "DC3", "Kind and number of a document", example="Example passport XA0000000")
    ] = None
    documents: Annotated[
        Text | None, sealed("identity", "DC3", "Which papers, with their numbers", example="Example passport XA0000000")
    ] = None
    contact: Annotated[Contact | None, sealed("contact", "DC3", "How to reach the person safely")] = None
    ground: Annotated[ExtensionGround | None, sealed("health", "DC4", "What is known of the person's health")] = None


class AccessResealed(Data):
    """The holder has sealed to the asking agency what it held of the parts that the emergency needs [D]."""

    type = "access.resealed"
    letter = AccessResealedLetter

    parts: Annotated[CodesOrNone[Part], clear("The parts of which something was held; none if nothing was")]
