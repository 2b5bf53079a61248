"""A timer that goes on after a loss takes away no backup that has what was lost, and a restore takes that backup."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine
from typer.testing import CliRunner

from backup.given import sealed_folder
from nrmbus.backup import folders, make, restore
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import KEPT_DAYS, Manifest, Store
from nrmbus.backup.verify import Trust
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import written_now
from nrmbus.cli.app import app
from nrmbus.desk.state import beginnings, integrity
from nrmbus.desk.store import schema
from nrmbus.directory import Identity, Operator
from nrmbus.wire.keys.keys import SigningKey

LEDGER = "agencies/ngo-b/ledger.sqlite"
READ = "INSERT INTO positions (partition, inbox_number, digest, next_offset) VALUES (0, {0}, '', {0}) ON CONFLICT DO UPDATE SET inbox_number = {0}"
LOST = "INSERT INTO beginnings (partition, previous, until, noticed, lost) VALUES (0, '', 9, '2026-11-30T10:00:00Z', 1)"
TASK = "INSERT INTO tasks (opened, subject, event, kind, about) VALUES ('', '', '{0}/1', '{0}', '')"
KEEP = 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusFolder]:
    """Yield a folder with an agency's desk, which has read three deliveries; its keys are sealed under a key file elsewhere."""
    with sealed_folder(tmp_path, monkeypatch) as folder:
        agency = folder.agency("ngo-b")
        Identity.at(agency.path, agency.id)
        write_json(agency.agency_json, {"agency": agency.id, "role": "ngo_legal"})
        begun(agency, READ.format(3))
        yield folder


def begun(agency: AgencyFolder, *statements: str) -> None:
    """Have the desk begin a ledger, unless there is one, and write *statements* to it."""
    agency.path.mkdir(parents=True, exist_ok=True)
    with create_engine(f"sqlite:///{agency.ledger}", poolclass=NullPool).connect() as connection:
        schema.bring_up(connection)
    with closing(sqlite3.connect(agency.ledger)) as ledger, ledger:
        for each in statements:
            ledger.execute(each)


def lost(agency: AgencyFolder) -> None:
    """Lose the ledger, with the files beside it."""
    for path in agency.path.glob("ledger.sqlite*"):
        path.unlink()


def has_read(agency: AgencyFolder) -> int:
    """Return how many deliveries the ledger has read."""
    return (folders.rows(agency.ledger) or {})["inbox 0"]


def backed_up(folder: BusFolder, *, times: int = 1, sign: bool = True) -> list[str]:
    """Have the timer back the agency up so many *times*; return what each backup missed, "" for nothing."""

    def once() -> None:
        make.of_agency(folder, store(folder), "ngo-b", keep=KEEP, progress=lambda *_: None, sign=sign)

    return [missed(once) for _ in range(times)]


def missed(backup: Callable[[], object]) -> str:
    """Make a *backup*, which is complete; return what it missed, "" for nothing."""
    try:
        backup()
    except BackupError as error:
        if error.code == "lost_here":
            return error.where
        raise
    return ""


def store(folder: BusFolder) -> Store:
    """Return the folder of the backups of *folder*."""
    return Store.at(folder.path.with_name("backup"))


def restored(folder: BusFolder, *options: str, part: str = "ledger") -> dict[str, object]:
    """Restore *part* with the command; return what it prints as JSON."""
    words = ["restore", str(store(folder).path), "--part", part, *options, "--json", "--data", str(folder.path)]
    body: dict[str, object] = json.loads(CliRunner().invoke(app, words).stdout.splitlines()[-1])
    return body


