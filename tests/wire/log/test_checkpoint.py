"""Checkpoints: how far a history reaches, said by its log and by witnesses; who is believed is the reader's to say."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.published import vectors
from nrmbus.wire import base64
from nrmbus.wire.errors import ProofError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    Checkpoint,
    Policy,
    origin_of,
    place_of,
    witness_name,
)
from nrmbus.wire.log.cosignature import MAX_TIME, CosignatureVerifier, Cosigner, message, verifier
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, Note, Signature, Verifier, key_id, key_id_of, vkey

BUS = "0011223344556677"
ORIGIN = origin_of(BUS, 3)
TIME = 1_772_427_600
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 20852163, ROOT)
TEXT = CHECKPOINT.text
LOG = Ed25519Signer(ORIGIN, SigningKey(vectors.seed("log")))
LOG_LASTING = Cosigner(ORIGIN, MLDSA44SigningKey(vectors.seed("log lasting")))
NAMES = [witness_name(BUS, agency) for agency in ("ngo-a", "shelter", "ombudsman")]
WITNESSES = [Cosigner(name, SigningKey(vectors.seed(name))) for name in NAMES]
LASTING = Cosigner(NAMES[0], MLDSA44SigningKey(vectors.seed("lasting")))
POLICY = Policy(
    (LOG.verifier, LOG_LASTING.verifier), (*[each.verifier for each in WITNESSES], LASTING.verifier), quorum=2
)


def signed(*witnesses: Cosigner, checkpoint: Checkpoint = CHECKPOINT, time: int = TIME) -> bytes:
    """The log's checkpoint, co-signed by *witnesses*."""
    text = checkpoint.text
    own = (LOG.sign(text), LOG_LASTING.cosign(text, time))
    return Note(text, (*own, *[each.cosign(text, time) for each in witnesses])).bytes()


def code(policy: Policy, raw: bytes) -> str:
    """Why *policy* does not believe *raw*."""
    with pytest.raises(ProofError) as caught:
        policy.believe(raw)
    assert caught.value.__context__ is None
    return caught.value.code


def test_a_checkpoint_is_three_lines() -> None:
    """Origin, size, root; read as it was written."""
    assert f"nrmbus/{BUS}/p3\n20852163\n{base64.encode(ROOT)}\n".encode() == TEXT
    assert Checkpoint.parse(TEXT) == CHECKPOINT
    assert place_of(ORIGIN) == (BUS, 3)
    assert Checkpoint.parse(Checkpoint("x", 0, merkle.EMPTY).text).size == 0
    assert Checkpoint.parse(Checkpoint("x", 2**63 - 1, ROOT).text).size == 2**63 - 1


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        (TEXT, b""),
        (ORIGIN.encode(), b""),
        (b"\n20852163", b"\n020852163"),
        (b"\n20852163", b"\n+20852163"),
        (b"\n20852163", b"\n20852163 "),
        (b"\n20852163", b"\n-1"),
        (b"\n20852163", b"\n9223372036854775808"),
        (b"\n20852163", b"\n0"),
        (b"\n20852163", "\n٢".encode()),
        (b"\n20852163", b""),
        (b"Hh8=", b"Hh9="),
        (b"Hh8=", b"Hg=="),
        (b"Hh8=\n", b"Hh8="),
        (b"Hh8=\n", b"Hh8=\nan extension\n"),
        (b"Hh8=\n", b"Hh8=\n\n"),
        (b"nrmbus", b"\xff"),
    ],
)
def test_what_is_no_checkpoint_is_refused(was: bytes, is_: bytes) -> None:
    """Another spelling of a number or a root, a root of no leaves that is not theirs, a line too few or too many."""
    assert was in TEXT
    with pytest.raises(ProofError) as caught:
        Checkpoint.parse(TEXT.replace(was, is_))

    assert caught.value.code == "checkpoint_malformed"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("origin", ["example.com/log", f"nrmbus/{BUS}/p", f"nrmbus/{BUS}/p03", f"nrmbus/{BUS}x/p3", ""])
def test_an_origin_of_somebody_else_names_no_partition(origin: str) -> None:
    """Only ours do; and a bus for playing is named as such."""
    assert place_of(origin_of(f"play-{BUS}", 0)) == (f"play-{BUS}", 0)
    with pytest.raises(ProofError) as caught:
        place_of(origin)
    assert caught.value.code == "origin_differs"


def test_a_cosignature_signs_what_the_text_of_c2sp_says() -> None:
    """tlog-cosignature: the lines of an Ed25519 one, the structure of an ML-DSA-44 one."""
    name = NAMES[0]
    assert message(COSIGNATURE_ED25519, name, TEXT, TIME) == b"cosignature/v1\ntime 1772427600\n" + TEXT
    assert message(COSIGNATURE_MLDSA44, name, TEXT, TIME) == b"".join(
        [
            b"subtree/v1\n\0",
            bytes([len(name)]) + name.encode(),
            TIME.to_bytes(8, "big"),
            bytes([len(ORIGIN)]) + ORIGIN.encode(),
            bytes(8),
            (20852163).to_bytes(8, "big"),
            ROOT,
        ]
    )
    made = WITNESSES[0].cosign(TEXT, TIME)
    assert made.key_id == key_id(name, 4, SigningKey(vectors.seed(name)).public)
    assert made.value[:8] == TIME.to_bytes(8, "big")
    assert len(made.value) == 8 + 64
    assert len(LASTING.cosign(TEXT, TIME).value) == 8 + 2420


