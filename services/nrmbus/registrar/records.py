"""Records of the registrar: statements to be signed, and records that carry them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import OUTBOX


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a submission stands: the topic's owner is who may have written it."""

    topic: str
    partition: int
    offset: int

    @property
    def owner(self) -> str:
        """The agency whose outbox this is."""
        return self.topic.removeprefix(OUTBOX)


@dataclass(slots=True)
class Statement:
    """One thing the registrar says, as JSON bytes; signed late, so that a batch can be signed on two threads.

    Ed25519 is deterministic: the same body signed again gives the same bytes, so a repeated answer is the same answer.
    """

    thing: statement.Thing
    body: bytes
    _signed: bytes | None = field(default=None, repr=False)

    def sign(self, key: SigningKey) -> None:
        """Sign, unless that was done before."""
        if self._signed is None:
            self._signed = statement.sign_bytes(self.thing, self.body, key)

    @property
    def signed(self) -> bytes:
        """The DSSE envelope. Raises RuntimeError when `sign` was not called: nothing unsigned may leave."""
        if self._signed is None:
            message = "a statement was about to leave unsigned"
            raise RuntimeError(message)
        return self._signed

    @property
    def is_signed(self) -> bool:
        """True if the statement is signed."""
        return self._signed is not None

    @property
    def digest(self) -> str:
        """SHA-256 of the body: what the next statement of the chain names as ``previous``."""
        return json.digest(self.body)


def audience_json(
    recipients: Sequence[str], earlier: Mapping[str, Sequence[str]], salt: str, because: str | None = None
) -> bytes:
    """The audience, as `nrmbus.wire.registration.Audience.json` writes it: ids of agencies, ids of events, a salt in hex.

    *because* is the rule behind a refusal that does not name it.
    """
    before = ",".join([f'"{agency}":{_listed(events)}' for agency, events in sorted(earlier.items())])
    why = f'"because":"{because}",' if because else ""
    return f'{{{why}"earlier":{{{before}}},"recipients":{_listed(recipients)},"salt":"{salt}"}}'.encode()


def _listed(ids: Sequence[str]) -> str:
    return '["' + '","'.join(ids) + '"]' if ids else "[]"


@dataclass(frozen=True, slots=True)
class Out:
    """One record to write in the transaction; *statements* become headers when signed."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    statements: tuple[tuple[str, Statement], ...] = ()

    def all_headers(self) -> list[tuple[str, bytes]]:
        """Headers as aiokafka wants them."""
        return [*self.headers, *((name, said.signed) for name, said in self.statements)]
