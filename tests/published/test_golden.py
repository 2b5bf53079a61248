"""Golden records: what was once recorded of every type and version is read by every later release."""

import json as plain
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nrmbus.events.casting import cast
from nrmbus.events.registry import TYPES, data_type, versions
from nrmbus.events.schemas import FOLDER
from nrmbus.published import golden
from nrmbus.published.gate import golden_name
from nrmbus.wire import base64
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keys import SealingKey, SigningKey, VerifyKey
from nrmbus.wire.letter import Container
from nrmbus.wire.record import Record

ALL = [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key in TYPES]
LETTERED = [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key, data in TYPES.items() if data.letter]
REFERRAL = golden_name("referral.submitted", 1)


def written(name: str, version: int) -> dict[str, Any]:
    """The golden record as it lies in the folder."""
    record: dict[str, Any] = plain.loads((FOLDER / golden_name(name, version)).read_text(encoding="utf-8"))
    return record


def test_every_record_is_read_as_it_was_recorded() -> None:
    """Signatures verify, letters open, all fits its model, and casts lead to the newest version and to the lowest."""
    assert list(golden.check()) == []


@pytest.mark.parametrize(("name", "version"), ALL)
def test_a_partner_reads_a_record_with_the_wire_alone(name: str, version: int) -> None:
    """Without `golden`: headers and value give a signed event of this type and version, cast to the newest it fits that."""
    vector = written(name, version)
    headers = {
        header: value.encode() for header, value in vector["record"]["headers"].items() if isinstance(value, str)
    }
    record = Record(vector["record"]["key"].encode(), vector["record"]["value"].encode(), tuple(headers.items()))

    signed = decode(record.split()[0])
    signed.verify(VerifyKey(base64.decode(vector["public"]["sender"], "weak_key")))
    event = signed.event()
    assert (event.type, event.version) == (name, version)
    newest = max(versions(name))
    found = cast(versions(name), version, newest, event.data.to_mapping())
    assert data_type(name, newest).from_mapping(found.data).to_mapping() == found.data


@pytest.mark.parametrize(("name", "version"), LETTERED)
def test_its_letter_opens_with_the_published_seed(name: str, version: int) -> None:
    """The vector's reader opens each part that the type has, and a fresh key opens none."""
    vector = written(name, version)
    signed = vector["record"]["headers"]
    place = {"bus": vector["bus"], "source": "example-ngo", "id": signed["ce_id"], "subject": signed["ce_subject"]}
    letter = Container.parse(base64.decode(vector["letter"], "letter_malformed"))
    seed = base64.decode(vector["reader"]["published_test_seed"], "weak_key")

    opened = letter.open(vector["reader"]["agency"], SealingKey.from_seed(seed), **place)
    kind = data_type(name, version).letter
    assert kind is not None
    assert tuple(opened) == kind.part_names()
    assert SealingKey.generate().kid not in letter.wraps(letter.parts[0]).values()


def test_the_folder_is_small() -> None:
    """Partners clone it: all records together stay under a megabyte and a half."""
    assert sum(path.stat().st_size for path in (FOLDER / "golden").iterdir()) < 1_500_000


def test_no_two_records_share_a_key() -> None:
    """Each file has keys of its own: the seed of one opens no other."""
    vectors = [written(*key) for key in TYPES]
    publics = [public for vector in vectors for public in vector["public"].values()]
    seeds = [vector["reader"]["published_test_seed"] for vector in vectors if "reader" in vector]

    assert len(set(publics)) == 3 * len(vectors)
    assert len(set(seeds)) == len(seeds) == len(LETTERED)


def test_every_published_seed_says_that_it_is_one() -> None:
    """Nobody takes a vector's key for an agency's, or looks for a leak."""
    for key in TYPES:
        assert "A test vector about nobody" in written(*key)["about"]
        assert "published on purpose" in written(*key)["about"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of `schemas` to be broken."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas", ignore=shutil.ignore_patterns("asyncapi*", "vectors")))


def test_write_makes_what_is_missing_and_keeps_the_rest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record is made once. A second one differs from the first, and is valid as well."""
    before = {path.name: path.read_bytes() for path in (folder / "golden").iterdir()}
    (folder / REFERRAL).unlink()

    assert golden.main(["write", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"wrote {REFERRAL}\n"
    after = {path.name: path.read_bytes() for path in (folder / "golden").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {Path(REFERRAL).name}
    assert list(golden.check(folder)) == []
    assert golden.write(folder) == ()


def test_no_record_is_made_of_what_is_not_frozen(folder: Path) -> None:
    """First the schema and its examples, then a record that signs their digests."""
    (folder / REFERRAL).unlink()
    (folder / "nrm.referral.submitted" / "v1" / "full.json").unlink()

    assert golden.write(folder) == ()


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the unreadable record and exits 1; a misuse exits 2."""
    assert golden.main(["check"]) == 0
    (folder / REFERRAL).unlink()
    assert golden.main(["check", "--folder", str(folder)]) == 1
    assert REFERRAL in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        golden.main([])


