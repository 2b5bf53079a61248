"""Readings off the record: one line each on this machine, written before anything is shown, while recording is impossible.

The auditor records such a reading as soon as recording is possible again, under the time of the reading. Lines are only
appended: one for a reading, and later one for its result.
"""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nrmbus.auditor.web.access_log import Question
from nrmbus.auditor.web.names import OFF_THE_RECORD
from nrmbus.bus.private_files import PRIVATE_FILE, make_private
from nrmbus.events.access import Access, AccessPurpose
from nrmbus.wire import ids, times
from nrmbus.wire.disk import flush

_Code = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
_Id = Annotated[str, Field(pattern=f"^{ids.EVENT_ID.pattern}$")]


class Unrecorded(BaseModel):
    """One reading off the record; ``why`` is the code that says why it could not be recorded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["read"] = "read"
    id: _Id
    at: Annotated[str, Field(pattern=r"^[0-9T:-]{19}Z$")]
    actor: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    purpose: AccessPurpose
    what: Access
    subject: Annotated[str, Field(pattern=f"^{ids.REF.pattern}$")]
    event: _Id | None = None
    why: _Code

    @property
    def question(self) -> Question:
        """The question to record."""
        return Question(self.actor, self.purpose, self.what, self.subject, self.event)

    @property
    def read(self) -> datetime | None:
        """The time of the reading by the machine's clock, or None if the line has no valid time."""
        return times.read(self.at)


class _Settled(BaseModel):
    """Result of a reading: recorded, or refused by the registrar with *code*."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["settled"] = "settled"
    id: _Id
    code: _Code | None = None


_LINE: Final[TypeAdapter[Unrecorded | _Settled]] = TypeAdapter(
    Annotated[Unrecorded | _Settled, Field(discriminator="kind")]
)


@dataclass(frozen=True, slots=True)
class Left:
    """Readings not recorded yet, readings that the registrar refused, and the number of unreadable lines, which are foreign."""

    readings: tuple[Unrecorded, ...] = ()
    refused: tuple[Unrecorded, ...] = ()
    unreadable: int = 0


class OffTheRecord:
    """File of readings off the record in the auditor's folder; several processes may append to it."""

    def __init__(self, home: Path) -> None:
        """Look in *home*; no file is made."""
        self._path = home / OFF_THE_RECORD

    def note(self, question: Question, at: datetime, why: str) -> None:
        """Write durably that *question* was answered at *at*; raises OSError if that fails."""
        id = ids.new_event_id(int(at.timestamp() * 1000))
        self._append(
            Unrecorded(
                id=id, at=times.write(at), actor=question.actor, purpose=question.purpose, what=question.what,
                subject=question.subject, event=question.event, why=why,
            )
        )  # fmt: skip

    def settle(self, reading: Unrecorded, code: str | None = None) -> None:
        """Note that *reading* was recorded, or refused with *code*."""
        self._append(_Settled(id=reading.id, code=code))

    def left(self) -> Left:
        """Return everything that is not recorded."""
        found: dict[str, Unrecorded] = {}
        refused: list[Unrecorded] = []
        unreadable = 0
        for line in self._lines():
            try:
                read = _LINE.validate_json(line)
            except ValidationError:
                unreadable += 1
                continue
            if isinstance(read, Unrecorded):
                found[read.id] = read
            elif (reading := found.pop(read.id, None)) and read.code:
                refused.append(reading)
        return Left(tuple(found.values()), tuple(refused), unreadable)

    def _lines(self) -> Iterator[bytes]:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return
        yield from (line for line in raw.split(b"\n") if line)

    def _append(self, line: Unrecorded | _Settled) -> None:
        descriptor = os.open(
            make_private(self._path.parent) / OFF_THE_RECORD, os.O_RDWR | os.O_APPEND | os.O_CREAT, PRIVATE_FILE
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = os.lseek(descriptor, 0, os.SEEK_END)
            whole = end == 0 or os.pread(descriptor, 1, end - 1) == b"\n"  # a power cut may have left half a line
            left = (b"" if whole else b"\n") + line.model_dump_json(exclude_none=True).encode() + b"\n"
            while left:  # on a full disk the first write takes what fits, and the next one fails
                left = left[os.write(descriptor, left) :]
            flush(descriptor)
        finally:
            os.close(descriptor)
