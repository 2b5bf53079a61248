"""Letters only for the entitled: a part sealed beyond its row, or to an old key, is refused.

The table is written out of section 3 of RULES.md by hand, so that a slip of the profile shows here.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from agencies import BUS, NOW, SIGNAL, identity
from nrmbus.directory import joining
from nrmbus.events.model import PARTS, Event, Fact, Part
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Agency
from nrmbus.wire import ids
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.keys.keys import SealingKey, SealTo
from nrmbus.wire.letter import Container, seal
from nrmbus.wire.record import Record
from registrar.given import Bus, check_history, to
from registrar.test_directory import entered, rotated, state
from registrar.test_shard import CONSENT, LETTER, REF, REFERRAL, registration
from rules.given import DEFAULTS
from rules.stories import BODIES

MOST: Final = "coded identity contact story health"
FEW: Final = "coded identity contact"
TABLE: Final[Mapping[str, str]] = {
    "special_unit": MOST, "vac": MOST, "ngo_outreach": MOST, "ngo_legal": MOST, "ngo_shelter": MOST, "shelter_state": MOST,
    "guardianship": MOST, "child_commission": MOST, "prosecution": MOST,
    "fund": "coded identity contact money",
    "migration": "coded identity",
    "health": "coded identity contact health",
    "education": FEW, "employment": FEW, "social_services": FEW, "consulate": FEW, "embassy": FEW,
    "international_organisation": FEW,
}  # fmt: skip
"""Roles that may receive a referral, with the parts that each may open at most."""

Readers = dict[str, SealTo]


def agency_of(role: str) -> str:
    """The agency of *role* in these tests."""
    return f"the-{role.replace('_', '-')}"


@pytest.fixture(scope="module", name="bus")
def _bus() -> Bus:
    bus = Bus()
    for role in TABLE:
        bus.admit(agency_of(role), role)
    return bus


@pytest.fixture(name="fresh")
def _fresh() -> Bus:
    return Bus()


def sealed(bus: Bus, event: Event, readers: Mapping[Part, Readers]) -> Record:
    """*event* with a letter whose parts are sealed to exactly *readers*, as any writer of an outbox could send it."""
    container = seal({part: LETTER.get(part, {}) for part in readers}, {part: each.items() for part, each in readers.items()}, bus=BUS, source=event.source,
                     id=event.id, subject=event.subject)  # fmt: skip
    event = Event(**{**dict(event), "sealeddigest": Container.parse(container).digest})
    return with_letter(encode(event, bus.identities[event.source].signing), container)


def key(bus: Bus, agency: str) -> SealTo:
    """The current key of *agency*."""
    return bus.identities[agency].sealing.seal_to


def due(bus: Bus, agency: str, opened: str) -> dict[Part, Readers]:
    """Each part sealed to its sender and, where it is among *opened*, to *agency*; the coded facts to statistics too."""
    parts: dict[Part, Readers] = {}
    for part in LETTER:
        names = ["ngo-a", *([agency] if part in opened.split() else []), *(["statistics"] if part == "coded" else [])]
        parts[part] = {name: key(bus, name) for name in names}
    return parts


def asked(bus: Bus, shard: Shard, agency: str) -> Callable[[], Event]:
    """A case in which a referral to *agency* may be made; each call gives the referral once more."""
    case = ids.new_ref()
    bus.signal(shard, case=case)
    bus.consents(shard, agency, case=case)
    said = {**REFERRAL, "to": [agency]}
    return lambda: bus.event("ngo-a", "referral.submitted", said, referral=REF, legalbasis="CoM 21/2008", case=case)


@pytest.mark.parametrize("role", TABLE)
def test_of_a_referral_a_role_is_sealed_its_parts_and_no_other(bus: Bus, role: str) -> None:
    """The fund opens no story, migration no contact, nobody the place; one part more or fewer and nobody is told."""
    shard, agency = bus.shard(), agency_of(role)
    right, referral = due(bus, agency, TABLE[role]), asked(bus, shard, agency)
    for part in right:
        readers = dict(right[part])
        if agency in readers:
            del readers[agency]
        else:
            readers[agency] = key(bus, agency)
        decision = bus.take(shard, sealed(bus, referral(), {**right, part: readers}), owner="ngo-a")
        assert decision.code == "audience_changed", part
        named = {name: set(agencies) for name, agencies in (registration(decision).seal_to or {}).items()}
        assert named == {name: each.keys() - {"ngo-a"} for name, each in right.items()}
        assert to(decision, agency) == []
    decision = bus.take(shard, sealed(bus, referral(), right), owner="ngo-a")
    assert decision.outcome == "registered", decision.code
    copy = Container.parse(dict(to(decision, agency)[-1].headers)["nrm_letter"])
    assert {part for part in copy.parts if copy.wraps(part)} == set(TABLE[role].split()) & set(LETTER)


WITHOUT_A_REFERRAL: Final[Mapping[str, dict[str, Any]]] = {
    "needs.assessed": {}, "plan.adopted": {"services": ["legal"], "planned_end_days": 30},
    "service.requested": {"service": "legal", "urgency": "normal"},
    "stay.hold_requested": {"ground": "status", "until_days": 30},
    "shelter.bed_requested": {"urgency": "normal"},
}  # fmt: skip


@pytest.mark.parametrize("type_", WITHOUT_A_REFERRAL)
def test_whatever_a_sender_turns_to_a_role_with_its_row_bounds_what_it_opens(bus: Bus, type_: str) -> None:
    """Notes in a letter to the migration service, the fund or a school stay with their sender."""
    view = bus.rules.start(ids.new_ref())
    for role, opened in TABLE.items():
        event = bus.event("the-vac", type_, {"to": [agency_of(role)], **WITHOUT_A_REFERRAL[type_]}, case=view.subject)
        beyond = {
            part
            for part, agencies in bus.rules.audience(view, event).opens.items()
            if set(agencies) - ({agency_of(role)} if part in opened.split() else set())
        }
        assert beyond == set(), role


def test_the_table_speaks_of_every_part_and_nobody_opens_the_place(bus: Bus) -> None:
    """The part with the person's whereabouts goes to nobody else: neither the table nor the Rules names it."""
    view = bus.rules.start(ids.new_ref())
    for role, opened in TABLE.items():
        referral = bus.event("ngo-a", "referral.submitted", {**REFERRAL, "to": [agency_of(role)]}, case=view.subject)
        could = {part for part in PARTS if bus.rules.could_open(view, referral, part, agency_of(role))}
        assert could == set(opened.split())


