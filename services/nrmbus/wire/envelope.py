"""The envelope: an event as a CloudEvent in Kafka binary mode, signed by the verifiability extension.

CloudEvents 1.0.2 and ``cloudevents/extensions/verifiability.md`` as of July 2026 (payload type ``…/dsse/v0.1``; ``core``,
``ext`` and ``signedextattrs`` in the signed material), in the stricter profile of README.md.

A reader goes in four steps, and each failure has its own answer:

1. `decode` checks sizes, headers and the form of the signature. A record that fails has no trustworthy sender: it is
   quarantined, and the owner of the topic gets the answer ``unreadable``.
2. `Signed.verify` checks the signature with the key that the directory has for ``source`` and ``kid``. A record that
   fails is not from its source, and is quarantined as well.
3. `Signed.event` reads the data by the model of their type and version. From here on the event is from its source: a
   registration refuses it, and its ``sequence`` counts.
4. `Signed.letter` checks the letter, which only recipients can open, with the same answer.

Generic attributes are read before a model is chosen, so an event of an unknown type or version is still verified,
numbered and refused by name. No step rewrites bytes: the registered bytes are the signed ones.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from pydantic import ValidationError

from nrmbus.events.errors import Invalid, Problem, UnknownType, UnknownVersion
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import data_type
from nrmbus.events.values import frozen
from nrmbus.wire import base64, dsse, ids, json, material, times
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.letter import Container
from nrmbus.wire.record import (
    DATA_LIMIT,
    EXTENSIONS,
    LETTER,
    MATERIAL,
    RECORD_LIMIT,
    Record,
    header_of,
    headers_of,
)

__all__ = ["Record", "Signed", "decode", "encode", "encode_test", "with_letter"]

_PAYLOAD_TYPE: Final = material.PAYLOAD_TYPE.encode()
CONTENT_TYPE: Final = "application/json"
SPECVERSION: Final = "1.0"

_EXTENSION_HEADERS: Final = tuple((name, header_of(name)) for name in EXTENSIONS)
_READ_EARLIER: Final = {"recordedtime", "sequence", "expectedversion"}
_STRINGS: Final = tuple((name, header) for name, header in _EXTENSION_HEADERS if name not in _READ_EARLIER)

_SOURCE: Final = "/agency/"
_TYPE: Final = re.compile(r"nrm(?:\.[a-z][a-z_]{0,40}){2}")
_DATASCHEMA: Final = re.compile(r"urn:nrmbus:(nrm[a-z_.]{1,90}):([1-9][0-9]{0,3})")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_INTEGER: Final = 2**31 - 1  # CloudEvents' Integer has 32 bits


def encode(event: Event, key: SigningKey) -> Record:
    """Write and sign *event*; if it has a letter, ``event.sealeddigest`` is set and `with_letter` adds the letter.

    Raises ``too_large`` for data beyond 16 KiB or an attribute beyond 1 KiB, ``header_not_allowed`` for one that is empty
    or not printable ASCII.
    """
    data = json.dumps(event.data.to_mapping())
    if len(data) > DATA_LIMIT:
        raise WireError("too_large", limit=DATA_LIMIT)
    attributes = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": SPECVERSION,
        "ce_id": event.id,
        "ce_source": _SOURCE + event.source,
        "ce_type": f"nrm.{event.type}",
        "ce_subject": event.subject,
        "ce_time": times.write(event.time),
        "ce_dataschema": f"urn:nrmbus:nrm.{event.type}:{event.version}",
        "ce_recordedtime": times.write(event.recordedtime),
    }
    for name, header in _EXTENSION_HEADERS:
        value = getattr(event, name)
        if value is not None and header not in attributes:
            attributes[header] = str(value)
    return _signed(attributes, data, key)


def encode_test(source: str, step: str, subject: str, id: str, time: datetime, key: SigningKey) -> Record:
    """Write and sign a test hand-over (``nrm.canary.<step>``): an envelope without content that no release registers."""
    attributes = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": SPECVERSION,
        "ce_id": id,
        "ce_source": _SOURCE + source,
        "ce_type": f"nrm.canary.{step}",
        "ce_subject": subject,
        "ce_time": times.write(time),
        "ce_dataschema": f"urn:nrmbus:nrm.canary.{step}:1",
        "ce_recordedtime": times.write(time),
        "ce_sequence": "1",
    }
    return _signed(attributes, b"{}", key)


def _signed(attributes: dict[str, str], data: bytes, key: SigningKey) -> Record:
    payload = material.payload(attributes, data, material.signed_names(attributes))
    headers = [(name, value.encode()) for name, value in attributes.items()]
    envelope = dsse.wrap(material.PAYLOAD_TYPE, payload, key)
    headers.append((MATERIAL, base64.encode(envelope).encode()))
    record = Record(attributes["ce_subject"].encode(), data, tuple(headers))
    headers_of(record)  # never sign a record that nobody would accept
    return record


def with_letter(record: Record, container: bytes) -> Record:
    """Return the record with its letter. Raises ``letter_too_large`` if it no longer fits."""
    whole = record.with_header(LETTER, container)
    if whole.size() > RECORD_LIMIT:
        raise WireError("letter_too_large", limit=RECORD_LIMIT)
    return whole


@frozen
class Signed:
    """Decoded record: claimed source, case and content. Trust it only after `verify`.

    ``source`` is the agency's id; ``type`` has no ``nrm.``; ``digest`` is the envelope's (SHA-256 of the decoded
    ``dssematerial``); ``kid`` names the claimed signing key; ``attributes`` are the event's headers.
    """

    id: str
    source: str
    type: str
    version: int
    subject: str
    time: datetime
    recordedtime: datetime
    sequence: int
    digest: str
    kid: str
    record: Record
    attributes: Mapping[str, str]
    letter_bytes: bytes | None
    fits: bool
    """True if the signed digests are those of these attributes and data; the signer is not checked."""
    _payload: bytes
    _signature: bytes

    @property
    def data(self) -> bytes:
        """Return the data as signed."""
        return self.record.value or b""

    @property
    def sealeddigest(self) -> str | None:
        """Return the digest of the letter; None if the event names none."""
        return self.attributes.get("ce_sealeddigest")

    @property
    def traceparent(self) -> str | None:
        """Return the W3C trace context; None if the event has none."""
        return self.attributes.get("ce_traceparent")

    def verify(self, key: VerifyKey) -> None:
        """Return if *key* signed exactly this; raises ``signature_invalid`` if not. May run in a thread."""
        if key.kid != self.kid or not self.fits:
            raise WireError("signature_invalid")
        key.verify(self._signature, dsse.pae(_PAYLOAD_TYPE, self._payload))

    def event(self) -> Event:
        """Read the event by the model of its type and version.

        Raises ``key_mismatch``, ``unknown_type``, ``unknown_version``, ``json_invalid``, ``json_duplicate``,
        ``unknown_field`` (the data do not fit the model) or ``header_not_allowed`` (an attribute is not of its form).
        """
        if self.record.key != self.subject.encode():
            raise WireError("key_mismatch")
        return _event(self, _data(_model(self), self.data))

    def letter(self, *, whole: bool = True) -> Container | None:
        """Return the letter; None if the event names none. A submission has the *whole* letter, a recipient a copy.

        Raises ``suite_unknown``, ``letter_too_large``, or `LetterClosed` with the reason: ``missing``; ``digest`` (another
        letter than the signed one); ``malformed`` (no container, a letter without a digest in the event, or, when whole,
        other parts than the type's or a part that its sender cannot open).
        """
        if self.sealeddigest is None:
            if self.letter_bytes is not None:
                raise LetterClosed("malformed")
            return None
        if self.letter_bytes is None:
            raise LetterClosed("missing")
        container = Container.parse(self.letter_bytes)
        if container.digest != self.sealeddigest:
            raise LetterClosed("digest")
        if whole:
            kind = _model(self).letter
            if kind is None or not container.whole or container.parts != kind.part_names():
                raise LetterClosed("malformed")
            if not all(self.source in container.wraps(part) for part in container.parts):
                raise LetterClosed("malformed")
        return container


def decode(record: Record) -> Signed:
    """Read a submission without trusting it yet.

    Raises:
        WireError: ``unreadable`` (no value, or an identifying attribute is missing or malformed), ``too_large``,
            ``header_not_allowed``, ``signature_profile`` (no signature, or none of this profile).
    """
    if record.value is None:
        raise WireError("unreadable")
    if len(record.value) > DATA_LIMIT:
        raise WireError("too_large", limit=DATA_LIMIT)
    if record.size() > RECORD_LIMIT:
        raise WireError("too_large", limit=RECORD_LIMIT)
    headers = headers_of(record)
    letter, written = headers.pop(LETTER, None), headers.pop(MATERIAL, None)
    if written is None:
        raise WireError("signature_profile")
    attributes = {name: value.decode() for name, value in headers.items()}
    get = attributes.get
    schema = _DATASCHEMA.fullmatch(get("ce_dataschema", ""))
    source, type_ = get("ce_source", ""), get("ce_type", "")
    time, recordedtime = times.read(get("ce_time", "")), times.read(get("ce_recordedtime", ""))
    sequence = _number(get("ce_sequence", ""))
    if (
        get("ce_specversion") != SPECVERSION
        or get("content-type") != CONTENT_TYPE
        or not ids.EVENT_ID.fullmatch(get("ce_id", ""))
        or not ids.REF.fullmatch(get("ce_subject", ""))
        or not source.startswith(_SOURCE)
        or not ids.is_agency(source.removeprefix(_SOURCE))
        or not _TYPE.fullmatch(type_)
        or schema is None
        or schema[1] != type_
        or time is None
        or recordedtime is None
        or not sequence
    ):
        raise WireError("unreadable")
    envelope = base64.decode(written, "signature_profile")
    payload, kid, signature = dsse.unwrap(material.PAYLOAD_TYPE, envelope)
    return Signed(
        id=attributes["ce_id"],
        source=source.removeprefix(_SOURCE),
        type=type_.removeprefix("nrm."),
        version=int(schema[2]),
        subject=attributes["ce_subject"],
        time=time,
        recordedtime=recordedtime,
        sequence=sequence,
        digest=sha256(envelope).hexdigest(),
        kid=kid,
        record=record,
        attributes=attributes,
        letter_bytes=letter,
        fits=material.fits(payload, attributes, record.value),
        _payload=payload,
        _signature=signature,
    )


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text) or (number := int(text)) > _MAX_INTEGER:
        return None
    return number


def _model(signed: Signed) -> type[Data]:
    known: tuple[int, ...] = ()
    try:
        return data_type(signed.type, signed.version)
    except UnknownType:
        pass
    except UnknownVersion as error:
        known = error.known
    raise WireError("unknown_version", accepts=known) if known else WireError("unknown_type")


def _data(model: type[Data], raw: bytes) -> Data:
    json.loads(raw, limit=DATA_LIMIT)  # pydantic would accept repeated members, floats and any depth
    problem = None
    try:
        return model.from_json(raw)
    except Invalid as error:
        problem = next(iter(error.problems), None)
    problem = problem or Problem("", "invalid")
    raise WireError("unknown_field", pointer=problem.pointer, kind=problem.kind)


def _event(signed: Signed, data: Data) -> Event:
    attributes = signed.attributes
    fields: dict[str, Any] = {name: attributes[header] for name, header in _STRINGS if header in attributes}
    if (version := attributes.get("ce_expectedversion")) is not None:
        fields["expectedversion"] = _number(version)
        if fields["expectedversion"] is None:
            raise WireError("header_not_allowed", header="ce_expectedversion")
    event, field = None, ""
    try:
        event = Event(
            id=signed.id,
            source=signed.source,
            type=signed.type,
            version=signed.version,
            subject=signed.subject,
            time=signed.time,
            recordedtime=signed.recordedtime,
            sequence=signed.sequence,
            data=data,
            **fields,
        )
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        field = str(found[0]["loc"][0])  # a field of ours: no others were given
    if event is None:
        raise WireError("header_not_allowed", header=f"ce_{field}")
    return event
