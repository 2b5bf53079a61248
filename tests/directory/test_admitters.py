"""Admitters change as agencies are admitted: two admitters sign on their own machines, and the operator enters it."""

import base64
from pathlib import Path

import pytest

from agencies import NOW
from directory.given import Office
from nrmbus.directory import DirectoryError, commands, joining
from nrmbus.directory.admitters import Change, Listing, propose, sign
from nrmbus.directory.entry import SIGNATURES
from nrmbus.directory.operator import Admitter
from nrmbus.directory.requests import Request
from nrmbus.wire.keys.keys import SigningKey


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.joins("ngo-a")
    return office


@pytest.fixture(name="leyla")
def _leyla() -> Admitter:
    return Admitter("leyla", SigningKey.generate())


def _entered(office: Office, listing: Listing) -> None:
    office.directory.add(office.operator.number(listing.listed, office.directory))


def _agreed(office: Office, listing: Listing, *by: Admitter) -> Listing:
    for each in by or office.admitters:
        listing = sign(office.directory, listing, each)
    return listing


def _names(office: Office) -> set[str]:
    return set(office.directory.roll.admitter_kids.values())


def test_the_file_goes_from_one_to_the_next(office: Office, leyla: Admitter, tmp_path: Path) -> None:
    """Each admitter signs a file, and no key travels."""
    first, second = office.admitters
    sign(office.directory, propose(office.directory, added={"leyla": leyla.public.key}), first).write(tmp_path / "file")
    came = Listing.read(tmp_path / "file")
    assert not came.is_complete
    came = sign(office.directory, came, second)
    assert came.is_complete

    _entered(office, came)
    assert _names(office) == {"admitter-a", "admitter-b", "leyla"}


def test_a_removed_admitter_admits_no_more(office: Office, leyla: Admitter) -> None:
    """A stolen key is removed by the two other admitters; its later signatures count for nothing."""
    first, second = office.admitters
    _entered(office, _agreed(office, propose(office.directory, added={"leyla": leyla.public.key})))
    _entered(office, _agreed(office, propose(office.directory, added={}, removed={"admitter-a"}), second, leyla))
    assert _names(office) == {"admitter-b", "leyla"}

    asked = office.asked(office.identity("ngo-b"))
    with pytest.raises(DirectoryError, match="admitter_unknown"):
        office.enter(office.admitted(asked, by=[first, second]))
    office.enter(office.admitted(asked, by=[second, leyla]))


def test_another_key_takes_the_place_of_one_that_is_gone(office: Office, leyla: Admitter) -> None:
    """Under the same name; the old one is out at once."""
    another = Admitter("leyla", SigningKey.generate())
    _entered(office, _agreed(office, propose(office.directory, added={"leyla": leyla.public.key})))
    listing = propose(office.directory, added={"leyla": another.public.key})
    assert Change.of(office.directory, listing.listed) == Change((), ("leyla",), ())
    _entered(office, _agreed(office, listing))

    assert another.key.kid in office.directory.roll.admitter_kids
    assert leyla.key.kid not in office.directory.roll.admitter_kids


def test_a_signer_sees_the_changes_of_the_list(office: Office, leyla: Admitter) -> None:
    """A signer is shown the names that are added and removed."""
    listing = propose(office.directory, added={"leyla": leyla.public.key}, removed={"admitter-b"})
    assert Change.of(office.directory, listing.listed) == Change(("leyla",), (), ("admitter-b",))


def test_an_impossible_list_is_not_proposed(office: Office) -> None:
    """Two admitters have to be left, a removed name has to be on the list, and something has to change."""
    for removed, code in (
        ({"admitter-a"}, "admitters_few"),
        ({"leyla"}, "admitter_unknown"),
        (set[str](), "state_same"),
    ):
        with pytest.raises(DirectoryError, match=code):
            propose(office.directory, added={}, removed=removed)


