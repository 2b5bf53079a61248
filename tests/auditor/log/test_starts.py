"""A start of the auditor reads from a co-signed place, or from the beginning: nothing else is trusted."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.alteration import Place as Altered
from auditor.altered_topics import put, resigned, words
from auditor.evidence.forger import replaced, signed, text, untimed
from auditor.evidence.given import LASTING, LOG, ORIGIN, STRANGER, TIME, WITNESSES, Evidence
from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.starts import KEPT, Place, Places, StartRefused, check_cosigned, check_record
from nrmbus.directory import Directory
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import Record


class _Keys:
    """The pair of the log's keys."""

    def verifiers(self, _: str) -> tuple[Any, ...]:
        """Return both."""
        return LOG.verifier, LASTING.verifier


class Known(Directory):
    """A directory with the first *count* of three witnesses."""

    def __init__(self, count: int) -> None:
        self._count = count

    def witnesses(self, agency: str | None = None) -> tuple[Any, ...]:
        """Return their keys."""
        del agency
        return tuple(each.verifier for each in WITNESSES[: self._count])

    def log_keys(self) -> tuple[Any, ...]:
        """Return the keys of the log."""
        return (_Keys(),)


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    found = Altered(tmp_path_factory.mktemp("starts")).evidence
    yield found
    found.log.close()


def by_all(said: bytes) -> bytes:
    """Sign *said* by both keys of the log and by every witness."""
    return Note(
        said, (LOG.sign(said), LASTING.cosign(said, TIME), *(each.cosign(said, TIME) for each in WITNESSES))
    ).bytes()


def code_of(evidence: Evidence, home: Path, note: bytes, number: int = 8, witnesses: int = 3) -> str:
    """Return why the place behind *number* is not used if *note* was published for it; nothing if it is used."""
    cosigned = Cosigned(home / "cosigned.db")
    cosigned.publish([(Checkpoint(ORIGIN, number, bytes(32)), note)], 0)
    try:
        check_cosigned(Place(number, 20), evidence.log, cosigned, Known(witnesses))
    except StartRefused as refused:
        return refused.code
    return ""


@pytest.mark.parametrize("witnesses", [2, 3])
def test_a_place_that_more_than_half_of_the_witnesses_signed_is_used(
    evidence: Evidence, tmp_path: Path, witnesses: int
) -> None:
    """Two of three, or all."""
    assert code_of(evidence, tmp_path, evidence.note(witnesses=witnesses)) == ""


