"""Authority of one desk's door: it certifies that door and nothing else, for an agency without a certificate of its own.

The bus's authority never certifies a door. Clients of the broker trust every host name under that authority, so an agency
with such a certificate could stand in for the broker.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nrmbus.bus.pki.building import begun, general_name, usage, written
from nrmbus.bus.pki.certificate import opened
from nrmbus.bus.private_files import write_private
from nrmbus.wire.keys import keyfile

LIFE: Final = timedelta(days=30)
"""Lifetime of a door's certificate; its key is only in the memory of the desk, which makes both anew."""
RENEWED_BEFORE: Final = timedelta(days=10)
_LIFE_OF_CA: Final = timedelta(days=3650)
_PEM: Final = serialization.Encoding.PEM


class Certified(NamedTuple):
    """A door's certificate with its authority's, and its private key; both PEM."""

    chain: bytes
    key: bytes
    begins: datetime
    """Time before which it is not valid."""
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
            keyfile.write(self._key_file, written(made))
            own = begun(self._name, self._name, made.public_key(), _LIFE_OF_CA, made.public_key()).add_extension(
                x509.BasicConstraints(ca=True, path_length=0), critical=True
            )
            signed = own.add_extension(usage(signs=True), critical=True).sign(made, hashes.SHA256())
            write_private(self.ca, signed.public_bytes(_PEM))

    def issue(self, names: tuple[str, ...]) -> Certified:
        """Certify a new key for *names*, host names and addresses.

        Raises:
            KeysSealed: nothing given opens the authority's key, or its file is damaged, or holds a key of another kind.
        """
        own = opened(self._key_file)
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            begun(_named(names[0]), self._name, key.public_key(), LIFE, own.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(general_name, names)), critical=False)
            .sign(own, hashes.SHA256())
        )
        due = made.not_valid_after_utc - RENEWED_BEFORE
        chain = made.public_bytes(_PEM) + self.ca.read_bytes()
        return Certified(chain, written(key), made.not_valid_before_utc, due)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
