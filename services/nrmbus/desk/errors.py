"""Errors of a desk: a closed list of codes, each with its sentence and HTTP status.

Messages say what happened and what to do, and never repeat input.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from nrmbus.events.errors import Invalid, Problem, UnknownType, UnknownVersion
from nrmbus.wire.errors import SENTENCES, WireError

DeskCode = Literal[
    "token_required", "scope_missing", "token_exists", "too_many_requests", "not_found", "method_not_allowed", "not_sent_yet", "still_open", "not_parked", "not_available",
    "inbox_gap", "inbox_forked", "inbox_unread", "letters_lost", "history_unread", "read_not_registered", "read_refused", "reader_unnamed", "reader_unfit", "not_a_delivery", "not_admitted", "ledger_absent", "ledger_away", "ledger_differs", "ledger_driver_missing", "ledger_filled", "ledger_foreign", "ledger_held", "ledger_in_use", "ledger_unfit", "ledger_unknown", "inbox_restarted", "settings_drift", "streams_used_up",
    "document_damaged", "document_incomplete", "document_shut", "document_too_large", "document_unfit", "document_unknown", "documents_waiting",
    "id_reused", "json_invalid", "json_duplicate", "too_large", "letter_too_large", "unknown_field", "unknown_type",
    "unknown_recipient", "unknown_version", "speaks_unpublished", "edge_unknown",
    "member_exists", "staff_full", "last_administrator", "staff_unfit", "not_a_play",
    "smtp_unfit", "webhooks_unfit", "webhooks_full", "webhook_address_refused", "webhook_not_confirmed", "webhook_secret_lost",
]  # fmt: skip
"""Codes of a desk's own refusals; the registrar's refusals have other codes."""


_TOLD: Final = 5
"""Number of problems that a detail puts in words; ``problems`` has all of them."""


class _Meaning(NamedTuple):
    status: int
    sentence: str


MEANINGS: Final[Mapping[DeskCode, _Meaning]] = MappingProxyType(
    {
        "token_required": _Meaning(401, "The request has no token that is valid: send the token of door.json, or one of `nrmbus token add` that has neither ended nor been revoked, as a bearer token."),
        "scope_missing": _Meaning(403, "The token lacks the scope that this request needs, which `scope` names: ask for a token with that scope (`nrmbus token add`)."),
        "token_exists": _Meaning(409, "There is a valid token of this name: revoke it first (`nrmbus token revoke`), or choose another name."),
        "too_many_requests": _Meaning(429, "This token sends more requests than it may: wait as many seconds as `Retry-After` says, and ask the agency's administrator for a higher limit if the system needs more."),
        "not_found": _Meaning(404, "This desk has nothing at this address: check the id in the address."),
        "method_not_allowed": _Meaning(405, "This address does not take this HTTP method: check the method."),
        "not_sent_yet": _Meaning(409, "The event is not signed yet, so it cannot be sent again: wait for its verdict."),
        "still_open": _Meaning(409, "The event still waits for its verdict: ask for its state instead of sending it again."),
        "not_parked": _Meaning(409, "This case has no parked event: nothing needs to be released."),
        "not_available": _Meaning(503, "The desk cannot reach its ledger: check the desk's health, then try again."),
        "inbox_gap": _Meaning(503, "A delivery is missing before this one: the desk stops here until a person has asked the bus's operator."),
        "inbox_forked": _Meaning(503, "A delivery contradicts an earlier one: keep the ledger and ask the bus's operator."),
        "inbox_restarted": _Meaning(409, "The ledger of this desk was replaced, so the rows of its inbox are numbered from the start again: ask again from the first row (`after=0`); an event that you already have comes again with the same id."),
        "streams_used_up": _Meaning(429, "This desk has as many open streams as it can carry: close one, or ask `GET /v1/inbox` with `wait` until there is room."),
        "inbox_unread": _Meaning(503, "The desk has not read its inbox to the end, and an unread event may withdraw consent: wait until the desk's health says ready, then ask again."),
        "letters_lost": _Meaning(409, "Letters that the figures count came before the first delivery that this desk's ledger has, since an earlier ledger was lost: stop the desk, put a backup of the earlier ledger in place, and start the desk again."),
        "history_unread": _Meaning(409, "The history has an event, or a profile of the Rules, that this desk does not know, so the figures would count too little: upgrade this desk, or add the profile (`nrmbus rules add`) and start the desk again."),
        "read_not_registered": _Meaning(503, "The registrar did not record this reading in time, so nothing was opened: check the desk's health, then ask again."),
        "read_refused": _Meaning(409, "The registrar refused to record this reading, so nothing was opened: this agency may not read this case now."),
        "reader_unnamed": _Meaning(422, "`actor` is missing: give the staff number of the person who reads. Nothing was opened."),
        "reader_unfit": _Meaning(500, "`reader` in agency.json is not a staff number: use letters, digits, `.`, `_` and `-`, with at least one digit."),
        "not_a_delivery": _Meaning(400, "The registrar did not deliver this inbox record to this desk; the desk set the record aside."),
        "not_admitted": _Meaning(503, "The directory does not have this agency: admit the agency, then start its desk."),
        "ledger_foreign": _Meaning(500, "The ledger belongs to another bus or agency: start the desk on its own folder."),
        "ledger_unknown": _Meaning(500, "Another release made the tables of this ledger, and this one cannot read them: start the desk with that release, or with a newer one."),
        "ledger_absent": _Meaning(404, "This desk has no ledger yet: start the desk once, or set `ledger` in agency.json before its first start."),
        "ledger_differs": _Meaning(500, "The copy does not give back what was written into it: check the disk or the server of the new place, and copy again."),
        "ledger_filled": _Meaning(409, "There is a ledger in the new place already: name an empty database, or move the file away."),
        "ledger_away": _Meaning(503, "The PostgreSQL server of this desk's ledger does not answer, or refuses this desk: check that the server runs and that `ledger` in agency.json and the password file are right."),
        "ledger_driver_missing": _Meaning(500, "`ledger` in agency.json names a PostgreSQL database, and its driver is not installed: pip install 'nrmbus[postgres]'."),
        "ledger_held": _Meaning(503, "Another process has this desk's ledger open: end that process; --standby waits for its end, and --take-over puts it out."),
        "ledger_unfit": _Meaning(500, "`ledger` in agency.json is not the address of a PostgreSQL database, or has a slip, a password or a relative path in it: write postgresql://USER@HOST/DATABASE, paths from / on, and the password into the file that PGPASSFILE names."),
        "ledger_in_use": _Meaning(503, "Destroyed data are still in the ledger's files, because another program reads the ledger or its PostgreSQL database, or the disk is full: end that program or make room, then give the command again."),
        "settings_drift": _Meaning(500, "A subscriber's settings would lose or repeat records: make the subscriber with desk/inbox/broker.py."),
        "document_damaged": _Meaning(409, "The content of this document is not what its sender announced, so it is not shown: ask the sender to share the document again."),
        "document_incomplete": _Meaning(409, "Not all of this document is here: wait until its last piece has come; if none comes any more, ask the sender to share it again."),
        "document_shut": _Meaning(403, "This document stays closed to this agency, and `shut` says why: as for a letter in the inbox, or `not_allowed` by the Rules."),
        "document_too_large": _Meaning(413, "The document is larger than 10,000,000 bytes: send a smaller one, or split it into several."),
        "document_unfit": _Meaning(415, "The content is no PDF, JPEG, PNG or TIFF and no plain text in UTF-8, or there is none: send the document in one of these kinds; its name says nothing about it."),
        "document_unknown": _Meaning(422, "No such upload waits for this case: it was announced before, or a day has passed; upload the document again."),
        "documents_waiting": _Meaning(429, "Too many uploads wait for the event that announces them: publish these events, or wait a day."),
        "id_reused": _Meaning(409, SENTENCES["id_reused"]),
        "json_invalid": _Meaning(400, SENTENCES["json_invalid"]),
        "json_duplicate": _Meaning(400, SENTENCES["json_duplicate"]),
        "too_large": _Meaning(413, "The request is larger than the door takes: send less, or split it into several events."),
        "letter_too_large": _Meaning(413, SENTENCES["letter_too_large"]),
        "unknown_field": _Meaning(422, "The request does not fit: a field or a parameter is unknown, missing, or has a value that is not allowed."),
        "unknown_type": _Meaning(422, SENTENCES["unknown_type"]),
        "unknown_version": _Meaning(422, SENTENCES["unknown_version"]),
        "unknown_recipient": _Meaning(422, SENTENCES["unknown_recipient"]),
        "speaks_unpublished": _Meaning(500, "`speaks` in agency.json names a type or version that this release does not have: correct it with `nrmbus schema list`, or upgrade the desk."),
        "edge_unknown": _Meaning(500, "`edge` in agency.json is not a list of adapters that this release has: correct it by the page of the room `edge`, or upgrade the desk."),
        "member_exists": _Meaning(409, "A member of staff has this name, or this passkey or subject, already: choose another name, or change the member who is there."),
        "staff_full": _Meaning(409, "This desk has as many members of staff as it serves: remove those who have left."),
        "last_administrator": _Meaning(409, "Nobody else manages this agency's staff: give another member the role of administrator first."),
        "staff_unfit": _Meaning(500, "`staff` in agency.json does not have its form: write `roles` (a list of permissions for a role, none about cases for an administrator) and `provider` (`issuer` with https, `client_id`, and if needed `secret_file` and `only`), or leave them out."),
        "not_a_play": _Meaning(409, "A password that somebody else chose is for an invented member on a bus for playing: leave `example_password` out, and hand over the one-time password."),
        "smtp_unfit": _Meaning(500, "`smtp` in agency.json does not have its form: write `host` and `from`, and of `port`, `tls` (starttls, implicit, or none to this machine), `user` with `password_file`, `ca` and `pages` (an https address) what the mail server needs; the desk's account must be able to reach the files. Or leave it out."),
        "webhooks_unfit": _Meaning(500, '`webhooks` in agency.json does not have its form: write `networks` (a list like ["10.1.0.0/16"]), `http_on_loopback` (true or false) and `ca` (the path of a PEM file), or leave them out.'),
        "webhooks_full": _Meaning(409, "This desk has as many webhooks as it serves: remove one that is no longer used."),
        "webhook_address_refused": _Meaning(422, "The desk does not send to this address: give an https address whose name has public addresses only, or have the administrator allow its network in `webhooks` of agency.json."),
        "webhook_secret_lost": _Meaning(409, "The secret of this webhook was sealed to a key that is destroyed: rotate the webhook, give the new key to its receiver, then enable it."),
        "webhook_not_confirmed": _Meaning(422, "The receiver did not confirm that it wants webhooks: have it answer OPTIONS with `WebHook-Allowed-Origin`, or answer the challenge with the same `challenge`, then add the webhook again."),
    }
)  # fmt: skip
"""Status and sentence of each code."""


class DeskError(Exception):
    """Error of a desk that cannot do the requested work; may be logged and shown, since it contains no input."""

    def __init__(
        self,
        code: DeskCode,
        problems: Iterable[Problem] = (),
        accepts: Iterable[int] = (),
        detail: str | None = None,
        safe: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Name the *code*, the *problems* with pointers of published names only, and the versions that would do.

        *detail* says more of this occurrence than the code does; *safe* are facts of ours for a program (a line, a
        rule).
        """
        self.code: DeskCode = code
        self.status, self.sentence = MEANINGS[code]
        self.problems = tuple(problems)
        self.accepts = tuple(accepts)
        self.safe = safe
        self._detail = detail
        super().__init__(f"{code}: {self.sentence}")

    def of_event(self, number: int) -> "DeskError":
        """Return the same error, as that of the event *number* of a list, from 0."""
        problems = [each.below(f"/events/{number}") for each in self.problems]
        return DeskError(self.code, problems, self.accepts, self._detail, {**self.safe, "event": number})

    @property
    def title(self) -> str:
        """Return the kind of problem: the first half of the code's sentence."""
        return f"{self.sentence.partition(': ')[0].removesuffix('.')}."

    @property
    def detail(self) -> str:
        """Return the fault of this occurrence, or the remedy if the code already says everything."""
        if self._detail is not None:
            return self._detail
        if self.problems:
            more = len(self.problems) - _TOLD
            told = "; ".join(each.sentence for each in self.problems[:_TOLD])
            return f"{told}{f'; and {more} more' if more > 0 else ''}."
        if self.accepts:
            return f"The versions that would do: {', '.join(map(str, self.accepts))}."
        remedy = self.sentence.partition(": ")[2]
        return f"{remedy[:1].upper()}{remedy[1:]}"


