"""A case on the table: agencies, a clock that the test sets, and the Rules asked about one event after another.

The stories at the end bring a case to where a test begins. Everything is invented.
"""

import json
import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

from agencies import AGENCIES, BUS, NOW, POLICY, reference
from nrmbus.events import bulletin
from nrmbus.events.model import Event, Fact, Part
from nrmbus.events.registry import data_type
from nrmbus.events.stats import packed
from nrmbus.rules import Audience, Due, Profile, Refusal, Rules, View, load_profile

BAKU = ZoneInfo("Asia/Baku")


def figures(*, shown: int = 25, within: Mapping[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    """Return the data of published figures of 2025, with one count that is *shown*; *within* is of the release alone."""
    named = {"period": "2025", "k": 11, **said}
    rows = [{"keys": ["F"]}, {"keys": ["_T"], "count": shown}]
    table = {"id": "identified_by_sex", "title": "By sex", "unit": "persons", "dimensions": ["sex"], "rows": rows}
    release = {
        "format": "nrmbus.figures/1", "bus": BUS, "by": "statistics", "profile": POLICY, "beside": [], "checkpoints": [], "tables": [table],
    }  # fmt: skip
    raw = json.dumps({**release, **named, **(within or {})}, separators=(",", ":"), sort_keys=True).encode()
    return {**named, "release": sha256(raw).hexdigest(), "figures": packed(raw)}


DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "deadline.lifted": {"rule": "D-STOP", "agency": "ngo-l", "ground": "no_contact"},
    "case.signal_recorded": {
        "detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"],
    },
    "case.re_referred": {
        "detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"],
    },
    "case.signal_dismissed": {"reason": "no_indicator"},
    "incident.opened": {"place_type": "construction_site", "head_count": 3},
    "case.linked": {"confidence": "certain"},
    "case.merged": {"outcome": "continues"},
    "case.copy_issued": {"form": "referral_form", "paper_language": "aze"},
    "case.withdrawn": {"stage": "support", "requested_by": "person"},
    "case.closed": {"reason": "integrated", "follow_up": True},
    "case.reopened": {"reason": "other"},
    "case.follow_up_due": {"month": 3},
    "case.follow_up_recorded": {"month": 3},
    "consent.given": {"purposes": ["services", "information_sharing"], "given_by": "individual", "form": "written"},
    "consent.refused": {"purposes": ["services", "information_sharing"], "given_by": "individual"},
    "consent.withdrawn": {"purposes": ["services", "information_sharing"]},
    "access.revoked": {},
    "consent.overridden": {"ground": "imminent_danger", "approver_role": "head_of_agency"},
    "consent.objected": {"ground": "not_informed"},
    "consent.stop_confirmed": {"answer": "deleted"},
    "referral.submitted": {"mode": "referral", "reason": "Other", "urgency": "emergency", "services": []},
    "referral.acknowledged": {"receipt_no": "N-1", "duty_role": "duty_officer"},
    "referral.info_requested": {"question": "safe_contact"},
    "referral.info_supplied": {"question": "safe_contact"},
    "referral.accepted": {"next_step": "reception"},
    "referral.declined": {"reason": "no_capacity", "declined_by": "provider"},
    "referral.revoked": {"reason": "sent_in_error"},
    "referral.expired": {"reason": "no_answer"},
    "referral.completed": {"outcome": "referred"},
    "handover.person_received": {"place_type": "reception", "duty_role": "duty_officer", "items": 2},
    "handover.document_transferred": {"document_types": ["passport"], "items": 1},
    "identification.stage_entered": {"stage": "initial_assistance"},
    "identification.interview_held": {"number": 1, "attended": ["special_unit"]},
    "identification.indicators_screened": {"indicator_set": "ILO-2009"},
    "identification.reasonable_grounds_decided": {"outcome": "positive", "reasons": ["indicators_met"]},
    "identification.status_decided": {"status": "ActualVictimOfTrafficking", "deciding_body": "Police"},
    "identification.status_revoked": {"reasons": ["new_evidence"], "review_until_days": 30},
    "recovery.period_started": {"days": 30},
    "recovery.extended": {"days": 15},
    "recovery.reviewed": {"outcome": "continue"},
    "recovery.ended": {"reason": "own_request"},
    "safeguard.child_flagged": {"basis": "stated_age"},
    "safeguard.age_assessed": {"result": "adult"},
    "safeguard.representative_assigned": {"representative": "REP-01"},
    "safeguard.best_interests_decided": {"outcome": "kinship_care", "conditions": []},
    "safeguard.returned_to_family": {"returned_to": "kin"},
    "shelter.bed_requested": {"urgency": "emergency"},
    "shelter.bed_offered": {"valid_hours": 24},
    "shelter.bed_refused": {"reason": "no_capacity"},
    "shelter.discharged": {"reason": "independent_living"},
    "plan.adopted": {"services": ["legal"], "planned_end_days": 120},
    "plan.revised": {"services": ["legal"], "planned_end_days": 150},
    "plan.completed": {"outcome": "achieved"},
    "service.requested": {"service": "legal", "urgency": "urgent"},
    "service.scheduled": {"service": "legal", "when": "2026-03-20T08:00:00Z"},
    "service.delivered": {"service": "legal", "outcome": "provided_by_own_agency"},
    "service.not_delivered": {"service": "legal", "outcome": "service_unavailable"},
    "payment.ordered": {
        "kind": "one_time_allowance", "tariff": "az-2024", "amount": {"value": "700.00", "currency": "AZN"}, "payee": "person",
    },
    "payment.executed": {"kind": "one_time_allowance"},
    "payment.failed": {"kind": "one_time_allowance"},
    "fund.compensation_granted": {
        "purpose": "compensation", "amount_band": "1000_to_5000", "source": "confiscated_property",
    },
    "stay.hold_requested": {"ground": "identification", "until_days": 30},
    "stay.hold_confirmed": {"until_days": 30},
    "stay.hold_ended": {"reason": "not_a_victim"},
    "stay.permit_issued": {"valid_days": 365},
    "stay.permit_renewed": {"valid_days": 365},
    "return.consented": {"given_by": "individual", "form": "written"},
    "return.risk_assessed": {"outcome": "can_return"},
    "return.travel_arranged": {"days": 14},
    "return.monitored": {"again": False},
    "return.stopped": {"reason": "own_wish"},
    "review.requested": {"kind": "reconsideration", "new_evidence": True},
    "review.decided": {"outcome": "reopen", "reasons": ["new_evidence"]},
    "justice.case_opened": {"kind": "criminal_case", "article": "CC-144-1"},
    "justice.measure_granted": {"article": "CETS-197-28"},
    "justice.verdict_recorded": {"outcome": "conviction", "article": "CC-144-1", "confiscation": True},
    "document.shared": {"document_type": "medical_report", "chunks": 2},
    "document.chunk_sent": {"index": 0},
    "letter.unreadable": {"reason": "key"},
    "access.granted": {"what": "case", "purpose": "audit"},
    "access.break_glass": {"reason": "missing_person"},
    "access.break_glass_objected": {"reason": "person_safe", "duty_role": "duty_officer"},
    "access.reseal_due": {"holder": "vac"},
    "access.resealed": {"parts": ["identity"]},
    "access.terminated": {"body": "court", "scope": "case"},
    "access.hold_placed": {"reasons": ["objection"], "until": "2026-03-31"},
    "access.erasure_due": {"ground": "decision"},
    "provider.capacity_changed": {"women": "free", "children": "none"},
    "agency.listening_changed": {"agency": "shelter", "listening": False, "since": "2026-03-02T05:00:00Z"},
    "policy.profile_activated": {
        "profile": "az@2024-02-08", "digest": load_profile("az@2024-02-08").digest, "valid_from": "2026-04-01",
        "open_cases": "keep", "acts": ("CoM 131/2009",),
    },
    "data.breach_reported": {
        "kind": "lost", "classes": ["DC3"], "persons": "1-10", "measures": ["access_stopped"], "ended": True,
    },
    "stats.period_published": figures(),
    "access.erasure_confirmed": {"ground": "decision", "horizon": "2026-07-01T00:00:00Z"},
}  # fmt: skip
"""Default data of each type, for tests that do not depend on them."""

