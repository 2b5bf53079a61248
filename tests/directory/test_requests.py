"""Request files between an agency and its admitters: permitted contents, and the declarations of a leaving agency."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agencies import BUS, NOW
from directory.given import HOUR, Office
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.membership.signing import to_read_out
from nrmbus.directory import DirectoryError, joining
from nrmbus.directory.commands import ask_first, is_complete, read_file, sign, write_file
from nrmbus.directory.entry import body_of
from nrmbus.directory.operator import Admitter
from nrmbus.directory.requests import Disposal, Request, digest, disposed
from nrmbus.wire import json
from nrmbus.wire.keys.keys import SigningKey

CASE, OTHER = "ab" * 16, "cd" * 16


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def leaving(office: Office, cases: Mapping[str, str | None], by: str = "ngo-a", bus: str = BUS) -> Request:
    """The request of ngo-a to leave, with what *by* signed of *cases* of *bus*."""
    key = office.identity(by).signing
    said = tuple(
        disposed(
            Disposal(bus=bus, agency="ngo-a", case=case, outcome="handed_over" if to else "deleted", to=to, at=NOW), key
        )
        for case, to in cases.items()
    )
    entry = joining.repeated(office.directory, "ngo-a", "retired", made=NOW)
    entry = joining.changed(entry, **({"cases": digest(*said)} if said else {}))
    return Request(entry=joining.asked_by(entry, [office.identity("ngo-a").signing]), disposals=said)


def test_a_file_is_read_as_it_was_written(office: Office, tmp_path: Path) -> None:
    """Only its owner can read the file."""
    request = Request(entry=office.asked(office.identity("ngo-b")))
    request.write(tmp_path / "file")

    assert Request.read(tmp_path / "file") == request
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_fingerprint_covers_the_keys_and_the_agency(office: Office) -> None:
    """A request with substituted keys has another fingerprint; a request that brings no keys has none."""
    ours, anothers = (office.asked(office.identity(name)) for name in ("ngo-b", "ngo-c"))
    in_its_name = joining.changed(anothers, agency="ngo-b")

    read_out = [to_read_out(Request(entry=each)) for each in (ours, anothers, in_its_name)]
    assert len(set(read_out)) == 3
    assert to_read_out(Request(entry=ours)) == read_out[0]
    office.joins("ngo-a")
    assert to_read_out(leaving(office, {})) is None


@pytest.mark.parametrize(
    "member", [{"csr": "other"}, {"disposals": ["x"]}, {"form": "other"}, {"more": 1}, {"entry": {}}]
)
def test_attachments_are_those_that_the_agency_signed(
    office: Office, tmp_path: Path, member: dict[str, object]
) -> None:
    """A file with another certificate request, other declarations or another form is not read."""
    request = Request(entry=office.asked(office.identity("ngo-b")))
    (tmp_path / "file").write_bytes(json.dumps({**body_of(request), **member}))

    with pytest.raises(DirectoryError, match=r"request_changed|request_malformed"):
        Request.read(tmp_path / "file")


@pytest.mark.thorough
def test_a_request_to_leave_has_room_for_the_longest_list_of_cases(office: Office, tmp_path: Path) -> None:
    """Given a declaration on each case in a list of 8 MiB, when the request is written, then it is read again.

    A request that nobody could read is not written.
    """
    office.joins("ngo-a")
    office.joins("ngo-with-a-name-of-31-letters-x")
    one = leaving(office, {CASE: "ngo-with-a-name-of-31-letters-x"})
    shortest = f"{CASE}: deleted\n"

    def listing(cases: int) -> Request:
        said = one.disposals * cases
        return Request(entry=joining.changed(one.entry, cases=digest(*said)), disposals=said)

    longest = listing(8 * 1024 * 1024 // len(shortest))
    longest.write(tmp_path / "file")
    assert Request.read(tmp_path / "file") == longest

    with pytest.raises(DirectoryError, match="request_large"):
        listing(300_000).write(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b"{" * 100_000, b'{"form":1.5}'])
def test_a_malformed_request_is_refused(tmp_path: Path, raw: bytes) -> None:
    """Every malformed file is refused with the same code, and no content is repeated."""
    (tmp_path / "file").write_bytes(raw)

    with pytest.raises(DirectoryError, match="request_malformed"):
        Request.read(tmp_path / "file")


def test_an_agency_leaves_when_each_case_is_deleted_or_handed_over(office: Office) -> None:
    """Nobody signs before every case is deleted or handed over."""
    office.joins("ngo-a")
    office.joins("ngo-b")
    for said in ({}, {CASE: None}, {OTHER: "ngo-b"}):
        with pytest.raises(DirectoryError, match="case_open"):
            sign(office.directory, leaving(office, said), office.admitters[0], NOW, {CASE, OTHER})

    request = leaving(office, {CASE: None, OTHER: "ngo-b"})
    for admitter in office.admitters:
        assert not is_complete(request)
        request = sign(office.directory, request, admitter, NOW, {CASE, OTHER})
    assert is_complete(request)
    office.enter(request.entry)
    assert office.directory.state("ngo-a", NOW) == "retired"


@pytest.mark.parametrize(
    ("supervisor", "code"), [("CANARY 7", "id_reserved"), ("operator", "id_reserved"), ("ngo-b", "supervisor_itself")]
)
def test_an_impossible_supervisor_is_refused_at_once(supervisor: str, code: str, tmp_path: Path) -> None:
    """The refusal comes before any key is made."""
    folder = BusFolder(tmp_path)
    folder.create()
    with pytest.raises(DirectoryError, match=code) as refused:
        ask_first(folder, "ngo-b", "ngo_legal", supervisor)
    assert "CANARY" not in str(refused.value)
    assert not folder.agency("ngo-b").path.exists()


def test_only_its_own_signature_counts(office: Office) -> None:
    """A declaration of another agency, about another bus, or with no new holder does not count."""
    office.joins("ngo-a")
    office.joins("ngo-b")

    of_another_bus = leaving(office, {CASE: None}, bus="play-ffffffffffffffff")
    for request in (leaving(office, {CASE: None}, by="ngo-b"), leaving(office, {CASE: "ngo-z"}), of_another_bus):
        with pytest.raises(DirectoryError, match="request_invalid"):
            sign(office.directory, request, office.admitters[0], NOW, {CASE})


def test_a_case_is_handed_over_to_another_agency_that_is_there(office: Office) -> None:
    """A case is not handed over to the agency itself, to a service of the bus, or to an agency that has left."""
    office.joins("ngo-a")
    left = office.joins("ngo-b")
    office.directory.add(office.operator.entry(office.directory, office.identity("auditor"), "auditor", NOW))
    office.leaves(left, NOW)
    for to in ("ngo-a", "auditor", "ngo-b"):
        with pytest.raises(DirectoryError, match="request_invalid"):
            sign(office.directory, leaving(office, {CASE: to}), office.admitters[0], NOW, {CASE})


def test_an_overlap_that_is_over_is_refused_at_the_first_signature(office: Office) -> None:
    """Given an overlap that ended before the first admitter signs, then the refusal comes at once, and not at the second one."""
    old, new = office.joins("ngo-a"), office.identity("ngo-a", 2)
    asked = Request(entry=office.asked(new, "rotated", before=old, made=NOW, until=NOW + HOUR))

    sign(office.directory, asked, office.admitters[0], NOW + HOUR)
    with pytest.raises(DirectoryError, match="overlap_missing"):
        sign(office.directory, asked, office.admitters[0], NOW + 2 * HOUR)


def test_an_admitter_signs_once(office: Office) -> None:
    """A person who signs a second time is told so before anything is entered."""
    request = sign(office.directory, Request(entry=office.asked(office.identity("ngo-b"))), office.admitters[0], NOW)

    with pytest.raises(DirectoryError, match="admitter_twice"):
        sign(office.directory, request, office.admitters[0], NOW)
    altered = request.having(joining.changed(request.entry, role="special_unit"))
    with pytest.raises(DirectoryError, match="request_invalid"):
        sign(office.directory, altered, office.admitters[1], NOW)


def test_a_stranger_cannot_sign_as_admitter(office: Office) -> None:
    """A stranger is refused even as the first signer, when nothing is entered yet."""
    stranger = Admitter("leyla", SigningKey.generate())
    with pytest.raises(DirectoryError, match="admitter_unknown"):
        sign(office.directory, Request(entry=office.asked(office.identity("ngo-b"))), stranger, NOW)


def test_entries_in_a_file_are_believed_as_far_as_the_operator_signed_them(office: Office, tmp_path: Path) -> None:
    """For a machine without access: the carrier of the file can only cut its end, and adds nothing."""
    office.joins("ngo-a")
    file, folder = tmp_path / "entries", BusFolder(office.home)
    write_json(folder.path / "bus.json", {"bus": BUS, "created": "2026-03-02T05:00:00Z"})
    write_file(office.directory, file)
    assert read_file(folder, file).digest == office.directory.digest

    lines = file.read_bytes().splitlines()
    forged = office.forged(office.admitted(office.asked(office.identity("ngo-b")), by=office.admitters[:1]))
    for altered, code in (
        ([lines[0], lines[2]], "number_skipped"),
        ([*lines, forged], "admitters_missing"),
        ([*lines, b"{}"], "operator_signature_invalid"),
        ([lines[0], lines[1].replace(b"a", b"b", 1)], "operator_signature_invalid"),
    ):
        file.write_bytes(b"\n".join(altered))
        with pytest.raises(DirectoryError, match=code):
            read_file(folder, file)
