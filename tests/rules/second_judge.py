"""A second judge of verdicts and statuses: written from the text of RULES.md, with nothing of `nrmbus.rules` in it.

It reads groups and rows from the tables of the page, and keeps of a case what the text speaks of: the person's statements,
whether she is a child, the status. It knows nothing of how the engine keeps a case, folds it or asks its rules.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

TEXT: Final = (Path(__file__).parents[2] / "services/nrmbus/rules/RULES.md").read_text()
ZONE: Final = ZoneInfo("Asia/Baku")
SHARING: Final = "information_sharing"
PURPOSES: Final = ("services", SHARING, "anonymous_reporting", "tracing")
REFERRAL: Final = "referral.submitted"
ACTS: Final = (
    "case.merged", "handover.person_received", "identification.stage_entered", "identification.interview_held",
    "identification.indicators_screened", "identification.reasonable_grounds_decided", "identification.status_decided",
    "identification.status_revoked", "recovery.period_started", "recovery.extended", "recovery.reviewed", "recovery.ended",
)  # fmt: skip
"""Events by which the special unit acts with the person (G-32: identification, recovery, reception; T21b)."""
RETURN: Final = (
    "return.consented",
    "return.risk_assessed",
    "return.travel_arranged",
    "return.completed",
    "return.monitored",
)
NAMED_IN: Final[Mapping[str, tuple[str, ...]]] = {
    REFERRAL: ("RECEIVERS",), "shelter.bed_requested": ("SHELTERS",), "service.requested": ("SERVICE_PROVIDERS",),
    "return.consented": ("RETURN_HELPERS",), "stay.hold_requested": ("migration",), "safeguard.child_flagged": ("GUARDIANS",),
}  # fmt: skip
"""G-10: to whom each of these may be addressed."""
JUDGED: Final = (
    "G-01", "G-07", "G-10", "G-20", "G-21", "G-22", "G-23", "G-25", "G-30", "G-31", "G-32", "G-33", "G-34", "G-35", "G-36", "G-37", "G-40",
    "G-43", "G-44", "G-45", "G-63",
)  # fmt: skip


def table(name: str) -> Iterator[list[str]]:
    """Yield the rows of the table *name* of the page."""
    found = TEXT.partition(f"<!-- {name} -->")[2].partition(f"<!-- end of {name} -->")[0]
    for line in found.splitlines()[3:]:
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> frozenset[str]:
    """Return the words of a cell that are written as code."""
    return frozenset(re.findall(r"`([^`]+)`", cell))


AFTERWARDS: Final = {row[0]: words(row[1]) for row in table("afterwards")}
"""G-40: what may still be published in some statuses, as patterns."""
MOVING: Final = frozenset[str]().union(*(words(row[3]) for row in table("statuses")))
"""Types that the table of statuses names; G-40 is not judged of them here, since its conditions are words."""
GROUPS: Final = {next(iter(words(name))): words(roles) for name, roles in table("groups")}
PUBLISHERS: Final = {next(iter(words(row[0]))): words(row[1]) for row in table("types")}


def number(said: str | None) -> str:
    """Return a staff number as it is read aloud."""
    return re.sub(r"[^a-z0-9]|(?<![0-9])0+(?=[0-9])", "", (said or "").lower())


def _is_over(word: tuple[str, str | None, str], day: str) -> bool:
    """Return whether the last day of *word* lies before *day*."""
    return word[1] is not None and day > word[1]


class Second:
    """One case, as the text of the Rules tells it."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        """Know the roles of all agencies."""
        self.roles = roles
        self.child: bool | None = None
        self.was_child = False
        """Whether the case was a child's once."""
        self.detector = ""
        self.flagged: set[str] = set()
        self.represented = self.screened = False
        self.statements: dict[tuple[str, str], list[tuple[str, str | None, str]]] = {}
        """The person's words about each agency and purpose, in order: the word, its last day, and the recorder of a bar."""
        self.status: str | None = None
        self.before: dict[str, str | None] = {}
        self.closed_from: str | None = None
        self.referrals: dict[str, dict[str, str]] = {}
        self.senders: dict[str, str] = {}
        self.left: set[str] = set()
        self.deleted: set[str] = set()
        """Agencies that confirmed `deleted` once."""
        self.reviews: dict[str, str] = {}
        self.hands_over: set[str] = set()
        """Referrals by whose acceptance the receiver takes the case over."""

    # Words

    def within(self, agency: str, *names: str) -> bool:
        """Return whether the role of *agency* is one of *names*, roles or groups."""
        role = self.roles.get(agency, "")
        return any(role == name or role in GROUPS.get(name, ()) for name in names)

    @property
    def units(self) -> list[str]:
        """The bodies that decide."""
        return [agency for agency in self.roles if self.within(agency, "DECIDERS")]

    def units_asked(self, ref: str) -> set[str]:
        """Return the deciding bodies of the referral, unless they declined, or the referral was taken back or ran out (reading 149)."""
        asked = self.referrals.get(ref, {})
        return {each for each in self.units if asked.get(each) in ("asked", "accepted", "completed")}

    @property
    def members(self) -> set[str]:
        """The members of a plan in force, whom a later reading knows (`Parties`)."""
        return set()

    def lives_in(self, agency: str, ref: str | None) -> bool:
        """Return whether the person lives in the house *agency* by the request *ref*, which a later reading knows (`Parties`)."""
        return False

    def stands(self, agency: str, purpose: str, day: str) -> str | None:
        """Return the person's last word about *agency* and *purpose* that still holds on *day*."""
        return self.word_on(agency, purpose, day)[0]

    def word_on(self, agency: str, purpose: str, day: str) -> tuple[str | None, str | None, str]:
        """Return what holds on *day*: once the newest word is over, a bar that stood before all words with a last day (reading 144)."""
        said = self.statements.get((agency, purpose), [])
        if said and not _is_over(said[-1], day):
            return said[-1]
        return self._bar_before(said) or (None, None, "")

    def bar_of(self, agency: str) -> tuple[str, str | None, str] | None:
        """Return the word against *agency* that holds, or holds again once a consent or override is over."""
        return self._bar_before(self.statements.get((agency, SHARING), []))

    @staticmethod
    def _bar_before(said: "list[tuple[str, str | None, str]]") -> tuple[str, str | None, str] | None:
        """Return the bar that her newest word without a last day is; an override is no word of hers."""
        lasting = next((each for each in reversed(said) if each[1] is None and each[0] != "overridden"), None)
        return lasting if lasting and lasting[0] in ("refused", "withdrawn") else None

    # Verdicts

    def refusals(self, event: Any, now: datetime) -> frozenset[str]:
        """Return which of the judged rules refuse *event* at *now*."""
        asked = Asked(self, event, now)
        return frozenset(rule for rule in JUDGED if getattr(asked, rule.replace("-", "_").lower())())

    # What happens

    def take(self, event: Any, day: str) -> None:
        """Take what was registered on *day*."""
        said, kind, by = event.data, event.type, event.source
        self.was_child = self.was_child or bool(self.child)
        self._move(event)
        if kind in ("case.signal_recorded", "case.re_referred"):
            self.detector, self.child = by, said.child
        elif kind == "safeguard.child_flagged":
            self.child = True
            self.flagged |= {each for each in said.to if self.within(each, "GUARDIANS")}
        elif kind == "safeguard.age_assessed":
            self.child = said.result != "adult"
        elif kind == "safeguard.representative_assigned":
            self.represented = True
        elif kind == "identification.indicators_screened":
            self.screened = True
        elif kind.startswith("consent.") and kind.removeprefix("consent.") in (
            "given",
            "refused",
            "withdrawn",
            "overridden",
        ):
            word = kind.removeprefix("consent.")
            for purpose in PURPOSES if word == "overridden" else said.purposes:
                about, new = (said.receivers[0], purpose), (word, getattr(said, "expires", None), "")
                if _is_over(new, day):
                    continue
                behind = self.word_on(*about, day)[2] if by == said.receivers[0] else ""
                against = by if by != said.receivers[0] and word in ("refused", "withdrawn") else behind
                self.statements.setdefault(about, []).append((*new[:2], against))
        elif kind == "review.requested":
            self.reviews[event.referral] = said.kind
        elif kind == "case.reopened" and said.reason != "closed_in_error":  # T22: she is asked anew; a refusal stands
            self.statements = {
                about: [bar] for about, each in self.statements.items() if (bar := self._bar_before(each))
            }
        elif kind == "consent.stop_confirmed" and said.answer == "deleted":
            self.left.add(by)
            self.deleted.add(by)

    def _move(self, event: Any) -> None:
        said, kind, by = event.data, event.type, event.source
        ref = event.referral or event.id
        if kind in ("case.signal_recorded", "case.re_referred"):
            self.status = "SUSPECTED"
        elif kind == REFERRAL:
            self._refer(event, ref)
        elif kind == "plan.adopted":
            if (
                self.status == "SUSPECTED"
                and by == self.detector
                and self.within(by, "PROVIDERS")
                and self.refused_unit(event)
            ):
                self.status = "SUPPORT_NO_STATUS"
        elif kind in ("case.signal_dismissed", "case.closed") or (kind == "case.merged" and said.outcome == "ends"):
            self.closed_from, self.status = self.status, "CLOSED"
        elif kind == "case.reopened":
            self.status = self.closed_from
        elif kind in ("referral.declined", "referral.revoked", "referral.expired", "referral.accepted"):
            self._answer(event, ref)
        elif kind == "case.withdrawn":
            self.status = "WITHDRAWN"
            for parties in self.referrals.values():
                parties.update({each: "expired" for each, state in parties.items() if state == "asked"})
        else:
            self.status = self._decided(event)

    def _decided(self, event: Any) -> str | None:
        """Return the status after a step of identification or a review (T08 to T20)."""
        said, kind = event.data, event.type
        if kind == "identification.stage_entered" and said.stage == "initial_assistance":
            return "UNDER_IDENTIFICATION"
        if kind == "identification.reasonable_grounds_decided":
            return "PRESUMED" if said.outcome == "positive" else "NOT_IDENTIFIED"
        if kind == "identification.status_decided":
            return "IDENTIFIED" if said.status == "ActualVictimOfTrafficking" else "NOT_IDENTIFIED"
        if kind == "identification.status_revoked":
            return "NOT_IDENTIFIED"
        if kind == "review.decided" and said.outcome == "reopen" and self.status == "NOT_IDENTIFIED":
            return "UNDER_IDENTIFICATION"
        return self.status

    def _refer(self, event: Any, ref: str) -> None:
        to, names = event.data.to, event.data.withhold_from or ()
        self.referrals[ref], self.senders[ref] = dict.fromkeys(to, "asked"), event.source
        day = f"{event.recordedtime.astimezone(ZONE):%Y-%m-%d}"
        others = [each for each in self.units if each not in names and self.roles[each] not in names]
        withheld = (
            any(self.within(each, "DECIDERS") or each in GROUPS["DECIDERS"] for each in names)
            and any(self.within(each, "PROVIDERS") for each in to)
            and not any(self.stands(each, SHARING, day) in ("given", "overridden") for each in others)  # reading 168
        )
        self.hands_over.discard(ref)
        if event.data.mode == "transfer" or (withheld and self.status == "SUSPECTED"):
            self.hands_over.add(ref)
        self.left -= set(to)
        if any(self.within(each, "DECIDERS") for each in to):
            self.before[ref] = (
                self.status if self.status != "REFERRED" else next(reversed(self.before.values()), self.status)
            )
            self.status, self.screened = "REFERRED", False
        else:
            self.before.pop(ref, None)
            if withheld and self.status == "SUSPECTED":
                self.status = "SUPPORT_NO_STATUS"

    def _answer(self, event: Any, ref: str) -> None:
        parties, kind = self.referrals.get(ref, {}), event.type.removeprefix("referral.")
        before = dict(parties)
        if kind in ("accepted", "declined"):
            parties[event.source] = kind
        else:
            waiting = [each for each, state in parties.items() if state == "asked"]
            others = [each for each in waiting if not self.within(each, "DECIDERS") or each in self.left]
            parties.update(dict.fromkeys(others if kind == "expired" and others else waiting, kind))
        units = [state for each, state in parties.items() if self.within(each, "DECIDERS")]
        if all(before[each] == state for each, state in parties.items() if self.within(each, "DECIDERS")):
            return  # the others of a referral that the unit has answered: another one may have made the case REFERRED since
        # T07: about the referral that made the case REFERRED; while a unit still owes its answer, or has accepted, it stays (reading 82)
        if units and self.status == "REFERRED" and not {"asked", "accepted"} & set(units):
            self.status = self.before.get(ref, self.status)

    def refused_unit(self, event: Any, day: str | None = None) -> bool:
        """Return whether an adult's refusal of a deciding body stands, and no consent to another one (reading 168)."""
        day = day or f"{event.recordedtime.astimezone(ZONE):%Y-%m-%d}"
        words = {self.stands(unit, SHARING, day) for unit in self.units}
        return not self.is_child(event) and "refused" in words and not words & {"given", "overridden"}

    def is_child(self, event: Any) -> bool:
        """Return whether the procedure for children applies to *event*."""
        finds = event.type == "safeguard.age_assessed" and event.data.result != "adult"
        if event.type == "safeguard.child_flagged" or finds:
            return True
        return bool(self.child if self.child is not None else getattr(event.data, "child", False))


