"""``nrmbus person-report``: the data held about a person, their holders, grounds and readers, in the person's language."""

import asyncio
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.reports.holders import AccessRecord, Holder, HoldersReport, Written, held
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.bus.references import whole
from nrmbus.cli.actor import number_at
from nrmbus.cli.audit import on_record
from nrmbus.cli.audit.on_record import As, refused_on_record
from nrmbus.cli.audit.own_reading import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.options import BusContext, Case, to_write
from nrmbus.packed import packed
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.languages import Language
from nrmbus.web.words import Words

app = Commands()

_AUDITOR: Final = "auditor"


@app.register(example="nrmbus person-report --case 5f0c1a2b --language az")
def person_report(
    case: Case,
    language: Annotated[Language, typer.Option("--language", help="The person's language.")],
    *,
    agency: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The agency that hands the report over: one whose desk is on this machine, or auditor. (default: the holder of the case if its desk is here, else auditor)",
        ),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Staff number of the person who hands it over. (default: the number of this machine's account)",
        ),
    ] = None,
    name: As = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page for printing instead of text.", callback=to_write),
    ] = None,
    context: BusContext,
) -> None:
    """Print a report for a person: which agency holds which data, on which ground, who read them, who received what.

    The disclosure is recorded before anything is printed, by the agency's desk or else by the auditor. If recording
    fails, nothing is printed. The answer that there is no such case, or that the agency cannot report on it, is
    recorded too. The report names no member of staff and shows no content of a letter.
    """
    if html is None:
        _see_that_it_prints(language)
    folder = context.folder
    seen = verified(folder)
    with refused_on_record(folder):
        subject = whole(case, seen.history.spoken_of())
    teller = agency or _teller(folder, seen, subject)
    number, known = _on_record(folder, teller, subject, actor, name)
    seen = verified(folder)  # once more: this report is a part of what it tells
    made = max(entry.registration.time for entry in seen.history.about(subject))
    words = Words(language, **facts_of(seen.rules.profile_for(seen.latest(subject))))
    report = written(held(seen, subject, made, known), words, teller=teller, number=number, made=made)
    if html is None:
        typer.echo(_folded(report.text()))
    else:
        write_private(html.absolute(), report.html().encode())
        typer.echo(f"Wrote {html}. Recorded as number {number}.")


def _see_that_it_prints(language: Language) -> None:
    """Check that standard output has the letters of *language*: a disclosure that nobody could read would be on record.

    Raises:
        BusError: a sentence of the report has a letter that the encoding of standard output lacks.
    """
    try:
        "".join(each[language] for each in sentences().values()).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        raise BusError(
            "This terminal cannot show the language of the report: write a page with --html FILE, or set the terminal to "
            "UTF-8, for example with LANG=C.UTF-8. Nothing was recorded."
        ) from None


