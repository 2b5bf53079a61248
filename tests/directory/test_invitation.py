"""How another machine comes to know a bus: by a file that anybody may carry, and a fingerprint that two people compare."""

import json as plain
from pathlib import Path
from typing import Any

import pytest
from typer import BadParameter

from hostile import bounded
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.cli.audit.on_record import asked
from nrmbus.cli.membership import agency, invitation
from nrmbus.cli.operate import run
from nrmbus.directory import DirectoryError, Operator, operator_key
from nrmbus.directory.invitation import Invitation
from nrmbus.events.policy import MOST_CHARACTERS
from nrmbus.rules.profile_files import profile_text, read_profile
from typed import typed

BROKER = "kafka.invalid:9093"


@pytest.fixture(name="operator")
def _operator(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "operator")
    folder.create(play=False, partitions=3)
    Operator(folder.path)
    return folder


@pytest.fixture(name="file")
def _file(operator: BusFolder, tmp_path: Path) -> Path:
    invitation.invite(tmp_path / "bus.invitation.json", bootstrap=BROKER, data=operator.path)
    return tmp_path / "bus.invitation.json"


def _altered(file: Path, **members: Any) -> Path:
    file.write_text(plain.dumps(plain.loads(file.read_text()) | members))
    return file


def test_a_joined_machine_knows_the_same_bus_and_trusts_the_same_operator(
    operator: BusFolder, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The joined machine gets nothing else of the operator's folder; both sides print the same fingerprint."""
    invitation.invite(file, bootstrap=BROKER, data=operator.path)
    told = capsys.readouterr().out
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)
    fingerprint = Invitation.read(file).fingerprint

    assert operator_key(joined.path).public == operator_key(operator.path).public
    assert (joined.settings.bus, joined.settings.partitions, joined.settings.bootstrap, joined.settings.tls) == (
        operator.settings.bus, 3, BROKER, True,
    )  # fmt: skip
    assert sorted(each.name for each in joined.path.rglob("*") if each.is_file()) == ["bus.json", "operator.pub"]
    assert joined.path.stat().st_mode & 0o777 == 0o700
    assert fingerprint in told
    assert fingerprint in capsys.readouterr().out
    assert len(fingerprint.replace(" ", "")) == 32


def test_an_invitation_names_every_address(operator: BusFolder, tmp_path: Path) -> None:
    """Given a bus that listens at two addresses, when a machine is invited, then it knows both; it forgets an older list."""
    operator.listen(Listening(("bus.example.org:9093", "10.0.0.5:9094")))
    file, joined = tmp_path / "bus.invitation.json", BusFolder(tmp_path / "ngo-b")
    invitation.invite(file, data=operator.path)
    joined.keep_addresses(("old.example.org:9093",))
    invitation.join(file, data=joined.path)

    assert joined.bootstrap == "bus.example.org:9093,10.0.0.5:9094"


@pytest.mark.parametrize(
    ("cluster", "remedy", "other"),
    [(None, "nrmbus up --listen HOST", "--bootstrap"), ("127.0.0.1:9093", "--bootstrap HOST:PORT", "--listen")],
)
def test_an_address_of_this_machine_alone_has_the_remedy_of_its_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cluster: str | None, remedy: str, other: str
) -> None:
    """Given a broker that only this machine reaches, then the bus's own Kafka is told to listen, and a cluster, which refuses that, to be named otherwise."""
    folder = BusFolder(tmp_path / "operator")
    folder.create(bootstrap=cluster, tls=True)
    Operator(folder.path)
    folder.listen(Listening(("127.0.0.1:9093",)))
    invitation.invite(tmp_path / "bus.invitation.json", data=folder.path)
    said = capsys.readouterr().out

    assert "Only this machine reaches the broker at 127.0.0.1:9093" in said
    assert remedy in said
    assert other not in said


def test_a_machine_joins_three_brokers_as_it_joins_one(operator: BusFolder, tmp_path: Path) -> None:
    """Given a bus with three brokers, when a machine is invited, then its file is read by a release that knows only one."""
    one, file = tmp_path / "one.json", tmp_path / "three.json"
    invitation.invite(one, bootstrap=BROKER, data=operator.path)
    _altered(operator.path / "bus.json", brokers=3)
    assert operator.settings.brokers == 3
    invitation.invite(file, bootstrap=BROKER, data=operator.path)

    assert file.read_bytes() == one.read_bytes()
    invitation.join(file, data=(joined := BusFolder(tmp_path / "ngo-b")).path)
    assert "brokers" not in plain.loads((joined.path / "bus.json").read_text())


