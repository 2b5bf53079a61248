"""Keys: refused keys, signatures, sealed secrets, and reprs."""

from collections.abc import Callable, Iterator
from hashlib import sha512

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from nrmbus.published import vectors
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SealingKey, SealTo, SigningKey, VerifyKey
from wire.given import refused

P = vectors.P
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    """The sum of two points of Ed25519's curve, in affine coordinates."""
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P)
    return x % P, y % P


def point(encoded: int) -> Point:
    """The point that 32 bytes, read as a number, stand for (RFC 8032 section 5.1.3)."""
    y, sign = encoded & (1 << 255) - 1, encoded >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return (x if x % 2 == sign else -x % P), y


def raw(encoded: int) -> bytes:
    """The 32 bytes of a point."""
    return encoded.to_bytes(32, "little")


def test_the_eight_points_are_all_there_are() -> None:
    """The refused points are exactly the eight points whose eighth multiple is the identity."""
    listed = {
        point(y % (1 << 255) % P | y >> 255 << 255)
        for name, y in vectors.WEAK.items()
        if "order" in name or name == "identity"
    }

    for each in listed:
        twice = add(each, each)
        four = add(twice, twice)
        assert add(four, four) == (0, 1)
    assert len(listed) == 8


def test_the_identity_verifies_everything() -> None:
    """Why it matters: with the identity as key, one signature fits any message."""
    forged = raw(1) + bytes(32)
    Ed25519PublicKey.from_public_bytes(raw(1)).verify(forged, b"any message")

    with pytest.raises(WireError):
        VerifyKey(raw(1))


@pytest.mark.parametrize("name", vectors.WEAK)
def test_weak_keys_are_refused(name: str) -> None:
    """Points of small order, and points that are not written in the one shortest way."""
    refused("weak_key", lambda: VerifyKey(raw(vectors.WEAK[name])))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_keys_of_another_length(size: int) -> None:
    """A public key has 32 bytes, a key to seal to 1,216, a seed 32."""
    refused("weak_key", lambda: VerifyKey(b"\x09" * size))
    refused("weak_key", lambda: SealTo(b"\x09" * size))
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(b"\x09" * size)
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(b"\x09" * size)


@pytest.mark.parametrize(
    "y", [0, 1, P - 1, 325606250916557431795983626356110631294008115727848805560023387167927233504]
)
def test_x25519_of_small_order(y: int) -> None:
    """A half that gives everybody the same secret is no key to seal to."""
    good = SealingKey.generate().public

    refused("weak_key", lambda: SealTo(good[:1184] + raw(y)))


@pytest.mark.parametrize("y", [*range(P, 2**255), 2**255 + 9, 2**256 - 1])
def test_x25519_in_a_second_spelling(y: int) -> None:
    """RFC 7748 reads a u beyond p, and the highest bit either way: one key would have several kids, and be nobody's yet."""
    good = SealingKey.generate().public

    refused("weak_key", lambda: SealTo(good[:1184] + raw(y)))


def test_a_key_that_is_in_use_cannot_be_spelled_otherwise() -> None:
    """Another agency's key with its highest bit set would pass as a new one."""
    good = SealingKey.generate().public

    refused("weak_key", lambda: SealTo(good[:-1] + bytes([good[-1] | 0x80])))


@pytest.mark.parametrize("at", [0, 1, 255, 256, 767])
@pytest.mark.parametrize("coefficient", [3329, 3330, 4095])
def test_mlkem_that_is_no_key(at: int, coefficient: int) -> None:
    """One coefficient from ML-KEM's modulus on is refused (FIPS 203 section 7.2), wherever it stands."""
    good = SealingKey.generate().public
    packed = int.from_bytes(good[:1152], "little")
    packed ^= (packed >> 12 * at & 0xFFF ^ coefficient) << 12 * at

    refused("weak_key", lambda: SealTo(packed.to_bytes(1152, "little") + good[1152:]))
    refused("weak_key", lambda: SealTo(b"\xff" * 1184 + good[1184:]))


@given(st.binary(max_size=50), st.integers(0, 63), st.integers(1, 255))
def test_signatures(message: bytes, at: int, change: int) -> None:
    """A signature verifies, and no other byte string does."""
    key = SigningKey.from_seed(vectors.seed("signing"))
    signature = key.sign(message)
    other = bytearray(signature)
    other[at] ^= change

    key.verify_key.verify(signature, message)
    for wrong in (bytes(other), signature[:-1], b"", signature + b"\0"):
        with pytest.raises(WireError, match="signature_invalid") as caught:
            key.verify_key.verify(wrong, message)
        assert caught.value.__context__ is None


def test_wraps_open_with_their_info_alone() -> None:
    """A sealed secret opens with the same key and info, and with nothing else."""
    key, other = SealingKey.generate(), SealingKey.generate()
    wrapped = key.seal_to.wrap(b"k" * 32, b"info")

    assert key.open(wrapped, b"info") == b"k" * 32
    small_order = wrapped[:1088] + bytes(32) + wrapped[1120:]
    attempts = [(key, wrapped, b"other"), (other, wrapped, b"info")]
    attempts += [(key, cut, b"info") for cut in (wrapped[:-1], wrapped + b"x", b"", small_order)]
    for private, sealed, info in attempts:
        with pytest.raises(LetterClosed) as caught:
            private.open(sealed, info)
        assert caught.value.reason == "key"
        assert caught.value.__context__ is None


