"""The two records that are no agency's: who admits, and how far the directory goes. Neither can be forged or played back."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import BUS, NOW
from directory.given import HOUR, Office, refused
from nrmbus.directory import Directory, DirectoryError, Operator, joining, operator_key
from nrmbus.directory.entry import AdmitterKey, Admitters, admission_of, body_of
from nrmbus.directory.heads import is_due, is_stale
from nrmbus.directory.operator import Admitter
from nrmbus.directory.signatures import sign
from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey, VerifyKey


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path)


class TestOperator:
    @pytest.mark.parametrize("left", [0, 30, 63])
    def test_half_a_public_key_is_written_again(self, tmp_path: Path, left: int) -> None:
        """Given a first start that a full disk ended, then the next start writes the operator's public key whole, for its owner."""
        public = tmp_path / "keys" / "operator.pub"
        expected = Operator(tmp_path).public
        public.write_bytes(public.read_bytes()[:left])

        Operator(tmp_path)

        assert operator_key(tmp_path).public == expected
        assert public.stat().st_mode & 0o077 == 0

    def test_another_operators_public_key_is_left(self, tmp_path: Path) -> None:
        """Given the whole public key of another operator, then it is refused and stays: nobody's trust changes unseen."""
        public = tmp_path / "keys" / "operator.pub"
        Operator(tmp_path)
        public.write_text(f"{SigningKey.generate().public.hex()}\n")
        before = public.read_bytes()

        with pytest.raises(DirectoryError, match="operator_key_malformed"):
            Operator(tmp_path)
        assert public.read_bytes() == before


class TestHeads:
    def test_a_head_of_other_entries_is_a_fork(self, office: Office, tmp_path: Path) -> None:
        """The key for heads signed other entries than those here: every reader stops."""
        office.joins("ngo-a")
        other = Directory(BUS, VerifyKey(office.operator.public))
        other.add(office.directory.signed[0])
        office.operator.entry(other, office.identity("ngo-z"), "ngo_outreach", NOW)

        head = office.operator.head(office.directory, NOW)
        with pytest.raises(DirectoryError, match="head_ahead"):
            other.add(head)
        forked = {"bus": BUS, "number": office.directory.number, "digest": "0" * 64, "time": "2026-03-02T05:00:00Z"}
        key = SigningKey.from_seed((tmp_path / "keys" / "head.seed").read_bytes())
        with pytest.raises(DirectoryError, match="head_differs"):
            office.directory.add(statement.sign("directory-head", forked, key))
        office.directory.add(head)
        assert office.directory.head is not None

    def test_a_head_by_another_key_is_refused(self, office: Office) -> None:
        """Neither the operator's key for entries nor a stranger's signs heads."""
        body = {"bus": BUS, "number": 1, "digest": office.directory.digest, "time": "2026-03-02T05:00:00Z"}

        for key in (office.key, SigningKey.generate()):
            with pytest.raises(DirectoryError, match="head_invalid"):
                office.directory.add(statement.sign("directory-head", body, key))

    def test_a_head_from_years_ahead_keeps_no_directory_fresh(self, office: Office) -> None:
        """A thief of the key for heads cannot withhold entries with it; a head of today ends the effect."""
        years = timedelta(days=3650)
        for ahead in (years, timedelta(hours=1)):
            office.directory.add(office.operator.head(office.directory, NOW + ahead))
            assert is_stale(office.directory, NOW) is (ahead == years)
        office.directory.add(office.operator.head(office.directory, NOW))
        assert not is_stale(office.directory, NOW)
        assert not is_due(office.directory, NOW)

    def test_it_is_old_after_three_hours_and_the_next_is_due_after_one(self, office: Office) -> None:
        """The limits of a head hold to the second."""
        office.directory.add(office.operator.head(office.directory, NOW))
        second = timedelta(seconds=1)
        assert [is_due(office.directory, NOW + HOUR - each) for each in (second, timedelta())] == [False, True]
        assert [is_stale(office.directory, NOW + 3 * HOUR + each) for each in (timedelta(), second)] == [False, True]


class TestAdmitters:
    def listed(self, office: Office, names: Sequence[AdmitterKey], **members: object) -> bytes:
        """The next list with *names*, as the operator and the present admitters sign it; *members* altered before."""
        body = json.loads(
            statement.body_of("directory", office.operator.admitters(office.directory, tuple(names))), limit=65536
        )
        made = Admitters.model_validate_json(json.dumps({**body, **members, "admitted": []}))
        signed = [body_of(sign("admission", admission_of(made), each.key)) for each in office.admitters]
        return statement.sign("directory", {**body_of(made), "admitted": signed}, office.key)

    def others(self, office: Office, *names: str) -> list[AdmitterKey]:
        """Present admitters, and further ones with keys of their own."""
        return [
            *(each.public for each in office.admitters),
            *(Admitter(name, SigningKey.generate()).public for name in names),
        ]

    def test_two_present_ones_name_a_third(self, office: Office) -> None:
        """From then on any two of the three may sign."""
        office.directory.add(self.listed(office, self.others(office, "third")))

        assert sorted(office.directory.roll.admitter_kids.values()) == ["admitter-a", "admitter-b", "third"]
        office.joins("ngo-a")

    def test_a_list_has_two_people_with_a_key_each(self, office: Office) -> None:
        """A list is refused if one person stands under two names, or two keys under one name."""
        first, second = (each.public for each in office.admitters)
        same_key = [first, AdmitterKey(name="other", key=first.key)]
        same_name = [first, AdmitterKey(name=first.name, key=second.key)]

        for names in (same_key, same_name):
            assert refused(office, self.listed(office, names)) == "admitters_few"

    def test_a_list_follows_the_one_before(self, office: Office) -> None:
        """An old list cannot be replayed."""
        assert refused(office, self.listed(office, self.others(office), previous="0" * 64)) == "previous_differs"
        first = self.listed(office, self.others(office, "third"))
        office.directory.add(first)
        body = json.loads(statement.body_of("directory", first), limit=65536)
        again = statement.sign("directory", {**body, "number": office.directory.number + 1}, office.key)
        assert refused(office, again) == "previous_differs"

    def test_keys_have_one_purpose_here_too(self, office: Office) -> None:
        """Neither the key for heads nor an agency's key admits anybody."""
        identity = office.joins("ngo-a")
        head = SigningKey.from_seed((office.home / "keys" / "head.seed").read_bytes())
        for key, code in ((head, "key_two_purposes"), (identity.signing, "key_in_use"), (office.key, "key_in_use")):
            names = [*self.others(office), Admitter("third", key).public]
            assert refused(office, self.listed(office, names)) == code

    def test_a_weak_key_admits_nobody(self, office: Office) -> None:
        """A weak key would verify any signature."""
        weak_one = AdmitterKey(name="third", key=base64.b64encode(bytes(32)).decode())

        assert refused(office, self.listed(office, [*self.others(office), weak_one])) == "weak_key"

    def test_without_a_list_nobody_is_admitted(self, office: Office) -> None:
        """The first record of a bus says who admits."""
        fresh = Directory(BUS, VerifyKey(office.operator.public))
        entry = joining.changed(office.admitted(office.asked(office.identity("ngo-b"))), number=1)
        with pytest.raises(DirectoryError, match="not_founded"):
            fresh.add(office.operator.number(entry, fresh))
