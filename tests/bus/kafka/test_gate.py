"""Certificates that the supervisor keeps, and their rights, where the broker was away or a key cannot be used."""

import base64
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from nrmbus.bus.errors import KafkaFailed, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import gate as gates
from nrmbus.bus.kafka import quotas
from nrmbus.bus.kafka.gate import Gate, Rule
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls, Where


def test_who_got_a_certificate_while_the_broker_was_away_gets_its_rights_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them a service that starts again would be denied everything; and it is restarted once it has them."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1")
    gate, made, away, applied = Gate(folder), [frozenset({"ngo-a"})], [True], list[int]()

    def apply() -> None:
        applied.append(1)
        if away:
            raise KafkaFailed("The broker does not answer.")

    monkeypatch.setattr(gate, "_equip", lambda _homes, equipped: equipped.update(made.pop() if made else ()))
    monkeypatch.setattr(gate, "apply", apply)
    with pytest.raises(KafkaFailed):
        gate.keep({})
    with pytest.raises(KafkaFailed):
        gate.keep({})
    away.clear()

    assert gate.keep({}) == {"ngo-a"}
    assert gate.keep({}) == frozenset()
    assert len(applied) == 3


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Gate, dict[str, Path], list[int]]:
    """Return a gate, the homes of three agencies whose first certificates are all due, and the turns in which rights were given."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", play=True)
    gate, given = Gate(folder), list[int]()
    monkeypatch.setattr(gate, "apply", lambda: given.append(1))
    homes = {name: folder.agency(name).path for name in ("ngo-a", "ngo-b", "ngo-c")}
    assert gate.keep(homes) == homes.keys()
    given.clear()
    first = {name: Tls(home).certificate.read_bytes() for name, home in homes.items()}
    monkeypatch.setattr(Authority, "is_due", lambda _, who, home: Tls(home).certificate.read_bytes() == first[who])
    return gate, homes, given


def pem(key: PrivateKeyTypes, flipped: int | None = None) -> bytes:
    """Return the PEM of *key*, raw, with one bit of the byte at *flipped* turned over."""
    private = serialization.PrivateFormat.PKCS8
    raw = bytearray(key.private_bytes(serialization.Encoding.DER, private, serialization.NoEncryption()))
    if flipped is not None:
        raw[flipped] ^= 1
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(raw) + b"-----END PRIVATE KEY-----\n"


SEALED_ELSEWHERE = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"another")
)
"""A key under a passphrase of its own, as `openssl` seals one."""


UNUSABLE = pytest.mark.parametrize(
    "found",
    [
        b"damaged",
        b"-----BEGIN PRIVATE KEY-----\ndamaged\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP256R1()), flipped=10),
        pem(ed25519.Ed25519PrivateKey.generate()),
        SEALED_ELSEWHERE,
    ],
    ids=["no PEM", "no DER", "one bit of the algorithm", "another kind of key", "sealed elsewhere"],
)


@UNUSABLE
def test_one_unusable_key_keeps_nobody_elses_certificate(
    found: bytes, kept: tuple[Gate, dict[str, Path], list[int]]
) -> None:
    """Given a damaged key among those that are due, then all others are renewed with their rights, and the error is told afterwards."""
    gate, homes, given = kept
    Tls(homes["ngo-b"]).key.write_bytes(found)

    assert gate.keep(homes) == {"ngo-a", "ngo-c"}
    assert len(given) == 1
    with pytest.raises(KeysSealed):
        gate.keep(homes)
    assert len(given) == 1


@UNUSABLE
def test_an_unusable_key_of_the_authority_is_named(
    found: bytes, kept: tuple[Gate, dict[str, Path], list[int]], tmp_path: Path
) -> None:
    """Given a damaged key of the bus's authority, when certificates are due, then the error says to restore the key, and nobody gets a certificate."""
    gate, homes, given = kept
    before = {name: Tls(home).certificate.read_bytes() for name, home in homes.items()}
    (BusFolder(tmp_path).keys / "authority" / "key.pem").write_bytes(found)

    with pytest.raises(KeysSealed, match="restore it from a backup"):
        gate.keep(homes)
    assert {name: Tls(home).certificate.read_bytes() for name, home in homes.items()} == before
    assert given == []


def test_a_folder_that_cannot_be_written_gets_no_further_certificates(
    kept: tuple[Gate, dict[str, Path], list[int]],
) -> None:
    """Given a folder in which nothing can be stored, when it is tried again and again, then the register has no certificate more."""
    gate, homes, _ = kept
    Tls(homes["ngo-b"]).ca.unlink()
    Tls(homes["ngo-b"]).ca.mkdir()
    assert gate.keep(homes) == {"ngo-a", "ngo-c"}
    for _ in range(3):
        with pytest.raises(OSError, match=r"ca\.pem"):
            gate.keep(homes)

    assert gate._authority.count("ngo-b", None, certificate.now()) == 1


def test_rights_of_a_certificate_revoked_while_the_broker_was_away_are_taken(
    kept: tuple[Gate, dict[str, Path], list[int]],
) -> None:
    """Given a command that revoked a host and did not reach the broker, then the next look takes the host's rights, once."""
    gate, homes, given = kept
    gate.keep(homes)
    given.clear()
    request = certificate.request(Tls(homes["ngo-a"].with_name("host-b")))
    gate._authority.issue("registrar", request, host="host-b")
    assert gate._authority.revoke_host("host-b")

    gate.keep(homes)
    gate.keep(homes)

    assert len(given) == 1


