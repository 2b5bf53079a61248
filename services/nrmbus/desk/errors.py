"""What can go wrong at a desk: one closed list of codes, each with its sentence and its HTTP status.

A message says what happened and what to do, and never repeats what came in.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from nrmbus.events.errors import Invalid, Problem, UnknownType, UnknownVersion
from nrmbus.wire.errors import SENTENCES, WireError

DeskCode = Literal[
    "token_required", "not_found", "method_not_allowed", "not_sent_yet", "still_open", "not_parked", "not_available",
    "inbox_gap", "inbox_forked", "inbox_unread", "read_not_registered", "read_refused", "reader_unnamed", "reader_unfit", "not_a_delivery", "not_admitted", "ledger_foreign", "ledger_in_use", "ledger_unknown", "inbox_restarted", "settings_drift",
    "id_reused", "json_invalid", "json_duplicate", "too_large", "letter_too_large", "unknown_field", "unknown_type",
    "unknown_recipient", "unknown_version", "speaks_unpublished",
]  # fmt: skip
"""Everything that a desk itself says no to; what the registrar refuses has codes of its own."""


_TOLD: Final = 5
"""Problems that one detail tells in words; all are in ``problems``."""


class _Meaning(NamedTuple):
    status: int
    sentence: str


MEANINGS: Final[Mapping[DeskCode, _Meaning]] = MappingProxyType(
    {
        "token_required": _Meaning(401, "The door opens with the token of door.json only: send it as a bearer token."),
        "not_found": _Meaning(404, "This desk has nothing there: check the id in the address."),
        "method_not_allowed": _Meaning(405, "The door does not take this method here: see the list of doors."),
        "not_sent_yet": _Meaning(409, "The event was not signed yet, so there is nothing to send again: wait for its answer."),
        "still_open": _Meaning(409, "The event waits for its answer: ask for its state instead."),
        "not_parked": _Meaning(409, "Nothing of this case is parked: there is nothing to release."),
        "not_available": _Meaning(503, "The desk cannot reach its ledger: look at its health, then try again."),
        "inbox_gap": _Meaning(503, "A delivery is missing before this one: the desk stops here until a person has asked the bus's operator."),
        "inbox_forked": _Meaning(503, "A delivery contradicts one that came before: keep the ledger and ask the bus's operator."),
        "inbox_restarted": _Meaning(409, "The ledger of this desk was replaced, and the rows of its inbox are numbered from the start again: ask again from the first row (`after=0`); an event that you have had comes again with the same id."),
        "inbox_unread": _Meaning(503, "The desk has not read its inbox to the end, and a withdrawal may stand there: wait until its health says ready, then ask again."),
        "read_not_registered": _Meaning(503, "The registrar did not put this reading on record in time, so nothing was opened: look at the desk's health, then ask again."),
        "read_refused": _Meaning(409, "The registrar refused to put this reading on record, so nothing was opened: this agency may not read this case now."),
        "reader_unnamed": _Meaning(422, "Nobody is named who reads, so nothing was opened: say by `actor` the number that this agency has for who reads."),
        "reader_unfit": _Meaning(500, "`reader` in agency.json is no number under which somebody reads: it has letters, digits, `.`, `_` and `-`, and a digit among them."),
        "not_a_delivery": _Meaning(400, "A record of the inbox was not delivered to this desk by the registrar; it was set aside."),
        "not_admitted": _Meaning(503, "The directory does not know this agency: admit it, then start its desk."),
        "ledger_foreign": _Meaning(500, "The ledger belongs to another bus or agency: start the desk on its own folder."),
        "ledger_unknown": _Meaning(500, "Another release made the tables of this ledger, and this one cannot read them: start the desk with that release, or with a newer one."),
        "ledger_in_use": _Meaning(503, "What was destroyed still stands in the ledger's write-ahead file, since another program reads the ledger or the disk is full: end that, then say this again."),
        "settings_drift": _Meaning(500, "A subscriber's settings would lose or repeat records: make it by desk/inbox/broker.py."),
        "id_reused": _Meaning(409, SENTENCES["id_reused"]),
        "json_invalid": _Meaning(400, SENTENCES["json_invalid"]),
        "json_duplicate": _Meaning(400, SENTENCES["json_duplicate"]),
        "too_large": _Meaning(413, "The request is larger than the door takes: send less, or in several events."),
        "letter_too_large": _Meaning(413, SENTENCES["letter_too_large"]),
        "unknown_field": _Meaning(422, SENTENCES["unknown_field"]),
        "unknown_type": _Meaning(422, SENTENCES["unknown_type"]),
        "unknown_version": _Meaning(422, SENTENCES["unknown_version"]),
        "unknown_recipient": _Meaning(422, SENTENCES["unknown_recipient"]),
        "speaks_unpublished": _Meaning(500, "`speaks` in agency.json names a type or version that this release does not have: correct it by `nrmbus schema list`, or upgrade the desk."),
    }
)  # fmt: skip
"""Status and sentence of each code."""


class DeskError(Exception):
    """Raised when a desk cannot do what was asked; may be logged and shown, since it holds nothing that came in."""

    def __init__(
        self,
        code: DeskCode,
        problems: Iterable[Problem] = (),
        accepts: Iterable[int] = (),
        detail: str | None = None,
        safe: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Name the *code*, the *problems* with pointers of published names only, and the versions that would do.

        *detail* says more of this occurrence than the code does; *safe* are facts of ours for a program (a line, a rule).
        """
        self.code: DeskCode = code
        self.status, self.sentence = MEANINGS[code]
        self.problems = tuple(problems)
        self.accepts = tuple(accepts)
        self.safe = safe
        self._detail = detail
        super().__init__(f"{code}: {self.sentence}")

    @property
    def title(self) -> str:
        """The kind of problem: the first half of the code's sentence."""
        return f"{self.sentence.partition(': ')[0].removesuffix('.')}."

    @property
    def detail(self) -> str:
        """What is wrong this time; where the code says all that is known, what to do."""
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
    """Data or a letter that does not fit its published schema."""
    return DeskError("unknown_field", error.problems)


def of_unknown(error: UnknownType | UnknownVersion) -> DeskError:
    """A type or version that is not published."""
    return (
        DeskError("unknown_type") if isinstance(error, UnknownType) else DeskError("unknown_version", (), error.known)
    )


def of_wire(error: WireError) -> DeskError:
    """What the wire says about bytes that came through the door."""
    known = next((code for code in MEANINGS if code == error.code), None)
    if known is None:
        return DeskError("unknown_field")
    place = {name: error.safe[name] for name in ("line", "column") if name in error.safe}
    return DeskError(known, detail=error.sentence if error.sentence != SENTENCES[error.code] else None, safe=place)


def problem(error: DeskError) -> dict[str, Any]:
    """The body of an RFC 9457 answer, ``application/problem+json``: ``title`` is the kind, ``detail`` this occurrence.

    ``sentence`` says what happened and what to do, as it does in a verdict.
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
