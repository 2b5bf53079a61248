"""Make what the containers of compose.yaml need: the cluster's certificates, the brokers' settings, the bus's folder.

It runs in the image of nrmbus, as root in a container without a network: ``docker compose run --rm prepare``. Another run
renews the brokers' certificates, which are good for two years, and leaves the bus as it is; then restart one broker after another.

``docker compose run --rm prepare prometheus`` writes Prometheus' settings, with the address and the token of each service
of the bus, once the bus has run.
"""

import json
import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.cluster import BROKER_SETTINGS, guest_settings, replicated_settings
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.building import begun, general_name, usage, written
from nrmbus.bus.private_files import write_private
from nrmbus.bus.reach import is_address, parts
from nrmbus.host.services import services_of
from nrmbus.wire.keys import keyfile

BROKERS: Final = (1, 2, 3)
KAFKA, NRMBUS, PROMETHEUS = 1000, 65532, 65534
"""Numbers of the accounts in the images."""
MOUNTED: Final = "/mnt/shared/config"
"""Where Kafka's image reads its settings."""
_LIFE: Final = timedelta(days=731)
"""Twice the year after which a person renews them, so that a late one ends nothing."""
_CA_LIFE: Final = timedelta(days=3660)
_PEM: Final = serialization.Encoding.PEM


def name_of(broker: int) -> str:
    """Return the name of a container with a broker."""
    return f"kafka-{broker}"


def address_of(broker: int, host: str) -> str:
    """Return where the bus and the agencies reach a broker: *host* if other machines do, else the container itself."""
    return f"{host or name_of(broker)}:9{broker}93"