def header(name: str, old: str, new: str) -> Callable[[dict[str, Any], Path], None]:
    """One header of the record is another."""

    def altered(vector: dict[str, Any], folder: Path) -> None:
        headers = vector["record"]["headers"]
        assert old in headers[name]
        headers[name] = headers[name].replace(old, new, 1)

    return altered


def registered(old: str, new: str) -> Callable[[dict[str, Any], Path], None]:
    """The registration says something else."""

    def altered(vector: dict[str, Any], folder: Path) -> None:
        said = vector["record"]["headers"]["nrm_registration"]
        raw = base64.decode(said["base64"], "unreadable")
        assert old.encode() in raw
        said["base64"] = base64.encode(raw.replace(old.encode(), new.encode(), 1))

    return altered


def member(name: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any], Path], None]:
    """One member of the file is another."""

    def altered(vector: dict[str, Any], folder: Path) -> None:
        vector[name] = value(vector[name])

    return altered


def anew(vector: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Another good record of the same example, with its own keys."""
    return golden.make(data_type("referral.submitted", 1), folder)


def another_publisher(vector: dict[str, Any], folder: Path) -> None:
    """The publication of another record."""
    vector["publication"] = anew(vector, folder)["publication"]


def another_registration(vector: dict[str, Any], folder: Path) -> None:
    """A registration with a good signature, of another envelope."""
    other = anew(vector, folder)
    vector["record"]["headers"]["nrm_registration"] = other["record"]["headers"]["nrm_registration"]
    vector["public"]["registrar"] = other["public"]["registrar"]


def another_letter(vector: dict[str, Any], folder: Path) -> None:
    """A letter that opens, with another digest than the signed one."""
    other = anew(vector, folder)
    vector["letter"], vector["reader"] = other["letter"], other["reader"]


def another_seed(vector: dict[str, Any], folder: Path) -> None:
    """A seed of nobody."""
    vector["reader"]["published_test_seed"] = base64.encode(SealingKey.generate().seed)


def another_sender(vector: dict[str, Any], folder: Path) -> None:
    """A key that did not sign."""
    vector["public"]["sender"] = base64.encode(SigningKey.generate().public)


def another_suite(written: str) -> str:
    """The same letter under the name of a suite that nobody knows."""
    return base64.encode(base64.decode(written, "unreadable").replace(b"nrm1", b"nrm2", 1))


def no_audience(vector: dict[str, Any], folder: Path) -> None:
    """A header is gone."""
    del vector["record"]["headers"]["nrm_audience"]


def edited_schema(vector: dict[str, Any], folder: Path) -> None:
    """The schema that it was published with is another."""
    path = folder / "nrm.referral.submitted" / "v1.schema.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def edited_example(vector: dict[str, Any], folder: Path) -> None:
    """The example that it was made of is another."""
    path = folder / "nrm.referral.submitted" / "v1" / "full.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Alina", "Leyla"), encoding="utf-8")


def another_type(vector: dict[str, Any], folder: Path) -> None:
    """The record of another type under this name."""
    other = written("case.closed", 1)
    for name in ("record", "public", "publication"):
        vector[name] = other[name]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (header("ce_actor", "7041", "7042"), "signature_invalid"),
        (header("ce_dssematerial", "ey", "eY"), "signature_profile"),
        (member("record", lambda record: record | {"value": record["value"].replace("true", "false", 1)}), "signature_invalid"),
        (registered("registered", "Registered"), "signature_invalid"),
        (header("nrm_audience", "example-unit", "example-court"), "the registration commits to another audience"),
        (header("nrm_submitted", ":0", ":1"), "`record` is not what was published"),
        (no_audience, "is missing, or no golden record (KeyError)"),
        (another_registration, "the registration does not register this envelope"),
        (another_publisher, "key_not_current"),
        (another_letter, "letter_digest_mismatch"),
        (another_seed, "key_not_current"),
        (another_sender, "signature_invalid"),
        (edited_schema, "`schema` is not what was published"),
        (edited_example, "the record says something else than the full example"),
        (another_type, "the record is of another type or version"),
        (member("letter", another_suite), "suite_unknown"),
        (member("public", lambda _: {}), "is missing, or no golden record (KeyError)"),
    ],
    ids=range(17),
)  # fmt: skip
def test_an_altered_record_is_noticed(folder: Path, alter: Callable[[dict[str, Any], Path], None], told: str) -> None:
    """Sabotage: each alteration of a record, or beside it, is reported for that record and for no other."""
    vector = written("referral.submitted", 1)
    alter(vector, folder)
    (folder / REFERRAL).write_text(plain.dumps(vector), encoding="utf-8")

    found = list(golden.check(folder))
    assert told in " ".join(found)
    assert all(sentence.startswith(f"schemas/{REFERRAL}: ") for sentence in found)
