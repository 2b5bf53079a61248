"""A registrar that does not follow the Rules is found, though its signatures and chain are sound."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agencies import CASE, NOW, POLICY
from auditor.played import first_scenario
from nrmbus.auditor.history.history import History, activate
from nrmbus.auditor.reports.rejudge import otherwise
from nrmbus.events import bulletin
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Agency, Audience, Refusal, Rules, load_profile
from nrmbus.rules.emergency import ASKED
from nrmbus.wire import ids, times
from registrar.given import Bus
from registrar.test_emergency import asks, known

DAY = timedelta(days=1)
CONSENT = {"purposes": ["information_sharing"], "receivers": ["vac"], "given_by": "individual", "form": "written"}


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


class Bent(Rules):
    """The Rules as a registrar in wrong hands would have them; its registrations name the honest profile."""

    friends: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    def judge(self, *_: Any, **__: Any) -> None:
        """Refuse nothing."""

    def audience(self, *asked: Any) -> Audience:
        """Tell friends as well, and leave out whom it likes to."""
        due = super().audience(*asked)
        told = {*due.recipients, *self.friends} - set(self.strangers)
        return replace(due, recipients=tuple(sorted(told)))


def registered(bus: Bus, bend: Callable[[type[Bent]], None]) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """Return the findings of a case in which a corrupt registrar took a consent that ngo-a gives to itself."""

    class Here(Bent):
        pass

    bend(Here)
    honest = bus.rules
    bus.rules = Here(honest.profile, bus.agencies)
    shard: Shard = bus.shard()
    bus.signal(shard)
    bus.take(shard, bus.signed(bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["ngo-a"]})), owner="ngo-a")
    history = History(bus.directory)
    for record in bus.history:
        history.take(record, 0)
    history.verifier.check_last()
    return [(each.code, each.rule, each.agencies) for each in otherwise(history.entries, honest, bus.directory)]


def test_a_registrar_that_goes_by_the_rules_is_not_found_fault_with() -> None:
    """The first story: every event, consents before newcomers' first ones, the timekeeper's words, refusals left out."""
    seen = first_scenario().audited()

    assert len(seen.history.entries) > 40
    assert list(otherwise(seen.history.entries, seen.rules, seen.directory)) == []


@pytest.mark.parametrize("minutes", [-30, 30], ids=["its last day", "the day after"])
def test_a_registrar_whose_clock_was_set_back_is_not_found_fault_with(bus: Bus, minutes: int) -> None:
    """Given a clock that was an hour ahead past midnight, when a consent's last day ends again, then no finding names it."""
    shard, midnight = bus.shard(), datetime(2026, 3, 2, 20, tzinfo=UTC)  # in Baku
    bus.signal(shard)
    consent = {**CONSENT, "purposes": ["information_sharing", "services"], "expires": "2026-03-02"}
    assert bus.say(shard, "ngo-a", "consent.given", consent).outcome == "registered"
    bus.signal(shard, case=ids.new_ref(), at=midnight - timedelta(minutes=30), now=midnight + timedelta(minutes=30))
    referral = {"to": ["vac"], "mode": "referral", "reason": "Other", "urgency": "normal", "services": []}
    now = midnight + timedelta(minutes=minutes)
    bus.say(shard, "ngo-a", "referral.submitted", referral, referral=ids.new_ref(), legalbasis="a law", now=now)
    history = History(bus.directory)
    for record in bus.history:
        history.take(record, 0)

    assert list(otherwise(history.entries, bus.rules, bus.directory)) == []


def test_a_wrongly_registered_event_is_found(bus: Bus) -> None:
    """A consent that names its own publisher."""
    assert registered(bus, lambda _: None) == [("let_in", "G-36", ())]


def test_a_consent_for_an_agency_that_was_on_no_directory_is_found(bus: Bus) -> None:
    """The registrar's own check is judged again too: an honest one would have refused it as `unknown_recipient`."""
    honest = bus.rules
    bus.rules = Rules(honest.profile, {**bus.agencies, "vac-2": bus.agencies["vac"]})
    shard = bus.shard()
    bus.signal(shard)
    consent = bus.event("ngo-a", "consent.given", {**CONSENT, "receivers": ["vac-2"]})
    before = bus.directory.state
    bus.directory.state = lambda agency, at: before(agency if agency != "vac-2" else "vac", at)  # type: ignore[method-assign]  # bent
    assert bus.take(shard, bus.signed(consent), owner="ngo-a").outcome == "registered"
    bus.directory.state = before  # type: ignore[method-assign]
    history = History(bus.directory)
    for record in bus.history:
        history.take(record, 0)

    found = [(each.code, each.rule, each.agencies) for each in otherwise(history.entries, honest, bus.directory)]
    assert found == [("let_in", "W3", ("vac-2",))]


