"""A registrar that does not go by the Rules is found, though its signatures hold and its chain is whole."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.played import first_scenario
from nrmbus.auditor.history import History
from nrmbus.auditor.judged import otherwise
from nrmbus.directory import Identity
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Agency, Audience, Rules
from registrar.given import NOW, Bus

DAY = timedelta(days=1)
CONSENT = {"purposes": ["information_sharing"], "receivers": ["vac"], "given_by": "individual", "form": "written"}


@pytest.fixture(name="bus")
def _bus(tmp_path: Path) -> Bus:
    bus = Bus(tmp_path)
    bus.admit("registrar", "registrar")
    bus.key = bus.identities["registrar"].signing
    return bus


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
    """What is found of a case of which a bent registrar took a signal, and a consent that ngo-a gives to itself."""

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


def test_what_it_let_in_is_found(bus: Bus) -> None:
    """A consent that names its own publisher."""
    assert registered(bus, lambda _: None) == [("let_in", "G-36", ())]


def test_whom_it_told_beside_the_rules_is_found(bus: Bus) -> None:
    """A friend at the fund hears of a signal."""
    found = registered(bus, lambda bent: setattr(bent, "friends", ("fund",)))

    assert ("told_beyond", None, ("fund",)) in found


def test_whom_it_kept_in_the_dark_is_found(bus: Bus) -> None:
    """The special unit does not hear of it."""
    found = registered(bus, lambda bent: setattr(bent, "strangers", ("special-unit",)))

    assert ("told_short", None, ("special-unit",)) in found


def test_who_was_admitted_later_is_not_missed(bus: Bus, tmp_path: Path) -> None:
    """Today's directory has a special unit that a registration of that day could not know."""
    bus.signal(bus.shard())
    later = bus._operator.entry(bus.directory, Identity.at(tmp_path / "unit-2", "unit-2"), "special_unit", NOW + DAY)
    assert later is not None
    bus.directory.add(later)
    history = History(bus.directory)
    history.take(bus.history[0], 0)
    today = Rules(bus.rules.profile, {**bus.agencies, "unit-2": Agency("unit-2", "special_unit")})

    assert list(otherwise(history.entries, today, bus.directory)) == []