def test_one_alone_changes_nothing(office: Office, leyla: Admitter) -> None:
    """One admitter changes nothing by signing twice, or with a second person who is not yet listed."""
    first, _ = office.admitters
    once = sign(office.directory, propose(office.directory, added={"leyla": leyla.public.key}), first)
    with pytest.raises(DirectoryError, match="admitter_twice"):
        sign(office.directory, once, first)
    with pytest.raises(DirectoryError, match="admitter_unknown"):
        sign(office.directory, once, leyla)
    with pytest.raises(DirectoryError, match="admitters_missing"):
        _entered(office, once)
    assert "leyla" not in _names(office)


@pytest.mark.parametrize("key", ["", "CANARY", "\u0259" * 44, "A" * 44, "A" * 65])
def test_a_malformed_key_is_refused_and_not_repeated(key: str, office: Office) -> None:
    """A mistyped or wrongly pasted key is refused with its code, and not repeated."""
    with pytest.raises(DirectoryError, match="weak_key") as refused:
        sign(office.directory, propose(office.directory, added={"leyla": key}), office.admitters[0])
    assert refused.value.__context__ is None
    assert "CANARY" not in str(refused.value)


def test_an_agencys_key_is_no_admitters(office: Office) -> None:
    """The mistake is seen when the first admitter signs."""
    own = base64.b64encode(office.identity("ngo-a").signing.public).decode()
    with pytest.raises(DirectoryError, match="key_in_use"):
        sign(office.directory, propose(office.directory, added={"leyla": own}), office.admitters[0])


def test_two_changes_at_once_are_one(office: Office, leyla: Admitter) -> None:
    """The second change was signed over a list that is gone: otherwise a removed admitter would be back."""
    third = Admitter("rauf", SigningKey.generate())
    one, other = (
        _agreed(office, propose(office.directory, added={each.name: each.public.key})) for each in (leyla, third)
    )
    _entered(office, one)
    with pytest.raises(DirectoryError, match="previous_differs"):
        _entered(office, other)


def test_a_list_changed_after_the_first_signature_is_refused(office: Office, leyla: Admitter) -> None:
    """The next signer notices the change."""
    first, second = office.admitters
    once = sign(office.directory, propose(office.directory, added={"leyla": leyla.public.key}), first)
    other = propose(office.directory, added={"rauf": Admitter("rauf", SigningKey.generate()).public.key})
    spoilt = Listing(listed=other.listed.model_copy(update={"admitted": once.listed.admitted}))
    with pytest.raises(DirectoryError, match="admission_invalid"):
        sign(office.directory, spoilt, second)


def test_the_key_for_heads_is_not_changed_along(office: Office, leyla: Admitter) -> None:
    """Signers are shown names alone, and another key for heads would stop every reader of a head."""
    proposed = propose(office.directory, added={"leyla": leyla.public.key}).listed
    other = base64.b64encode(SigningKey.generate().public).decode()
    with pytest.raises(DirectoryError, match="head_key_changed"):
        sign(office.directory, Listing(listed=joining.changed(proposed, head=other)), office.admitters[0])


def test_a_file_full_of_signatures_is_signed_by_nobody(office: Office, leyla: Admitter) -> None:
    """Repeated signatures of one admitter are refused by code, in a file of an agency or of admitters."""
    first, second = office.admitters
    listing = sign(office.directory, propose(office.directory, added={"leyla": leyla.public.key}), first)
    full = {"admitted": listing.listed.admitted * SIGNATURES}
    with pytest.raises(DirectoryError, match="admission_invalid"):
        sign(office.directory, Listing(listed=listing.listed.model_copy(update=full)), second)

    request = commands.sign(office.directory, Request(entry=office.asked(office.identity("ngo-b"))), first, NOW)
    full = {"admitted": request.entry.admitted * SIGNATURES}
    with pytest.raises(DirectoryError, match="admission_invalid"):
        commands.sign(office.directory, Request(entry=request.entry.model_copy(update=full)), second, NOW)
