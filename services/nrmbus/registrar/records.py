"""Records of the registrar: statements to be signed, and records that carry them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nrmbus.events.values import frozen
from nrmbus.wire import json, statement
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import OUTBOX
from nrmbus.wire.transaction import Thing, Transaction


@frozen
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
    """One thing the registrar says, as JSON bytes; signed late, so that one signature covers a transaction (`sign_all`).

    A signature is kept: an answer that is repeated in a later transaction has its old proof, byte for byte.
    """

    thing: statement.Thing
    body: bytes
    salt: bytes = b""
    """Of a registration or delivery that is not signed yet; signed, the salt stands in its proof."""
    _signed: bytes | None = field(default=None, repr=False)

    _digest: str | None = field(default=None, repr=False, compare=False)

    def take_signed(self, signed: bytes) -> None:
        """Take the signed bytes, once."""
        self._signed = signed

    @property
    def signed(self) -> bytes:
        """The statement with its signature. Raises RuntimeError if there is none: nothing unsigned may leave."""
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
        if self._digest is None:
            self._digest = json.digest(self.body)
        return self._digest


def sign_all(statements: Iterable[Statement], key: SigningKey, secret: bytes) -> None:
    """Sign what is not signed yet: registrations and deliveries together, every answer alone.

    *secret* is the salt of the last audience. The fold of ``nrm.cases`` knows it, and the registrations and deliveries in
    this order, so that it builds the same tree again.
    """
    fresh = {id(each): each for each in statements if not each.is_signed}
    together, shared = Transaction(), list[tuple[Statement, Thing, int]]()
    for each in fresh.values():
        if each.thing == "registration" or each.thing == "delivery":  # noqa: PLR1714 - narrows the type
            shared.append((each, each.thing, together.add(each.thing, each.body, each.salt)))
        else:
            each.take_signed(statement.sign_bytes(each.thing, each.body, key))
    if not shared:
        return
    together.hide(secret)
    together.sign(key)
    for each, thing, number in shared:
        each.take_signed(together.proved(number, thing, each.body))


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


@frozen
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
