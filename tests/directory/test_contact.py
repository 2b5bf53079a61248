"""How people find an agency: asked for by the agency, signed by two admitters, and repeated until it asks for another."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import NOW
from directory.given import Office
from nrmbus.directory import DirectoryError, joining
from nrmbus.directory.entry import Contact, Entry, body_of
from nrmbus.events.errors import Invalid

LATER = NOW + timedelta(days=1)
FOUND = Contact(name="Ümid Mərkəzi", address="Bakı, Nümunə küçəsi 1", phone="+994 00 000 00 01")


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def asked(office: Office) -> Entry:
    """A request of an agency that says how it is found."""
    identity = office.identity("ngo-a")
    wanted = replace(office.wanted(identity), contact=FOUND)
    entry = joining.proposed(office.directory, wanted, "admitted", made=NOW)
    return joining.asked_by(entry, [identity.signing, identity.witness])


def test_it_stands_in_the_directory_and_stays_there(office: Office) -> None:
    """A later entry that brings no keys repeats it."""
    office.enter(office.admitted(asked(office)))
    assert office.directory.entries["ngo-a"].contact == FOUND

    suspended = joining.repeated(office.directory, "ngo-a", "suspended", made=LATER)
    office.enter(office.admitted(suspended, LATER))
    assert office.directory.entries["ngo-a"].contact == FOUND


@pytest.mark.parametrize("contact", [{"name": "Somebody else"}, None], ids=["another", "none"])
def test_nobody_puts_another_in_its_place(office: Office, contact: dict[str, Any] | None) -> None:
    """A contact is altered neither under the signatures on it, nor by two admitters in an entry that only suspends."""
    signed = office.admitted(asked(office))
    body = {name: each for name, each in body_of(signed).items() if name != "contact"}
    altered = Entry.from_mapping(body | ({"contact": contact} if contact else {}))
    with pytest.raises(DirectoryError, match="request_invalid"):
        office.directory.checked(altered)

    office.enter(signed)
    suspended = joining.repeated(office.directory, "ngo-a", "suspended", made=LATER)
    other = suspended.model_copy(update={"contact": Contact.from_mapping(contact) if contact else None})
    with pytest.raises(DirectoryError, match="keys_changed"):
        office.directory.checked(office.admitted(other, LATER))


@pytest.mark.parametrize(
    "said",
    [
        {"phone": "+994 00"},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "two\nlines"},
        {"name": "turned\u202e"},
        {"name": "x", "address": "\x1b[2J"},
        {"name": "x", "phone": "call me"},
    ],
    ids=repr,
)
def test_it_is_one_line_of_letters_and_a_number_of_digits(said: dict[str, str]) -> None:
    """Text on a person's paper contains no control characters: it moves no cursor and reverses no text."""
    with pytest.raises(Invalid):
        Contact.from_mapping(said)
