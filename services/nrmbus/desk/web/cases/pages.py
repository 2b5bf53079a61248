"""Pages of a case without content of a letter: overview, timeline, referrals, who read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from starlette.responses import Response

from nrmbus.desk.http import courses, views
from nrmbus.desk.letters import letters
from nrmbus.desk.state.open_duties import hears
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around
from nrmbus.desk.web.acts.sending import IN_WORDS
from nrmbus.desk.web.acts.told import Fact
from nrmbus.desk.web.cases import case as cases
from nrmbus.desk.web.cases import filters
from nrmbus.desk.web.cases.case import Case
from nrmbus.desk.web.shell import Pages, Visit
from nrmbus.events.referral import ReferralSubmittedV3
from nrmbus.events.withholding import FIELD as WITHHELD
from nrmbus.rules.handbook.lookup import has_words
from nrmbus.wire.json import MAX_INTEGER

routes: Final = Pages()

LATEST: Final = 3
"""Events on the first page of a case."""
MOST: Final = 50
"""Events on a page of the timeline."""
_EVENTS: Final = tables.events.c


@dataclass(frozen=True, slots=True)
class Unsent:
    """An event of this agency that is not registered."""

    id: str
    title: str
    by: str
    verdict: str
    why: str
    article: str


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral as a page shows it."""

    ref: str
    title: str
    when: str
    facts: tuple[Fact, ...]
    receivers: tuple[tuple[str, str, bool], ...]
    """Name, answer in words, and whether it is the one that is waited for."""
    waits: str
    is_late: bool
    is_open: bool
    has_words: bool
    """Whether somebody answered in words too, in a letter."""
    is_party: bool
    """Whether this agency asked or was asked: nobody else may answer it."""


@routes.get("/cases/{ref}", may="read_cases")
async def overview(visit: Visit) -> Response:
    """Show where the case stands, who is on it, until when, and what can be done next."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        events = cases.course(visit, tx, case.subject, before=MAX_INTEGER, limit=LATEST)
        steps = list(case.steps(events, cases.actors(tx, case.subject)))
        acts = around.case_of(visit, tx, case.subject)
    now, later = around.choices_of(visit, acts) if acts.is_whole else ([], [])
    pressing = [each for each in now if each.due is not None]
    return visit.page(
        "cases/overview.html.j2", title=visit.t("Case"), case=case, steps=steps, unsent=unsent(case, is_news=True), pressing=pressing,
        others=around.by_subject(visit, (each for each in now if each.due is None)), later=[(each, _why(visit, each)) for each in later],
    )  # fmt: skip


@routes.get("/cases/{ref}/timeline", may="read_cases")
async def timeline(visit: Visit) -> Response:
    """Show what this agency knows of the case, the newest first: everything, or what was chosen."""
    asked = visit.asked("before", 16)
    before = int(asked) if asked.isdecimal() else MAX_INTEGER
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        chosen = filters.asked(visit, tx, case.subject)
        events = cases.course(
            visit, tx, case.subject, before=before, limit=MOST + 1, types=chosen.types, source=chosen.source
        )
        steps = list(case.steps(events[:MOST], cases.actors(tx, case.subject), under_day=True))
    earlier = events[MOST - 1]["number"] if len(events) > MOST else None
    return visit.page(
        "cases/timeline.html.j2", title=visit.t("Timeline of a case"), case=case, days=cases.by_day(steps, visit),
        unsent=[] if asked or chosen.chosen else unsent(case), earlier=earlier, choice=chosen,
    )  # fmt: skip


@routes.get("/cases/{ref}/referrals", may="read_cases")
async def referrals(visit: Visit) -> Response:
    """Show each referral of the case: who was asked, what they answered, and who is waited for."""
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        found = referrals_of(case, tx)
    return visit.page(
        "cases/referrals.html.j2", title=visit.t("Referrals of a case"), case=case, referrals=found,
        may_print="open_letters" in visit.me.permissions,
    )  # fmt: skip


@routes.get("/cases/{ref}/reads", may="see_reads")
async def reads(visit: Visit) -> Response:
    """Show who of this agency read which part of the case's letters, and for what."""
    t = visit.t
    with visit.door.ledger.read() as tx:
        case = Case(visit, tx)
        of_case, me = _EVENTS.subject == case.subject, visit.door.seat.me
        found = [*views.reads(tx, case.subject), *views.lost_reads(tx, me, of_case)]
        events = courses.course(tx, visit.door.desk, case.subject, cases.NEWEST, limit=MAX_INTEGER, technical=True)
        granted = list(views.granted(tx, me, of_case, letters=False))
    types = {each["id"]: each["type"] for each in events}
    rows = [
        {
            "at": each["at"], "who": each["who"], "purpose": each["purpose"],
            "what": t("{part}, of “{type}”", part=t.code("part", each["part"]), type=t.type(types.get(each["event"], ""))),
        }
        for each in found if each["who"] != letters.DESK
    ]  # fmt: skip
    rows += [
        {name: each[name] for name in ("at", "who", "purpose")} | {"what": t.code("access", each["what"])}
        for each in granted
    ]
    rows.sort(key=lambda each: str(each["at"]), reverse=True)
    shown = [
        {
            **each,
            "name": around.staff_name(visit, each["who"]),
            "when": case.moment(each["at"]),
            "purpose": t.capital(t.code("purpose", each["purpose"])),
            "what": t.capital(each["what"]),
        }
        for each in rows
    ]
    return visit.page("cases/reads.html.j2", title=visit.t("Who read a case"), case=case, rows=shown)


