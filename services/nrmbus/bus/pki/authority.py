"""The bus's own certificate authority, and its register of all certificates that were ever issued.

A certificate's subject is ``CN=<id>,OU=<n>,OU=<bus>,O=nrmbus``: *n* counts the certificates of that id. To the broker the
holder is ``User:<id>.<n>``, so rights belong to one certificate: an ended or stolen certificate has no rights, not even on
connections that were opened before. The authority's key lies beside the operator's.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nrmbus.bus.errors import NotCertified
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.building import begun, general_name, usage, written
from nrmbus.bus.pki.certificate import LIFE, now
from nrmbus.bus.private_files import locked, write_json, write_private
from nrmbus.bus.reach import Tls, parts
from nrmbus.wire.ids import AGENCY_ID, RESERVED_NAMES
from nrmbus.wire.keys import keyfile

BROKER: Final = "broker"
OPERATOR: Final = "operator"
OF_THE_OPERATOR: Final = frozenset({BROKER, OPERATOR})
"""Ids that may do anything at the broker. Their keys lie beside the authority's own, and their names carry no count."""
RESERVED: Final = RESERVED_NAMES | {"anonymous", "everybody", "user"}
"""Names that no agency may have: parts of the bus, and words with a meaning for Kafka or in ``deploy/topics``."""
_CA_LIFE: Final = timedelta(days=3650)
_LARGEST_REQUEST: Final = 8 * 1024
_ONE_BLOCK: Final = re.compile(
    rb"\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END (?:NEW )?CERTIFICATE REQUEST-----\s*"
)
_WRITTEN: Final = "%Y-%m-%dT%H:%M:%SZ"


def principal(who: str, count: int) -> str:
    """Return the broker's name for the holder of certificate number *count* of *who*."""
    return who if who in OF_THE_OPERATOR else f"{who}.{count}"