def _beyond(readers: dict[Part, Readers], part: Part, **more: SealTo) -> dict[Part, Readers]:
    return {**readers, part: readers[part] | {name.replace("_", "-"): each for name, each in more.items()}}


def _without(readers: dict[Part, Readers], part: Part, agency: str) -> dict[Part, Readers]:
    return {**readers, part: {name: each for name, each in readers[part].items() if name != agency}}


Attack = Callable[[Bus, dict[Part, Readers]], dict[Part, Readers]]
ATTACKS: Final[Mapping[str, tuple[str, Attack]]] = {
    "an agency that is not told at all": (
        "audience_changed", lambda bus, right: _beyond(right, "story", migration=key(bus, "migration"))),
    "an agency of the same role as the recipient": (
        "audience_changed", lambda bus, right: _beyond(right, "identity", ngo_l=key(bus, "ngo-l"))),
    "statistics beyond the coded facts": (
        "audience_changed", lambda bus, right: _beyond(right, "story", statistics=key(bus, "statistics"))),
    "statistics left out": (
        "audience_changed", lambda bus, right: _without(right, "coded", "statistics")),
    "a name that nobody admitted": (
        "unknown_recipient", lambda bus, right: _beyond(right, "story", nobody=key(bus, "vac"))),
    "a key of nobody": (
        "key_not_current", lambda bus, right: _beyond(right, "story", vac=SealingKey.generate().seal_to)),
    "another agency's key under the recipient's name": (
        "key_not_current", lambda bus, right: _beyond(right, "story", vac=key(bus, "migration"))),
    "a stranger's key in the place of the sender's own": (
        "key_not_current", lambda bus, right: _beyond(right, "story", ngo_a=SealingKey.generate().seal_to)),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_letter_that_is_sealed_otherwise_is_refused_and_reaches_nobody(fresh: Bus, attack: str) -> None:
    """A client that writes to an outbox without a desk is held to the same audience and keys."""
    shard = fresh.shard()
    right, referral = due(fresh, "vac", MOST), asked(fresh, shard, "vac")
    code, altered = ATTACKS[attack]
    decision = fresh.take(shard, sealed(fresh, referral(), altered(fresh, right)), owner="ngo-a")
    assert (decision.outcome, decision.code) == ("refused", code)
    assert {out.topic for out in decision.outs} == {"nrm.cases", "nrm.inbox.ngo-a"}
    assert fresh.take(shard, sealed(fresh, referral(), right), owner="ngo-a").outcome == "registered"
    check_history(fresh, shard)


@pytest.mark.parametrize("agency", ["vac", "migration", "statistics"])
def test_nothing_is_sealed_to_who_is_suspended(fresh: Bus, agency: str) -> None:
    """A suspended agency gets no part of any letter: recipient, third agency or statistics."""
    shard = fresh.shard()
    right, referral = due(fresh, "vac", MOST), asked(fresh, shard, "vac")
    state(fresh, agency, "suspended", NOW)
    sealed_to = _beyond(right, "coded", **{agency.replace("-", "_"): key(fresh, agency)})
    decision = fresh.take(shard, sealed(fresh, referral(), sealed_to), owner="ngo-a")
    assert decision.code == ("agency_suspended" if agency == "vac" else "audience_changed")
    assert agency not in str(registration(decision).seal_to)


def test_a_key_that_was_replaced_is_refused_after_the_overlap_also_for_the_sender(fresh: Bus) -> None:
    """A stolen laptop's key opens nothing that is sealed once its time is over."""
    shard = fresh.shard()
    referral = asked(fresh, shard, "vac")
    old = rotated(fresh, "ngo-a", NOW, timedelta(hours=72)).sealing.seal_to
    after = NOW + timedelta(hours=73)
    right = due(fresh, "vac", MOST)
    own_old = _beyond(right, "story", ngo_a=old)
    assert fresh.take(shard, sealed(fresh, referral(), own_old), owner="ngo-a", now=after).code == "key_not_current"
    assert fresh.take(shard, sealed(fresh, referral(), right), owner="ngo-a", now=after).outcome == "registered"


def test_who_has_not_confirmed_its_key_yet_has_its_own_words_under_that_key_and_no_other(fresh: Bus) -> None:
    """An agency that has just joined may speak at once; a stranger's key in the place of its own is refused all the same."""
    new = identity("ngo-new")
    wanted = joining.Wanted(
        "ngo-new", "ngo_outreach", new.signing.public, new.sealing.public, new.witness.public, None, None
    )
    asked_ = joining.proposed(fresh.directory, wanted, "admitted", made=NOW)
    entered(fresh, joining.asked_by(asked_, [new.signing, new.witness]), NOW)
    fresh.identities["ngo-new"], fresh.agencies["ngo-new"] = new, Agency("ngo-new", "ngo_outreach")
    assert fresh.directory.seal_to("ngo-new", NOW) is None

    shard, codes = fresh.shard(), []
    for own in (SealingKey.generate().seal_to, key(fresh, "vac"), key(fresh, "ngo-new")):
        event = fresh.event("ngo-new", "case.signal_recorded", SIGNAL)
        readers: dict[Part, Readers] = {"coded": {"ngo-new": own}, "story": {"ngo-new": own}}
        readers["coded"] |= {name: key(fresh, name) for name in ("special-unit", "statistics")}
        codes.append(fresh.take(shard, sealed(fresh, event, readers), owner="ngo-new").code)
    assert codes == ["key_not_current", "key_not_current", None]


def test_p2_a_letter_sealed_by_a_consent_that_expired_meanwhile_is_sealed_again_to_fewer(fresh: Bus) -> None:
    """P2: a desk that was offline until the carer's consent had expired is told to leave the centre out, and then heard."""
    shard, unit = fresh.shard(), "special-unit"
    fresh.say(shard, unit, "case.signal_recorded", {**SIGNAL, "child": True, "detector": "special_unit"})
    for stage in ("initial_assistance", "inquiry", "indicator_screening"):
        fresh.say(shard, unit, "identification.stage_entered", {"stage": stage})
    for type in ("identification.indicators_screened", "identification.reasonable_grounds_decided"):
        fresh.say(shard, unit, type, dict(DEFAULTS[type]))
    carers = {**CONSENT, "given_by": "caregiver", "receivers": ["vac"], "expires": f"{NOW:%Y-%m-%d}"}
    fresh.say(shard, unit, "consent.given", carers)
    decided, later = dict(DEFAULTS["identification.status_decided"]), NOW + timedelta(days=2)
    parts: dict[Part, dict[str, Any]] = {"coded": {}, "story": {}}
    event = fresh.event(unit, "identification.status_decided", decided)
    by_consent = fresh.signed(event, parts, {"coded": ["statistics", "vac"], "story": ["vac"]})
    late = fresh.take(shard, by_consent, owner=unit, now=later)

    said = registration(late)
    assert (said.code, said.seal_to) == ("audience_changed", {"coded": ("statistics",), "story": ()})
    assert to(late, "vac") == []
    event = fresh.event(unit, "identification.status_decided", decided, recordedtime=later)
    again = fresh.take(shard, fresh.signed(event, parts, {"coded": ["statistics"]}), owner=unit, now=later)
    assert again.outcome == "registered", again.code
    assert to(again, "vac") == []
    check_history(fresh, shard)


def test_p2_a_desk_that_knew_nothing_keeps_shut_what_it_got_by_a_consent_that_has_expired(fresh: Bus) -> None:
    """P2: with the consent for some days, the centre gets the refusal behind it, and keeps the letter shut once the refusal holds again."""
    shard, said = fresh.shard(), {name: value for name, value in CONSENT.items() if name != "form"}
    fresh.signal(shard)
    refused = fresh.event("ngo-a", "consent.refused", {**said, "receivers": ["vac"]})
    last_day = f"{NOW + timedelta(days=2):%Y-%m-%d}"
    given = fresh.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac"], "expires": last_day})
    for event in (refused, given):
        assert to(fresh.take(shard, fresh.signed(event), owner="ngo-a"), "vac") == []
    sent = fresh.event("ngo-a", "referral.submitted", {**REFERRAL, "to": ["vac"]}, referral=REF)
    decision = fresh.take(shard, fresh.signed(sent, LETTER, readers_of(fresh, shard, sent)), owner="ngo-a")
    assert decision.outcome == "registered", decision.code

    known = {event.id: event for event in (refused, given, sent)}
    heard = [known[dict(out.headers)["ce_id"].decode()] for out in to(decision, "vac")]
    view = fresh.rules.start(sent.subject)
    for number, event in enumerate(heard, start=1):
        view = fresh.rules.evolve(view, Fact.of(event, ("vac",), NOW, number))
    shut = [fresh.rules.keeps_shut(view, sent, "vac", NOW + timedelta(days=days)) for days in (2, 3)]

    assert heard == [refused, given, sent]
    assert shut == [False, True]
    check_history(fresh, shard)


@pytest.mark.parametrize("refuses", ["as a child", "as an adult"])
def test_p2_a_desk_keeps_shut_what_it_got_as_a_childs_once_the_word_of_an_adult_holds(fresh: Bus, refuses: str) -> None:
    """P2: given a boy who refuses the legal NGO before or after he is found to be an adult, then its desk gets finding and refusal, and keeps the letter shut."""
    shard, now = fresh.shard(), NOW + timedelta(hours=1)
    word = {"purposes": ["information_sharing"], "receivers": ["ngo-l"], "given_by": "individual"}
    law: dict[str, Any] = {"legalbasis": "a law"}
    said: list[Event] = []
    heard: list[Event] = []

    def says(by: str, type_: str, data: Mapping[str, Any], letter: Any = None, **more: Any) -> Event:
        event = fresh.event(by, type_, {**data}, **more)
        readers = readers_of(fresh, shard, event) if letter else ()
        decision = fresh.take(shard, fresh.signed(event, letter, readers), owner=by, now=now)
        assert decision.outcome == "registered", (type_, decision.code)
        said.append(event)
        known = {each.id: each for each in said}
        heard.extend(known[dict(out.headers)["ce_id"].decode()] for out in to(decision, "ngo-l"))
        return event

    def refuse() -> None:
        says("ngo-a", "consent.refused", word)

    says("ngo-a", "case.signal_recorded", {**SIGNAL, "child": True})
    says("ngo-a", "safeguard.child_flagged", {**DEFAULTS["safeguard.child_flagged"], "to": BODIES})
    if refuses == "as a child":
        refuse()
    child = {**REFERRAL, "child": True}
    sent = says("ngo-a", "referral.submitted", {**child, "to": ["ngo-l"]}, LETTER, referral=REF, **law)
    says("ngo-a", "referral.submitted", child, referral="22" * 16, **law)
    says("special-unit", "referral.acknowledged", DEFAULTS["referral.acknowledged"], referral="22" * 16)
    says("special-unit", "referral.accepted", DEFAULTS["referral.accepted"], referral="22" * 16)
    says("special-unit", "identification.stage_entered", DEFAULTS["identification.stage_entered"])
    says("special-unit", "safeguard.age_assessed", {"result": "adult"})
    if refuses == "as an adult":
        refuse()
    view = fresh.rules.start(sent.subject)
    for number, event in enumerate(heard, start=1):
        view = fresh.rules.evolve(view, Fact.of(event, ("ngo-l",), now, number))

    types = [event.type for event in heard if event.type in ("consent.refused", "safeguard.age_assessed")]
    assert sorted(types) == ["consent.refused", "safeguard.age_assessed"]
    assert fresh.rules.keeps_shut(view, sent, "ngo-l", now)
    check_history(fresh, shard)


def readers_of(bus: Bus, shard: Shard, event: Event) -> dict[Part, tuple[str, ...]]:
    """Return who may open each part of the letter of *event*, with the statistics for the coded part."""
    case = shard.memory.case(event.subject)
    assert case is not None
    opens = bus.rules.audience(case.view, event).opens
    return {part: (*opens.get(part, ()), *(["statistics"] if part == "coded" else [])) for part in LETTER}
