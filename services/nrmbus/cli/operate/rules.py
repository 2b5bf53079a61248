"""``nrmbus rules``: the law of the mechanism as it is applied: a profile shown, explained, compared and checked."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.events.policy import PROFILE_NAME
from nrmbus.rules.handbook.checking import Finding, findings
from nrmbus.rules.handbook.citations import Citation
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.differences import Difference, differences
from nrmbus.rules.handbook.explaining import Explanation, Line, explained, sentence_of_clock, words_of
from nrmbus.rules.handbook.words import BEFORE_THE_CASE, CONDITIONS
from nrmbus.rules.placed import placed
from nrmbus.rules.profile import Profile, ProfileError, UnknownProfileError
from nrmbus.rules.profile_files import (
    add_profiles,
    extended_by,
    load_profile,
    profile_names,
    profile_text,
    read_profile,
)
from nrmbus.wire.errors import SENTENCES

app = Commands(
    "rules",
    "The Rules: show a profile, explain a rule or clock, compare two profiles, check a file, write its documents, judge the history by another.",
)

Which = Annotated[
    str, typer.Argument(metavar="PROFILE", help="A profile's name such as az@2022-04-29, or a file of your own.")
]
Under = Annotated[str, typer.Option("--profile", metavar="PROFILE", help="The profile's name, or a file of your own.")]
TABLES: Final = ("roles", "statuses", "types", "rules", "clocks", "values")


@app.register(example="nrmbus rules show az@2022-04-29 --only clocks")
def show(
    profile: Which = PROFILE,
    *,
    only: Annotated[
        str | None, typer.Option(metavar="TABLE", help=f"One table: {', '.join(TABLES)}. (default: all)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a profile: its roles, statuses, types of event, rules, clocks, and values.

    A `u` marks a value that rests on law whose text was not readable. `--json` prints every value as the registrar
    reads it, with the profile's digest.
    """
    if only not in (None, *TABLES):
        raise BusError(f"There is no such table: --only {'|'.join(TABLES)}")
    found = named(profile)
    if as_json:
        typer.echo(
            json.dumps({"digest": found.digest, "profile": found.model_dump(mode="json", by_alias=True)}, indent=2)
        )
        return
    console = Console()
    if only is None:
        _head(console, found)
    for table in TABLES:
        if only in (None, table):
            _SHOWN[table](console, found)


@app.register(example="nrmbus rules explain G-32")
def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A rule (G-32), a code of a refusal (consent_required), a clock (D-REFER), a type (plan.adopted), a transition (T08) or a status.",
        ),
    ],
    *,
    profile: Under = PROFILE,
    as_json: AsJson = False,
) -> None:
    """Explain a rule, a code of a refusal, a clock, a type of event, a transition or a status.

    It prints the sentence, the basis with the title of the law, the events concerned, and an example.
    """
    rules = named(profile)
    found = explained(rules, what) or tuple(_of_wire(what))
    if not found:
        close = get_close_matches(what, words_of(rules), n=1)
        raise BusError(
            f"{rules.name} has nothing of this name. {f'Did you mean {close[0]}? ' if close else ''}All rules: nrmbus rules show"
        )
    if as_json:
        typer.echo(
            json.dumps(
                {"profile": rules.name, "found": [_as_json(each) for each in found]}, indent=2, ensure_ascii=False
            )
        )
        return
    console = Console()
    for number, each in enumerate(found):
        if number:
            console.print()
        _explanation(console, each)