class Asked:
    """One event that is asked about; a method for each rule, with the words of section 4 beside it."""

    def __init__(self, case: Second, event: Any, now: datetime) -> None:
        """Ask about *event* at *now*."""
        self.case, self.event, self.said, self.kind, self.by = case, event, event.data, event.type, event.source
        self.child = case.is_child(event)
        self.day = f"{max(event.recordedtime, now).astimezone(ZONE):%Y-%m-%d}"
        self.to: tuple[str, ...] = tuple(getattr(event.data, "to", None) or ())
        self.has_to = "to" in type(event.data).model_fields

    def word(self, agency: str, purpose: str = SHARING) -> str | None:
        """Return the person's word that stands."""
        return self.case.stands(agency, purpose, self.day)

    def two(self) -> bool:
        """Return whether two members of staff have signed."""
        first, second = number(self.event.actor), number(self.event.approver)
        return bool(first and second) and first != second

    def g_01(self) -> bool:
        """The sender's role may never publish this type."""
        roles = frozenset[str]().union(*(GROUPS.get(each, frozenset({each})) for each in PUBLISHERS[self.kind]))
        return self.case.roles[self.by] not in roles

    def g_07(self) -> bool:
        """The unit receives a person or acknowledges, or a holder objects, with a `duty_role` other than `duty_officer`."""
        asked = self.kind in ("handover.person_received", "referral.acknowledged") and self.case.within(
            self.by, "DECIDERS"
        )
        return (asked or self.kind == "access.break_glass_objected") and bool(self.said.duty_role != "duty_officer")

    def g_10(self) -> bool:
        """`to` names an agency that is never sent anything, or none that takes this type; and the rest of the sentence."""
        case = self.case
        if self.kind == "review.requested":
            return not any(
                case.within(each, "court" if self.said.kind == "court" else "DECIDERS") for each in case.roles
            )
        if self.kind == "justice.case_opened":
            return self.said.court is not None and not case.within(self.said.court, "court")
        if self.kind in ("consent.given", "consent.refused", "consent.withdrawn", "consent.overridden"):
            return not case.within(self.said.receivers[0], "AGENCIES")
        if any(case.within(each, "NEVER_RECIPIENTS", "statistics") for each in self.to) or (
            self.kind == REFERRAL and self.by in self.to
        ):
            return True
        bound = case.within(self.by, "police_other") and self.kind in (
            REFERRAL,
            "document.shared",
            "document.chunk_sent",
        )
        if bound and not all(case.within(each, "DECIDERS") for each in self.to):
            return True
        if set(getattr(self.said, "withhold_from", None) or ()) & {
            *self.to,
            *(case.roles.get(each) for each in self.to),
        }:
            return True
        return self.kind in NAMED_IN and not all(case.within(each, *NAMED_IN[self.kind]) for each in self.to)

    def g_20(self) -> bool:
        """A child's signal is dismissed, a case merged, access ended for all or one, a duty lifted, the glass broken, a complaint decided, with one signature."""
        complaint = self.case.reviews.get(self.event.referral or "") == "complaint_to_superior"
        if self.kind == "review.decided" and complaint and self.case.within(self.by, "DECIDERS"):
            return not self.two()
        alone = self.kind in (
            "case.merged", "access.terminated", "access.revoked", "access.break_glass", "deadline.lifted"
        )  # fmt: skip
        return (alone or (self.kind == "case.signal_dismissed" and self.child)) and not self.two()

    def g_21(self) -> bool:
        """A child is referred before the flag reached guardianship and child commission."""
        told = {self.case.roles[each] for each in self.case.flagged}
        is_child = self.child or (getattr(self.said, "child", None) is True and not (self.case.was_child or self.child))
        return self.kind == REFERRAL and is_child and not {"guardianship", "child_commission"} <= told

    def g_22(self) -> bool:
        """A child is interviewed while no representative is assigned, or none attends."""
        asked = self.kind == "identification.interview_held" and self.child
        return asked and not (self.case.represented and "representative" in self.said.attended)

    def g_23(self) -> bool:
        """A child is interviewed and no doctor attends."""
        return self.kind == "identification.interview_held" and self.child and "doctor" not in self.said.attended

    def g_25(self) -> bool:
        """`case.withdrawn` for a child."""
        return self.kind == "case.withdrawn" and self.child

    def _in_to(self) -> Iterator[tuple[str, str]]:
        """Agencies that an adult must have agreed to: those in `to`, and the unit where it acts with her or gets papers."""
        if self.child:
            return
        if self.kind in ACTS:
            yield self.by, SHARING
            return
        if self.kind == "handover.document_transferred":
            yield from ((unit, SHARING) for unit in self.case.units_asked(self.event.referral or ""))
        for each in self.to:
            if each != self.by:
                yield each, SHARING
                if self.kind == REFERRAL and self.said.services and not self.case.within(each, "DECIDERS"):
                    yield each, "services"

    def g_36(self) -> bool:
        """`consent.given` names its own publisher; a unit that found the adult itself may, against nobody else's refusal."""
        if self.kind != "consent.given" or self.said.receivers[0] != self.by:
            return False
        purposes = {SHARING, *self.said.purposes}
        against = any(self.case.word_on(self.by, each, self.day)[2] for each in purposes)
        found = self.case.within(self.by, "SELF_CONSENT") and self.case.detector == self.by and not self.child
        return not (found and self.said.given_by == "individual" and not against)

    def g_37(self) -> bool:
        """A consent to its own publisher, with one person's signature."""
        return self.kind == "consent.given" and self.said.receivers[0] == self.by and not self.two()

    def g_33(self) -> bool:
        """`withhold_from` names the special unit, and no adult's refusal of it stands; or one to which she consents (reading 168)."""
        names = getattr(self.said, "withhold_from", None) or ()
        named = [each for each in self.case.units if each in names or self.case.roles[each] in names]
        words = {self.case.stands(each, SHARING, self.day) for each in named}
        return self._withheld() and (self.child or "refused" not in words or bool(words & {"given", "overridden"}))

    def g_34(self) -> bool:
        """An adult's refusal of the unit stands, and a referral or request for a bed to somebody else does not say so."""
        if self.kind not in (REFERRAL, "shelter.bed_requested"):
            return False
        to_unit = any(self.case.within(each, "DECIDERS") for each in self.to)
        return self.case.refused_unit(self.event, self.day) and not self._withheld() and not to_unit

    def _withheld(self) -> bool:
        names = getattr(self.said, "withhold_from", None) or ()
        return any(each in GROUPS["DECIDERS"] or self.case.within(each, "DECIDERS") for each in names)

    def g_35(self) -> bool:
        """A referral to the unit, of a child or under an override, or `must_retain`, without `legal_basis`."""
        if self.event.legalbasis:
            return False
        if self.kind == "consent.stop_confirmed":
            return bool(self.said.answer == "must_retain")
        to_unit = any(self.case.within(each, "DECIDERS") for each in self.to)
        return self.kind == REFERRAL and (
            self.child or to_unit or any(self.word(each) == "overridden" for each in self.to)
        )

    def g_40(self) -> bool:
        """The status lets little else be published; a house still records the departure of a person it had admitted."""
        still = AFTERWARDS.get(self.case.status or "")
        if still is None or any(fnmatchcase(self.kind, each) for each in still | AFTERWARDS["any"]):
            return False
        return self.kind != "shelter.discharged" or not self.case.lives_in(self.by, self.event.referral)

    def g_43(self) -> bool:
        """The status is decided before the screening."""
        return self.kind == "identification.status_decided" and not self.case.screened

    def g_44(self) -> bool:
        """A negative decision or a revocation without reasons or the days for a review."""
        negative = (
            (self.kind == "identification.reasonable_grounds_decided" and self.said.outcome == "negative")
            or (self.kind == "identification.status_decided" and self.said.status != "ActualVictimOfTrafficking")
            or self.kind == "identification.status_revoked"
        )
        return negative and not (self.said.reasons and self.said.review_until_days)

    def g_45(self) -> bool:
        """A reconsideration with neither new evidence nor a breach of the rules."""
        asked = self.kind == "review.requested" and self.said.kind == "reconsideration"
        return asked and not (self.said.new_evidence or self.said.breach_of_rules)

    def g_63(self) -> bool:
        """Money for a child is ordered to the person."""
        return self.kind == "payment.ordered" and self.child and self.said.payee == "person"

    def _forbidden(self) -> Iterator[tuple[str, str]]:
        """All whom an adult's refusal keeps out: also who takes over, hands on, returns, is asked a question or for a review."""
        yield from self._in_to()
        if self.kind == "review.requested":
            role = "court" if self.said.kind == "court" else "DECIDERS"
            bodies = [each for each in self.case.roles if self.case.within(each, role)]
            if self.child or any(self.word(each) not in ("refused", "withdrawn") for each in bodies):
                return
            yield from ((each, SHARING) for each in bodies)
        if self.child:
            return
        ref = self.event.referral or ""
        if self.kind == "referral.info_requested" and ref in self.case.senders:
            yield self.case.senders[ref], SHARING
        takes_over = self.kind == "plan.adopted" or (self.kind == "referral.accepted" and ref in self.case.hands_over)
        hands_on = self.has_to and self.event.sealeddigest is not None
        if takes_over or hands_on or self.kind in RETURN:
            yield self.by, SHARING

    def g_30(self) -> bool:
        """An adult's refusal stands for one of these."""
        return any(self.word(agency, purpose) == "refused" for agency, purpose in self._forbidden())

    def g_31(self) -> bool:
        """A withdrawal stands for one of these."""
        return any(self.word(agency, purpose) == "withdrawn" for agency, purpose in self._forbidden())

    def g_32(self) -> bool:
        """No word stands for an agency in `to` or for a member of a plan that changes; compared without a named consent, and where no letter goes on."""
        return any(self.word(agency, purpose) is None for agency, purpose in (*self._in_to(), *self._members_to_hear()))

    def _members_to_hear(self) -> Iterator[tuple[str, str]]:
        """The other members of an adult's plan that changes, as long as they have a part in the case."""
        if self.kind == "plan.revised" and not self.child:
            yield from ((each, SHARING) for each in sorted(self.case.members - {self.by}))
