"""Letters: readers and their parts, in the whole letter and in a copy, and the letter beside its event."""

import json as plain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrmbus.events.model import PARTS, Data, Event, Part
from nrmbus.events.registry import TYPES
from nrmbus.published import vectors
from nrmbus.wire import letter
from nrmbus.wire.envelope import decode, encode, with_letter
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey, SigningKey
from nrmbus.wire.letter import Container
from wire.given import (
    CANARY,
    KEYS,
    PLACE,
    RAW,
    READS,
    SAYS,
    SENDER,
    SHELTER,
    TO,
    UNIT,
    WHOLE,
    body_of,
    edited,
    opened,
    refused,
    sealed,
    written,
)

SIGNING = SigningKey.from_seed(vectors.seed("signing"))


@pytest.mark.parametrize("name", READS)
def test_each_reads_his_parts(name: str) -> None:
    """Every reader opens exactly its own parts, from the whole letter and from its copy."""
    due = {part: SAYS[part] for part in READS[name]}

    assert opened(WHOLE, name) == due
    assert opened(WHOLE.copy_for(name), name) == due


def test_a_copy_shows_nobody_else() -> None:
    """A copy names its reader alone, holds no ciphertext of other parts, and has the digest that was signed."""
    for name, parts in READS.items():
        raw = WHOLE.copy_for(name)
        copy = Container.parse(raw)

        assert copy.digest == WHOLE.digest
        assert copy.parts == parts
        assert all(copy.wraps(part) == {name: KEYS[name].kid} for part in parts)
        assert not any(other.encode() in raw for other in READS if other != name)
        assert not copy.whole
        assert copy.copy_for(name) == raw


def test_a_stranger_gets_nothing() -> None:
    """An agency without parts gets digests only."""
    copy = Container.parse(WHOLE.copy_for("embassy"))

    assert (copy.digest, copy.parts) == (WHOLE.digest, ())
    assert copy.open("embassy", SealingKey.generate(), **PLACE) == {}


def test_nothing_of_the_letter_is_readable() -> None:
    """The carrier holds ciphertext, and a long story looks like a short one."""
    long = sealed({**SAYS, "story": {"facts": "x" * 900}})

    assert CANARY.encode() not in RAW
    assert len(long) == len(RAW)


@pytest.mark.parametrize("size", [0, 1, 1019, 1020, 1021, 4091, 4092, 4093, 65_532, 65_533, 131_068])
def test_padding(size: int) -> None:
    """A part is padded to one of five sizes, and unpadding returns the plaintext."""
    whole = letter.padded(b"x" * size)

    assert len(whole) in letter.PADDED
    assert len(whole) - size <= max(1024, 4 * size)
    assert letter.unpadded(whole) == b"x" * size


def test_too_large() -> None:
    """A part of more than 128 KiB, or parts of more than 240 KiB together, are refused before they are sent."""
    refused("letter_too_large", lambda: letter.padded(b"x" * 131_069))
    refused("letter_too_large", lambda: sealed({**SAYS, "story": {"facts": CANARY * 14_000}}))
    refused("letter_too_large", lambda: sealed({part: {"facts": CANARY * 6_000} for part in SAYS}))
    refused("letter_too_large", lambda: Container.parse(RAW + b" " * 240 * 1024))


@pytest.mark.parametrize(
    "whole", [b"", b"\0\0\0", b"\0\0\0\2{", b"\xff\xff\xff\xff{}", b"\0\0\0\2{}\0\1", b"\0\0\0\2{}\x20"], ids=range(6)
)
def test_wrong_padding(whole: bytes) -> None:
    """Padding that is not zero could carry something unseen."""
    refused("letter_malformed", lambda: letter.unpadded(whole))


@pytest.mark.thorough
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_said_is_read(data: st.DataObject) -> None:
    """Any parts of any JSON come back to every reader as they were sealed."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    fields = st.dictionaries(text, text | st.integers(-9, 9) | st.booleans() | st.lists(text, max_size=3), max_size=3)
    says = data.draw(st.dictionaries(st.sampled_from(PARTS), fields, min_size=1, max_size=3))
    raw = letter.seal(says, {part: [(SENDER, TO[SENDER]), (UNIT, TO[UNIT])] for part in says}, **PLACE)

    for name in (SENDER, UNIT):
        assert opened(Container.parse(raw).copy_for(name), name) == says


def event(container: bytes | None, **change: Any) -> Event:
    """A referral with this letter."""
    digest = Container.parse(container).digest if container else None
    return Event(**{**dict(vectors.event()), "sealeddigest": digest, **change})


def test_a_letter_travels_with_its_event() -> None:
    """The signed digest is that of the letter; a recipient's copy fits the same signature."""
    submitted = decode(with_letter(encode(event(RAW), SIGNING), RAW))
    copy = WHOLE.copy_for(UNIT)
    delivered = decode(with_letter(encode(event(RAW), SIGNING), copy))

    whole, mine = submitted.letter(), delivered.letter(whole=False)
    assert whole is not None
    assert mine is not None
    assert whole.whole
    assert opened(mine, UNIT) == opened(RAW, UNIT)