@app.register(example="nrmbus rules diff az@2022-04-29 draft.yaml")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A profile's name, or a file.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A profile's name, or a file.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what profile B has more, less or otherwise than profile A."""
    first, second = named(before), named(after)
    found = differences(first, second)
    if as_json:
        changes = [asdict(each) | {"path": ".".join(map(str, each.path))} for each in found]
        typer.echo(
            json.dumps({"a": first.name, "b": second.name, "differences": changes}, indent=2, ensure_ascii=False)
        )
        return
    console = Console()
    console.print(
        Text.assemble((first.name, "bold"), " to ", (second.name, "bold"), f": {counted(len(found), 'difference')}")
    )
    for table, rows in groupby(found, key=lambda each: each.table):
        console.print(Text(f"\n{table}", "bold"))
        for each in rows:
            console.print(Padding(_difference(each), (0, 0, 0, 2)), soft_wrap=False)


@app.register(example="nrmbus rules check draft.yaml")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile, in YAML.", dir_okay=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Check the profile in FILE: print every mistake with its line and column, and what to do.

    It finds unknown rules, words, roles and types, cycles of roles, types that nobody may publish or receive, clocks
    without an end or that nobody in charge can end, statuses that lead nowhere, bases that do not resolve, and marks
    that are missing. Notes change nothing. A profile that it extends may lie beside it, in a file of that name, such as
    az@2027-01-01.yaml. Exit status: 0 if there is no mistake, else 1.
    """
    text = _text(file)
    found = findings(text, _beside(file, text))
    errors = [each for each in found if each.kind == "error"]
    if as_json:
        typer.echo(
            json.dumps({"file": str(file), "findings": [asdict(each) for each in found]}, indent=2, ensure_ascii=False)
        )
    else:
        console = Console()
        for each in found:
            console.print(_finding(file, each), soft_wrap=True)
        if not errors:
            profile = named(str(file))
            counts = f"{counted(len(profile.types), 'type')}, {counted(len(profile.refusals), 'rule')}, {counted(len(profile.clocks), 'clock')}"
            console.print(Text.assemble((profile.name, "bold"), f" is sound: {counts}; digest {profile.digest[:12]}"))
        else:
            console.print(Text(f"{counted(len(errors), 'mistake')} in {file}"), soft_wrap=True)
    raise typer.Exit(bool(errors))


@app.register(example="nrmbus rules holidays GE --until 2030")
def holidays(
    country: Annotated[str, typer.Argument(metavar="COUNTRY", help="The two letters of ISO 3166.")],
    *,
    since: Annotated[
        int | None,
        typer.Option("--since", metavar="YEAR", help="The first year. (default: this year)", min=1, max=9999),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option("--until", metavar="YEAR", help="The last year. (default: nine years later)", min=1, max=9999),
    ] = None,
) -> None:
    """Print the public holidays of a country, as `days_off` of a profile has them.

    The days are those of the library `holidays`. A profile carries its days, so that every agency counts the same working
    days whatever is installed there. Check them against the law before you use them.
    """
    # Imported here: the library takes half a second and 17 MiB, and nothing else needs it.
    from nrmbus.rules.handbook import holidays as library  # noqa: PLC0415

    first = since if since is not None else datetime.now(UTC).year
    last = until if until is not None else min(first + 9, date.max.year)
    try:
        found = library.named(country, range(first, last + 1))
    except ProfileError as error:
        raise BusError(str(error)) from None
    if not found:
        raise BusError(f"The library `holidays` has none of {country} from {first} to {last}.")
    typer.echo(f"calendar:\n  days_off:  # public holidays of {country}, {first} to {last}")
    for day, name in found.items():
        typer.echo(f'    - "{day}"  # {name}')


def named(profile: str) -> Profile:
    """Return the bundled profile called *profile*, or the one in the file of that path.

    Raises:
        BusError: there is neither, or the file does not read.
    """
    if profile in profile_names():
        return load_profile(profile)
    path = Path(profile)
    if not path.is_file():
        raise BusError(f"There is no such profile or file. Profiles: {', '.join(profile_names())}")
    text = _text(path)
    try:
        return read_profile(text, _beside(path, text))
    except (ProfileError, UnknownProfileError):
        raise BusError(f"The profile in {path} does not read: nrmbus rules check {path}") from None


@app.register(example="nrmbus rules write draft.yaml --out draft")
def write(
    profile: Which = PROFILE,
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder for the documents.", file_okay=False)],
) -> None:
    """Write the documents of a profile: its tables, the diagram of the statuses, and the procedure of each agency.

    They are Markdown and Mermaid, made from the profile and the code alone. What was in their files before is replaced.
    """
    # Imported here: no other command of this group needs the procedures.
    from nrmbus.cli.operate.rule_documents import write_documents  # noqa: PLC0415

    for path in write_documents(named(profile), out):
        typer.echo(path)


