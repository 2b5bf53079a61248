"""What the tests of evidence start from: a bus with a case, its log, signed and co-signed, and its bundle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nrmbus.auditor.evidence.bundle import Source, bundle, packed, sealed
from nrmbus.auditor.evidence.verifier import Key, Trust, Verification, files_of
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.published import vectors
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log.checkpoint import origin_of, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, Ed25519Verifier, Note, vkey
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.registration import verify_registration
from registrar.given import BUS, CASE, SIGNAL, Bus

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
MANIFEST = "manifest.json"


def key(verifier: Any) -> Key:
    """A verifier of ours as the single file reads it."""
    return Key.read(vkey(verifier), 1, 4, 6)


def trust(*, quorum: int | None = 2, operator: Key | None = None) -> Trust:
    """Both keys of the log, three witnesses, two of which must have signed."""
    witnesses = tuple(key(each.verifier) for each in WITNESSES)
    return Trust((key(LOG.verifier), key(LASTING.verifier)), witnesses, quorum, operator)


@dataclass
class Evidence:
    """A bus on which a case was handed over, its log, and what can be exported."""

    home: Path
    bus: Bus = field(init=False)
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        """Say a few things of two cases, in turn; one is refused."""
        self.bus = bus = Bus(self.home)
        bus.admit("registrar", "registrar")
        bus.key = bus.identities["registrar"].signing
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
        """The log of everything that was registered on *bus*."""
        log = Log(self.home / name, SignedHeads(self.home / f"{name}.db"), BUS, 0)
        for record in bus.history:
            log.append(verify_registration(dict(record.headers)[REGISTRATION], lambda _: bus.key.verify_key))
        log.commit()
        return log

    @property
    def operator(self) -> Key:
        """The key that signs the directory."""
        public = VerifyKey(self.bus._operator.public).public
        return key(Ed25519Verifier(f"nrmbus/{BUS}/operator", public))

    def note(self, text: bytes | None = None, witnesses: int | None = 2) -> bytes:
        """The head of the log, or the checkpoint *text*, signed by the log and the first *witnesses*."""
        text = text or self.log.head.text
        signatures = [LOG.sign(text), LASTING.cosign(text, TIME)]
        return Note(text, (*signatures, *(each.cosign(text, TIME + 60) for each in WITNESSES[:witnesses]))).bytes()

    def source(self, **other: Any) -> Source:
        """What the bundle is made of."""
        given: dict[str, Any] = {
            "bus": BUS,
            "policy": "az@2022-04-29",
            "made": "2026-03-02T06:00:00Z",
            "records": tuple(self.bus.history),
            "logs": {0: self.log},
            "checkpoints": {0: self.note()},
            "directory": self.bus.directory.signed,
        }
        return Source(**(given | other))

    @cached_property
    def whole(self) -> bytes:
        """The bundle of the case."""
        return bundle(CASE, self.source())

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Its files."""
        path = self.home / "whole.zip"
        path.write_bytes(self.whole)
        return files_of(path)

    def verified(self, raw: bytes, given: Trust | None = None) -> Verification:
        """What the verifier says of the zip *raw*, with the keys of `trust` and the operator's unless others are *given*."""
        path = self.home / "bundle.zip"
        path.write_bytes(raw)
        return Verification(path, trust(operator=self.operator) if given is None else given)

    def resealed(self, change: Callable[[dict[str, bytes]], object]) -> bytes:
        """The bundle after *change*, by somebody who knows to write the manifest anew."""
        files = dict(self.files)
        manifest = json.loads(files.pop(MANIFEST))
        change(files)
        if MANIFEST not in files:
            files = sealed(files, {name: value for name, value in manifest.items() if name != "files"})
        return packed(files)


def unpacked(evidence: Evidence, folder: Path) -> None:
    """The bundle as a folder."""
    for name, raw in evidence.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
