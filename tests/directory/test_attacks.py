"""Attacks: each attempt to have a wrong key believed is refused with its own code, and changes nothing."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from agencies import BUS, NOW
from directory.given import HOUR, Office, refused
from nrmbus.directory import Directory, joining
from nrmbus.directory.entry import Entry, body_of, digest_of
from nrmbus.directory.errors import SENTENCES
from nrmbus.directory.operator import Admitter
from nrmbus.directory.signatures import sign
from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey, VerifyKey


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def _numbered(office: Office, entry: Entry) -> bytes:
    return office.operator.number(entry, office.directory)


def one_admitter(office: Office) -> bytes:
    """Only one person has agreed."""
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-b")), by=office.admitters[:1]))


def one_admitter_twice(office: Office) -> bytes:
    """One person signs twice."""
    first = office.admitters[0]
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-b")), by=[first, first]))


def forged_second_signature(office: Office) -> bytes:
    """Under the second admitter's name, by another key."""
    entry = office.admitted(office.asked(office.identity("ngo-b")))
    stranger = body_of(sign("admission", b"{}", SigningKey.generate()))
    forged = {**stranger, "keyid": office.admitters[1].key.kid}
    return _numbered(office, joining.changed(entry, admitted=[body_of(entry.admitted[0]), forged]))


def stranger_admits(office: Office) -> bytes:
    """By somebody who is no admitter."""
    stranger = Admitter("mallory", SigningKey.generate())
    return _numbered(
        office, office.admitted(office.asked(office.identity("ngo-b")), by=[office.admitters[0], stranger])
    )


def admitters_sign_something_else(office: Office) -> bytes:
    """The role is altered after both have signed."""
    entry = office.admitted(office.asked(office.identity("ngo-b")))
    return office.forged(entry, supervisor="ngo-a")


def later_date(office: Office) -> bytes:
    """The operator alone has it hold earlier than the admitters said."""
    return office.forged(office.admitted(office.asked(office.identity("ngo-b"))), valid_from="2026-03-02T04:00:00Z")


def by_another_operator(office: Office) -> bytes:
    """Signed by a key that nobody trusts."""
    entry = office.admitted(office.asked(office.identity("ngo-b")))
    return statement.sign("directory", body_of(entry), SigningKey.generate())


def old_entry(office: Office) -> bytes:
    """The agency's first entry once more, under a new number."""
    first = office.directory.roll.agencies["ngo-a"].periods[0].entry
    return _numbered(office, first)


def step_skipped(office: Office) -> bytes:
    """An entry of the agency in between is kept from us."""
    entry = office.asked(office.identity("ngo-a", 2), "rotated", before=office.identity("ngo-a"))
    entry = joining.changed(entry, step=entry.step + 1)
    entry = joining.asked_by(entry, [office.identity("ngo-a").signing])
    return _numbered(office, office.admitted(entry))


def other_past(office: Office) -> bytes:
    """It follows another history of the agency."""
    old, new = office.identity("ngo-a"), office.identity("ngo-a", 2)
    entry = joining.changed(office.asked(new, "rotated", before=old), previous="1" * 64)
    return _numbered(office, office.admitted(joining.asked_by(entry, [new.signing, new.witness, old.signing])))


def other_bus(office: Office) -> bytes:
    """An entry that was admitted on another bus."""
    entry = joining.changed(office.asked(office.identity("ngo-b")), bus="play-fedcba9876543210")
    identity = office.identity("ngo-b")
    return _numbered(office, office.admitted(joining.asked_by(entry, [identity.signing, identity.witness])))


def number_skipped(office: Office) -> bytes:
    """An entry before it was taken out of the topic."""
    return office.forged(office.admitted(office.asked(office.identity("ngo-b"))), number=office.directory.number + 2)


def entry_replaced(office: Office) -> bytes:
    """Another entry under a number that was given."""
    return office.forged(office.admitted(office.asked(office.identity("ngo-b"))), number=2)


