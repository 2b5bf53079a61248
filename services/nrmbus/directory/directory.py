"""The directory of one bus: entries as they stand in the topic, verified, and what they say of keys at any time.

Signatures are checked here, everything else is decided by `fold.Roll`.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from pydantic import ValidationError

from nrmbus.bus.folder import PLAY
from nrmbus.directory.entry import Admitters, Entry, Head, admission_of, request_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.fold import LIFE, Kids, Period, Roll, Signed, State
from nrmbus.directory.keys import Keys, LogKeys, verify_key
from nrmbus.directory.signatures import holding
from nrmbus.wire import json, statement
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SealTo, VerifyKey
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import CosignatureVerifier
from nrmbus.wire.names import AUDITOR, REGISTRAR

INSTANTS: Final = 4_096
"""Of how many agencies and moments the answers are kept."""

HEARD: Final = timedelta(hours=1)
"""By when after a change a desk has heard of its own new keys."""

_HEAD: Final = b'"application/vnd.nrmbus.directory-head.v1+json"'


class _Instant(NamedTuple):
    """State and keys of an agency at one moment."""

    state: State | None
    effective: tuple[Period, ...]
    sealing: Period | None


class Directory:
    """All entries of one bus, in number order. Adding an entry twice changes nothing; one that is not believed raises."""

    def __init__(self, bus: str, operator: VerifyKey) -> None:
        self.bus = bus
        self.life = None if bus.startswith(PLAY) else LIFE
        """How long a sealing key is current; without end on a bus for playing, where months pass in seconds."""
        self._operator = operator
        self.roll = Roll(bus, used={operator.kid: ("operator", "directory")})
        self._raw: list[bytes] = []
        self._digests = [bytes(32)]
        """By number, what a head signs of the entries so far."""
        self._keys: dict[tuple[str, int], Keys] = {}
        """Decoded keys by agency and step."""
        self._instants: dict[tuple[str, datetime], _Instant] = {}
        self._roles: dict[str, tuple[str, ...]] = {}
        self._admitters: dict[str, VerifyKey] = {}
        self._head_key: VerifyKey | None = None
        self.head: Head | None = None
        """The newest head that was seen."""
        self.last_head: Head | None = None
        """The one that was read last."""

    @property
    def number(self) -> int:
        """Return the number of the last entry; 0 if there is none."""
        return self.roll.number

    @property
    def digest(self) -> str:
        """Return the value that a head signs for all entries: a hash chain over their digests."""
        return self._digests[-1].hex()

    @property
    def signed(self) -> tuple[bytes, ...]:
        """Return all entries as they are in the topic, without heads."""
        return tuple(self._raw)

    @property
    def entries(self) -> dict[str, Entry]:
        """Return the newest entry of each agency, by agency id."""
        return {agency: standing.last for agency, standing in self.roll.agencies.items()}

    # -- reading -----------------------------------------------------------------------------------------------------

    def add(self, raw: bytes | None) -> Entry | None:
        """Take the next record of the topic: an entry, which is answered, a list of admitters, or a head.

        Raises:
            DirectoryError: it is not believed; the code says why.
        """
        raw = raw or b""  # Kafka hands over a record without a value as none
        if _HEAD in raw:
            self._take_head(raw)
            return None
        due = self.number + 1
        body: dict[str, object] | None = None
        with suppress(WireError):
            body, _ = statement.verify("directory", raw, {self._operator.kid: self._operator}.__getitem__)
        if body is None:
            raise DirectoryError("operator_signature_invalid", due)
        known = body.get("number")
        if isinstance(known, int) and 0 < known < due:
            if self._raw[known - 1] != raw:
                raise DirectoryError("entry_replaced", known)
            return None if "admitters" in body else Entry.model_validate_json(json.dumps(body))
        entry = None
        if "admitters" in body:
            self._take_admitters(body, due)
        else:
            entry = self._take(body, due)
        self._raw.append(raw)
        self._digests.append(sha256(self._digests[-1] + sha256(raw).digest()).digest())
        return entry

    def _take(self, body: Mapping[str, object], due: int) -> Entry:
        entry = _read(Entry, body, due)
        keys = self.checked(entry, due)
        self.roll = self.roll.after(entry, keys.kids)
        self._keys[entry.agency, entry.step] = keys
        self._instants, self._roles = {}, {}
        return entry

    def checked(self, entry: Entry, due: int | None = None) -> Keys:
        """Return the keys of *entry*, which is believed as the next one.

        Raises:
            DirectoryError: it is not.
        """
        keys, asked = self._asked(entry, due)
        signed = Signed(asked, self._admitting(entry, due))
        # On a bus for playing entries go by its own clock, and heads by the wall's.
        seen = self.head.time if self.head and self.life else None
        if code := self.roll.refuses(entry, keys.kids, signed, seen):
            raise DirectoryError(code, due)
        return keys

    def check_request(self, entry: Entry) -> None:
        """See whether what an agency asks for can be admitted, before any admitter has signed.

        Raises:
            DirectoryError: it cannot.
        """
        keys, asked = self._asked(entry, None)
        if entry.bus != self.bus:
            raise DirectoryError("other_bus")
        if code := self.roll.refuses_request(entry, keys.kids, asked):
            raise DirectoryError(code)
        # Whoever took the agency's keys may have any that it ever had. An entry of before this rule is believed all the same.
        if entry.kind == "lost" and any(kid in self.roll.used for _, kid in keys.kids.named()):
            raise DirectoryError("key_replaced")

    def check_admitting(self, entry: Entry) -> int:
        """Return how many admitters have signed the admission so far, each counted once.

        Raises:
            DirectoryError: ``admission_invalid``, ``admitter_unknown``, ``admitter_twice``.
        """
        kids = self._admitting(entry, None)
        if any(kid not in self._admitters for kid in kids):
            raise DirectoryError("admitter_unknown")
        if len(set(kids)) != len(kids):
            raise DirectoryError("admitter_twice")
        return len(kids)

    def _asked(self, entry: Entry, due: int | None) -> tuple[Keys, frozenset[str]]:
        keys = None
        with suppress(WireError):
            keys = Keys.of(entry)
        if keys is None:
            raise DirectoryError("weak_key", due)
        own = {key.kid: key for key in (keys.verify, keys.witness) if key is not None}
        own |= {each.verify.kid: each.verify for each in self._periods(entry.agency)}
        asked = holding("request", request_of(entry), entry.asked, own)
        if asked is None:
            raise DirectoryError("request_invalid", due)
        return keys, frozenset(asked)

    def _take_admitters(self, body: Mapping[str, object], due: int) -> None:
        listed = _read(Admitters, body, due)
        keys, head = self.checked_admitters(listed, due)
        self.roll = self.roll.with_admitters(listed, {key.kid: name for name, key in keys.items()}, head.kid)
        self._admitters, self._head_key = {key.kid: key for key in keys.values()}, head

    def checked_admitters(self, listed: Admitters, due: int | None = None) -> tuple[Mapping[str, VerifyKey], VerifyKey]:
        """Return the keys of the admitters in *listed*, by name, and the key for heads, if *listed* may be the next list.

        Raises:
            DirectoryError: the list is not believed.
        """
        keys: dict[str, VerifyKey] = {}
        head = None
        with suppress(WireError):
            keys = {each.name: verify_key(each.key) for each in listed.admitters}
            head = verify_key(listed.head)
        if head is None:
            raise DirectoryError("weak_key", due)
        admitted = self._admitting(listed, due)
        kids = {key.kid: name for name, key in keys.items()}
        if code := self.roll.refuses_admitters(listed, kids, head.kid, Signed(admitted=admitted)):
            raise DirectoryError(code, due)
        return keys, head

    def _admitting(self, entry: Entry | Admitters, due: int | None) -> tuple[str, ...]:
        known = [
            each for each in entry.admitted if each.keyid in self._admitters
        ]  # another's counts for nothing: the roll
        if holding("admission", admission_of(entry), known, self._admitters) is None:
            raise DirectoryError("admission_invalid", due)
        return tuple(each.keyid for each in entry.admitted)

    def _take_head(self, raw: bytes) -> None:
        head, key = None, self._head_key
        with suppress(WireError, ValidationError):
            if key is not None:
                body, _ = statement.verify("directory-head", raw, {key.kid: key}.__getitem__)
                head = Head.model_validate_json(json.dumps(body))
        if head is None or head.bus != self.bus:
            raise DirectoryError("head_invalid")
        if head.number > self.number:
            raise DirectoryError("head_ahead", self.number + 1)
        if head.digest != self._digests[head.number].hex():
            raise DirectoryError("head_differs", head.number)
        newest, self.last_head = self.head, head
        if newest is not None and head.time > newest.time and head.number < newest.number:
            raise DirectoryError("went_back", newest.number)
        if newest is None or head.time >= newest.time:
            self.head = head

    def see_that_it_has(self, number: int, digest: str) -> None:
        """Check that the entries continue from *number*, for which a head would have signed *digest*.

        Raises:
            DirectoryError: ``went_back``: otherwise a lost key, or a suspended agency, would be good again.
        """
        if number > self.number or self._digests[number].hex() != digest:
            raise DirectoryError("went_back", number)

    # -- asking ------------------------------------------------------------------------------------------------------

    def kids(self, entry: Entry) -> Kids:
        """Return the keys of *entry*, which was added, by their kids."""
        return self._keys[entry.agency, entry.step].kids

    def knows(self, agency: str) -> bool:
        """Return whether *agency* was ever admitted."""
        return agency in self.roll.agencies

    def state(self, agency: str, at: datetime) -> State | None:
        """Return the state of *agency* at *at*, or None before its admission."""
        found = self._at(agency, at)
        return found.state if found else None

    def _at(self, agency: str, at: datetime) -> "_Instant | None":
        # Asked several times an event, and one second has thousands of them.
        instants = self._instants
        found = instants.get((agency, at))
        if found is not None:
            return found
        standing = self.roll.agencies.get(agency)
        if standing is None:
            return None
        if len(instants) >= INSTANTS:
            instants.clear()
        found = _Instant(standing.state(at), standing.effective(at), standing.sealing(at, self.life))
        instants[agency, at] = found
        return found

    def _decoded(self, period: Period) -> Keys:
        return self._keys[period.entry.agency, period.entry.step]

    def _periods(self, agency: str) -> list[Keys]:
        standing = self.roll.agencies.get(agency)
        return [self._decoded(each) for each in standing.periods] if standing else []

    def verify_key(self, agency: str, kid: str, at: datetime, written: datetime | None = None) -> VerifyKey:
        """Return the key *kid* if *agency* signs with it at *at*, or signed with it at *written* within an overlap.

        For an hour after a change of keys the key before is accepted too, since the desk has to learn of the change.

        Raises:
            WireError: ``signature_invalid`` when *kid* is not that key, ``agency_suspended`` also when it is retired.
        """
        found = self._at(agency, at)
        if found is None or not found.effective:
            raise WireError("signature_invalid")
        if found.state != "admitted":
            raise WireError("agency_suspended")
        effective = found.effective
        current = effective[-1]
        if current.kids.signing == kid:
            return self._decoded(current).verify
        if written is not None and len(effective) > 1 and current.overlaps(at) and written < current.since + HEARD:
            before = effective[-2]
            if before.kids.signing == kid:
                return self._decoded(before).verify
        raise WireError("signature_invalid")

    def signing_kid(self, agency: str, at: datetime) -> str | None:
        """Return the kid of the key that *agency* signs with at *at*; None before its admission."""
        found = self._at(agency, at)
        return found.effective[-1].kids.signing if found and found.effective else None

    def any_verify_key(self, agency: str, kid: str) -> VerifyKey:
        """Return a key that *agency* signed with at any time, for reading old history.

        Raises:
            WireError: ``signature_invalid`` when it never had such a key.
        """
        for keys in self._periods(agency):
            if keys.verify.kid == kid:
                return keys.verify
        raise WireError("signature_invalid")

    def registrar_key(self, kid: str) -> VerifyKey:
        """Return a key that the registrar signed with at any time; raises as `any_verify_key`."""
        return self.any_verify_key(REGISTRAR, kid)

    def seal_to(self, agency: str, at: datetime) -> SealTo | None:
        """Return the key to seal letters to for *agency* at *at*: the key with which it opened a challenge.

        None if the agency has no such key, if the key's 90 days are over, or if the agency is not in state admitted.
        """
        found = self._at(agency, at)
        if found is None or found.sealing is None or found.state != "admitted":
            return None
        return self._decoded(found.sealing).seal_to

    def opens(self, agency: str, kid: str, at: datetime) -> bool:
        """Return whether a letter sealed for *agency* to the key *kid* may still arrive at *at*."""
        current = self.seal_to(agency, at)
        if current is None or current.kid == kid:
            return current is not None
        found = self._at(agency, at)
        effective = found.effective if found else ()
        before = len(effective) > 1 and effective[-1].overlaps(at) and effective[-2].kids.sealing == kid
        return before and (self.life is None or at < self.roll.agencies[agency].first_held(kid) + self.life)

    def sealing_ends(self, agency: str, at: datetime) -> datetime | None:
        """Return the end of the sealing key that is current at *at*, or else of the last one before.

        None if the key has no end, or if none was confirmed.
        """
        standing = self.roll.agencies.get(agency)
        if standing is None or self.life is None or self.state(agency, at) == "retired":
            return None
        current = standing.sealing(at)
        return standing.first_held(current.kids.sealing) + self.life if current is not None else None

    def witnesses(self, agency: str | None = None) -> tuple[CosignatureVerifier, ...]:
        """Return every key that ever co-signed checkpoints, with its witness name; only those of *agency*, if given.

        Excludes keys whose owner objected.
        """
        standings = [(each, self.roll.agencies.get(each)) for each in ([agency] if agency else self.roll.agencies)]
        found = {
            keys.witness.public: CosignatureVerifier(witness_name(self.bus, each), keys.witness)
            for each, standing in standings
            for keys in map(self._decoded, standing.undisputed if standing else ())
            if keys.witness is not None
        }
        return tuple(found.values())

    def log_keys(self) -> tuple[LogKeys, ...]:
        """Return every key pair that signed the auditor's logs, oldest first; the last one signs now.

        Excludes keys whose owner objected.
        """
        standing = self.roll.agencies.get(AUDITOR)
        found = {
            keys.log.verify.public + keys.log.lasting.public: keys.log
            for keys in map(self._decoded, standing.undisputed if standing else ())
            if keys.log is not None
        }
        return tuple(found.values())

    def of_role(self, role: str) -> tuple[str, ...]:
        """Return the agencies with *role*, sorted."""
        found = self._roles.get(role)
        if found is None:
            found = tuple(sorted(agency for agency, entry in self.entries.items() if entry.role == role))
            self._roles[role] = found
        return found


_Model = TypeVar("_Model", Entry, Admitters)


def _read(model: type[_Model], body: Mapping[str, object], due: int) -> _Model:
    with suppress(ValidationError):
        return model.model_validate_json(json.dumps(body))
    raise DirectoryError("entry_malformed", due)
