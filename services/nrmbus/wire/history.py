"""Verification of ``nrm.cases``: whether a record is the next registration of its partition, with what was registered.

Registrar, timekeeper, auditor and replay all read the history through this module. It knows bytes alone: keys are found by
a callable of the caller, and no directory, Rules or Kafka is involved. The steps, in the order in which readers take them:

1. `read` splits a record into the submission and the registrar's statement, and verifies the statement's signature,
   if the caller gives a key. Without one the chain of digests answers for the statement, up to `check_signature` of the last.
2. `HistoryRecord.check_place` compares bus, partition, number and previous digest; `Chain` remembers them for a reader.
3. `HistoryRecord.check_commitments` compares the audience, and whether there is an envelope.
4. `HistoryRecord.opened` reads the envelope and compares it with the registration; `check_envelope_digest` is the quick
   form, which compares the digest alone and leaves attributes and data to a later `carried`.
"""

import json as plain_json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from pydantic import ValidationError

from nrmbus.events.errors import EventError
from nrmbus.events.model import Event
from nrmbus.wire import base64, json, statement
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import REGISTRAR
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import NOTHING_BEFORE, Audience, Registration
from nrmbus.wire.transaction import Proved

FaultCode = Literal[
    "unreadable", "signature_invalid", "foreign", "gap", "duplicate", "chain_broken", "audience_missing", "audience_altered",
    "envelope_missing", "envelope_unreadable", "envelope_altered",
]  # fmt: skip
"""Every reason why a record does not continue the history.

``unreadable``: no statement of a registrar. ``signature_invalid``: the registrar, or the sender, did not sign.
``foreign``: another bus or partition. ``gap``, ``duplicate``: a number after, or before, the one that is due.
``chain_broken``: another registration stood before. ``audience_…`` and ``envelope_…``: what the registration commits to is
not there, cannot be read, or is another; an envelope under a refusal is ``envelope_altered`` too.
"""

KeyOf = Callable[[str], VerifyKey]
"""Finds the registrar's key of a kid; raises LookupError or `WireError` if the registrar never had it."""
SenderKeyOf = Callable[[str, str], VerifyKey]
"""Finds the key of an agency and a kid; raises as `KeyOf`."""

_NOT_SIGNED: Final = frozenset({"signature_invalid", "key_not_current"})
_OTHER_RELEASE: Final = frozenset({"unknown_type", "unknown_version"})


class HistoryFault(Exception):
    """A record that does not continue the history; ``code`` is of the closed list `FaultCode`, and nothing of it is repeated."""

    def __init__(self, code: FaultCode) -> None:
        """Name the *code*."""
        self.code: FaultCode = code
        super().__init__(code)


@dataclass(slots=True)
class Plain:
    """A registration as plain JSON gives it, in half the time of the model: for a reader whose chain answers for its form."""

    bus: str
    partition: int
    number: int
    previous: str
    audience: str
    verdict: str
    envelope: str
    id: str
    source: str
    subject: str
    key: str
    sequence: int
    time: str
    policy: str
    """Name of the profile."""


S = TypeVar("S", Registration, Plain)
T = TypeVar("T")
Model = TypeVar("Model", Registration, Audience)


def plain(body: bytes) -> Plain:
    """Return the fields of *body*; raises ValueError, TypeError, KeyError or RecursionError for another form."""
    said = plain_json.loads(body)
    if type(said["number"]) is not int:
        raise TypeError
    return Plain(
        said["bus"], said["partition"], said["number"], said["previous"], said["audience"], said["verdict"],
        said["envelope"], said["id"], said["source"], said["subject"], said["key"], said["sequence"], said["time"],
        said["policy"]["name"],
    )  # fmt: skip


def unspelled(kind: type[Model], raw: bytes) -> Model:
    """Return *raw* as a *kind* without a look at its spelling, for which the chain of digests answers.

    Raises:
        WireError: ``unknown_field``.
    """
    read = None
    try:
        read = kind.model_validate_json(raw)
    except ValidationError:
        read = None
    if read is None:  # raised out here: pydantic's error holds what came in
        raise WireError("unknown_field")
    return read


