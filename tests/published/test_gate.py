"""The gate: a published version stays as it was, and a new version comes complete; each breakage has a test."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from events.given import CHAIN, First, Second, Third
from nrmbus.events import schemas
from nrmbus.events.body import Body, Lowered
from nrmbus.events.model import Data
from nrmbus.events.registry import TYPES
from nrmbus.published import gate, golden
from nrmbus.published.__main__ import main
from nrmbus.published.compatibility import PRIVACY, changes
from published import unpublishable
from published.unpublishable import Edited, Fourth, Reworded

Models = list[type[Data]]
PUBLISHED: Models = [First, Second, Third]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder `schemas` with three published versions of one type, made by the steps of the contributor's page."""
    folder = tmp_path_factory.mktemp("schemas")
    publish(folder, PUBLISHED)
    return folder


def publish(folder: Path, models: Models) -> None:
    """Freeze what is missing, and add the lines that the gate asks for, with something said in them."""
    freeze(folder, models)
    with (folder / gate.CHANGELOG).open("a", encoding="utf-8") as file:
        for sentence in gate.findings(folder, models):
            if "has no line of" in sentence:
                file.write(sentence[sentence.index("- `") :].replace("…", "a thing that partners asked for") + "\n")


def freeze(folder: Path, models: Models) -> None:
    """Write schema, examples and golden record of what is not there yet."""
    for model in models:
        for path, text in schemas.documents((model,)).items():
            if not (folder / path).exists():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        record = folder / gate.golden_name(model.type, model.version)
        if not record.exists():
            record.parent.mkdir(exist_ok=True)
            record.write_text(json.dumps(golden.make(model, folder)), encoding="utf-8")


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The same, to be broken."""
    return Path(shutil.copytree(published, tmp_path / "schemas"))


def found(folder: Path, models: Models = PUBLISHED) -> str:
    """All that the gate finds, in lines."""
    return "\n".join(gate.findings(folder, models))


@pytest.mark.thorough
def test_the_published_folder_passes() -> None:
    """The folder `schemas` is whole, every version in it is as it was published, and looking takes no time to speak of."""
    began = time.process_time()

    assert list(gate.findings()) == []
    assert time.process_time() - began < 10


def test_a_wholly_published_version_passes(folder: Path) -> None:
    """The steps of the contributor's page pass the gate, so that each breakage below breaks one thing."""
    assert found(folder) == ""


