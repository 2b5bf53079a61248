"""Letters at a desk: opened only after the opening is on record, kept sealed, and drafts sealed to the desk itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import insert

from nrmbus.desk import tables
from nrmbus.desk.seat import Seat
from nrmbus.events.errors import EventError
from nrmbus.events.model import Data, Part
from nrmbus.wire import letter
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import ClosedReason, LetterClosed, WireError

DESK: Final = "desk"
"""Who reads when no member of staff does: the desk itself, to say whether a letter opened."""

STATISTICS: Final = "statistics"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a letter holds for this desk: nothing when none came; ``shut`` says why it could not be opened."""

    parts: Mapping[Part, Mapping[str, Any]] = field(default_factory=dict)
    shut: ClosedReason | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The letter flat, as it was written."""
        return {name: value for part in self.parts.values() for name, value in part.items()}

    @property
    def came(self) -> bool:
        """Whether something was sealed to this desk."""
        return bool(self.parts) or self.shut is not None


def _model(signed: Signed) -> type[Data] | None:
    try:
        return type(signed.event().data)
    except WireError:
        return None


async def open_copy(seat: Seat, signed: Signed, *, who: str, purpose: str) -> Opened:
    """Open this desk's copy of the letter that came with *signed*.

    A row ``reads`` for each part is committed first: if it cannot be written, nothing is opened. A letter that cannot be
    opened is an answer, not an error: ``shut`` has the reason.
    """
    if signed.letter_bytes is None or signed.sealeddigest is None:
        return Opened()
    container, shut = None, None
    try:
        container = signed.letter(whole=False)
    except LetterClosed as closed:
        shut = closed.reason
    except WireError:
        shut = "malformed"
    if container is None:
        return Opened(shut=shut)
    mine = [part for part in container.parts if seat.me in container.wraps(part)]
    if not mine:
        return Opened()
    await record_reads(seat, signed, mine, who=who, purpose=purpose)
    return _open(seat, signed, container)


async def record_reads(seat: Seat, signed: Signed, parts: Iterable[Part], *, who: str, purpose: str) -> None:
    """Put on record, on disk, that *who* opens *parts* of the letter of *signed*, and what for."""
    row = {"at": seat.stamp(), "who": who, "purpose": purpose}
    about = {"subject": signed.subject, "source": signed.source, "event": signed.id}
    async with seat.ledger.write() as tx:
        await tx.execute(insert(tables.reads), [{**row, **about, "part": part} for part in parts])


def _open(seat: Seat, signed: Signed, container: letter.Container) -> Opened:
    place = {"bus": seat.bus, "source": signed.source, "id": signed.id, "subject": signed.subject}
    model = _model(signed)
    try:
        parts = container.open(seat.me, seat.identity.sealing, **place)
        if model is None or model.letter is None:
            return Opened(shut="malformed")
        model.letter.from_parts(parts)
    except LetterClosed as closed:
        return Opened(shut=closed.reason)
    except EventError:
        return Opened(shut="malformed")
    return Opened(parts)


def seal_draft(seat: Seat, parts: Mapping[Part, Mapping[str, Any]], *, id: str, subject: str) -> bytes:
    """Seal the letter of a draft to this desk alone, for the ledger. Raises ``letter_too_large``."""
    audience = {part: [(seat.me, seat.identity.sealing.seal_to)] for part in parts}
    return letter.seal(parts, audience, bus=seat.bus, source=seat.me, id=id, subject=subject)


def unseal_draft(seat: Seat, draft: bytes, *, id: str, subject: str) -> dict[Part, dict[str, Any]]:
    """Open what `seal_draft` sealed: this agency's own words, not yet sent, so no row ``reads`` is owed."""
    container = letter.Container.parse(draft)
    return container.open(seat.me, seat.identity.sealing, bus=seat.bus, source=seat.me, id=id, subject=subject)


def seal_letter(
    seat: Seat, parts: Mapping[Part, Mapping[str, Any]], opens: Mapping[Part, Iterable[str]], *, id: str, subject: str
) -> tuple[bytes, str]:
    """Seal *parts* to those whom *opens* names, the sender always and ``statistics`` for coded facts; container and digest.

    Raises:
        WireError: ``unknown_recipient``, ``letter_too_large``.
    """
    statistics = seat.directory.of_role(STATISTICS)
    audience = {}
    for part in parts:
        readers = {seat.me, *opens.get(part, ()), *(statistics if part == "coded" else ())}
        audience[part] = [(agency, seat.seal_to(agency)) for agency in sorted(readers)]
    raw = letter.seal(parts, audience, bus=seat.bus, source=seat.me, id=id, subject=subject)
    return raw, letter.Container.parse(raw).digest
