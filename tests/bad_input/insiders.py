"""Attacks by an admitted agency or service with its own keys and a forged desk: one row each, on a running bus.

Everything here decodes, and is signed by the outbox's owner with a key that is current. Only the content is wrong.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from agencies import SIGNAL
from bad_input.given import CONSENT, LETTER, REFERRAL, Fate, Post
from desk.live import STARTS
from nrmbus.directory import Identity
from nrmbus.directory.admission import home_of
from nrmbus.events.model import Event, Part
from nrmbus.wire import ids
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SealingKey, SealTo
from nrmbus.wire.letter import Container, seal
from nrmbus.wire.record import Record
from wire.given import body_of, written

UNIT: Final = "special-unit"
REFUSED: Final = {"purposes": ["tracing"], "receivers": ["vac"], "given_by": "individual"}
HOLD: Final = {"reasons": ["inspection"], "until": "2026-03-31"}
ENDED: Final = {"body": "court", "scope": "case"}
GLASS: Final = {"reason": "imminent_danger"}
Readers = Mapping[Part, Mapping[str, SealTo]]


@dataclass
class Insiders:
    """Everybody who speaks on the bus of *post*, each with numbers of its own for each case."""

    post: Post
    _sequences: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """The timekeeper has keys like an agency."""
        home = home_of(self.post.folder, "timekeeper")
        self.post.identities.setdefault("timekeeper", Identity.at(home, "timekeeper"))

    def record(
        self,
        by: str,
        type_: str,
        data: dict[str, Any],
        case: str,
        *,
        readers: Readers | None = None,
        alter: Callable[[list[dict[str, Any]]], None] | None = None,
        **more: Any,
    ) -> Record:
        """Return a numbered and signed event of *by*; with *readers*, a letter sealed to exactly them, its parts *alter*-ed."""
        self._sequences[by, case] += 1
        event = self.post.event(by, type_, data, case=case, sequence=self._sequences[by, case], **more)
        key = self.post.identities[by].signing
        if readers is None:
            return encode(event, key)
        whole = seal(
            {part: LETTER.get(part, {}) for part in readers}, {part: sorted(each.items()) for part, each in readers.items()},
            bus=self.post.folder.settings.bus, source=by, id=event.id, subject=case,
        )  # fmt: skip
        digest = Container.parse(whole).digest
        if alter is not None:
            parts = body_of(Container.parse(whole))
            alter(parts)
            whole = written(parts)
            with suppress(WireError):  # what is no letter has no digest
                digest = Container.parse(whole).digest
        event = Event(**{**dict(event), "sealeddigest": digest})
        return with_letter(encode(event, key), whole)

    def say(self, by: str, type_: str, data: dict[str, Any], case: str, **more: Any) -> Fate:
        """Send the record, and wait for its outcome."""
        return self.post.submit(self.record(by, type_, data, case, **more), by)

    def known(self) -> str:
        """A case that ngo-a opened, and that the special unit may be told of."""
        case = ids.new_ref()
        for type_, data in (("case.signal_recorded", SIGNAL), ("consent.given", CONSENT)):
            assert self.say("ngo-a", type_, data, case).verdict == "registered"
        return case

    def key(self, agency: str) -> SealTo:
        """The current sealing key of *agency*."""
        return self.post.identities[agency].sealing.seal_to

    def readers(self, **more: SealTo) -> dict[Part, dict[str, SealTo]]:
        """To whom a referral of ngo-a to the special unit is sealed, with *more* in the part of her story."""
        both = {"ngo-a": self.key("ngo-a"), UNIT: self.key(UNIT)}
        found: dict[Part, dict[str, SealTo]] = {part: dict(both) for part in LETTER}
        found["money"].pop(UNIT)
        found["coded"]["statistics"] = self.key("statistics")
        found["story"] |= {name.replace("_", "-"): key for name, key in more.items()}
        return found

    def refer(self, readers: Readers, case: str | None = None, **more: Any) -> Fate:
        """Ngo-a refers to the special unit, its letter sealed as *readers* say."""
        said = {"referral": ids.new_ref(), "legalbasis": "CoM 21/2008 art. 7", **more}
        return self.say("ngo-a", "referral.submitted", REFERRAL, case or self.known(), readers=readers, **said)


@dataclass(frozen=True)
class Try:
    """*do* it; it is refused with *code*."""

    what: str
    do: Callable[[Insiders], Fate]
    code: str


def on_known(by: str, type_: str, data: dict[str, Any], **more: Any) -> Callable[[Insiders], Fate]:
    """*by* says this about a case of ngo-a's."""
    return lambda all_: all_.say(by, type_, data, all_.known(), **more)