@pytest.mark.thorough
def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence a line, and exit code 1; 0 where nothing is wrong."""
    assert main(["check"]) == 0
    copied = shutil.copytree(schemas.FOLDER, tmp_path / "schemas")
    (copied / "nrm.case.closed" / "v1.schema.json").unlink()

    assert main(["check", "--folder", str(copied)]) == 1
    assert capsys.readouterr().out.splitlines() == ["schemas/nrm.case.closed/v1.schema.json is missing: restore it"]


STEM = "nrm.case.example"
OTHER = '\n  "edited": true,'


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    """An edit of one file."""

    def edited(folder: Path) -> None:
        text = (folder / path).read_text(encoding="utf-8")
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edited


def remove(*paths: str) -> Callable[[Path], object]:
    """The files are gone."""

    def removed(folder: Path) -> None:
        for path in paths:
            (folder / path).unlink()

    return removed


def regenerate(model: type[Data]) -> Callable[[Path], object]:
    """Schema and examples of *model* written over what is frozen, as a command that nobody has would."""

    def regenerated(folder: Path) -> None:
        for path, text in schemas.documents((model,)).items():
            (folder / path).write_text(text, encoding="utf-8")

    return regenerated


def republish(model: type[Data]) -> Callable[[Path], object]:
    """The same, and a new golden record over the old."""

    def republished(folder: Path) -> None:
        regenerate(model)(folder)
        remove(gate.golden_name(model.type, model.version))(folder)
        freeze(folder, [model])

    return republished


def nothing(folder: Path) -> None:
    """The folder stays as it is; a model changed."""


def first_is(model: type[Data]) -> Models:
    """*model* in the place of version 1."""
    return [model, Second, Third]


FROZEN: dict[str, tuple[Callable[[Path], object], Models, list[str]]] = {
    "a model is edited": (
        nothing, first_is(Edited),
        ["v1.schema.json is not what its model says (/event/data/what fewer codes: meal, breaks readers)",
         "v1/full.json is not what its model says: a published version is never edited"],
    ),
    "a model says it in other words": (
        nothing, first_is(Reworded), ["v1.schema.json is not what its model says (words only)"],
    ),
    "a frozen schema is edited": (
        edit(f"{STEM}/v1.schema.json", '"meal",', '"meal", "tea",'), PUBLISHED,
        ["v1.schema.json is not what nrm.case.example 1 was published with", "has another schema of nrm.case.example 1"],
    ),
    "a frozen schema is spelled in another way": (
        edit(f"{STEM}/v1.schema.json", "\n", "\r\n"), PUBLISHED, ["v1.schema.json is not what nrm.case.example 1 was"],
    ),
    "a frozen example is edited": (
        edit(f"{STEM}/v2/full.json", "example-7041", "example-7042"), PUBLISHED,
        ["v2/full.json is not what nrm.case.example 2 was published with"],
    ),
    "model, schema and examples are edited in one go": (
        regenerate(Edited), first_is(Edited),
        ["v1.schema.json is not what nrm.case.example 1 was published with",
         "v1/full.json is not what nrm.case.example 1 was published with",
         "has another schema of nrm.case.example 1"],
    ),
    "the golden record too": (
        republish(Edited), first_is(Edited),
        ["CHANGELOG.md has another schema of nrm.case.example 1", "CHANGELOG.md has another golden record of nrm.case.example 1"],
    ),
    "a schema is deleted": (
        remove(f"{STEM}/v2.schema.json"), PUBLISHED, ["v2.schema.json is missing: restore it"],
    ),
    "an example is deleted": (
        remove(f"{STEM}/v2/minimal.json"), PUBLISHED, ["v2/minimal.json is missing: restore it"],
    ),
    "a golden record is deleted": (
        remove("golden/nrm.case.example.v2.json"), PUBLISHED, ["golden/nrm.case.example.v2.json is missing, a signed record"],
    ),
    "a golden record is edited": (
        edit("golden/nrm.case.example.v2.json", "example-7041", "example-7042"), PUBLISHED,
        ["CHANGELOG.md has another golden record of nrm.case.example 2"],
    ),
    "a golden record is another's": (
        lambda folder: shutil.copy(folder / "golden/nrm.case.example.v1.json", folder / "golden/nrm.case.example.v2.json"),
        PUBLISHED,
        ["golden/nrm.case.example.v2.json is no golden record of nrm.case.example 2"],
    ),
    "a golden record is no record": (
        lambda folder: (folder / "golden/nrm.case.example.v2.json").write_text("[]", encoding="utf-8"),
        PUBLISHED,
        ["golden/nrm.case.example.v2.json is no golden record of nrm.case.example 2"],
    ),
    "a line of the changelog is deleted": (
        edit(gate.CHANGELOG, "`nrm.case.example 2`", "`nrm.case.exampled 2`"), PUBLISHED,
        ["has no line of nrm.case.example 2; add it", "has nrm.case.exampled 2, which is not published"],
    ),
    "a line says nothing": (
        edit(gate.CHANGELOG, "a thing that partners asked for", "…"), PUBLISHED,
        ["does not say what nrm.case.example 1 changed"],
    ),
    "a line stands twice": (
        lambda folder: edit(gate.CHANGELOG, "- `", (folder / gate.CHANGELOG).read_text(encoding="utf-8").split("\n")[0] + "\n- `")(folder),
        PUBLISHED,
        ["has nrm.case.example 1 more than once"],
    ),
    "the last version is taken away": (
        nothing, [First, Second],
        ["nrm.case.example/v3.schema.json belongs to no published version", "v3/full.json belongs to", "v3/minimal.json belongs to",
         "golden/nrm.case.example.v3.json belongs to", "has nrm.case.example 3, which is not published"],
    ),
    "the last version and its files are taken away": (
        remove(*gate.published_files("case.example", 3).values(), gate.golden_name("case.example", 3)), [First, Second],
        ["CHANGELOG.md has nrm.case.example 3, which is not published"],
    ),
    "a version between is taken away": (
        nothing, [First, Third], ["nrm.case.example 3 has no version 2 before it", "v2.schema.json belongs to no"],
    ),
    "a stray file": (
        lambda folder: (folder / STEM / "v1.schema.json.orig").write_text("", encoding="utf-8"),
        PUBLISHED,
        ["v1.schema.json.orig belongs to no published version"],
    ),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("broken", "models", "told"), [pytest.param(*each, id=name) for name, each in FROZEN.items()])
def test_a_published_version_stays(
    folder: Path, broken: Callable[[Path], object], models: Models, told: list[str]
) -> None:
    """Sabotage: a published version edited or taken away, in one place or in several, is told with what to do."""
    broken(folder)

    said = found(folder, models)
    for sentence in told:
        assert sentence in said
    assert all(": " in line or ";" in line for line in said.splitlines())


NEW: dict[str, tuple[type[Data], list[str]]] = {
    "no casts": (unpublishable.Castless, ["nrm.case.example 4 has no `up` of its own", "nrm.case.example 4 has no `down` of its own"]),
    "a field owed that was not said": (
        unpublishable.Demanding, ["nrm.case.example 4: what `up` gives is not valid in version 4: /data/nights missing"],
    ),
    "an invented value": (unpublishable.Inventive, ["nrm.case.example 4: `up` invents a value at /data/nights of version 4"]),
    "a silent loss": (
        unpublishable.Silent, ["nrm.case.example 4: what `down` of version 4 names as lost is not what is missing after `up`, at /data/nights"],
    ),
    "down gives what version 3 refuses": (
        unpublishable.Careless, ["nrm.case.example 4: what `down` gives is not valid in version 3: /data unknown_field"],
    ),
    "up loses": (
        unpublishable.Forgetful, ["nrm.case.example 4: `down` of version 4 does not give back what `up` was given, at /letter/name"],
    ),
    "up wants the whole letter": (unpublishable.Hoping, ["nrm.case.example 4: `up` of version 4 raises KeyError"]),
    "sealed to clear": (unpublishable.Open, ["lets more read /event/data/name than version 1, the name was sealed as DC3"]),
    "a lower class": (unpublishable.Lower, ["lets more read /letter/name than version 3, from DC3 to DC2"]),
    "another part": (
        unpublishable.Moved, ["lets more read /letter/name than version 3, from the letter's part identity to the letter's part coded",
                "has other parts of the letter than version 3"],
    ),
    "a keyword that is not understood": (unpublishable.Union, ["cannot be compared at /event/data/nights, `anyOf` is not understood"]),
    "a field without an example": (unpublishable.Unshown, ["nrm.case.example 4: Data.nights needs an example, beside the field"]),
    "an example that does not fit": (unpublishable.Unfit, ["nrm.case.example 4: the example at /language does not fit (int_type): write one"]),
    "a cast into another part": (unpublishable.Indiscreet, ["nrm.case.example 4: `up` shows at /letter/called/0/text of version 4 what fewer"]),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("model", "told"), [pytest.param(*each, id=name) for name, each in NEW.items()])
def test_a_new_version_comes_whole(folder: Path, model: type[Data], told: list[str]) -> None:
    """Sabotage: a version with casts or fields that break a promise does not pass, even with all its files."""
    said = found(folder, [*PUBLISHED, model])

    for sentence in told:
        assert sentence in said


def test_each_missing_piece_of_a_new_version_is_named(folder: Path) -> None:
    """Schema, examples, golden record and line: each is asked for, and with all of them the version is published."""
    models: Models = [*PUBLISHED, Fourth]
    stem = "schemas/nrm.case.example"
    asked = found(folder, models).splitlines()
    assert asked == [
        "schemas/golden/nrm.case.example.v4.json is missing, a signed record of nrm.case.example 4: `nrmbus schema freeze` writes it",
        *(
            f"{stem}/{name} is missing: `nrmbus schema freeze` writes it"
            for name in ("v4.schema.json", "v4/minimal.json", "v4/full.json")
        ),
    ]

    freeze(folder, models)
    (line,) = found(folder, models).splitlines()
    assert "has no line of nrm.case.example 4; add it, with what changed and why: - `nrm.case.example 4`: …" in line

    publish(folder, models)
    assert found(folder, models) == ""


def test_casts_are_judged_on_more_than_the_frozen_examples(folder: Path) -> None:
    """A version that only fails on an event with less in it than the full example fails."""

    class Expecting(Fourth):
        """It expects the nights."""

        @classmethod
        def up(cls, said: Body) -> Body:
            """As it was."""
            return said

        @classmethod
        def down(cls, said: Body) -> Lowered:
            """Not everybody says them."""
            data = dict(said.data)
            del data["nights"]
            return Lowered(Body(data, said.letter), ("/data/nights",))

    assert "`down` of version 4 raises KeyError" in found(folder, [*PUBLISHED, Expecting])


@pytest.mark.thorough
def test_no_finding_repeats_a_value(folder: Path) -> None:
    """The examples are nobody's, but a finding is made of names, pointers and codes all the same."""
    for model, _ in NEW.values():
        assert "example-unit" not in found(folder, [*PUBLISHED, model])
        assert "Example" not in found(folder, [*PUBLISHED, model])


def test_every_privacy_finding_is_about_more_readers() -> None:
    """The chain of the tests lets nobody read more, so the findings above come from what was broken in them."""
    for lower, upper in ((1, 2), (2, 3), (1, 3)):
        for change in changes(schemas.schema_of(CHAIN[lower]), schemas.schema_of(CHAIN[upper])):
            assert PRIVACY not in change.breaks


def test_every_version_of_every_type_is_looked_at() -> None:
    """An empty folder has a finding for each file of each version: none is passed over."""
    named = list(gate.findings(Path("nowhere")))

    for key in TYPES:
        for path in (*gate.published_files(*key).values(), gate.golden_name(*key)):
            assert sum(sentence.startswith(f"schemas/{path} ") for sentence in named) == 1
