"""A witness decides that one history grew by appending only, or raises an alarm with its code."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies import BUS, town
from desk.witness.given import LOG, FakeAuditor
from nrmbus.desk.witness.decision import SENTENCES, Alarm, Known, Submitted, follows
from nrmbus.directory import LogIdentity
from nrmbus.wire import base64
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import LIMIT, Note

LEAVES, FORK = 9, 5


@cache
def logs() -> tuple[FakeAuditor, FakeAuditor]:
    """Return two histories of one log, the same up to the leaf before `FORK`."""
    home = Path(mkdtemp(prefix="logs-"))
    both = FakeAuditor(home / "true"), FakeAuditor(home / "forked", forked_at=FORK)
    for each in both:
        each.grows(LEAVES)
    return both


@cache
def honest() -> bytes:
    """Return a record with a consistency proof, as the auditor publishes it."""
    auditor = FakeAuditor(Path(mkdtemp(prefix="log-")))
    auditor.grows(3)
    return auditor.grows(7)


@cache
def foreign(bus: str) -> bytes:
    """Return a checkpoint of another bus, signed with this bus's keys."""
    return FakeAuditor(Path(mkdtemp(prefix="log-")), bus=bus).grows(3)


@cache
def forged() -> bytes:
    """Return a checkpoint of this log under keys that the directory does not name."""
    home = Path(mkdtemp(prefix="log-"))
    return FakeAuditor(home, identity=LogIdentity.at(home / "keys")).grows(3)


def with_signatures(raw: bytes, *which: int) -> bytes:
    """Return *raw* with only some of its signatures."""
    head, _, note = raw.partition(b"\n\n")
    parsed = Note.parse(note)
    return head + b"\n\n" + Note(parsed.text, tuple(parsed.signatures[each] for each in which)).bytes()


BAD: dict[str, tuple[str, Callable[[], bytes | None]]] = {
    "no value": ("body_malformed", lambda: None),
    "nothing": ("body_malformed", lambda: b""),
    "the checkpoint alone": ("body_malformed", lambda: honest().partition(b"\n\n")[2]),
    "a size with a zero before it": ("body_malformed", lambda: honest().replace(b"old 3", b"old 03", 1)),
    "a size below none": ("body_malformed", lambda: honest().replace(b"old 3", b"old -3", 1)),
    "a size that no log has": ("body_malformed", lambda: honest().replace(b"old 3", b"old " + b"9" * 20, 1)),
    "a hash that is too short": ("body_malformed", lambda: honest().replace(b"\n", b"\nAAAA\n", 1)),
    "a line that is no base64": ("body_malformed", lambda: honest().replace(b"\n", b"\n*\n", 1)),
    "more hashes than any proof has": (
        "body_malformed",
        lambda: honest().replace(b"\n", b"\n" + (base64.encode(bytes(32)) + "\n").encode() * 61, 1),
    ),
    "a note that is too long": ("note_too_large", lambda: honest() + bytes(LIMIT)),
    "a body without a note": ("note_malformed", lambda: b"old 0\n\nnothing\n"),
    "a note that is no checkpoint": ("checkpoint_malformed", lambda: honest().replace(LOG.encode() + b"\n", b"\n", 1)),
    "another bus": ("origin_differs", lambda: foreign("play-00000000000000ff")),
    "the bus that is not for playing": ("origin_differs", lambda: foreign("0123456789abcdef")),
    "keys of nobody known": ("note_unsigned", forged),
    "the classical key alone": ("log_signature_missing", lambda: with_signatures(honest(), 0)),
    "the lasting key alone": ("log_signature_missing", lambda: with_signatures(honest(), 1)),
    "another size than was signed": ("signature_invalid", lambda: honest().replace(b"\n7\n", b"\n8\n", 1)),
}


@pytest.mark.parametrize("what", BAD)
def test_a_record_that_no_log_of_this_bus_signed_is_named_by_its_code(what: str) -> None:
    """The record says nothing about a log, so the alarm names none; the alarm never repeats the record."""
    code, make = BAD[what]
    with pytest.raises(Alarm) as caught:
        Submitted.believed(make(), BUS, town().directory.log_keys())

    assert (caught.value.code, caught.value.origin) == (code, None)
    assert str(caught.value) == f"{code}: {SENTENCES[caught.value.code]}"
    assert caught.value.__context__ is None


def test_what_the_auditor_publishes_is_read_as_it_was_meant() -> None:
    """The record is read back as old size, proof and checkpoint."""
    submitted = Submitted.believed(honest(), BUS, town().directory.log_keys())

    assert (submitted.checkpoint.origin, submitted.checkpoint.size, submitted.old) == (LOG, 7, 3)
    assert follows(submitted, Known(tree(0, 3), tree(0, 3)))


