"""Invariants of section *Invariants* of RULES.md, read from a history alone: each returns what breaks it, in words.

They know nothing of how the Rules judge: a referral's answers, a person's last word and a recognition are counted here anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from nrmbus.events.model import Event, Fact
from nrmbus.rules import Audience, Rules, View
from rules.given import Bench

SHARING: Final = "information_sharing"
DECIDERS: Final = "DECIDERS"
NEVER: Final = frozenset({"police_other", "auditor", "coordinator", "timekeeper", "registrar"})
SECRET: Final = frozenset({"identity", "contact", "story", "health"})
"""Parts of a letter with documents, or that say who a person is."""
GRANTS: Final = ("consent.given", "consent.overridden")
ANSWERS: Final = ("referral.accepted", "referral.declined")
ENDED: Final = ("case.withdrawn", "case.closed", "case.signal_dismissed", "access.erasure_due")

CLOSINGS: Final = ("case.closed", "case.signal_dismissed", "case.merged")
"""Ends of a case that a re-opening takes back."""


@dataclass(frozen=True)
class Heard:
    """One registered event: its audience, and whether the person was known as a child before it."""

    fact: Fact
    audience: Audience
    child: bool
    units: frozenset[str]
    """The agencies that decide whether a person is a victim, by the profile of the event."""

    @property
    def event(self) -> Event:
        """The event."""
        return self.fact.event

    @property
    def type(self) -> str:
        """Its type."""
        return self.fact.event.type

    @property
    def source(self) -> str:
        """Its publisher."""
        return self.fact.event.source

    def says(self, name: str, default: Any = None) -> Any:
        """Return a field of its data."""
        return getattr(self.fact.event.data, name, None) or default


@dataclass
class Watched:
    """A case whose events are kept with their audiences."""

    b: Bench
    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Watch what is registered from now on."""
        told = self.b.hear

        def hear(fact: Fact) -> None:
            rules, view = self.b.rules, self.b.view
            policy = fact.policy or rules.policy_for(view, fact.event.source, fact.registered)
            audience = rules.audience(view, fact.event, policy)
            deciders = rules.profile_named(policy).expand((DECIDERS,))
            units = frozenset(each for each in self.agencies if rules.role_of(each) in deciders)
            self.heard.append(Heard(fact, audience, view.child is True, units))
            told(fact)

        self.b.hear = hear  # type: ignore[method-assign]

    @property
    def agencies(self) -> Iterable[str]:
        """Everybody on the bus."""
        return self.b.rules._roles.agencies

    def role(self, agency: str) -> str:
        """Return the role of *agency*; none if the bus does not have it."""
        return self.b.rules.role_of(agency)


def i_1(w: Watched) -> Iterator[str]:
    """No part with documents or identity is readable by any but the addressed; nothing is handed to other police."""
    for each in w.heard:
        recipients = set(each.audience.recipients)
        for part, openers in each.audience.opens.items():
            if part in SECRET and (not set(openers) <= recipients or any(w.role(one) in NEVER for one in openers)):
                yield f"{each.type}: {part} is opened by {openers}, told are {sorted(recipients)}"
        handed = each.type in ("handover.document_transferred", "referral.submitted")
        if handed and any(w.role(one) in NEVER for one in each.says("to", ())):
            yield f"{each.type} is handed to {each.says('to')}"


