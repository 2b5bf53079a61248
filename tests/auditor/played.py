"""The history of the first scenario, played in memory and written as a registrar writes it: signed, chained, numbered.

Every recipient that could open a part of a letter sends a receipt, as desks do; the migration service's desk is down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from shutil import copytree

from agencies import BUS, POLICY, ROLES, Town, home
from nrmbus.auditor.history.history import Audited, Entry, History, Signatures, rules_of
from nrmbus.directory import Directory, Identity
from nrmbus.events.delivery import LetterOpened
from nrmbus.events.model import Event, Fact
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.rules import Refusal, Rules, View
from nrmbus.wire import ids
from nrmbus.wire.envelope import decode, encode
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import NOTHING_BEFORE, Audience, Policy, Registration, sign_registration

FIRST = "01-woman-referred-by-ngo"
DOWN = "migration"
AUDIENCE_CHANGED = Refusal("audience_changed", "W9", "[D]", "")
"""The registrar's answer to a letter whose audience has changed."""
LATER = "latecomer"
"""An agency that was admitted after all events."""


@dataclass
class Written:
    """A directory with the registrar's key, and the registrar's records."""

    directory: Directory
    identities: dict[str, Identity]
    rules: Rules
    records: list[Record] = field(default_factory=list)
    view: dict[str, View] = field(default_factory=dict)
    previous: str = NOTHING_BEFORE

    def register(self, event: Event, now: datetime, refusal: Refusal | None = None) -> None:
        """Write one registration, or one refusal."""
        view = self.view.get(event.subject) or self.rules.start(event.subject)
        told = self.rules.audience(view, event, None, now) if refusal is None else None
        audience = Audience(
            earlier=told.earlier if told else {},
            recipients=told.recipients if told else (),
            salt=f"{len(self.records):032x}",
        )
        envelope = encode(event, self.identities[event.source].signing)
        signed = decode(envelope)
        number = len(self.records) + 1
        registration = Registration(
            audience=audience.commitment(), bus=BUS, envelope=signed.digest, id=event.id, key=signed.kid, number=number,
            partition=0, policy=Policy(digest=self.rules.profile.digest, name=self.rules.profile.name), previous=self.previous,
            sequence=event.sequence, source=event.source, subject=event.subject, time=now,
            verdict="refused" if refusal else "registered", code=refusal.code if refusal else None,
            rule=refusal.rule if refusal else None, article=refusal.article if refusal else None,
        )  # fmt: skip
        self.previous = registration.digest
        added = (
            (AUDIENCE, audience.json()),
            (REGISTRATION, sign_registration(registration, self.identities["registrar"].signing)),
        )
        kept = envelope if refusal is None else Record(envelope.key, b"", ())
        self.records.append(Record(kept.key, kept.value, (*kept.headers, *added)))
        if told is not None:
            fact = Fact.of(event, told.recipients, now, number)
            self.view[event.subject] = self.rules.evolve(view, fact)
            self._open(event, now, {agency for agencies in told.opens.values() for agency in agencies})

    def seal_again(self, event: Event, now: datetime) -> Event:
        """Write a refusal of *event* for its changed audience, then the event sealed again by its desk."""
        self.register(event, now, AUDIENCE_CHANGED)
        again = event.model_copy(
            update={"id": ids.sealed_again(event.source, event.id), "sequence": event.sequence + 1}
        )
        self.register(again, now)
        return again

    def _open(self, event: Event, now: datetime, openers: set[str]) -> None:
        for agency in sorted(openers - {DOWN}) if event.sealeddigest else ():
            said = event.model_copy(
                update={
                    "id": ids.said_by_itself(agency, event.id, "letter"), "source": agency, "type": "letter.opened",
                    "version": 1, "time": now, "recordedtime": now, "data": LetterOpened(), "causationid": event.id,
                    "sealeddigest": None, "referral": None, "consent": None, "approver": None, "legalbasis": None,
                }
            )  # fmt: skip
            self.register(said, now)

    def audited(self, signatures: Signatures = "all") -> Audited:
        """Return the history as an auditor verifies it."""
        history = History(self.directory, signatures=signatures)
        for record in self.records:
            history.take(record, 0)
        history.verifier.check_last()
        return Audited(history, self.directory, rules_of(self.directory, POLICY), 1)


@cache
def first_scenario() -> Written:
    """Return the first scenario, shared by all tests that only read it."""
    return written()


@cache
def first_audited() -> Audited:
    """Return the first scenario as an auditor verifies it, shared by all tests that only read it."""
    return first_scenario().audited()


def written(auditor: Path | None = None) -> Written:
    """Return a fresh first scenario, with an auditor in the directory whose keys are in the folder *auditor*."""
    text = resources.files("nrmbus.play").joinpath("scenarios", f"{FIRST}.yaml").read_text(encoding="utf-8")
    scenario, stage = parse(text, FIRST), MemoryBus()
    assert play(scenario, stage, keep_going=True).played == len(scenario.steps)
    roles = {name: each.role for name, each in scenario.agencies.items()}
    roles |= {
        name: ROLES[name] for name in ("registrar", "timekeeper", "statistics", *(["auditor"] if auditor else []))
    }
    here = Town(roles=roles, since=scenario.starts - timedelta(days=1))
    here.admit(LATER, "hotline", scenario.starts + timedelta(days=3650))
    if auditor:
        copytree(home() / "auditor", auditor, dirs_exist_ok=True)
    found = Written(here.directory, here.identities, rules_of(here.directory, POLICY))
    for event, now, refusal in _happened(stage, found.rules):
        found.register(event, now, refusal)
    return found


def _happened(stage: MemoryBus, rules: Rules) -> Iterator[tuple[Event, datetime, Refusal | None]]:
    """Yield the events published on *stage*, in order, with time and answer."""
    for event, _, outcome in stage._submitted.values():
        refusal = None
        if outcome.code is not None:
            assert outcome.rule is not None
            assert outcome.article is not None
            says = rules.profile.refusals[outcome.rule].says
            refusal = Refusal(outcome.code, outcome.rule, outcome.article, says)
        yield event, event.recordedtime, refusal


def of_type(seen: Audited, type_: str, nth: int = 0) -> Entry:
    """Return the nth registered event of a type."""
    return [each for each in seen.history.entries if each.said and each.said.type == type_][nth]


def with_header(record: Record, name: str, value: bytes) -> Record:
    """Return the record with another value of one header."""
    headers = tuple((each, value if each == name else old) for each, old in record.headers)
    assert any(each == name for each, _ in headers)
    return Record(record.key, record.value, headers)


def material_digest(record: Record) -> str:
    """Return a digest of the signature of a record, to tell records apart."""
    return sha256(dict(record.headers)[MATERIAL]).hexdigest()
