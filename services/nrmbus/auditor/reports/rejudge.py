"""The registrar judged again: what it let in though the Rules refuse it, and whom it told beside those whom the Rules name.

Signatures and chains show that nobody but the registrar wrote the history. They do not show that it went by the Rules:
who holds its key could register what is not allowed, or tell a friend. The history has all that is needed to see it.
Pure: entries in, findings out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from nrmbus.auditor.history.history import Entry
from nrmbus.directory import Directory
from nrmbus.events.model import Event
from nrmbus.rules import Rules, View
from nrmbus.rules.emergency import refused_by_person
from nrmbus.rules.judge.judge import OF_THE_ROW
from nrmbus.wire import ids, times
from nrmbus.wire.registration import Registration

GLASS: Final = "access.break_glass"
STATISTICS: Final = "statistics"
OURS: Final = "[D]"
"""The basis of the wire's refusals: rules of this project."""

OF_THE_WIRE: Final = "W3"
"""The wire's rule: agencies that an event turns to, or a consent is about, are in the directory, and no time lies ahead."""

JudgedCode = Literal["let_in", "told_beyond", "told_short", "consents_differ", "refused_wrongly", "cited_otherwise"]
"""Registered though the Rules refuse it; told to somebody whom they do not name, or not to one whom they name; with other
consents before it than they name; refused by a rule that cannot have applied, whatever was said; or refused under a code
or basis that is not that rule's."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One registration that went otherwise than by the Rules; ``rule`` would have refused it, ``agencies`` it is about.

    Of what was let in by a rule of the Rules no agency is named; by the wire's, those that the directory did not have, and
    none where a time lies ahead.
    """

    partition: int
    number: int
    code: JudgedCode
    rule: str | None = None
    agencies: tuple[str, ...] = ()


def otherwise(entries: Iterable[Entry], rules: Rules, directory: Directory) -> Iterator[Otherwise]:
    """What in *entries*, verified and complete, went otherwise than by *rules*, in order of time.

    Looked at is what was judged under the very profile of *rules*; of a case in which something cannot be read, nothing
    after that. A refusal keeps no envelope: it is held against what its rule rests on beside that (`_never_applied`).
    Who was refused wrongly by any other rule has to say so himself.
    """
    ordered = sorted(entries, key=_when)
    views: dict[str, View] = {}
    unread: set[str] = set()
    used: dict[str, set[tuple[str | None, str]]] = defaultdict(set)
    marks = {ids.mark_of(agency): agency for agency in directory.entries}
    spent: Counter[tuple[str, str]] = Counter()
    asked = Counter(
        (each.event.source, rules.month(each.registration.time))
        for each in ordered
        if each.event is not None and each.event.type == GLASS
    )
    for entry in ordered:
        said, event, fact = entry.registration, entry.event, entry.fact
        before = used[said.subject]
        if said.subject not in unread and said.verdict == "refused" and said.policy.digest == rules.profile.digest:
            view = views.get(said.subject) or rules.start(said.subject)
            # What another says by itself has an id that is its own, said already or not.
            owner = marks.get(ids.mark_in(said.id) or "", said.source)
            taken = before if owner == said.source else before | {(None, said.id)}
            yield from _refused(entry, view, rules, taken, asked[said.source, rules.month(said.time)])
        # An id is its sender's from the first submission on, and everybody's once it is registered.
        before.add((said.source if said.verdict == "refused" else None, said.id))
        if said.verdict != "registered" or said.subject in unread:
            continue
        if event is None or fact is None:
            unread.add(said.subject)
            continue
        view = views.get(said.subject) or rules.start(said.subject)
        month = (event.source, rules.month(said.time))
        if said.policy.digest == rules.profile.digest:
            refusal = rules.judge(view, event, said.time, spent=spent[month])
            strangers = tuple(each for each in event.data.named if directory.state(each, said.time) is None)
            if strangers:
                yield Otherwise(said.partition, said.number, "let_in", OF_THE_WIRE, strangers)
            elif max(event.time, event.recordedtime) - said.time > times.AHEAD_AT_MOST:
                yield Otherwise(said.partition, said.number, "let_in", OF_THE_WIRE)
            elif refusal is not None:
                yield Otherwise(said.partition, said.number, "let_in", refusal.because or refusal.rule)
            yield from _told(entry, event, view, rules, directory)
        if event.type == GLASS:
            spent[month] += 1
        views[said.subject] = rules.evolve(view, fact)


def _refused(
    entry: Entry, view: View, rules: Rules, before: set[tuple[str | None, str]], asked: int
) -> Iterator[Otherwise]:
    said, because = entry.registration, entry.audience.because
    if not _is_cited(said, because, rules):
        yield Otherwise(said.partition, said.number, "cited_otherwise", said.rule)
    rule = because or said.rule
    reused = {(None, said.id), (said.source, said.id)} & before
    wrong = not reused if said.code == "id_reused" else _never_applied(rule, view, said.source, rules, asked)
    if wrong:
        yield Otherwise(said.partition, said.number, "refused_wrongly", rule)


def _never_applied(rule: str | None, view: View, source: str, rules: Rules, asked: int) -> bool:
    """Whether *rule* cannot have applied to anything that *source* could say on *view*, whatever it was.

    *asked* is how often it broke the glass in that month, in all partitions and also later: fewer there were not before.
    """
    if rule == "G-02":
        return view.exists and not view.over and not view.incident and view.count_for(source) > 0
    if rule == "G-05":
        return view.on_case(source)
    if rule == "G-71":
        return not refused_by_person(view, source)
    return rule == "G-72" and asked < rules.profile.emergency.monthly


def _is_cited(said: Registration, because: str | None, rules: Rules) -> bool:
    """Whether code and basis are those of the rule: the profile's, or one of the wire's, which are this project's."""
    profile = rules.profile
    cited = profile.refusals.get(said.rule or "")
    if cited is None:
        return because is None and (said.rule or "").startswith("W") and said.article == OURS
    hidden = said.rule in {row.refused_as for row in profile.types.values()}
    fits = because in profile.refusals if hidden else because is None
    return fits and said.code == cited.code and cited.basis in (said.article, OF_THE_ROW)


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
