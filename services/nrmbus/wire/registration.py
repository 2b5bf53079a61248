"""Statements of the registrar: registrations (receipt and history), deliveries, answers, and audiences.

Each is a closed object in canonical JSON; its digest is SHA-256 over these bytes, without the signature. All but
`Audience` are signed (`statement`); the registration commits to the audience.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, field_serializer, model_validator

from nrmbus.events.model import AgencyId, CaseRef, Digest, EventId, Frozen, Part, Time
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.record import ANSWER, AUDIENCE, DELIVERY, LETTER, REGISTRATION, STATEMENT_LIMIT

__all__ = [
    "ANSWER", "AUDIENCE", "DELIVERY", "LETTER", "NOTHING_BEFORE", "REGISTRATION",
    "Answer", "Audience", "Delivery", "Policy", "Registration",
    "sign_answer", "sign_delivery", "sign_registration", "verify_answer", "verify_delivery", "verify_registration",
]  # fmt: skip

NOTHING_BEFORE: Final = "0" * 64
"""``previous`` of the first statement of a chain."""

Bus = Annotated[str, Field(pattern=r"^(?:play-)?[0-9a-f]{16}$", description="The bus, named when it was made")]
Number = Annotated[int, Field(ge=1, le=json.MAX_INTEGER)]
Offset = Annotated[int, Field(ge=0, le=json.MAX_INTEGER)]
Kid = Annotated[str, Field(pattern=r"^ed25519:[0-9a-f]{32}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Line = Annotated[str, Field(min_length=1, max_length=400)]
RuleId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]{0,15}$")]
Topic = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,248}$")]


class _Stated(Frozen):
    """Statement with canonical JSON and a digest.

    The fields are declared in alphabetical order, as RFC 8785 asks, so pydantic writes canonical JSON in a third of the
    time of a sort.
    """

    def json(self) -> bytes:  # type: ignore[override]  # pydantic keeps a deprecated method of that name
        """Return the canonical JSON bytes, without absent fields."""
        return self.model_dump_json(exclude_none=True).encode()

    @property
    def digest(self) -> str:
        """Return SHA-256 of `json`, in lower hex."""
        return json.digest(self.json())

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the canonical JSON bytes.

        Raises:
            WireError: ``json_invalid``, ``json_duplicate``, ``too_large``, or ``unknown_field``.
        """
        read = None
        if len(raw) <= STATEMENT_LIMIT:
            with suppress(ValidationError):
                read = cls.model_validate_json(raw)
        # One spelling alone comes out again as it went in: a repeated member, a null, a float or a blank does not.
        if read is not None and read.json() == raw and getattr(read, "partition", 0) <= json.MAX_INTEGER:
            return read
        json.loads(raw, limit=STATEMENT_LIMIT)  # says what is wrong, if it is wrong as JSON
        raise WireError("unknown_field" if read is None else "json_invalid")


class Policy(Frozen):
    """The dated profile of the Rules by which something was judged."""

    digest: Digest
    name: Line


