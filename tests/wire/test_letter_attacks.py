"""Attacks on letters: what is moved, altered, sealed twice or malformed stays shut, and says nothing."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import bounded
from nrmbus.published import vectors
from nrmbus.wire import letter
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container
from wire.given import CANARY, KEYS, PLACE, RAW, SENDER, SHELTER, TO, UNIT, WHOLE, edited, opened, refused


@pytest.mark.parametrize(
    "place",
    [
        {"bus": "play-ffffffffffffffff"},
        {"source": UNIT},
        {"id": vectors.EARLIER_ID},
        {"subject": "f" * 32},
    ],
    ids=lambda place: next(iter(place)),
)
def test_a_letter_belongs_to_its_event(place: dict[str, str]) -> None:
    """A letter that is moved to another event, case, sender or bus does not open, for nobody."""
    for name in (UNIT, SHELTER):
        error = refused("key_not_current", partial(opened, RAW, name, **place))
        assert isinstance(error, LetterClosed)
        assert error.reason == "key"


def test_a_part_belongs_to_its_place() -> None:
    """Content and keys of one part under another part's name do not open: an interview cannot pass as coded facts."""

    def renamed(parts: list[dict[str, Any]]) -> None:
        parts[:] = [{**parts[-1], "name": "coded"}]

    assert WHOLE.parts[-1] == "story"
    refused("key_not_current", lambda: opened(edited(renamed), UNIT))


def test_content_alone_belongs_to_its_place() -> None:
    """Also without the wraps: content sealed for one part is not content of another, under the same key."""
    part = next(part for part in WHOLE.sealed if isinstance(part, letter.Sealed) and part.name == "story")
    wrap = part.wrap_for(UNIT)
    assert wrap is not None
    place = letter.Place(**PLACE)
    secret = KEYS[UNIT].open(wrap.w, place.info("story", UNIT, wrap.kid))
    moved = TO[UNIT].wrap(secret, place.info("coded", UNIT, wrap.kid))
    as_coded = letter.Sealed("coded", part.iv, part.ct, part.commit, (letter.Wrap(UNIT, wrap.kid, moved),))

    with pytest.raises(LetterClosed) as caught:
        as_coded.open(KEYS[UNIT], letter.Wrap(UNIT, wrap.kid, moved), place)
    assert caught.value.reason == "key"


def test_a_wrap_belongs_to_its_reader() -> None:
    """A wrap given to another reader, or under another key's name, does not open."""

    def given_away(parts: list[dict[str, Any]]) -> None:
        mine = next(wrap for wrap in parts[0]["wraps"] if wrap["to"] == UNIT)
        parts[0]["wraps"] = [{**mine, "to": SHELTER}]

    def renamed(parts: list[dict[str, Any]]) -> None:
        mine = next(wrap for wrap in parts[0]["wraps"] if wrap["to"] == UNIT)
        parts[0]["wraps"] = [{**mine, "kid": KEYS[SHELTER].kid}]

    raw = edited(given_away)
    refused("key_not_current", lambda: opened(raw, SHELTER))
    refused("key_not_current", lambda: Container.parse(raw).open(SHELTER, KEYS[UNIT], **PLACE))
    refused("key_not_current", lambda: opened(edited(renamed), UNIT))


def test_a_retired_key() -> None:
    """Letters sealed to an earlier key open as long as the desk keeps it."""
    old, new = KEYS[UNIT], SealingKey.generate()

    assert WHOLE.open(UNIT, {new.kid: new, old.kid: old}, **PLACE) == opened(RAW, UNIT)
    with pytest.raises(LetterClosed) as caught:
        WHOLE.open(UNIT, {new.kid: new}, **PLACE)
    assert caught.value.reason == "key"


# Two keys for one ciphertext. GHASH is linear in each block over GF(2^128), so one free block makes a tag fit twice.


def times(a: int, b: int) -> int:
    """The product in GCM's field (NIST SP 800-38D section 6.3), bits as the standard counts them."""
    product = 0
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (0xE1 << 120 if b & 1 else 0)
    return product