@pytest.mark.parametrize("field", ["at", "recordedtime"])
@pytest.mark.parametrize("ahead", [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), NOW + DAY])
def test_a_time_that_lies_ahead_is_found(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, field: str, ahead: datetime
) -> None:
    """An honest registrar refuses it as `time_in_future`; a forged one is read to its end, and the finding names it."""
    monkeypatch.setattr(times, "AHEAD_AT_MOST", timedelta.max)
    shard = bus.shard()
    bus.signal(shard)
    said: dict[str, Any] = {field: ahead}
    consent = bus.event("ngo-a", "consent.given", CONSENT, **said)
    assert bus.take(shard, bus.signed(consent), owner="ngo-a").outcome == "registered"
    monkeypatch.undo()
    history = History(bus.directory)
    for record in bus.history:
        history.take(record, 0)

    found = [(each.code, each.rule, each.agencies) for each in otherwise(history.entries, bus.rules, bus.directory)]
    assert found == [("let_in", "W3", ())]


def test_a_recipient_beside_the_rules_is_found(bus: Bus) -> None:
    """A friend at the fund hears of a signal."""
    found = registered(bus, lambda bent: setattr(bent, "friends", ("fund",)))

    assert ("told_beyond", None, ("fund",)) in found


def test_an_omitted_recipient_is_found(bus: Bus) -> None:
    """The special unit does not hear of it."""
    found = registered(bus, lambda bent: setattr(bent, "strangers", ("special-unit",)))

    assert ("told_short", None, ("special-unit",)) in found


def test_an_activation_is_judged_by_what_was_known_before_it(bus: Bus) -> None:
    """Two honest activations are found to be nothing else, by an auditor who knows both of them today."""
    shard = bus.shard()
    bus.rules = Rules(load_profile(POLICY), bus.agencies)
    for name, day in (("az@2024-02-08", "2026-04-01"), ("osce-generic@2022-01-01", "2026-05-01")):
        data = {
            "profile": name, "digest": load_profile(name).digest, "valid_from": day, "open_cases": "keep", "acts": ["CoM 1/2026"],
        }  # fmt: skip
        about = bulletin.of("coordinator")
        said = bus.say(shard, "coordinator", "policy.profile_activated", data, case=about, approver="S-2")
        assert said.outcome == "registered"
    history = History(bus.directory)
    for record in bus.history:
        history.take(record, 0)
    today = Rules(load_profile(POLICY), bus.agencies)
    activate(today, history, bus.directory)

    assert len(today.timeline) == 2
    assert list(otherwise(history.entries, today, bus.directory)) == []


def test_an_agency_admitted_later_is_not_missed(bus: Bus) -> None:
    """Today's directory has a special unit that a registration of that day could not know."""
    bus.signal(bus.shard())
    bus.admit("unit-2", "special_unit", NOW + DAY)
    history = History(bus.directory)
    history.take(bus.history[0], 0)
    today = Rules(bus.rules.profile, {**bus.agencies, "unit-2": Agency("unit-2", "special_unit")})

    assert list(otherwise(history.entries, today, bus.directory)) == []


class Stubborn(Rules):
    """Rules of a corrupt registrar, which refuses agencies at will under rules of the honest profile."""

    stubborn: Refusal | None = None

    def judge(self, *asked: Any, **more: Any) -> Refusal | None:
        """Refuse by that rule, once it is named."""
        return self.stubborn or super().judge(*asked, **more)