def tree(which: int, size: int) -> Checkpoint:
    """Return the tree of *size* in one of the two histories."""
    return Checkpoint(LOG, size, logs()[which].log._tree.root(size))


def step(which: int, old: int, new: int, note: bytes = b"") -> Submitted:
    """Return the record by which one of the two histories shows its growth."""
    return Submitted(tree(which, new), old, tuple(logs()[which].log.consistency_proof(old, new)), note)


def seen() -> tuple[bytes, bytes]:
    """Return the stored root and digest of the tree of three leaves."""
    return tree(0, 3).root, step(0, 0, 3).digest


def at(checked: int, signed: int, earlier: tuple[bytes, bytes | None] | None = None) -> Known:
    """Return the state of a desk that has checked and signed the true history up to these sizes."""
    return Known(tree(0, checked), tree(0, signed), earlier)


OUTCOMES: dict[str, tuple[str, Callable[[], tuple[Submitted, Known]]]] = {
    "the first one": ("follows", lambda: (step(0, 0, 3), Known.nothing(LOG))),
    "the next one": ("follows", lambda: (step(0, 3, 7), at(3, 3))),
    "the next one, up to what was signed": ("follows", lambda: (step(0, 3, 7), at(3, 7, (tree(0, 7).root, None)))),
    "the same again": ("known", lambda: (step(0, 0, 3), at(3, 3, seen()))),
    "the same tree, signed anew": ("known", lambda: (step(0, 3, 3, b"later"), at(3, 3, seen()))),
    "an earlier one again": ("known", lambda: (step(0, 0, 3), at(7, 7, seen()))),
    "an earlier tree, signed anew": ("tree_shrank", lambda: (step(0, 0, 3, b"later"), at(7, 7, seen()))),
    "a cut tail": ("tree_shrank", lambda: (step(0, 3, 6), at(7, 7))),
    "another tree of this size": ("root_differs", lambda: (step(1, 3, 7), at(7, 7, (tree(0, 7).root, b"x")))),
    "another tree of an earlier size": ("root_differs", lambda: (step(1, 3, 6), at(9, 9, (tree(0, 6).root, b"x")))),
    "another tree than was signed": ("root_differs", lambda: (step(1, 3, 7), at(3, 7, (tree(0, 7).root, None)))),
    "a fork": ("consistency_invalid", lambda: (step(1, 7, 9), at(7, 7))),
    "a proof of another step": (
        "consistency_invalid",
        lambda: (Submitted(tree(0, 9), 7, step(0, 6, 9).proof, b""), at(7, 7)),
    ),
    "a log that does not begin at its beginning": ("gap", lambda: (step(0, 3, 7), Known.nothing(LOG))),
    "a checkpoint missing": ("gap", lambda: (step(0, 6, 9), at(3, 3))),
    "a proof from before what was checked": ("gap", lambda: (step(0, 3, 9), at(7, 7))),
    "a step past what was signed": ("gap", lambda: (step(0, 3, 9), at(3, 7))),
}


@pytest.mark.parametrize("what", OUTCOMES)
def test_each_step_has_one_outcome(what: str) -> None:
    """A step follows, is known already, or raises an alarm that names the log."""
    expected, make = OUTCOMES[what]
    outcome, origin = "", LOG
    try:
        outcome = "follows" if follows(*make()) else "known"
    except Alarm as alarm:
        outcome, origin = alarm.code, str(alarm.origin)

    assert (outcome, origin) == (expected, LOG)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, LEAVES), st.integers(1, LEAVES), st.booleans()), max_size=12)
)
def test_whatever_comes_in_whatever_order_one_history_is_signed(steps: list[tuple[int, int, int, bool]]) -> None:
    """Any steps of two histories, signed or not: all co-signed trees belong to one history, and grow."""
    known, earlier, signed = Known.nothing(LOG), dict[int, tuple[bytes, bytes]](), list[Checkpoint]()
    for which, start, size, signs in steps:
        submitted = step(which, min(start, size), size)
        try:
            grown = follows(submitted, Known(known.checked, known.signed, earlier.get(size)))
        except Alarm:
            continue
        if grown:
            earlier[size] = submitted.checkpoint.root, submitted.digest
            known = Known(submitted.checkpoint, submitted.checkpoint if signs else known.signed)
            signed += [submitted.checkpoint] if signs else []

    assert [each.size for each in signed] == sorted({each.size for each in signed})
    assert any(all(each == tree(which, each.size) for each in signed) for which in (0, 1))
