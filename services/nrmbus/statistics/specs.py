"""Every table of the figures, and the codes of its dimensions. Pure.

A table of *persons* needs the coded parts of letters; a table of *events* needs envelopes only, so that everybody with the
history can count it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from nrmbus.events import codes
from nrmbus.events.figures import TOTAL, UNKNOWN, Unit

Record = Mapping[str, str]
"""A counted person or event: the code of each dimension of the population, and the case of an event."""

ABOUT: Final = "case"
"""Name under which the record of an event has its case; no dimension is called so."""

Cell = tuple[str, tuple[tuple[str, str], ...]]
"""One cell, whichever table shows it: the population, and dimension and code of each restriction, sorted."""

Needs = Literal["letters", "envelopes"]
"""Kind of facts that a table is counted from."""

OTHER: Final = "other"
VICTIM: Final = "ActualVictimOfTrafficking"
ANSWERS: Final = {
    "referral.accepted": "accepted",
    "referral.declined": "declined",
    "referral.revoked": "revoked",
    "referral.expired": "expired",
}
_SERVICES: Final = frozenset({"auditor", "timekeeper", "registrar"})
ROLES: Final = (*(each for each in get_args(codes.Role) if each not in _SERVICES), UNKNOWN)
_FORMS: Final = ("sexual", "labour", "begging", "criminality", "organs", OTHER, "several", UNKNOWN)

CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "sex": get_args(codes.Sex),
    "age": ("child", "adult", UNKNOWN),
    "age_band": get_args(codes.AgeBand),
    "citizenship_group": ("national", "foreign", UNKNOWN),
    "form": _FORMS,
    "sector": (*get_args(codes.Sector), UNKNOWN),
    "detector": get_args(codes.Detector),
    "status": get_args(codes.VictimStatus),
    "role": ROLES,
    "sender": ROLES,
    "answer": tuple(ANSWERS.values()),
    "reason": get_args(codes.DeclineReason),
    "service": get_args(codes.Service),
    "kind": get_args(codes.PaymentKind),
    "purpose": get_args(codes.GrantPurpose),
    "source": get_args(codes.GrantSource),
    "outcome": ("met", "missed"),
    "measure": (
        "case.re_referred", "case.withdrawn", "case.follow_up_recorded", "consent.refused", "consent.withdrawn", "access.break_glass",
        "access.revoked", "identification.interview_held",
    ),
}  # fmt: skip
"""Closed list of each dimension: every code is a row of every table, so a suppressed row says nothing by being there."""

OPEN: Final = frozenset({"citizenship", "region"})
"""Dimensions without a closed list: a code is a row only if its count may be published; the others are in `other`."""

WITHIN: Final[Mapping[str, str]] = {"age_band": "age", "citizenship": "citizenship_group"}
"""Dimensions that divide the codes of another dimension: each code lies in exactly one code of the other."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Table that is made of the records of a *population*; *fixed* restricts it, and the table does not show that."""

    id: str
    title: str
    population: str
    dimensions: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    unit: Unit = "persons"
    needs: Needs = "letters"
    adds_up: bool = True
    """True if each record has one code of each dimension, so that the table has totals."""
    yearly: bool = False

    def cell(self, keys: tuple[str, ...]) -> Cell:
        """Return the cell of the row *keys*, the same for every table that shows it."""
        said = zip(self.dimensions, keys, strict=True)
        return self.population, tuple(sorted({*self.fixed, *(each for each in said if each[1] != TOTAL)}))


_IDENTIFIED: Final = (("status", VICTIM),)


def _identified(dimensions: tuple[str, ...], words: str, *, yearly: bool = False) -> Spec:
    name = "identified_by_" + "_and_".join(
        each for each in dimensions if each not in WITHIN.values() or len(dimensions) == 1 or "sex" in dimensions
    )
    return Spec(name, f"Identified victims by {words}", "decided", dimensions, _IDENTIFIED, yearly=yearly)


