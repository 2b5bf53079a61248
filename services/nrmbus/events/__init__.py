"""The published language: every type and version of event, one module per step of the mechanism.

Pure: no clock, no I/O. A module's new type or version is published by being defined in it.
"""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from nrmbus.events import (
    access,
    case,
    consent,
    deadline,
    delivery,
    erasure,
    handover,
    identification,
    payment,
    recovery,
    referral,
    review,
    safeguard,
    shelter,
    stay,
    support,
)
from nrmbus.events.access import (
    AccessBreakGlass,
    AccessBreakGlassObjected,
    AccessGranted,
    AccessResealDue,
    AccessResealed,
    AccessResealedLetter,
)
from nrmbus.events.body import Body, Lowered
from nrmbus.events.case import (
    Closed,
    FollowUpDue,
    FollowUpRecorded,
    FollowUpRecordedLetter,
    IncidentOpened,
    IncidentOpenedLetter,
    IndicatorCounts,
    Linked,
    LinkedLetter,
    Reopened,
    ReReferred,
    ReReferredLetter,
    SignalDismissed,
    SignalRecorded,
    SignalRecordedLetter,
    Withdrawn,
)
from nrmbus.events.casting import Cast, Lost, cast, in_version
from nrmbus.events.consent import (
    ConsentGiven,
    ConsentObjected,
    ConsentOverridden,
    ConsentRefused,
    ConsentStopConfirmed,
    ConsentWithdrawn,
)
from nrmbus.events.deadline import (
    DeadlineBreached,
)
from nrmbus.events.delivery import (
    LetterKeptShut,
    LetterOpened,
    LetterUnreadable,
)
from nrmbus.events.erasure import (
    AccessErasureConfirmed,
    AccessErasureDue,
    AccessHoldPlaced,
    AccessTerminated,
    AccessTerminatedLetter,
)
from nrmbus.events.errors import (
    EventError,
    Invalid,
    Problem,
    UnknownType,
    UnknownVersion,
)
from nrmbus.events.handover import (
    DocumentTransferred,
    DocumentTransferredLetter,
    PersonReceived,
)
from nrmbus.events.identification import (
    IndicatorsScreened,
    IndicatorsScreenedLetter,
    InterviewHeld,
    InterviewHeldLetter,
    ReasonableGroundsDecided,
    StageEntered,
    StatusDecided,
    StatusDecidedLetter,
    StatusRevoked,
)
from nrmbus.events.model import (
    PARTS,
    AgencyId,
    CaseRef,
    Data,
    DataClass,
    Draft,
    Event,
    EventId,
    Fact,
    Frozen,
    Letter,
    Part,
    Time,
)
from nrmbus.events.payment import (
    Amount,
    PaymentExecuted,
    PaymentFailed,
    PaymentOrdered,
    PaymentOrderedLetter,
)
from nrmbus.events.recovery import (
    PeriodEnded,
    PeriodExtended,
    PeriodExtendedLetter,
    PeriodReviewed,
    PeriodStarted,
)
from nrmbus.events.referral import (
    Contact,
    ReferralAccepted,
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralInfoSupplied,
    ReferralInfoSuppliedLetter,
    ReferralRevoked,
    ReferralSubmitted,
    ReferralSubmittedLetter,
)
from nrmbus.events.review import (
    ReviewDecided,
    ReviewRequested,
    ReviewRequestedLetter,
)
from nrmbus.events.safeguard import (
    AgeAssessed,
    BestInterestsDecided,
    ChildFlagged,
    RepresentativeAssigned,
    ReturnedToFamily,
)
from nrmbus.events.shelter import (
    Admitted,
    BedOffered,
    BedRefused,
    BedRequested,
    BedRequestedLetter,
    Discharged,
    OfferLapsed,
)
from nrmbus.events.stay import (
    HoldConfirmed,
    HoldEnded,
    HoldRequested,
    HoldRequestedLetter,
    PermitIssued,
    PermitIssuedLetter,
    PermitRefused,
    PermitRefusedLetter,
    PermitRenewed,
    PermitRenewedLetter,
)
from nrmbus.events.support import (
    NeedsAssessed,
    NeedsAssessedLetter,
    PlanAdopted,
    PlanCompleted,
    PlanRevised,
    ServiceDelivered,
    ServiceNotDelivered,
    ServiceRequested,
    ServiceScheduled,
)

