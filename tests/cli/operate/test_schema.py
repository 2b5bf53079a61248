"""``nrmbus schema``: a partner's developer reads the published language and holds a file against it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nrmbus.bus.errors import BusError
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import FOLDER
from typed import typed

SECRET = "Alina-CANARY"
POSTED = FOLDER.parent / "deploy" / "examples" / "referral.json"


def nrmbus(*arguments: object, stdin: str | None = None) -> Result:
    """Return the result of ``nrmbus schema``; raise `BusError` for a sentence that `__main__` would print."""
    done = typed("schema", *map(str, arguments), stdin=stdin)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def posted(**altered: Any) -> str:
    """Return the referral of deploy/examples, altered at its top level."""
    return json.dumps(json.loads(POSTED.read_bytes()) | altered)


def test_every_type_is_listed_with_its_versions() -> None:
    """The list is also available to scripts."""
    listed = {each["type"]: each for each in json.loads(nrmbus("list", "--json").stdout)["types"]}

    assert set(listed) == {f"nrm.{name}" for name, _ in TYPES}
    assert listed["nrm.referral.submitted"]["versions"][:2] == [1, 2]
    assert "identity" in listed["nrm.referral.submitted"]["parts"]
    assert "nrm.referral.submitted" in nrmbus("list").stdout


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "version"), TYPES)
def test_the_shown_schema_is_the_frozen_one(name: str, version: int) -> None:
    """The schema and both examples are shown byte for byte as in ``schemas/``."""
    folder = FOLDER / f"nrm.{name}"

    shown = nrmbus("show", f"nrm.{name}", "--version", version).stdout
    assert shown == (folder / f"v{version}.schema.json").read_text(encoding="utf-8")
    example = nrmbus("show", name, "--version", version, "--example", "full").stdout
    assert example == (folder / f"v{version}" / "full.json").read_text(encoding="utf-8")


def test_an_unknown_type_or_version_is_reported_without_repeating_it() -> None:
    """The input may have been pasted from a case."""
    for arguments, told in (
        (("show", SECRET), "No event of this type is published"),
        (("show", "referral.submitted", "--version", "77"), "those that are: 1, 2"),
        (("diff", "referral.submitted", "0", "1"), "those that are: 1, 2"),
        (("diff", "referral.submitted", "1", "0"), "those that are: 1, 2"),
        (("cast", POSTED, "--to", "77"), "those that are: 1, 2"),
    ):
        with pytest.raises(BusError, match=told) as raised:
            nrmbus(*arguments)
        assert SECRET not in str(raised.value)
        assert "77" not in str(raised.value)


@pytest.mark.parametrize("name", sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("nrm.*/v*/*.json")))
def test_every_published_example_fits(name: str) -> None:
    """The exit status is 0."""
    done = nrmbus("check", FOLDER / name)

    assert done.exit_code == 0, done.stdout


@pytest.mark.parametrize("path", sorted(POSTED.parent.glob("*.json")), ids=lambda path: path.name)
def test_every_example_of_the_door_fits(path: Path) -> None:
    """The README's examples are published events."""
    assert nrmbus("check", path).exit_code == 0


