"""Attacks on letters: what is moved, altered, sealed twice or malformed stays shut, and says nothing."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from nrmbus.published import vectors
from nrmbus.wire import base64, letter
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container
from wire.given import BODY, CANARY, KEYS, PLACE, RAW, SENDER, SHELTER, TO, UNIT, WHOLE, edited, opened, refused


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

    assert BODY["parts"][-1]["name"] == "story"
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
    return Container((letter.Sealed("coded", iv, ct, letter.commitment(key), wraps),)).json()


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
        lambda parts: parts.insert(0, CANARY),
        lambda parts: parts.insert(0, {"digest": CANARY}),
        lambda parts: parts.insert(0, {"digest": "A" * 64}),
        lambda parts: parts.insert(0, {"digest": "a" * 64, "more": CANARY}),
        lambda parts: parts[0].update(more=CANARY),
        lambda parts: parts[0].update(name=CANARY),
        lambda parts: parts[0].update(name=[CANARY]),
        lambda parts: parts[0].pop("commit"),
        lambda parts: parts[0].update(commit=parts[0]["commit"].upper()),
        lambda parts: parts[0].update(iv=base64.encode(bytes(11))),
        lambda parts: parts[0].update(iv=CANARY),
        lambda parts: parts[0].update(ct=base64.encode(bytes(1041))),
        lambda parts: parts[0].update(ct=base64.encode(b"")),
        lambda parts: parts[0].update(wraps=[]),
        lambda parts: parts[0].update(wraps={}),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"][::-1]),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"][:1] * 2),
        lambda parts: parts[0].update(wraps=parts[0]["wraps"] * 40),
        lambda parts: parts[0]["wraps"].insert(0, CANARY),
        lambda parts: parts[0]["wraps"][0].update(to=CANARY + " "),
        lambda parts: parts[0]["wraps"][0].update(kid=CANARY),
        lambda parts: parts[0]["wraps"][0].update(w=base64.encode(bytes(1167))),
        lambda parts: parts[0]["wraps"][0].update(w=parts[0]["wraps"][0]["w"] + "\n"),
        lambda parts: parts[0]["wraps"][0].update(more=CANARY),
    ],
    ids=range(28),
)
def test_malformed(change: Callable[[list[dict[str, Any]]], object]) -> None:
    """A container has one form: closed and sorted members, fixed lengths, base64 in one spelling."""
    assert isinstance(refused("letter_malformed", lambda: Container.parse(edited(change))), LetterClosed)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("letter_malformed", b""),
        ("letter_malformed", b"[]"),
        ("letter_malformed", b'{"parts":[]}'),
        ("letter_malformed", b'{"parts":[],"suite":"nrm1"}'),
        ("letter_malformed", b'{"parts":{},"suite":"nrm1"}'),
        ("letter_malformed", b'{"parts":[],"suite":"nrm1","more":"%b"}' % CANARY.encode()),
        ("letter_malformed", RAW[:-1]),
        ("letter_malformed", RAW + b"\n"),
        ("letter_malformed", "{ə}".encode()),
        ("letter_malformed", b'{"parts":' + b"[" * 100_000),
        ("suite_unknown", b'{"parts":[],"suite":"%b"}' % CANARY.encode()),
        ("suite_unknown", b'{"parts":[],"suite":["nrm1"]}'),
    ],
    ids=range(12),
)
def test_no_container(code: str, raw: bytes) -> None:
    """No container at all, and an unknown suite, are refused."""
    refused(code, lambda: Container.parse(raw))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("AAAA"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["to", "kid", "w", "digest", "name"]), inner)
    ),
    max_leaves=5,
)


@given(
    st.integers(0, 4),
    st.sampled_from(["name", "iv", "ct", "commit", "wraps", "more"]),
    JSON,
    st.sampled_from(["a part", "a wrap"]),
)
def test_hostile_containers(at: int, member: str, value: Any, of: str) -> None:
    """Any JSON in any place of a container is refused, or is another letter than was signed."""

    def put(parts: list[dict[str, Any]]) -> None:
        if of == "a wrap":
            parts[at]["wraps"][0][{"iv": "to", "ct": "kid", "commit": "w"}.get(member, "digest")] = value
        else:
            parts[at][member] = value

    raw = edited(put)
    try:
        container = Container.parse(raw)
    except WireError as error:
        assert error.__context__ is None  # noqa: PT017 - either answer is right here
    else:
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