def i_2(w: Watched) -> Iterator[str]:
    """The breach of D-REFER comes once, 24 hours after the signal, if nothing has ended the duty before."""
    first = next((each for each in w.heard if each.type in ("case.signal_recorded", "case.re_referred")), None)
    breaches = [each for each in w.heard if each.type == "deadline.breached" and each.says("rule") == "D-REFER"]
    if len(breaches) > 1:
        yield f"{len(breaches)} breaches of D-REFER"
    if first is None or first.source in first.units or (first.says("detected_abroad") and _from_arrival(w, first)):
        if breaches:
            yield "a breach of a duty that nobody had"
        return
    due = first.event.time + timedelta(hours=24)
    unread = {(each.source, each.event.causationid) for each in w.heard if each.type == "letter.unreadable"}
    reopened = any(each.type == "case.reopened" for each in w.heard)  # it gives back what a closing ended
    ended = any(
        each.fact.registered < due
        and _ends_refer(each, first.source)
        and not (reopened and each.type in CLOSINGS)
        and not any((receiver, each.event.id) in unread for receiver in each.audience.recipients)
        and not (each.type == "consent.refused" and _agreed_to_another(w, each))
        for each in w.heard
    )
    maybe = any(each.fact.registered < due and _ends_refer(each, first.source) for each in w.heard)
    if not maybe and w.b.now > due and not breaches:
        yield f"nothing ended the duty by {due}, and no breach was published by {w.b.now}"
    if breaches and ended:
        yield "a breach although the duty had ended"


def _from_arrival(w: Watched, first: Heard) -> bool:
    """Return whether the profile of that signal lets the time begin with the arrival of somebody found abroad."""
    profile = w.b.rules.profile_named(first.fact.policy) if first.fact.policy else w.b.rules.profile
    return profile.abroad.refer_from == "arrival"


def _agreed_to_another(w: Watched, refusal: Heard) -> bool:
    """Return whether a deciding body beside the refused ones was agreed to before: its consent may stand still (reading 168)."""
    before = w.heard[: w.heard.index(refusal)]
    granted = {to for each in before if each.type in GRANTS for to in each.says("receivers", ())}
    return bool(granted & refusal.units - {*refusal.says("receivers", ())})


def _ends_refer(each: Heard, detector: str) -> bool:
    to = each.says("to", ())
    if each.type == "referral.submitted":
        return any(one in each.units for one in to) or bool(each.says("withhold_from"))
    if each.type == "consent.refused":
        return (
            not each.child
            and SHARING in each.says("purposes", ())
            and any(one in each.units for one in each.says("receivers", ()))
        )
    if each.type == "consent.stop_confirmed":
        return each.source == detector and each.says("answer") == "deleted"
    if each.type == "case.merged":
        return bool(each.says("outcome") != "continues")
    if each.type == "access.revoked":
        return detector in each.says("receivers", ())
    if each.type == "referral.accepted":
        return each.source in each.units
    return each.type in ENDED or (each.type == "plan.adopted" and each.source == detector)


def i_3(w: Watched) -> Iterator[str]:
    """Each receiver of a referral gives exactly one answer, or it is revoked or expires; until then it is listed as open."""
    answers, parties = _answers(w)
    for (ref, party), given in answers.items():
        if len(given) != 1:
            yield f"{party} answered {ref[:6]} by {given}"
    if any(each.type in ENDED for each in w.heard):
        return
    for ref, receivers in parties.items():
        referral = w.b.view.referrals.get(ref.partition(" ")[0])
        if referral is not None and referral.mark.id != ref.partition(" ")[2]:
            continue
        for party in receivers:
            known = referral.party(party) if referral else None
            is_open = known is None or known.state == "submitted"
            if is_open is ((ref, party) in answers):
                yield f"{party} is listed as {known.state if known else 'nothing'}, and answered {answers.get((ref, party))}"


def _answers(w: Watched) -> tuple[dict[tuple[str, str], list[str]], dict[str, tuple[str, ...]]]:
    """Return the answers by referral and receiver, a revocation or expiry where there was none; and the receivers."""
    answers: dict[tuple[str, str], list[str]] = {}
    parties: dict[str, tuple[str, ...]] = {}
    deleted: set[str] = set()
    latest: dict[str, str] = {}
    """Of a reference that its agency used again, the referral that has it now."""
    for each in w.heard:
        ref = each.event.referral or each.event.id
        if each.type == "referral.submitted":
            latest[ref] = f"{ref} {each.event.id}"
        ref = latest.get(ref, ref)
        if each.type == "consent.stop_confirmed" and each.says("answer") == "deleted":
            deleted.add(each.source)
        if each.type == "referral.submitted":
            parties[ref] = tuple(each.says("to", ()))
        elif each.type in ANSWERS:
            answers.setdefault((ref, each.source), []).append(each.type)
        elif each.type in ("referral.revoked", "referral.expired"):
            for party in parties.get(ref, ()):
                # A special unit that is on the case goes on owing its answer (reading 82).
                if each.type == "referral.revoked" or party not in each.units or party in deleted:
                    answers.setdefault((ref, party), [each.type])
    return answers, parties


