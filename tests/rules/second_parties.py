"""A second reading of section 3: who is who in a case, as the words of its table need it, from the text of RULES.md.

Nothing of `nrmbus.rules` is asked. `second_audience.py` says from it who is told, and who opens what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rules.second_judge import SHARING, ZONE, Second, table, words

Clocks = tuple[Any, ...]
PUBLISHED_BY: Final = {next(iter(words(row[0]))): words(row[1]) for row in table("types")}
CLOSERS: Final = PUBLISHED_BY["case.closed"]
ABOUT: Final = {
    "referral.": "referral", "handover.": "referral", "shelter.": "bed", "stay.hold": "hold", "review.": "review",
    "service.": "service", "justice.": "proceedings", "access.": "emergency",
}  # fmt: skip
"""Which kind of request a type of event is about, by the beginning of its name."""


@dataclass
class Record:
    """A request that is answered by its reference: of a referral, bed, hold, service, review, emergency."""

    kind: str
    asker: str
    asked: dict[str, str] = field(default_factory=dict)
    """Each agency that was asked, and its latest answer."""
    said: str = ""
    over: bool = False


class Parties(Second):
    """A case as `Second` knows it, with its requests, and who has a part by what."""

    def __init__(self, agencies: Mapping[str, Any]) -> None:
        """Know roles and supervisors of all agencies."""
        super().__init__({id: agency.role for id, agency in agencies.items()})
        self.supervisors = {id: agency.supervisor for id, agency in agencies.items()}
        self.knows: dict[str, None] = {}
        """Agencies that sent or received an event, in this order."""
        self.parts: dict[str, dict[str, None]] = {}
        """Each agency's parts, by what gives them, in this order."""
        self.since: list[str] = []
        self.records: dict[tuple[str, str], Record] = {}
        """Each request, by its kind and reference: a reference that has ended may be used again for another kind."""
        self.plan: tuple[str, tuple[str, ...]] | None = None
        self.in_force = False
        self.transferred_by_unit = ""
        self.taken_over = ""
        self.began = ""
        self.out: dict[str, None] = {}
        self.let_in: set[str] = set()
        """Agencies that were out, and that a consent with a last day let in again (reading 164)."""
        self.gone: set[str] = set()
        """Agencies that deleted their data or are out, and have had no part since."""
        self.was_adult = False
        self.adult_by = ""
        """Assessment by which the person, a child before, is an adult now."""
        self.adult_known: set[str] = set()
        """Agencies that have that assessment, with its registration or just before a later event."""
        self.told_age: dict[str, bool] = {}
        """Whether the person is a child by what each agency was told of the age."""
        self.heard_against: set[str] = set()
        """Agencies that have heard the latest refusal or withdrawal about themselves."""
        self.against: dict[str, str] = {}
        """The agency that each refusal or withdrawal is about, by the id of the event."""
        self.child_by = ""
        """The latest event that found or flagged a child, while that stands."""
        self.withdrawers: dict[str, set[str]] = {}
        self.retaining: set[str] = set()
        """Agencies that answered the latest withdrawal, and have deleted nothing yet."""
        self.senders_of: dict[str, str] = {}
        self.told_of: dict[str, set[str]] = {}
        self.closing: tuple[str, ...] = ()
        self.journey: dict[str, None] = {}
        self.under_way = False
        self.barring = False
        self.terminator = ""
        self.attended: tuple[str, ...] = ()
        self.registered_on = ""
        self.flags: dict[str, None] = {}
        self.day = ""
        """The day on which the case is looked at; a consent may have expired by then."""
        self.questions: dict[str, dict[str, None]] = {}
        """Each referral's open questions, by the agency that asked."""

    # What happens

    def heard(
        self, event: Any, told: Iterable[str], registered: datetime, first: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        """Take an event, the time of its registration, its recipients, and what each of them gets *first*, just before it."""
        self.was_adult = self.child is False
        self.adult_known |= {agency for agency, ids in (first or {}).items() if self.adult_by in ids}
        self.senders_of[event.id] = event.source
        self.told_of[event.id] = {event.source, *told}
        for each in (event.source, *told):
            self.knows.setdefault(each)
        self.registered_on = f"{registered.astimezone(ZONE):%Y-%m-%d}"
        self._learns(event, {event.source, *told}, first or {})
        self.take(event, self.registered_on)
        self._gives(event, tuple(told))
        for ref in [each for each in self.questions if self._away(self.senders.get(each, ""))]:
            del self.questions[ref]

    def _learns(self, event: Any, told: set[str], first: Mapping[str, Iterable[str]]) -> None:
        """Note what each agency hears of the person's age, and of a word against itself (reading 165)."""
        for agency, ids in first.items():
            self.heard_against |= {agency for each in ids if self.against.get(each) == agency}
            ages = [each == self.child_by for each in ids if each in (self.child_by, self.adult_by)]
            self.told_age |= dict.fromkeys([agency] if ages else [], ages[-1:] == [True])
        if event.type in ("consent.refused", "consent.withdrawn") and SHARING in event.data.purposes:
            about = self.against[event.id] = event.data.receivers[0]
            self.heard_against -= {about} - told
            self.heard_against |= {about} & told
        finds = event.type in ("safeguard.child_flagged", "safeguard.age_assessed")
        said = getattr(event.data, "result", "child") != "adult" if finds else getattr(event.data, "child", None)
        if finds:
            self.child_by = event.id if said else ""
        if said is not None:
            is_news = event.type != "referral.submitted"
            self.told_age |= {each: said for each in told if is_news or each not in self.told_age}

    def _away(self, agency: str) -> bool:
        """Return whether *agency* has left: it owes no answer, and comes back without the question."""
        return agency in self.gone or (agency in self.deleted and not self.on_case(agency))

    def lives_in(self, agency: str, ref: str | None) -> bool:
        """Return whether the house *agency* admitted the person by the request *ref*, and has not recorded that she left."""
        record = self.records.get(("bed", ref or ""))
        return record is not None and record.asked.get(agency) == "admitted"

    def part(self, agency: str, by: str) -> None:
        """Give *agency* a part."""
        self.gone.discard(agency)
        if agency not in self.since:
            self.since.append(agency)
        self.parts.setdefault(agency, {}).setdefault(by)

    def ends(self, agency: str, by: str) -> None:
        """End a part."""
        self.parts.get(agency, {}).pop(by, None)
        if not self.parts.get(agency):
            self.gone |= {agency} & self.deleted
            self.since = [each for each in self.since if each != agency]

    @property
    def members(self) -> set[str]:
        """The members of the plan in force that have a part in the case."""
        return {each for each in self.plan[1] if self.on_case(each)} if self.plan and self.in_force else set()

    def units_asked(self, ref: str) -> set[str]:
        """Return the bodies asked by the referral, unless they deleted all since."""
        return super().units_asked(ref) - self.gone

    def on_case(self, agency: str) -> bool:
        """Return whether a part of *agency* stands."""
        return agency not in self.out and bool(self.parts.get(agency))

    def _gives(self, event: Any, told: tuple[str, ...]) -> None:
        said, kind, by, ref = event.data, event.type, event.source, event.referral or event.id
        to = tuple(getattr(said, "to", None) or ())
        step = getattr(self, f"_after_{kind.replace('.', '_')}", None)
        if step is not None:
            step(event, by, ref, to, told)

    def _after_case_signal_recorded(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        for each in (by, *told):
            self.part(each, "signal")

    _after_case_re_referred = _after_case_signal_recorded

    def _ask(self, kind: str, ref: str, by: str, asked: Iterable[str], said: str = "") -> None:
        """Record a request; who is asked has a part by it, and who asks for a referral, hold or proceedings too (reading 127)."""
        self.records[kind, ref] = Record(kind, by, dict.fromkeys(asked, "asked"), said)
        asking = (by,) if kind in ("referral", "hold", "proceedings") else ()
        for each in (*asking, *asked):
            self.part(each, f"{kind} {ref}")

    def _answers(self, kind: str, ref: str, by: str, answer: str, *, leaves: bool) -> None:
        record = self.records.get((kind, ref))
        if record is None:
            return
        record.asked[by] = answer
        if leaves:
            self.ends(by, f"{record.kind} {ref}")

    def _after_referral_submitted(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._ask("referral", ref, by, to, event.data.mode)
        if any(self.within(each, "DECIDERS") for each in to):
            self.transferred_by_unit, self.began = "", ""

    def _after_referral_accepted(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        record = self.records.get(("referral", ref))
        self._answers("referral", ref, by, "accepted", leaves=False)
        if record is not None and ref in self.hands_over:
            having = self.transferred_by_unit if self._takes_part(self.transferred_by_unit) else ""
            if self.within(record.asker, "DECIDERS") or record.asker == having:
                self.transferred_by_unit = self.taken_over = by
            elif not having:
                self.transferred_by_unit, self.taken_over = "", by

    def _after_referral_declined(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("referral", ref, by, "declined", leaves=True)

    def _after_referral_completed(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("referral", ref, by, "completed", leaves=False)

    def _after_referral_revoked(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._over(ref, self.waiting(ref))

    def _after_referral_expired(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._over(ref, self.unanswering(event))

    def _over(self, ref: str, who: Iterable[str]) -> None:
        record = self.records.get(("referral", ref))
        if record is None:
            return
        for each in who:
            record.asked[each] = "expired"
            self.ends(each, f"referral {ref}")
        if not any(answer in ("asked", "accepted", "completed") for answer in record.asked.values()):
            record.over = True
            self.ends(record.asker, f"referral {ref}")

    def _after_referral_info_requested(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.questions.setdefault(ref, {}).setdefault(by)

    def _after_referral_info_supplied(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.questions.pop(ref, None)

    def _after_shelter_bed_requested(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._ask("bed", ref, by, to)

    def _after_shelter_bed_offered(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("bed", ref, by, "offered", leaves=False)

    def _after_shelter_bed_refused(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("bed", ref, by, "refused", leaves=True)

    def _after_shelter_offer_lapsed(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("bed", ref, event.data.shelter, "lapsed", leaves=True)

    def _after_shelter_admitted(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("bed", ref, by, "admitted", leaves=False)

    def _after_shelter_discharged(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._answers("bed", ref, by, "discharged", leaves=False)

    def _after_stay_hold_requested(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._ask("hold", ref, by, to)

    def _after_stay_hold_ended(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        if ("hold", ref) in self.records:
            self.records["hold", ref].over = True

    def _after_service_requested(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._ask("service", ref, by, to)

    def _after_service_delivered(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        if ("service", ref) in self.records and by in self.records["service", ref].asked:
            self._answers("service", ref, by, "delivered", leaves=False)

    def _after_service_not_delivered(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        record = self.records.get(("service", ref))
        taken_back = record is not None and by == record.asker and by not in record.asked
        waiting = (
            [each for each, answer in record.asked.items() if answer == "asked"] if record and taken_back else [by]
        )
        for each in waiting:
            self.ends(each, f"service {ref}")

    def _after_plan_adopted(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        self.plan, self.in_force = (by, to), True
        for each in (by, *to):
            self.part(each, "plan")

    def _after_plan_completed(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        self.in_force = False

    def _after_review_requested(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self._ask("review", ref, by, sorted(self.bodies(event.data.kind) & {*told}), event.data.kind)

    def _after_justice_case_opened(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        court = event.data.court or (by if self.within(by, "court") else "")
        self._ask("proceedings", ref, by, [court] if court in (by, *told) else [])
        self.records["proceedings", ref].asked = {court: "asked"} if court else {}

    def _after_fund_compensation_granted(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.part(by, "grant")
        for each in told:
            if self.within(each, "fund"):
                self.part(each, "grant")

    def _after_safeguard_child_flagged(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.flags |= dict.fromkeys(each for each in to if self.within(each, "GUARDIANS"))
        named = {each for each in to if self.within(each, "GUARDIANS")}
        self.adult_by = ""
        for each in sorted(self.flags if self.was_adult else named):  # a child again: those of before too (reading 65)
            self.part(each, "flag")

    def _after_safeguard_age_assessed(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        is_adult = event.data.result == "adult"
        if not (is_adult and self.was_adult):
            self.adult_by, self.adult_known = event.id if is_adult else "", set()
        self.adult_known |= {by, *told}
        for each in sorted(
            self.flags
        ):  # found adult they have no part by the flag; found a child again they have it again (reading 65)
            if is_adult:
                self.ends(each, "flag")
            elif self.was_adult:
                self.part(each, "flag")

    def _after_stay_embassy_barred(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.barring = event.type == "stay.embassy_barred"

    _after_stay_embassy_bar_lifted = _after_stay_embassy_barred

    def _after_return_consented(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.journey, self.under_way = dict.fromkeys((*to, by)), True
        for each in self.journey:
            self.part(each, "return")

    def _after_return_risk_assessed(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.journey.setdefault(by)
        self.part(by, "return")
        self.under_way = self.under_way and event.type in ("return.risk_assessed", "return.travel_arranged")

    _after_return_travel_arranged = _after_return_completed = _after_return_monitored = _after_return_risk_assessed

    def _after_return_stopped(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        for each in self.journey:
            self.ends(each, "return")
        self.journey, self.under_way = {}, False

    def _after_case_withdrawn(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        for kind, each in [*self.records]:
            if kind == "referral" and (waiting := self.waiting(each)):  # others are not open, and do not expire
                self._over(each, waiting)
        if self.under_way:
            self._after_return_stopped(event, by, ref, to, told)

    def _after_identification_stage_entered(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.began = self.began or by

    def _after_consent_withdrawn(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.withdrawers.setdefault(event.data.receivers[0], set()).add(by)
        self.retaining.discard(event.data.receivers[0])

    def _after_consent_given(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        is_over = event.data.expires is not None and event.data.expires < self.registered_on
        if SHARING in event.data.purposes and event.data.receivers[0] != by and not is_over:
            agency = event.data.receivers[0]
            was_out = agency in self.out or agency in self.let_in
            self.out.pop(agency, None)
            self.let_in.discard(agency)
            if event.data.expires and was_out:
                self.let_in.add(agency)

    @property
    def shut_out(self) -> set[str]:
        """Return the agencies that are out, or that were let in again by a consent with a last day and for which none stands any more."""
        return {*self.out} | {each for each in self.let_in if self.stands(each, SHARING, self.day) != "given"}

    def _leaves(self, agency: str) -> None:
        """Have *agency* have no part and house nobody any more, also if it comes back (readings 42 and 112)."""
        self.gone.add(agency)
        self.parts.pop(agency, None)
        self.since = [each for each in self.since if each != agency]
        for record in self.records.values():
            if record.kind == "bed" and record.asked.get(agency) == "admitted":
                record.asked[agency] = "discharged"

    def _after_access_revoked(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        self.withdrawers.setdefault(event.data.receivers[0], set()).add(by)
        self.retaining.discard(event.data.receivers[0])
        self.let_in.discard(event.data.receivers[0])
        self.out.setdefault(event.data.receivers[0])
        self._leaves(event.data.receivers[0])

    def _after_consent_stop_confirmed(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.retaining.add(by)
        if event.data.answer == "deleted":
            self.retaining.discard(by)
            self.withdrawers.pop(by, None)
            self._leaves(by)

    def _after_case_merged(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        if event.data.outcome == "continues":
            self.part(by, "merge")
        else:
            self.closing = (by, *told)

    def _after_case_closed(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        self.closing = (by, *told)

    _after_case_signal_dismissed = _after_case_closed

    def _after_access_terminated(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.terminator = by

    def _after_access_break_glass(
        self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]
    ) -> None:
        self.records["emergency", ref] = Record(
            "emergency", by, dict.fromkeys([self.holder() or ""], "asked"), event.data.reason
        )

    def _told_by_decision(self, event: Any, by: str, ref: str, to: tuple[str, ...], told: tuple[str, ...]) -> None:
        for each in told:
            if self.within(each, "vac", "fund"):
                self.part(each, "told")

    _after_identification_reasonable_grounds_decided = _told_by_decision
    _after_identification_status_decided = _after_identification_status_revoked = _told_by_decision
    _after_justice_verdict_recorded = _told_by_decision

    # Words

    def all(self, *roles: str) -> set[str]:
        """Return the agencies of these roles or groups."""
        return {each for each in self.roles if self.within(each, *roles)}

    def stand(self, *roles: str) -> set[str]:
        """Return those of them that are on the case."""
        return {each for each in self.all(*roles) if self.on_case(each)}

    def bodies(self, kind: str) -> set[str]:
        """Return who decides on a review of *kind*."""
        return self.all("court" if kind == "court" else "DECIDERS")

    def record(self, event: Any) -> Record | None:
        """Return the request that the event is about."""
        kind = next((kind for beginning, kind in ABOUT.items() if event.type.startswith(beginning)), "")
        return self.records.get((kind, event.referral or ""))

    def waiting(self, ref: str) -> set[str]:
        """Return who has not answered yet."""
        record = self.records.get(("referral", ref))
        return {each for each, answer in record.asked.items() if answer == "asked"} if record else set()

    def unanswering(self, event: Any) -> set[str]:
        """Return whom a revocation reaches, or an expiry: a referral to the unit never expires while it has not left."""
        waiting = self.waiting(event.referral or event.id)
        others = {each for each in waiting if not self.within(each, "DECIDERS") or not self.on_case(each)}
        return others if event.type == "referral.expired" and others else waiting

    def holder(self) -> str | None:
        """Return who holds the case (section 1); if nobody is left who may, who can still close it."""
        units = [self.began] if self.began and not self.stands_against(self.began) else []
        by_plan = self.plan[0] if self.plan else ""
        by_right = [
            each for each in (by_plan, self.transferred_by_unit, *units, self.taken_over, self.detector) if each
        ]
        closing = [each for each in by_right if self.within(each, *CLOSERS)] or by_right
        return next(
            iter((
                *(each for each in by_right if self._may_hold(each)),
                *(each for each in self.since if self._may_hold(each) and not self.stands_against(each)),
                *(each for each in self.since if self._may_hold(each)),
                *(each for each in closing if each not in self.out and each not in self.let_in),
                *(each for each in self.units if each in self.knows),
            )),
            None,
        )  # fmt: skip

    def stands_against(self, unit: str) -> bool:
        """Return whether an adult has refused *unit*, or taken consent to it back, it is shut out, or an embassy while a bar stands."""
        if unit in self.shut_out or (self.barring and self.within(unit, "ENVOYS")):
            return True
        return not self.child and self.stands(unit, SHARING, self.day) in ("refused", "withdrawn")

    def _takes_part(self, agency: str) -> bool:
        """Return whether *agency* has a part, and no consent with a last day let it in again."""
        return self.on_case(agency) and agency not in self.let_in

    def _may_hold(self, agency: str) -> bool:
        return bool(agency) and self._takes_part(agency) and self.within(agency, *CLOSERS)
