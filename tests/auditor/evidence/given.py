"""Starting points for tests of evidence: a bus with a case, its signed and co-signed log, and the evidence of the case."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agencies import BUS, CASE, SIGNAL
from nrmbus.auditor.evidence.file import Source, evidence_of, sealed
from nrmbus.auditor.evidence.verifier import Key, Trust, Verification
from nrmbus.auditor.history.history import Entry
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.published import vectors
from nrmbus.wire import statement
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log.checkpoint import origin_of, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, Ed25519Verifier, Note, vkey
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import Audience, Registration, verify_registration
from registrar.given import Bus

ORIGIN = origin_of(BUS, 0)
OTHER_CASE = "cd" * 16
TIME = 1_772_427_600
LOG = Ed25519Signer(ORIGIN, SigningKey(vectors.seed("log")))
LASTING = Cosigner(ORIGIN, MLDSA44SigningKey(vectors.seed("log lasting")))
WITNESSES = [
    Cosigner(witness_name(BUS, name), SigningKey(vectors.seed(f"witness {name}")))
    for name in ("ngo-a", "special-unit", "vac")
]
STRANGER = Cosigner(witness_name(BUS, "stranger"), SigningKey(vectors.seed("witness stranger")))
Lines = list[dict[str, Any]]
"""The lines of evidence, without the trailer."""


def key(verifier: Any) -> Key:
    """Return a verifier of ours as the single file reads it."""
    return Key.read(vkey(verifier), 1, 4, 6)


def trust(*, quorum: int | None = 2, operator: Key | None = None) -> Trust:
    """Return a trust in both keys of the log and three witnesses, two of which must have signed."""
    witnesses = tuple(key(each.verifier) for each in WITNESSES)
    return Trust((key(LOG.verifier), key(LASTING.verifier)), witnesses, quorum, operator)


def entry_of(record: Record) -> Entry:
    """Return the entry of a record of the history, unverified: a forger's records too."""
    envelope, added = record.split()
    signed = added[REGISTRATION]
    registration = Registration.parse(statement.body_of("registration", signed))
    said = decode(envelope) if envelope.headers else None
    return Entry(registration, said, None, Audience.parse(added[AUDIENCE]), signed)


def read(raw: bytes) -> Lines:
    """Return the lines of evidence, without the trailer."""
    return [json.loads(line) for line in raw.splitlines()][:-1]


def of_kind(lines: Lines, kind: str) -> Lines:
    """Return the lines of one kind."""
    return [each for each in lines if each["kind"] == kind]


@dataclass
class Evidence:
    """A bus with the handover of a case, its log and the evidence."""

    home: Path
    bus: Bus = field(init=False)
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        """Register a few events of two cases, in turn; one is refused."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.bus = bus = Bus()
        shard = bus.shard()
        bus.signal(shard, case=OTHER_CASE)
        bus.signal(shard)
        bus.consents(shard, "special-unit")
        bus.consents(shard, "shelter", case=OTHER_CASE)
        bus.say(shard, "vac", "case.signal_recorded", SIGNAL)
        bus.consents(shard, "vac")
        bus.signal(shard, case="ef" * 16)
        bus.consents(shard, "fund")
        self.log = self.logged(bus, "log")

    def logged(self, bus: Bus, name: str) -> Log:
        """Return a log of everything that was registered on *bus*."""
        log = Log(self.home / name, SignedHeads(self.home / f"{name}.db"), BUS, 0)
        for record in bus.history:
            log.append(verify_registration(dict(record.headers)[REGISTRATION], lambda _: bus.key.verify_key))
        log.commit()
        return log

    @property
    def operator(self) -> Key:
        """Return the key that signs the directory."""
        public = VerifyKey(self.bus.operator.public).public
        return key(Ed25519Verifier(f"nrmbus/{BUS}/operator", public))

    def note(self, text: bytes | None = None, witnesses: int | None = 2) -> bytes:
        """Return the head of the log, or the checkpoint *text*, signed by the log and the first *witnesses*."""
        text = text or self.log.head.text
        signatures = [LOG.sign(text), LASTING.cosign(text, TIME)]
        return Note(text, (*signatures, *(each.cosign(text, TIME + 60) for each in WITNESSES[:witnesses]))).bytes()

    def source(self, **other: Any) -> Source:
        """Return what the evidence is made from."""
        given: dict[str, Any] = {
            "bus": BUS,
            "policy": "az@2022-04-29",
            "made": "2026-03-02T06:00:00Z",
            "entries": tuple(map(entry_of, self.bus.history)),
            "logs": {0: self.log},
            "checkpoints": {0: self.note()},
            "directory": self.bus.directory.signed,
        }
        return Source(**(given | other))

    @cached_property
    def whole(self) -> bytes:
        """Return the evidence of the case."""
        return evidence_of(CASE, self.source())

    @property
    def lines(self) -> Lines:
        """Return its lines, which the caller may change."""
        return read(self.whole)

    def verified(self, raw: bytes, given: Trust | None = None) -> Verification:
        """Return what the verifier says of *raw*, with the keys of `trust` and the operator's unless others are *given*."""
        path = self.home / "case.evidence.jsonl"
        path.write_bytes(raw)
        return Verification(path, trust(operator=self.operator) if given is None else given)

    def resealed(self, change: Callable[[Lines], object]) -> bytes:
        """Return the evidence after *change*, by a forger who knows how to write the trailer again."""
        lines = self.lines
        change(lines)
        return sealed(lines)