def of_invalid(error: Invalid) -> DeskError:
    """Return the error for data or a letter that does not fit its published schema."""
    return DeskError("unknown_field", error.problems)


def of_unknown(error: UnknownType | UnknownVersion) -> DeskError:
    """Return the error for a type or version that is not published."""
    return (
        DeskError("unknown_type") if isinstance(error, UnknownType) else DeskError("unknown_version", (), error.known)
    )


def of_wire(error: WireError) -> DeskError:
    """Return the error for bytes that came through the door and that the wire refuses."""
    known = next((code for code in MEANINGS if code == error.code), None)
    if known is None:
        return DeskError("unknown_field")
    place = {name: error.safe[name] for name in ("line", "column") if name in error.safe}
    return DeskError(known, detail=error.sentence if error.sentence != SENTENCES[error.code] else None, safe=place)


def problem(error: DeskError) -> dict[str, Any]:
    """Return the body of an RFC 9457 answer, ``application/problem+json``: ``title`` is the kind, ``detail`` this occurrence.

    ``sentence`` says what happened and what to do, as in a verdict.
    """
    body: dict[str, Any] = {
        "type": f"urn:nrmbus:problem:{error.code}",
        "title": error.title,
        "detail": error.detail,
        "sentence": error.sentence,
        "status": error.status,
        "code": error.code,
        **error.safe,
    }
    if error.problems:
        body["problems"] = [_told(found) for found in error.problems]
    if error.accepts:
        body["accepts"] = list(error.accepts)
    return body


def _told(found: Problem) -> dict[str, Any]:
    hints = {"allowed": found.allowed, "nearest": found.nearest}
    return {"pointer": found.pointer, "kind": found.kind} | {name: list(each) for name, each in hints.items() if each}
