"""Second judgement of the whole history: events that the registrar let in against the Rules, and agencies that it told against them.

Signatures and chains show that only the registrar wrote the history. They do not show that it followed the Rules: the
holder of its key could register a forbidden event, or tell a friend. The history has all that is needed to find this.
Pure: entries in, findings out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from nrmbus.auditor.history.history import Entry
from nrmbus.directory import Directory
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.model import Event
from nrmbus.rules import Rules, View
from nrmbus.rules.emergency import refused_by_person
from nrmbus.rules.judge.judge import OF_THE_ROW
from nrmbus.wire import ids, times
from nrmbus.wire.names import STATISTICS
from nrmbus.wire.registration import Registration

GLASS: Final = "access.break_glass"
OURS: Final = "[D]"
"""Basis of the wire's refusals, which are rules of this project."""

OF_THE_WIRE: Final = "W3"
"""Rule of the wire: the agencies that an event turns to, or a consent is about, are in the directory; no time lies ahead."""

JudgedCode = Literal[
    "let_in", "told_beyond", "told_short", "consents_differ", "refused_wrongly", "cited_otherwise", "wrong_profile"
]
"""Ways in which a registration differs from the Rules, in the order of the list: registered though the Rules refuse it; told
to an agency that the Rules do not name; not told to one that they name; with other consents before it; refused by a rule
that cannot have applied to any event; refused under a code or basis of another rule; judged by another profile than that
of the case."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One registration that differs from the Rules.

    ``rule`` would have refused the event. ``agencies`` were told, or not told, against the Rules; for an event let in
    against the wire's rule they are the agencies that the directory did not have.
    """

    partition: int
    number: int
    code: JudgedCode
    rule: str | None = None
    agencies: tuple[str, ...] = ()


def otherwise(entries: Iterable[Entry], rules: Rules, directory: Directory) -> Iterator[Otherwise]:
    """Yield the registrations among *entries* (verified and complete) that differ from *rules*, in order of time.

    Only registrations under a profile that this release has are judged, and in a case only those before the first event that
    this release cannot read. A refusal keeps no envelope, so that only facts beside the envelope can be compared
    (`_never_applied`); a wrong refusal by another rule shows only if its sender complains.
    """
    ordered = sorted(entries, key=_when)
    rules = rules.afresh()  # an activation is judged by those before it, as the registrar knew them
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
        if (
            said.subject not in unread
            and said.verdict == "refused"
            and rules.is_installed(said.policy.name, said.policy.digest)
        ):
            view = views.get(said.subject) or rules.start(said.subject)
            # An id with the mark of another agency is that agency's, whether it was used already or not.
            owner = marks.get(ids.mark_in(said.id) or "", said.source)
            taken = before if owner == said.source else before | {(None, said.id)}
            yield from _refused(entry, view, rules, taken, asked[said.source, rules.month(said.time)])
        # A refused id stays taken for its sender alone; a registered id is taken for everybody.
        before.add((said.source if said.verdict == "refused" else None, said.id))
        if said.verdict != "registered" or said.subject in unread:
            continue
        if event is None or fact is None:
            unread.add(said.subject)
            continue
        view = views.get(said.subject) or rules.start(said.subject)
        month = (event.source, rules.month(said.time))
        if rules.is_installed(said.policy.name, said.policy.digest):
            yield from _let_in(entry, event, view, rules, directory, spent[month])
            yield from _recipients(entry, event, view, rules, directory)
        if event.type == GLASS:
            spent[month] += 1
        views[said.subject] = rules.evolve(view, fact)
        rules.activate(fact)


def _let_in(
    entry: Entry, event: Event, view: View, rules: Rules, directory: Directory, spent: int
) -> Iterator[Otherwise]:
    """Yield the ways in which the registration of *event* should not be, or not under its profile."""
    said = entry.registration
    if said.policy.name != rules.policy_for(view, event.source, said.time):
        yield Otherwise(said.partition, said.number, "wrong_profile")
    refusal = rules.judge(view, event, said.time, spent=spent, policy=said.policy.name)
    strangers = tuple(each for each in event.data.named if directory.state(each, said.time) is None)
    if strangers:
        yield Otherwise(said.partition, said.number, "let_in", OF_THE_WIRE, strangers)
    elif max(event.time, event.recordedtime) - said.time > times.AHEAD_AT_MOST:
        yield Otherwise(said.partition, said.number, "let_in", OF_THE_WIRE)
    elif refusal is not None:
        yield Otherwise(said.partition, said.number, "let_in", refusal.because or refusal.rule)


def _refused(
    entry: Entry, view: View, rules: Rules, before: set[tuple[str | None, str]], asked: int
) -> Iterator[Otherwise]:
    said, because = entry.registration, entry.audience.because
    if not _is_cited(said, because, rules):
        yield Otherwise(said.partition, said.number, "cited_otherwise", said.rule)
    rule = because or said.rule
    reused = {(None, said.id), (said.source, said.id)} & before
    wrong = not reused if said.code == "id_reused" else _never_applied(rule, view, said.source, rules, asked, said.time)
    if wrong:
        yield Otherwise(said.partition, said.number, "refused_wrongly", rule)


def _never_applied(rule: str | None, view: View, source: str, rules: Rules, asked: int, at: datetime) -> bool:
    """Return whether *rule* cannot have applied to any event that *source* could publish on *view*, *at* that time.

    *asked* counts the emergency accesses of *source* in that month in all partitions, later ones included.
    """
    profile = rules.profile_for(view)
    if rule == "G-02":
        is_case = view.exists and not view.over and not view.incident and not is_bulletin(view.subject)
        return is_case and view.count_for(source) > 0
    if rule == "G-05":
        return view.on_case(source)
    if rule == "G-71":
        return not refused_by_person(view, source, at.astimezone(profile.zone).date())
    return rule == "G-72" and asked < profile.emergency.monthly


def _is_cited(registration: Registration, because: str | None, rules: Rules) -> bool:
    """Return whether code and basis belong to the rule, of the profile or of the wire."""
    profile = rules.profile_named(registration.policy.name)
    cited = profile.refusals.get(registration.rule or "")
    if cited is None:
        return because is None and (registration.rule or "").startswith("W") and registration.article == OURS
    hidden = registration.rule in {row.refused_as for row in profile.types.values()}
    fits = because in profile.refusals if hidden else because is None
    return fits and registration.code == cited.code and cited.basis in (registration.article, OF_THE_ROW)


def _when(entry: Entry) -> tuple[object, int, int]:
    said = entry.registration
    return said.time, said.partition, said.number


def _recipients(entry: Entry, event: Event, view: View, rules: Rules, directory: Directory) -> Iterator[Otherwise]:
    said = entry.registration
    due = rules.audience(view, event, said.policy.name, said.time)
    named, told = set(due.recipients), set(entry.audience.recipients)
    reads_along = set(directory.of_role(STATISTICS)) if event.sealeddigest is not None else set()
    if beyond := told - named - reads_along:
        yield Otherwise(said.partition, said.number, "told_beyond", agencies=tuple(sorted(beyond)))
    # An agency that was admitted later is in today's directory, and could not be told then.
    short = {each for each in named - told if directory.state(each, said.time) is not None}
    if short:
        yield Otherwise(said.partition, said.number, "told_short", agencies=tuple(sorted(short)))
    before = {agency: tuple(ids) for agency, ids in entry.audience.earlier.items()}
    if (
        not beyond
        and not short
        and before != {each: ids for each, ids in due.earlier.items() if each in {*told, said.source}}
    ):
        yield Otherwise(said.partition, said.number, "consents_differ")