def test_an_event_may_have_no_letter() -> None:
    """A letter may be left out as a whole."""
    assert decode(encode(event(None), SIGNING)).letter() is None


OTHER = sealed({part: fields for part, fields in SAYS.items() if part != "money"})
OWN_COPY = WHOLE.copy_for(SENDER)
WITHOUT_SENDER = edited(
    lambda parts: parts[0].update(wraps=[wrap for wrap in parts[0]["wraps"] if wrap["to"] != SENDER])
)


@pytest.mark.parametrize(
    ("reason", "named", "sent", "change"),
    [
        ("missing", RAW, None, {}),
        ("digest", RAW, sealed(), {}),
        ("malformed", None, RAW, {}),
        ("malformed", OTHER, OTHER, {}),
        ("malformed", WHOLE.copy_for(UNIT), WHOLE.copy_for(UNIT), {}),
        ("malformed", OWN_COPY, OWN_COPY, {}),
        ("malformed", WITHOUT_SENDER, WITHOUT_SENDER, {}),
        ("malformed", RAW, RAW, {"type": "referral.accepted"}),
    ],
    ids=[
        "missing",
        "another",
        "unnamed",
        "a part too few",
        "a copy",
        "its own copy",
        "shut to its sender",
        "of a type without letter",
    ],
)
def test_letters_that_do_not_fit(reason: str, named: bytes | None, sent: bytes | None, change: dict[str, Any]) -> None:
    """A letter is missing, exchanged, unnamed, incomplete, of another type, or closed to its own sender."""
    record = encode(event(named, **change), SIGNING)
    error = refused(
        "letter_missing letter_digest_mismatch letter_malformed",
        lambda: decode(with_letter(record, sent) if sent else record).letter(),
    )

    assert isinstance(error, LetterClosed)
    assert error.reason == reason


def test_whoever_seals_reads_too() -> None:
    """Sealing fails without the sender among the readers, and for an unknown part."""
    with pytest.raises(ValueError, match="sender"):
        letter.seal({"coded": {}}, {"coded": [(UNIT, TO[UNIT])]}, **PLACE)
    with pytest.raises(ValueError, match="published"):
        letter.seal({CANARY: {}}, {CANARY: [(SENDER, TO[SENDER])]}, **PLACE)  # type: ignore[dict-item]  # on purpose


@pytest.mark.parametrize(
    "data", [data for data in TYPES.values() if data.letter], ids=lambda data: f"{data.type}-{data.version}"
)
def test_every_letter_fits(data: type[Data]) -> None:
    """All parts of every published letter, empty ones too, fit into one container for ten readers."""
    assert data.letter is not None
    parts = data.letter.part_names()
    empty: dict[Part, dict[str, Any]] = {part: {} for part in parts}
    ten = sorted([(SENDER, TO[SENDER]), *((f"reader-{number}", TO[UNIT]) for number in range(9))])
    raw = letter.seal(empty, dict.fromkeys(parts, ten), **PLACE)

    assert Container.parse(raw).parts == parts
    assert opened(raw, SENDER) == empty


def test_one_letter_has_one_spelling() -> None:
    """Reading and writing gives the same bytes, of a whole letter and of each copy; both are as the wire's page says."""
    assert WHOLE.encoded() == RAW == written(body_of(WHOLE))
    for name in (SENDER, UNIT, SHELTER, "embassy"):
        copy = Container.parse(WHOLE.copy_for(name))
        assert copy.encoded() == WHOLE.copy_for(name) == written(body_of(copy))


def test_what_is_hashed_is_what_travels() -> None:
    """Digests are those of the JSON container of before: they rest on names, keys and ciphertexts, not on the container."""
    frozen = plain.loads((vectors.FOLDER / "letter.json").read_text(encoding="utf-8"))

    assert frozen["sealeddigest"] == "82defe1854243ac50c57dfebb44d060510f40ca4c6e471d784cd5a485de2acc5"