class Refusing:
    """A case of ngo-a that the special unit and ngo-l know, whose registrar then refuses everything."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.honest = bus, bus.rules
        bus.rules = self.rules = Stubborn(self.honest.profile, bus.agencies)
        self.shard: Shard = bus.shard()
        known(bus, self.shard, CASE)

    def refuses(self, rule: str, type_: str, data: dict[str, Any], *, by: str = "ngo-a", **more: Any) -> None:
        """Refuse an event of *by* by *rule*, with the code and basis of the rule."""
        cited = self.honest.profile.refusals[rule]
        because = None
        if type_ == ASKED:
            because, cited, rule = rule, self.honest.profile.refusals["G-70"], "G-70"
        self.rules.stubborn = replace(Refusal(cited.code, rule, cited.basis, "", because), **more.pop("instead", {}))
        decision = self.bus.say(self.shard, by, type_, data, **more)
        self.rules.stubborn = None
        assert decision.outcome == "refused"

    def found(self) -> list[tuple[str, str | None]]:
        """Return the findings of the honest Rules on the history."""
        history = History(self.bus.directory)
        for record in self.bus.history:
            history.take(record, 0)
        history.verifier.check_last()
        return [(each.code, each.rule) for each in otherwise(history.entries, self.honest, self.bus.directory)]


REFUSED = {"purposes": ["information_sharing"], "receivers": ["special-unit"], "given_by": "individual"}
ASKS = {"approver": "S-2", "referral": "e1" * 16}


@pytest.mark.parametrize(
    ("rule", "type_", "by"),
    [("G-02", "consent.given", "ngo-a"), ("G-05", "consent.given", "ngo-a"), ("G-02", ASKED, "special-unit"),
     ("G-71", ASKED, "special-unit"), ("G-72", ASKED, "special-unit")],
)  # fmt: skip
def test_a_refusal_by_a_rule_that_cannot_have_applied_is_found(bus: Bus, rule: str, type_: str, by: str) -> None:
    """Wrong refusals: a party is told that the case is unknown; a limit not reached; a refusal that the person never gave."""
    bent = Refusing(bus)
    data, more = ({"reason": "missing_person"}, ASKS) if type_ == ASKED else (CONSENT, {})
    bent.refuses(rule, type_, data, by=by, **more)

    assert bent.found() == [("refused_wrongly", rule)]


def test_a_right_refusal_by_these_rules_is_no_finding(bus: Bus) -> None:
    """The nearest cases in which they apply, by the honest Rules: a stranger, one without a part, her word, the limit."""
    bent = Refusing(bus)
    shard = bent.shard
    stranger = bus.say(shard, "vac", "consent.given", CONSENT)
    asked = [asks(bus, shard, known(bus, shard, ids.new_ref())) for _ in range(4)]
    refused = known(bus, shard, ids.new_ref())
    assert bus.say(shard, "ngo-a", "consent.refused", REFUSED, case=refused).outcome == "registered"
    hers = asks(bus, shard, refused)
    used = bus.event("ngo-a", "consent.given", CONSENT)
    assert bus.take(shard, bus.signed(used), owner="ngo-a").outcome == "registered"
    again = bus.say(shard, "ngo-a", "consent.given", CONSENT, id=used.id)
    marked = bus.say(shard, "ngo-a", "consent.given", CONSENT, id=ids.said_by_itself("vac", used.id, "letter"))

    assert [each.outcome for each in (stranger, asked[-1], hers, again, marked)] == ["refused"] * 5
    assert bent.found() == []


def test_an_id_that_nobody_used_is_not_reused(bus: Bus) -> None:
    """The refusal is about an id that is new in its case."""
    bent = Refusing(bus)
    fresh = Refusal("id_reused", "W11", "[D]", "")
    bent.rules.stubborn = fresh
    assert bus.say(bent.shard, "ngo-a", "consent.given", CONSENT).code == "id_reused"

    assert bent.found() == [("refused_wrongly", "W11")]


@pytest.mark.parametrize(
    "instead",
    [{"code": "wrong_state"}, {"article": "art. 99"}, {"rule": "G-99"}, {"rule": "W5"}, {"because": "G-02"}],
    ids=str,
)
def test_a_refusal_under_another_code_or_basis_than_its_rules_is_found(bus: Bus, instead: dict[str, Any]) -> None:
    """A refusal must have the code and basis that the profile gives its rule."""
    bent = Refusing(bus)
    bent.refuses("G-32", "consent.given", CONSENT, instead=instead)

    assert ("cited_otherwise", instead.get("rule", "G-32")) in bent.found()


def test_a_fourth_asking_of_a_month_is_found_whichever_partition_it_was_let_in_on() -> None:
    """Three on one partition, and one on another whose registrar did not look: together one too many."""
    bus = Bus(partitions=2)
    shards, history = {number: bus.shard(number) for number in range(2)}, History(bus.directory)
    for turn, number in enumerate((0, 0, 0, 1)):
        while ids.partition_of(ref := ids.new_ref(), 2) != number:
            pass
        begin = len(bus.history)
        assert asks(bus, shards[number], known(bus, shards[number], ref)).outcome == "registered"
        for record in bus.history[begin:]:
            history.take(record, number)
        found = [
            (each.partition, each.code, each.rule) for each in otherwise(history.entries, bus.rules, bus.directory)
        ]
        assert found == ([] if turn < 3 else [(1, "let_in", "G-72")])
