"""Holder's side of a certificate: the key, which never leaves the folder, the request, and the issued certificate."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nrmbus.bus.errors import KeyElsewhere, KeysSealed
from nrmbus.bus.private_files import locked_folder, write_private
from nrmbus.bus.reach import Tls
from nrmbus.wire.keys import keyfile

LIFE: Final = timedelta(days=30)
"""Lifetime of a certificate."""
RENEWED_BEFORE: Final = timedelta(days=10)
"""Time before the end at which a certificate is renewed: a holder that was off for a week still has a valid one."""


def request(tls: Tls, *, anew: bool = False, present: bool = False) -> bytes:
    """Return a certificate request (PKCS #10, PEM), signed by the key; the key is made on first use, or with *anew*.

    A new key waits beside the present one until `keep` stores a certificate over the new key: the holder still has to reach
    the broker until then, and perhaps nobody answers the request. A later request is over the key that
    waits, if that opens, or with *present* over the one in use. The request names nobody: the authority writes the name. The
    key is sealed as this process holds it (`keyfile.hold`).

    Raises:
        KeysSealed: nothing given opens the key in use, or its file is damaged, or holds a key of another kind.
    """
    with locked_folder(tls.folder):  # of two who make the key at once, one would name a key that the other has replaced
        _use_next_key(tls)
        path = tls.next_key if (not present and waits(tls)) or (anew and tls.key.exists()) else tls.key
        if anew or not path.exists():
            fresh = ec.generate_private_key(ec.SECP256R1())
            keyfile.write(
                path,
                fresh.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                ),
            )
        key = opened(path)
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def opened(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private key in the file *path*, a holder's or an authority's.

    Raises:
        KeysSealed: nothing given opens the key, or its file is damaged, or holds a key of another kind.
    """
    key = None
    try:
        # UnsupportedAlgorithm: the damage made another algorithm or curve of it. TypeError: PEM under a passphrase of its own.
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            key = serialization.load_pem_private_key(keyfile.read(path), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise keyfile.KeyFileError("key_malformed")
    except keyfile.KeyFileError as error:
        raise KeysSealed(str(error)) from None
    return key


def keep(tls: Tls, certificate: bytes, ca: bytes) -> None:
    """Store the issued *certificate* and the *ca* that certifies the broker; both PEM. A next key takes its place with it.

    Raises:
        KeyElsewhere: it is over neither key; the present certificate stays.
        KeysSealed: as `request`, if it is over neither key that opens.
    """
    over = x509.load_pem_x509_certificate(certificate).public_key()
    with locked_folder(tls.folder):
        held = _over(tls, over)
        write_private(tls.ca, ca)
        write_private(tls.certificate, certificate)
        if held == tls.next_key:
            held.replace(tls.key)


def _over(tls: Tls, public: object) -> Path:
    """Return the file of the private key of *public*. Raise KeyElsewhere or KeysSealed as `keep`."""
    sealed = None
    for each in (tls.key, tls.next_key):
        try:
            if each.exists() and opened(each).public_key() == public:
                return each
        except KeysSealed as error:  # a damaged key may be the reason why the certificate over the other was asked for
            sealed = error
    raise sealed or KeyElsewhere


def _use_next_key(tls: Tls) -> None:
    """Have the next key take its place if the stored certificate is over it: an earlier `keep` may have been cut before."""
    if _is_over_next_key(tls):
        tls.next_key.replace(tls.key)


def _is_over_next_key(tls: Tls) -> bool:
    waiting = _waiting(tls)
    if waiting is None or ends(tls) is None:
        return False
    return x509.load_pem_x509_certificate(tls.certificate.read_bytes()).public_key() == waiting.public_key()


def waits(tls: Tls) -> bool:
    """Return whether a next key waits that can be used."""
    return _waiting(tls) is not None


def _waiting(tls: Tls) -> ec.EllipticCurvePrivateKey | None:
    # A next key that cannot be opened is nobody's loss: the present one works, and another request makes another.
    with suppress(KeysSealed):
        return opened(tls.next_key) if tls.next_key.exists() else None
    return None


def is_due(tls: Tls, at: datetime) -> bool:
    """Return whether the certificate is missing, or ends within ten days, or within the last third of a shorter life.

    A certificate is due as well if `keep` was cut before the key of the certificate took its place, and if it is not valid
    yet: the clock was ahead when it was issued.
    """
    end = ends(tls)
    if end is None or _is_over_next_key(tls):
        return True
    begins = x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_before_utc
    return at < begins or at >= end - min(RENEWED_BEFORE, (end - begins) / 3)


def ends(tls: Tls) -> datetime | None:
    """Return when the certificate ends, or None without a certificate."""
    try:
        return x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc
    except (FileNotFoundError, ValueError, x509.InvalidVersion):
        return None


def names(tls: Tls) -> frozenset[str]:
    """Return the hosts that the certificate names, names and addresses; none without a certificate."""
    try:
        found = x509.load_pem_x509_certificate(tls.certificate.read_bytes()).extensions
        hosts = found.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, x509.InvalidVersion, x509.ExtensionNotFound):
        return frozenset()
    return frozenset(str(each.value) for each in hosts)


def now() -> datetime:
    """Return the wall clock's time, by which certificates live, also on a bus for playing."""
    return datetime.now(UTC)
