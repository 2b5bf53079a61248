"""Insiders, each alone: former agencies, admitters and the operator get no key and no state past the others."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import NOW
from directory.given import HOUR, Office, refused
from nrmbus.directory import joining
from nrmbus.directory.entry import AdmitterKey, Entry
from nrmbus.directory.operator import Admitter, Identity
from nrmbus.wire.keys.keys import SigningKey

LATER = NOW + HOUR


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.joins()
    return office


def _numbered(office: Office, entry: Entry) -> bytes:
    return office.operator.number(entry, office.directory)


def _retired(office: Office) -> Identity:
    own = office.identity("ngo-a")
    office.leaves(own, NOW)
    return own


def retired_id_again(office: Office) -> bytes:
    """Somebody else joins under the id of an agency that left: its old cases would be told to him."""
    _retired(office)
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-a", 2), made=LATER), LATER))


def retired_agency_resumed(office: Office) -> bytes:
    """Two admitters resume an agency that left and declared its data deleted."""
    _retired(office)
    return _numbered(office, office.admitted(joining.repeated(office.directory, "ngo-a", "resumed", made=LATER), LATER))


def key_of_a_retired_agency(office: Office) -> bytes:
    """Its keys, and what they open, live on under another name."""
    own = _retired(office)
    wanted = joining.Wanted("ngo-c", "ngo_outreach", own.signing.public, own.sealing.public, own.witness.public)
    entry = joining.proposed(office.directory, wanted, "admitted", made=LATER)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.signing, own.witness]), LATER))


def rotated_twice(office: Office) -> bytes:
    """Two changes are asked for at once, each signed by all: the second would be entered on a state that is gone."""
    own, until = office.identity("ngo-a"), NOW + timedelta(hours=72)
    first, second = (
        office.admitted(office.asked(office.identity("ngo-a", turn), "rotated", before=own, until=until))
        for turn in (2, 3)
    )
    office.enter(first)
    return _numbered(office, second)


def rotated_after_it_was_lost(office: Office) -> bytes:
    """The thief of a key has a change ready that was signed before its owner said so."""
    own = office.identity("ngo-a")
    stolen = office.admitted(office.asked(office.identity("ngo-a", 3), "rotated", before=own, until=NOW + 72 * HOUR))
    office.enter(office.admitted(office.asked(office.identity("ngo-a", 2), "lost"), NOW + 72 * HOUR))
    return _numbered(office, stolen)


def _by_nobody(office: Office, kind: str) -> bytes:
    entry = joining.repeated(office.directory, "ngo-a", kind, made=LATER)  # type: ignore[arg-type]
    return _numbered(office, joining.holding_from(office.directory, entry, LATER))


def suspended_by_the_operator_alone(office: Office) -> bytes:
    """The operator alone suspends an agency."""
    return _by_nobody(office, "suspended")


def resumed_by_the_operator_alone(office: Office) -> bytes:
    """Or lets one speak again that two people have silenced."""
    office.state("ngo-a", "suspended", NOW)
    return _by_nobody(office, "resumed")


def _listed(office: Office, *more: AdmitterKey) -> bytes:
    return office.operator.admitters(office.directory, (*(each.public for each in office.admitters), *more))


def one_person_under_two_names(office: Office) -> bytes:
    """An admitter is listed a second time, with the same key."""
    return _listed(office, AdmitterKey(name="another", key=office.admitters[0].public.key))


def the_operator_admits(office: Office) -> bytes:
    """The operator's own key is one of the two."""
    return _listed(office, AdmitterKey(name="another", key=base64.b64encode(office.key.public).decode()))


def an_agency_admits(office: Office) -> bytes:
    """An agency's signing key is one of the two."""
    key = office.identity("ngo-a").signing.public
    return _listed(office, AdmitterKey(name="another", key=base64.b64encode(key).decode()))


def _put_off(office: Office) -> Admitter:
    carol = Admitter("carol", SigningKey.generate())
    office.directory.add(_listed(office, carol.public))
    office.directory.add(_listed(office))
    return carol


def one_who_was_put_off_signs(office: Office) -> bytes:
    """A list without her is in force."""
    by = [office.admitters[0], _put_off(office)]
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-b")), by=by))


def one_who_was_put_off_comes_back_as_another(office: Office) -> bytes:
    """With the same key under another name."""
    return _listed(office, AdmitterKey(name="dave", key=_put_off(office).public.key))


def _supervised(office: Office, agency: str, supervisor: str) -> bytes:
    own = office.identity(agency)
    wanted = replace(office.wanted(own), supervisor=supervisor)
    entry = joining.proposed(office.directory, wanted, "admitted", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.signing, own.witness])))


def its_own_supervisor(office: Office) -> bytes:
    """An agency that is its own supervisor would alone be told of its own breaches."""
    return _supervised(office, "ngo-b", "ngo-b")


def each_others_supervisor(office: Office) -> bytes:
    """Two who would hear of each other's silence, and nobody outside."""
    office.directory.add(_supervised(office, "ngo-b", "ngo-c"))
    return _supervised(office, "ngo-c", "ngo-b")


def supervisors_in_a_circle(office: Office) -> bytes:
    """The same over two others, who were admitted before."""
    for agency, supervisor in (("ngo-b", "ngo-c"), ("ngo-c", "ngo-d")):
        office.directory.add(_supervised(office, agency, supervisor))
    return _supervised(office, "ngo-d", "ngo-b")


def supervised_by_its_own_charge_since_a_change_of_keys(office: Office) -> bytes:
    """Only such a change names another supervisor; the supervising agency makes it."""
    office.directory.add(_supervised(office, "ngo-b", "ngo-a"))
    own, new = office.identity("ngo-a"), office.identity("ngo-a", 2)
    wanted = replace(office.wanted(new), supervisor="ngo-b")
    entry = joining.proposed(office.directory, wanted, "rotated", made=NOW, until=NOW + 72 * HOUR)
    signers = [new.signing, new.witness, own.signing]
    return _numbered(office, office.admitted(joining.asked_by(entry, signers)))


TRIES = [
    (retired_id_again, "agency_retired"),
    (retired_agency_resumed, "agency_retired"),
    (key_of_a_retired_agency, "key_in_use"),
    (rotated_twice, "step_replayed"),
    (rotated_after_it_was_lost, "step_replayed"),
    (suspended_by_the_operator_alone, "admitters_missing"),
    (resumed_by_the_operator_alone, "admitters_missing"),
    (one_person_under_two_names, "admitters_few"),
    (the_operator_admits, "key_in_use"),
    (an_agency_admits, "key_in_use"),
    (one_who_was_put_off_signs, "admitter_unknown"),
    (one_who_was_put_off_comes_back_as_another, "key_in_use"),
    (its_own_supervisor, "supervisor_itself"),
    (each_others_supervisor, "supervisor_circle"),
    (supervisors_in_a_circle, "supervisor_circle"),
    (supervised_by_its_own_charge_since_a_change_of_keys, "supervisor_circle"),
]


@pytest.mark.parametrize(("attempt", "code"), TRIES, ids=[attempt.__name__ for attempt, _ in TRIES])
def test_an_insider_alone_is_refused_with_its_code(
    attempt: Callable[[Office], bytes], code: str, office: Office
) -> None:
    """The directory stays as it was before."""
    assert refused(office, attempt(office)) == code