@app.register(example="nrmbus rules add az-2027.yaml")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The profile, in YAML.", dir_okay=False)],
    *,
    context: BusContext,
) -> None:
    """Give the bus a profile of your own, beside those of the release: two people of the coordinator's office activate it later.

    Every machine of the bus needs the same file before its day; an invitation has it in it. Services that run take it within
    seconds. An agency without the file keeps what it receives under that profile waiting, until it has the file and its desk
    is started again. A profile with a mistake is refused.
    """
    folder = context.folder
    folder.settings  # noqa: B018 - raises where no bus was made
    try:
        profile = own_profile(file)
    except NoBus as error:
        raise NoBus(f"{error}{_draft_in_the_way(folder, file)}") from None
    folder.keep_profile(profile.name, _text(file))
    typer.echo(
        f"{folder.path} has the profile {profile.name}; services that run take it within seconds. Give the file to every agency, "
        "to each standby host, and to an auditor elsewhere."
    )
    typer.echo(f"Digest, which every machine must have: {profile.digest}")


def _draft_in_the_way(folder: BusFolder, file: Path) -> str:
    """Return the sentence about a file of *folder* that has the name of the profile in *file*, and other values; "" if none has."""
    text = _text(file)
    with suppress(ProfileError, UnknownProfileError):
        profile = read_profile(text, _beside(file, text))
        kept = folder.profiles / f"{profile.name}.yaml"
        if kept.exists() and load_profile(profile.name).digest != profile.digest:
            return (
                f". If the operator has the digest {profile.digest} for this name, {kept} is an earlier draft: remove that, "
                "add the file again, and start the services here again."
            )
    return ""


def own_profile(file: Path) -> Profile:
    """Return the profile in *file*, which this process knows from then on.

    Raises:
        NoBus: the file has a mistake, or a profile of its name is known with other values.
    """
    text = _text(file)
    if any(each.kind == "error" for each in findings(text)):
        raise NoBus(f"The profile in {file} has mistakes: nrmbus rules check {file}")
    why = ""
    try:
        return add_profiles([text])[0]
    except (ProfileError, UnknownProfileError) as error:
        why = str(error)
    raise NoBus(f"The profile in {file} cannot be used: {why}")


def text_of(profile: str) -> str:
    """Return the YAML of *profile*, a name that this process knows or a file; raises as `named`."""
    return profile_text(profile) if profile in profile_names() else _text(Path(profile))


def _beside(file: Path, text: str) -> dict[str, str]:
    """Return the texts by name of the profiles that *text* of *file* extends, as far as they lie in files beside it."""
    found: dict[str, str] = {}
    while (name := extended_by(text)) is not None and name not in (*found, *profile_names()):
        path = file.parent / f"{name}.yaml"
        if not re.fullmatch(PROFILE_NAME, name) or not path.is_file():
            break
        found[name] = text = _text(path)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BusError(f"{file} is no text in UTF-8: save it as UTF-8.") from None


# show


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=number == 0, style="bold" if number == 0 else None)
    return table


def _section(console: Console, title: str, table: Table) -> None:
    console.print(Text(f"\n{title}", "bold underline"))
    console.print(table)


def _head(console: Console, profile: Profile) -> None:
    counts = f"{len(profile.types)} types, {len(profile.refusals)} rules, {len(profile.clocks)} clocks"
    console.print(Text.assemble((profile.name, "bold"), f"  {counts}  {profile.timezone}"))
    console.print(Text(f"digest {profile.digest}", "dim"), soft_wrap=True)
    console.print(f"Not confirmed by a readable law: {', '.join(profile.unverified) or 'nothing'}", highlight=False)


def _roles(console: Console, profile: Profile) -> None:
    table = _table("group", "roles")
    for name in profile.roles:
        table.add_row(name, ", ".join(sorted(profile.expand((name,)))))
    _section(console, "Roles", table)


def _statuses(console: Console, profile: Profile) -> None:
    table = _table("row", "from", "to", "events", "only if")
    for row in profile.statuses.transitions:
        before = ", ".join(BEFORE_THE_CASE if each == "none" else each for each in row.from_)
        table.add_row(
            row.id, before, row.to or "stays", ", ".join(row.events), CONDITIONS[row.when] if row.when else ""
        )
    _section(console, "Statuses", table)


