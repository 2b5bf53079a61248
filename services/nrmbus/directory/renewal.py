"""Renewal of a certificate for an agency on a machine of its own: requested, issued, checked and stored.

Request and answer go over the topics of requests and answers, or by file once the certificate has expired. The agency
signs the request with its current signing key, so that nobody else gets a certificate in its name, and a suspended
agency gets none.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID
from pydantic import Field, ValidationError

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.admission import catch_up, home_of
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import SERVICES
from nrmbus.directory.operator import Identity, Operator, operator_key
from nrmbus.directory.requests import Carried, Pem, Word, believe
from nrmbus.events.model import AgencyId, Code, Frozen, Time
from nrmbus.wire import statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import AUDITOR

GOOD_FOR: Final = timedelta(days=7)
"""How old a request may be: one that was found on an old disk asks for nothing."""

MOST: Final = 3
"""Limit of good certificates per agency: the expiring one, the next, and one whose answer was lost on the way."""


class Asked(Frozen):
    """Certificate request, the part that the agency signs."""

    bus: Code
    agency: AgencyId
    csr: Pem
    made: Time


class Renewal(Carried):
    """The file, and the record. *certificate*, *ca* and *authority* come back, and *word*, the operator's on the first two.

    *ca* certifies the broker; *authority* is the certificate of who issued, which is another where the cluster is another's.
    """

    form: Literal["nrmbus-renewal/1"] = "nrmbus-renewal/1"
    asked: Annotated[str, Field(max_length=32768)]
    certificate: Pem | None = None
    ca: Pem | None = None
    authority: Pem | None = None
    word: Word | None = None


def ask(folder: BusFolder, agency: str, signing: SigningKey | None = None) -> Renewal:
    """Return the agency's request for another certificate of its TLS key, signed with *signing* or the stored key.

    Raises:
        NoBus: no keys of the agency are here, and new ones would get no certificate.
    """
    home = home_of(folder, agency)
    if not (home / "keys").exists():
        there = ", ".join(folder.agencies()) or "none"
        raise NoBus(f"{folder.path} has no keys of {agency}; it has those of these agencies: {there}.")
    asked = Asked(
        bus=folder.settings.bus,
        agency=agency,
        csr=_csr(folder, agency).decode("ascii"),
        made=wall_now(),
    )
    key = signing or Identity.at(home, agency).signing
    return Renewal(asked=statement.sign("request", body_of(asked), key).decode("ascii"))


def _csr(folder: BusFolder, agency: str) -> bytes:
    """Return a certificate request over the key of *agency* here, also of a service of the bus on a standby host."""
    # The operator knows a host by the key of its certificate: another that waits there is of a `standby request` that nobody
    # has granted.
    is_host = folder.host is not None and agency in SERVICES
    return certificate.request(Tls(home_of(folder, agency)), present=is_host)


def asked_by(directory: Directory, renewal: Renewal) -> Asked:
    """Return the request in *renewal*, verified: made by the agency, and recent.

    Raises:
        DirectoryError: ``request_malformed``; ``request_invalid``: of another bus, too old, or not signed with the current
            key, which a suspended agency does not have.
    """
    raw, found = renewal.asked.encode(), None
    with suppress(WireError, ValidationError):
        found = Asked.model_validate_json(statement.body_of("request", raw))
    if found is None:
        raise DirectoryError("request_malformed")
    now = wall_now()
    with suppress(WireError):
        statement.verify("request", raw, lambda kid: directory.verify_key(found.agency, kid, now))
        if found.bus == directory.bus and abs(now - found.made) <= GOOD_FOR:
            return found
    raise DirectoryError("request_invalid")


def certified(folder: BusFolder, directory: Directory, renewal: Renewal) -> Renewal:
    """Return *renewal* with the certificate, at the operator; it gives no rights before `Gate.apply`. Blocking.

    Raises:
        DirectoryError: as `asked_by`; ``certificates_many``; ``standby_unknown`` if a service of the bus asks with a key
            that has no valid certificate on a standby host.
        NotCertified: the key of the request is weak, or another agency's.
    """
    asked, authority = asked_by(directory, renewal), Authority(folder)
    at, csr = certificate.now(), asked.csr.encode()
    host = authority.host_of(asked.agency, csr, at)
    # A host that was taken off still has the signing key of the service.
    if host is None and asked.agency in SERVICES and not _is_apart(folder, asked.agency):
        raise DirectoryError("standby_unknown")
    if authority.count(asked.agency, host, at) >= MOST:
        raise DirectoryError("certificates_many")
    issued = authority.issue(asked.agency, csr, host=host)
    operator = Operator(folder.path)
    pem, ca, word = operator.vouched(folder.settings.bus, asked.agency, issued, authority.brokers_ca)
    return Renewal(asked=renewal.asked, certificate=pem, ca=ca, word=word, authority=authority.ca.decode("ascii"))


def _is_apart(folder: BusFolder, service: str) -> bool:
    """Return whether *service* is the auditor on a machine of her own, with keys of her own."""
    return service == AUDITOR and folder.audited_elsewhere


def issue(folder: BusFolder, directory: Directory, renewal: Renewal) -> Renewal:
    """At the operator: certify what is asked for, and have the broker let it in. Blocking; raises as `catch_up` and `certified`."""
    asyncio.run(catch_up(folder))
    issued = certified(folder, directory, renewal)
    Gate(folder).apply()
    return issued


def keep(folder: BusFolder, agency: str, renewal: Renewal) -> None:
    """At the agency: keep the certificate that a person brought back, and whom to trust at the broker.

    Raises:
        DirectoryError: ``request_invalid`` when there is no certificate in it, ``certificate_altered``; as `check`.
    """
    if renewal.certificate is None or renewal.ca is None:
        raise DirectoryError("request_invalid")
    came, operator = (renewal.certificate, renewal.ca, renewal.word), operator_key(folder.path)
    believe(folder.settings.bus, agency, *came, operator)
    check(folder, agency, renewal)
    certificate.keep(Tls(home_of(folder, agency)), renewal.certificate.encode(), renewal.ca.encode())


def take(folder: BusFolder, agency: str, renewal: Renewal) -> None:
    """Store the certificate from the topic, at the agency. The trusted authority of the broker stays as it is.

    Raises:
        DirectoryError: as `check`.
            OSError: there is no trusted authority yet.
    """
    check(folder, agency, renewal)
    tls = Tls(home_of(folder, agency))
    certificate.keep(tls, (renewal.certificate or "").encode(), tls.ca.read_bytes())


def check(folder: BusFolder, agency: str, renewal: Renewal) -> None:
    """Check that *renewal* has the agency's next certificate: its name and key, and a later end than the present one.

    A present one that is not valid yet may end later: the operator's clock was ahead when it was issued. The issuer of the present certificate must have signed it; without a present one, the authority in the answer.

    Raises:
        DirectoryError: ``certificate_invalid``.
    """
    tls, sound = Tls(home_of(folder, agency)), False
    with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        new, by = _read(renewal.certificate), _read(renewal.authority)
        own = x509.load_pem_x509_csr(_csr(folder, agency)).public_key()
        new.verify_directly_issued_by(by)
        before = _read(tls.certificate.read_text("ascii")) if certificate.ends(tls) else None
        if before is not None:
            before.verify_directly_issued_by(by)
        sound = (
            _names(new) == (["nrmbus"], [agency], folder.settings.bus)
            and _bytes_of(new.public_key()) == _bytes_of(own)
            and new.not_valid_before_utc <= certificate.now() < new.not_valid_after_utc
            and (
                before is None
                or before.not_valid_before_utc > certificate.now()
                or before.not_valid_after_utc < new.not_valid_after_utc
            )
        )
    if not sound:
        raise DirectoryError("certificate_invalid")


def _read(pem: str | None) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pem or "").encode())


def _names(found: x509.Certificate) -> tuple[list[str | bytes], list[str | bytes], str | bytes]:
    """Organization, id and bus, as the authority writes them."""

    def of(oid: x509.ObjectIdentifier) -> list[str | bytes]:
        return [each.value for each in found.subject.get_attributes_for_oid(oid)]

    bus, _count = of(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return of(NameOID.ORGANIZATION_NAME), of(NameOID.COMMON_NAME), bus


def _bytes_of(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
