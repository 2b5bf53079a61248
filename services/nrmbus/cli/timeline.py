"""A replay as one HTML file that loads nothing, from ``timeline.html.j2``: to look at, to send, to print."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from nrmbus.auditor.history import Entry
from nrmbus.auditor.outcomes import follower, kind_of
from nrmbus.auditor.pages.words import Words
from nrmbus.cli.replayed import Case, Replayed

_SHORT: Final = 8
"""Digits of a case's reference in the list of cases."""


def page(replayed: Replayed) -> str:
    """The HTML page; equal replays, equal pages."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    zone = replayed.profile.zone
    environment.filters |= {
        "local": lambda time: time.astimezone(zone).strftime("%-d %B %Y, %H:%M"),
        "utc": lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "short": lambda subject: subject[:_SHORT],
    }
    return environment.get_template("timeline.html.j2").render(
        bus=replayed.bus,
        policy=replayed.profile.name,
        zone=zone.key,
        as_of=replayed.as_of,
        now=replayed.now,
        verified=replayed.verified,
        cases=[_case(replayed, case) for case in replayed.cases],
    )


def _case(replayed: Replayed, case: Case) -> dict[str, Any]:
    return {
        "subject": case.subject,
        "status": (case.status or "no status").replace("_", " "),
        "counts": case.counts,
        "clocks": [
            {
                "code": clock.code,
                "says": Words("en", replayed.profile.zone).gloss("clock", clock.code),
                "answerable": clock.answerable,
                "due": clock.due,
                "state": _state(clock.due, replayed.now, breached=clock.breached),
                "basis": replayed.profile.clocks[clock.code].basis,
            }
            for clock in case.clocks
        ],
        "days": list(_days(replayed, case)),
    }


def _state(due: datetime | None, now: datetime, *, breached: bool) -> str:
    if breached:
        return "breached"
    if due is None:
        return "paused"
    return "overdue" if due < now else "runs"


def _days(replayed: Replayed, case: Case) -> Iterator[dict[str, Any]]:
    """The registrations by day of the policy's zone."""
    zone = replayed.profile.zone
    places = {entry.registration.id: replayed.place(entry) for entry in case.entries if entry.said}

    def day(entry: Entry) -> str:
        return entry.registration.time.astimezone(zone).strftime("%A, %-d %B %Y")

    for name, entries in groupby(case.entries, key=day):
        yield {"name": name, "entries": [_entry(replayed, case, entry, places) for entry in entries]}


def _entry(replayed: Replayed, case: Case, entry: Entry, places: Mapping[str, str]) -> dict[str, Any]:
    again = follower(entry, case.known)
    said, time = entry.registration, entry.registration.time
    cited = replayed.profile.refusals.get(said.rule or "")
    return {
        "place": replayed.place(entry),
        "clock": time.astimezone(replayed.profile.zone).strftime("%H:%M"),
        "time": time,
        "happened": entry.said.time if entry.said and entry.said.time != time else None,
        "source": said.source,
        "id": said.id,
        "type": entry.said.type if entry.said else None,
        "version": entry.said.version if entry.said else None,
        "unknown": entry.said is not None and entry.event is None,
        "letter": entry.said is not None and entry.said.sealeddigest is not None,
        "told": entry.audience.recipients,
        "earlier": [
            (agency, [places.get(each, each) for each in consents])
            for agency, consents in (entry.audience.earlier.items() if entry.said else ())
        ],
        "code": said.code,
        "rule": said.rule,
        "article": said.article,
        "says": cited.says if cited and cited.code == said.code else None,
        "kind": kind_of(entry),
        "followed_by": replayed.place(again) if again else None,
    }