def unsent(case: Case, *, is_news: bool = False) -> list[Unsent]:
    """Return the events of this agency that are not registered, with the reason in the reader's words.

    With *is_news* without the refusals that somebody has dealt with, or that are three days old.
    """
    t, found = case.visit.t, list[Unsent]()
    for each in case.unsent:
        if is_news and each["verdict"] == "refused" and each["is_past"]:
            continue
        verdict = each["verdict"]
        words = {
            "pending": t("Not sent yet, or not answered yet. The desk sends it by itself."),
            "refused": t("Refused: nothing of it counts."),
            "failed": t("It could not be sent."),
        }
        found.append(
            Unsent(
                title=t.code("act", each["type"]),
                id=each["id"],
                by=around.staff_name(case.visit, each["actor"]) if each["actor"] else "",
                verdict=words[verdict],
                why=reason(case.visit, each["code"], each["sentence"]) if "code" in each else "",
                article=article(each.get("article", "")),
            )
        )
    return found


def reason(visit: Visit, code: str, sentence: str) -> str:
    """Return why an event was refused, in the reader's words; English has the sentence that says what to do too.

    A sentence that names a field as an agency's system writes it has the label that the reader sees instead.
    """
    if visit.t.language != "en" and has_words(code, sentence):
        return visit.t.refusal(code)
    return sentence.replace(f"`{WITHHELD}`", f"“{visit.t.capital(visit.t.field(ReferralSubmittedV3, WITHHELD))}”")


def article(basis: str) -> str:
    """Return act and article of the *basis* of a rule; empty if no law is behind it."""
    first = basis.partition(";")[0].partition("[")[0].strip()
    return "" if first.startswith("RULES.md") else first


def _why(visit: Visit, choice: around.Choice) -> tuple[str, str]:
    sentence = visit.door.seat.rules.says(choice.code, choice.rule) or choice.code
    return reason(visit, choice.code, sentence), article(choice.article)


def referrals_of(case: Case, tx: Connection) -> list[Referral]:
    """Return the referrals of the case, the newest first."""
    desk = case.visit.door.desk
    events = {
        each["id"]: each
        for each in courses.course(tx, desk, case.subject, cases.NEWEST, limit=MAX_INTEGER)
        if each["type"] in {"referral.submitted", "referral.declined"}
    }
    told = courses.referrals(tx, desk, case=case.subject)
    said = select(_EVENTS.referral).where(_EVENTS.subject == case.subject, _EVENTS.type.in_(IN_WORDS))
    in_words = frozenset(tx.scalars(said.where(_EVENTS.parts != "[]")))
    return [_referral(case, each, events, in_words) for each in reversed(told)]


def _referral(
    case: Case, told: Mapping[str, Any], events: Mapping[str, Mapping[str, Any]], in_words: frozenset[str]
) -> Referral:
    t, me = case.visit.t, case.visit.door.seat.me
    heard = {each["agency"] for each in told["receivers"] if hears(me, told["source"], each["agency"], each["state"])}
    waits_for, due, waits = told["waits_for"], case.deadline(told.get("due")), ""
    event = events.get(told["id"], {})
    data = {name: value for name, value in event.get("data", {}).items() if name != "to"}
    unheard = t("Your agency does not hear the answer")
    receivers = tuple(
        (
            case.agency(each["agency"]),
            _answer(case, each, told, events.values()) if each["agency"] in heard else unheard,
            each["agency"] in waits_for,
        )
        for each in told["receivers"]
    )
    names = ", ".join(case.agency(each) for each in waits_for)
    if due:
        since = case.day(told["registered"])
        waits = t("Waits for {agencies} since {day}. Due by {due}.", agencies=names, day=since, due=due)
    elif waits_for:
        waits = t("Waits for {agencies} since {day}.", agencies=names, day=case.day(told["registered"]))
    if told["source"] == me:
        title = t("Sent by your agency on {day}", day=case.day(told["registered"]))
    else:
        title = t("From {agency} on {day}", agency=case.agency(told["source"]), day=case.day(told["registered"]))
    return Referral(
        ref=told["ref"],
        title=title,
        when=case.moment(told["registered"]),
        facts=tuple(case.facts("referral.submitted", data)),
        receivers=receivers,
        waits=waits,
        is_late=told.get("overdue", False),
        is_open=bool(waits_for),
        has_words=told["ref"] in in_words,
        is_party=me in (told["source"], *(each["agency"] for each in told["receivers"])),
    )


def _answer(case: Case, party: Mapping[str, Any], told: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> str:
    t, state = case.visit.t, party["state"]
    if state == "submitted" and party["asked"]:
        return t("Has asked a question, and waits for the answer")
    if state == "submitted" and party["acknowledged"]:
        return t("Has received it, and has not answered yet")
    if state == "declined":
        said: Mapping[str, Any] = next(
            (each["data"] for each in events if each["type"] == "referral.declined" and each["source"] == party["agency"]
             and each.get("ref") == told["ref"] and "data" in each),
            {},
        )  # fmt: skip
        facts = list(case.facts("referral.declined", said))
        return "; ".join([t("Declined"), *(f"{each.label}: {', '.join(each.lines)}" for each in facts)])
    return {
        "submitted": t("Has not answered yet"),
        "accepted": t("Accepted"),
        "completed": t("Completed"),
        "revoked": t("Revoked by the sender"),
        "expired": t("Expired without an answer"),
    }[state]
