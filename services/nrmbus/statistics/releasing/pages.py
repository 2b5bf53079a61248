"""Pages on which two people release the figures of a period: the periods, a draft, and its shown and hidden numbers.

A release is an act like every other (desk/web/acts). This room fills in all fields of the act: it computes the draft,
shows the draft in words to both people, and computes the draft once more before each person signs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from aiokafka.errors import KafkaError
from markupsafe import Markup
from sqlalchemy import func, select
from starlette.responses import Response

from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around, form, sending
from nrmbus.desk.web.acts.editing import CHECK, moment_of
from nrmbus.desk.web.own_acts import Changed, Own, Said
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.events import bulletin
from nrmbus.events.figures import PERIOD, Release
from nrmbus.events.stats import PeriodPublished, packed, unpacked
from nrmbus.statistics import released
from nrmbus.statistics.releasing.comparing import extents, hidden_tables, is_same, moved
from nrmbus.statistics.service import Figures
from nrmbus.statistics.shown import main_numbers, period_name, shown
from nrmbus.statistics.spans import Span
from nrmbus.wire.history import HistoryFault

routes: Final = Pages()

TYPE: Final = PeriodPublished.type
PATIENCE_SECONDS: Final = 20.0
"""How long a page waits for a draft; it is computed on, and the next request gets it."""
MOST_MOVED: Final = 40
"""Most changed numbers that a correction lists."""
_FIELD: Final = "data.period"


@routes.get("/releases", may="member")
async def overview(visit: Visit) -> Response:
    """Show each period: whether it is over, released, or waits for somebody."""
    return _overview(visit, visit.asked("year", 4))


@routes.post("/releases", may="member")
async def in_another_language(visit: Visit) -> Response:
    """Show the same page in another language, with the year that was typed and not asked for yet."""
    return _overview(visit, visit.asked("year", 4), (await visit.form())["year"][:4])


def _overview(visit: Visit, asked: str, typed: str = "") -> Response:
    with visit.door.ledger.read() as tx:
        first = tx.scalar(select(func.min(tables.events.c.registered)))
        found = [each for each in drafts.listed(visit.door.seat, tx) if each.type == TYPE]
        signed = {each.id: sending.outcome(visit.door, tx, [each.id]) for each in found if each.state == "sent"}
    unanswered = {id for id, events in signed.items() if sending.verdict_of(events) == "pending"}
    today = visit.now.astimezone(visit.t.zone).date()
    since = min(int(first[:4]) if first else today.year, today.year - 1)
    years = [*range(today.year, since - 1, -1)]
    if is_older := re.fullmatch("2[0-9]{3}", asked) is not None and int(asked) < since:
        years.append(int(asked))
    every = released.newest_first(visit.door.ledger)
    rows = {
        year: [
            _row(visit, span, every, found, unanswered)
            for span in (Span(year), *Span(year).parts)
            if _last_day(span) < today
        ]
        for year in years
    }
    quarters = Span(today.year).parts
    following = next(each for each in quarters if _last_day(each) >= today)
    return visit.page(
        "releasing/overview.html.j2",
        title=visit.t("Release figures"),
        years=[(year, found) for year, found in rows.items() if found],
        next={"name": period_name(visit.t, following.name), "ends": _last_day(following)},
        asked=is_older,
        typed=typed,
        keeps=url(f"/releases?year={asked}" if is_older else "/releases"),
        may_make=around.may_do(visit, TYPE),
        may_sign="approve" in visit.me.permissions,
        k=visit.profile.k,
    )


@dataclass(frozen=True, slots=True)
class _Waits:
    """A draft that waits for a second signature."""

    id: str
    who: str
    since: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One period that is over, on the first page."""

    period: str
    name: str
    is_year: bool
    at: str
    is_correction: bool
    own: Kept | None
    """The member's open draft."""
    waits: list[_Waits]
    unanswered: str | None
    """Id of a draft that two people have signed, if the registrar has not answered yet."""


def _row(
    visit: Visit, span: Span, every: tuple[released.Released, ...], found: list[Kept], unanswered: set[str]
) -> _Row:
    last = released.chosen(every, period=span.name)
    mine = [each for each in found if form.one(each.typed, _FIELD) == span.name]
    own = next((each for each in mine if each.owner == visit.me.number and each.state == "open"), None)
    waits = [
        _Waits(
            each.id, around.staff_name(visit, each.owner), moment_of(visit, each.changed), each.owner == visit.me.number
        )
        for each in mine
        if each.state == "waits"
    ]
    at = visit.t.day(last.at) if last else ""
    name = period_name(visit.t, span.name)
    sent = next((each.id for each in mine if each.id in unanswered), None)
    return _Row(span.name, name, span.quarter is None, at, bool(last and last.previous), own, waits, sent)


