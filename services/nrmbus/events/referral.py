"""Referral: one agency asks another to take the person on, and gets an answer. CoM 21/2008 art. 7 [S2]."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nrmbus.events.answer import AnswerLetter, without_letter
from nrmbus.events.body import Body, Lowered
from nrmbus.events.codes import (
    ContactMethod,
    DeclinedBy,
    DeclineReason,
    DutyRole,
    Language,
    NextStep,
    Question,
    ReferralMode,
    ReferralReason,
    RevocationReason,
    Service,
    ServiceOutcome,
    Urgency,
)
from nrmbus.events.model import (
    Agencies,
    AgenciesOrRoles,
    AgencyId,
    Code,
    Codes,
    CodesOrNone,
    Data,
    Day,
    Frozen,
    Letter,
    Line,
    Text,
    clear,
    sealed,
)
from nrmbus.events.withholding import without_roles


class Contact(Frozen):
    """How the person can be reached without danger."""

    method: Annotated[ContactMethod, Field(description="By which means")]
    value: Annotated[Line, Field(description="Number, address or name to ask for; a number in E.164")]
    safe_hours: Annotated[Line | None, Field(description="When it is safe, local time")] = None


class ReferralSubmittedLetter(Letter):
    """The person, for those in `to`; a role opens at most the parts that the Rules let it read of any referral."""

    interpreter: Annotated[Language | None, sealed("coded", "DC2", "Language to interpret from, ISO 639-2/T")] = None
    name: Annotated[Line | None, sealed("identity", "DC3", "Name, or the name to go by")] = None
    birth_date: Annotated[Day | None, sealed("identity", "DC3", "Date of birth")] = None
    contact: Annotated[Contact | None, sealed("contact", "DC3", "How to reach the person safely")] = None
    facts: Annotated[Text | None, sealed("story", "DC4", "What happened, in short")] = None
    income: Annotated[Line | None, sealed("money", "DC4", "What the person lives on")] = None


class ReferralSubmitted(Data):
    """An agency asks others to take the person on; its clocks run until they answer. CoM 21/2008 art. 7 [S2]."""

    type = "referral.submitted"
    letter = ReferralSubmittedLetter

    to: Annotated[Agencies, clear("Whom the sender asks")]
    mode: Annotated[ReferralMode, clear("Whether the sender goes on with the case, or hands it over")]
    reason: Annotated[ReferralReason, clear("What for")]
    urgency: Annotated[Urgency, clear("How soon: 24 hours, 72 hours, 14 days")]
    services: Annotated[CodesOrNone[Service], clear("Services asked for")]
    child: Annotated[bool | None, clear("Whether the procedure for children applies")] = None
    withhold_from: Annotated[Agencies | None, clear("Who must not hear of it, because the person has refused them")] = (
        None
    )


TimeFrame = Literal["24_hours", "72_hours", "14_days", "30_days", "90_days"]


class ServiceAsked(Frozen):
    """One service that is asked for."""

    code: Annotated[Service, Field(description="Which service")]
    time_frame: Annotated[TimeFrame | None, Field(description="Within which time; left out: as the urgency says")] = (
        None
    )


def _each_once(asked: tuple[ServiceAsked, ...]) -> tuple[ServiceAsked, ...]:
    if len(asked) != len({each.code for each in asked}):
        message = "a list of services names each once"
        raise ValueError(message)
    return asked


class ReferralSubmittedLetterV2(Letter):
    """The person, for those in `to`; a role opens at most the parts that the Rules let it read of any referral."""

    interpreter: Annotated[
        Codes[Language] | None,
        sealed("coded", "DC2", "Languages to interpret from, ISO 639-2/T, the preferred first", example=["rus", "tur"]),
    ] = None
    name: Annotated[Line | None, sealed("identity", "DC3", "Name, or the name to go by")] = None
    birth_date: Annotated[Day | None, sealed("identity", "DC3", "Date of birth")] = None
    contact: Annotated[Contact | None, sealed("contact", "DC3", "How to reach the person safely")] = None
    facts: Annotated[Text | None, sealed("story", "DC4", "What happened, in short")] = None
    income: Annotated[Line | None, sealed("money", "DC4", "What the person lives on")] = None


class ReferralSubmittedV2(Data):
    """As version 1; each service has its time frame, and there may be several languages to interpret from. [D]."""

    type = "referral.submitted"
    version = 2
    letter = ReferralSubmittedLetterV2

    to: Annotated[Agencies, clear("Whom the sender asks")]
    mode: Annotated[ReferralMode, clear("Whether the sender goes on with the case, or hands it over")]
    reason: Annotated[ReferralReason, clear("What for")]
    urgency: Annotated[Urgency, clear("How soon: 24 hours, 72 hours, 14 days")]
    services: Annotated[
        tuple[ServiceAsked, ...],
        Field(max_length=32),
        AfterValidator(_each_once),
        clear("Services asked for, each code once"),
    ]
    child: Annotated[bool | None, clear("Whether the procedure for children applies")] = None
    withhold_from: Annotated[Agencies | None, clear("Who must not hear of it, because the person has refused them")] = (
        None
    )

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1's services say no time frame, and its one language becomes a list of one."""
        data = {**body.data, "services": [{"code": code} for code in body.data["services"]]}
        letter = dict(body.letter)
        if "interpreter" in letter:
            letter["interpreter"] = [letter["interpreter"]]
        return Body(data, letter)

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no time frames, and room for one language: the preferred one."""
        asked = body.data["services"]
        lost = [f"/data/services/{at}/time_frame" for at, each in enumerate(asked) if "time_frame" in each]
        data = {**body.data, "services": [each["code"] for each in asked]}
        letter = dict(body.letter)
        if "interpreter" in letter:
            letter["interpreter"], *others = letter["interpreter"]
            lost += [f"/letter/interpreter/{at}" for at, _ in enumerate(others, 1)]
        return Lowered(Body(data, letter), tuple(lost))


class ReferralSubmittedV3(Data):
    """As version 2; who must not hear of it may be named by role as well as by id. Rules T03, G-33."""

    type = "referral.submitted"
    version = 3
    letter = ReferralSubmittedLetterV2

    to: Annotated[Agencies, clear("Whom the sender asks")]
    mode: Annotated[ReferralMode, clear("Whether the sender goes on with the case, or hands it over")]
    reason: Annotated[ReferralReason, clear("What for")]
    urgency: Annotated[Urgency, clear("How soon: 24 hours, 72 hours, 14 days")]
    services: Annotated[
        tuple[ServiceAsked, ...],
        Field(max_length=32),
        AfterValidator(_each_once),
        clear("Services asked for, each code once"),
    ]
    child: Annotated[bool | None, clear("Whether the procedure for children applies")] = None
    withhold_from: Annotated[
        AgenciesOrRoles | None,
        clear(
            "Agencies, by id or by role, that must not hear of it, because the person has refused them",
            example=["example-police", "special_unit"],
        ),
    ] = None

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 2 names agencies by id, which version 3 does too."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 2 has no place for a role, unless the role has the form of an id (`without_roles`)."""
        return without_roles(body)