def test_keys_show_their_kid_only() -> None:
    """A key in a log line or traceback shows its name and none of its bytes."""
    for key in (SigningKey.generate(), SealingKey.generate()):
        for shown in (key, key.verify_key if isinstance(key, SigningKey) else key.seal_to):
            assert repr(shown) == str(shown) == f"{type(shown).__name__}({shown.kid})"
            assert key.seed.hex() not in repr(shown)


def test_a_seed_is_the_key() -> None:
    """A key at rest is its seed; from it come the same public key and the same name again."""
    for kind in (SigningKey, SealingKey):
        key = kind.generate()

        assert (kind.from_seed(key.seed).public, kind.from_seed(key.seed).kid) == (key.public, key.kid)
        assert kind.generate().seed != key.seed


def test_xwing_as_its_authors_have_it() -> None:
    """The first key of draft-connolly-cfrg-xwing-kem's vectors: from its seed comes its public key."""
    key = SealingKey.from_seed(bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"))

    assert key.public.hex().startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5b19cfc3d")
    assert len(key.public) == 1216


class TestTwoLibrariesOneVerdict:
    """libsodium is asked first and OpenSSL has the last word: the verdict is OpenSSL's, on every signature."""

    ORDER = 2**252 + 27742317777372353535851937790883648493
    BASE = point(4 * pow(5, -1, P) % P)
    EIGHTH = point(0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7)
    SECRET, NONCE = 3**150, 7**80

    @staticmethod
    def times(number: int, of: Point) -> Point:
        """*of* added to itself."""
        found = (0, 1)
        while number:
            if number & 1:
                found = add(found, of)
            of, number = add(of, of), number >> 1
        return found

    @staticmethod
    def written(of: Point) -> bytes:
        """The 32 bytes of a point (RFC 8032 section 5.1.2)."""
        return raw(of[1] | (of[0] & 1) << 255)

    def signed(self, key: bytes, commitment: bytes, message: bytes, nonce: int = NONCE) -> bytes:
        """Return a signature with any *commitment* as its R."""
        challenge = int.from_bytes(sha512(commitment + key + message).digest(), "little")
        return commitment + raw((nonce + challenge * self.SECRET) % self.ORDER)

    def odd_ones(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Key, signature, message: on which implementations of Ed25519 are known to differ."""
        public, commitment = self.times(self.SECRET, self.BASE), self.times(self.NONCE, self.BASE)
        key, plain = self.written(public), self.written(commitment)
        for number in range(8):
            message, twisted = bytes([number]), self.times(number, self.EIGHTH)
            signature = self.signed(key, plain, message)
            beyond = raw(int.from_bytes(signature[32:], "little") + self.ORDER)
            mixed = self.written(add(public, twisted))
            small = self.written(twisted)
            yield key, signature, message
            yield key, signature[:32] + beyond, message
            yield key, self.signed(key, self.written(add(commitment, twisted)), message), message
            yield key, self.signed(key, small, message, 0), message
            for more in range(16):  # the challenge is a multiple of eight for some of them, of four or two for others
                yield mixed, self.signed(mixed, plain, bytes([number, more])), bytes([number, more])
                far = self.written(add(commitment, self.times(more % 8, self.EIGHTH)))
                yield mixed, self.signed(mixed, far, bytes([number, more])), bytes([number, more])
        yield key, self.signed(key, raw(P + 1), b"", 0), b""

    def test_on_what_implementations_differ_about(self) -> None:
        """OpenSSL accepts every signature that libsodium accepts, and a signature that only OpenSSL accepts is accepted: R of small order."""
        seen = set()
        for key, signature, message in self.odd_ones():
            first, last, ours = (
                _accepts(crypto_sign_open, signature + message, key),
                _accepts(Ed25519PublicKey.from_public_bytes(key).verify, signature, message),
                _accepts(VerifyKey(key).verify, signature, message),
            )
            assert ours == last
            seen.add((first, last))

        assert seen == {(True, True), (False, True), (False, False)}

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_a_signature_has_64_bytes(self, size: int) -> None:
        """The border between signature and message is not for the message to move."""
        key = SigningKey.generate()
        whole = key.sign(b"message") + b"message"

        refused("signature_invalid", lambda: key.verify_key.verify(whole[:size], whole[size:]))

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
    def test_signs_as_the_other_does(self, seed: bytes, message: bytes) -> None:
        """RFC 8032 leaves no choice: the same key and message give the same 64 bytes."""
        other = Ed25519PrivateKey.from_private_bytes(seed)

        assert SigningKey(seed).sign(message) == other.sign(message)
        assert SigningKey(seed).public == other.public_key().public_bytes_raw()


def _accepts(verify: Callable[[bytes, bytes], object], one: bytes, other: bytes) -> bool:
    try:
        verify(one, other)
    except (BadSignatureError, InvalidSignature, WireError):
        return False
    return True
