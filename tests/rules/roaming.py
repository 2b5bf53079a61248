"""Roaming cases: seeded stories over every role, every type of event and every profile, with what each agency sees of them.

`wandering.py` has few agencies, so that rare cases come often; here are all of them, several of some roles, and any values
of the fields. A case may begin under any profile, and an activation may come in the middle.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from agencies import NOW, ROLES
from nrmbus.events.model import Data, Event, Fact
from nrmbus.events.registry import data_type
from nrmbus.rules import Agency, Profile, Rules, View, load_profile, profile_names
from rules.following import waiting_for
from rules.given import DEFAULTS, NEGATIVE, NOT_A_VICTIM, Bench

PROFILES: Final = tuple(sorted(profile_names()))
ALONE: Final = frozenset({"timekeeper", "registrar", "statistics", "coordinator", "auditor"})
"""Roles of which a bus has one agency."""
ROLE_NAMES: Final = tuple(sorted({*ROLES.values(), *load_profile("az@2022-04-29").expand(("EVERYBODY",))}))
WAITS: Final = (0, 0, 0, 0, 0, 1, 5, 30, 24 * 4, 24 * 9, 24 * 40)
CHANCE: Final = 0.35
"""How often a field has another value than its default."""


@cache
def choices_of(data: type[Data]) -> Mapping[str, tuple[tuple[Any, ...], bool]]:
    """Return the codes of each field of *data*, and whether the field is a list of them."""
    found: dict[str, tuple[tuple[Any, ...], bool]] = {}
    for name, field in data.model_fields.items():
        codes, many = _codes(field.annotation)
        if codes:
            found[name] = codes, many
    return found


def _codes(annotation: Any) -> tuple[tuple[Any, ...], bool]:
    if annotation is bool:
        return (True, False), False
    if get_origin(annotation) is Literal:
        return get_args(annotation), False
    many = get_origin(annotation) is tuple
    for inner in get_args(annotation):
        codes, deeper = _codes(inner)
        if codes:
            return codes, many or deeper
    return (), False


profile_of = cache(load_profile)


def world(dice: random.Random) -> dict[str, Agency]:
    """Return an agency of each role, two of some, and supervisors for a few."""
    found: dict[str, Agency] = {}
    for role in ROLE_NAMES:
        name = role.replace("_", "-")
        found[name] = Agency(name, role)
        if role not in ALONE and dice.random() < 0.25:
            supervisor = name if dice.random() < 0.4 else None
            found[f"{name}-2"] = Agency(f"{name}-2", role, supervisor)
    if dice.random() < 0.15:
        found = {id: agency for id, agency in found.items() if agency.role != "court"}
    return found


@dataclass
class Seen:
    """What one agency knows of the case: its own events and those that reached it, as its desk folds them."""

    view: View

    def hear(self, rules: Rules, me: str, fact: Fact, recipients: Iterable[str]) -> None:
        """Take an event that *me* sent or received."""
        others = {*recipients, *fact.event.data.recipients} - {fact.event.source}
        self.view = rules.evolve(
            self.view, Fact.of(fact.event, tuple(sorted(others)), fact.registered, fact.number, fact.policy)
        )


class Roaming(Bench):
    """A case in which anybody tries anything; with the view of each agency that has heard of it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        super().__init__(profile_of(self.dice.choice(PROFILES)), case=f"roaming {seed}")
        self.agencies = world(self.dice)
        self.rules = Rules(self.rules.profile, self.agencies)
        self.view = self.rules.start(self.subject)
        self.seen: dict[str, Seen] = {}
        self.departed: set[str] = set()
        """Agencies that said that they deleted what they knew; what they hear later they cannot put together."""
        self.steps = 0
        self.tried = 0
        self._activate()
        self.cast = self._cast()

    def fork(self) -> "Roaming":
        """Return a copy of the case that continues independently from here, and that nobody watches."""
        twin = super().fork()
        assert isinstance(twin, Roaming)
        vars(twin).pop("hear", None)
        twin.seen = {}
        return twin

    def _activate(self) -> None:
        """Sometimes another profile comes into force while the case goes on."""
        if self.dice.random() < 0.6:
            return
        day = NOW + timedelta(days=self.dice.choice((1, 1, 3, 8, 30)))
        other = self.dice.choice([name for name in PROFILES if name != self.rules.profile.name])
        bulletin = Bench.of_bulletin("coordinator", self.rules.profile)
        bulletin.rules = self.rules
        said = {"profile": other, "digest": profile_of(other).digest, "valid_from": f"{day:%Y-%m-%d}"}
        event = bulletin.event(
            "coordinator",
            "policy.profile_activated",
            approver="A-2",
            open_cases=self.dice.choice(("keep", "move")),
            **said,
        )
        self.rules.activate(Fact.of(event, (), NOW, 1, self.rules.profile.name))

    def _cast(self) -> tuple[str, ...]:
        """Return the agencies that this case is mostly about."""
        roles = (
            "special_unit",
            "social_services",
            "vac",
            "ngo_outreach",
            "guardianship",
            "child_commission",
            "migration",
            "fund",
        )
        first = [id for id, agency in self.agencies.items() if agency.role in roles]
        others = [id for id, agency in self.agencies.items() if agency.role not in ALONE]
        return tuple(dict.fromkeys((*first, *self.dice.sample(others, 6))))

    @property
    def profile(self) -> Profile:
        """The profile by which the next event of somebody on the case is judged."""
        return self.rules.profile_named(
            self.rules.policy_for(self.view, next(iter(self.view.parts), "auditor"), self.now)
        )

    @property
    def units(self) -> tuple[str, ...]:
        """The agencies that decide whether a person is a victim."""
        return self.having(*self.profile.expand(("DECIDERS",)))

    def having(self, *roles: str) -> tuple[str, ...]:
        """Return the agencies of one of *roles*."""
        return tuple(id for id, agency in self.agencies.items() if agency.role in roles)

    def publishers(self, type: str) -> tuple[str, ...]:
        """Return the agencies that may publish *type*."""
        row = self.profile.types.get(type)
        return self.having(*(self.profile.expand(row.by) - {"timekeeper"})) if row else ()

    # What somebody says

    def said(self, type: str, by: str) -> dict[str, Any]:
        """Return data for *type*: the defaults, some of them replaced, and agencies chosen by chance."""
        dice, data = self.dice, dict(DEFAULTS.get(type, {}))
        for name, (codes, many) in choices_of(data_type(type, 1)).items():
            if dice.random() < CHANCE:
                data[name] = (
                    sorted(dice.sample(codes, dice.randint(1, min(3, len(codes))))) if many else dice.choice(codes)
                )
        chosen = getattr(self, f"_{type.replace('.', '_')}", None)
        if chosen is not None:
            data |= chosen(by)
        if "to" in data_type(type, 1).model_fields:
            data |= self._to(type)
        if "receivers" in data_type(type, 1).model_fields:
            data["receivers"] = [by if dice.random() < 0.1 else self._receiver()]
        return data

    def _to(self, type: str) -> dict[str, Any]:
        dice = self.dice
        wanted = {
            "referral.submitted": ("RECEIVERS",), "shelter.bed_requested": ("SHELTERS",), "service.requested": ("SERVICE_PROVIDERS",),
            "return.consented": ("RETURN_HELPERS",), "stay.hold_requested": ("migration",), "safeguard.child_flagged": ("GUARDIANS",),
        }.get(type, ("RECEIVERS",))  # fmt: skip
        fit = self.having(*self.profile.expand(wanted)) if dice.random() < 0.95 else tuple(self.agencies)
        if type == "safeguard.child_flagged" and dice.random() < 0.8:
            return {"to": sorted(fit)}
        named = [id for id in fit if self.view.consents.get((id, "information_sharing"))]
        pool = named if named and dice.random() < 0.8 else [id for id in fit if id in self.cast] or list(fit)
        if type == "referral.submitted" and dice.random() < 0.4:
            pool = list(self.units)
        optional = type in (
            "service.requested",
            "service.scheduled",
            "service.delivered",
            "service.not_delivered",
            "return.consented",
            "data.breach_reported",
        )
        if not pool or (optional and dice.random() < 0.3):
            return {}
        more: dict[str, Any] = {"to": sorted(set(dice.choices(pool, k=dice.choice((1, 1, 1, 2, 3)))))}
        if type in ("referral.submitted", "shelter.bed_requested") and dice.random() < (
            0.7 if self._unit_refused() else 0.05
        ):
            more["withhold_from"] = [dice.choice(self.units)]
        return more

    def _unit_refused(self) -> bool:
        found = [self.view.consents.get((unit, "information_sharing")) for unit in self.units]
        return any(each and each.kind == "refused" for each in found)

    def _receiver(self) -> str:
        pool = self.cast if self.dice.random() < 0.9 else tuple(self.agencies)
        if self.dice.random() < 0.25 and self.view.parts:
            pool = tuple(self.view.parts)
        return self.dice.choice(pool)

    def _consent_given(self, by: str) -> dict[str, Any]:
        last = self.now + timedelta(days=self.dice.choice((2, 20, 100)))
        more: dict[str, Any] = {"expires": f"{last:%Y-%m-%d}"} if self.dice.random() < 0.1 else {}
        if self.dice.random() < 0.8:
            more |= {"purposes": ["information_sharing", "services"], "given_by": "individual"}
        return more

    _consent_withdrawn = _consent_refused = lambda self, by: (
        {"purposes": ["information_sharing", "services"]} if self.dice.random() < 0.8 else {}
    )

    def _identification_stage_entered(self, by: str) -> dict[str, Any]:
        stages = self.profile.statuses.stages
        return {"stage": stages[min(self.view.stage, len(stages) - 1)]} if self.dice.random() < 0.9 else {}

    def _identification_interview_held(self, by: str) -> dict[str, Any]:
        return {"attended": ["special_unit", "doctor", "representative"]} if self.dice.random() < 0.7 else {}

    def _identification_reasonable_grounds_decided(self, by: str) -> dict[str, Any]:
        return dict(NEGATIVE) if self.dice.random() < 0.35 else {}

    def _identification_status_decided(self, by: str) -> dict[str, Any]:
        return dict(NOT_A_VICTIM) if self.dice.random() < 0.35 else {"deciding_body": "Police"}

    def _review_decided(self, by: str) -> dict[str, Any]:
        return {"reasons": ["new_evidence"]}

    def _payment_ordered(self, by: str) -> dict[str, Any]:
        return {
            "kind": self.dice.choice(
                ("one_time_allowance", "one_time_allowance", "compensation", "other_financial_assistance")
            ),
            **self._decision(),
        }

    def _payment_executed(self, by: str) -> dict[str, Any]:
        orders = [each for each in self.view.payments.values() if each.state == "ordered"]
        return {"kind": self.dice.choice(orders).kind if orders else "compensation", **self._decision()}

    _payment_failed = _payment_executed

    def _decision(self) -> dict[str, Any]:
        known = tuple(self.view.decisions)
        return {"decision": self.dice.choice(known)} if known and self.dice.random() < 0.5 else {}

    def _justice_case_opened(self, by: str) -> dict[str, Any]:
        courts = self.having("court")
        return {"court": self.dice.choice(courts)} if courts and self.dice.random() < 0.6 else {}

    def _access_hold_placed(self, by: str) -> dict[str, Any]:
        return {
            "until": f"{self.now + timedelta(days=self.dice.choice((0, 5, 200))):%Y-%m-%d}",
            "reasons": ["objection"],
        }

    def _document_chunk_sent(self, by: str) -> dict[str, Any]:
        documents = tuple(self.view.documents.values())
        return {"index": self.dice.choice(documents).came if documents else 0}

    def _return_consented(self, by: str) -> dict[str, Any]:
        return {"given_by": "individual", "form": "written"} if self.dice.random() < 0.7 else {}

    def _referral_acknowledged(self, by: str) -> dict[str, Any]:
        return {"duty_role": "duty_officer"} if self.dice.random() < 0.9 else {}

    _handover_person_received = _access_break_glass_objected = _referral_acknowledged

    def _access_erasure_confirmed(self, by: str) -> dict[str, Any]:
        return {"ground": "decision"} if self.dice.random() < 0.8 else {}

    def _access_granted(self, by: str) -> dict[str, Any]:
        return {"what": "case", "parts": None, "event": None}

    def _safeguard_best_interests_decided(self, by: str) -> dict[str, Any]:
        return {"conditions": []}

    # Trying

    def attempt(self, by: str, type: str, **said: Any) -> bool:
        """Say it if the Rules let it in; tell whether they did."""
        self.tried += 1
        event = self.event(by, type, **{"legal_basis": "a law", "approver": "A-2", **said})
        return self.submit(event)

    def submit(self, event: Event) -> bool:
        """Register *event* unless the Rules refuse it."""
        policy = self.rules.policy_for(self.view, event.source, self.now)
        if self.rules.judge(self.view, event, self.now, policy=policy) is not None:
            return False
        audience = self.rules.audience(self.view, event, policy, self.now)
        self.register(Fact.of(event, audience.recipients, self.now, len(self.facts) + 1, policy), audience.earlier)
        return True

    def register(self, fact: Fact, earlier: Mapping[str, Sequence[str]]) -> None:
        """Take *fact* into the view, and into those of everybody who sent or receives it."""
        self.hear(fact)
        known = {each.event.id: each for each in self.facts}
        for agency in (fact.event.source, *fact.recipients):
            seen = self.seen.setdefault(agency, Seen(self.rules.start(self.subject)))
            own = agency == fact.event.source
            for consent in earlier.get(agency, ()):
                seen.hear(self.rules, agency, known[consent], (agency,))
            told = self.rules.audience(seen.view, fact.event, fact.policy).recipients if own else (agency,)
            seen.hear(self.rules, agency, fact, told)

    def _say(self, due: Any) -> tuple[str, ...]:
        self.now = max(self.now, due.at)
        event = self.event("timekeeper", due.type, data=due.data, cause=due.cause, reference=due.ref, at=due.at)
        policy = self.rules.policy_for(self.view, event.source, self.now)
        refusal = self.rules.judge(self.view, event, self.now, policy=policy)
        if refusal is not None:
            message = f"the Rules refuse what the timekeeper says: {refusal.rule} {due}"
            raise AssertionError(message)
        audience = self.rules.audience(self.view, event, policy, self.now)
        self.register(Fact.of(event, audience.recipients, self.now, len(self.facts) + 1, policy), audience.earlier)
        return audience.recipients

    def wait(self, hours: int) -> None:
        """Let time pass, in which the timekeeper says what is due."""
        until, due = self.now + timedelta(hours=hours), None
        for _ in range(400):
            due = next(iter(self.rules.due(self.view)), None)
            if due is None or due.at > until:
                self.now = max(self.now, until)
                return
            self._say(due)
        message = f"the timekeeper never falls silent: {due}"
        raise AssertionError(message)

    def open(self) -> None:
        """Somebody gives the signal, and the person agrees to some."""
        dice = self.dice
        detectors = self.publishers("case.signal_recorded")
        by = detectors[0]
        while not self.view.exists:
            by = dice.choice(detectors)
            type = "case.signal_recorded" if dice.random() < 0.9 else "case.re_referred"
            said = self.said(type, by) | {"child": dice.random() < 0.25, "detector": self.agencies[by].role}
            self.attempt(by, type, letter=dice.random() < 0.5, **said)
        for each in self.cast:
            if dice.random() < 0.6:
                self.attempt(
                    by,
                    "consent.overridden" if each == by else "consent.given",
                    receivers=[each],
                    **(
                        {}
                        if each == by
                        else {"purposes": ["information_sharing", "services"], "given_by": "individual"}
                    ),
                )
        if self.view.child:
            self.attempt(by, "safeguard.child_flagged", to=sorted(self.having("guardianship", "child_commission")))

    def step(self) -> str | None:
        """Let time pass, and one agency publish something that the Rules allow; return its type."""
        dice = self.dice
        if dice.random() < 0.25:
            self.wait(dice.choice(WAITS))
        for _ in range(6 if dice.random() < 0.6 else 0):
            if type := self._go_on():
                self.steps += 1
                return type
        counts = Counter(fact.event.type for fact in self.facts)
        names = _NAMES if len(self.facts) > 12 else _WITHOUT_END
        order = sorted(
            names,
            key=lambda name: (
                counts[name] + (3 if dice.random() < 0.5 else 12) * dice.random() + _RARE.get(name, 0) * dice.random()
            ),
        )
        refs = tuple(self.references())
        causes = tuple(
            fact.event.id for fact in self.facts if fact.event.sealeddigest or fact.event.type == "document.shared"
        )
        for type in order:
            publishers = self.publishers(type)
            if not publishers:
                continue
            on_case = [each for each in publishers if each in self.view.counts]
            for _ in range(2):
                by = dice.choice(on_case) if on_case and dice.random() < 0.93 else dice.choice(publishers)
                if self._try(by, type, refs, causes):
                    self.steps += 1
                    return type
        return None

    def _go_on(self) -> str | None:
        """Have somebody take one of the steps that follow from what is open; return its type if it was let in."""
        waiting = tuple(waiting_for(self))
        if not waiting:
            return None
        by, type, ref, more = self.dice.choice(waiting)
        return type if self._try(by, type, (ref,) if ref and "-" not in ref else (), (), **more) else None

    def _try(self, by: str, type: str, refs: Sequence[str], causes: Sequence[str], **fields: Any) -> bool:
        dice = self.dice
        said = self.said(type, by) | fields
        more: dict[str, Any] = {"letter": dice.random() < 0.5 and data_type(type, 1).letter is not None}
        if refs and dice.random() < 0.85:
            more["reference"] = dice.choice(refs)
        elif dice.random() < 0.8:
            more["ref"] = f"X-{dice.randint(1, 9)}"
        if type.startswith(("letter.", "document.chunk")) and causes:
            more["cause"] = dice.choice(causes)
        if type == "consent.objected":
            more["consent"] = self._papers()
            if more["consent"]:
                paper = more["consent"][0]
                said["receivers"] = list(paper.data.receivers)
        if dice.random() < 0.06:
            more["at"] = self.now - timedelta(hours=dice.choice((1, 20, 100)))
        if dice.random() < 0.05:
            more["recorded"] = self.now - timedelta(minutes=dice.choice((3, 600)))
        if dice.random() < 0.05:
            more["approver"] = None
        if dice.random() < 0.05:
            more["legal_basis"] = None
        return self.attempt(by, type, **more, **said)

    def _papers(self) -> tuple[Event, ...]:
        found = [fact.event for fact in self.facts if fact.event.type in ("consent.given", "consent.overridden")]
        return (self.dice.choice(found),) if found else ()

    def references(self) -> Iterator[str]:
        """Yield every reference that something in the case has."""
        view = self.view
        known = dict.fromkeys(
            ref
            for records in (
                view.referrals, view.beds, view.holds, view.reviews, view.services, view.payments, view.grants, view.proceedings,
                view.emergencies,
            )
            for ref in records
        )  # fmt: skip
        yield from (ref for ref in known if "-" not in ref)

    # Reading it

    def story(self) -> list[str]:
        """Return the events of the case, for the message of a failed test."""
        start = self.facts[0].registered if self.facts else self.now
        return [
            f"{(fact.registered - start) / timedelta(hours=1):7.1f} h {fact.policy} {fact.event.source} {fact.event.type} {fact.event.data.to_mapping()} "
            f"{(fact.event.referral or '')[:6]} letter={bool(fact.event.sealeddigest)} to {fact.recipients}"
            for fact in self.facts
        ]


_ROW_TYPES: Final = tuple(
    name
    for name, row in load_profile("az@2022-04-29").types.items()
    if row.by != ("timekeeper",)
    and not row.opening
    and data_type(name, 1).keyed_by == "case"
    and name not in ("access.granted", "deadline.lifted")
)
"""Types that anybody may try; the others are asked about on purpose, so that a seed goes on telling the same story."""
_NAMES: Final = _ROW_TYPES
_RARE: Final[Mapping[str, int]] = {
    "case.withdrawn": 40, "case.closed": 25, "case.signal_dismissed": 25, "access.terminated": 150, "case.merged": 25, "consent.stop_confirmed": 0,
}  # fmt: skip
_WITHOUT_END: Final = tuple(
    name
    for name in _NAMES
    if name not in ("case.withdrawn", "case.closed", "case.signal_dismissed", "access.terminated", "case.merged")
)