__all__ = [
    "MODULES",
    "PARTS",
    "TYPES",
    "AccessBreakGlass",
    "AccessBreakGlassObjected",
    "AccessErasureConfirmed",
    "AccessErasureDue",
    "AccessGranted",
    "AccessHoldPlaced",
    "AccessResealDue",
    "AccessResealed",
    "AccessResealedLetter",
    "AccessTerminated",
    "AccessTerminatedLetter",
    "Admitted",
    "AgeAssessed",
    "AgencyId",
    "Amount",
    "BedOffered",
    "BedRefused",
    "BedRequested",
    "BedRequestedLetter",
    "BestInterestsDecided",
    "Body",
    "CaseRef",
    "Cast",
    "ChildFlagged",
    "Closed",
    "ConsentGiven",
    "ConsentObjected",
    "ConsentOverridden",
    "ConsentRefused",
    "ConsentStopConfirmed",
    "ConsentWithdrawn",
    "Contact",
    "Data",
    "DataClass",
    "DeadlineBreached",
    "Discharged",
    "DocumentTransferred",
    "DocumentTransferredLetter",
    "Draft",
    "Event",
    "EventError",
    "EventId",
    "Fact",
    "FollowUpDue",
    "FollowUpRecorded",
    "FollowUpRecordedLetter",
    "Frozen",
    "HoldConfirmed",
    "HoldEnded",
    "HoldRequested",
    "HoldRequestedLetter",
    "IncidentOpened",
    "IncidentOpenedLetter",
    "IndicatorCounts",
    "IndicatorsScreened",
    "IndicatorsScreenedLetter",
    "InterviewHeld",
    "InterviewHeldLetter",
    "Invalid",
    "Letter",
    "LetterKeptShut",
    "LetterOpened",
    "LetterUnreadable",
    "Linked",
    "LinkedLetter",
    "Lost",
    "Lowered",
    "NeedsAssessed",
    "NeedsAssessedLetter",
    "OfferLapsed",
    "Part",
    "PaymentExecuted",
    "PaymentFailed",
    "PaymentOrdered",
    "PaymentOrderedLetter",
    "PeriodEnded",
    "PeriodExtended",
    "PeriodExtendedLetter",
    "PeriodReviewed",
    "PeriodStarted",
    "PermitIssued",
    "PermitIssuedLetter",
    "PermitRefused",
    "PermitRefusedLetter",
    "PermitRenewed",
    "PermitRenewedLetter",
    "PersonReceived",
    "PlanAdopted",
    "PlanCompleted",
    "PlanRevised",
    "Problem",
    "ReReferred",
    "ReReferredLetter",
    "ReasonableGroundsDecided",
    "ReferralAccepted",
    "ReferralAcknowledged",
    "ReferralCompleted",
    "ReferralDeclined",
    "ReferralExpired",
    "ReferralInfoRequested",
    "ReferralInfoSupplied",
    "ReferralInfoSuppliedLetter",
    "ReferralRevoked",
    "ReferralSubmitted",
    "ReferralSubmittedLetter",
    "Reopened",
    "RepresentativeAssigned",
    "ReturnedToFamily",
    "ReviewDecided",
    "ReviewRequested",
    "ReviewRequestedLetter",
    "ServiceDelivered",
    "ServiceNotDelivered",
    "ServiceRequested",
    "ServiceScheduled",
    "SignalDismissed",
    "SignalRecorded",
    "SignalRecordedLetter",
    "StageEntered",
    "StatusDecided",
    "StatusDecidedLetter",
    "StatusRevoked",
    "Time",
    "UnknownType",
    "UnknownVersion",
    "Withdrawn",
    "cast",
    "data_type",
    "in_version",
    "versions",
]

MODULES: tuple[ModuleType, ...] = (
    case,
    consent,
    referral,
    handover,
    identification,
    recovery,
    safeguard,
    shelter,
    support,
    payment,
    stay,
    review,
    deadline,
    delivery,
    access,
    erasure,
)
"""In the order of the mechanism."""


def _published(modules: tuple[ModuleType, ...]) -> Mapping[tuple[str, int], type[Data]]:
    types: dict[tuple[str, int], type[Data]] = {}
    for module in modules:
        for found in vars(module).values():
            if not (
                isinstance(found, type)
                and issubclass(found, Data)
                and found.__module__ == module.__name__
                and hasattr(found, "type")
            ):
                continue
            if (found.type, found.version) in types:
                message = f"{found.type} version {found.version} is defined twice"
                raise TypeError(message)
            types[found.type, found.version] = found
    return MappingProxyType(types)


TYPES: Mapping[tuple[str, int], type[Data]] = _published(MODULES)
"""Every published (type, version), types without the prefix ``nrm.``, in the order of the mechanism."""


def _by_type() -> Mapping[str, Mapping[int, type[Data]]]:
    found: dict[str, dict[int, type[Data]]] = {}
    for (name, version), data in sorted(TYPES.items()):
        found.setdefault(name, {})[version] = data
    return MappingProxyType({name: MappingProxyType(each) for name, each in found.items()})


_VERSIONS: Mapping[str, Mapping[int, type[Data]]] = _by_type()


def versions(name: str) -> Mapping[int, type[Data]]:
    """The models of the type *name* by version, lowest first; empty if there is no such type."""
    return _VERSIONS.get(name, MappingProxyType({}))


def data_type(name: str, version: int) -> type[Data]:
    """The model of the type *name* in *version*. Raise UnknownType or UnknownVersion, which do not repeat what was asked."""
    if found := TYPES.get((name, version)):
        return found
    if known := versions(name):
        raise UnknownVersion(known)
    raise UnknownType
