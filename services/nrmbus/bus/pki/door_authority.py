"""Authority of one desk's door: it certifies that door and nothing else, for an agency without a certificate of its own.

The bus's authority never certifies a door. Clients of the broker trust every host name under that authority, so an agency
with such a certificate could stand in for the broker.
"""

from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.pki.certificate import now
from nrmbus.bus.private_files import write_private
from nrmbus.wire.keys import keyfile

LIFE: Final = timedelta(days=30)
"""Lifetime of a door's certificate; its key is only in the memory of the desk, which makes both anew."""
RENEWED_BEFORE: Final = timedelta(days=10)
_LIFE_OF_CA: Final = timedelta(days=3650)
_SKEW: Final = timedelta(minutes=5)
_PEM: Final = serialization.Encoding.PEM


class Certified(NamedTuple):
    """A door's certificate with its authority's, and its private key; both PEM."""

    chain: bytes
    key: bytes
    due: datetime
    """When another one is due."""


class DoorAuthority:
    """The authority in *home*: ``key.pem``, sealed as other keys are, and ``ca.pem``, which systems that call the door trust."""

    def __init__(self, home: Path, name: str) -> None:
        """Make the authority if there is none yet; *name* says whose it is."""
        self._key_file, self.ca = home / "key.pem", home / "ca.pem"
        self._name = _named(name)
        if not (self._key_file.exists() and self.ca.exists()):
            made = ec.generate_private_key(ec.SECP256R1())
            keyfile.write(self._key_file, _written(made))
            own = _builder(self._name, self._name, made, _LIFE_OF_CA, made).add_extension(
                x509.BasicConstraints(ca=True, path_length=0), critical=True
            )
            signed = own.add_extension(_usage(signs=True), critical=True).sign(made, hashes.SHA256())
            write_private(self.ca, signed.public_bytes(_PEM))

    def issue(self, names: tuple[str, ...]) -> Certified:
        """Certify a new key for *names*, host names and addresses.

        Raises:
            KeysSealed: nothing given opens the authority's key.
        """
        try:
            own = serialization.load_pem_private_key(keyfile.read(self._key_file), None)
        except keyfile.KeyFileError as error:
            raise KeysSealed(str(error)) from None
        assert isinstance(own, ec.EllipticCurvePrivateKey)  # noqa: S101 - for mypy: it was made above
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(_named(names[0]), self._name, key, LIFE, own)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(general_name, names)), critical=False)
            .sign(own, hashes.SHA256())
        )
        due = made.not_valid_after_utc - RENEWED_BEFORE
        return Certified(made.public_bytes(_PEM) + self.ca.read_bytes(), _written(key), due)


def general_name(host: str) -> x509.GeneralName:
    """Return *host* as a certificate names it: an address, or else a name."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    life: timedelta,
    by: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    at = now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _SKEW)
        .not_valid_after(at + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _written(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