class ReferralAcknowledged(Data):
    """The receiver has it [S2]."""

    type = "referral.acknowledged"

    receipt_no: Annotated[Code, clear("The receiver's number of the receipt")]
    duty_role: Annotated[DutyRole, clear("Who took it; at the special unit only its duty officer may")]


class ReferralInfoRequested(Data):
    """The receiver asks for more; its clock pauses until the answer."""

    type = "referral.info_requested"

    question: Annotated[Question, clear("What about")]


class ReferralInfoRequestedV2(Data):
    """As version 1; the receiver may put its question in words. [D]."""

    type = "referral.info_requested"
    version = 2
    letter = AnswerLetter

    question: Annotated[Question, clear("What about")]

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 has no letter, which stays empty."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no letter."""
        return without_letter(body)


class ReferralInfoSuppliedLetter(Letter):
    """The answer."""

    answer: Annotated[Text | None, sealed("story", "DC4", "The answer")] = None


class ReferralInfoSupplied(Data):
    """The sender answers; the receiver's clock runs on [S35]."""

    type = "referral.info_supplied"
    letter = ReferralInfoSuppliedLetter

    question: Annotated[Question, clear("What about")]


class ReferralAccepted(Data):
    """The receiver takes the person on [S46]."""

    type = "referral.accepted"

    next_step: Annotated[NextStep, clear("What it does next")]


class ReferralAcceptedV2(Data):
    """As version 1; the receiver may say in words what happens next. [D]."""

    type = "referral.accepted"
    version = 2
    letter = AnswerLetter

    next_step: Annotated[NextStep, clear("What it does next")]

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 has no letter, which stays empty."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no letter."""
        return without_letter(body)


class ReferralDeclined(Data):
    """The receiver, or the person, says no [S46]."""

    type = "referral.declined"

    reason: Annotated[DeclineReason, clear("Why")]
    declined_by: Annotated[DeclinedBy, clear("Who said no")]
    alternative: Annotated[AgencyId | None, clear("Who may be asked instead")] = None


class ReferralDeclinedV2(Data):
    """As version 1; the receiver may give its reason in words. [D]."""

    type = "referral.declined"
    version = 2
    letter = AnswerLetter

    reason: Annotated[DeclineReason, clear("Why")]
    declined_by: Annotated[DeclinedBy, clear("Who said no")]
    alternative: Annotated[AgencyId | None, clear("Who may be asked instead", example="example-centre")] = None

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 has no letter, which stays empty."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no letter."""
        return without_letter(body)


class ReferralRevoked(Data):
    """The sender takes it back [S46]."""

    type = "referral.revoked"

    reason: Annotated[RevocationReason, clear("Why")]


class ReferralExpired(Data):
    """The timekeeper ends a referral that nobody answered [S46]."""

    type = "referral.expired"

    reason: Annotated[RevocationReason, clear("Why")]


class ReferralCompleted(Data):
    """The receiver has done what it was asked [S46]."""

    type = "referral.completed"

    outcome: Annotated[ServiceOutcome, clear("What came of it")]