class Registration(_Stated):
    """The registrar's word on one submission, refused ones too: its number, its verdict, what it rests on.

    It is the receipt, the history and the Merkle leaf (RFC 9162: SHA-256 over 0x00 and `json`). ``envelope`` is the
    digest of the signed material, ``key`` the kid it verified with, ``audience`` commits to who was told, ``previous``
    is the digest of the registration before it in the partition. ``seal_to`` comes with ``audience_changed`` only: whom
    to seal each part to. ``accepts`` comes with ``unknown_version`` only: the versions of the type that are judged.
    """

    accepts: tuple[Annotated[int, Field(ge=1, le=9999)], ...] | None = None
    article: Line | None = None
    audience: Digest
    bus: Bus
    code: Word | None = None
    envelope: Digest
    id: EventId
    key: Kid
    number: Number
    partition: Annotated[int, Field(ge=0)]
    policy: Policy
    previous: Digest
    rule: RuleId | None = None
    seal_to: dict[Part, tuple[AgencyId, ...]] | None = None
    sequence: Number
    source: AgencyId
    subject: CaseRef
    time: Time
    verdict: Literal["registered", "refused"]

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        refused = self.verdict == "refused"
        if {refused} != {self.code is not None, self.rule is not None, self.article is not None}:
            raise ValueError("a refusal has code, rule and article; a registered event has none")
        if self.seal_to is not None and self.code != "audience_changed":
            raise ValueError("only audience_changed says whom to seal to")
        if (self.accepts is None) != (self.code != "unknown_version"):
            raise ValueError("unknown_version, and nothing else, says which versions are accepted")
        return self

    @field_serializer("seal_to")
    def _in_order(self, value: Mapping[str, tuple[str, ...]] | None) -> dict[str, tuple[str, ...]] | None:
        return None if value is None else dict(sorted(value.items()))

    def leaf(self) -> bytes:
        """Return the hash of the leaf in the Merkle tree of the partition: 32 bytes."""
        return sha256(b"\0" + self.json()).digest()


class Delivery(_Stated):
    """The registrar's word that one agency gets one registration, as its ``inbox_number`` of the partition."""

    bus: Bus
    inbox_number: Number
    partition: Annotated[int, Field(ge=0)]
    previous: Digest
    registration: Digest
    to: AgencyId


class Answer(_Stated):
    """What the registrar answers without a number: ``unreadable``, or a gap in the sequence. It is not remembered.

    ``sha256`` is `Record.digest` of the outbox record at ``topic``, ``partition``, ``offset``.
    """

    bus: Bus
    code: Word
    expected_sequence: Number | None = None
    id: EventId | None = None
    offset: Offset
    partition: Annotated[int, Field(ge=0)]
    sha256: Digest
    subject: CaseRef | None = None
    time: Time
    to: AgencyId
    topic: Topic


class Audience(_Stated):
    """Recipients of a registered event, without the sender, and what was delivered just before it, by agency.

    ``earlier`` has consents, a bar on embassies, and the course of a case that a recipient missed; also one that the sender missed.

    ``because`` comes with a refusal that reads like others to its sender: the rule that applied, for the history alone.

    ``salt`` is 16 random bytes in hex, so that nobody finds the list by trying all lists.
    """

    because: RuleId | None = None
    earlier: Mapping[AgencyId, tuple[EventId, ...]]
    recipients: tuple[AgencyId, ...]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

    @field_serializer("earlier")
    def _in_order(self, value: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return dict(sorted(value.items()))

    def commitment(self) -> str:
        """Return the value in the registration: SHA-256 of `json`, salt included, in lower hex."""
        return self.digest


def sign_registration(registration: Registration, key: SigningKey) -> bytes:
    """Return the header ``nrm_registration``."""
    return statement.sign_bytes("registration", registration.json(), key)


def verify_registration(raw: bytes, key_of: Callable[[str], VerifyKey]) -> Registration:
    """Read and verify ``nrm_registration``; raises as `statement.verify_bytes` and `Registration.parse`."""
    return Registration.parse(statement.verify_bytes("registration", raw, key_of)[0])


def sign_delivery(delivery: Delivery, key: SigningKey) -> bytes:
    """Return the header ``nrm_delivery``."""
    return statement.sign_bytes("delivery", delivery.json(), key)


def verify_delivery(raw: bytes, key_of: Callable[[str], VerifyKey]) -> Delivery:
    """Read and verify ``nrm_delivery``; raises as `verify_registration`."""
    return Delivery.parse(statement.verify_bytes("delivery", raw, key_of)[0])


def sign_answer(answer: Answer, key: SigningKey) -> bytes:
    """Return the header ``nrm_answer``."""
    return statement.sign_bytes("answer", answer.json(), key)


def verify_answer(raw: bytes, key_of: Callable[[str], VerifyKey]) -> Answer:
    """Read and verify ``nrm_answer``; raises as `verify_registration`."""
    return Answer.parse(statement.verify_bytes("answer", raw, key_of)[0])