@pytest.mark.thorough
@pytest.mark.parametrize("options", [("--agency", "ngo-b"), (), ("--signer", "none")])
def test_p1_a_lost_ledger_is_in_a_backup_however_long_the_timer_goes_on(
    folder: BusFolder, options: tuple[str, ...]
) -> None:
    """Given a desk whose ledger is gone, when the timer makes more backups than stay, then each reports the loss, the last one with the ledger stays, others go as ever, and a restore takes it."""
    agency, sign = folder.agency("ngo-b"), "--signer" not in options
    assert backed_up(folder, times=3, sign=sign) == ["", "", ""]
    lost(agency)

    assert backed_up(folder, times=4, sign=sign) == [f"{LEDGER}: generation 3"] * 4
    assert store(folder).generations() == [3, 6, 7]
    assert (restored(folder, *options)["generation"], has_read(agency)) == (3, 3)
    assert backed_up(folder, times=2, sign=sign) == ["", ""]
    assert store(folder).generations() == [8, 9], "nothing is missed any more"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "new", [(), (LOST,), (LOST, READ.format(2)), (LOST, READ.format(9), TASK.format(beginnings.TASK))]
)
def test_p1_a_ledger_that_began_after_a_loss_takes_no_backup_of_the_one_before(
    folder: BusFolder, new: tuple[str, ...]
) -> None:
    """Given a desk that was started without its ledger, while the broker is away or with it, when the timer goes on, then a restore puts the ledger from before the loss in its place."""
    agency = folder.agency("ngo-b")
    backed_up(folder)
    lost(agency)
    backed_up(folder)
    begun(agency, *new)

    assert backed_up(folder, times=3) == [f"{LEDGER}: generation 1"] * 3
    assert (restored(folder)["generation"], has_read(agency)) == (1, 3)


@pytest.mark.thorough
def test_a_new_ledger_that_a_person_accepts_is_backed_up_as_any_other(folder: BusFolder) -> None:
    """Given a desk that goes on with the ledger it began after a loss, when a person has marked the task as done, then nothing is missed, and this ledger is restored."""
    agency = folder.agency("ngo-b")
    backed_up(folder)
    lost(agency)
    begun(agency, LOST, READ.format(9), TASK.format(beginnings.TASK))
    assert backed_up(folder) == [f"{LEDGER}: generation 1"]
    begun(agency, "UPDATE tasks SET done = '2026-11-30T12:00:00Z'")

    assert backed_up(folder, times=2) == ["", ""]
    assert store(folder).generations() == [3, 4]
    lost(agency)
    assert (restored(folder)["generation"], has_read(agency)) == (4, 9)


@pytest.mark.thorough
def test_p1_an_altered_ledger_takes_no_backup_from_before(folder: BusFolder) -> None:
    """Given a desk that found its ledger altered, when the timer copies that ledger, then a restore takes the backup from before the desk found it."""
    agency = folder.agency("ngo-b")
    backed_up(folder)
    begun(agency, READ.format(66), TASK.format(integrity.TASK))

    assert backed_up(folder, times=3) == [f"{LEDGER}: generation 1"] * 3
    assert (restored(folder, "--over-newer")["generation"], has_read(agency)) == (1, 3)
    assert backed_up(folder) == [""]


@pytest.mark.thorough
def test_a_damaged_ledger_takes_no_backup_of_the_sound_one(folder: BusFolder) -> None:
    """Given a ledger that is no database any more, when the timer copies it, then the backup with the sound one stays and is restored."""
    agency = folder.agency("ngo-b")
    backed_up(folder)
    lost(agency)
    agency.ledger.write_bytes(b"damaged")

    assert backed_up(folder, times=3) == [f"{LEDGER}: generation 1"] * 3
    assert (restored(folder, "--over-newer")["generation"], has_read(agency)) == (1, 3)


