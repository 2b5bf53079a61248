"""Letters at a desk: opened only after the opening is on record, kept sealed, and drafts sealed to the desk itself."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Connection, insert

from nrmbus.desk.letters import case_keys
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.errors import EventError
from nrmbus.events.model import Data, Part
from nrmbus.wire import letter
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import ClosedReason, LetterClosed, WireError
from nrmbus.wire.names import STATISTICS

DESK: Final = "desk"
"""Reader of the desk's own openings, to report whether a letter opened; no member of staff."""

KEPT_SHUT: Final = "consent_withdrawn"
"""Reason why a letter stays closed: the person refused or withdrew that this agency is told."""

ERASED: Final = "erased"
"""Reason why a letter opens no more: this desk has destroyed it."""

ALTERED: Final = "ledger_altered"
"""Reason why a letter stays closed: the case in the ledger differs from the registrar's deliveries."""

Shut = ClosedReason | Literal["consent_withdrawn", "erased", "ledger_altered"]
WhyShut = Callable[[Connection], Shut | None]
"""Return why a letter must stay closed, or None; asked in the transaction that records the opening."""


_PUT_READS: Final = insert(tables.reads)


@dataclass(frozen=True, slots=True)
class Opened:
    """Opened letter: no parts if no letter came; ``shut`` says why it could not be opened."""

    parts: Mapping[Part, Mapping[str, Any]] = field(default_factory=dict)
    shut: Shut | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of all parts together, as they were written."""
        return {name: value for part in self.parts.values() for name, value in part.items()}

    @property
    def came(self) -> bool:
        """Return whether something was sealed to this desk."""
        return bool(self.parts) or self.shut is not None


def _model(signed: Signed) -> type[Data] | None:
    try:
        return type(signed.event().data)
    except WireError:
        return None


def copy_of(seat: Seat, signed: Signed) -> tuple[letter.Container | None, tuple[Part, ...], ClosedReason | None]:
    """Return this desk's closed copy of the letter and the parts sealed to it, or why an expected copy is missing."""
    if signed.letter_bytes is None or signed.sealeddigest is None:
        return None, (), None
    reason: ClosedReason = "malformed"
    try:
        container = signed.letter(whole=False)
    except LetterClosed as closed:
        reason = closed.reason
    except WireError:
        reason = "malformed"
    else:
        mine = [part for part in container.parts if seat.me in container.wraps(part)] if container else []
        return container, tuple(mine), None
    return None, (), reason


async def open_copy(
    seat: Seat, signed: Signed, *, who: str, purpose: str, why_shut: WhyShut, system: str | None = None
) -> Opened:
    """Open this desk's copy of the letter that came with *signed*, unless *why_shut* has a reason.

    A row ``reads`` for each part is committed first: if it cannot be written, nothing is opened. A letter that cannot
    be opened is an answer, not an error: ``shut`` has the reason.
    """
    container, mine, reason = copy_of(seat, signed)
    if container is None or not mine:
        return Opened(shut=reason)
    how: dict[str, Any] = {"who": who, "purpose": purpose, "why_shut": why_shut, "system": system}
    if (shut := await record_reads(seat, signed, mine, **how)) is not None:
        return Opened(shut=shut)
    wraps = {kid for part in mine for agency, kid in container.wraps(part).items() if agency == seat.me}
    if wraps <= seat.identity.opening.keys():
        return _open(seat, signed, container)
    with seat.ledger.read() as tx:  # the key of this letter was destroyed since
        secrets = case_keys.secrets_of(seat, tx, case_keys.place_of(seat, signed))
    return _open(seat, signed, container, secrets)


async def record_reads(
    seat: Seat,
    signed: Signed,
    parts: Iterable[Part],
    *,
    who: str,
    purpose: str,
    why_shut: WhyShut,
    system: str | None = None,
) -> Shut | None:
    """Record on disk that *who* opens *parts* of a letter for *purpose*, or return why the letter must stay closed.

    *system* is the name of the token by which the opening was asked for.

    Check and record are one transaction, so that no withdrawal or erasure can come in between.
    """
    row = {"at": seat.stamp(), "who": who, "purpose": purpose, "system": system}
    about = {"subject": signed.subject, "source": signed.source, "event": signed.id}

    def record(tx: Connection) -> Shut | None:
        if (shut := why_shut(tx)) is None:
            tx.execute(_PUT_READS, [{**row, **about, "part": part} for part in parts])
        return shut

    return await seat.ledger.together(record)


def _open(
    seat: Seat, signed: Signed, container: letter.Container, secrets: Mapping[Part, bytes] | None = None
) -> Opened:
    place, model = case_keys.place_of(seat, signed), _model(signed)
    try:
        secrets = secrets or container.unwrap(seat.me, seat.identity.opening, place)
        parts = container.open_with(secrets, place)
        if model is None or model.letter is None:
            return Opened(shut="malformed")
        model.letter.from_parts(parts)
    except LetterClosed as closed:
        return Opened(shut=closed.reason)
    except EventError:
        return Opened(shut="malformed")
    return Opened(parts)


def secrets(seat: Seat, container: letter.Container, place: letter.Place) -> Mapping[Part, bytes]:
    """Return the content keys of the parts that are sealed to this agency; stored ones if their sealing key is gone."""
    try:
        return container.unwrap(seat.me, seat.identity.opening, place)
    except LetterClosed:
        with seat.ledger.read() as tx:
            return case_keys.secrets_of(seat, tx, place)


def seal_draft(seat: Seat, parts: Mapping[Part, Mapping[str, Any]], *, id: str, subject: str) -> bytes:
    """Seal the letter of a draft to this desk alone, for the ledger. Raises ``letter_too_large``."""
    audience = {part: [(seat.me, seat.identity.sealing.seal_to)] for part in parts}
    return letter.seal(parts, audience, bus=seat.bus, source=seat.me, id=id, subject=subject)


def unseal_draft(seat: Seat, draft: bytes, *, id: str, subject: str) -> dict[Part, dict[str, Any]]:
    """Open what `seal_draft` sealed: this agency's own words, not yet sent, so no row ``reads`` is owed."""
    container = letter.Container.parse(draft)
    return container.open(seat.me, seat.identity.opening, bus=seat.bus, source=seat.me, id=id, subject=subject)


def readers_of(seat: Seat, part: Part, opens: Mapping[Part, Iterable[str]]) -> tuple[str, ...]:
    """Return the agencies that *part* of a letter is sealed to now, beside the sender, if *opens* may open it."""
    statistics = seat.directory.of_role(STATISTICS) if part == "coded" else ()
    return tuple(sorted(each for each in {*opens.get(part, ()), *statistics} if not seat.is_shut_out(each)))


def seal_letter(
    seat: Seat, parts: Mapping[Part, Mapping[str, Any]], opens: Mapping[Part, Iterable[str]], *, id: str, subject: str
) -> tuple[bytes, str]:
    """Seal *parts* to the agencies in *opens*, the sender, and ``statistics`` (coded facts); return container and digest.

    Raises:
        WireError: ``unknown_recipient``, ``letter_too_large``.
    """
    audience = {
        part: [(agency, seat.seal_to(agency)) for agency in sorted({seat.me, *readers_of(seat, part, opens)})]
        for part in parts
    }
    raw = letter.seal(parts, audience, bus=seat.bus, source=seat.me, id=id, subject=subject)
    return raw, letter.Container.parse(raw).digest