def _folded(text: str) -> str:
    """Return *text* wrapped for a terminal without breaking a word, or unchanged for a file or another program."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent="    " if line.startswith("  - ") else "") if line else line
        for line in text.splitlines()
    )


def _teller(folder: BusFolder, seen: Audited, subject: str) -> str:
    """Return the default agency: the holder of the case if its desk is on this machine, else the auditor."""
    entries = seen.history.about(subject)
    last = next((each.event for each in reversed(entries) if each.event), None)
    holder = seen.rules.holder(seen.view(subject, entries), last) if last else None
    return holder if holder in folder.agencies() else _AUDITOR


def _on_record(
    folder: BusFolder, teller: str, subject: str, actor: str | None, name: str | None
) -> tuple[int | None, Written]:
    """Have the disclosure recorded; return the number of the record, and the written parts that a desk knows.

    Raises:
        BusError: *name* is given and a desk records it, or *actor* and the auditor does: it would stand under another number.
    """
    if teller != _AUDITOR and name is not None:
        raise BusError(
            "--as names a user of the auditor, and a desk records this report: give --actor NUMBER, or --agency auditor."
        )
    if teller == _AUDITOR and actor is not None:
        raise BusError(
            "--actor is a number of an agency's staff, and the auditor records this report: give --as NAME, or --agency ID."
        )
    if teller != _AUDITOR:
        with on_record.refused_on_record(folder, "case", subject):
            who = number_at(folder, teller, actor)
            return asyncio.run(_by_its_desk(folder, teller, subject, who))
    return on_record.asked(folder, name, "person_request", off=None).put("person_report", subject), {}


async def _by_its_desk(folder: BusFolder, agency: str, subject: str, actor: str) -> tuple[int, Written]:
    async with door_of(folder, agency) as door:
        answer = await door.read_case(subject, what="person_report", actor=actor, purpose="person_request")
    return int(answer["number"]), {(each["source"], each["event"]): each["parts"] for each in answer["written"]}


# -- the words -------------------------------------------------------------------------------------------------------


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Return every sentence of a report by key and language."""
    found: dict[str, dict[str, str]] = yaml.safe_load(
        packed("cli/audit/person_report.yaml").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of a report: sentences, some with a list of short lines below."""

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
        """Return the report as plain text, for a terminal or a printer."""
        shown = [self.title, "=" * len(self.title), "", *self.intro]
        for section in self.sections:
            shown += ["", section.heading, "-" * len(section.heading)]
            for sentence, below in section.lines:
                shown += [sentence, *(f"  - {each}" for each in below)]
        return "\n".join(shown)

    def html(self) -> str:
        """Return the report as one page that loads nothing."""
        environment = Environment(
            loader=FunctionLoader(lambda name: packed(f"cli/audit/{name}").read_text(encoding="utf-8")),
            autoescape=select_autoescape(["j2"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        return environment.get_template("person_report.html.j2").render(report=self)


def written(of: HoldersReport, words: Words, *, teller: str, number: int | None, made: datetime) -> Report:
    """Return the report about the data held *of* the person, in the language of *words*; *teller* hands it over."""

    def sentence(key: str, **values: Any) -> str:
        found = sentences()[key][words.language]
        return found.format(**values) if values else found

    names = {each.agency: _name(each, words) for each in of.holders}
    # The person's own matters first: agencies with letters, then agencies that only got events, and last the auditors.
    holders = sorted(
        of.holders, key=lambda each: (each.role == _AUDITOR, not (each.written or each.parts), each.agency)
    )
    intro = [
        sentence("intro"),
        sentence("made", agency=names.get(teller, teller), day=words.day(made), number=number),
        sentence("case", case=of.subject),
        *([sentence("unread", count=of.unread)] if of.unread else []),
        sentence("sealed"),
        *([sentence("child")] if of.child else []),
        *([sentence("statistics")] if of.statistics else []),
        *([sentence("over", day=words.day(of.over))] if of.over else []),
    ]
    sections = [Section(names[each.agency], tuple(_about(each, words, sentence))) for each in holders]
    rights = Section(sentence("rights"), ((sentence("rights.withdraw"), ()), (sentence("rights.ask"), ())))
    return Report(words.language, sentence("title"), tuple(intro), (*sections, rights))


def _name(holder: Holder, words: Words) -> str:
    role = words.agency_role(holder.role)
    if holder.contact:
        return f"{holder.contact.name} ({role}; {holder.agency})"
    first = "İ" if words.language == "az" and role[0] == "i" else role[0].upper()
    return f"{first}{role[1:]}" if role == holder.agency else f"{first}{role[1:]} ({holder.agency})"


def _about(holder: Holder, words: Words, sentence: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _whom_to_ask(holder, sentence)
    yield from _letters(holder, sentence)
    if holder.erased:
        days = {"day": words.day(holder.erased.at), "horizon": words.day(holder.erased.horizon)}
        yield sentence("erased", **days), ()
    if holder.owes_erasure_since:
        yield sentence("erased.missing", day=words.day(holder.owes_erasure_since)), ()
    if holder.received or holder.published:
        yield _ground(holder, words, sentence), ()
    if holder.stopped:
        yield sentence("stopped", day=words.day(holder.stopped.at)), ()
        yield _stopped(holder, words, sentence), ()
    for key, steps in (("told", holder.received), ("said", holder.published)):
        if steps:
            yield sentence(key), tuple(_steps(steps.items(), words, sentence))
    readings = tuple(_readings(holder.readings, words, sentence))
    if readings:
        yield sentence("read"), readings
    elif holder.role != _AUDITOR and not holder.unread:
        yield sentence("read.nothing"), ()


def _whom_to_ask(holder: Holder, sentence: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield address and telephone number, as the directory has them, or who else can say them."""
    contact = holder.contact
    if contact and contact.address:
        yield sentence("contact.address", address=contact.address), ()
    if contact and contact.phone:
        yield sentence("contact.phone", phone=contact.phone), ()
    if not contact or not (contact.address or contact.phone):
        yield sentence("contact.none"), ()


def _letters(holder: Holder, sentence: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what its letters hold, as far as anybody here knows."""
    deleted = holder.stopped is not None and holder.stopped.state == "deleted"
    if holder.role == _AUDITOR:
        yield sentence("audits"), ()
    if holder.written:
        yield sentence("held", parts=_parts(holder.written, sentence)), ()
    if holder.parts:
        yield sentence("held.room", parts=_parts(holder.parts, sentence)), ()
    elif holder.role != _AUDITOR and not (holder.written or holder.erased or holder.unread or deleted):
        yield sentence("held.nothing"), ()


def _parts(parts: Iterable[str], sentence: Any) -> str:
    return "; ".join(sentence(f"part.{part}") for part in sorted(parts))


def _readings(readings: Iterable[AccessRecord], words: Words, sentence: Any) -> Iterator[str]:
    """Yield a line for each purpose: how often, from when to when, and what was read."""
    purposes: dict[str, list[AccessRecord]] = {}
    for each in readings:
        purposes.setdefault(each.purpose, []).append(each)
    for purpose, same in purposes.items():
        read = [
            phrase
            for each in same
            for phrase in ([sentence(f"part.{part}") for part in each.parts] or [words.code("access", each.what)])
        ]
        values = {"what": "; ".join(dict.fromkeys(read)), "purpose": words.code("purpose", purpose)}
        if len(same) == 1:
            yield sentence("read.line", day=words.moment(same[0].at, seconds=True), **values)
        elif (first := words.day(same[0].at)) == (last := words.day(same[-1].at)):
            yield sentence("read.day", day=first, count=len(same), **values)
        else:
            yield sentence("read.lines", first=first, last=last, count=len(same), **values)


def _ground(holder: Holder, words: Words, sentence: Any) -> str:
    day = words.day(holder.since) if holder.since else ""
    if holder.ground == "override" and day:
        return str(sentence("ground.override", day=day))
    if holder.ground == "consent_over":
        return str(sentence("ground.consent_over"))
    if holder.ground == "consent":
        return str(sentence("ground.consent", day=day) if day else sentence("ground.consent_ended"))
    return str(sentence("ground.law", basis=holder.basis) if holder.basis else sentence("ground.rules"))


def _stopped(holder: Holder, words: Words, sentence: Any) -> str:
    stopped = holder.stopped
    if stopped is None or stopped.state != "missing":
        return str(sentence(f"stop.{stopped.state}")) if stopped else ""
    if stopped.lifted:
        return str(sentence("stop.lifted", day=words.day(stopped.lifted)))
    day = words.day(stopped.due - timedelta(seconds=1)) if stopped.due else ""  # 24:00 belongs to the day that it ends
    return str(sentence("stop.late" if stopped.breached else "stop.missing", day=day))


def _steps(steps: Iterable[tuple[str, datetime]], words: Words, sentence: Any) -> Iterator[str]:
    for kind, at in steps:
        yield sentence("step", day=words.day(at), step=words.type(kind))
