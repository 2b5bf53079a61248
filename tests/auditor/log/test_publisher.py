"""Published checkpoints, and the co-signatures that count."""

import re
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from auditor.given import BUS, ORIGIN, PARTITION, Home, fed, history, refused
from nrmbus.auditor.app import Auditor
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.auditor.log.cosignatures import Cosigned, NoteFullError
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.logs import Logs
from nrmbus.auditor.log.publisher import Publisher, published
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.directory import Directory, LogIdentity, LogKeys, Published
from nrmbus.published.asyncapi.document import document
from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log import note
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, witness_name
from nrmbus.wire.log.cosignature import Cosigner, message
from nrmbus.wire.log.mldsa import MLDSA44VerifyKey
from nrmbus.wire.log.note import Note, Signature
from nrmbus.wire.record import Record

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def keys_of(identity: LogIdentity) -> tuple[LogKeys, ...]:
    """The public halves, as the directory gives them."""
    return (LogKeys(VerifyKey(identity.signing.public), MLDSA44VerifyKey(identity.lasting.public)),)


class Desk:
    """A log with its publisher, and the records of the topic."""

    def __init__(self, home: Home, log: Log) -> None:
        """Begin with nothing published."""
        self.identity = LogIdentity.at(home.folder)
        self.keys = keys_of(self.identity)
        self.heads, self.log = home.heads, log
        self.publisher = Publisher(self.identity, ORIGIN)
        self.topic: list[bytes] = []

    def looks(self, now: datetime) -> bool:
        """Sign what is due at *now* and publish it; whether there was anything."""
        if self.publisher.is_due(self.log, now):
            self.publisher.sign(self.log, now)
        return self.publishes()

    def publishes(self) -> bool:
        """Publish what was signed and is not yet; whether there was anything."""
        due = self.publisher.unpublished(self.log, self.heads, self.keys)
        if due:
            self.topic.append(due[0])
            self.publisher.found(due[1])
        return due is not None

    def said(self) -> list[Published]:
        """Return the checkpoints in the topic."""
        return [each for value in self.topic if (each := published(value, BUS, self.keys))]


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_clock_that_was_ahead_holds_up_no_checkpoint(home: Home) -> None:
    """It was a year ahead and was set right: the next checkpoint comes at once, and then one an hour, each with a time that stands."""
    with home.log() as log:
        desk = Desk(home, log)
        fed(log, history(3))
        assert desk.looks(NOW + timedelta(days=365))
        fed(log, history(5))
        assert desk.looks(NOW)
        fed(log, history(6))
        assert not desk.looks(NOW + HOUR - timedelta(seconds=1))
        assert desk.looks(NOW + HOUR)

        times = [each.time for each in desk.said()]
        assert times == [NOW + timedelta(days=365)] * 3


def test_a_checkpoint_an_hour_if_anything_is_new(home: Home) -> None:
    """The first at once; then not before an hour has passed, and not while nothing was registered."""
    with home.log() as log:
        desk = Desk(home, log)
        assert not desk.looks(NOW)
        fed(log, history(3))
        assert desk.looks(NOW)
        fed(log, history(5))
        assert not desk.looks(NOW + HOUR - timedelta(seconds=1))
        assert desk.looks(NOW + HOUR)
        assert not desk.looks(NOW + 3 * HOUR)
        fed(log, history(6))
        assert desk.looks(NOW + 3 * HOUR)

        said = desk.said()
        assert [(each.checkpoint.size, each.time) for each in said] == [(3, NOW), (5, NOW + HOUR), (6, NOW + 3 * HOUR)]