@pytest.mark.parametrize("cosigner", [WITNESSES[0], LASTING])
def test_a_cosignature_verifies_as_what_it_is(cosigner: Cosigner) -> None:
    """Its time comes out; another time, text or name does not verify; its key survives being written."""
    made = cosigner.cosign(TEXT, TIME)
    key = verifier(vkey(cosigner.verifier))
    assert key.verify(TEXT, made.value) == TIME

    other = Checkpoint(ORIGIN, 20852164, ROOT).text
    later = (TIME + 1).to_bytes(8, "big") + made.value[8:]
    for text, value in (
        (other, made.value),
        (TEXT, later),
        (TEXT, made.value[:-1]),
        (TEXT, b""),
        (TEXT, made.value[8:]),
    ):
        with pytest.raises(ProofError) as caught:
            key.verify(text, value)
        assert caught.value.code == "signature_invalid"
        assert caught.value.__context__ is None


def test_no_cosignature_says_a_time_that_nobody_can_write() -> None:
    """A time after the year 9999 is refused (C2SP allows more), with any signature; the last second before is accepted."""
    pair, key = SigningKey(vectors.seed(NAMES[0])), WITNESSES[0].verifier

    def at(time: int) -> bytes:
        return time.to_bytes(8, "big") + pair.sign(message(COSIGNATURE_ED25519, NAMES[0], TEXT, time))

    assert key.verify(TEXT, at(MAX_TIME)) == MAX_TIME
    with pytest.raises(ProofError) as caught:
        key.verify(TEXT, at(MAX_TIME + 1))
    assert caught.value.code == "signature_invalid"
    assert datetime.fromtimestamp(MAX_TIME, UTC).year == 9999


def test_a_lasting_cosignature_names_its_maker() -> None:
    """With ML-DSA-44 the same key under another name has not signed."""
    made = LASTING.cosign(TEXT, TIME)
    pair = MLDSA44SigningKey(vectors.seed("lasting"))
    with pytest.raises(ProofError) as caught:
        Cosigner(NAMES[1], pair).verifier.verify(TEXT, made.value)

    assert caught.value.code == "signature_invalid"


def test_a_cosignature_of_what_is_no_checkpoint_is_not_made() -> None:
    """Nor one without a time: a witness says when."""
    with pytest.raises(ProofError) as caught:
        WITNESSES[0].cosign(b"a text\n", TIME)
    assert caught.value.code == "checkpoint_malformed"
    for time in (0, -1, MAX_TIME + 1):
        with pytest.raises(ValueError, match="time"):
            WITNESSES[0].cosign(TEXT, time)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "x" * 256])
def test_nobody_cosigns_under_what_is_no_name(name: str) -> None:
    """Empty, with a blank or a plus sign, or longer than a lasting cosignature can say."""
    with pytest.raises(ProofError) as caught:
        CosignatureVerifier(name, SigningKey(vectors.seed("x")).verify_key)

    assert caught.value.code == "key_malformed"


def test_a_quorum_is_believed() -> None:
    """The log by every key of its own, two witnesses of three; who co-signed when comes out."""
    believed = POLICY.believe(signed(*WITNESSES[1:]))

    assert believed.checkpoint == CHECKPOINT
    assert believed.witnesses == {NAMES[1]: TIME, NAMES[2]: TIME}
    assert set(POLICY.believe(signed(*WITNESSES, LASTING)).witnesses) == set(NAMES)


def test_a_witness_counts_once() -> None:
    """An agency that co-signs with both keys, or twice, is one witness, and its later time counts."""
    assert code(POLICY, signed(WITNESSES[0], LASTING)) == "quorum_missing"
    note = Note.parse(signed(WITNESSES[0]))
    twice = Note(note.text, (*note.signatures, WITNESSES[0].cosign(TEXT, TIME + 5)))
    assert code(POLICY, twice.bytes()) == "quorum_missing"
    both = Note(note.text, (*twice.signatures, WITNESSES[1].cosign(TEXT, TIME)))
    assert POLICY.believe(both.bytes()).witnesses == {NAMES[0]: TIME + 5, NAMES[1]: TIME}


def test_a_missing_quorum_says_how_many_there_are() -> None:
    """Strangers do not count; the numbers are said, no name is."""
    stranger = Cosigner(witness_name(BUS, "police"), SigningKey(vectors.seed("police")))
    with pytest.raises(ProofError) as caught:
        POLICY.believe(signed(WITNESSES[2], stranger))

    assert caught.value.code == "quorum_missing"
    assert caught.value.safe == {"have": 1, "need": 2}