FOREIGN = Rule("CN=kafka-exporter,O=Ministry", "allow", "topic", "*", "describe")
"""A rule that the administrator of a cluster made for a monitoring tool."""


class Cluster:
    """Stand-in for the rules and quotas of somebody else's cluster."""

    def __init__(self) -> None:
        self.rules: set[Rule] = set()
        self.quotas: dict[str, quotas.Quota] = {}

    @property
    def lets_in(self) -> set[str]:
        """Return the principals that have any right."""
        return {each.principal for each in self.rules if each.permission == "allow"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Have every gate speak to a cluster without rules."""
    made = Cluster()

    async def found(_: Where) -> dict[str, quotas.Quota]:
        return dict(made.quotas)

    async def put(_: Where, wanted: Mapping[str, quotas.Quota]) -> None:
        made.quotas.update(wanted)

    def add(_: Gate, wanted: Iterable[Rule]) -> None:
        made.rules.update(wanted)

    def remove(_: Gate, unwanted: Iterable[Rule]) -> None:
        made.rules.difference_update(unwanted)

    monkeypatch.setattr(Gate, "_found", lambda _: frozenset(made.rules))
    monkeypatch.setattr(Gate, "_add", add)
    monkeypatch.setattr(Gate, "_remove", remove)
    monkeypatch.setattr(quotas, "found", found)
    monkeypatch.setattr(quotas, "put", put)
    return made


@pytest.fixture
def guest(tmp_path: Path, cluster: Cluster) -> Gate:
    """Return the gate of a bus that has rights on the cluster, where another user has a rule and a quota since."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", play=True, tls=True)
    gate = Gate(folder)
    gate.keep({name: folder.agency(name).path for name in ("ngo-a", "ngo-b")})
    assert cluster.lets_in == {"ngo-a.1", "ngo-b.1"}
    cluster.rules.add(FOREIGN)
    cluster.quotas["leyla"] = {"producer_byte_rate": 10240.0}
    return gate


def test_a_stolen_certificate_loses_its_rights_whoever_else_has_rights(guest: Gate, cluster: Cluster) -> None:
    """P2: given a rule of another user on the cluster, when a certificate is revoked, then its rights end, and the other user is named and kept."""
    guest.revoke("ngo-a")

    assert cluster.lets_in == {"ngo-b.1", FOREIGN.principal}
    (sentence,) = guest.apply()
    assert sentence == (
        f"This cluster has access rules or quotas for others, {FOREIGN.principal} for one; they are left as they are. "
        "A bus has its cluster for itself: the cluster's administrator removes them."
    )
    assert cluster.quotas["leyla"] == {"producer_byte_rate": 10240.0}


def test_an_ended_certificate_loses_its_rights_whoever_else_has_rights(
    guest: Gate, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2: given a rule of another user, when certificates have ended, then the next look takes their rights."""
    present = certificate.now()
    monkeypatch.setattr(gates, "now", lambda: present + timedelta(days=40))

    guest.keep({})

    assert cluster.lets_in == {FOREIGN.principal}


def test_a_new_certificate_gets_its_rights_whoever_else_has_rights(
    guest: Gate, cluster: Cluster, tmp_path: Path
) -> None:
    """Given a rule of another user, when a certificate is issued, then its holder has rights: else each service ended after 30 days."""
    assert guest.keep({"ngo-c": BusFolder(tmp_path).agency("ngo-c").path}) == {"ngo-c"}

    assert cluster.lets_in == {"ngo-a.1", "ngo-b.1", "ngo-c.1", FOREIGN.principal}


def test_suspension_leaves_the_rules_of_others(guest: Gate, cluster: Cluster) -> None:
    """Given a rule by which the administrator denies something to another user, when an agency is suspended, then the rule stays."""
    denied = FOREIGN._replace(permission="deny")
    cluster.rules.add(denied)

    guest.suspend("ngo-a")

    assert {denied, FOREIGN} <= cluster.rules
    assert {each.principal for each in cluster.rules if each.permission == "deny"} == {denied.principal, "ngo-a.1"}


def test_a_new_bus_takes_no_cluster_of_others(tmp_path: Path, cluster: Cluster) -> None:
    """Given a cluster with rules of others, one named as a certificate of a bus is, when a new bus comes, then it is refused and changes nothing."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1", play=True, tls=True)
    theirs = {FOREIGN, FOREIGN._replace(principal="application.1")}
    cluster.rules |= theirs

    with pytest.raises(KafkaFailed, match="kafka-exporter,O=Ministry for one; they are left as they are"):
        Gate(folder).keep({"ngo-a": folder.agency("ngo-a").path})

    assert cluster.rules == theirs
    assert cluster.quotas == {}


def test_a_rule_of_another_user_is_for_its_owner_to_remove(guest: Gate) -> None:
    """Given a rule and a quota of other users, then the check does not name a command that leaves both."""
    mend = "it is another user's, and its owner removes it"

    assert guest.check() == (
        f"{FOREIGN} is on the broker, and not declared: {mend}",
        f"leyla has another quota than is declared: {mend}",
    )