@pytest.mark.thorough
def test_p6_no_lost_ledger_stays_longer_than_any_backup(folder: BusFolder) -> None:
    """Given a ledger that nobody brings back, when the thirty days of its backup are over, then that goes too: an erasure counts on it."""
    backed_up(folder)
    lost(folder.agency("ngo-b"))
    backed_up(folder)

    store(folder).prune(KEEP, datetime.now(UTC) + KEPT_DAYS + timedelta(days=1), [1])
    assert store(folder).generations() == [2]
    assert backed_up(folder) == [""]


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["never a ledger", "never read", "on a server", "lost before the first backup"])
def test_what_is_no_loss_is_not_reported(folder: BusFolder, how: str) -> None:
    """Given an agency without a ledger yet, with one that has read nothing, with one that moved to a server, or that lost it before any backup, then every backup is well, and older ones go as ever."""
    agency = folder.agency("ngo-b")
    if how == "on a server":
        backed_up(folder)
        write_json(
            agency.agency_json, {"agency": "ngo-b", "role": "ngo_legal", "ledger": "postgresql://db.example.org/l"}
        )
    lost(agency)
    if how == "never read":
        begun(agency)
    if how == "lost before the first backup":
        begun(agency, LOST, READ.format(9), TASK.format(beginnings.TASK))

    assert backed_up(folder, times=4) == [""] * 4
    last = store(folder).manifest().generation
    assert store(folder).generations()[-KEEP:] == [last - 1, last]
    assert last - 2 not in store(folder).generations()


@pytest.mark.thorough
def test_p2_a_ledger_that_a_stranger_wrote_is_no_loss_of_the_agency(folder: BusFolder) -> None:
    """Given an older backup with a ledger that another key signed, when the agency without a ledger backs up, then the stranger's ledger is neither missed nor restored."""
    agency, key = folder.agency("ngo-b"), SigningKey(bytes(range(32)))
    backed_up(folder)
    made = store(folder).manifest()
    forged = Manifest(**{**dict(made), "generation": 2, "signer": key.public.hex()})
    store(folder).publish(forged, key)
    (store(folder).path / "manifests" / "00000001").unlink()
    lost(agency)

    assert backed_up(folder, times=2) == ["", ""]
    assert restored(folder)["code"] == "part_absent"


def of_bus(folder: BusFolder, *paths: Path, retired: tuple[str, ...] = ()) -> str:
    """Back up *paths* of the bus as the operator does; return what the backup missed, "" for nothing."""
    found = [each.relative_to(folder.path).as_posix() for each in paths]
    with store(folder).held():
        files = folders.keep(folder.path, lambda: found, store(folder), None, lambda *_: None)
    number = max(store(folder).generations(), default=0) + 1
    manifest = Manifest(
        bus=folder.settings.bus,
        generation=number,
        made=written_now(),
        by="nrmbus",
        private_keys="sealed",
        files=files,
    )
    key = Operator(folder.path).signing
    return missed(lambda: make._published(folder, folder.path, store(folder), manifest, key, KEEP, retired))


@pytest.mark.thorough
def test_p1_the_operators_backup_misses_each_agency_that_works_here(folder: BusFolder) -> None:
    """Given desks on the operator's machine, when one loses its ledger, then its ledger is named; that of an agency which retired, or moved to its own machine, is not."""
    agency, other = folder.agency("ngo-b"), folder.agency("ngo-c")
    begun(other, READ.format(3))
    write_json(other.agency_json, {"agency": "ngo-c", "role": "ngo_legal"})
    shared = folder.path / "bus.json"
    assert of_bus(folder, shared, agency.ledger, other.ledger) == ""

    assert of_bus(folder, shared, agency.ledger) == "agencies/ngo-c/ledger.sqlite: generation 1"
    assert of_bus(folder, shared, agency.ledger, retired=("ngo-c",)) == ""
    other.agency_json.unlink()
    assert of_bus(folder, shared, agency.ledger) == ""
    assert 1 in store(folder).generations(), "its folder may have been lost as a whole"


@pytest.mark.thorough
@pytest.mark.parametrize("purpose", ["sealing", "witness"])
def test_p1_a_lost_key_comes_back_however_long_the_timer_goes_on(folder: BusFolder, purpose: str) -> None:
    """Given a desk that runs while a file of its keys is lost, when the timer goes on, then no backup makes another key in its place, and the lost one is restored."""
    agency = folder.agency("ngo-b")
    backed_up(folder)
    seed = agency.keys / f"{purpose}.seed"
    before = Identity.kids_in(agency.keys)
    seed.unlink()

    assert backed_up(folder, times=3) == [f"agencies/ngo-b/keys/{purpose}.seed: generation 1"] * 3
    assert not seed.exists()
    assert restored(folder, part="keys")["restored"] == [f"agencies/ngo-b/keys/{purpose}.seed"]
    assert Identity.kids_in(agency.keys) == before
    assert backed_up(folder) == [""]


