"""Another's cluster is reached over TLS, or in plain text where somebody said so: never by accident."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import BadParameter
from typer.testing import CliRunner

from bus.kafka.clusters import Cluster, Topic, prepared
from cli.operate.others_cluster import OthersAuthority
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import topics
from nrmbus.bus.pki.authority import Authority
from nrmbus.cli import health
from nrmbus.cli.app import app
from nrmbus.cli.operate import cluster, foreground, up
from nrmbus.cli.operate.foreground import until_told, wait_until_ready
from nrmbus.cli.operate.up import introduced, reached_by_tls, see_that_it_fits
from nrmbus.cli.options import checked_address
from nrmbus.directory.invitation import is_this_machine
from nrmbus.host.services import services_of


@pytest.mark.parametrize(
    ("bootstrap", "tls", "plaintext", "is_new", "sentence"),
    [
        ("kafka.example:9093", False, False, True, "Choose how kafka.example:9093 is reached"),
        ("kafka.example:9093", True, True, True, "A cluster is reached over TLS or in plain text"),
        (None, True, False, True, "Our own Kafka is always reached over TLS"),
        (None, False, True, True, "Our own Kafka is always reached over TLS"),
    ],
)
def test_contradicting_options_are_one_sentence(
    bootstrap: str | None, *, tls: bool, plaintext: bool, is_new: bool, sentence: str
) -> None:
    """For a new bus on another's cluster the message names the option; our own broker has no plain text."""
    with pytest.raises(NoBus, match=sentence):
        reached_by_tls(bootstrap, Path() if tls else None, plaintext=plaintext, is_new=is_new)


@pytest.mark.parametrize(
    ("brokers", "cluster", "sentence"),
    [(2, None, "--brokers takes 1 or 3"), (3, "kafka.example:9093", "--brokers is for the bus's own Kafka")],
)
def test_a_number_of_brokers_that_cannot_be_is_one_sentence(brokers: int, cluster: str | None, sentence: str) -> None:
    """Neither two brokers, nor a number for somebody else's cluster."""
    with pytest.raises(NoBus, match=sentence):
        see_that_it_fits(brokers, cluster)


def test_the_first_choice_holds_at_later_starts() -> None:
    """A later start keeps TLS, plain text, or the decision made with the bus."""
    assert reached_by_tls("kafka.example:9093", Path(), plaintext=False, is_new=True) is True
    assert reached_by_tls("kafka.example:9092", None, plaintext=True, is_new=True) is False
    assert reached_by_tls("kafka.example:9093", None, plaintext=False, is_new=False) is None
    assert reached_by_tls(None, None, plaintext=False, is_new=True) is None


def test_a_bus_is_closed_unless_an_option_opens_it(tmp_path: Path) -> None:
    """A new bus is closed by default, also on another's cluster; a bus made there before the option existed stays as it was."""
    assert BusFolder(tmp_path / "own").create().tls
    assert BusFolder(tmp_path / "other").create(bootstrap="kafka.example:9093").tls
    older = tmp_path / "older"
    older.mkdir()
    (older / "bus.json").write_text(
        '{"bus": "0123456789abcdef", "created": "2026-01-01T00:00:00Z", "bootstrap": "a:1"}'
    )
    assert not BusFolder(older).settings.tls
    (older / "bus.json").write_text('{"bus": "0123456789abcdef", "created": "2026-01-01T00:00:00Z"}')
    assert BusFolder(older).settings.tls


def test_no_bus_is_made_for_a_cluster_whose_authority_is_not_there(tmp_path: Path) -> None:
    """Given a slip in --tls, then the sentence names the file, and the next try may name another cluster."""
    typed = ["up", "--bootstrap", "kafka.example:9093", "--tls", str(tmp_path), "--data", str(tmp_path / "bus")]
    done = CliRunner().invoke(app, typed)

    assert isinstance(done.exception, NoBus)
    assert f"{tmp_path / 'ca.pem'} cannot be read" in str(done.exception)
    assert not BusFolder(tmp_path / "bus").exists