def i_4(w: Watched) -> Iterator[str]:
    """No one-time allowance without a recognition that stands, and none is executed twice on one decision."""
    recognised: str | None = None
    paid: list[str] = []
    for each in w.heard:
        if each.type == "identification.status_decided":
            recognised = each.event.id if each.says("status") == "ActualVictimOfTrafficking" else None
        elif each.type == "identification.status_revoked":
            recognised = None
        elif each.type.startswith("payment.") and each.says("kind") == "one_time_allowance":
            if each.type == "payment.ordered" and recognised is None:
                yield "an allowance was ordered without a recognition"
            if each.type == "payment.executed":
                paid.append(str(each.says("decision")))
    if len(paid) != len(set(paid)):
        yield f"an allowance was paid twice: {paid}"


def i_5(w: Watched) -> Iterator[str]:
    """No interview with a child before a representative is assigned."""
    represented = False
    for each in w.heard:
        represented = represented or each.type == "safeguard.representative_assigned"
        if each.type == "identification.interview_held" and each.child and not represented:
            yield "a child was interviewed without a representative"


def i_6(w: Watched) -> Iterator[str]:
    """After a withdrawal no letter to that receiver is opened, until the person consents again."""
    withdrawn: set[str] = set()
    for each in w.heard:
        receivers = set(each.says("receivers", ()))
        stops = w.b.rules.profile_named(each.fact.policy or w.b.rules.profile.name).types[each.type].stops
        if each.event.sealeddigest and not each.child and not stops:
            for part, openers in each.audience.opens.items():
                if withdrawn & set(openers):
                    yield f"{each.type}: {part} goes to {sorted(withdrawn & set(openers))} after a withdrawal"
        if each.type == "consent.withdrawn" and SHARING in each.says("purposes", ()):
            withdrawn |= receivers
        elif each.type in ("consent.given", "consent.overridden"):
            withdrawn -= receivers


def i_7(w: Watched) -> Iterator[str]:
    """A view folded again from the start equals the one that grew event by event."""
    if folded(w.b.rules, w.b.subject, (each.fact for each in w.heard)) != w.b.view:
        yield "the view that grew differs from the one that is folded again"


def folded(rules: Rules, subject: str, facts: Iterator[Fact]) -> View:
    """Return the view of *facts* from the start."""
    view = rules.start(subject)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


def i_8(w: Watched) -> Iterator[str]:
    """After a court or prosecution has ended access, no letter is registered unless an authority holds the case; envelopes count."""
    ended: datetime | None = None
    held = False
    for each in w.heard:
        if ended and not held and each.event.sealeddigest and each.type != "access.terminated":
            yield f"a letter of {each.type} after access was ended"
        if each.type == "access.terminated":
            ended = each.event.time
        held = held or (
            each.type == "access.hold_placed" and w.role(each.source) in ("auditor", "court", "prosecution")
        )
    if [each.fact.number for each in w.heard] != list(range(1, len(w.heard) + 1)):
        yield "an event is not countable"


INVARIANTS: Final[Mapping[str, Callable[[Watched], Iterator[str]]]] = {
    "I-1": i_1, "I-2": i_2, "I-3": i_3, "I-4": i_4, "I-5": i_5, "I-6": i_6, "I-7": i_7, "I-8": i_8,
}  # fmt: skip


def broken(w: Watched) -> list[str]:
    """Return every invariant that the history breaks, with what breaks it."""
    return [f"{name}: {found}" for name, check in INVARIANTS.items() for found in check(w)]