def without_the_key_before(office: Office) -> bytes:
    """Both admitters agree, and the agency's present key does not."""
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-a", 2), "rotated")))


def lost_and_at_once(office: Office) -> bytes:
    """As if the keys were lost, without the 72 hours for their owner to object."""
    asked = office.asked(office.identity("ngo-a", 2), "lost")
    entry = joining.challenged(joining.changed(asked, made="2026-03-02T05:00:00Z", valid_from="2026-03-05T04:59:59Z"))
    for admitter in office.admitters:
        entry = joining.admitted_by(entry, admitter.key)
    return _numbered(office, entry)


def key_not_possessed(office: Office) -> bytes:
    """A signing key that did not sign the request."""
    identity = office.identity("ngo-b")
    entry = joining.proposed(office.directory, office.wanted(identity), "admitted", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [identity.witness])))


def key_of_another(office: Office) -> bytes:
    """The sealing key of another agency, which could then be told its letters are for somebody else."""
    other, own = office.identity("ngo-a"), office.identity("ngo-b")
    wanted = joining.Wanted("ngo-b", "ngo_outreach", own.signing.public, other.sealing.public, own.witness.public)
    entry = joining.proposed(office.directory, wanted, "admitted", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.signing, own.witness])))


def one_key_for_two_purposes(office: Office) -> bytes:
    """It signs events and co-signs checkpoints."""
    own = office.identity("ngo-b")
    wanted = joining.Wanted("ngo-b", "ngo_outreach", own.signing.public, own.sealing.public, own.signing.public)
    entry = joining.proposed(office.directory, wanted, "admitted", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.signing])))


def key_in_another_purpose(office: Office) -> bytes:
    """The agency's own witness key becomes its signing key."""
    own, new = office.identity("ngo-a"), office.identity("ngo-a", 2)
    wanted = joining.Wanted("ngo-a", "ngo_outreach", own.witness.public, own.sealing.public, new.witness.public)
    entry = joining.proposed(office.directory, wanted, "rotated", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.witness, own.signing, new.witness])))


def key_of_an_admitter(office: Office) -> bytes:
    """An admitter would be an agency too."""
    own, key = office.identity("ngo-b"), office.admitters[0].key
    wanted = joining.Wanted("ngo-b", "ngo_outreach", key.public, own.sealing.public, own.witness.public)
    entry = joining.proposed(office.directory, wanted, "admitted", made=NOW)
    return _numbered(office, office.admitted(joining.asked_by(entry, [key, own.witness])))


def weak(position: str, raw: bytes) -> Callable[[Office], bytes]:
    """A key of small order, or of no order at all."""

    def attack(office: Office) -> bytes:
        entry = office.admitted(office.asked(office.identity("ngo-b")))
        return office.forged(entry, **{position: base64.b64encode(raw).decode()})

    attack.__name__ = f"weak_{position}_{raw[:1].hex()}_{len(raw)}"
    return attack


def reserved(office: Office) -> bytes:
    """An agency under the name of a part of the bus."""
    return _numbered(office, office.admitted(office.asked(office.identity("broker"))))


def service(office: Office) -> bytes:
    """An agency in the role of the registrar."""
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-b"), role="registrar")))


def retired_by_others(office: Office) -> bytes:
    """Two admitters have an agency leave for good that did not say so."""
    return _numbered(office, office.admitted(joining.repeated(office.directory, "ngo-a", "retired", made=NOW)))


def suspended_with_other_keys(office: Office) -> bytes:
    """A change of state that brings keys along."""
    entry, other = joining.repeated(office.directory, "ngo-a", "suspended", made=NOW), office.identity("ngo-a", 2)
    sealing = base64.b64encode(other.sealing.public).decode()
    return _numbered(office, office.admitted(joining.changed(entry, sealing=sealing)))