NEGATIVE: Final = {"outcome": "negative", "reasons": ["indicators_not_met"], "review_until_days": 30}
NOT_A_VICTIM: Final = {
    "status": "NotAVictimOfTrafficking", "deciding_body": "Police", "reasons": ["indicators_not_met"], "review_until_days": 30,
}  # fmt: skip


def with_years(**years: int) -> Profile:
    """The profile after a lawyer has filled in *years* by class."""
    profile = load_profile(POLICY)
    rows = {name: row.model_copy(update={"years": years.get(name)}) for name, row in profile.retention.classes.items()}
    return profile.model_copy(update={"retention": profile.retention.model_copy(update={"classes": rows})})


ONE_YEAR: Final = with_years(care=1, decisions=1, money=1)


def moment(text: str) -> datetime:
    """``1:10`` after the first step, or ``d4 11:00`` of the fourth day after the first."""
    found = re.fullmatch(r"(?:d(\d+) )?(\d+):(\d\d)", text)
    assert found
    days, hours, minutes = (int(part or 0) for part in found.groups())
    begin = NOW if found[1] is None else NOW - timedelta(hours=9)
    return begin + timedelta(days=days, hours=hours, minutes=minutes)


def local(instant: datetime | None) -> str:
    """Return *instant* as people in Baku write it; midnight is 24:00 of the day before."""
    if instant is None:
        return "paused"
    there = instant.astimezone(BAKU)
    if (there.hour, there.minute, there.second) == (0, 0, 0):
        day = there - timedelta(days=1)
        return f"{day.day} {day:%b} 24:00"
    return f"{there.day} {there:%b} {there.hour}:{there:%M}"


@dataclass(frozen=True)
class Said:
    """One registered event and its audience."""

    event: Event
    audience: Audience

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event.id