def _types(console: Console, profile: Profile) -> None:
    table = _table("type", "published by", "told", "u")
    for name, row in profile.types.items():
        table.add_row(name, ", ".join(row.by), ", ".join(row.sees) or "nobody", "u" if row.unverified else "")
    _section(console, "Types of event", table)


def _rules(console: Console, profile: Profile) -> None:
    table = _table("rule", "code", "the sender reads", "u")
    for rule, cited in profile.refusals.items():
        table.add_row(rule, cited.code, Text(placed(cited.says, profile)), "u" if cited.unverified else "")
    _section(console, "Rules, in the order of asking", table)


def _clocks(console: Console, profile: Profile) -> None:
    table = _table("clock", "what is owed", "ended by", "u")
    for code, rule in profile.clocks.items():
        ends = ", ".join(dict.fromkeys(name for end in rule.ends_by for name in end.events))
        table.add_row(code, sentence_of_clock(rule), ends, "u" if rule.unverified else "")
    _section(console, "Clocks", table)


def _values(console: Console, profile: Profile) -> None:
    table = _table("value", "is")
    for name, value in profile.periods.model_dump().items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    for tariff in profile.allowance.tariffs:
        words = f"{tariff.value} {tariff.currency} ({tariff.tariff})"
        table.add_row(f"allowance from {tariff.valid_from}", Text(words))
    table.add_row("k, the smallest published figure", str(profile.k))
    for name, row in profile.retention.classes.items():
        table.add_row(f"kept: {name}", "for ever" if row.years is None else counted(row.years, "year"))
    table.add_row(
        "emergency access", f"{profile.emergency.monthly} a month, {profile.emergency.object_minutes} minutes to object"
    )
    _section(console, "Values", table)


_SHOWN: Final = {
    "roles": _roles, "statuses": _statuses, "types": _types, "rules": _rules, "clocks": _clocks, "values": _values,
}  # fmt: skip


# explain


def _of_wire(code: str) -> Iterator[Explanation]:
    """Yield the explanation of a code that the wire gives before any rule is asked."""
    for known, sentence in SENTENCES.items():
        if known == code.lower():
            line = Line("Judged by", ("the wire, before the Rules are asked: services/nrmbus/wire/README.md",))
            yield Explanation("code of the wire", known, sentence, (line,), (), unverified=False)


def _as_json(each: Explanation) -> dict[str, object]:
    return asdict(each) | {"lines": {line.title: line.texts for line in each.lines}}


def _explanation(console: Console, each: Explanation) -> None:
    console.print(
        Text.assemble((each.name, "bold"), ("  not confirmed by a readable law" if each.unverified else "", "yellow"))
    )
    console.print(Text(each.sentence))
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for line in each.lines:
        rows.add_row(line.title, Text("\n".join(line.texts) if _is_long(line.texts) else ", ".join(line.texts)))
    if each.sources:
        rows.add_row("Basis", Text("\n".join(_source(source) for source in each.sources)))
    console.print()
    console.print(rows)
    if each.example:
        kind = "Example of a refusal" if each.kind == "rule" else "Example of the event"
        console.print(Text(f"\n{kind}", "dim"))
        console.print_json(data=each.example)


def _is_long(texts: Iterable[str]) -> bool:
    return any(" " in each for each in texts)


def _source(source: Citation) -> str:
    marks = "".join(f" [{mark}]" for mark in source.marks)
    return f"{source.text}{marks}{f': {source.title}' if source.title else ''}"


# diff and check


def _difference(each: Difference) -> Text:
    place = each.place or each.table
    if each.kind == "added":
        return Text.assemble(("+ ", "green"), (place, "bold"), f": {each.after}")
    if each.kind == "removed":
        return Text.assemble(("- ", "red"), (place, "bold"), f": {each.before}")
    what = "the order of asking, " if each.kind == "order" else ""
    return Text.assemble(("~ ", "yellow"), (place, "bold"), f": {what}{each.before} → {each.after}")


def _finding(file: Path, each: Finding) -> Text:
    colour = "red" if each.kind == "error" else "cyan"
    place = Text.assemble(
        (f"{file}:{each.line}:{each.column}", "bold"), ": ", (each.kind, colour), f": {each.says}; {each.do}"
    )
    return place + (Text(f" ({each.path})", "dim") if each.path else Text(""))
