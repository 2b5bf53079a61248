"""``nrmbus person-report``: what is held of a person, by whom, why, and who read it, in the person's language."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

if TYPE_CHECKING:
    from nrmbus.auditor.held import Held, Holder
    from nrmbus.auditor.pages.words import Words
    from nrmbus.bus.folder import BusFolder

_HERE: Final = Path(__file__).parent


class Language(StrEnum):
    """The languages that it is written in."""

    az = "az"
    en = "en"
    ru = "ru"


def person_report(
    case: Annotated[str, typer.Option("--case", metavar="REF", help="The case: its reference, or the first digits.")],
    language: Annotated[Language, typer.Option("--language", help="In which language the person asks.")],
    *,
    agency: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The agency that hands it to the person. (default: who holds the case)"),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Its number of who hands it over. (default: this machine's account's)"),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to print, in place of text.")] = None,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
) -> None:
    """Tell the person what is held about them: by which agency, on which ground, who read it, who was told what.

    That it is told is put on record first, and nothing is printed where that fails; so is that there is no such case, or
    that the agency cannot tell of it, by the auditor. It names no member of staff, and says nothing of what stands in a
    letter.
    """
    from nrmbus.auditor.held import held
    from nrmbus.auditor.pages.words import Words
    from nrmbus.bus.errors import BusError
    from nrmbus.cli.desks import whole
    from nrmbus.cli.on_record import number_at, refused_on_record
    from nrmbus.cli.replay import verified

    folder = folder_of(data, bus)
    seen = verified(folder)
    with refused_on_record(folder):
        subject = whole(case, seen.history.spoken_of())
    entries = seen.history.about(subject)
    last = next((each.event for each in reversed(entries) if each.event), None)
    teller = agency or (seen.rules.holder(seen.view(subject, entries), last) if last else None)
    with refused_on_record(folder, "case", subject):
        if teller is None:
            raise BusError("Nobody holds this case yet: say by --agency who hands the report to the person.")
        number = asyncio.run(_on_record(folder, teller, subject, number_at(folder, teller, actor)))
    seen = verified(folder)  # once more: this report is a part of what it tells
    made = max(entry.registration.time for entry in seen.history.about(subject))
    words = Words(language.value, seen.rules.profile.zone)
    report = written(held(seen, subject), words, teller=teller, number=number, made=made)
    if html is None:
        typer.echo(report.text())
    else:
        html.touch(mode=0o600)
        html.write_text(report.html(), encoding="utf-8")
        typer.echo(f"Wrote {html}. On record as number {number}.")


async def _on_record(folder: "BusFolder", agency: str, subject: str, actor: str) -> int:
    from nrmbus.cli.desks import door_of

    async with door_of(folder, agency) as door:
        answer = await door.read_case(subject, what="person_report", actor=actor, purpose="person_request")
    return int(answer["number"])


# -- the words -------------------------------------------------------------------------------------------------------


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Every sentence of a report by its key, in every language."""
    import yaml

    found: dict[str, dict[str, str]] = yaml.safe_load((_HERE / "person_report.yaml").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Section:
    """What a report says under one heading: sentences, and lists of short lines below some of them."""

    heading: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report to a person, ready to be shown."""

    language: str
    title: str
    intro: tuple[str, ...]
    sections: tuple[Section, ...]

    def text(self) -> str:
        """As plain text, for a terminal or a printer."""
        shown = [self.title, "=" * len(self.title), "", *self.intro]
        for section in self.sections:
            shown += ["", section.heading, "-" * len(section.heading)]
            for sentence, below in section.lines:
                shown += [sentence, *(f"  - {each}" for each in below)]
        return "\n".join(shown)

    def html(self) -> str:
        """As one page that loads nothing."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

        environment = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=select_autoescape(["j2"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        return environment.get_template("person_report.html.j2").render(report=self)


def written(of: "Held", words: "Words", *, teller: str, number: int, made: datetime) -> Report:
    """The report about what is *of* the person held, in the language of *words*; *teller* hands it over."""

    def say(key: str, **values: Any) -> str:
        sentence = sentences()[key][words.language]
        return sentence.format(**values) if values else sentence

    names = {each.agency: _name(each, words) for each in of.holders}
    intro = [
        say("intro"),
        say("made", agency=names.get(teller, teller), day=words.day(made), number=number),
        say("case", case=of.subject),
        say("sealed"),
        *([say("child")] if of.child else []),
        *([say("statistics")] if of.statistics else []),
    ]
    sections = [Section(names[each.agency], tuple(_about(each, words, say))) for each in of.holders]
    rights = Section(say("rights"), ((say("rights.withdraw"), ()), (say("rights.ask"), ())))
    return Report(words.language, say("title"), tuple(intro), (*sections, rights))


def _name(holder: "Holder", words: "Words") -> str:
    role = words.gloss("role", holder.role)
    return f"{holder.agency} ({role})" if role else holder.agency


def _about(holder: "Holder", words: "Words", say: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    parts = "; ".join(say(f"part.{part}") for part in sorted(holder.parts))
    yield say("held", parts=parts) if parts else say("held.nothing"), ()
    if holder.told or holder.said:
        yield _ground(holder, words, say), ()
    if holder.stopped:
        yield say("stopped", day=words.day(holder.stopped.at)), ()
        yield _stopped(holder, words, say), ()
    readings = [
        say(
            "read.line",
            day=words.moment(each.at),
            what="; ".join(say(f"part.{part}") for part in each.parts) or words.gloss("access", each.what),
            purpose=words.gloss("purpose", each.purpose),
        )
        for each in holder.readings
    ]
    yield (say("read"), tuple(readings)) if readings else (say("read.nothing"), ())
    for key, steps in (("told", holder.told), ("said", holder.said)):
        if steps:
            yield say(key), tuple(_steps(steps.items(), words, say))


def _ground(holder: "Holder", words: "Words", say: Any) -> str:
    day = words.day(holder.since) if holder.since else ""
    if holder.ground == "override" and day:
        return str(say("ground.override", day=day))
    if holder.ground == "consent":
        return str(say("ground.consent", day=day) if day else say("ground.consent_ended"))
    return str(say("ground.law", basis=holder.basis) if holder.basis else say("ground.rules"))


def _stopped(holder: "Holder", words: "Words", say: Any) -> str:
    stopped = holder.stopped
    if stopped is None or stopped.state != "missing":
        return str(say(f"stop.{stopped.state}")) if stopped else ""
    day = words.day(stopped.due - timedelta(seconds=1)) if stopped.due else ""  # 24:00 belongs to the day that it ends
    return str(say("stop.late" if stopped.breached else "stop.missing", day=day))


def _steps(steps: Iterable[tuple[str, datetime]], words: "Words", say: Any) -> Iterator[str]:
    for kind, at in steps:
        yield say("step", day=words.day(at), step=words.gloss("type", kind) or kind)
