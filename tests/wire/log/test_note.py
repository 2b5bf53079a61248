"""Signed notes: read as C2SP signed-note v1.0.0 says, believed when a key that we know has signed them.

The example and its key are those of its text (c2sp.org/signed-note@v1.0.0).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.published import vectors
from nrmbus.wire import base64, ids
from nrmbus.wire.errors import ProofCode, ProofError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import verifier
from nrmbus.wire.log.note import LIMIT, MAX_SIGNATURES, Ed25519Signer, Note, Signature, key_id, parse_vkey, vkey

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()
LINE = b"\xe2\x80\x94 somebody AAAAAAA=\n"
SIGNER = Ed25519Signer("log.example", SigningKey(vectors.seed("log")))
OTHER = Ed25519Signer("other.example", SigningKey(vectors.seed("other log")))
TEXT = b"a text\n"
SIGNED = Note(TEXT, (SIGNER.sign(TEXT),)).bytes()


def code_of(error: pytest.ExceptionInfo[ProofError]) -> ProofCode:
    """Return the code of a raised error, which shows nothing of the input and hides no other error."""
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    return error.value.code


def test_the_example_of_the_text_verifies() -> None:
    """The example verifies with its verifier key, and a written note is equal to the one that was read."""
    note = Note.parse(EXAMPLE)
    key = verifier(EXAMPLE_KEY)

    assert note.verified([key]) == [(key, 0)]
    assert note.text == b"This is an example message.\n"
    assert note.bytes() == EXAMPLE
    assert vkey(key) == EXAMPLE_KEY


def test_a_text_may_hold_empty_lines() -> None:
    """The last empty line parts text and signatures."""
    note = Note.parse(POEM)

    assert note.text.decode().splitlines()[2:] == ["", "ed è subito sera."]
    assert [each.name for each in note.signatures] == ["quasimodo.example/salvatore"]
    assert note.bytes() == POEM


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\n\n",
        b"a text\n",
        b"a text\n\n",
        b"a text\n" + LINE,
        b"a text\n\n" + LINE[:-1],
        b"a text\n\n" + LINE + b"\n",
        b"a text\n\n" + LINE + b"more\n",
        b"a text\r\n\r\n" + LINE,
        b"a\ttext\n\n" + LINE,
        b"a\0text\n\n" + LINE,
        b"a \xff text\n\n" + LINE,
        b"a \xed\xa0\x80 text\n\n" + LINE,
        b"a text\n\n- somebody AAAAAAA=\n",
        b"a text\n\n" + LINE.replace(b"somebody ", b""),
        b"a text\n\n" + LINE.replace(b"somebody ", b" "),
        b"a text\n\n" + LINE.replace(b"somebody", b"some+body"),
        b"a text\n\n" + LINE.replace(b"somebody", "some\u2003body".encode()),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b"AAAAAA=="),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b"AAAAAAB="),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b"AAAAAAA"),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b"AAAAA-A="),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b"AAAAAAA= "),
        b"a text\n\n" + LINE.replace(b"AAAAAAA=", b""),
    ],
)
def test_what_has_not_the_form_of_a_note_is_refused(raw: bytes) -> None:
    """No text, no signature, blanks and controls, other line ends, a second spelling of base64, a key id without more."""
    with pytest.raises(ProofError) as error:
        Note.parse(raw)

    assert code_of(error) == "note_malformed"


def test_a_note_has_a_limit() -> None:
    """As many signatures as a bus may need are read, one more is not; so with the size."""
    assert len(Note.parse(b"a text\n\n" + LINE * MAX_SIGNATURES).signatures) == MAX_SIGNATURES
    assert Note.parse(b"a" * (LIMIT - len(LINE) - 2) + b"\n\n" + LINE).text
    for raw in (b"a text\n\n" + LINE * (MAX_SIGNATURES + 1), b"a" * (LIMIT - len(LINE) - 1) + b"\n\n" + LINE):
        with pytest.raises(ProofError) as error:
            Note.parse(raw)
        assert code_of(error) == "note_too_large"


def test_a_note_holds_a_witness_of_each_agency_of_a_large_bus() -> None:
    """Given the longest names that a bus and an agency may have, then a note of the most signatures is within the largest size."""
    agencies = [f"{number:05d}".join(("a" * 25, "z")) for number in range(MAX_SIGNATURES)]
    names = [witness_name("play-0123456789abcdef", each) for each in agencies]

    assert all(ids.is_agency(each) and len(each) == 31 for each in agencies)
    assert Note(TEXT, tuple(Signature(name, bytes(4), bytes(72)) for name in names)).bytes()


def test_signatures_of_others_are_ignored() -> None:
    """A signature with only the name or only the id of a known key is ignored as well."""
    known = SIGNER.sign(TEXT)
    note = Note(
        TEXT,
        (
            OTHER.sign(TEXT),
            Signature(known.name, b"\0\0\0\0", b"x"),
            Signature("somebody", known.key_id, b"x"),
            known,
        ),
    )

    assert Note.parse(note.bytes()).verified([SIGNER.verifier]) == [(SIGNER.verifier, 0)]


def test_a_wrong_signature_in_a_known_name_spoils_the_note() -> None:
    """A wrong signature spoils the note even beside a right one, before or after it."""
    right = SIGNER.sign(TEXT)
    wrong = Signature(right.name, right.key_id, bytes(64))
    for signatures in ((wrong,), (right, wrong), (wrong, right), (OTHER.sign(TEXT), wrong)):
        with pytest.raises(ProofError) as error:
            Note(TEXT, signatures).verified([SIGNER.verifier, OTHER.verifier])
        assert code_of(error) == "signature_invalid"


def test_a_note_that_nobody_we_know_has_signed_is_not_believed() -> None:
    """Also with no key at all."""
    for known in ([], [OTHER.verifier]):
        with pytest.raises(ProofError) as error:
            Note.parse(SIGNED).verified(known)
        assert code_of(error) == "note_unsigned"


def test_a_key_signs_a_note_once() -> None:
    """A new signature replaces the earlier one of the same key; signatures of other keys stay."""
    note = Note(TEXT, (Signature("log.example", SIGNER.sign(TEXT).key_id, b"old"), OTHER.sign(TEXT)))

    assert note.signed(SIGNER.sign(TEXT)).signatures == (SIGNER.sign(TEXT), OTHER.sign(TEXT))


@pytest.mark.parametrize("text", [b"", b"no newline", b"a\n\nno newline", b"a\tb\n", b"\xff\n"])
def test_no_note_is_written_that_would_not_be_read(text: bytes) -> None:
    """A text without its newline, with controls, or not UTF-8."""
    with pytest.raises(ProofError) as error:
        Note(text, (SIGNER.sign(text),)).bytes()

    assert code_of(error) == "note_malformed"


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_no_bit_of_a_signed_note_can_be_altered(bit: int) -> None:
    """Text, name, key id, signature and every sign between them."""
    altered = bytearray(SIGNED)
    altered[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ProofError):
        Note.parse(bytes(altered)).verified([SIGNER.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("foo", "bar"),
        EXAMPLE_KEY.replace("/foo", " foo"),
        EXAMPLE_KEY[:-1],
        EXAMPLE_KEY + "\n",
        EXAMPLE_KEY.replace("example.com/foo", ""),
        f"x+{key_id('x', 1, b'').hex()}+AQ==",
        f"x+{key_id('x', 2, bytes(32)).hex()}+{base64.encode(bytes([2]) + bytes(32))}",
        f"x+{key_id('x', 1, bytes(32)).hex()}+{base64.encode(bytes([1]) + bytes(32))}",
        f"x+{key_id('x', 4, bytes(32)).hex()}+{base64.encode(bytes([4]) + bytes(32))}",
        f"x+{key_id('x', 6, bytes(32)).hex()}+{base64.encode(bytes([6]) + bytes(32))}",
    ],
)
def test_a_verifier_key_that_is_none_is_refused(text: str) -> None:
    """A wrong id, another spelling, an unused kind, a weak key and another length are refused."""
    with pytest.raises(ProofError) as error:
        verifier(text)

    assert code_of(error) == "key_malformed"


def test_a_verifier_key_names_its_key() -> None:
    """Name, kind and raw public key."""
    assert parse_vkey(vkey(SIGNER.verifier)) == ("log.example", 1, SigningKey(vectors.seed("log")).public)
