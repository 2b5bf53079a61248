"""A key outside a backup vouches for its signer: the manifest itself names signer, kind and agency."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine
from typer.testing import CliRunner

from backup.given import MADE, replaced_while_open, sealed_folder
from nrmbus.backup.store import Manifest, Store
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.app import app
from nrmbus.desk.store import schema
from nrmbus.directory import Identity, Operator
from nrmbus.environment import KEY_FILE
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SigningKey

THIEF = SigningKey(bytes(range(32)))
LEDGER = "agencies/shelter/ledger.sqlite"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusFolder]:
    """Yield the folder of a bus with its operator's key and the desk of a shelter, whose ledger was lost."""
    with sealed_folder(tmp_path, monkeypatch) as folder:
        Operator(folder.path)
        Identity.at(folder.service("registrar"), "registrar")
        agency = folder.agency("shelter")
        Identity.at(agency.path, agency.id)
        write_json(agency.agency_json, {"agency": agency.id, "role": "shelter_state"})
        yield folder


@pytest.fixture
def joined(folder: BusFolder) -> BusFolder:
    """Return the same folder on a machine of the shelter's own, which has only the operator's public key."""
    for name in ("operator.seed", "head.seed"):
        (folder.keys / name).unlink()
    (folder.service("registrar") / "keys").rename(folder.path.with_name("elsewhere-keys"))
    folder.service("registrar").rmdir()
    assert folder.is_joined
    return folder


def written(folder: BusFolder, key: SigningKey | None, *, kind: Any, scopes: str = "read open") -> Path:
    """Write to the folder of backups a ledger with a token of these *scopes*, signed with *key* or by nobody."""
    store = Store.at(folder.path.with_name("backup"))
    ledger = folder.path.with_name("ledger.sqlite")
    with create_engine(f"sqlite:///{ledger}", poolclass=NullPool).connect() as connection:
        schema.bring_up(connection)
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute(
            "INSERT INTO tokens (name, digest, made, made_by, scopes, ends, used) VALUES ('t', x'00', ?, '', ?, ?, 0)",
            (MADE, scopes, MADE),
        )
    with store.held():
        stored = {"bus.json": store.put_file(folder.path / "bus.json"), LEDGER: store.put_file(ledger)}
        if kind == "bus" and key is not None:
            stored["keys/operator.pub"] = store.put([key.public.hex().encode()])
        manifest = Manifest(
            kind=kind,
            bus=folder.settings.bus,
            agency="shelter" if kind == "agency" else "",
            generation=len(store.generations()) + 1,
            made=MADE,
            by="nrmbus",
            private_keys="sealed",
            signer=key.public.hex() if key else "",
            files=stored,
        )
        store.publish(manifest, key)
    ledger.unlink()
    return store.path


def restored(store: Path, folder: Path, *options: str, part: str | None = "ledger") -> dict[str, Any]:
    """Restore a part; return what the command prints as JSON."""
    of_part = ("--part", part) if part else ()
    result = CliRunner().invoke(app, ["restore", str(store), "--data", str(folder), "--json", *of_part, *options])
    assert result.exit_code in (0, 1), (result.output, result.exc_info)
    body: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return body


def own(folder: BusFolder) -> SigningKey:
    """Return the signing key of the shelter."""
    return Identity.at(folder.agency("shelter").path, "shelter").signing


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "key", "code"),
    [
        ("agency", None, "unsigned"),
        ("agency", THIEF, "signer_unknown"),
        ("bus", THIEF, "signature_invalid"),
    ],
)
def test_p2_who_only_writes_to_the_folder_of_backups_puts_no_ledger_into_a_bus(
    folder: BusFolder, kind: str, key: SigningKey | None, code: str
) -> None:
    """Given a newest backup of any kind by somebody without a key of the bus or the shelter, when the ledger is restored, then the backup is refused, and the operator's older one can be restored."""
    written(folder, Operator(folder.path).signing, kind="bus", scopes="read")
    store = written(folder, key, kind=kind)

    assert restored(store, folder.path, "--agency", "shelter")["code"] == code
    assert not folder.agency("shelter").ledger.exists()
    found = restored(store, folder.path, "--agency", "shelter", "--generation", "1")
    assert (found["restored"], found["signer_known"]) == ([LEDGER], True)
    with closing(sqlite3.connect(folder.agency("shelter").ledger)) as ledger:
        assert ledger.execute("SELECT scopes FROM tokens").fetchall() == [("read",)]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["bus", "agency"])