class Authority:
    """The authority of the bus in *folder*; its key is made on first use. Several processes may use it at the same time."""

    def __init__(self, folder: BusFolder) -> None:
        self._bus = folder.settings.bus
        self._home = folder.keys / "authority"
        self._register = self._home / "issued.json"
        self._restored = self._home / "restored"
        self._folder = folder

    # -- what it certifies -------------------------------------------------------------------------------------------

    @property
    def ca(self) -> bytes:
        """The authority's own certificate, PEM."""
        with self._held():
            self._key()
        return (self._home / "cert.pem").read_bytes()

    @property
    def path(self) -> Path:
        """The file of the authority's own certificate."""
        self.ca  # noqa: B018 - made on first use
        return self._home / "cert.pem"

    @property
    def brokers_ca(self) -> bytes:
        """The certificate of the broker's authority, PEM: this authority's own, unless the cluster is foreign."""
        other = self._home / "broker-ca.pem"
        return other.read_bytes() if other.exists() else self.ca

    def trust_brokers_of(self, ca: bytes) -> None:
        """Make every client of the bus trust brokers that *ca* (PEM) certified, for a foreign cluster.

        Raises:
            NotCertified: this is no certificate.
        """
        try:
            x509.load_pem_x509_certificates(ca)
        except (ValueError, x509.InvalidVersion):
            raise NotCertified("not_readable") from None
        write_private(self._home / "broker-ca.pem", ca)

    def issue(
        self,
        who: str,
        request: bytes,
        *,
        life: timedelta = LIFE,
        host: str | None = None,
        gave: str | None = None,
    ) -> bytes:
        """Issue a certificate for *who*, an agency or a service, over the key of *request* (PKCS #10, PEM); return PEM.

        The name in the request is ignored. The certificate gives no right before `gate.apply`. *host* is the standby
        host that has the key, so that its certificates can be revoked together (`revoke_host`). *gave* is the kid of the
        service's signing key that the host gets with it; a renewed certificate has that of the one before.

        Raises:
            NotCertified: ``reserved``; ``not_readable``; ``weak_key`` (another kind of key than P-256, or not signed by
                it); ``key_in_use`` (the key is, or was, another's).
        """
        if AGENCY_ID.fullmatch(who) is None or who in RESERVED:
            raise NotCertified("reserved")
        return self._certify(who, _key_of(request), life, host, gave)

    def equip(self, who: str, home: Path, *, life: timedelta = LIFE) -> bool:
        """Make sure that *who* has a valid certificate in *home*/tls on this machine; return whether a new one was issued.

        Raises:
            NotCertified: *who* is reserved.
        """
        tls = Tls(home)
        if not self.is_due(who, home) and tls.key.exists():
            return False
        request = certificate.request(tls)
        # Before anything is issued: a folder that cannot be written would get one more valid certificate at each attempt.
        write_private(tls.ca, self.brokers_ca)
        issued = self._certify(who, _key_of(request), life) if who in OF_THE_OPERATOR else None
        certificate.keep(tls, issued or self.issue(who, request, life=life), self.brokers_ca)
        return True

    def is_due(self, who: str, home: Path) -> bool:
        """Return whether *who* needs a new certificate in *home*/tls: by its time, or since the broker has other names now."""
        tls = Tls(home)
        # An address has several spellings, and a certificate has it in one.
        wanted = {str(general_name(each).value) for each in self._brokers_names()}
        lacks_names = who == BROKER and not wanted <= certificate.names(tls)
        return lacks_names or certificate.is_due(tls, now())

    def _brokers_names(self) -> list[str]:
        return list(
            dict.fromkeys(["127.0.0.1", "localhost", *(parts(each)[0] for each in self._folder.listens.addresses)])
        )

    # -- who is in good standing -------------------------------------------------------------------------------------

    def standing(self, at: datetime) -> Mapping[str, tuple[str, ...]]:
        """Return, for each id, the principals whose certificates have neither ended nor been revoked at *at*."""
        return {
            who: tuple(principal(who, number) for number, ends in self._lasting(each) if ends > at)
            for who, each in self._read().items()
        }

    @property
    def issued(self) -> frozenset[str]:
        """The principals of all certificates that were ever issued."""
        register = self._read().items()
        return frozenset(principal(who, one["number"]) for who, each in register for one in each["certificates"])

    def agencies(self) -> frozenset[str]:
        """Return every id that has or had a certificate and is neither the operator's nor a service's own."""
        return frozenset(self._read()) - RESERVED

    def last_end(self, who: str) -> datetime | None:
        """Return when the last valid certificate of *who* ends, or None without one."""
        return max((end for _, end in self._lasting(self._read().get(who, {"certificates": []}))), default=None)

    def has_ended(self, since: datetime, at: datetime) -> bool:
        """Return whether any certificate ended after *since*, up to *at*."""
        return any(since < end <= at for each in self._read().values() for _, end in self._lasting(each))

    @property
    def revoked(self) -> int:
        """How many certificates were ever revoked."""
        return sum(bool(one.get("revoked")) for each in self._read().values() for one in each["certificates"])

    @property
    def suspended(self) -> frozenset[str]:
        """Ids that are suspended now."""
        return frozenset(who for who, each in self._read().items() if each.get("suspended"))

    def suspend(self, who: str, *, suspended: bool = True) -> None:
        """Record that *who* is suspended, or no longer; `gate` sets the broker's rules."""
        with self._altered() as register:
            register.setdefault(who, {"certificates": []})["suspended"] = suspended

    def end(self, who: str, at: datetime | None) -> None:
        """End every certificate that *who* has or gets before *at* at that time, or at its own end with None.

        A certificate that `end` has ended earlier stays so. With an *at* in the past, certificates issued since are left.
        """
        present = now()
        with self._altered() as register:
            entry = register.setdefault(who, {"certificates": []})
            for each in (entry, *entry["certificates"]):
                if at is None and "lost" in each and _time(each["lost"]) > present:
                    del each["lost"]
            if at is not None:
                lost = at.strftime(_WRITTEN)
                if at > present:
                    entry["lost"] = lost
                for each in entry["certificates"]:
                    if at > present or _time(each["ends"]) - LIFE < at:
                        each["lost"] = min(lost, each.get("lost", lost))

    def number_above(self, principals: Iterable[str]) -> None:
        """Give the numbers of *principals* to no certificate from now on: the register may be older than the broker's rules."""
        highest: dict[str, int] = {}
        for each in principals:
            who, _, number = each.rpartition(".")
            highest[who] = max(int(number), highest.get(who, 0))
        with self._altered() as register:
            for who, count in highest.items():
                entry = register.setdefault(who, {"certificates": []})
                if count >= _next_number(entry):
                    entry["above"] = count

    def note_restore(self) -> None:
        """Note that the register comes from a backup, for the next `take_off_again`."""
        write_private(self._restored, b"")

    @property
    def is_restored(self) -> bool:
        """Return whether the register comes from a backup, and `take_off_again` has not followed."""
        return self._restored.exists()

    def take_off_again(self, principals: Collection[str], at: datetime) -> None:
        """Once after a restore, take back each valid certificate of a standby host that is not among *principals*.

        These have rights at the broker. Nothing else tells after a restore which hosts `revoke_host` has taken off since the
        backup. A broker without any principal is another one, and tells nothing.
        """
        if not self.is_restored:
            return
        with self._altered() as register:
            for who, entry in register.items() if principals else ():
                valid = {number for number, end in self._lasting(entry) if end > at}
                for each in entry["certificates"]:
                    is_valid = each.get("host") is not None and each["number"] in valid
                    if is_valid and principal(who, each["number"]) not in principals:
                        each["revoked"] = each["off"] = True
        self._restored.unlink()

    def hosts(self, at: datetime) -> Mapping[str, Mapping[str, datetime]]:
        """Return by standby host, for each id with a valid certificate there at *at*, when its last certificate ends."""
        found: dict[str, dict[str, datetime]] = {}
        for who, entry in sorted(self._read().items()):
            ends = dict(self._lasting(entry))
            for each in entry["certificates"]:
                end = ends.get(each["number"])
                if each.get("host") is not None and end is not None and end > at:
                    known = found.setdefault(each["host"], {})
                    known[who] = max(end, known.get(who, end))
        return found

    def given(self, at: datetime) -> Mapping[str, Mapping[str, str]]:
        """Return by standby host, for each service, the kid of the signing key that it was given last.

        Hosts that were taken off are left out, and certificates that ended by their own time before *at*. Those that ended
        with the service's keys are not: their host is still to be mended.
        """
        found: dict[str, dict[str, str]] = {}
        for who, entry in sorted(self._read().items()):
            for each in entry["certificates"]:
                if "gave" in each and not each.get("off") and _time(each["ends"]) > at:
                    found.setdefault(each["host"], {})[who] = each["gave"]
        return found

    def host_of(self, who: str, request: bytes, at: datetime) -> str | None:
        """Return the standby host whose valid certificate of *who* has the key of *request*, or None.

        Raises:
            NotCertified: as `issue`.
        """
        digest = _digest_of(_key_of(request))
        entry = self._read().get(who, {"certificates": []})
        valid = {number for number, end in self._lasting(entry) if end > at}
        hosts = (
            each.get("host") for each in entry["certificates"] if each["key"] == digest and each["number"] in valid
        )
        return next((each for each in hosts if each is not None), None)

    def count(self, who: str, host: str | None, at: datetime) -> int:
        """Return how many certificates of *who* are valid at *at* on the standby *host*, or with None on no such host."""
        entry = self._read().get(who, {"certificates": []})
        # one that ends later than any issued now comes from a clock that was ahead: nobody can use it yet
        valid = {number for number, end in self._lasting(entry) if at < end <= at + LIFE}
        return sum(each["number"] in valid and each.get("host") == host for each in entry["certificates"])

    def revoke_host(self, host: str) -> bool:
        """End all certificates on the standby *host*; return whether there were any that were not taken back before."""
        found = False
        with self._altered() as register:
            for each in (one for entry in register.values() for one in entry["certificates"]):
                if each.get("host") == host and not each.get("off"):
                    each["revoked"] = each["off"] = found = True
        return found

    def revoke(self, who: str) -> None:
        """End all present certificates of *who*; a certificate that is issued later is valid."""
        with self._altered() as register:
            for each in register.get(who, {"certificates": []})["certificates"]:
                each["revoked"] = True

    # -- within ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _lasting(entry: Mapping[str, Any]) -> list[tuple[int, datetime]]:
        return [
            (each["number"], _time(min(each["ends"], each.get("lost", each["ends"]))))
            for each in entry["certificates"]
            if not each.get("revoked")
        ]

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._register.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _held(self) -> AbstractContextManager[None]:
        return locked(self._home / "lock")

    @contextmanager
    def _altered(self) -> Iterator[dict[str, dict[str, Any]]]:
        with self._held():
            register = self._read()
            yield register
            write_json(self._register, register)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        path = self._home / "key.pem"
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            name = self._name((NameOID.COMMON_NAME, "authority"))
            own = (
                begun(name, name, made.public_key(), _CA_LIFE, made.public_key())
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(usage(signs=True), critical=True)
                .sign(made, hashes.SHA256())
            )
            write_private(self._home / "cert.pem", own.public_bytes(serialization.Encoding.PEM))
            keyfile.write(path, written(made))
        return certificate.opened(path)

    def _name(self, *attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
        # The broker reads it from the last to the first: CN=…,OU=…,O=nrmbus.
        first = ((NameOID.ORGANIZATION_NAME, "nrmbus"), (NameOID.ORGANIZATIONAL_UNIT_NAME, self._bus))
        return x509.Name([x509.NameAttribute(*each) for each in (*first, *attributes)])

    def _certify(
        self,
        who: str,
        key: ec.EllipticCurvePublicKey,
        life: timedelta,
        host: str | None = None,
        gave: str | None = None,
    ) -> bytes:
        digest = _digest_of(key)
        with self._altered() as register:
            ca = self._key()
            others = (each for other, entry in register.items() if other != who for each in entry["certificates"])
            if any(each["key"] == digest for each in others):
                raise NotCertified("key_in_use")
            entry = register.setdefault(who, {"certificates": []})
            number, lost = _next_number(entry), entry.get("lost")
            subject = self._name((NameOID.ORGANIZATIONAL_UNIT_NAME, str(number)), (NameOID.COMMON_NAME, who))
            made = self._finished(who, subject, key, life, ca)
            ends = made.not_valid_after_utc.strftime(_WRITTEN)
            until = {"lost": lost} if lost and now() < _time(lost) else {}
            where = {"host": host} if host is not None else {}
            had = next(
                (each["gave"] for each in entry["certificates"][::-1] if each.get("host") == host and "gave" in each),
                None,
            )
            if host is not None and (kid := gave or had):
                where["gave"] = kid
            entry["certificates"].append({"number": number, "key": digest, "ends": ends, **until, **where})
        return made.public_bytes(serialization.Encoding.PEM)

    def _finished(
        self,
        who: str,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        life: timedelta,
        ca: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if who == BROKER else [])
        issuer = self._name((NameOID.COMMON_NAME, "authority"))
        builder = (
            begun(subject, issuer, key, life, ca.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if who == BROKER:
            names = map(general_name, self._brokers_names())
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(ca, hashes.SHA256())


def _next_number(entry: Mapping[str, Any]) -> int:
    given: list[int] = [entry.get("above", 0), *(each["number"] for each in entry["certificates"])]
    return max(given) + 1


def _time(written: str) -> datetime:
    return datetime.strptime(written, _WRITTEN).replace(tzinfo=UTC)


def _digest_of(key: ec.EllipticCurvePublicKey) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _key_of(request: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of a request, which must be signed with it.

    Nothing stands beside the request: in a file that goes by any way, a private key may have been pasted along.
    """
    code = "not_readable"
    with suppress(ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion):
        if len(request) <= _LARGEST_REQUEST and _ONE_BLOCK.fullmatch(request):
            read = x509.load_pem_x509_csr(request)
            code, asked = "weak_key", read.public_key()
            # The kind of key first: what checking the signature costs is then known.
            if (
                isinstance(asked, ec.EllipticCurvePublicKey)
                and asked.curve.name == "secp256r1"
                and read.is_signature_valid
            ):
                return asked
    raise NotCertified(code)
