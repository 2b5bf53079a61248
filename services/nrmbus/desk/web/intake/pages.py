"""Pages about anonymous messages. A page without an opening on record shows nothing that a person wrote."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from nrmbus.desk import intake
from nrmbus.desk.intake import Conversation
from nrmbus.desk.outbox import drafts
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import WHAT
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.events.case import SignalRecorded
from nrmbus.intake.messages import MOST_CHARACTERS, Written
from nrmbus.intake.store import IntakeStore, StoreFull, Thread
from nrmbus.telemetry import log
from nrmbus.web.frame import LANGUAGE, Place
from nrmbus.web.languages import IN_EVENTS
from nrmbus.wire import ids, times

routes: Final = Pages()

SIGNAL: Final = SignalRecorded.type
MOST_ROWS: Final = 100
"""Rows of each group; behind a flood the page stays as light, and danger comes first."""
_LONGEST_NUMBER: Final = 9


_AWAY: Final = (sqlite3.Error, StoreFull, SQLAlchemyError, OSError)
"""Errors of a file, the intake's or the ledger's, that cannot be read or written now."""


def home_of(visit: Visit) -> Path:
    """Return the folder of the agency. Raises NotFound if it has no public page."""
    home = visit.door.home
    if home is None or not IntakeStore.is_at(home):
        raise NotFound
    return home


def place(visit: Visit) -> Place | None:
    """Return the entry of the navigation, for a member who may read messages at an agency that has a public page."""
    home, member = visit.door.home, visit.member
    if home is None or member is None or "intake" not in member.permissions or not IntakeStore.is_at(home):
        return None
    here = visit.request.url.path.startswith(url("/intake"))
    count, is_danger = IntakeStore.waiting(home)
    return Place(visit.t("Messages without a name"), "/intake", here, count or None, is_danger)


def _kept(handler: Callable[[Visit], Awaitable[Response]]) -> Callable[[Visit], Awaitable[Response]]:
    """Return *handler* with an answer for a file that cannot be read or written."""

    async def answered(visit: Visit) -> Response:
        try:
            return await handler(visit)
        except (sqlite3.Error, StoreFull) as error:
            log.report("intake_not_available", error=type(error).__name__)
            return visit.page(
                "message.html.j2", title=visit.t("The messages cannot be reached now."), status=503,
                sentence=visit.t("Nothing was stored. Try again in a minute; if it stays so, look at the disk."),
            )  # fmt: skip

    return answered


@routes.get("/intake", may="intake")
@_kept
async def listed(visit: Visit) -> Response:
    """List what came in: what waits for the hotline, then what was answered, then what is closed."""
    home = home_of(visit)
    found = await intake.in_store(home, IntakeStore.threads)
    groups = [
        (visit.t("Waits for you", ctx="messages"), [each for each in found if each.state in ("new", "waiting")]),
        (visit.t("Answered", ctx="messages"), [each for each in found if each.state == "answered"]),
        (visit.t("Closed", ctx="messages"), [each for each in found if each.state == "closed"]),
    ]
    shown = [(title, len(threads), [_row(each) for each in threads[:MOST_ROWS]]) for title, threads in groups]
    return visit.page(
        "intake/list.html.j2", title=visit.t("Messages without a name"), groups=shown, total=len(found), most=MOST_ROWS
    )


def _row(thread: Thread) -> dict[str, Any]:
    return {
        "number": thread.number, "state": thread.state, "danger": thread.danger, "since": thread.waits_since,
        "count": len(thread.messages), "ends": thread.ends,
    }  # fmt: skip


def _number(visit: Visit) -> int:
    number = visit.path("number")
    if not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER):
        raise NotFound
    return int(number)


@routes.get("/intake/{number}", may="intake")
@_kept
async def closed(visit: Visit) -> Response:
    """Show of a thread what the file has in the clear, and who has opened it."""
    home, number = home_of(visit), _number(visit)
    thread = await intake.in_store(home, lambda store: store.thread(number))
    if thread is None:
        raise NotFound
    readers = [(times.read(at), who) for at, who in intake.readers(visit.door.seat, thread)]
    return visit.page(
        "intake/closed.html.j2", title=visit.t("Message {number}", number=number), thread=thread, row=_row(thread),
        readers=readers,
    )  # fmt: skip


@routes.post("/intake/{number}/open", may="intake")
@_kept
async def opened(visit: Visit) -> Response:
    """Record who opens the thread, and then show it."""
    return await _shown(visit)


async def _shown(
    visit: Visit, *, text: str = "", how: str = "", problem: str = "", status: int = 200, id: str = "", last: str = ""
) -> Response:
    """Show the conversation; with *last*, the form's newest row, it is the same page in another language.

    Raises:
        NotSignedIn: ``over``: the session was ended while the file was waited for.
    """
    number = _number(visit)
    conversation = await intake.read(visit.door.seat, home_of(visit), number, visit.me.number, again=bool(last))
    visit.must_go_on()
    if conversation is None:
        raise NotFound
    return visit.page(
        "intake/opened.html.j2", title=visit.t("Message {number}", number=conversation.thread.number), status=status,
        thread=conversation.thread, said=conversation.said, last=last or conversation.last,
        id=id or ids.new_event_id(), text=text, how=how,
        problem=problem, has_errors=bool(problem), most=MOST_CHARACTERS, may_signal=around.may_do(visit, SIGNAL),
        keeps=url(f"/intake/{conversation.thread.number}/answer"),
    )  # fmt: skip


@routes.post("/intake/{number}/answer", may="intake")
async def answer(visit: Visit) -> Response:
    """Answer, unless somebody else has, or the person has written more since. An answer that was not stored is shown again."""
    home, number, form, t = home_of(visit), _number(visit), await visit.form(), visit.t
    text, id, last = form["text"].strip(), form["id"], form["last"]
    if not ids.EVENT_ID.fullmatch(id) or not (last.isascii() and last.isdecimal()):
        raise NotFound
    if form["go"] == LANGUAGE:
        return await _not_stored(visit, "", 200)
    if not 0 < len(text) <= MOST_CHARACTERS:
        problem = t("Write an answer of at most {most} characters.", most=MOST_CHARACTERS)
        return await _not_stored(visit, problem, 422)
    try:
        done = await intake.answer(
            visit.door.seat, home, number, text, id=id, who=visit.me.number, last=int(last), look=visit.must_go_on
        )
    except _AWAY as error:
        log.report("intake_not_available", error=type(error).__name__)
        problem = t("Your answer was not stored. It is still below: send it again in a minute.")
        return await _not_stored(visit, problem, 503)
    if done == "gone":
        raise NotFound
    if done == "passed":
        problem = t(
            "Somebody has written since you opened this. Read it first; your answer is still below, and not sent."
        )
        return await _not_stored(visit, problem, 409)
    return visit.see(f"/intake/{number}")


async def _not_sent(visit: Visit) -> Response:
    """Show the conversation with an answer that was typed and not sent, instead of what would lose it."""
    problem = visit.t("Your answer is not sent yet. Send it first, or empty the field.")
    return await _not_stored(visit, problem, 409)


async def _not_stored(visit: Visit, problem: str, status: int) -> Response:
    """Show the conversation with the answer that was typed; the answer alone while the conversation cannot be read."""
    form = await visit.form()
    is_same = form["go"] == LANGUAGE
    # An answer whose storing failed keeps its id, in every language, so that it is there once if it was stored after all.
    id, last = form["id"] if is_same or status == 503 else "", form["last"] if is_same else ""
    try:
        return await _shown(visit, text=form["text"], how=form["how"], problem=problem, status=status, id=id, last=last)
    except _AWAY as error:
        log.report("intake_not_available", error=type(error).__name__)
        return visit.page(
            "intake/not_stored.html.j2", title=visit.t("Message {number}", number=_number(visit)), status=503,
            number=_number(visit), id=form["id"], last=form["last"], text=form["text"], problem=problem, has_errors=True,
            most=MOST_CHARACTERS, keeps=url(f"/intake/{_number(visit)}/answer"),
        )  # fmt: skip


@routes.post("/intake/{number}/close", may="intake")
@_kept
async def close(visit: Visit) -> Response:
    """Close the thread, or delete it, once the member has opened it. It is not closed over an answer that was typed and not sent."""
    home, number, form = home_of(visit), _number(visit), await visit.form()
    how = form["how"]
    if how != "delete" and form["text"].strip():
        return await _not_sent(visit)
    last = int(form["last"]) if form["last"].isascii() and form["last"].isdigit() and len(form["last"]) < 19 else -1
    done = await intake.finish(
        visit.door.seat, home, number, who=visit.me.number, last=last, delete=how == "delete", look=visit.must_go_on
    )
    if not done:
        return await _not_stored(visit, visit.t("Somebody has written since you opened this. Read it first."), 409)
    return visit.see("/intake" if how == "delete" else f"/intake/{number}")


@routes.post("/intake/{number}/signal", may="intake")
@_kept
async def signal(visit: Visit) -> Response:
    """Begin the draft of a signal with what can be told from the message; its words are not copied."""
    if not around.may_do(visit, SIGNAL):
        raise NotFound
    if (await visit.form())["text"].strip():
        return await _not_sent(visit)
    seat = visit.door.seat
    conversation = await intake.read(seat, home_of(visit), _number(visit), visit.me.number)
    if conversation is None:
        raise NotFound
    basis = around.basis_of(visit, SIGNAL)
    typed = prefilled(conversation, seat.role, basis)
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        made = drafts.begin(
            seat, tx, owner=visit.me.number, type=SIGNAL, subject=ids.new_ref(), ref=None, page=WHAT,
            typed=sending.fresh(SIGNAL, typed),
        )  # fmt: skip
    return visit.see(f"/acts/{made.id}/{made.page}")


def prefilled(conversation: Conversation, role: str | None, basis: str | None) -> dict[str, tuple[str, ...]]:
    """Return the fields of a signal that follow from a conversation.

    The person's words stay here: a signal goes to the deciding body, and the worker decides what it has to say.
    """
    first = next((each.written for each in conversation.said if each.written is not None), None) or Written("", "")
    found = {
        "data.detector": role or "",
        "data.urgency": "emergency" if conversation.thread.danger else "",
        "data.basis": "help_requested" if first.for_whom == "myself" else "",
        "sealed.language": IN_EVENTS.get(first.language, ""),
        "sealed.told_by": "told_by_person" if first.for_whom == "myself" else "third_party" if first.for_whom else "",
        "legal_basis": basis or "",
    }
    return {name: (value,) for name, value in found.items() if value}