def test_p2_a_manifest_that_is_replaced_while_it_is_read_brings_no_other_ledger(
    folder: BusFolder, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Given a forged manifest, when somebody puts the signed one back as soon as the command opens it, then the ledger that it names is refused: the signature is not over it."""
    store = Store.at(written(folder, own(folder) if kind == "agency" else Operator(folder.path).signing, kind=kind))
    honest, path = store.manifest(), store.path / "manifests" / "00000001"
    signed = path.read_bytes()
    with store.held():
        files = {**honest.files, LEDGER: store.put([b"a ledger of a stranger"])}
    forged = honest.model_copy(update={"files": files}).model_dump_json().encode()
    path.write_bytes(forged + b"\n" + signed.partition(b"\n")[2])
    replaced_while_open(monkeypatch, path, signed)

    assert restored(store.path, folder.path, "--agency", "shelter").get("code") == "signature_invalid"
    assert path.read_bytes() == signed
    assert not folder.agency("shelter").ledger.exists()


@pytest.mark.thorough
def test_an_agency_restores_what_its_own_key_signed(joined: BusFolder) -> None:
    """Given the shelter's own machine, when its signed backup is restored there, then nobody has to compare a key."""
    found = restored(written(joined, own(joined), kind="agency"), joined.path)

    assert (found["restored"], found["signed_by"], found["signer_known"]) == ([LEDGER], own(joined).kid, True)


@pytest.mark.thorough
def test_what_nobody_signed_is_restored_only_when_somebody_says_so(joined: BusFolder, tmp_path: Path) -> None:
    """Given an agency whose timer has no key file, then its unsigned backup needs `--signer none`, and the command says what that means."""
    store = written(joined, None, kind="agency")

    assert restored(store, joined.path)["code"] == "unsigned"
    said = (
        CliRunner()
        .invoke(app, ["restore", str(store), "--part", "ledger", "--signer", "none", "--data", str(joined.path)])
        .stdout
    )
    assert "Signed by nobody: anybody who could write to the folder of the backups may have made it." in said
    assert joined.agency("shelter").ledger.exists()
    assert restored(store, tmp_path / "new", part="folder")["code"] == "unsigned"
    assert not (tmp_path / "new").exists()
    assert not restored(store, tmp_path / "new", "--signer", "none", part="folder")["signer_known"]


@pytest.mark.thorough
def test_a_new_backup_takes_no_signer(joined: BusFolder) -> None:
    """Given `--signer` without `--verify`, then the command is refused: the option would do nothing."""
    result = CliRunner().invoke(app, ["backup", str(joined.path.with_name("b")), "--signer", "none"])

    assert (result.exit_code, "Invalid value for --signer" in result.output) == (2, True), result.output


@pytest.mark.thorough
def test_an_agencys_earlier_key_is_believed_once_it_is_compared(joined: BusFolder) -> None:
    """Given keys that were replaced after the backup, then the refusal names the key to compare, and with it the ledger comes back; another key is refused."""
    before, store = own(joined).kid, written(joined, own(joined), kind="agency")
    (joined.agency("shelter").keys / "signing.seed").unlink()
    assert own(joined).kid != before

    refused = restored(store, joined.path)
    assert (refused["code"], refused["where"]) == ("signer_unknown", before)
    assert restored(store, joined.path, "--signer", own(joined).kid)["code"] == "signature_invalid"
    assert restored(store, joined.path, "--signer", before)["restored"] == [LEDGER]


@pytest.mark.thorough
def test_without_the_key_file_a_signature_is_not_believed(joined: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a sealed key that nothing opens, then the signature cannot be checked, and the refusal asks for the key file."""
    store = written(joined, own(joined), kind="agency")
    monkeypatch.delenv(KEY_FILE.name)
    keyfile.hold(None)

    refused = CliRunner().invoke(app, ["restore", str(store), "--part", "ledger", "--data", str(joined.path)])
    assert (refused.exit_code, "signer_unknown" in refused.stderr, KEY_FILE.name in refused.stderr) == (1, True, True)
    assert not joined.agency("shelter").ledger.exists()


@pytest.mark.thorough
def test_with_another_key_file_a_compared_key_is_enough(joined: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a key file that does not open the shelter's key, then its backup verifies with an unknown signer, and the ledger comes back with the key that a person compared."""
    kid, store = own(joined).kid, written(joined, own(joined), kind="agency")
    other = joined.path.with_name("other-key")
    other.touch(mode=0o600)
    other.write_bytes(b"another passphrase of the example")
    monkeypatch.setenv(KEY_FILE.name, str(other))
    keyfile.hold(None)

    shown = CliRunner().invoke(app, ["backup", str(store), "--verify", "--json", "--data", str(joined.path)])
    assert shown.exit_code == 0, shown.output
    assert (json.loads(shown.stdout)["signed_by"], json.loads(shown.stdout)["signer_known"]) == (kid, False)
    found = restored(store, joined.path, "--signer", kid)
    assert (found["restored"], found["signer_known"]) == ([LEDGER], True)


@pytest.mark.thorough
def test_the_operator_puts_no_ledger_into_an_agencys_own_folder(joined: BusFolder) -> None:
    """Given a backup of a bus that the operator signed, when a part is restored on the shelter's own machine, then it is refused: the operator never had the shelter's keys."""
    operator = SigningKey.generate()
    (joined.keys / "operator.pub").write_text(operator.public.hex())
    store = written(joined, operator, kind="bus")

    assert restored(store, joined.path).get("code") == "other_kind"
    assert restored(store, joined.path, "--signer", operator.kid)["code"] == "other_kind"
    assert not joined.agency("shelter").ledger.exists()


@pytest.mark.thorough
def test_a_standby_host_restores_what_the_operator_signed(joined: BusFolder) -> None:
    """Given a machine that joined and runs the bus's services, then the backup of the bus restores a part there."""
    operator = SigningKey.generate()
    (joined.keys / "operator.pub").write_text(operator.public.hex())
    Identity.at(joined.service("registrar"), "registrar")

    assert restored(written(joined, operator, kind="bus"), joined.path)["restored"] == [LEDGER]


@pytest.mark.thorough
def test_an_agencys_backup_has_no_file_of_another(folder: BusFolder) -> None:
    """Given an agency of the same machine that signs a backup with a ledger of its neighbour, then no key counts for it."""
    neighbour = folder.agency("ngo-b")
    key = Identity.at(neighbour.path, neighbour.id).signing
    store = Store.at(written(folder, key, kind="agency"))
    body = store.manifest()
    with store.held():
        store.publish(body.model_copy(update={"agency": "ngo-b"}), key)

    refused = restored(store.path, folder.path, "--agency", "shelter")
    assert (refused["code"], refused["where"]) == ("signature_invalid", LEDGER)


@pytest.mark.thorough
def test_a_lost_key_of_the_operator_comes_back_once_its_public_half_is_compared(folder: BusFolder) -> None:
    """Given a bus whose folder of keys was lost, then an agency's copy of keys/operator.pub is enough to restore it."""
    operator, line = Operator(folder.path).signing, (folder.keys / "operator.pub").read_text()
    store = written(folder, operator, kind="bus")
    (folder.keys / "operator.pub").unlink()

    refused = restored(store, folder.path, part="keys")
    assert (refused["code"], refused["where"]) == ("signer_unknown", line.strip())
    assert restored(store, folder.path, "--signer", line, part="keys")["restored"] == ["keys/operator.pub"]
    assert restored(store, folder.path)["signer_known"]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["bus", "agency"])
def test_on_an_empty_machine_the_key_to_compare_is_said(folder: BusFolder, kind: str, tmp_path: Path) -> None:
    """Given a machine without any key, when a whole folder is restored, then the command says that no key vouches for the signer, and names the key and the way to compare it. A program reads the same."""
    key = own(folder) if kind == "agency" else Operator(folder.path).signing
    store = written(folder, key, kind=kind)
    compare = {
        "bus": f"keys/operator.pub in the folder of an agency's machine must be {key.public.hex()}.",
        "agency": "nrmbus agency show shelter on another machine must name this signing key.",
    }[kind]
    words = ["restore", str(store), "--part", "folder", "--data", str(tmp_path / "new")]

    said = CliRunner().invoke(app, words).stdout.splitlines()
    assert said[-2].startswith(f"Signed by {key.kid}. No key here vouches for this signature")
    assert said[-2].endswith(f"Compare the key before you start anything: {compare}")
    found = restored(store, tmp_path / "other", part="folder")
    assert (found["signed_by"], found["signer"], found["signer_known"]) == (key.kid, key.public.hex(), False)
    shown = CliRunner().invoke(app, ["backup", str(store), "--verify", "--json", "--data", str(tmp_path / "none")])
    assert (json.loads(shown.stdout)["signed_by"], json.loads(shown.stdout)["signer_known"]) == (key.kid, False)


@pytest.mark.thorough
def test_on_an_empty_machine_the_key_that_is_given_must_have_signed(folder: BusFolder, tmp_path: Path) -> None:
    """Given the operator's key on paper, then a whole restore, and a verification, of what another key signed is refused."""
    key, new = Operator(folder.path).signing, tmp_path / "new"
    store = written(folder, key, kind="bus")
    written(folder, THIEF, kind="bus")
    given = ("--signer", key.kid)

    assert restored(store, new, *given, part="folder")["code"] == "signature_invalid"
    verify = ["backup", str(store), "--verify", "--json", "--data", str(new), *given]
    assert json.loads(CliRunner().invoke(app, verify).stdout)["code"] == "signature_invalid"
    assert not new.exists()
    assert restored(store, new, *given, "--generation", "1", part="folder")["signer_known"]


@pytest.mark.thorough
def test_a_backup_of_no_known_kind_is_not_read(folder: BusFolder) -> None:
    """Given an unsigned manifest of an invented kind, then it cannot be read."""
    store = written(folder, None, kind="agency")
    path = store / "manifests" / "00000001"
    path.write_bytes(path.read_bytes().replace(b'"kind":"agency"', b'"kind":"folder"'))

    assert restored(store, folder.path, "--signer", "none")["code"] == "manifest_unreadable"
