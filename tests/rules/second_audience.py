"""A second reading of section 3: who is told of an event, and who opens each part of its letter, from the text of RULES.md.

The words of the table are worked out from what has happened in the case; nothing of `nrmbus.rules` is asked. Which duties an
event ends is taken from `second_clocks.py`, whose own reading they have passed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any, Final

from nrmbus.events.model import Part
from rules.second_clocks import ROWS
from rules.second_judge import SHARING, ZONE, table, words
from rules.second_parties import Clocks, Parties, Record

TOLD: Final = {next(iter(words(row[0]))): words(row[2]) for row in table("types")}
LETTER_ROLES: Final = {frozenset(words(row[0])): words(row[1]) for row in table("parts")}
CHOSEN: Final = ("to", "members", "questioner")
"""Words for whom the sender turns to: the role bounds what these open (reading 16)."""
RESCUE: Final = {
    next(iter(words(row[0]))): words(row[1]) for row in table("values") if "parts for the emergency" in row[0]
}


def _openers() -> Mapping[str, Mapping[str, frozenset[str]]]:
    found: dict[str, dict[str, frozenset[str]]] = {}
    for row in table("types"):
        by_part: dict[str, frozenset[str]] = {}
        for each in row[3].split("; "):
            part, colon, named = each.partition(": ")
            if colon:
                by_part[part] = words(named)
        found[next(iter(words(row[0])))] = by_part
    return found


OPENED: Final = _openers()
STOPPING: Final = {next(iter(words(row[0]))) for row in table("types") if row[2].endswith("a barred agency too")}
"""Types that stop something, and so reach a barred agency."""


Word = Callable[["Telling"], Iterable[str]]


class Telling:
    """One event that is told, with the words of section 3 that need it."""

    def __init__(self, case: Parties, event: Any, before: Clocks, after: Clocks, registered: datetime) -> None:
        """Ask before *event* is taken; *before* and *after* are the duties that run. A consent must hold when it is *registered* (reading 21)."""
        self.case, self.event, self.said, self.kind, self.by = case, event, event.data, event.type, event.source
        self.child = case.is_child(event)
        self.day = case.day = f"{max(event.recordedtime, registered).astimezone(ZONE):%Y-%m-%d}"
        self.to = set(getattr(event.data, "to", None) or ())
        self.before, self.after, self.registered = before, after, registered
        self._next: Parties | None = None

    def barred(self) -> set[str]:
        """Return whom a row leaves out that stops nothing."""
        kept = {
            each
            for each in self.case.roles
            if not self.child and self.case.stands(each, SHARING, self.day) in ("refused", "withdrawn")
        }
        shut = self.case.shut_out - self._let_in()
        if self.kind == "consent.overridden":
            kept -= set(self.said.receivers)
        bar = self.case.all("ENVOYS") if self.case.barring or self.kind == "stay.embassy_barred" else set()
        return (kept - self._let_in()) | shut | bar

    def _let_in(self) -> set[str]:
        """Return whom the event, a consent that holds, lets hear of the person from now on."""
        if (
            self.kind != "consent.given"
            or SHARING not in self.said.purposes
            or (self.said.expires or self.day) < self.day
        ):
            return set()
        return set(self.said.receivers)

    def named(self, agency: str) -> bool:
        """Return whether a consent or override stands for *agency*."""
        return self.case.stands(agency, SHARING, self.day) in ("given", "overridden")

    def told(self) -> set[str]:
        """Return who is told."""
        found = set[str]().union(*(self.word(each) for each in TOLD[self.kind])) - {self.by, ""}
        if self.kind not in STOPPING:
            return found - self.barred()
        if self.kind.startswith("access."):
            return found
        late = self.w_answerable() if self.kind.startswith("deadline.") else set()
        return found - (set(self.case.out) - late)

    def opened(self, told: Iterable[str]) -> Mapping[Part, set[str]]:
        """Return who opens each part."""
        letter = type(self.said).letter
        row = OPENED[self.kind]
        found: dict[Part, set[str]] = {}
        for part in letter.part_names() if letter else ():
            named = row.get(part, row.get("rest", row.get("all", frozenset())))
            openers = set[str]()
            for each in named:
                openers |= {agency for agency in self._by(each) if self._within(each, agency, part)}
            found[part] = openers & set(told)
        return found

    def _by(self, word: str) -> set[str]:
        if word == "housing_shelter":
            return {
                each
                for each in self.word(word)
                if any(
                    record.kind == "bed"
                    and record.asker == self.by
                    and record.asked.get(each) in ("offered", "admitted")
                    for record in self.case.records.values()
                )
            }
        return self.word(word)

    def _within(self, word: str, agency: str, part: str) -> bool:
        if self.case.within(agency, "NEVER_RECIPIENTS"):
            return False
        if word == "rescuer":
            record = self.case.record(self.event)
            return record is not None and part in RESCUE.get(record.said, ())
        if word not in CHOSEN:
            return True
        if self.case.within(agency, "statistics"):
            return False
        rest = next(parts for roles, parts in LETTER_ROLES.items() if not roles)
        return part in next(
            (parts for roles, parts in LETTER_ROLES.items() if roles and self.case.within(agency, *roles)), rest
        )

    def word(self, name: str) -> set[str]:
        """Return the agencies that *name* means."""
        found: Iterable[str] = getattr(self, f"w_{name}")()
        return {each for each in found if each}

    def w_to(self) -> set[str]:
        """Whom the sender chose."""
        return self.to

    def w_special_unit(self) -> set[str]:
        """The deciding body; of papers, that which the referral asked."""
        if self.kind == "handover.document_transferred":
            return self.case.units_asked(self.event.referral or "")
        return set(self.case.units)

    def w_special_unit_of_child(self) -> set[str]:
        """The deciding body, of a child."""
        return set(self.case.units) if self.child else set()

    def w_special_unit_on_case(self) -> set[str]:
        """The deciding body, if it has a part in the case."""
        return self.case.stand("DECIDERS")

    def w_vac_on_case(self) -> set[str]:
        """The assistance centre, if it has a part in the case."""
        return self.case.stand("vac")

    def w_vac_on_case_or_named(self) -> set[str]:
        """… or a consent names it."""
        return self.w_vac_on_case() | {each for each in self.case.all("vac") if self.named(each)}

    def w_fund_on_recognition(self) -> set[str]:
        """The fund, once the person is recognised: if it has a part in the case, a consent names it, or of a child."""
        recognised = (
            self.kind == "identification.status_revoked"
            or getattr(self.said, "status", "") == "ActualVictimOfTrafficking"
        )
        return self.w_fund_on_case_or_named() if recognised else set()

    def w_fund_on_case_or_named(self) -> set[str]:
        """The fund, if it has a part in the case or a consent names it, or of a child."""
        return {each for each in self.case.all("fund") if self.case.on_case(each) or self.named(each) or self.child}

    def w_guardianship_of_child(self) -> set[str]:
        """Guardianship, if a child's flag reached it."""
        return {each for each in self.case.flags if self.case.within(each, "guardianship") and self.child}

    def w_guardianship_of_waiting_child(self) -> set[str]:
        """… and the child has no representative when the inquiry begins."""
        return self.w_guardianship_of_child() if self.said.stage == "inquiry" and not self.case.represented else set()

    def w_guardian_bodies(self) -> set[str]:
        """The child-protection bodies that a child's flag reached."""
        return {each for each in self.case.flags if self.child}

    def w_refused_by_child(self) -> set[str]:
        """Who knows the case and is refused by the person, now or after a consent that ends, if this finds an adult; not who deleted all."""
        if self.kind != "safeguard.age_assessed" or self.said.result != "adult":
            return set()
        return {each for each in self.w_holders() - self.case.gone if self.case.bar_of(each)}

    def w_told_of_adult(self) -> set[str]:
        """Who has the assessment by which a child became an adult, if this makes the person a child again; not who deleted all.

        Without such an assessment: who is on the case, has heard a word against itself that holds, and nothing of a child.
        """
        is_child = self.kind == "safeguard.child_flagged" or getattr(self.said, "result", "") in ("child", "unclear")
        if not (is_child and self.kind.startswith("safeguard.")):
            return set()
        if self.case.adult_by:
            return (self.w_holders() & self.case.adult_known) - self.case.gone
        unaware = {each for each in self.case.heard_against if not self.case.told_age.get(each)}
        return {each for each in unaware if self.case.on_case(each) and self.case.bar_of(each)}

    def w_guardian_bodies_of_child_to_unit(self) -> set[str]:
        """The same, when a child is referred to the deciding body."""
        return self.w_guardian_bodies() if any(self.case.within(each, "DECIDERS") for each in self.to) else set()

    def w_housing_shelter(self) -> set[str]:
        """The shelter that offered or gave the bed; while the person is in one house, no other (reading 31)."""
        houses = {
            (each, answer)
            for record in self.case.records.values()
            if record.kind == "bed"
            for each, answer in record.asked.items()
            if answer in ("offered", "admitted") and self.case.on_case(each)
        }
        lives = {each for each, answer in houses if answer == "admitted"}
        return lives if lives and self.kind not in STOPPING else {each for each, _ in houses}

    def w_shelters_on_case(self) -> set[str]:
        """Shelters with a part in the case."""
        return self.case.stand("SHELTERS")

    def w_members(self) -> set[str]:
        """The members of the plan in force."""
        return self.case.members

    def w_plan_holder(self) -> set[str]:
        """Who holds the plan."""
        return {self.case.plan[0]} if self.case.plan and self.case.on_case(self.case.plan[0]) else set()

    def w_holder(self) -> set[str]:
        """The holder of the case."""
        return {self.case.holder() or ""}

    def then(self) -> Parties:
        """Return the case after the event."""
        if self._next is None:
            self._next = deepcopy(self.case)
            self._next.heard(self.event, (), self.registered)
        return self._next

    def w_former_holder(self) -> set[str]:
        """Who held the case until this gave it to another."""
        was, now = self.case.holder(), self.then().holder()
        return {was or ""} - self.barred() if was != now else set()

    def w_next_holder(self) -> set[str]:
        """Who holds the case from this on."""
        was, now = self.case.holder(), self.then().holder()
        return {now or ""} - self.barred() if was != now else set()

    def _referral_to_unit(self) -> Record | None:
        found = [
            each
            for each in self.case.records.values()
            if each.kind == "referral"
            and any(
                self.case.within(to, "DECIDERS") and answer in ("asked", "accepted", "completed")
                for to, answer in each.asked.items()
            )
        ]
        return found[-1] if found else None

    def w_referrer(self) -> set[str]:
        """Who referred to the deciding body: the sender of the latest referral to it that was not declined, revoked or expired."""
        found = self._referral_to_unit()
        return {found.asker} - self.case.gone if found else set()

    def w_referring_ngo(self) -> set[str]:
        """The NGO that referred to the deciding body."""
        return {each for each in self.w_referrer() if self.case.within(each, "NGOS")}

    def w_referring_ngo_that_attended(self) -> set[str]:
        """… if it attended."""
        return {each for each in self.w_referring_ngo() if self.case.roles[each] in self.said.attended}

    def w_referrer_when_unit_ends(self) -> set[str]:
        """Who referred to the deciding body, where that itself ends what it owes; unless the person refuses that it hears (reading 32)."""
        about_itself = self.kind == "case.closed" or self.by in self.said.receivers
        return self.w_referrer() - self.barred() if self.case.within(self.by, "DECIDERS") and about_itself else set()

    def w_asker(self) -> set[str]:
        """The asker, unless the asker has deleted all."""
        found = self.case.record(self.event)
        return {found.asker} - self.case.gone if found else set()

    def w_asked(self) -> set[str]:
        """Who was asked to hold the removal."""
        found = self.case.record(self.event)
        return set(found.asked) if found else set()

    def w_unanswering(self) -> set[str]:
        """Receivers who have not answered, also one whose duty goes on (reading 131)."""
        return self.case.waiting(self.event.referral or self.event.id)

    def w_questioner(self) -> set[str]:
        """Whose question is answered; without one, everybody who was asked (reading 63)."""
        record = self.case.record(self.event)
        if record is None:
            return set()
        asking = self.case.questions.get(self.event.referral or "", {})
        standing = {each for each, answer in record.asked.items() if answer in ("asked", "accepted", "completed")}
        return (set(asking) & standing) or {
            each for each, answer in record.asked.items() if answer in ("asked", "accepted", "completed")
        }

    def w_relieved(self) -> set[str]:
        """Who is relieved of a duty by it; a referral names its receivers, so it tells of the deciding body alone (reading 97)."""
        if self.kind == "referral.submitted" and not all(self.case.within(each, "DECIDERS") for each in self.to):
            return set()
        after = {(each.code, each.cause, each.answerable) for each in self.after}
        return {each.answerable for each in self.before if (each.code, each.cause, each.answerable) not in after}

    def w_owing_again(self) -> set[str]:
        """Who owes again what the letter had ended, or owes it no more; if it was told of the event with that letter (reading 122)."""
        before, after = (
            {(each.code, each.cause, each.answerable) for each in clocks} for clocks in (self.before, self.after)
        )
        return {who for _, _, who in before ^ after} & self.case.told_of.get(self.event.causationid or "", set())

    def _breached(self) -> Any:
        return next(
            (
                each
                for each in self.before
                if each.code == self.said.rule
                and each.cause == self.event.causationid
                and each.due == self.said.due
                and not each.breached
            ),
            None,
        )

    def _late(self) -> list[Any]:
        if self.kind != "deadline.lifted":
            found = self._breached()
            return [found] if found else []
        overdue = (each for each in self.before if each.breached and each.code == self.said.rule)
        return [each for each in overdue if each.answerable == self.said.agency]

    def w_answerable(self) -> set[str]:
        """Who owed what was due."""
        return {each.answerable for each in self._late()}

    def w_supervisor(self) -> set[str]:
        """The supervisor of who owed it."""
        return {self.case.supervisors.get(each) or "" for each in self.w_answerable()}

    def w_waiting(self) -> set[str]:
        """The agency waiting, by the column of section 5; each one, where several wait for the same."""
        return {each for late in self._late() for each in self._waits(late)}

    def _waits(self, found: Any) -> set[str]:
        also = ROWS[found.code].owed.split("; ")[1].strip()
        cause = self.case.senders_of.get(found.cause, "")
        answered = (
            self.case.records.get(("referral", found.ref or "")) if found.code in ("D-ANSWER", "D-ASSIGN") else None
        )
        return {
            "nobody else": set(),
            "the agency that asked": {answered.asker if answered else cause}
            - (set() if found.code == "D-STOP" else self.case.gone),
            "the agency that referred to the deciding body": self.w_referrer(),
            "the holder of the plan": self.w_plan_holder(),
            "the court or prosecution that decided": {self.case.terminator},
        }[also]

    def w_open_referral_parties(self) -> set[str]:
        """Sender and receivers of a referral that waits for an answer."""
        found = set[str]()
        for (kind, ref), record in self.case.records.items():
            if kind == "referral" and (waiting := self.case.waiting(ref)):
                found |= ({record.asker} - self.case.gone) | waiting
        return found

    def w_migration_with_hold(self) -> set[str]:
        """The migration service that a standing hold was asked of."""
        return {
            each
            for record in self.case.records.values()
            if record.kind == "hold" and not record.over
            for each in record.asked
        }

    def w_migration_with_hold_on_positive(self) -> set[str]:
        """… on a positive decision."""
        return self.w_migration_with_hold() if self.said.outcome == "positive" else set()

    def w_consent_receiver_on_case(self) -> set[str]:
        """The receiver of the consent, if it has a part in the case."""
        return {each for each in self.said.receivers if self.case.on_case(each)}

    def w_consent_receiver_knowing(self) -> set[str]:
        """The receiver of the consent, if it knows the case."""
        return {each for each in self.said.receivers if each in self.case.knows}

    def w_consent_giver(self) -> set[str]:
        """Who recorded the consent."""
        return {self.case.senders_of.get(each, "") for each in self.event.consents}

    def w_giver_supervisor(self) -> set[str]:
        """The supervisor of who recorded the consent."""
        return {self.case.supervisors.get(each) or "" for each in self.w_consent_giver()}

    def w_receiver_supervisor(self) -> set[str]:
        """The supervisor of the receiver of the consent, if that has a part in the case."""
        return {self.case.supervisors.get(each) or "" for each in self.w_consent_receiver_on_case()}

    def w_withdrawer(self) -> set[str]:
        """The recorders of all withdrawals since the agency deleted last (reading 166)."""
        recorders = self.case.withdrawers.get(self.by, set())
        return recorders - self.case.gone if self.by in self.case.retaining else recorders

    def w_told_of_closing(self) -> set[str]:
        """Who closed the case, or was told that it was closed, and has not left it."""
        return set(self.case.closing) - self.case.gone

    def w_parts_in_ending_case(self) -> set[str]:
        """Who has a part, beyond a hold on removal, in a case that ends by a merge."""
        if self.said.outcome != "ends":
            return set()
        return {
            each
            for each, parts in self.case.parts.items()
            if self.case.on_case(each) and not all(by.startswith("hold ") for by in parts)
        }

    def w_other_party(self) -> set[str]:
        """The other side of the service."""
        found = self.case.record(self.event)
        if found is None:
            return set()
        return set(found.asked) if self.by == found.asker else {found.asker} - self.case.gone

    def w_return_helpers(self) -> set[str]:
        """The agencies that help with the return."""
        return {each for each in self.case.journey if self.case.on_case(each)} | (
            self.to if self.kind == "return.consented" else set()
        )

    def w_return_helpers_but_embassy(self) -> set[str]:
        """… without an embassy."""
        return {each for each in self.w_return_helpers() if not self.case.within(each, "embassy")}

    def w_decider(self) -> set[str]:
        """Who decides on the review."""
        return self.case.bodies(self.said.kind)

    def w_court_named(self) -> set[str]:
        """The court that hears the proceedings."""
        return {self.said.court or ""}

    def w_court_of_case(self) -> set[str]:
        """The court that hears proceedings about the case, if compensation is granted."""
        if self.said.purpose != "compensation":
            return set()
        found = [each for each in self.case.records.values() if each.kind == "proceedings"]
        return {who for each in found for who in each.asked}

    def w_parties_to_proceedings(self) -> set[str]:
        """Who opened the proceedings, and the court that hears them."""
        found = self.case.record(self.event)
        return {found.asker, *found.asked} if found else set()

    def w_lapsing_shelter(self) -> set[str]:
        """The shelter whose offer lapsed."""
        return {self.said.shelter}

    def w_letter_sender(self) -> set[str]:
        """Who sent the letter."""
        return {self.case.senders_of.get(self.event.causationid or "", "")}

    def w_holders(self) -> set[str]:
        """The agencies that sent or received an event of the case."""
        return {
            each
            for each in self.case.knows
            if self.case.within(each, "AGENCIES") and not self.case.within(each, "auditor", "coordinator")
        }

    def w_holders_by_authority(self) -> set[str]:
        """… where an authority says it."""
        return self.w_holders() if self.case.within(self.by, "court", "prosecution", "auditor") else set()

    def w_terminator(self) -> set[str]:
        """Whose decision ended the access."""
        return {self.case.terminator}

    def w_statistics_with_facts(self) -> set[str]:
        """Left out: these stories have no letters."""
        return set()

    def w_rescuer(self) -> set[str]:
        """Who broke the glass."""
        found = self.case.record(self.event)
        return {found.asker} if found else set()

    def w_emergency_holder(self) -> set[str]:
        """Who holds what was asked for in an emergency."""
        found = self.case.record(self.event)
        return set(found.asked) if found else set()

    def w_second_agency(self) -> set[str]:
        """The supervisors of who broke the glass and of the holder, or else who has had a part for longest."""
        found = None if self.kind == "access.break_glass" else self.case.record(self.event)
        rescuer, holder = (found.asker, next(iter(found.asked))) if found else (self.by, self.case.holder() or "")
        refused = {
            each
            for each in self.case.roles
            for purpose in ("services", SHARING, "anonymous_reporting", "tracing")
            if self.case.stands(each, purpose, self.day) in ("refused", "withdrawn")
        }
        refused |= self.barred()
        both = {self.case.supervisors.get(each) or "" for each in (rescuer, holder)} - {"", rescuer, holder} - refused
        longest = next(
            (
                each
                for each in self.case.since
                if self.case.on_case(each) and each not in (rescuer, holder) and each not in refused
            ),
            "",
        )
        return both or {longest}


def misdelivered(
    case: Parties,
    event: Any,
    fact: Any,
    opens: Mapping[Part, tuple[str, ...]],
    clocks: tuple[Clocks, Clocks],
) -> Iterator[str]:
    """Yield each agency that is told, or opens a part, otherwise than section 3 says."""
    telling = Telling(case, event, *clocks, fact.registered)
    wanted = telling.told()
    for each in sorted(set(fact.recipients) - wanted):
        yield f"{event.type} of {event.source} reaches {each} by the Rules alone"
    for each in sorted(wanted - set(fact.recipients)):
        yield f"{event.type} of {event.source} reaches {each} by the text alone"
    for part, openers in telling.opened(fact.recipients).items():
        if set(opens.get(part, ())) != openers:
            yield f"{event.type} of {event.source}: {part} is opened by {sorted(opens.get(part, ()))}, and by the text by {sorted(openers)}"