ALTERED: dict[str, dict[str, Any]] = {
    "another operator": {"operator": "0" * 64},
    "another broker": {"bootstrap": "evil.invalid:9093"},
    "in plain text": {"tls": False},
    "a bus for playing": {"play": True},
    "another bus": {"bus": "0" * 16},
    "other rules": {"policy": "az@2021-01-01"},
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_invitation_has_another_fingerprint(what: str, file: Path, tmp_path: Path) -> None:
    """A joiner who types the fingerprint that was read out is warned, and nothing is written."""
    read_out = Invitation.read(file).fingerprint
    with pytest.raises(BusError, match="invitation_altered"):
        invitation.join(_altered(file, **ALTERED[what]), fingerprint=read_out, data=tmp_path / "ngo-b")
    assert not (tmp_path / "ngo-b").exists()


@pytest.mark.parametrize(
    "typed",
    [str.upper, lambda said: said.replace(" ", ""), lambda said: said.replace(" ", "-")],
    ids=["in capitals", "in one", "with dashes"],
)
def test_a_fingerprint_is_typed_as_people_type(typed: Any, file: Path, tmp_path: Path) -> None:
    """A fingerprint may be typed with any grouping of its digits."""
    invitation.join(file, fingerprint=typed(Invitation.read(file).fingerprint), data=tmp_path / "ngo-b")
    assert BusFolder(tmp_path / "ngo-b").exists


@pytest.mark.parametrize("typed", ["", "0000", "the same"])
def test_a_part_of_a_fingerprint_is_refused(typed: str, file: Path, tmp_path: Path) -> None:
    """Every digit of the fingerprint counts."""
    with pytest.raises(BusError, match="invitation_altered"):
        invitation.join(file, fingerprint=typed, data=tmp_path / "ngo-b")


def test_when_the_broker_has_moved_a_newer_invitation_says_where_it_is(
    operator: BusFolder, file: Path, tmp_path: Path
) -> None:
    """Keys and all else that is in the folder stay."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)
    (joined.agency("ngo-b").keys).mkdir(parents=True)
    invitation.invite(file, bootstrap="kafka-2.invalid:9093", data=operator.path)
    invitation.join(file, data=joined.path)

    assert joined.bootstrap == "kafka-2.invalid:9093"
    assert joined.agency("ngo-b").keys.exists()


def test_an_operators_key_that_is_gone_comes_back(operator: BusFolder, file: Path, tmp_path: Path) -> None:
    """A new invitation restores the key, as the error message says; a broken key is removed first."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)
    (joined.keys / "operator.pub").write_text("no key\n")
    with pytest.raises(BusError, match="operator_key_malformed"):
        invitation.join(file, data=joined.path)
    (joined.keys / "operator.pub").unlink()
    invitation.join(file, data=joined.path)
    assert operator_key(joined.path).public == operator_key(operator.path).public


@pytest.mark.parametrize("tls", [True, False])
def test_a_joiner_is_warned_of_a_bus_in_plain_text(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, tls: bool
) -> None:
    """A bus in plain text protects nobody's rights; without a compared fingerprint, an attacker may have asked for that."""
    invitation.join(_altered(file, tls=tls), data=tmp_path / "ngo-b")
    assert ("in plain text" in capsys.readouterr().out) is not tls


def test_a_folder_is_of_one_bus_and_one_operator(operator: BusFolder, file: Path, tmp_path: Path) -> None:
    """Of another, or of another operator, it never becomes; and nobody joins the bus that is run here."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)
    whole = file.read_bytes()

    with pytest.raises(NoBus, match="another bus"):
        invitation.join(_altered(file, bus="0" * 16), data=joined.path)
    file.write_bytes(whole)
    with pytest.raises(BusError, match="invitation_altered"):
        invitation.join(_altered(file, operator="0" * 64), data=joined.path)
    file.write_bytes(whole)
    with pytest.raises(NoBus, match="operator's own"):
        Invitation.to(operator, BROKER).accept(operator)
    assert operator_key(joined.path).public == operator_key(operator.path).public


def test_nobody_becomes_a_second_operator(file: Path, tmp_path: Path) -> None:
    """Where the operator's key is not, `nrmbus up` makes no other one; a desk runs there."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)

    ended = typed("up", "--data", joined.path, "--keys-unprotected").exception
    assert isinstance(ended, NoBus)
    assert "nrmbus run AGENCY" in str(ended)
    with pytest.raises(DirectoryError, match="not_operator"):
        Operator(joined.path)
    assert not (joined.keys / "operator.seed").exists()


def test_nothing_of_the_operators_runs_where_a_bus_was_joined(file: Path, tmp_path: Path) -> None:
    """No registrar and no broker runs, and no key is made for them; a desk reports what it lacks."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)

    for service in ("registrar", "timekeeper", "auditor", "broker", "ngo-b"):
        with pytest.raises(NoBus, match="Another machine runs this bus"):
            run.run(service, data=joined.path, keys_unprotected=True)
    assert sorted(each.name for each in joined.path.rglob("*") if each.is_file()) == ["bus.json", "operator.pub"]

    agency.request("ngo-b", role="ngo_legal", out=tmp_path / "asked.json", data=joined.path, keys_unprotected=True)
    with pytest.raises(NoBus, match="nrmbus agency check ngo-b"):
        run.run("ngo-b", data=joined.path, keys_unprotected=True)


def test_the_history_is_asked_for_at_the_operator(file: Path, tmp_path: Path) -> None:
    """The message on a joined machine does not advise to start an auditor there."""
    joined = BusFolder(tmp_path / "ngo-b")
    invitation.join(file, data=joined.path)
    with pytest.raises(BusError, match="read on the operator's machine"):
        asked(joined, None, "audit", off=False)


@pytest.mark.parametrize(
    "address", ["kafka", "kafka:", ":9093", "kafka.invalid:9093,", "a b:9093", "http://kafka:9093"]
)
def test_an_address_that_nobody_can_go_to_is_refused_where_it_is_typed(
    operator: BusFolder, tmp_path: Path, address: str
) -> None:
    """The operator is told what it has to look like, and no invitation is written."""
    with pytest.raises(BadParameter, match="HOST:PORT"):
        invitation.invite(tmp_path / "x.json", bootstrap=address, data=operator.path)
    assert not (tmp_path / "x.json").exists()


ODD: dict[str, dict[str, Any]] = {
    "a line more in the address": {"bootstrap": "kafka.invalid:9093\nfoo"},
    "no address": {"bootstrap": ""},
    "an address without a port": {"bootstrap": "kafka.invalid"},
    "a port that is none": {"bootstrap": "kafka.invalid:https"},
    "a port beyond the last": {"bootstrap": "kafka.invalid:65536"},
    "an address with a path": {"bootstrap": "kafka.invalid:9093/x"},
    "an address too many": {"bootstrap": "kafka.invalid:9093,"},
    "a key that is short": {"operator": "00"},
    "a number as text": {"partitions": "1"},
    "no partition": {"partitions": 0},
    "a path for rules": {"policy": "../../etc@2022-04-29"},
    "a member more": {"agencies": []},
    "another form": {"form": "nrmbus-request/1"},
}


@pytest.mark.parametrize("place", ["k:1", "10.0.0.1:65535", "[::1]:9093", "a.example:9093,b-2.example:9094"])
def test_a_broker_is_met_at_one_address_or_several(place: str, file: Path, tmp_path: Path) -> None:
    """Addresses are passed to Kafka's clients as given."""
    invitation.join(_altered(file, bootstrap=place), data=tmp_path / "ngo-b")
    assert BusFolder(tmp_path / "ngo-b").bootstrap == place


def test_the_longest_profile_that_is_read_is_carried(operator: BusFolder, tmp_path: Path) -> None:
    """Given a bus with a profile of its own as long as one may be, then another machine is invited, and gets that profile."""
    text = profile_text("az@2022-04-29") + "# "
    text += "ə" * (MOST_CHARACTERS - len(text))
    operator.keep_profile("xx@2026-01-01", text)
    Invitation.to(operator, BROKER).write(tmp_path / "file")

    assert read_profile(text).name == "az@2022-04-29"
    assert Invitation.read(tmp_path / "file").profiles == {"xx@2026-01-01": text}


@pytest.mark.parametrize("what", ODD)
def test_a_malformed_invitation_makes_no_folder(what: str, file: Path, tmp_path: Path) -> None:
    """Every malformed file is refused with the same code."""
    with bounded(), pytest.raises(BusError, match="invitation_malformed"):
        invitation.join(_altered(file, **ODD[what]), data=tmp_path / "ngo-b")
    assert not (tmp_path / "ngo-b").exists()