class Bench:
    """One case: its history, the registrar's view of it, and a clock that only the test moves."""

    def __init__(self, profile: Profile | None = None, *, case: str = "woman") -> None:
        self.rules = Rules(profile or load_profile(POLICY), AGENCIES)
        self.subject = reference(case)
        self.view: View = self.rules.start(self.subject)
        self.facts: list[Fact] = []
        self.now = NOW

    def fork(self) -> "Bench":
        """Return a copy of the case that continues independently from here."""
        twin = copy(self)
        twin.facts = list(self.facts)
        return twin

    @classmethod
    def of_bulletin(cls, agency: str, profile: Profile | None = None) -> "Bench":
        """Return the bulletin of *agency*: no case, only what concerns the agency or the bus."""
        bench = cls(profile)
        bench.subject = bulletin.of(agency)
        bench.view = bench.rules.start(bench.subject)
        return bench

    def at(self, text: str) -> "Bench":
        """Set the clock."""
        self.now = moment(text)
        return self

    def event(self, by: str, type: str, **said: Any) -> Event:
        """An event as *by* would say it now. Envelope's words: ref, occurred, letter, legal_basis, actor, approver, consent, cause."""
        occurred, ref, at = said.pop("occurred", None), said.pop("ref", None), said.pop("at", self.now)
        recorded, actor = said.pop("recorded", self.now), said.pop("actor", "A-1")
        ref = reference(ref) if ref else said.pop("reference", None)
        letter, legal = said.pop("letter", False), said.pop("legal_basis", None)
        approver, consent, cause = said.pop("approver", None), said.pop("consent", ()), said.pop("cause", None)
        data = said.pop("data", None) or data_type(type, 1).from_mapping({**DEFAULTS.get(type, {}), **said})
        number = len(self.facts) + 1
        return Event(
            id=f"{number:08x}-0000-7000-8000-{number:012x}",
            source=by,
            type=type,
            version=data.version,
            subject=bulletin.of(by) if data.keyed_by == "agency" else self.subject,
            time=moment(occurred) if occurred else at,
            recordedtime=recorded,
            sequence=number,
            actor=actor,
            policy=POLICY,
            data=data,
            approver=approver,
            legalbasis=legal,
            consent=" ".join(each.id for each in consent) or None,
            referral=ref,
            causationid=cause,
            sealeddigest="0" * 64 if letter else None,
        )

    def ask(self, by: str, type: str, **said: Any) -> Refusal | None:
        """Return the refusal of the event now, or None; *letter_parts* has the filled fields while the letter is open."""
        letter_parts: Mapping[Part, frozenset[str]] | None = said.pop("letter_parts", None)
        return self.rules.judge(self.view, self.event(by, type, **said), self.now, letter_parts=letter_parts)

    def say(self, by: str, type: str, **said: Any) -> Said:
        """Register it; a refusal fails the test."""
        event = self.event(by, type, **said)
        refusal = self.rules.judge(self.view, event, self.now)
        if refusal is not None:
            raise AssertionError(f"{by} may not say {type}: {refusal.rule}")
        audience = self.rules.audience(self.view, event, None, self.now)
        self.hear(Fact.of(event, audience.recipients, self.now, len(self.facts) + 1))
        return Said(event, audience)

    def hear(self, fact: Fact) -> None:
        """Take a registered event into the view."""
        self.facts.append(fact)
        self.view = self.rules.evolve(self.view, fact)

    def consents(self, *receivers: str, by: str = "ngo-a", **said: Any) -> tuple[Said, ...]:
        """One ``consent.given`` for each of *receivers*."""
        return tuple(self.say(by, "consent.given", receivers=[each], **said) for each in receivers)

    def through(self, text: str) -> list[str]:
        """Let the timekeeper speak until then; what he said, as ``rule at to``."""
        until, said = moment(text), []
        while (due := next(iter(self.rules.due(self.view)), None)) is not None and due.at <= until:
            recipients = self._say(due)
            said.append(f"{due.rule} {local(due.at)} {','.join(recipients)}")
        self.now = until
        return said

    def say_due(self, type: str) -> None:
        """Let the timekeeper say what is due next of *type*, and nothing else that may be due before."""
        self._say(next(due for due in self.rules.due(self.view) if due.type == type))

    def _say(self, due: Due) -> tuple[str, ...]:
        self.now = max(self.now, due.at)
        event = self.event("timekeeper", due.type, data=due.data, cause=due.cause, reference=due.ref, at=due.at)
        refusal = self.rules.judge(self.view, event, self.now)
        if refusal is not None:
            raise AssertionError(f"the Rules refuse what the timekeeper says: {refusal.rule}")
        audience = self.rules.audience(self.view, event, None, self.now)
        self.hear(Fact.of(event, audience.recipients, self.now, len(self.facts) + 1))
        return audience.recipients

    @property
    def deadlines(self) -> list[str]:
        """``open_deadlines`` with the due instants, sorted."""
        return sorted(f"{clock.code} {local(clock.due)}" for clock in self.rules.clocks(self.view))

    @property
    def codes(self) -> list[str]:
        """``open_deadlines`` as a scenario writes it."""
        return sorted(clock.code for clock in self.rules.clocks(self.view))
