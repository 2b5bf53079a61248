"""A bus with a profile of its own: made with a file, joined by an invitation that carries the file, refused with another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from copies import NAME, RECOVERY_OF_45_DAYS, REFER_IN_36_HOURS, copied, known_here
from nrmbus.backup.folders import agency_paths
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.membership import invitation
from nrmbus.cli.operate import rules
from nrmbus.cli.operate.up import given_policy, made_with
from nrmbus.directory import Operator
from nrmbus.directory.invitation import Invitation
from nrmbus.host.profiles import Newcomers, know_profiles
from nrmbus.rules import load_profile, profile_names

BROKER = "broker.example.org:9093"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with known_here():
        yield


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    file = tmp_path / "draft.yaml"
    file.write_text(copied(REFER_IN_36_HOURS))
    return file


@pytest.fixture(name="bus")
def _bus(file: Path, tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "operator")
    made_with(folder, given_policy(str(file)), play=False, partitions=1)
    Operator(folder.path)
    return folder


def test_a_bus_is_made_with_a_file_and_keeps_it(bus: BusFolder, file: Path) -> None:
    """Later starts read the folder's copy; the file that was given may be gone."""
    file.unlink()
    with known_here():
        assert bus.settings.policy == NAME

    know_profiles(bus)

    assert load_profile(NAME).digest == bus.settings.policy_digest
    assert load_profile(NAME).clocks["D-REFER"].length.hours == 36


@pytest.mark.thorough
def test_a_joining_machine_has_the_very_profile_that_the_fingerprint_is_over(bus: BusFolder, tmp_path: Path) -> None:
    """Nobody copies a file by hand, and an altered one is noticed by two people who compare the fingerprint."""
    sheet, joined = tmp_path / "bus.invitation.json", BusFolder(tmp_path / "ngo-b")
    invitation.invite(sheet, bootstrap=BROKER, data=bus.path)
    invitation.join(sheet, data=joined.path)
    assert joined.own_profiles() == bus.own_profiles()
    assert joined.settings.policy_digest == bus.settings.policy_digest

    whole = Invitation.read(sheet)
    sheet.write_text(sheet.read_text().replace("hours: 36", "hours: 72"))
    assert Invitation.read(sheet).fingerprint != whole.fingerprint
    with known_here(), pytest.raises(BusError):
        invitation.join(sheet, data=tmp_path / "ngo-c")


def test_a_backup_of_one_agency_has_the_profiles_too(bus: BusFolder) -> None:
    """Restored on another machine, its desk would not start without them."""
    assert f"profiles/{NAME}.yaml" in agency_paths(bus, "agencies/ngo-a")


@pytest.mark.thorough
def test_another_file_in_its_place_starts_nothing(bus: BusFolder) -> None:
    """A service that judged by it would disagree with everybody."""
    know_profiles(bus)
    bus.keep_profile(NAME, copied(*RECOVERY_OF_45_DAYS))
    with (
        known_here(),
        pytest.raises(NoBus, match=r"is not the profile that this bus was made with|known with other values"),
    ):
        know_profiles(bus)

    (bus.profiles / f"{NAME}.yaml").unlink()
    bus.keep_profile("az@2030-01-01", copied(REFER_IN_36_HOURS))
    with known_here(), pytest.raises(NoBus, match=r"give the file that name|was made with|other values"):
        know_profiles(bus)