def subject(name: str) -> x509.Name:
    """Return the subject of a certificate of the cluster."""
    parts = ((NameOID.ORGANIZATION_NAME, "nrmbus-cluster"), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


class ClusterAuthority:
    """Authority of the cluster, which certifies its brokers and nobody else; the bus has another."""

    def __init__(self, folder: Path) -> None:
        """Open the authority in *folder*, or make it there."""
        self._key_path, self.path = folder / "ca.key", folder / "ca.pem"
        if not self._key_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(self._key_path, written(key))
            write_private(self.path, signed(subject("ca"), key, key, _CA_LIFE, ca=True))
        found = serialization.load_pem_private_key(self._key_path.read_bytes(), None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)  # noqa: S101 - this program made it
        self._key = found

    def certify(self, name: str, *hosts: str) -> tuple[str, str]:
        """Return a new private key and its certificate for *name*, which also answers as *hosts*, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        return written(key).decode(), signed(subject(name), key, self._key, _LIFE, name, *hosts).decode()


def signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    life: timedelta,
    *hosts: str,
    ca: bool = False,
) -> bytes:
    """Return a certificate in PEM for *key*, signed by the cluster's *authority*.

    Python 3.13 takes no certificate of an authority that does not say what its key is for (RFC 5280, 4.2.1.3).
    """
    builder = (
        begun(name, subject("ca"), key.public_key(), life, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage(signs=ca), critical=True)
    )
    if hosts:
        names = [*map(general_name, filter(None, hosts))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority, hashes.SHA256()).public_bytes(_PEM)


def properties(broker: int, bus: str, host: str, key: str, certificate: str) -> str:
    """Return the ``server.properties`` of a *broker*: three listeners, each with TLS, of which one is for *bus* alone."""
    listener, rights = guest_settings(bus, Path(MOUNTED) / "bus.pem")
    name, own = name_of(broker), [f"User:CN={name_of(each)},O=nrmbus-cluster" for each in BROKERS]
    trust = {"type": "PEM", "location": f"{MOUNTED}/cluster.pem"}
    settings = {
        **BROKER_SETTINGS,
        **replicated_settings(len(BROKERS)),
        "node.id": broker,
        "controller.quorum.voters": ",".join(f"{each}@{name_of(each)}:9091" for each in BROKERS),
        "listeners": f"CONTROLLER://{name}:9091,INTERNAL://{name}:9092,NRMBUS://{name}:9{broker}93",
        "advertised.listeners": f"INTERNAL://{name}:9092,NRMBUS://{address_of(broker, host)}",
        "listener.security.protocol.map": "CONTROLLER:SSL,INTERNAL:SSL,NRMBUS:SSL",
        "inter.broker.listener.name": "INTERNAL",
        "log.dirs": "/var/lib/kafka/data",
        "ssl.client.auth": "required",
        "ssl.enabled.protocols": "TLSv1.3",
        "ssl.protocol": "TLSv1.3",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.key": key.replace("\n", "\\n"),
        "ssl.keystore.certificate.chain": certificate.replace("\n", "\\n"),
        **{
            f"listener.name.{own}.ssl.truststore.{key}": trust[key]
            for own in ("controller", "internal")
            for key in trust
        },
        **listener,
        **rights,
        "super.users": ";".join([rights["super.users"], *own]),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def addresses(folder: BusFolder, host: str) -> str:
    """Return the addresses of the brokers, which the bus in *folder* keeps for good; exit if *host* gives others, or none."""
    found = ",".join(address_of(each, host) for each in BROKERS)
    if not is_address(found) or "[" in host:  # no certificate of a broker has an address of IPv6 in brackets
        sys.exit(
            "HOST in .env is a name or an IPv4 address alone, like bus.example.org: no https://, no port, no comment."
        )
    if folder.exists and (kept := folder.settings.bootstrap) not in (None, found):
        earlier, _ = parts(kept.partition(",")[0])
        sys.exit(
            f"HOST cannot change once the bus is made: its services and agencies know the brokers as {kept}. "
            f"Write HOST={'' if earlier == name_of(BROKERS[0]) else earlier} into .env again; only a new bus has another HOST."
        )
    return found


def prepare(made: Path, folder: BusFolder, host: str) -> None:
    """Write below *made* what each broker needs, and make the bus in *folder* on them."""
    brokers = addresses(folder, host)
    cluster = ClusterAuthority(made / "cluster")
    bus = folder.create(bootstrap=brokers, tls=True).bus
    authority = Authority(folder)
    authority.trust_brokers_of(cluster.path.read_bytes())
    give(folder.path.parent, NRMBUS)  # at once: an operator that runs reads the file that was just replaced
    for broker in BROKERS:
        config = made / name_of(broker)
        key, certificate = cluster.certify(name_of(broker), host)
        written = properties(broker, bus, host, key, certificate)
        write_private(config / "server.properties", written.encode())
        write_private(config / "cluster.pem", cluster.path.read_bytes())
        write_private(config / "bus.pem", authority.path.read_bytes())
        give(config, KAFKA)
        end = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
        print(f"The certificate of {name_of(broker)} is good until {end:%Y-%m-%d}; renew it once a year.")  # noqa: T201


def prometheus(made: Path, folder: BusFolder) -> None:
    """Write Prometheus' settings below *made*: a job for each service of the bus that has a door."""
    jobs, config = [], made / "prometheus"
    for name in services_of(folder):
        try:
            door = json.loads((folder.service(name) / "door.json").read_bytes())
        except FileNotFoundError:
            sys.exit("The bus has not run yet: docker compose up --detach operator, and wait until it is healthy.")
        write_private(config / f"{name}.token", door["token"].encode())
        jobs.append(
            {
                "job_name": f"nrmbus-{name}",
                "authorization": {"credentials_file": f"{name}.token"},
                "static_configs": [{"targets": [door["url"].rpartition("/")[2]]}],
            }
        )
    every = {"scrape_interval": "15s", "evaluation_interval": "15s"}
    alerts = ["/etc/nrmbus/observability/alerts.yaml"]
    written = {"global": every, "rule_files": alerts, "scrape_configs": jobs}
    write_private(config / "prometheus.yaml", json.dumps(written, indent=1).encode())  # JSON is YAML
    give(config, PROMETHEUS)


def give(folder: Path, account: int) -> None:
    """Let *account*, and nobody else, have *folder* and what is in it."""
    for path, folders, files in os.walk(folder):
        for each in (".", *folders, *files):
            with suppress(FileNotFoundError):  # services that run make and remove files meanwhile
                os.chown(Path(path, each), account, account)


def main() -> None:
    """Prepare, or with ``prometheus`` write Prometheus' settings."""
    made, folder = Path("/made"), BusFolder.named("local")
    if sys.argv[1:] == ["prometheus"]:
        prometheus(made, folder)
        return
    keyfile.hold(keyfile.asked())
    prepare(made, folder, os.environ.get("HOST", ""))


if __name__ == "__main__":
    main()