def _ended(all_: Insiders) -> str:
    case = all_.known()
    assert all_.say("court", "access.terminated", ENDED, case, approver="S-2").verdict == "registered"
    return case


def _after_withdrawal(all_: Insiders) -> Fate:
    """The consent once more, byte for byte, after she has taken it back; and then the referral."""
    case = ids.new_ref()
    all_.say("ngo-a", "case.signal_recorded", SIGNAL, case)
    consent = all_.record("ngo-a", "consent.given", CONSENT, case)
    assert all_.post.submit(consent).verdict == "registered"
    taken = {name: CONSENT[name] for name in ("purposes", "receivers")}
    assert all_.say("ngo-a", "consent.withdrawn", taken, case).verdict == "registered"
    all_.post.send(consent)
    return all_.refer(all_.readers(), case)


def _in_anothers_place(all_: Insiders) -> Fate:
    case, id = all_.known(), ids.new_event_id()
    assert all_.refer(all_.readers(), case, id=id).verdict == "registered"
    return all_.say(UNIT, "consent.refused", REFUSED, case, id=id)


def _twice(parts: list[dict[str, Any]]) -> None:
    """A second wrap in the name of an entitled reader, for a stranger."""
    for part in parts:
        part["wraps"].insert(0, part["wraps"][0])


def _without_sender(parts: list[dict[str, Any]]) -> None:
    for part in parts:
        part["wraps"] = [wrap for wrap in part["wraps"] if wrap["to"] != "ngo-a"] or part["wraps"]


def _on_an_incident(type_: str, data: dict[str, Any]) -> Callable[[Insiders], Fate]:
    def do(all_: Insiders) -> Fate:
        incident = ids.new_ref()
        opened = all_.say("ngo-a", "incident.opened", {"place_type": "dwelling", "head_count": 3}, incident)
        assert opened.verdict == "registered"
        return all_.say("ngo-a", type_, data, incident)

    return do