def confirmed_unopened(office: Office) -> bytes:
    """A sealing key is called confirmed by who did not open the challenge."""
    identity = office.identity("ngo-c")
    office.enter(office.admitted(office.asked(identity)))
    guess = base64.b64encode(bytes(32)).decode()
    entry = joining.repeated(office.directory, "ngo-c", "confirmed", made=NOW, opened=guess)
    return _numbered(office, joining.asked_by(entry, [identity.signing]))


def confirmed_by_an_admitter(office: Office) -> bytes:
    """The maker of the challenge knows its secret, but is not the agency."""
    identity = office.identity("ngo-c")
    entry = joining.challenged(joining.holding_from(office.directory, office.asked(identity), NOW), b"k" * 32)
    for admitter in office.admitters:
        entry = joining.admitted_by(entry, admitter.key)
    office.enter(entry)
    opened = base64.b64encode(b"k" * 32).decode()
    return _numbered(office, joining.repeated(office.directory, "ngo-c", "confirmed", made=NOW, opened=opened))


def opened_by_an_admitter(office: Office) -> bytes:
    """The maker of the challenge writes the secret into the admission."""
    entry = joining.challenged(
        joining.holding_from(office.directory, office.asked(office.identity("ngo-b")), NOW), b"k" * 32
    )
    for admitter in office.admitters:
        entry = joining.admitted_by(entry, admitter.key)
    return office.forged(entry, opened=base64.b64encode(b"k" * 32).decode())


def confirmed_twice(office: Office) -> bytes:
    """A challenge that was opened once is confirmed again."""
    own = office.identity("ngo-a")
    secret = joining.opened(office.directory.roll.agencies["ngo-a"].periods[-1].entry, [own.sealing])
    entry = joining.repeated(office.directory, "ngo-a", "confirmed", made=NOW, opened=secret)
    return _numbered(office, joining.asked_by(entry, [own.signing]))


def overlap_before_the_change(office: Office) -> bytes:
    """The old keys would end before the new ones begin."""
    old, new = office.identity("ngo-a"), office.identity("ngo-a", 2)
    return _numbered(office, office.admitted(office.asked(new, "rotated", before=old, until=NOW - HOUR)))


def wrong_answer_in_the_admission(office: Office) -> bytes:
    """The agency claims to have opened a challenge without knowing its secret."""
    own = office.identity("ngo-b")
    entry = joining.challenged(joining.holding_from(office.directory, office.asked(own), NOW))
    entry = joining.changed(entry, opened=base64.b64encode(bytes(32)).decode())
    entry = joining.asked_by(entry, [own.signing, own.witness])
    for admitter in office.admitters:
        entry = joining.admitted_by(entry, admitter.key)
    return _numbered(office, entry)


def first_step_missing(office: Office) -> bytes:
    """An agency that nobody knows begins with its second step."""
    own = office.identity("ngo-b")
    entry = joining.changed(office.asked(own), step=2)
    return _numbered(office, office.admitted(joining.asked_by(entry, [own.signing, own.witness])))


def backdated(office: Office) -> bytes:
    """Made before the entry that it follows."""
    return _numbered(
        office, office.admitted(joining.repeated(office.directory, "ngo-a", "suspended", made=NOW), NOW - HOUR)
    )


def without_a_challenge(office: Office) -> bytes:
    """A sealing key that nobody has to show he can open with."""
    entry = joining.holding_from(office.directory, office.asked(office.identity("ngo-b")), NOW)
    for admitter in office.admitters:
        entry = joining.admitted_by(entry, admitter.key)
    return _numbered(office, entry)


def twice_admitted(office: Office) -> bytes:
    """An agency that is there is admitted as if it were new."""
    return _numbered(
        office, office.admitted(office.asked(office.identity("ngo-a", 2), before=office.identity("ngo-a")))
    )


def unknown_rotates(office: Office) -> bytes:
    """Keys for an agency that was never admitted."""
    return _numbered(office, office.admitted(office.asked(office.identity("ngo-b"), "rotated")))


def another_role(office: Office) -> bytes:
    """A change of keys that brings another role along."""
    entry = office.asked(office.identity("ngo-a", 2), "rotated", before=office.identity("ngo-a"), role="special_unit")
    return _numbered(office, office.admitted(entry))


