"""Quick reading of ``nrm.cases``: the next record of a chain, where every digest fits at first sight.

For a reader that verifies a chain by its last signature (`nrmbus.wire.history`). Through the chain that signature covers
the bytes of every registration, and the registration the bytes of envelope and audience. The registrar judged these very
bytes, so their form is not judged again: models are built by construction, and a typed registration when somebody asks.

Nothing is refused here. A record that does not fit at first sight, or that no desk of this release would spell so, gives
None. The caller then takes the steps of `nrmbus.wire.history`, which name the fault, or find none.
"""

import json as plain_json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from nrmbus.events.errors import UnknownType, UnknownVersion
from nrmbus.events.model import Event, Fact
from nrmbus.events.registry import data_type
from nrmbus.wire import base64, material, times, transaction
from nrmbus.wire.errors import WireError
from nrmbus.wire.history import Chain, Plain, plain
from nrmbus.wire.record import (
    AUDIENCE,
    CORE,
    DATA_LIMIT,
    EXTENSIONS,
    MATERIAL,
    REGISTRATION,
    STATEMENT_LIMIT,
    SUBMITTED,
    Record,
    header_of,
)

_SIGNED: Final = frozenset(map(header_of, CORE + EXTENSIONS))
"""Headers that the sender's signature covers; a record with another header is for the slow way."""
_READ_APART: Final = frozenset({"recordedtime", "sequence", "expectedversion", "time", "source", "type"})
_STRINGS: Final = tuple((header_of(name), name) for name in EXTENSIONS if name not in _READ_APART)
_TYPE: Final = material.PAYLOAD_TYPE
_REST: Final = 88 + len('"}]}')
"""Characters behind the kid in the material: the signature in base64, and the ends of the object."""
_SOURCE: Final = "/agency/"
_ABSENT: Final[Mapping[str, Any]] = {name: field.default for name, field in Event.model_fields.items()}
"""Default of every field of an event, in the order of the fields."""


@dataclass(slots=True)
class Committed:
    """A record to whose bytes the registrar's chain commits, read as plain values.

    ``event`` is None for a refusal, and if this release does not know the type or version. ``signed`` is the registrar's
    statement with its proof, ``digest`` the digest of its body.
    """

    said: Plain
    time: datetime
    digest: str
    signed: bytes
    event: Event | None
    _told: bytes

    @property
    def fact(self) -> Fact | None:
        """Return the event as a fold takes it; None where there is no event."""
        if self.event is None:
            return None
        told = tuple(plain_json.loads(self._told)["recipients"])
        return Fact.of(self.event, told, self.time, self.said.number, self.said.policy)


def committed(record: Record, chain: Chain | None) -> Committed | None:
    """Return *record* as the next one of *chain*, or None if the slow way has to look at it.

    Without a chain nothing is compared: the record was verified before, perhaps by another process.
    """
    with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError, WireError):
        return _committed(record, chain)
    return None


def _committed(record: Record, chain: Chain | None) -> Committed | None:
    headers = dict(record.headers)
    if len(headers) != len(record.headers) or not all(headers.values()):
        return None
    signed, told = headers.pop(REGISTRATION), headers.pop(AUDIENCE)
    if len(headers.pop(SUBMITTED, b"")) > STATEMENT_LIMIT:
        return None
    body = transaction.body_of("registration", signed)
    said, digest = plain(body), ""
    time = times.read(said.time)
    if time is None:
        return None
    if chain is not None:
        digest = sha256(body).hexdigest()
        if (
            said.bus != chain.bus or said.partition != chain.partition or said.number != chain.number + 1
            or said.previous != chain.digest or sha256(told).hexdigest() != said.audience
        ):  # fmt: skip
            return None
    event = None
    if said.verdict == "registered":
        wrapped = headers.pop(MATERIAL)
        if record.value is None or len(record.value) > DATA_LIMIT or not headers.keys() <= _SIGNED:
            return None
        attributes = {name: value.decode("ascii") for name, value in headers.items()}
        if chain is not None and not _fits(record.value, attributes, wrapped, said):
            return None
        if (
            attributes["ce_id"] != said.id or attributes["ce_source"] != _SOURCE + said.source
            or attributes["ce_subject"] != said.subject or record.key != headers["ce_subject"]
        ):  # fmt: skip
            return None
        event = _event(attributes, record.value, said)
    elif said.verdict != "refused" or headers or record.value:
        return None
    return Committed(said, time, digest, signed, event, told)


def _fits(data: bytes, attributes: Mapping[str, str], wrapped: bytes, said: Plain) -> bool:
    """Return whether the material is the registered one, and names these attributes and data, in the spelling of `dsse.wrap`."""
    envelope = base64.read(wrapped)
    if envelope is None or sha256(envelope).hexdigest() != said.envelope:
        return False
    payload = base64.encode(material.payload(attributes, data, material.signed_names(attributes)))
    due = f'{{"payload":"{payload}","payloadType":"{_TYPE}","signatures":[{{"keyid":"{said.key}","sig":"'.encode()
    return len(envelope) == len(due) + _REST and envelope.startswith(due)


def _event(attributes: Mapping[str, str], data: bytes, said: Plain) -> Event | None:
    """Return the event by construction, None for a type or version of another release; raises ValueError for other data."""
    type_, version = attributes["ce_type"].removeprefix("nrm."), int(attributes["ce_dataschema"].rpartition(":")[2])
    try:
        model = data_type(type_, version)
    except (UnknownType, UnknownVersion):
        return None
    time, recordedtime = times.read(attributes["ce_time"]), times.read(attributes["ce_recordedtime"])
    if time is None or recordedtime is None:
        raise ValueError
    fields: dict[str, Any] = {
        **_ABSENT, "id": said.id, "source": said.source, "type": type_, "version": version, "subject": said.subject, "time": time,
        "recordedtime": recordedtime, "sequence": int(attributes["ce_sequence"]),
        "data": model.model_validate_json(data),
    }  # fmt: skip
    fields |= {name: attributes[header] for header, name in _STRINGS if header in attributes}
    if (expected := attributes.get("ce_expectedversion")) is not None:
        fields["expectedversion"] = int(expected)
    return _constructed(fields)


def _constructed(fields: dict[str, Any]) -> Event:
    """Return the event of *fields*, as `model_construct` does in ten times the time."""
    made = Event.__new__(Event)
    put = object.__setattr__
    put(made, "__dict__", fields)
    put(made, "__pydantic_fields_set__", {*fields})
    put(made, "__pydantic_extra__", None)
    put(made, "__pydantic_private__", None)
    return made