@dataclass(frozen=True, slots=True)
class HistoryRecord(Generic[S]):
    """One record of ``nrm.cases``, split; which of it was compared, the caller's steps say.

    ``signed`` is the registrar's statement with its proof, ``proved`` the same read, ``digest`` the digest of its body,
    which the next registration names. ``added`` are the headers that the registrar added, by name.
    """

    registration: S
    envelope: Record
    added: dict[str, bytes]
    signed: bytes
    proved: Proved
    digest: str

    @property
    def body(self) -> bytes:
        """The statement without its proof: canonical JSON, and the leaf of the partition's log."""
        return self.proved.body

    def check_place(self, bus: str, partition: int, number: int, previous: str) -> None:
        """Compare with the place after *number*, whose registration has the digest *previous*.

        Raises:
            HistoryFault: ``foreign``, ``gap``, ``duplicate`` or ``chain_broken``.
        """
        said = self.registration
        if said.bus != bus or said.partition != partition:
            raise HistoryFault("foreign")
        if said.number != number + 1:
            raise HistoryFault("gap" if said.number > number else "duplicate")
        if said.previous != previous:
            raise HistoryFault("chain_broken")

    def check_commitments(self) -> None:
        """Compare the audience, and whether there is an envelope: of a registered event, and of nothing else.

        Raises:
            HistoryFault: ``audience_missing``, ``audience_altered``, ``envelope_missing`` or ``envelope_altered``.
        """
        audience = self.added.get(AUDIENCE)
        if audience is None:
            raise HistoryFault("audience_missing")
        if json.digest(audience) != self.registration.audience:
            raise HistoryFault("audience_altered")
        bare = not self.envelope.headers and not self.envelope.value
        if self.registration.verdict == "refused":
            if not bare:
                raise HistoryFault("envelope_altered")
        elif bare:
            raise HistoryFault("envelope_missing")

    def told(self, parse: Callable[[bytes], T]) -> T:
        """Return the audience as *parse* reads it; `check_commitments` has found it there.

        Raises:
            HistoryFault: ``unreadable``.
        """
        with suppress(WireError, LookupError, ValueError, TypeError, RecursionError):
            return parse(self.added[AUDIENCE])
        raise HistoryFault("unreadable")

    def check_envelope_digest(self) -> None:
        """Compare the digest of the envelope alone; `carried` has to look at attributes and data later.

        Raises:
            HistoryFault: ``envelope_unreadable`` or ``envelope_altered``.
        """
        written = next((value for name, value in self.envelope.headers if name == MATERIAL), b"")
        material = base64.read(written)
        if not material:
            raise HistoryFault("envelope_unreadable")
        if json.digest(material) != self.registration.envelope:
            raise HistoryFault("envelope_altered")

    def opened(self, sender_key: SenderKeyOf | None = None) -> Signed:
        """Return the envelope, compared with the registration; *sender_key* has the sender's signature verified too.

        Raises:
            HistoryFault: ``envelope_unreadable``, ``envelope_altered`` or ``signature_invalid``.
        """
        signed, said = carried(self.envelope), self.registration
        if (
            signed.digest != said.envelope or signed.id != said.id or signed.source != said.source
            or signed.subject != said.subject or signed.kid != said.key
        ):  # fmt: skip
            raise HistoryFault("envelope_altered")
        if sender_key is not None:
            _verify_sender(signed, sender_key)
        return signed


def read(record: Record, parse: Callable[[bytes], S], key_of: KeyOf | None = None) -> HistoryRecord[S]:
    """Split *record*, and verify that the registrar signed its statement; without *key_of* nobody's word is asked for.

    *parse* reads the statement: `Registration.parse` where a signature is verified, and in a chain that is verified by its
    last signature `unspelled` or `plain`.

    Raises:
        HistoryFault: ``unreadable`` or ``signature_invalid``.
    """
    code: FaultCode = "unreadable"
    try:
        envelope, added = record.split()
        signed = added[REGISTRATION]
        proved = statement.proved("registration", signed, key_of)
        return HistoryRecord(parse(proved.body), envelope, added, signed, proved, json.digest(proved.body))
    except WireError as error:
        code = "signature_invalid" if error.code in _NOT_SIGNED else "unreadable"
    except (LookupError, ValueError, TypeError, RecursionError):
        code = "unreadable"
    raise HistoryFault(code)  # raised out here: what was caught may hold what came in


def named_in(record: Record) -> tuple[str, ...]:
    """Return the agencies that a record of ``nrm.cases`` names, and the registrar: whoever folds the record must know their roles.

    The record is not verified yet, and may name nobody but the registrar.
    """
    headers = dict(record.headers)
    source = headers.get("ce_source", b"").decode("ascii", "replace").removeprefix("/agency/")
    recipients: tuple[str, ...] = ()
    with suppress(WireError):
        recipients = Audience.parse(headers.get(AUDIENCE, b"")).recipients
    return (REGISTRAR, *recipients, *((source,) if source else ()))


def carried(envelope: Record) -> Signed:
    """Return *envelope* read, its attributes and data compared with what its sender signed.

    Raises:
        HistoryFault: ``envelope_unreadable`` or ``envelope_altered``.
    """
    signed = None
    try:
        signed = decode(envelope)
    except WireError:
        signed = None
    if signed is None:
        raise HistoryFault("envelope_unreadable")
    if not signed.fits:
        raise HistoryFault("envelope_altered")
    return signed


def known_event(signed: Signed) -> Event | None:
    """Return the event in an envelope, or None if this release does not know its type or version.

    Raises:
        HistoryFault: ``envelope_unreadable``.
    """
    try:
        return signed.event()
    except WireError as error:
        if error.code in _OTHER_RELEASE:
            return None
    except EventError:
        pass
    raise HistoryFault("envelope_unreadable")


def check_signature(signed: bytes, key_of: KeyOf) -> None:
    """Verify the registrar's signature on a statement, as a chain needs it on its last one.

    Raises:
        HistoryFault: ``signature_invalid``.
    """
    with suppress(WireError):
        statement.verify_bytes("registration", signed, key_of)
        return
    raise HistoryFault("signature_invalid")


def _verify_sender(signed: Signed, sender_key: SenderKeyOf) -> None:
    with suppress(WireError, LookupError):
        signed.verify(sender_key(signed.source, signed.kid))
        return
    raise HistoryFault("signature_invalid")


@dataclass(slots=True)
class Chain:
    """How far a reader has read one partition."""

    bus: str
    partition: int
    number: int = 0
    """The number of the last registration that was taken; numbers start at 1 and have no gaps."""
    digest: str = NOTHING_BEFORE
    """The digest of that registration."""

    def check(self, record: HistoryRecord[S]) -> None:
        """Check that *record* is the next one; raises as `HistoryRecord.check_place`."""
        record.check_place(self.bus, self.partition, self.number, self.digest)

    def take(self, record: HistoryRecord[S]) -> None:
        """Go on behind *record*, which `check` let pass."""
        self.number, self.digest = record.registration.number, record.digest
