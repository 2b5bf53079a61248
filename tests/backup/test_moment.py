"""A backup is of one moment: an inbox ends with the deliveries of the registrations in it, though the bus goes on meanwhile."""

from pathlib import Path

import pytest

from agencies import cosignature
from backup.given import SIGNED_AT, checkpoint, placed, spoken, witnessed
from nrmbus.backup.errors import BackupError
from nrmbus.backup.records import Kept, Writer, records
from nrmbus.backup.store import Partition, Store
from nrmbus.backup.topics import Moment
from nrmbus.directory import Directory
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.note import Ed25519Signer, Note
from registrar.given import Bus


def moment_of(bus: Bus) -> Moment:
    """Return a moment of *bus*, whose directory stays as it is."""
    return Moment(bus.bus, bus.directory, lambda: bus.directory)


def taken(moment: Moment, store: Store, found: list[Kept], before: Partition | None = None) -> Writer:
    """Have the history of *moment* go on by *found*, behind *before*."""
    writer = Writer(store, "nrm.cases/0", 0, 0, before)
    for each in found:
        moment.register(0, each, writer)
        writer.add(each)
    return writer


def test_a_delivery_of_a_later_registration_is_left_to_the_next_backup(tmp_path: Path) -> None:
    """Restored with that delivery, the registrar would give its number once more; the next backup has it."""
    bus, said = spoken()
    cases, inbox = placed(said["nrm.cases"]), placed(said["nrm.inbox.ngo-a"])
    store, moment = Store.at(tmp_path), moment_of(bus)
    with store.held():
        before = taken(moment, store, cases[:2]).done()
        writer = Writer(store, "nrm.inbox.ngo-a/0", 0, 0, None)

        assert [moment.has(0, each, writer) for each in inbox] == [True, True, False]
        later = moment_of(bus)
        taken(later, store, cases[2:], before)
        assert later.has(0, inbox[2], writer)
        assert (writer.number, writer.digest) == (3, "")


def test_a_checkpoint_of_a_later_tree_is_left_to_the_next_backup(tmp_path: Path) -> None:
    """Restored with that checkpoint, the auditor would find the history cut, although nothing was lost."""
    bus, said = spoken()
    cases = [record for transaction in said["nrm.cases"] for record in transaction]
    moment, store = moment_of(bus), Store.at(tmp_path)
    notes = [(checkpoint(bus, cases[:size]).value or b"").partition(b"\n\n")[2] for size in (2, 3)]
    with store.held():
        taken(moment, store, placed(said["nrm.cases"])[:2])

    assert [moment.covers(note) for note in notes] == [True, False]
    assert moment.covers(b"anybody's words")


def test_a_later_tree_that_nobody_signed_keeps_nothing_out_of_a_backup(tmp_path: Path) -> None:
    """Given an agency that writes trees of any size without a signature of the bus, then what is behind them is backed up.

    The directory is read again once, for a key that may be newer.
    """
    bus, said = spoken()
    read = list[Directory]()

    def read_again() -> Directory:
        read.append(bus.directory)
        return bus.directory

    moment, store, origin = Moment(bus.bus, bus.directory, read_again), Store.at(tmp_path), origin_of(bus.bus, 0)
    text, other = (Checkpoint(origin, size, bytes(32)).text for size in (1_000_000, 2))
    stranger = SigningKey.from_seed(bytes(range(32)))
    with store.held():
        taken(moment, store, placed(said["nrm.cases"]))

    for signature in (Ed25519Signer(origin, stranger).sign(text), cosignature("ngo-a", other, SIGNED_AT)):
        assert moment.covers(Note(text, (signature,)).bytes())
    assert len(read) == 1


@pytest.mark.parametrize("is_newer", [False, True], ids=["known key", "newer key"])
def test_a_later_tree_that_a_witness_signed_is_left_to_the_next_backup(tmp_path: Path, *, is_newer: bool) -> None:
    """Given a co-signature of a later tree, then it is left out, also where the directory was read before the witness's key was entered."""
    bus, said = spoken()
    cases = [record for transaction in said["nrm.cases"] for record in transaction]
    store, moment = Store.at(tmp_path), moment_of(bus)
    topics = witnessed(bus, checkpoint(bus, cases).value or b"", SIGNED_AT)
    with store.held():
        taken(moment, store, placed(said["nrm.cases"])[:2])
    if is_newer:
        moment._directory = Directory(bus.bus, bus.operator.signing.verify_key)

    assert [moment.covers(each.value or b"") for found in topics.values() for each in found] == [False] * len(topics)


def test_a_known_receipt_that_comes_again_is_kept(tmp_path: Path) -> None:
    """A sender that asks once more gets the same delivery; it stands behind the others, and is no later one."""
    bus, said = spoken()
    moment, store = moment_of(bus), Store.at(tmp_path)
    inbox = placed(said["nrm.inbox.ngo-a"])
    with store.held():
        taken(moment, store, placed(said["nrm.cases"]))
        writer = Writer(store, "nrm.inbox.ngo-a/0", 0, 0, None)
        assert all(moment.has(0, each, writer) for each in inbox)

        assert moment.has(0, inbox[0], writer)


def test_a_history_that_does_not_go_on_is_not_backed_up(tmp_path: Path) -> None:
    """A backup that would end with a gap is not written; the one before stays."""
    bus, said = spoken()
    store = Store.at(tmp_path)
    cases = placed(said["nrm.cases"])
    with store.held(), pytest.raises(BackupError) as caught:
        taken(moment_of(bus), store, [cases[0], cases[2]])
    assert (caught.value.code, caught.value.where) == ("history_refused", "partition 0, number 2: gap")


def test_a_registration_under_a_newer_key_of_the_registrar_is_backed_up(tmp_path: Path) -> None:
    """Given a directory that was read before the registrar's key was entered, when that key signs, then the directory is read again."""
    bus, said = spoken()
    read = list[Directory]()

    def read_again() -> Directory:
        read.append(bus.directory)
        return bus.directory

    moment = Moment(bus.bus, Directory(bus.bus, bus.operator.signing.verify_key), read_again)
    store, cases = Store.at(tmp_path), placed(said["nrm.cases"])
    with store.held():
        assert taken(moment, store, cases).number == 3
    assert len(read) == 1


def test_a_registration_that_no_registrar_signed_is_refused_after_another_look(tmp_path: Path) -> None:
    """Given a key that the directory does not have at the second look either, then no backup is written."""
    bus, said = spoken()
    unknown = Directory(bus.bus, bus.operator.signing.verify_key)
    store = Store.at(tmp_path)
    with store.held(), pytest.raises(BackupError) as caught:
        taken(Moment(bus.bus, unknown, lambda: unknown), store, placed(said["nrm.cases"]))
    assert (caught.value.code, caught.value.where) == ("history_refused", "partition 0, number 1: signature_invalid")


def test_a_partition_goes_on_behind_the_records_of_before(tmp_path: Path) -> None:
    """A segment that is not full is written again with what came; records that Kafka no longer keeps are left out."""
    _, said = spoken()
    store, cases = Store.at(tmp_path), placed(said["nrm.cases"])
    with store.held():
        first = Writer(store, "nrm.cases/0", 0, 0, None)
        first.add(cases[0])
        second = Writer(store, "nrm.cases/0", 0, 0, first.done())
        second.add(cases[1])
        both = second.done()
        third = Writer(store, "nrm.cases/0", cases[1].offset + 1, 0, both)
        third.add(cases[2])

    assert len(both.segments) == 1
    assert [*records(store, "", both.segments)] == cases[:2]
    assert [*records(store, "", third.done().segments)] == [cases[2]]
