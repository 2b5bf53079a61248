"""The registrar judged again: what it let in though the Rules refuse it, and whom it told beside those whom the Rules name.

Signatures and chains show that nobody but the registrar wrote the history. They do not show that it went by the Rules:
who holds its key could register what is not allowed, or tell a friend. The history has all that is needed to see it.
Pure: entries in, findings out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from nrmbus.auditor.history import Entry
from nrmbus.directory import Directory
from nrmbus.events.model import Event
from nrmbus.rules import Rules, View

GLASS: Final = "access.break_glass"
STATISTICS: Final = "statistics"

JudgedCode = Literal["let_in", "told_beyond", "told_short", "consents_differ"]
"""Registered though the Rules refuse it; told to somebody whom they do not name, or not to one whom they name; with other
consents before it than they name."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One registration that went otherwise than by the Rules; ``rule`` would have refused it, ``agencies`` it is about."""

    partition: int
    number: int
    code: JudgedCode
    rule: str | None = None
    agencies: tuple[str, ...] = ()


def otherwise(entries: Iterable[Entry], rules: Rules, directory: Directory) -> Iterator[Otherwise]:
    """What in *entries*, verified and complete, went otherwise than by *rules*, in order of time.

    Looked at is what was registered under the very profile of *rules*; of a case in which something cannot be read,
    nothing after that. A refusal keeps no envelope, so who was refused wrongly has to say so himself.
    """
    views: dict[str, View] = {}
    unread: set[str] = set()
    spent: Counter[tuple[str, str]] = Counter()
    for entry in sorted(entries, key=_when):
        said, event, fact = entry.registration, entry.event, entry.fact
        if said.verdict != "registered" or said.subject in unread:
            continue
        if event is None or fact is None:
            unread.add(said.subject)
            continue
        view = views.get(said.subject) or rules.start(said.subject)
        month = (event.source, rules.month(said.time))
        if said.policy.digest == rules.profile.digest:
            refusal = rules.judge(view, event, said.time, spent=spent[month])
            if refusal is not None:
                yield Otherwise(said.partition, said.number, "let_in", refusal.because or refusal.rule)
            yield from _told(entry, event, view, rules, directory)
        if event.type == GLASS:
            spent[month] += 1
        views[said.subject] = rules.evolve(view, fact)


def _when(entry: Entry) -> tuple[object, int, int]:
    said = entry.registration
    return said.time, said.partition, said.number


def _told(entry: Entry, event: Event, view: View, rules: Rules, directory: Directory) -> Iterator[Otherwise]:
    said, due = entry.registration, rules.audience(view, event)
    named, told = set(due.recipients), set(entry.audience.recipients)
    reads_along = set(directory.of_role(STATISTICS)) if event.sealeddigest is not None else set()
    if beyond := told - named - reads_along:
        yield Otherwise(said.partition, said.number, "told_beyond", agencies=tuple(sorted(beyond)))
    # Whoever was admitted later is among today's agencies, and could not be told then.
    short = {each for each in named - told if directory.state(each, said.time) is not None}
    if short:
        yield Otherwise(said.partition, said.number, "told_short", agencies=tuple(sorted(short)))
    before = {agency: tuple(ids) for agency, ids in entry.audience.earlier.items()}
    if not beyond and not short and before != {each: ids for each, ids in due.earlier.items() if each in told}:
        yield Otherwise(said.partition, said.number, "consents_differ")