@pytest.mark.thorough
@pytest.mark.parametrize("backups_after_the_second", [0, 1])
def test_p6_two_keys_that_were_lost_one_after_the_other_come_back_each_as_it_was_last(
    folder: BusFolder, tmp_path: Path, backups_after_the_second: int
) -> None:
    """Given a key that was lost, and another one that was replaced since and is then lost too, when the keys are restored, then the second is the one that was in use, the command says which backup has which, and nothing is missed."""
    keys = folder.agency("ngo-b").keys
    witness, sealing = keys / "witness.seed", keys / "sealing.seed"
    backed_up(folder)
    first = witness.read_bytes()
    witness.unlink()
    backed_up(folder)
    Identity.at(tmp_path / "other", "ngo-b")
    in_use = next((tmp_path / "other").rglob("sealing.seed")).read_bytes()
    sealing.write_bytes(in_use)
    backed_up(folder)
    sealing.unlink()
    backed_up(folder, times=backups_after_the_second)

    told = restored(folder, "--agency", "ngo-b", part="keys")

    assert (witness.read_bytes(), sealing.read_bytes()) == (first, in_use)
    assert told["generations"] == {
        "agencies/ngo-b/keys/sealing.seed": 3,
        "agencies/ngo-b/keys/witness.seed": 1,
    }
    assert backed_up(folder) == [""]


@pytest.mark.thorough
def test_p1_each_lost_ledger_comes_back_from_the_last_backup_before_its_own_loss(folder: BusFolder) -> None:
    """Given a ledger that was lost weeks ago, when another desk loses its ledger, then a restore of both gives the second desk its last one, and not one of weeks ago."""
    agency, other = folder.agency("ngo-b"), folder.agency("ngo-c")
    write_json(other.agency_json, {"agency": "ngo-c", "role": "ngo_legal"})
    begun(other, READ.format(3))
    Operator(folder.path)
    shared = folder.keys / "operator.pub"
    of_bus(folder, shared, agency.ledger, other.ledger)
    lost(agency)
    begun(other, READ.format(7))
    of_bus(folder, shared, other.ledger)
    lost(other)
    of_bus(folder, shared)
    backups = store(folder)

    found = restore.sources(backups, folder, "ledger", None, Trust())
    manifest = restore.joined({each: backups.manifest(each) for each in found.values()}, found)
    restore.one_part(backups, manifest, folder, "ledger", lambda _: None, lambda *_: None)

    assert (has_read(agency), has_read(other)) == (3, 7)


@pytest.mark.thorough
def test_p6_a_lost_key_brings_back_no_old_key_of_another_agency(folder: BusFolder) -> None:
    """Given an agency that lost a key, and another one that removed a key on purpose since, when the keys of both are restored, then only the lost one comes back from the older backup."""
    agency, other = folder.agency("ngo-b"), folder.agency("ngo-c")
    Identity.at(other.path, "ngo-c")
    write_json(other.agency_json, {"agency": "ngo-c", "role": "ngo_legal"})
    witness, current, removed = (
        agency.keys / "witness.seed", other.keys / "sealing.seed", other.keys / "next" / "sealing.seed",
    )  # fmt: skip
    removed.parent.mkdir()
    removed.write_bytes(current.read_bytes())
    Operator(folder.path)
    shared = folder.keys / "operator.pub"
    of_bus(folder, shared, witness, current, removed)
    witness.unlink()
    removed.unlink()
    of_bus(folder, shared, current)

    found = restore.sources(store(folder), folder, "keys", None, Trust())

    assert found["agencies/ngo-b/keys/witness.seed"] == 1
    assert {path for path, number in found.items() if number == 1} == {"agencies/ngo-b/keys/witness.seed"}
    assert found["agencies/ngo-c/keys/sealing.seed"] == 2