def _last_day(span: Span) -> date:
    """Return the last day of *span*."""
    last = 3 * (span.quarter or 4)
    return date(span.year + last // 12, last % 12 + 1, 1) - timedelta(days=1)


@routes.post("/releases/{period}/draft", may="publish")
async def make(visit: Visit) -> Response:
    """Compute the figures of a period that is over, and keep them as the member's draft."""
    period, t = visit.path("period"), visit.t
    if PERIOD.fullmatch(period) is None or not around.may_do(visit, TYPE):
        raise NotFound
    span = Span.named(period)
    if visit.now.astimezone(t.zone).date() <= _last_day(span):
        raise NotFound
    made = await _computed(visit, span)
    if isinstance(made, str):
        return visit.page(
            "releasing/trouble.html.j2", title=t("There is no draft yet"), status=503, sentence=made, period=period
        )
    last = released.chosen(released.newest_first(visit.door.ledger), period=period)
    if last is not None and last.figures.tables == made.tables:
        name = period_name(t, period)
        return visit.page("releasing/stands.html.j2", title=t("The released figures stand"), period=period, name=name)
    typed, seat, owner = _typed(visit, made), visit.door.seat, visit.me.number
    async with visit.door.ledger.write() as tx:
        open_now = drafts.listed(seat, tx, owner=owner, state="open")
        there = next((each for each in open_now if each.type == TYPE and form.one(each.typed, _FIELD) == period), None)
        if there is None:
            there = drafts.begin(
                seat, tx, owner=owner, type=TYPE, subject=bulletin.of(seat.me), ref=None, page=CHECK, typed=typed,
                is_another=True,
            )  # fmt: skip
        else:
            drafts.keep(seat, tx, replace(there, typed=typed, page=CHECK), seen=there.version)
    return visit.see(f"/acts/{there.id}/{CHECK}")


def _typed(visit: Visit, made: Release) -> Typed:
    """Return the fields of the event that releases *made*, as a form has them."""
    data = PeriodPublished(
        period=made.period, k=made.k, release=made.digest, previous=made.previous, figures=packed(made.to_json())
    )
    said: dict[str, Any] = {form.DATA: data.to_mapping()}
    if basis := around.basis_of(visit, TYPE):
        said["legal_basis"] = basis
    return form.typed_of(form.form_of(sending.model_of(visit.door, TYPE)), said, visit.t.zone)


async def _computed(visit: Visit, span: Span) -> Release | str:
    """Return the draft of *span*, or why there is none."""
    t = visit.t
    try:
        made = await visit.door.beside[Figures].within(span, PATIENCE_SECONDS)
    except DeskError as error:
        if error.code == "history_unread":
            return t(
                "A part of the history is newer than this program, or was judged by rules that are not here: the figures "
                "would be too low. Ask the operator to upgrade this program."
            )
        return t(
            "Letters that the history names have not arrived here yet. Figures are made when all of them are here."
        )
    except HistoryFault:
        return t("The history does not verify, so nothing can be released. Tell the operator of the bus.")
    except (KafkaError, OSError):
        return t("The bus does not answer. Try again when it does.")
    return t("The figures are still being computed. Try again in a minute.") if made is None else made


# -- the act ---------------------------------------------------------------------------------------------------------------


def release_in(said: Said) -> Release:
    """Return the release in the data of an event."""
    return Release.read(unpacked(said["figures"]) or b"")


def part(visit: Visit, said: Said) -> Markup:
    """Return a draft in words: the extent, the missing parts, the corrections and all tables."""
    t, made = visit.t, release_in(said)
    every = released.newest_first(visit.door.ledger)
    before = released.chosen(every, digest=made.previous) if made.previous else None
    differs = moved(before.figures, made, t) if before else ()
    sections = shown(made, t)
    numbers = [row.count is not None for table in made.tables for row in table.rows]
    return visit.part(
        "releasing/part.html.j2",
        made=made,
        name=period_name(t, made.period),
        shown=sum(numbers),
        numbers=len(numbers),
        main=main_numbers(made, t),
        extents=extents(made, sections),
        missing=tuple(_missing(visit, made, every)),
        before=before,
        differs=differs[:MOST_MOVED],
        more=max(len(differs) - MOST_MOVED, 0),
        sections=sections,
    )


def _missing(visit: Visit, made: Release, every: tuple[released.Released, ...]) -> Iterator[str]:
    t, span = visit.t, Span.named(made.period)
    names = {each.digest: period_name(t, each.period) for each in every}
    if made.against is None:
        yield t(
            "The figures of {period} are not released, so no change against the year before is shown.",
            period=period_name(t, Span(span.year - 1, span.quarter).name),
        )
    if made.beside:
        yield t(
            "Released already of the same year: {periods}. Beside that more numbers have to be suppressed.",
            periods=", ".join(sorted(names.get(each, each[:16]) for each in made.beside)),
        )
    elif span.quarter is not None:
        yield t(
            "The figures of {year} are not released. Once its quarters are, the year can show little more than they do: "
            "release the year first if you can.",
            year=str(span.year),
        )
    if hidden := hidden_tables(made):
        yield t.many(
            "In {n} of {tables} tables no number can be shown.", "In {n} of {tables} tables no number can be shown.",
            hidden, tables=len(made.tables),
        )  # fmt: skip


async def changed(visit: Visit, said: Said) -> Changed | None:
    """Return what has changed since the draft was made; None if the same figures would be made now."""
    t, made = visit.t, release_in(said)
    now = await _computed(visit, Span.named(made.period))
    if isinstance(now, str):
        words = visit.part("releasing/changed.html.j2", trouble=now, stands=False, differs=(), more=0)
        return Changed({}, words, is_passing=True)
    last = released.chosen(released.newest_first(visit.door.ledger), period=made.period)
    stands = last is not None and last.figures.tables == now.tables
    if is_same(made, now) and not stands:
        return None
    differs = moved(made, now, t)
    words = visit.part(
        "releasing/changed.html.j2",
        trouble="",
        stands=stands,
        differs=differs[:MOST_MOVED],
        more=max(len(differs) - MOST_MOVED, 0),
    )
    return Changed(_typed(visit, now), words)


def _back(visit: Visit) -> str:
    return visit.t("Release figures")


ACTS: Final[Mapping[str, Own]] = {
    TYPE: Own(
        begins="/releases",
        back=_back,
        fixed=frozenset({"data", "legal_basis", "time"}),
        part=part,
        changed=changed,
        is_whole=True,
    )
}