def power(a: int, exponent: int) -> int:
    """*a* multiplied with itself."""
    product = 1 << 127
    while exponent:
        product = times(product, a) if exponent & 1 else product
        a, exponent = times(a, a), exponent >> 1
    return product


def block(key: bytes, raw: bytes) -> int:
    """AES of one block, got from GCM's own counter mode: the library offers no bare AES block otherwise."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - for the attack alone

    return int.from_bytes(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(raw))  # noqa: S305


def ghash(h: int, blocks: list[int]) -> int:
    """GHASH of *blocks*."""
    state = 0
    for each in blocks:
        state = times(state ^ each, h)
    return state


def two_faced(keys: tuple[bytes, bytes], iv: bytes, aad: bytes, size: int) -> bytes:
    """A ciphertext with tag that AES-GCM opens under both *keys*."""
    hs = [block(key, bytes(16)) for key in keys]
    masks = [block(key, iv + b"\0\0\0\1") for key in keys]
    padded = aad.ljust(-(-len(aad) // 16) * 16, b"\0")
    before = [int.from_bytes(padded[at : at + 16]) for at in range(0, len(padded), 16)]
    body = [int.from_bytes(os.urandom(16)) for _ in range(size // 16 - 1)]
    last = len(aad) * 8 << 64 | size * 8
    differ = ghash(hs[0], [*before, *body, 0, last]) ^ ghash(hs[1], [*before, *body, 0, last]) ^ masks[0] ^ masks[1]
    # The free block counts times H squared: it stands before the block of lengths.
    free = times(differ, power(power(hs[0], 2) ^ power(hs[1], 2), 2**128 - 2))
    tag = ghash(hs[0], [*before, *body, free, last]) ^ masks[0]
    return b"".join(each.to_bytes(16) for each in [*body, free, tag])


class NeverOpened:
    """Content that must not be opened."""

    def __init__(self, _key: bytes) -> None:
        """Take any key."""

    def decrypt(self, *_: object) -> bytes:
        """Fail the test."""
        raise AssertionError("the content was opened before its key was compared with the commitment")


def test_one_ciphertext_tells_no_two_stories(monkeypatch: pytest.MonkeyPatch) -> None:
    """AES-GCM alone opens one ciphertext to two stories under two keys; the commitment lets one key pass, before opening."""
    keys, iv, place = (os.urandom(32), os.urandom(32)), os.urandom(12), letter.Place(**PLACE)
    ct = two_faced(keys, iv, place.aad("story"), 1024)
    stories = [AESGCM(key).decrypt(iv, ct, place.aad("story")) for key in keys]
    assert stories[0] != stories[1]
    wraps = [
        letter.Wrap(UNIT, KEYS[UNIT].kid, TO[UNIT].wrap(key, place.info("story", UNIT, KEYS[UNIT].kid))) for key in keys
    ]
    monkeypatch.setattr(letter, "AESGCM", NeverOpened)

    part = letter.Sealed("story", iv, ct, letter.commitment(keys[0]), (wraps[0],))
    with pytest.raises(LetterClosed) as caught:
        part.open(KEYS[UNIT], wraps[1], place)
    assert caught.value.reason == "malformed"
    with pytest.raises(AssertionError, match="before its key"):
        part.open(KEYS[UNIT], wraps[0], place)


def resealed(plaintext: bytes) -> bytes:
    """Return a letter whose sender sealed any *plaintext*."""
    key, iv, place = os.urandom(32), os.urandom(12), letter.Place(**PLACE)
    ct = AESGCM(key).encrypt(iv, plaintext, place.aad("coded"))
    wraps = tuple(
        letter.Wrap(name, TO[name].kid, TO[name].wrap(key, place.info("coded", name, TO[name].kid)))
        for name in (SENDER, UNIT)
    )
    return Container((letter.Sealed("coded", iv, ct, letter.commitment(key), wraps),)).encoded()


@pytest.mark.parametrize(
    "plaintext",
    [
        bytes(1024),
        letter.padded(b"[]"),
        letter.padded(CANARY.encode()),
        letter.padded(b'{"a":"%b","a":1}' % CANARY.encode()),
        letter.padded(b'{"%b":null}' % CANARY.encode()),
        letter.padded(b"{}")[:-1] + b"x",
        CANARY.encode().ljust(1024, b"x"),
    ],
    ids=range(7),
)
def test_a_sender_who_seals_nonsense(plaintext: bytes) -> None:
    """A part that opens to no JSON of this bus is malformed, and none of its content shows."""
    error = refused("letter_malformed", lambda: opened(resealed(plaintext), UNIT))

    assert isinstance(error, LetterClosed)
    assert error.reason == "malformed"


def test_a_sender_who_wraps_a_short_key() -> None:
    """A content key of another length is refused before it is used."""
    place = letter.Place(**PLACE)
    info = place.info("coded", UNIT, TO[UNIT].kid)
    wrap = letter.Wrap(UNIT, TO[UNIT].kid, TO[UNIT].wrap(b"k" * 16, info))
    part = letter.Sealed("coded", bytes(12), bytes(1040), letter.commitment(b"k" * 16), (wrap,))

    refused("letter_malformed", lambda: part.open(KEYS[UNIT], wrap, place))


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts.clear(),
        lambda parts: parts.extend(parts[:] + parts[:]),
        lambda parts: parts.reverse(),
        lambda parts: parts.append(parts[-1]),
        lambda parts: parts.insert(0, {"digest": b""}),
        lambda parts: parts.insert(0, {"digest": bytes(31)}),
        lambda parts: parts.insert(0, {"digest": bytes(33)}),
        lambda parts: parts[0].update(name=CANARY),
        lambda parts: parts[0].update(name=""),
        lambda parts: parts[0].update(name="ə"),
        lambda parts: parts[0].update(kind=2),
        lambda parts: parts[0].update(kind=255),
        lambda parts: parts[0].update(commit=bytes(31)),
        lambda parts: parts[0].update(iv=bytes(11)),
        lambda parts: parts[0].update(iv=bytes(13)),
        lambda parts: parts[0].update(ct=bytes(1041)),
        lambda parts: parts[0].update(ct=b""),
        lambda parts: parts[0].update(size=1039),
        lambda parts: parts[0].update(size=4112),
        lambda parts: parts[0].update(size=2**32 - 1),
        lambda parts: parts[0].update(wraps=[]),
        lambda parts: parts[0].update(count=0),
        lambda parts: parts[0].update(count=255),
        lambda parts: parts[0].update(count=len(parts[0]["wraps"]) - 1),
        lambda parts: parts[0].update(count=len(parts[0]["wraps"]) + 1),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"][::-1]),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"][:1] * 2),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"] * 40),
        lambda parts: parts[0].update(wraps=[{"digest": bytes(32)}] * 65),
        lambda parts: parts[0]["wraps"].insert(0, {"digest": CANARY.encode()}),
        lambda parts: parts[0]["wraps"][0].update(kind=2),
        lambda parts: parts[0]["wraps"][0].update(to=CANARY + " "),
        lambda parts: parts[0]["wraps"][0].update(to=b"\xff\xfe"),
        lambda parts: parts[0]["wraps"][0].update(to=""),
        lambda parts: parts[0]["wraps"][0].update(kid=CANARY),
        lambda parts: parts[0]["wraps"][0].update(kid=parts[0]["wraps"][0]["kid"].upper()),
        lambda parts: parts[0]["wraps"][0].update(w=bytes(1167)),
        lambda parts: parts[0]["wraps"][0].update(w=bytes(1169)),
    ],
    ids=range(38),
)
def test_malformed(change: Callable[[list[dict[str, Any]]], object]) -> None:
    """A container has one form: sorted parts and readers, fixed lengths, sizes that are true."""
    assert isinstance(refused("letter_malformed", lambda: Container.parse(edited(change))), LetterClosed)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("letter_malformed", b""),
        ("letter_malformed", b"nrl1"),
        ("letter_malformed", b"nrl1nrm1"),
        ("letter_malformed", b"nrl1nrm1\0"),
        ("letter_malformed", b"nrl1nrm1\1"),
        ("letter_malformed", b"nrl1nrm1\x08" + bytes(33 * 8)),
        ("letter_malformed", b"nrl2" + RAW[4:]),
        ("letter_malformed", RAW[:-1]),
        ("letter_malformed", RAW + b"\n"),
        ("letter_malformed", RAW[4:]),
        ("letter_malformed", b'{"parts":[],"suite":"nrm1"}'),
        ("letter_malformed", b'{"parts":' + b"[" * 100_000),
        ("letter_malformed", b"nrl1nrm1\7" + b"\1\xff\xff" * 80_000),
        ("suite_unknown", b"nrl1nrm2" + RAW[8:]),
        ("suite_unknown", b"nrl1" + CANARY.encode()),
        ("letter_too_large", b"nrl1nrm1\1" + bytes(240 * 1024)),
    ],
    ids=range(16),
)
def test_no_container(code: str, raw: bytes) -> None:
    """No container at all, one in JSON, and an unknown suite are refused at once."""
    with bounded():
        refused(code, lambda: Container.parse(raw))


def test_a_letter_of_digests_alone_is_a_copy() -> None:
    """Who reads no part gets digests; so many parts are as many as the language has, and open for nobody."""
    copy = Container.parse(b"nrl1nrm1\7" + (b"\0" + bytes(32)) * 7)

    assert (copy.parts, copy.whole, len(copy.sealed)) == ((), False, 7)
    assert copy.open(UNIT, KEYS[UNIT], **PLACE) == {}


BYTES = st.binary(max_size=40) | st.sampled_from([bytes(32), bytes(1168), bytes(1040), CANARY.encode()])


@given(
    st.integers(0, 4),
    st.sampled_from(["name", "iv", "ct", "commit"]) | st.sampled_from(["to", "kid", "w"]),
    BYTES,
)
def test_hostile_containers(at: int, member: str, value: bytes) -> None:
    """Any bytes in any place of a container are refused, or are another letter than was signed."""

    def put(parts: list[dict[str, Any]]) -> None:
        (parts[at] if member in parts[at] else parts[at]["wraps"][0])[member] = value

    raw = edited(put)
    try:
        container = Container.parse(raw)
    except WireError as error:
        assert error.__context__ is None  # noqa: PT017 - either answer is right here
    else:
        assert container.digest != WHOLE.digest or raw == RAW


@given(
    st.binary(max_size=300).map(lambda rest: b"nrl1nrm1" + rest)
    | st.integers(0, len(RAW) - 1).map(lambda cut: RAW[:cut])
)
def test_random_containers(raw: bytes) -> None:
    """Random bytes behind the right beginning, and a letter that is cut anywhere, are refused without a trace."""
    try:
        container = Container.parse(raw)
    except WireError as error:
        assert error.__context__ is None  # noqa: PT017 - either answer is right here
        assert error.code in {"letter_malformed", "suite_unknown"}  # noqa: PT017 - the same
    else:
        assert container.encoded() == raw
        assert container.digest != WHOLE.digest


@given(st.integers(0, len(RAW) - 1), st.integers(1, 127))
@settings(max_examples=150, deadline=None)
def test_one_byte_of_a_letter(at: int, change: int) -> None:
    """A letter with any byte altered is refused, or has another digest than was signed."""
    raw = bytearray(RAW)
    raw[at] ^= change
    try:
        container = Container.parse(bytes(raw))
    except WireError as error:
        assert CANARY not in repr(error)  # noqa: PT017 - either answer is right here
    else:
        assert container.digest != WHOLE.digest
