"""Rehearsal of drafts: what the Rules would say of them one after the other, without a row, a number or a byte that is sent."""

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection

from nrmbus.desk.letters import letters
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import Cases
from nrmbus.desk.state.context import Seat
from nrmbus.events.model import Draft, Event, Fact
from nrmbus.rules import Refusal, View
from nrmbus.wire.errors import sentence_of

_LATER: Final = 2**40
"""Number of the first rehearsed event: greater than any registration's."""


class Rehearsal:
    """Views of cases in which the rehearsed drafts that fit are already registered."""

    def __init__(self, seat: Seat, cases: Cases) -> None:
        """Begin with the *cases* as the desk sees them."""
        self._seat, self._cases = seat, cases
        self._views: dict[str, View] = {}
        self._taken = 0

    def of(self, tx: Connection, drafts: Iterable[Draft]) -> Iterator[Refusal | None]:
        """Yield for each of *drafts* the refusal by this desk's view of its case; None if the draft may be registered.

        The registrar knows more of a case than a desk does, so its verdict may differ. An incomplete case is not judged, nor
        one whose profile this desk neither has nor is told. A refusal without a rule is the desk's own: its release lacks the
        profile of the case.

        Raises:
            WireError: ``letter_too_large``.
        """
        seat = self._seat
        for draft in drafts:
            subject, parts = draft.subject, None if draft.letter is None else draft.letter.parts()
            view = self._views.get(subject) or self._cases.view(tx, subject)
            if parts is not None:
                letters.seal_draft(seat, parts, id=draft.id or "", subject=subject)  # for its limit of size
            policy = seat.rules.policy_for(view, seat.me, seat.now())
            event = self._event(draft, seat.ledger.next_sequence(tx, subject) + self._taken, policy)
            filled = None if parts is None else {part: frozenset(fields) for part, fields in parts.items()}
            is_whole = not beginnings.is_incomplete(seat.ledger, tx, subject)
            refusal = None
            if seat.rules.lacks(policy):
                if parts is not None or seat.rules.is_told_policy(view, seat.me):
                    refusal = Refusal("profile_missing", "", "", sentence_of("profile_missing"))
            elif is_whole:
                refusal = seat.rules.judge(view, event, seat.now(), letter_parts=filled)
            if refusal is None:
                heard = seat.rules.audience(view, event, policy).recipients
                view = seat.rules.evolve(view, Fact.of(event, heard, seat.now(), _LATER + self._taken))
                self._taken += 1
            self._views[subject] = view
            yield refusal

    def _event(self, draft: Draft, sequence: int, policy: str) -> Event:
        same = {name: getattr(draft, name) for name in Draft.model_fields if name != "letter"}
        return Event(
            **{name: value for name, value in same.items() if value is not None},
            source=self._seat.me,
            recordedtime=self._seat.now(),
            sequence=sequence,
            policy=policy,
            sealeddigest=None if draft.letter is None else "0" * 64,
        )