SPECS: Final[tuple[Spec, ...]] = (
    Spec("signalled_by_detector", "Persons with a signal, by detector", "signalled", ("detector",)),
    Spec("signalled_by_sex", "Persons with a signal, by sex", "signalled", ("sex",)),
    Spec("signalled_by_age", "Persons with a signal, children and adults", "signalled", ("age",)),
    Spec("presumed_by_sex", "Presumed victims by sex", "presumed", ("sex",)),
    Spec("presumed_by_age", "Presumed victims, children and adults", "presumed", ("age",)),
    Spec("decided_by_status", "Persons with a decision on status", "decided", ("status",)),
    _identified(("sex",), "sex"),
    _identified(("age",), "children and adults"),
    _identified(("age", "age_band"), "age band"),
    _identified(("sex", "age"), "sex, children and adults"),
    _identified(("citizenship_group",), "citizenship, national or foreign"),
    _identified(("sex", "citizenship_group"), "sex and citizenship"),
    _identified(("citizenship_group", "citizenship"), "country of citizenship", yearly=True),
    _identified(("form",), "form of exploitation"),
    _identified(("sex", "form"), "sex and form of exploitation"),
    _identified(("sector",), "sector of the work"),
    _identified(("region",), "region where the person was found", yearly=True),
    _identified(("detector",), "detector"),
    Spec("reflection_by_sex", "Persons given a recovery and reflection period", "reflection", ("sex",)),
    Spec("permit_by_sex", "Persons given a residence permit", "permit", ("sex",)),
    Spec("sheltered_by_sex", "Persons admitted to a shelter", "sheltered", ("sex",)),
    Spec("assisted_by_sex", "Persons who received a service", "assisted", ("sex",)),
    Spec("assisted_by_service", "Persons who received each service", "helped", ("service",), adds_up=False),
    Spec("steps_by_type", "Persons with each step of return, justice and compensation", "steps", ("step",), adds_up=False),
    Spec("paid_by_kind", "Payments made, by kind", "paid", ("kind",), unit="events", needs="envelopes", adds_up=False, yearly=True),
    Spec(
        "granted_by_purpose_and_source", "Money granted, by purpose and source", "granted", ("purpose", "source"), unit="events",
        needs="envelopes", yearly=True,
    ),
    Spec("referrals_by_role", "Referrals, by role of the receiver", "referrals", ("role",), unit="events", needs="envelopes"),
    Spec("answers_by_role", "Answers to referrals, by role of the receiver", "answers", ("role", "answer"), unit="events", needs="envelopes"),
    Spec("answers_by_sender", "Answers to referrals, by role of the sender", "answers", ("sender", "answer"), unit="events", needs="envelopes"),
    Spec(
        "declined_by_reason", "Declined referrals, by role of the receiver and reason", "answers", ("role", "reason"),
        (("answer", "declined"),), unit="events", needs="envelopes",
    ),
    Spec("clocks_by_rule", "Duties met and missed, by clock", "clocks", ("rule", "outcome"), unit="events", needs="envelopes"),
    Spec("clocks_by_role", "Duties met and missed, by role", "clocks", ("role", "outcome"), unit="events", needs="envelopes"),
    Spec("measures_by_type", "Other events, by type", "measures", ("measure",), unit="events", needs="envelopes", adds_up=False),
)  # fmt: skip
"""Every counted table of a release, in order."""

MONEY: Final = Spec(
    "paid_amount_by_kind",
    "Money paid, by kind",
    "paid",
    ("kind",),
    unit="AZN",
    needs="envelopes",
    adds_up=False,
    yearly=True,
)
"""Sums, each shown where its count is: with a known tariff a sum is a count, so there is none of a quarter and no total."""

MEDIANS: Final = (
    Spec("minutes_to_answer_by_role", "Median time to answer a referral, by role of the receiver", "answers", ("role",), unit="minutes", needs="envelopes"),
    Spec("minutes_to_answer_by_sender", "Median time to answer a referral, by role of the sender", "answers", ("sender",), unit="minutes", needs="envelopes"),
)  # fmt: skip
"""Medians, each shown where the count of answers below it is."""

COUNTED_IN: Final[Mapping[str, str]] = {
    MONEY.id: "paid_by_kind",
    **{spec.id: "answers_by_" + spec.dimensions[0] for spec in MEDIANS},
}
"""The table of counts on which each table of other numbers rests."""

NEEDS: Final[Mapping[str, Needs]] = {spec.id: spec.needs for spec in (*SPECS, MONEY, *MEDIANS)}
"""Kind of facts that each table is counted from, by the table's id."""
