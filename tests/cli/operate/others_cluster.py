"""Kafka cluster of another operator: its own authority, its own names for brokers, and no knowledge of the bus."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from nrmbus.bus.embedded import ports
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.embedded.node import Node
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.cluster import BROKER_SETTINGS
from nrmbus.bus.pki.building import usage
from nrmbus.bus.pki.certificate import now
from nrmbus.bus.reach import Reach, Tls

OWN: Final = "CN=kafka-1,OU=IT,O=Ministry"
"""Names of the broker for itself and its controller."""


PASSWORD: Final = "of the truststore"


def write_store(path: Path, pem: bytes) -> Path:
    """Write a truststore with a password, as most clusters have."""
    trusted = [pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(pem), b"ministry")]
    kind = serialization.BestAvailableEncryption(PASSWORD.encode())
    path.write_bytes(pkcs12.serialize_java_truststore(trusted, kind))
    return path


class OthersAuthority:
    """The authority that certifies the cluster's brokers and administrators, and knows no bus.

    Without *signs* the authority's certificate has no keyUsage, like many certificates made by hand. Without *has_key_id* it
    has no subjectKeyIdentifier, and without *names_key* the brokers' certificates have no authorityKeyIdentifier.
    Certificates of brokers began *before* now, and end when *left* is over.
    """

    def __init__(
        self,
        *,
        signs: bool = True,
        has_key_id: bool = True,
        names_key: bool = True,
        before: timedelta = timedelta(minutes=5),
        left: timedelta = timedelta(days=1),
    ) -> None:
        self._before, self._left = before, left
        self._signs, self._has_key_id, self._names_key = signs, has_key_id, names_key
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name.from_rfc4514_string("CN=ministry-ca,O=Ministry")
        self._own = self._signed(self._name, self._key, ca=True)

    @property
    def pem(self) -> bytes:
        """Return the authority's certificate."""
        return self._own.public_bytes(serialization.Encoding.PEM)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - self._before)
            .not_valid_after(now() + (timedelta(days=1) if ca else self._left))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(ports.HOST))]), critical=False)
        )
        if not ca or self._has_key_id:
            own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
            made = made.add_extension(own, critical=False)
        if ca or self._names_key:
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            made = made.add_extension(issuer, critical=False)
        if ca and self._signs:
            made = made.add_extension(usage(signs=True), critical=True)
        return made.sign(self._key, hashes.SHA256())

    def certify(self, home: Path, subject: str) -> Tls:
        """Issue key and certificate for *subject* in *home*, raw, as other software has them."""
        key, tls = ec.generate_private_key(ec.SECP256R1()), Tls(home)
        tls.folder.mkdir(parents=True)
        pem = serialization.Encoding.PEM
        tls.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        made = self._signed(x509.Name.from_rfc4514_string(subject), key, ca=False)
        tls.certificate.write_bytes(made.public_bytes(pem))
        tls.ca.write_bytes(self.pem)
        return tls


class OthersCluster(EmbeddedKafka):
    """One broker, also the controller; its operator applies the settings *told*, once they are given."""

    def __init__(self, home: Path) -> None:
        folder = BusFolder(home)
        folder.create(tls=True)
        super().__init__(folder)
        self.authority = OthersAuthority()
        self._broker = self.authority.certify(home / "kafka-1", OWN)
        self.authority.certify(folder.keys, "CN=admin,O=Ministry")
        self.told: dict[str, str] = {}
        self.guest = f"{ports.HOST}:{ports.free_ports(1)[0]}"
        """Address of the listener for the bus."""

    @property
    def as_admin(self) -> Reach:
        """Return the cluster as its own administrator reaches it, on the cluster's own listener."""
        return Reach(self.bootstrap, Tls(self.folder.keys))

    def _equip(self) -> None:
        """Do nothing: the broker has its certificates from elsewhere."""

    def _properties(self, data: str, node: Node) -> bytes:
        own_ports = node.ports
        own = ";".join(f"User:{each}" for each in (OWN, "CN=admin,O=Ministry"))
        told = {**self.told, "super.users": f"{self.told.get('super.users', '')};{own}".strip(";")}
        key, chain = (each.read_text().replace("\n", "\\n") for each in (self._broker.key, self._broker.certificate))
        store = write_store(self.folder.run / "truststore.p12", self.authority.pem)
        # Settings by listener, as the page says: a password for all listeners could not be omitted for the bus's.
        trust = (("type", "PKCS12"), ("location", store), ("password", PASSWORD))
        settings: Mapping[str, Any] = {
            **{key: value for key, value in BROKER_SETTINGS.items() if key != "group.min.session.timeout.ms"},
            "listeners": f"INTERNAL://{ports.HOST}:{own_ports[0]},CONTROLLER://{ports.HOST}:{own_ports[1]},NRMBUS://{self.guest}",
            "listener.security.protocol.map": "INTERNAL:SSL,CONTROLLER:SSL,NRMBUS:SSL",
            "inter.broker.listener.name": "INTERNAL",
            "controller.quorum.bootstrap.servers": f"{ports.HOST}:{own_ports[1]}",
            "log.dirs": data,
            "ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.key": key,
            "ssl.keystore.certificate.chain": chain,
            **{
                f"listener.name.{listener}.ssl.truststore.{key}": value
                for listener in ("internal", "controller")
                for key, value in trust
            },
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            **told,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items()).encode()