TRIES: Final = (
    # Events that its role may not publish.
    Try("an NGO orders money", on_known("ngo-a", "payment.ordered", {"kind": "compensation", "amount": {"value": "1.00", "currency": "AZN"}, "payee": "person"}), "publisher_not_allowed"),
    Try("an NGO ends the access of all", on_known("ngo-a", "access.terminated", ENDED, approver="S-2"), "publisher_not_allowed"),
    Try("an NGO says that a case is to be erased", on_known("ngo-a", "access.erasure_due", {"ground": "decision"}), "publisher_not_allowed"),
    Try("an NGO says that nobody objected", on_known("ngo-a", "access.reseal_due", {"holder": "vac"}, referral="9e" * 16), "publisher_not_allowed"),
    Try("an NGO links two cases", on_known("ngo-a", "case.linked", {"confidence": "certain"}), "publisher_not_allowed"),
    Try("the statistics open a case", on_known("statistics", "case.signal_recorded", SIGNAL), "publisher_not_allowed"),
    Try("the statistics read one", on_known("statistics", "access.granted", {"what": "case", "purpose": "audit"}), "publisher_not_allowed"),
    # Events on a case of another agency.
    Try("a stranger to the case refers it", on_known("ngo-l", "referral.submitted", {**REFERRAL, "to": ["vac"]}, referral=ids.new_ref()), "unknown_case"),
    Try("a stranger records a consent", on_known("ngo-l", "consent.given", CONSENT), "unknown_case"),
    Try("a stranger counts its events", on_known("ngo-l", "consent.given", CONSENT, expectedversion=2), "version_passed"),
    Try("a stranger puts a reading on record", on_known("ngo-l", "access.granted", {"what": "case", "purpose": "audit"}), "unknown_case"),
    Try("a stranger has it kept", on_known("ngo-l", "access.hold_placed", HOLD), "unknown_case"),
    Try("a stranger says that it has erased", on_known("ngo-l", "access.erasure_confirmed", {"ground": "decision", "horizon": "2026-03-03T00:00:00Z"}), "unknown_case"),
    Try("a stranger says that a letter opened", on_known("ngo-l", "letter.opened", {}, causationid=ids.new_event_id()), "unknown_case"),
    Try("a stranger stops what it never had", on_known("vac", "consent.stop_confirmed", {"answer": "deleted"}), "unknown_case"),
    Try("a stranger breaks the glass", on_known("vac", "access.break_glass", GLASS, referral=ids.new_ref(), approver="S-2"), "not_available"),
    Try("a stranger opens it a second time", on_known("ngo-l", "case.signal_recorded", SIGNAL), "unknown_case"),
    Try("a stranger opens it a second time, from before it began", on_known("ngo-l", "case.signal_recorded", SIGNAL, at=STARTS - timedelta(days=1)), "unknown_case"),
    Try("who has a part opens it a second time", on_known("ngo-a", "case.signal_recorded", SIGNAL), "wrong_state"),
    Try("a case is made of an incident", _on_an_incident("case.signal_recorded", SIGNAL), "wrong_state"),
    Try("a consent is recorded on an incident", _on_an_incident("consent.given", CONSENT), "unknown_case"),
    # Events without consent.
    Try("an NGO names itself", on_known("ngo-a", "consent.given", {**CONSENT, "receivers": ["ngo-a"]}), "self_consent"),
    Try("a consent is played back after its withdrawal", _after_withdrawal, "consent_withdrawn"),
    Try("an NGO hands the case to itself", on_known("ngo-a", "referral.submitted", {**REFERRAL, "mode": "transfer", "to": ["ngo-a"]}, referral=ids.new_ref()), "recipient_not_allowed"),
    Try("a case is kept for ever", on_known("ngo-a", "access.hold_placed", {**HOLD, "until": "2036-03-31"}), "hold_too_long"),
    # Two people who are one.
    Try("a court's officer alone", on_known("court", "access.terminated", ENDED), "two_person_rule"),
    Try("a court's officer in two spellings", on_known("court", "access.terminated", ENDED, approver="s-01"), "two_person_rule"),
    Try("a court's officer and its desk", on_known("court", "access.terminated", ENDED, approver="by-itself"), "two_person_rule"),
    Try("an officer of the unit in two spellings breaks the glass", on_known(UNIT, "access.break_glass", GLASS, referral=ids.new_ref(), approver="S1"), "not_available"),
    # A timekeeper in wrong hands.
    Try("an erasure that nobody decided", on_known("timekeeper", "access.erasure_due", {"ground": "decision"}), "not_open"),
    Try("an erasure in the week for objecting", lambda all_: all_.say("timekeeper", "access.erasure_due", {"ground": "decision"}, _ended(all_)), "not_open"),
    Try("the same, dated to its end", lambda all_: all_.say("timekeeper", "access.erasure_due", {"ground": "decision"}, _ended(all_), at=STARTS + timedelta(days=8)), "time_in_future"),
    Try("a duty that is not overdue", on_known("timekeeper", "deadline.breached", {"rule": "D-REFER", "due": "2026-03-03T05:00:00Z", "late_by_minutes": 0}), "not_open"),
    # A letter, sealed by a desk of one's own making.
    Try("a friend reads along", lambda all_: all_.refer(all_.readers(vac=all_.key("vac"))), "audience_changed"),
    Try("the sender's own words are not sealed to it", lambda all_: all_.refer(all_.readers(), alter=_without_sender), "letter_malformed"),
    Try("who may read gets nothing", lambda all_: all_.refer({part: {"ngo-a": each["ngo-a"]} for part, each in all_.readers().items()}), "audience_changed"),
    Try("a friend's key under the name of who may read", lambda all_: all_.refer(all_.readers(special_unit=all_.key("vac"))), "key_not_current"),
    Try("a key that nobody ever had", lambda all_: all_.refer(all_.readers(special_unit=SealingKey.from_seed(bytes(32)).seal_to)), "key_not_current"),
    Try("a reader twice", lambda all_: all_.refer(all_.readers(), alter=_twice), "letter_malformed"),
    Try("under the id of another's letter", _in_anothers_place, "id_reused"),
    Try("under an id that another has yet to use", on_known("ngo-a", "access.granted", {"what": "case", "purpose": "audit"}, id=ids.said_by_itself(UNIT, ids.new_event_id(), "letter")), "id_reused"),
)  # fmt: skip