def own_admitters(office: Office) -> bytes:
    """The operator alone names other admitters."""
    other = Office(office.home / "other", BUS)
    body = json.loads(statement.body_of("directory", other.directory.signed[0]), limit=65536)
    present = office.directory.roll.admitters
    assert present is not None
    previous = digest_of(present)
    return statement.sign(
        "directory", {**body, "number": office.directory.number + 1, "previous": previous}, office.key
    )


ATTACKS = [
    (one_admitter, "admitters_missing"),
    (one_admitter_twice, "admitter_twice"),
    (forged_second_signature, "admission_invalid"),
    (stranger_admits, "admitter_unknown"),
    (admitters_sign_something_else, "request_invalid"),
    (later_date, "admission_invalid"),
    (by_another_operator, "operator_signature_invalid"),
    (old_entry, "agency_known"),
    (step_skipped, "step_skipped"),
    (other_past, "previous_differs"),
    (other_bus, "other_bus"),
    (number_skipped, "number_skipped"),
    (entry_replaced, "entry_replaced"),
    (without_the_key_before, "previous_key_missing"),
    (lost_and_at_once, "lost_too_soon"),
    (key_not_possessed, "possession_unproven"),
    (key_of_another, "key_in_use"),
    (one_key_for_two_purposes, "key_two_purposes"),
    (key_in_another_purpose, "key_two_purposes"),
    (key_of_an_admitter, "key_in_use"),
    (weak("signing", bytes(32)), "weak_key"),
    (weak("signing", b"\1" + bytes(31)), "weak_key"),
    (weak("witness", bytes(32)), "weak_key"),
    (weak("signing", bytes(31)), "weak_key"),
    (weak("sealing", bytes(1216)), "weak_key"),
    (weak("sealing", b""), "weak_key"),
    (reserved, "id_reserved"),
    (service, "id_reserved"),
    (retired_by_others, "previous_key_missing"),
    (suspended_with_other_keys, "keys_changed"),
    (confirmed_unopened, "challenge_unopened"),
    (confirmed_by_an_admitter, "previous_key_missing"),
    (opened_by_an_admitter, "request_invalid"),
    (confirmed_twice, "nothing_to_confirm"),
    (overlap_before_the_change, "overlap_missing"),
    (wrong_answer_in_the_admission, "challenge_unopened"),
    (first_step_missing, "step_skipped"),
    (backdated, "time_backwards"),
    (without_a_challenge, "challenge_missing"),
    (twice_admitted, "agency_known"),
    (unknown_rotates, "agency_unknown"),
    (another_role, "role_changed"),
    (own_admitters, "admitters_missing"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_an_attack_is_refused_with_its_code(office: Office, attack: Callable[[Office], bytes], code: str) -> None:
    """The message says in a sentence what to do, and repeats nothing of the record."""
    office.joins("ngo-a")

    assert refused_after(office, attack) == code
    assert len(SENTENCES[code]) > 20  # type: ignore[index]  # as the list has it


def refused_after(office: Office, attack: Callable[[Office], bytes]) -> str:
    """The code with which *attack* is refused."""
    return refused(office, attack(office))


def test_the_same_done_rightly_is_believed(office: Office) -> None:
    """The honest forms of the attacks: a new agency, a rotation, a loss, a suspension and its end."""
    old = office.joins("ngo-a")
    new, third = office.identity("ngo-a", 2), office.identity("ngo-a", 3)
    office.enter(office.admitted(office.asked(new, "rotated", before=old, until=NOW + HOUR)))
    office.enter(office.admitted(office.asked(third, "lost")))
    office.state("ngo-a", "suspended", NOW)
    office.state("ngo-a", "resumed", NOW + HOUR)

    again = Directory(BUS, VerifyKey(office.operator.public))
    for raw in office.directory.signed:
        again.add(raw)
    assert (again.number, again.digest) == (office.directory.number, office.directory.digest)
