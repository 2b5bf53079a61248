"""``nrmbus why``: the receivers of an event, and the rule behind each receiver and non-receiver."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nrmbus.auditor.history.selection import found_event, moment, time_of
from nrmbus.auditor.reports.why import Explained, Point, Ran, Whom, explain
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.audit.replay import verified
from nrmbus.cli.audit.replayed import row_of
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import whole
from nrmbus.cli.options import EVENT, AsJson, BusContext, InCase
from nrmbus.cli.shown import plain
from nrmbus.rules import load_profile

app = Commands()


@app.register(example="nrmbus why 12 --case 5f0c1a2b")
def why(
    event: Annotated[
        str,
        typer.Argument(help=EVENT),
    ],
    *,
    case: InCase = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show what was known at this time: a day counts to its end, or a time in UTC."
        ),
    ] = None,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """Show who received an event, who did not and by which rule, and what became of it.

    It also shows why an event was refused, which letters opened, who answered, and how long each clock ran that the
    event started. The question is recorded before anything is shown. The history is verified, and no letter is
    opened.
    """
    folder = context.folder
    then = moment(as_of, load_profile(folder.settings.policy).zone, "--as-of")
    question = asker.question(folder)
    seen = verified(folder)
    with question.finding():
        subject = whole(case, seen.history.spoken_of()) if case else None
        entry = found_event(seen.history, event, subject)
        if then and entry.registration.time > then:
            raise BusError("This event was registered after that time: leave --as-of out, or choose a later one.")
    question.put("event", entry.registration.subject, entry.registration.id)
    explained = explain(seen, entry, then or time_of(folder, seen.history))
    if as_json:
        typer.echo(json.dumps(mapping(explained), indent=2))
        return

    show(explained, Console())


# -- as JSON ---------------------------------------------------------------------------------------------------------


def mapping(explained: Explained) -> dict[str, Any]:
    """Return the explanation as one JSON object; fields that do not apply are left out."""
    body = {
        "event": {"case": explained.entry.registration.subject, **row_of(explained.entry)},
        "as_of": explained.now,
        "policy_known": explained.policy_known,
        "refusal": asdict(explained.refusal) if explained.refusal else None,
        "sealed_again": True if explained.sealed_again else None,
        "followed_by": asdict(explained.followed_by) if explained.followed_by else None,
        "told": [asdict(each) for each in explained.whom if each.told],
        "not_told": [asdict(each) for each in explained.whom if not each.told],
        "receipts": [asdict(each) for each in explained.receipts],
        "answers": [asdict(each) for each in explained.answers],
        "clocks": [asdict(each) for each in explained.clocks],
        "ended": [{"code": code, "answerable": agency} for code, agency in explained.ended],
        "lifted": [{"code": code, "answerable": agency} for code, agency in explained.lifted],
        "also": [asdict(each) for each in explained.also],
    }
    found: dict[str, Any] = plain(body)
    return found


# -- as text ---------------------------------------------------------------------------------------------------------


def show(explained: Explained, console: Console) -> None:
    """Print the explanation in sections; empty sections are left out."""
    entry, said = explained.entry, explained.entry.registration
    kind = entry.said.type if entry.said else "event"
    version = f" v{entry.said.version}" if entry.said and entry.said.version > 1 else ""
    verdict = "sealed again for a changed audience" if explained.sealed_again else said.verdict
    console.print(Text.assemble((f"{kind}{version}", "bold"), " of ", (said.source, "cyan"), f", {verdict}"))
    console.print(Text(f"event {said.id}\ncase  {said.subject}", "dim"))
    console.print(
        Text(f"number {said.number} of partition {said.partition}, {_time(said.time)}, by {said.policy.name}", "dim")
    )
    if not explained.policy_known:
        console.print("The event was judged by another policy than the Rules that are used here.", style="red")
    if explained.refusal:
        title = "sealed again" if explained.sealed_again else "refused"
        _section(console, title, [(explained.refusal.code, _because(explained))])
    _section(console, "told", [(each.agency, _receiver(each)) for each in explained.whom if each.told])
    if not explained.refusal:
        _section(console, "not told", list(_grouped(explained.whom)))
    _section(
        console, "letter", [(each.agency, _receipt(each.state, each.reason, each.at)) for each in explained.receipts]
    )
    _section(console, "answers", [(each.source, f"{each.type}, {_point(each)}") for each in explained.answers])
    _section(console, "clocks", [(each.code, _ran(each)) for each in explained.clocks])
    _section(console, "ended", [(code, f"the clock of {agency}") for code, agency in explained.ended])
    _section(console, "lifted", [(code, f"the clock of {agency}, not met") for code, agency in explained.lifted])
    _section(console, "also", [(each.type or "refused", _point(each)) for each in explained.also])
    console.print(Text(f"\nAs of {_time(explained.now)}, from the verified history; no letter was opened.", "dim"))


def _section(console: Console, title: str, lines: list[tuple[str, str | Text]]) -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", "bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", overflow="fold", max_width=28)
    table.add_column(overflow="fold")
    for name, words in lines:
        table.add_row(name, words)
    console.print(Padding(table, (0, 0, 0, 2)))


def _because(explained: Explained) -> str:
    assert explained.refusal  # noqa: S101 - asked for only then
    refusal = explained.refusal
    if explained.sealed_again:
        again = explained.followed_by
        came = f"It came again: {again.type or 'event'}, {_point(again)}." if again else "It has not come again yet."
        return f"{refusal.sentence}\n{came}\n{refusal.rule}, {refusal.article}"
    beside = f"; by {refusal.because}, which its sender was not told" if refusal.because else ""
    return f"{refusal.sentence}\n{refusal.rule}, {refusal.article}{beside}"


def _receiver(whom: Whom) -> str:
    lines = [whom.sentence]
    if whom.later:
        lines.append(f"with {whom.later.type}, {_point(whom.later)}")
    if whom.basis:
        lines.append(_cited(whom.basis, unverified=whom.unverified))
    if whom.consent:
        lines.append(f"by {whom.consent.type}, {_point(whom.consent)}")
    if whom.parts:
        lines.append(f"may open: {', '.join(whom.parts)}")
    return "\n".join(lines)


def _cited(basis: str, *, unverified: bool) -> str:
    return f"{basis} (law not verified)" if unverified else basis


def _grouped(whom: Iterable[Whom]) -> Iterable[tuple[str, str]]:
    """Yield the agencies that did not receive the event, one line for each reason."""
    groups: dict[tuple[str, int | None], tuple[list[str], Whom]] = {}
    for each in whom:
        if not each.told and each.code != "source":
            key = each.sentence, each.consent.number if each.consent else None
            groups.setdefault(key, ([], each))[0].append(each.agency)
    for agencies, each in groups.values():
        lines = [each.sentence]
        if each.rule:
            lines.append(f"{each.rule}, {_cited(each.basis or '', unverified=each.unverified)}")
        if each.consent:
            lines.append(f"by {each.consent.type}, {_point(each.consent)}")
        yield ", ".join(agencies), "\n".join(lines)


def _receipt(state: str, reason: str | None, at: Point | None) -> str:
    if at is None:
        return "no receipt yet: its desk has not said whether the letter opened"
    words = f"could not be opened ({reason}): the letter counts as not received, and clocks run on"
    if state != "unreadable":
        words = "opened" if state == "opened" else "kept shut: the person had refused or withdrawn consent by then"
    return f"{words}, {_point(at)}"


_STATES = {
    "runs": "runs",
    "paused": "paused by a question",
    "overdue": "overdue",
    "breached": "breached and still owed",
    "met": "met",
    "met_late": "met, too late",
    "lifted": "lifted",
}


def _ran(clock: Ran) -> str:
    due = f"due {_time(clock.due)}" if clock.due else "no due time while a question is open"
    lines = [f"{_STATES[clock.state]}: {clock.answerable}, {_long(clock.seconds)} from {_time(clock.start)}, {due}"]
    if clock.breach:
        lines.append(f"breach said {_point(clock.breach)}")
    if clock.end:
        lines.append(f"ended by {clock.end.type} of {clock.end.source}, {_point(clock.end)}")
    lines.append(_cited(clock.basis, unverified=clock.unverified))
    return "\n".join(lines)


def _long(seconds: int) -> str:
    """Return a duration in its two largest units."""
    units = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


def _point(point: Point) -> str:
    return f"number {point.number}, {_time(point.time)}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