@pytest.mark.thorough
def test_a_later_profile_is_added_to_a_bus(bus: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its digest is printed, for the activation and for every other machine; a mistake adds nothing."""
    later = tmp_path / "later.yaml"
    later.write_text(f"name: az@2028-01-01\nextends: {NAME}\nchanges:\n  k: 20\n")
    rules.add(later, data=bus.path)

    assert load_profile("az@2028-01-01").digest in capsys.readouterr().out
    assert set(bus.own_profiles()) == {NAME, "az@2028-01-01"}
    assert "az@2028-01-01" in profile_names()

    later.write_text(f"name: az@2029-01-01\nextends: {NAME}\nchanges:\n  k: 11\n")
    with pytest.raises(NoBus, match="nrmbus rules check"):
        rules.add(later, data=bus.path)
    assert set(bus.own_profiles()) == {NAME, "az@2028-01-01"}


@pytest.mark.thorough
def test_a_running_service_takes_what_is_added_meanwhile(bus: BusFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """In whichever order the files come, and whichever extends the other; one that does not read is reported once, and holds up nobody."""
    know_profiles(bus)
    newcomers = Newcomers(bus)
    bus.keep_profile("az@2028-01-01", "name: az@2028-01-01\nextends: az@2029-01-01\nchanges:\n  k: 20\n")
    bus.keep_profile("az@2030-01-01", copied(REFER_IN_36_HOURS, name="az@2031-01-01"))
    bus.keep_profile("az@2032-01-01", "name: az@2032-01-01\nextends: az@2032-01-01\n")
    newcomers.look()
    assert not {"az@2028-01-01", "az@2030-01-01", "az@2031-01-01", "az@2032-01-01"} & set(profile_names())

    bus.keep_profile("az@2029-01-01", copied(REFER_IN_36_HOURS, name="az@2029-01-01"))
    bus.keep_profile("az@2028-01-01", "name: az@2028-01-01\nextends: az@2029-01-01\nchanges:\n  k: 21\n")
    capsys.readouterr()
    for _ in range(3):
        newcomers.look()
    told = capsys.readouterr()

    assert (load_profile("az@2028-01-01").k, load_profile("az@2028-01-01").clocks["D-REFER"].length.hours) == (21, 36)
    assert "CANARY" not in told.out + told.err
    assert (told.out + told.err).count("profile_known") == 2


@pytest.mark.thorough
def test_a_profile_that_came_before_the_one_that_it_extends_is_taken(
    bus: BusFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a profile refused for want of its base profile, then both are known once the base profile comes."""
    know_profiles(bus)
    newcomers = Newcomers(bus)
    bus.keep_profile("az@2028-01-01", "name: az@2028-01-01\nextends: az@2029-01-01\nchanges:\n  k: 20\n")
    bus.keep_profile("az@2032-01-01", "name: az@2032-01-01\nextends: az@2032-01-01\n")
    newcomers.look()
    assert "az@2028-01-01" not in profile_names()
    bus.keep_profile("az@2029-01-01", copied(REFER_IN_36_HOURS, name="az@2029-01-01"))
    newcomers.look()
    told = capsys.readouterr()

    assert load_profile("az@2028-01-01").k == 20
    assert (told.out + told.err).count("profile_refused") == 2, "each once, though one was tried again"


@pytest.mark.thorough
def test_a_profile_that_was_known_never_changes_under_a_running_service(bus: BusFolder) -> None:
    """Given a replaced profile file, then the profile's cases are judged by the activated values."""
    know_profiles(bus)
    newcomers, before = Newcomers(bus), load_profile(NAME).digest
    bus.keep_profile(NAME, copied(*RECOVERY_OF_45_DAYS))
    bus.keep_profile("az@2024-02-08", copied(REFER_IN_36_HOURS, name="az@2024-02-08"))
    bundled = load_profile("az@2024-02-08").digest
    newcomers.look()

    assert (load_profile(NAME).digest, load_profile("az@2024-02-08").digest) == (before, bundled)


@pytest.mark.thorough
def test_a_profile_whose_holidays_the_release_lacks_is_refused(
    bus: BusFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a file that somebody put into the folder, when its country has no table, then a running service goes on without the profile.

    A start names the country and the command that says what to write.
    """
    know_profiles(bus)
    bus.keep_profile("az@2028-01-01", copied(("country: AZ", "country: QQ"), name="az@2028-01-01"))
    newcomers = Newcomers(bus)
    for _ in range(2):
        newcomers.look()
    told = capsys.readouterr()

    assert "az@2028-01-01" not in profile_names()
    assert (told.out + told.err).count("profile_refused") == 1
    with known_here(), pytest.raises(NoBus, match=r"nrmbus rules check FILE.*no holidays of QQ"):
        know_profiles(bus)


def test_an_invitation_may_name_any_profile_of_the_release(tmp_path: Path) -> None:
    """One whose name has a hyphen too."""
    folder = BusFolder(tmp_path / "operator")
    made_with(folder, given_policy("osce-generic@2022-01-01"), play=False, partitions=1)
    Operator(folder.path)

    invitation.invite(tmp_path / "sheet.json", bootstrap=BROKER, data=folder.path)
    assert folder.settings.policy_digest is None
    assert Invitation.read(tmp_path / "sheet.json").policy == "osce-generic@2022-01-01"
