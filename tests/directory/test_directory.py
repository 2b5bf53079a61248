"""The directory: whom everybody believes, and what stops them from believing anybody else."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agencies import NOW
from nrmbus.directory import Directory, DirectoryError, Identity, LogIdentity, Operator
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

LATER = datetime(2026, 4, 2, 5, 0, tzinfo=UTC)


@pytest.fixture(name="operator")
def _operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "operator")


@pytest.fixture(name="directory")
def _directory(operator: Operator) -> Directory:
    return Directory("play-0001", VerifyKey(operator.public))


def admitted(
    directory: Directory, operator: Operator, home: Path, agency: str = "ngo-a", role: str = "ngo_outreach"
) -> Identity:
    """An agency that stands in the directory."""
    identity = Identity.at(home / agency, agency)
    entry = operator.entry(directory, identity, role, NOW)
    assert entry is not None
    directory.add(entry)
    return identity


class TestEntries:
    def test_an_admitted_agency_is_known_by_its_current_key(
        self, directory: Directory, operator: Operator, tmp_path: Path
    ) -> None:
        """An agency's signatures verify with the admitted key, from the admission's time on."""
        identity = admitted(directory, operator, tmp_path)

        assert directory.verify_key("ngo-a", identity.signing.kid, NOW).public == identity.signing.public
        assert directory.seal_to("ngo-a", NOW) is not None
        with pytest.raises(WireError, match="signature_invalid"):
            directory.verify_key("ngo-a", identity.signing.kid, datetime(2026, 3, 1, tzinfo=UTC))

    def test_the_same_entry_twice_changes_nothing(
        self, directory: Directory, operator: Operator, tmp_path: Path
    ) -> None:
        """Reading the topic again from its start is harmless, and admitting the same agency again says nothing new."""
        identity = Identity.at(tmp_path / "ngo-a", "ngo-a")
        entry = operator.entry(directory, identity, "ngo_outreach", NOW)
        assert entry is not None
        directory.add(entry)
        directory.add(entry)

        assert directory.number == 2
        assert operator.entry(directory, identity, "ngo_outreach", LATER) is None

    @pytest.mark.parametrize("name", ["operator", "registrar", "broker"])
    def test_a_name_of_the_bus_itself_is_no_agency(
        self, directory: Directory, operator: Operator, tmp_path: Path, name: str
    ) -> None:
        """Nobody can be admitted under a name that stands for a part of the bus."""
        with pytest.raises(DirectoryError, match="id_reserved"):
            operator.entry(directory, Identity.at(tmp_path / name, name), "ngo_outreach", NOW)

    def test_the_agencies_of_a_role_grow_with_the_directory(
        self, directory: Directory, operator: Operator, tmp_path: Path
    ) -> None:
        """A letter is sealed to every agency of a role, to one that was admitted a moment ago as well."""
        assert directory.of_role("ngo_outreach") == ()
        for agencies in (("ngo-b",), ("ngo-a", "ngo-b")):
            admitted(directory, operator, tmp_path, agencies[0])
            assert directory.of_role("ngo_outreach") == agencies
        admitted(directory, operator, tmp_path, "vac", "vac")

        assert directory.of_role("vac") == ("vac",)
        assert directory.of_role("ngo_outreach") == ("ngo-a", "ngo-b")

    def test_a_role_stays_with_its_id(self, directory: Directory, operator: Operator, tmp_path: Path) -> None:
        """Old cases are judged by roles, so an id never changes its role."""
        identity = admitted(directory, operator, tmp_path)

        with pytest.raises(DirectoryError, match="role_changed"):
            operator.entry(directory, identity, "special_unit", LATER)


class TestKeys:
    def test_private_keys_are_readable_by_their_agency_only(self, tmp_path: Path) -> None:
        """Key files have mode 0600 and a second start finds the same keys."""
        first = Identity.at(tmp_path / "vac", "vac")
        again = Identity.at(tmp_path / "vac", "vac")

        assert first.signing.kid == again.signing.kid
        assert first.sealing.kid == again.sealing.kid
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "vac" / "keys").iterdir()}
        assert modes == {0o600}

    def test_no_private_key_is_shown(self, tmp_path: Path) -> None:
        """Neither the identity nor its keys print a seed."""
        identity = Identity.at(tmp_path / "vac", "vac")

        assert identity.signing.seed.hex() not in repr(identity) + repr(identity.signing)


class TestKeysOfTheTrail:
    def test_an_agency_is_a_witness_by_a_key_of_its_own(
        self, directory: Directory, operator: Operator, tmp_path: Path
    ) -> None:
        """A desk's co-signatures verify with a key that signs nothing else; the witness name has bus and agency."""
        identity = admitted(directory, operator, tmp_path)

        assert identity.witness.public not in {identity.signing.public, identity.sealing.public}
        (witness,) = directory.witnesses()
        assert (witness.name, witness.public) == ("nrmbus/play-0001/witness/ngo-a", identity.witness.public)
        assert directory.witnesses("vac") == ()

    def test_a_service_of_the_bus_is_no_witness(self, directory: Directory, operator: Operator, tmp_path: Path) -> None:
        """A bus that vouched for itself would need no witnesses."""
        admitted(directory, operator, tmp_path, "timekeeper", "timekeeper")

        assert directory.witnesses() == ()

    def test_the_auditors_entry_names_the_keys_of_its_logs(
        self, directory: Directory, operator: Operator, tmp_path: Path
    ) -> None:
        """Both of them, the same at each start, readable by their owner only; in anybody else's entry they say nothing."""
        home = tmp_path / "auditor"
        identity, log = Identity.at(home, "auditor"), LogIdentity.at(home)
        entry = operator.entry(directory, identity, "auditor", NOW, log=log)
        assert entry is not None
        directory.add(entry)
        other = operator.entry(
            directory, Identity.at(tmp_path / "a", "ngo-a"), "ngo_outreach", NOW, log=LogIdentity.at(tmp_path)
        )
        assert other is not None
        directory.add(other)

        (keys,) = directory.log_keys()
        assert (keys.verify.public, keys.lasting.public) == (log.signing.public, log.lasting.public)
        assert [each.name for each in keys.verifiers("nrmbus/play-0001/p0")] == ["nrmbus/play-0001/p0"] * 2
        again = LogIdentity.at(home)
        assert (again.signing.kid, again.lasting.kid) == (log.signing.kid, log.lasting.kid)
        assert operator.entry(directory, identity, "auditor", LATER, log=again) is None
        assert {path.stat().st_mode & 0o777 for path in (home / "keys").iterdir()} == {0o600}
        assert log.signing.seed.hex() not in repr(log)

    def test_keys_that_were_replaced_stay_known(self, directory: Directory, operator: Operator, tmp_path: Path) -> None:
        """Old checkpoints are verified years later."""
        before = admitted(directory, operator, tmp_path)
        (tmp_path / "ngo-a" / "keys" / "witness.seed").unlink()
        after = admitted(directory, operator, tmp_path)

        assert [each.public for each in directory.witnesses("ngo-a")] == [before.witness.public, after.witness.public]

    @pytest.mark.parametrize(
        "member",
        [
            {"witness": base64.b64encode(bytes(32)).decode()},
            {"witness": "short"},
            {"log": {"ed25519": base64.b64encode(bytes(32)).decode(), "mldsa44": ""}},
            {"log": {"ed25519": base64.b64encode(bytes(range(32))).decode(), "mldsa44": "AAAA"}},
            {"log": {}},
        ],
    )
    def test_a_key_that_is_none_is_never_admitted(
        self, directory: Directory, operator: Operator, tmp_path: Path, member: dict[str, object]
    ) -> None:
        """A weak key of a witness or a log would make any checkpoint look signed."""
        entry = operator.entry(directory, Identity.at(tmp_path / "a", "ngo-a"), "ngo_outreach", NOW)
        assert entry is not None
        body = json.loads(statement.body_of("directory", entry), limit=65536)

        with pytest.raises(DirectoryError, match=r"weak_key|entry_malformed"):
            directory.add(statement.sign("directory", {**body, **member}, key_of(tmp_path)))


def key_of(home: Path) -> SigningKey:
    """The operator's key."""
    return SigningKey.from_seed((home / "operator" / "keys" / "operator.seed").read_bytes())


def test_a_record_without_a_value_is_no_entry(directory: Directory) -> None:
    """The reader reports which entry is wrong, and does not crash on a record without a value."""
    with pytest.raises(DirectoryError, match="entry 1"):
        directory.add(None)