def test_each_record_begins_where_the_one_before_it_ended(home: Home) -> None:
    """A witness that read the one before can check the next with nothing else."""
    with home.log() as log:
        desk = Desk(home, log)
        for hour, size in enumerate((3, 300, 700)):
            fed(log, history(size))
            assert desk.looks(NOW + hour * HOUR)

    seen = Checkpoint(ORIGIN, 0, Checkpoint.parse(f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".encode()).root)  # fmt: skip
    for value, said in zip(desk.topic, desk.said(), strict=True):
        head, _, note = value.partition(b"\n\n")
        old, *lines = head.decode().split("\n")
        assert (old, note) == (f"old {seen.size}", said.note)
        said.checkpoint.follows(seen, [base64.read(line) or b"" for line in lines])
        seen = said.checkpoint
    assert seen.size == 700


def test_records_fit_the_published_patterns(home: Home) -> None:
    """The patterns of the AsyncAPI document, which nothing else holds against what is written."""
    with home.log() as log:
        desk = Desk(home, log)
        for hour, size in enumerate((3, 300)):
            fed(log, history(size))
            desk.looks(NOW + hour * HOUR)
    forms = document()["components"]["schemas"]

    for value, said in zip(desk.topic, desk.said(), strict=True):
        assert re.search(forms["SubmittedCheckpoint"]["pattern"], value.decode())
        cosigned = Witness("ngo-a").says(said.checkpoint.text).decode()
        assert re.search(forms["CosignedCheckpoint"]["pattern"], cosigned)
        assert not re.search(forms["SubmittedCheckpoint"]["pattern"], cosigned)


def test_a_signed_checkpoint_is_published_at_the_next_start(home: Home) -> None:
    """Killed between signing and sending: the topic gets that very note, not another."""
    with home.log() as log:
        desk = Desk(home, log)
        fed(log, history(3))
        desk.looks(NOW)
        fed(log, history(5))
        desk.publisher.sign(log, NOW + HOUR)
    with home.log() as log:
        again = Desk(home, log)
        again.publisher.found(desk.said()[0])
        fed(log, history(6))

        assert again.publishes()
        (said,) = again.said()
        assert (said.checkpoint.size, said.note) == (5, home.heads.last(ORIGIN))
        assert again.topic[0].startswith(b"old 3\n")
        assert not again.publishes()


def test_a_published_checkpoint_is_remembered_when_keys_and_log_are_restored(home: Home, tmp_path: Path) -> None:
    """A restored table of signed checkpoints learns the newer ones from the topic."""
    with home.log() as log:
        desk = Desk(home, log)
        fed(log, history(5))
        desk.looks(NOW)
    restored = SignedHeads(tmp_path / "restored.db")
    desk.publisher.remember(restored)
    old = Log(tmp_path / "restored", restored, BUS, PARTITION)
    fed(old, history(3))

    assert not old.has_caught_up
    assert refused("tail_cut", old.sign, *desk.identity.signers(ORIGIN), 1_772_427_600).number == 5
    old.close()

    forked = Log(tmp_path / "forked", SignedHeads(tmp_path / "forked.db"), BUS, PARTITION)
    fed(forked, history(5, forked_at=2))
    forked.sign(*desk.identity.signers(ORIGIN), 1_772_427_600)
    forked.close()
    refused("split_view", desk.publisher.remember, SignedHeads(tmp_path / "forked.db"))


def test_no_checkpoint_has_an_earlier_time_than_the_one_before_it(home: Home) -> None:
    """At closing, with a clock that was set back."""
    with home.log() as log:
        desk = Desk(home, log)
        fed(log, history(3))
        desk.looks(NOW)
        fed(log, history(5))
        desk.publisher.sign(log, NOW - HOUR)
        desk.publishes()

        assert [each.time for each in desk.said()] == [NOW, NOW]


def test_a_foreign_record_in_the_topic_counts_for_nothing(home: Home, tmp_path: Path) -> None:
    """Another log's key, one of our two keys only, another bus, junk."""
    with home.log() as log:
        desk = Desk(home, log)
        fed(log, history(3))
        desk.looks(NOW)
        note = Note.parse(desk.said()[0].note)
        stranger = LogIdentity.at(tmp_path / "stranger")
        one = Note(note.text, note.signatures[:1]).bytes()
        theirs = Note(note.text, (stranger.signers(ORIGIN)[0].sign(note.text),)).bytes()

        for junk in (
            None,
            b"",
            b"old 0\n\n",
            AddCheckpoint(0, (), one).bytes(),
            AddCheckpoint(0, (), theirs).bytes(),
            b"\xff" * 100,
        ):
            assert published(junk, BUS, desk.keys) is None
        assert published(desk.topic[0], "00112233445566ff", desk.keys) is None
        assert published(desk.topic[0], BUS, keys_of(stranger)) is None
        assert published(desk.topic[0], BUS, (*keys_of(stranger), *desk.keys)) is not None


class Witness:
    """An agency's witness."""

    def __init__(self, agency: str) -> None:
        """With a pair of its own."""
        self._key = SigningKey.generate()
        self.cosigner = Cosigner(witness_name(BUS, agency), self._key)
        self.known = (self.cosigner.verifier,)

    def says(self, text: bytes, time: int = 1_772_427_700) -> bytes:
        """Return the note with its co-signature."""
        return Note(text, (self.cosigner.cosign(text, time),)).bytes()

    def timeless(self, text: bytes) -> bytes:
        """Return its note with a signature without a time."""
        sound = self.cosigner.cosign(text, 5)
        signed = self._key.sign(message(self.cosigner.verifier.kind, sound.name, text, 0))
        return Note(text, (Signature(sound.name, sound.key_id, bytes(8) + signed),)).bytes()


@pytest.fixture(name="shown")
def _shown(home: Home) -> list[Published]:
    with home.log() as log:
        desk = Desk(home, log)
        for hour, size in enumerate((3, 5)):
            fed(log, history(size))
            desk.looks(NOW + hour * HOUR)
    return desk.said()


@pytest.fixture(name="cosigned")
def _cosigned(home: Home, shown: list[Published]) -> Cosigned:
    cosigned = Cosigned(home.folder / "cosigned.db")
    cosigned.publish([(each.checkpoint, each.note) for each in shown], 0)
    return cosigned


def test_co_signatures_are_put_to_their_checkpoint(cosigned: Cosigned, shown: list[Published], home: Home) -> None:
    """Each witness counts once; the largest checkpoint with a quorum is found; all of it is there after a restart."""
    first, second = Witness("ngo-a"), Witness("vac")
    cosigned.add(first.says(shown[0].checkpoint.text), first.known)
    cosigned.add(second.says(shown[0].checkpoint.text), second.known)
    cosigned.add(second.says(shown[1].checkpoint.text), second.known)
    cosigned.add(second.says(shown[1].checkpoint.text, 1_772_427_800), second.known)

    again = Cosigned(home.folder / "cosigned.db")
    found = [again.newest(ORIGIN, witnesses) for witnesses in range(4)]
    assert [each and (each[0], each[2]) for each in found] == [(5, 1), (5, 1), (3, 2), None]
    assert found[2] is not None
    note = Note.parse(found[2][1])
    assert {each.name for each, _ in note.verified((*first.known, *second.known))} == {
        witness_name(BUS, "ngo-a"),
        witness_name(BUS, "vac"),
    }
    again.publish([(shown[0].checkpoint, shown[0].note)], 0)
    assert again.newest(ORIGIN, 2) == found[2]


def test_a_co_signature_that_does_not_verify_counts_for_nothing(cosigned: Cosigned, shown: list[Published]) -> None:
    """Not that of another agency, of another tree, without a time, altered, or junk."""
    witness, other = Witness("ngo-a"), Witness("vac")
    text = shown[1].checkpoint.text
    forked = Checkpoint(ORIGIN, 5, bytes(32)).text
    unheard = Checkpoint(ORIGIN, 4, bytes(32)).text
    sound = witness.cosigner.cosign(text, 5)
    altered = Signature(sound.name, sound.key_id, sound.value[:-1] + bytes([sound.value[-1] ^ 1]))
    rows = [
        (witness.says(text), other.known, "note_unsigned"),
        (witness.says(forked), witness.known, "root_differs"),
        (witness.says(unheard), witness.known, "origin_differs"),
        (Note(text, (altered,)).bytes(), witness.known, "signature_invalid"),
        (witness.timeless(text), witness.known, "note_unsigned"),
        (b"junk", witness.known, "note_malformed"),
        (None, witness.known, "note_malformed"),
    ]
    for value, known, code in rows:
        with pytest.raises(ProofError) as caught:
            cosigned.add(value, known)
        assert caught.value.code == code

    found = cosigned.newest(ORIGIN)
    assert found is not None
    assert (found[1], found[2]) == (shown[1].note, 0)
    assert cosigned.newest(ORIGIN, 1) is None


def test_of_two_co_signatures_of_one_key_the_later_one_counts(cosigned: Cosigned, shown: list[Published]) -> None:
    """Given a note with a second line of the same key that has no time, or an earlier one, then the checkpoint keeps its quorum."""
    witness, text = Witness("ngo-a"), shown[1].checkpoint.text
    lines = [Note.parse(witness.says(text, time)).signatures[0] for time in (5, 9)]
    lines.insert(1, Note.parse(witness.timeless(text)).signatures[0])
    for order in permutations(lines):
        cosigned.add(Note(text, order).bytes(), witness.known)

        found = cosigned.newest(ORIGIN, 1)
        assert found is not None
        note = Note.parse(found[1])
        assert [time for _, time in note.verified(witness.known)] == [9]


def test_signatures_that_travel_along_are_not_kept(cosigned: Cosigned, shown: list[Published]) -> None:
    """Only what this agency's keys made is taken from its topic."""
    witness, stranger = Witness("ngo-a"), Witness("vac")
    text = shown[1].checkpoint.text
    both = Note.parse(witness.says(text)).signed(stranger.cosigner.cosign(text, 5)).bytes()
    cosigned.add(both, witness.known)

    found = cosigned.newest(ORIGIN, 1)
    assert found is not None
    assert found[2] == 1
    assert witness_name(BUS, "vac").encode() not in found[1]


def test_p5_each_witness_of_a_large_bus_counts(cosigned: Cosigned, shown: list[Published]) -> None:
    """Given a bus of 200 agencies, when each desk co-signs a checkpoint, then all 200 are counted and none is refused."""
    text = shown[1].checkpoint.text
    for number in range(200):
        witness = Witness(f"agency-{number}")
        cosigned.add(witness.says(text), witness.known)

    found = cosigned.newest(ORIGIN, 200)
    assert found is not None
    assert (found[0], found[2]) == (5, 200)


def test_p5_a_witness_for_whom_a_full_checkpoint_has_no_room_is_not_refused(
    cosigned: Cosigned, shown: list[Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a checkpoint with as many signatures as a note may have, then one more is left out, and a fork is still refused."""
    monkeypatch.setattr(note, "MAX_SIGNATURES", 3)
    first, second = Witness("ngo-a"), Witness("vac")
    cosigned.add(first.says(shown[1].checkpoint.text), first.known)

    with pytest.raises(NoteFullError):
        cosigned.add(second.says(shown[1].checkpoint.text), second.known)
    with pytest.raises(ProofError, match="root_differs"):
        cosigned.add(second.says(Checkpoint(ORIGIN, 5, bytes(32)).text), second.known)

    cosigned.add(first.says(shown[1].checkpoint.text, 1_772_427_800), first.known)
    found = cosigned.newest(ORIGIN, 1)
    assert found is not None
    assert found[2] == 1


class Reader(TopicReader):
    """A reader that has read a topic of co-signatures to its end."""

    def __init__(self) -> None:
        """Read nothing."""

    def offset(self, partition: TopicPartition) -> int:
        """Return the end of the topic."""
        del partition
        return 1


class Known(Directory):
    """A directory with one witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def witnesses(self, agency: str | None = None) -> tuple[Any, ...]:
        """Return its keys."""
        del agency
        return self._witness.known


async def test_p5_no_page_accuses_a_witness_for_whom_there_was_no_room(
    cosigned: Cosigned, shown: list[Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a full checkpoint, when a good co-signature comes, then the witness is not among the refused, and its earlier refusal is over."""
    monkeypatch.setattr(note, "MAX_SIGNATURES", 2)
    witness = Witness("vac")
    auditor = Auditor.__new__(Auditor)
    auditor._directory, auditor.refused = Known(witness), {"vac": "note_too_large"}
    logs = Logs.__new__(Logs)
    logs.cosigned = cosigned
    topic = TopicPartition("nrm.witness.vac", 0)

    await auditor._collect(logs, Reader(), topic, [Record(None, witness.says(shown[1].checkpoint.text), ())])

    assert auditor.refused == {}
    assert cosigned.offset(topic.topic) == 1


def test_where_a_topic_was_read_to_is_known_after_a_restart(cosigned: Cosigned, home: Home) -> None:
    """So nothing is asked for twice, and nothing passed over."""
    assert cosigned.offset("nrm.witness.vac") == 0
    cosigned.read_to("nrm.witness.vac", 7)
    assert Cosigned(home.folder / "cosigned.db").offset("nrm.witness.vac") == 7