UNUSED: list[tuple[str, Callable[[Evidence], bytes], str]] = [
    ("one witness of three", lambda e: e.note(witnesses=1), "not_cosigned"),
    ("no witness", lambda e: e.note(witnesses=0), "not_cosigned"),
    ("witnesses alone", lambda e: Note(text(e), tuple(w.cosign(text(e), TIME) for w in WITNESSES)).bytes(), "not_cosigned"),
    ("the log's key replaced", replaced, "not_cosigned"),
    ("witnesses that say no time", untimed, "not_cosigned"),
    ("a stranger as a witness", lambda e: signed(text(e), STRANGER.cosign(text(e), TIME)), "not_cosigned"),
    ("another bus", lambda _: by_all(Checkpoint(origin_of("play-fedcba9876543210", 0), 8, bytes(32)).text), "not_cosigned"),
    ("another partition", lambda e: by_all(Checkpoint(origin_of(ORIGIN.split("/")[1], 1), 8, e.log.head.root).text), "not_cosigned"),
    ("another size", lambda e: by_all(text(e, size=7)), "not_cosigned"),
    ("another root", lambda e: by_all(text(e, root=b"\1" * 32)), "root_differs"),
    ("an altered co-signature", lambda e: by_all(text(e)).replace(b"witness", b"wItness"), "not_cosigned"),
    ("half a note", lambda e: by_all(text(e))[:-9], "not_cosigned"),
    ("nothing", lambda _: b"", "not_cosigned"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code"), [each[1:] for each in UNUSED], ids=[each[0] for each in UNUSED])
def test_a_place_without_its_signatures_or_root_is_not_used(
    evidence: Evidence, tmp_path: Path, make: Callable[[Evidence], bytes], code: str
) -> None:
    """Each missing or altered part has its code."""
    assert code_of(evidence, tmp_path, make(evidence)) == code


def test_a_bus_without_witnesses_has_no_such_place(evidence: Evidence, tmp_path: Path) -> None:
    """The log's own word is not enough; neither is a checkpoint that nobody published, nor one beyond the log."""
    assert code_of(evidence, tmp_path, evidence.note(witnesses=3), witnesses=0) == "not_cosigned"
    with pytest.raises(StartRefused, match="not_cosigned"):
        check_cosigned(Place(5, 9), evidence.log, Cosigned(tmp_path / "cosigned.db"), Known(3))
    assert code_of(evidence, tmp_path / "..", by_all(text(evidence, size=9)), 9) == "root_differs"


RECORDS: list[tuple[str, Callable[[list[Record], Evidence], object], str]] = [
    ("the record itself", lambda _, __: None, ""),
    ("the next one", lambda records, _: records.pop(2), "history_differs"),
    ("one before", lambda records, _: records.pop(0), "history_differs"),
    ("rewritten by the registrar", put(3, resigned(envelope="e" * 64)), "history_differs"),
    ("unreadable", put(3, words(lambda _: b"{}")), "history_differs"),
    ("no record", lambda records, _: records.clear(), "history_shorter"),
]


@pytest.mark.parametrize(("alter", "code"), [each[1:] for each in RECORDS], ids=[each[0] for each in RECORDS])
def test_the_record_before_the_place_must_be_its_registration(
    evidence: Evidence, alter: Callable[[list[Record], Evidence], object], code: str
) -> None:
    """The offset is a hint: what stands there decides."""
    records, said = list(evidence.bus.history), ""
    alter(records, evidence)
    try:
        check_record(Place(3, 12), evidence.log, records[2:])
    except StartRefused as refused:
        said = refused.code

    assert said == code


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"{}", b'{"origin":"","places":{}}', b'{"origin":"%s","places":[]}', b'{"origin":"%s"}',
        b'{"origin":"%s","places":{"x":1}}', b'{"origin":"%s","places":{"3":2}}', b'{"origin":"%s","places":{"0":2}}',
        b'{"origin":"%s","places":{"1":true}}', b'{"origin":"%s","places":{"1":"2"}}', b'{"origin":"%s","places":{},"x":1}',
        b"\xff" * 40, b"[" * 4000, b'{"origin":"%s","places":{}}' + b" " * 5000,
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_unreadable_and_written_anew(tmp_path: Path, raw: bytes) -> None:
    """Also the file of another log: it has another origin."""
    places = Places(tmp_path / "p0.json", ORIGIN)
    (tmp_path / "p0.json").write_bytes(raw.replace(b"%s", ORIGIN.encode()))
    with pytest.raises(StartRefused, match="unreadable"):
        places.read()
    places.add(Place(4, 9))

    assert places.read() == [Place(4, 9)]


def test_the_newest_places_are_kept(tmp_path: Path) -> None:
    """The newest first; a larger size that is known is forgotten when the log begins again below it."""
    places = Places(tmp_path / "p0.json", ORIGIN)
    assert places.read() == []
    for number in range(1, 3 * KEPT):
        places.add(Place(number, 2 * number))

    assert [each.number for each in places.read()] == [*range(3 * KEPT - 1, 2 * KEPT - 1, -1)]
    places.add(Place(3, 6))
    assert places.read() == [Place(3, 6)]
    assert not {"ngo", "case"} & set(json.loads((tmp_path / "p0.json").read_bytes())), "numbers alone, and nobody"


def test_the_comparison_behind_a_start_has_to_reach_it(evidence: Evidence) -> None:
    """An altered record before the place is found, and so is a topic that lost records there."""

    def compared(records: list[Record]) -> str:
        ingest = LogIngest(evidence.log, lambda _: evidence.bus.key.verify_key)
        try:
            for each in records:
                ingest.take(each)
            ingest.compared(5)
        except LogError as error:
            return f"{error.code} {error.number}"
        return ""

    sound = list(evidence.bus.history)
    altered = list(sound)
    put(2, resigned(envelope="e" * 64))(altered, evidence)

    assert compared(sound[:5]) == ""
    assert compared(altered[:5]) == "out_of_turn 2"
    assert compared(sound[:4]) == "gap 5"
    assert compared([*sound[:2], *sound[3:6]]) == "gap 4"


def test_an_ingest_that_begins_behind_compares_the_rest(evidence: Evidence) -> None:
    """From the registration of the place on, as from the beginning."""
    ingest = LogIngest(evidence.log, lambda _: evidence.bus.key.verify_key)
    ingest.begin_after(4)
    for each in evidence.bus.history[4:]:
        ingest.take(each)
    ingest.end()

    assert ingest.number == 8
    ingest.begin_after(3)
    with pytest.raises(LogError, match="gap"):
        ingest.take(evidence.bus.history[4])