def published(alter: str, value: Any, of: str = "referral.submitted") -> str:
    """Return the full example of a referral, or *of* another type, with *value* at the slash-separated place *alter*, or without it if None."""
    whole = json.loads((FOLDER / f"nrm.{of}" / "v1" / "full.json").read_bytes())
    *steps, last = alter.split("/")
    inner = whole
    for step in steps:
        inner = inner[step]
    inner[last] = value
    if value is None:
        del inner[last]
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (published("event/data/urgency", SECRET), "/event/data/urgency"),
        (published("event/data/services", [SECRET]), "/event/data/services/0"),
        (published(f"event/data/{SECRET}", 1), "/event/data"),
        (published("event/source", SECRET), "/event/source"),
        (published("event/sequence", 0), "/event/sequence"),
        (published("event/specversion", SECRET), "/event/specversion"),
        (published("event/dataclassification", None), "/event/dataclassification"),
        (published("event/dssematerial", 5), "/event/dssematerial"),
        (published("event/dssematerial", SECRET), "/event/dssematerial"),
        (published("event/dssematerial", "AAAA" * 2049), "/event/dssematerial"),
        (published("event/type", "referral.submitted"), "/event/type"),
        (published("event/dataschema", "urn:nrmbus:nrm.case.closed:1"), "/event/dataschema"),
        (published("event/dataschema", f"{SECRET}:1"), "/event/dataschema"),
        (published(f"event/{SECRET}", "x"), "/event"),
        (published("letter/birth_date", SECRET), "/letter/birth_date"),
        (published("letter/contact/method", SECRET), "/letter/contact/method"),
        (published(f"letter/{SECRET}", 1), "/letter"),
        (published("event/data", SECRET), "/event/data"),
        (published("event/sealeddigest", "e" * 64, "case.closed"), "/event/sealeddigest"),
        (posted(data={"mode": SECRET}), "/data/mode"),
        (posted(sealed={"name": 7}), "/sealed/name"),
        (posted(**{SECRET: 1}), "/"),
        (posted(to=[SECRET]), "/to/0"),
        (posted(version=2), "/data/services/0"),
    ],
    ids=range(24),
)
def test_a_problem_is_named_and_never_repeated(document: str, pointer: str) -> None:
    """P9: the output has a pointer of published names and a kind, and the exit status is 1."""
    done = nrmbus("check", "-", "--json", stdin=document)

    assert done.exit_code == 1
    assert pointer in [each["pointer"] or "/" for each in json.loads(done.stdout)["problems"]]
    assert SECRET not in done.output
    assert SECRET not in nrmbus("check", "-", stdin=document).output


@pytest.mark.parametrize(
    "text", ["", "{", '{"type":"a","type":"b"}', f'{{"{SECRET}":1.5}}', "[]", '{"event":[]}'], ids=range(6)
)
def test_a_file_without_an_event_is_one_sentence(text: str) -> None:
    """The sentence has no traceback and no echo."""
    with pytest.raises(BusError) as raised:
        nrmbus("check", "-", stdin=text)
    assert SECRET not in str(raised.value)


class TestCasting:
    def test_down_names_what_was_lost_on_standard_error(self) -> None:
        """The time frame and the second language have no place in version 1."""
        done = nrmbus("cast", FOLDER / "nrm.referral.submitted" / "v2" / "full.json", "--to", 1)

        said = json.loads(done.stdout)
        assert said["event"]["dataschema"] == "urn:nrmbus:nrm.referral.submitted:1"
        assert said["event"]["data"]["services"] == ["water_sanitation"]
        assert said["letter"]["interpreter"] == "rus"
        assert "dssematerial" not in said["event"]
        assert done.stderr.splitlines() == [
            "lost: /data/services/0/time_frame of version 2",
            "lost: /letter/interpreter/1 of version 2",
        ]
        assert nrmbus("check", "-", stdin=done.stdout).exit_code == 0

    def test_up_loses_nothing(self) -> None:
        """A cast to a newer version keeps all data, and the result fits its schema."""
        done = nrmbus("cast", POSTED, "--to", 2, "--json")
        body = json.loads(done.stdout)

        assert body["lost"] == []
        assert body["document"]["data"]["services"] == [{"code": "safe_shelter"}, {"code": "health"}]
        assert body["document"]["to"] == ["special-unit"]
        assert nrmbus("check", "-", stdin=json.dumps(body["document"])).exit_code == 0

    def test_an_invalid_event_is_not_cast(self) -> None:
        """A cast of nonsense would be nonsense that fits."""
        with pytest.raises(BusError, match="/data"):
            nrmbus("cast", "-", "--to", 2, stdin=posted(data={"mode": SECRET}))
