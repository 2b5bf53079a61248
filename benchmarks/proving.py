"""Cost of the audit trail: appending to a log, a proof from a large log, and verifying evidence as a stranger does."""

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from replay import BATCH, history
from town import BUS

from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.evidence.file import Source, evidence_of
from nrmbus.auditor.history.history import History
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.auditor.log.tree import StoredTree
from nrmbus.play.load import POLICY
from nrmbus.wire import times
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, vkey

EVENTS: Final = 10_000
COMMIT: Final = 1_000
"""Registrations a commit; at its own pace the auditor commits once a second, so less often than here."""
LEAVES: Final = 1_000_003
PROOFS: Final = 2_000
STRIDE: Final = 400_009
"""Distance between two requested leaves, so that no two are in the same tile."""
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Trail:
    """Registrations a second, verified and appended; milliseconds a proof, sorted; seconds to verify evidence, and its signatures alone."""

    appended: float
    proofs: list[float]
    verified: float
    signatures: float


def trail(home: Path, now: datetime) -> Trail:
    """Append `EVENTS` registrations of one case, export them, and verify the evidence by the program in it."""
    directory, records = history(home / "keys", now, EVENTS, cases=1, senders=("ngo-a",))
    log = Log(home / "log", SignedHeads(home / "heads.db"), BUS, 0)
    reading = LogIngest(log, lambda kid: directory.any_verify_key("registrar", kid))
    started = time.perf_counter()
    for start in range(0, EVENTS, COMMIT):
        for each in records[start : start + COMMIT]:
            reading.take(each)
        log.commit()
    appended = EVENTS / (time.perf_counter() - started)
    key = Ed25519Signer(log.origin, SigningKey.generate())
    lasting = Cosigner(log.origin, MLDSA44SigningKey.generate())
    note = log.sign(key, lasting, int(now.timestamp()))
    read = History(directory, signatures="last")
    for each in records:
        read.take(each, 0)
    source = Source(
        bus=BUS, policy=POLICY, made=times.write(now), entries=read.entries, logs={0: log}, checkpoints={0: note},
        directory=directory.signed,
    )  # fmt: skip
    path = home / "case.evidence.jsonl"
    path.write_bytes(evidence_of((records[0].key or b"").decode(), source))
    log.close()
    command = [sys.executable, verifier.__file__, str(path), "--quorum", "0"]
    command += [part for each in (key, lasting) for part in ("--log", vkey(each.verifier))]
    verified = statistics.median(_seconds(command) for _ in range(ROUNDS))
    return Trail(appended, _proofs(home / "large"), verified, _signatures(EVENTS + EVENTS // BATCH))


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _proofs(home: Path) -> list[float]:
    """Return the milliseconds of inclusion proofs anywhere in a tree of `LEAVES`, opened again so that memory holds none of it."""
    tree = StoredTree(home, "large")
    for number in range(LEAVES):
        tree.append(number.to_bytes(4))
        if number % 100_000 == 0:
            tree.commit()
    tree.commit()
    tree.close()
    tree = StoredTree(home, "large")
    found = []
    for number in range(PROOFS):
        index = number * STRIDE % LEAVES
        started = time.perf_counter()
        merkle.inclusion_proof(index, LEAVES, tree.node)
        found.append((time.perf_counter() - started) * 1000)
    tree.close()
    return sorted(found)


def _signatures(count: int) -> float:
    """Return the seconds that *count* signatures take with `cryptography` on one processor: the least that verifying can cost."""
    key, message = Ed25519PrivateKey.generate(), bytes(800)
    signature, public = key.sign(message), key.public_key()
    started = time.perf_counter()
    for _ in range(count):
        public.verify(signature, message)
    return time.perf_counter() - started