def test_every_key_of_the_log_must_have_signed() -> None:
    """The classical one alone is not enough where a lasting one is named, nor the other way, nor witnesses alone."""
    note = Note.parse(signed(*WITNESSES))
    for kept in (note.signatures[1:], (note.signatures[0], *note.signatures[2:]), note.signatures[2:]):
        assert code(POLICY, Note(note.text, kept).bytes()) == "log_signature_missing"


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """Of another partition, another bus, or the play of one, even signed by the same keys."""
    for origin in (origin_of(BUS, 4), origin_of("0011223344556688", 3), origin_of(f"play-{BUS}", 3)):
        assert code(POLICY, signed(*WITNESSES, checkpoint=Checkpoint(origin, 5, ROOT))) == "origin_differs"


def test_a_witness_that_says_no_time_is_not_counted() -> None:
    """A cosignature with time 0 does not say that it was the largest tree seen."""
    pair = MLDSA44SigningKey(vectors.seed("lasting"))
    value = bytes(8) + pair.sign(message(COSIGNATURE_MLDSA44, NAMES[0], TEXT, 0))
    note = Note.parse(signed(WITNESSES[1]))
    timeless = Note(note.text, (*note.signatures, Signature(NAMES[0], key_id_of(LASTING.verifier), value)))

    assert code(POLICY, timeless.bytes()) == "quorum_missing"


def test_a_policy_that_would_count_a_word_twice_is_refused() -> None:
    """A key under two names, a log among its witnesses, no log, two logs, keys of the wrong kind, a quorum out of reach."""
    log, lasting, one = (LOG.verifier,), LASTING.verifier, WITNESSES[0].verifier
    same = Cosigner(NAMES[1], SigningKey(vectors.seed(NAMES[0]))).verifier
    cases: list[tuple[tuple[Verifier, ...], tuple[Verifier, ...], int]] = [
        (log, (one, same), 1),
        (log, (one, one), 1),
        ((), (one,), 1),
        ((*log, Ed25519Signer("other", SigningKey(vectors.seed("x"))).verifier), (one,), 1),
        (log, (LOG_LASTING.verifier,), 1),
        ((Cosigner(ORIGIN, SigningKey(vectors.seed("x"))).verifier,), (one,), 1),
        (log, (Ed25519Signer(NAMES[0], SigningKey(vectors.seed("x"))).verifier,), 1),
        (log, (one, lasting), 2),
        (log, (one,), -1),
        (log, (), 1),
    ]
    for keys, witnesses, quorum in cases:
        with pytest.raises(ProofError) as caught:
            Policy(keys, witnesses, quorum)
        assert caught.value.code == "policy_invalid"
    assert Policy(log, (), 0).believe(signed()).witnesses == {}


def test_a_witness_sees_whether_a_log_only_grew() -> None:
    """Before it co-signs, a witness requires the same log, neither smaller nor forked, with the earlier tree as its beginning."""
    leaves = [merkle.leaf_hash(bytes([each])) for each in range(9)]

    def node(level: int, index: int) -> bytes:
        return merkle.perfect(leaves[index << level : (index + 1) << level])

    older, newer = (Checkpoint(ORIGIN, size, merkle.root(size, node)) for size in (5, 9))
    proof = merkle.consistency_proof(5, 9, node)
    newer.follows(older, proof)
    newer.follows(Checkpoint(ORIGIN, 0, merkle.EMPTY), [])

    for one, two, expected in [
        (older, newer, "tree_shrank"),
        (Checkpoint(ORIGIN, 9, ROOT), newer, "root_differs"),
        (Checkpoint(ORIGIN, 5, ROOT), older, "root_differs"),
        (Checkpoint(ORIGIN, 9, ROOT), older, "consistency_invalid"),
        (Checkpoint(origin_of(BUS, 4), 9, newer.root), older, "origin_differs"),
    ]:
        with pytest.raises(ProofError) as caught:
            one.follows(two, proof)
        assert caught.value.code == expected


@given(st.data())
def test_no_bit_of_a_cosigned_checkpoint_can_be_altered(data: st.DataObject) -> None:
    """Every altered copy has lost the log's word, its form, or a witness that was needed."""
    altered = bytearray(RAW)
    bit = data.draw(st.integers(0, len(RAW) * 8 - 1))
    altered[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ProofError):
        POLICY.believe(bytes(altered))


RAW = signed(*WITNESSES[:2])


def test_a_lasting_key_shows_no_secret() -> None:
    """A repr has the kid."""
    key = MLDSA44SigningKey(vectors.seed("lasting"))

    assert repr(key) == f"MLDSA44SigningKey({key.kid})"
    assert key.kid.startswith("mldsa44:")
    assert len(MLDSA44SigningKey.generate().sign(b"x")) == 2420