def test_the_settings_are_a_file_that_an_administrator_can_read(tmp_path: Path) -> None:
    """Given a bus on a cluster, then the file says that the truststore is to be copied, and a certificate stands as it is."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="kafka.example:9093", tls=True)
    own = ["--keys-unprotected", "--data", str(folder.path)]

    lines = CliRunner().invoke(app, ["cluster", "settings", *own]).stdout.splitlines()
    (place,) = [number for number, each in enumerate(lines) if "ssl.truststore.location" in each]
    (head, *_) = [each for each in reversed(lines[:place]) if each.startswith("#")]
    assert "copy the truststore's file there, and write its path there" in head

    made = CliRunner().invoke(app, ["cluster", "settings", "--for", "strimzi", *own]).stdout
    certificate = Authority(folder).ca.decode().splitlines()
    assert [each.strip() for each in made.splitlines() if each.strip() in certificate] == certificate
    assert "ca.pem: |" in made
    secret, *_ = yaml.safe_load_all(made)
    assert secret["stringData"]["ca.pem"].encode() == Authority(folder).ca


def test_holders_trust_the_cluster_and_its_settings_name_the_authority(tmp_path: Path) -> None:
    """Everybody's ``ca.pem`` is the cluster's; the settings that the cluster needs are printed, and have no default."""
    cluster = BusFolder(tmp_path / "cluster")
    cluster.create()
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "ca.pem").write_bytes(Authority(cluster).ca)
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="kafka.example:9093", tls=True)

    lines = introduced(folder, tmp_path / "dir")
    Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)

    assert (folder.agency("ngo-a").path / "tls" / "ca.pem").read_bytes() == Authority(cluster).ca
    assert "  super.users=User:operator" in lines, "our own broker's name is nobody's there"
    assert "  allow.everyone.if.no.acl.found=false" in lines
    assert "  listener.name.nrmbus.ssl.client.auth=required" in lines
    assert f"  listener.name.nrmbus.ssl.truststore.location={folder.keys / 'authority' / 'cert.pem'}" in lines
    assert not any("DEFAULT" in line for line in lines)
    assert "  default.replication.factor=3" in lines, "the next start makes topics with it"
    (tmp_path / "dir" / "ca.pem").write_text("no certificate")
    with pytest.raises(BusError):
        introduced(folder, tmp_path / "dir")
    with pytest.raises(NoBus):
        introduced(folder, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("made", "missing"), [("signs", "keyUsage=keyCertSign"), ("has_key_id", "subjectKeyIdentifier")]
)
@pytest.mark.parametrize("strict", [True, False])
def test_an_authority_that_a_newer_python_does_not_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, missing: str, *, strict: bool
) -> None:
    """Given an authority that lacks an extension, then Python 3.13 makes no bus, and an older Python prints a warning."""
    monkeypatch.setattr(up, "is_strict", lambda: strict)
    lacks: dict[str, Any] = {made: False}
    (tmp_path / "ca.pem").write_bytes(OthersAuthority(**lacks).pem)
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="kafka.example:9093", tls=True)

    if strict:
        with pytest.raises(NoBus, match=f"{missing} is missing: the cluster's administrator makes"):
            introduced(folder, tmp_path)
    else:
        assert introduced(folder, tmp_path)[0].startswith("Machines with Python 3.13 or newer will not trust")
    (tmp_path / "ca.pem").write_bytes(OthersAuthority().pem)
    assert introduced(folder, tmp_path)[0].startswith("The cluster lets this bus in")


def test_several_addresses_are_as_good_as_one() -> None:
    """Addresses are separated by commas only; an invalid address is refused before a bus is made with it for ever."""
    checked_address(None)
    checked_address("kafka-1.example:9092,kafka-2.example:9092,[2001:db8::1]:9092")
    for wrong in ("kafka-1.example", "kafka-1.example:9092, kafka-2.example:9092", "kafka-1.example:9092,", ""):
        with pytest.raises(BadParameter, match="several of them separated by commas"):
            checked_address(wrong)


def test_a_cluster_is_elsewhere_when_one_of_its_brokers_is() -> None:
    """Other machines reach such a cluster; an invitation warns only if they would reach no broker."""
    assert is_this_machine("127.0.0.1:9092,localhost:9093")
    assert not is_this_machine("127.0.0.1:9092,kafka-2.example:9092")


def test_unready_services_are_named_until_all_are_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unready service is named with its own reason, again only after a change; then `up` goes on."""
    slow = {"registrar": "It does not answer.", "ngo-a": "It stands still."}
    states = [slow, slow, {"ngo-a": "It stands still."}, {}]
    said: list[str] = []
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    monkeypatch.setattr(foreground, "NAMED_SECONDS", 0.0)
    monkeypatch.setattr(foreground, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(health, "not_ready", lambda _folder: states.pop(0))

    wait_until_ready(folder, said.append)

    assert said == [
        f"Not ready yet: ngo-a: It stands still. registrar: It does not answer. Logs are in {folder.logs}.",
        f"Not ready yet: ngo-a: It stands still. Logs are in {folder.logs}.",
    ]


def test_a_service_that_never_ran_does_not_answer(tmp_path: Path) -> None:
    """A service without a door is not ready."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    with folder.held():
        assert health.not_ready(folder) == dict.fromkeys(services_of(folder), "It does not answer.")


def test_a_signal_in_the_middle_of_an_event_loop_ends_the_block() -> None:
    """asyncio swallows all but two kinds of errors raised in its callbacks; the signal to end uses these."""

    async def work() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
        raise AssertionError("the signal was swallowed")

    with until_told():
        asyncio.run(work())
        raise AssertionError("the block went on")


def checked(path: Path, monkeypatch: pytest.MonkeyPatch, found: Cluster) -> list[str]:
    """Return the lines of ``nrmbus cluster check`` for a bus at *path* on the cluster *found*."""
    folder = BusFolder(path)
    folder.create(bootstrap="kafka.example:9093", tls=True, play=True)
    for room in (cluster, topics):
        monkeypatch.setattr(room, "Administration", found)
    return CliRunner().invoke(app, ["cluster", "check", "--data", str(path)]).stdout.splitlines()


WELL = "The cluster is set as the bus needs it."


@pytest.mark.parametrize("topic", ["nrm.cases", "__consumer_offsets", "__transaction_state"])
def test_a_topic_on_one_disk_is_no_well_set_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """P1: given settings that were made after a topic, then the check names the topic that the settings did not change."""
    found = Cluster(prepared())
    found.topics = {"nrm.cases": Topic(1, 3, {}), "__consumer_offsets": Topic(3, 3, {}), "theirs": Topic(1, 1, {})}
    assert checked(tmp_path, monkeypatch, found) == [WELL]

    found.topics[topic] = Topic(1, 1, {})

    (line,) = checked(tmp_path, monkeypatch, found)
    assert line.startswith(f"{topic} has the replication factor 1, not 3: the cluster's administrator")


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("min_insync_replicas", "3", 2),
        ("transaction_state_log_min_isr", "3", 2),
        ("min_insync_replicas", "1", 2),
        ("transaction_max_timeout_ms", "1000", 15_000),
    ],
)
def test_a_setting_with_which_no_broker_may_be_away_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, least: int
) -> None:
    """Given three replicas of which all have to confirm, or transactions that end too soon, then the check says for each broker what to set."""
    key = name.replace("_", ".")

    assert checked(tmp_path, monkeypatch, Cluster(prepared(**{name: value}))) == [
        f"Broker {number} has {key}={value}: set {key}={least}" for number in (1, 2, 3)
    ]


def test_more_replicas_may_be_confirmed_by_more_brokers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a cluster of five brokers that needs three of its five replicas, then the cluster is well set."""
    found = Cluster(prepared(default_replication_factor="5", min_insync_replicas="3"), brokers=5)

    assert checked(tmp_path, monkeypatch, found) == [WELL]
