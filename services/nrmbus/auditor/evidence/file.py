"""The evidence of one case as a file of canonical JSON lines, for a reader who trusts nobody here.

`verifier` reads the file. The same arguments give the same bytes, wherever entries, logs and checkpoints come from.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.history.history import Entry
from nrmbus.auditor.log.log import Log
from nrmbus.events.errors import EventError
from nrmbus.events.registry import data_type
from nrmbus.events.schemas import documents
from nrmbus.packed import packed
from nrmbus.wire import base64, json
from nrmbus.wire.envelope import Signed
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note
from nrmbus.wire.transaction import Proved


@dataclass(frozen=True, slots=True)
class Source:
    """The parts from which the evidence of a case is made.

    ``entries`` are verified entries of the history, of other cases too. ``logs`` and ``checkpoints`` are by partition, for
    each partition of the case; a checkpoint is a signed note, or the text of a note before the first signature.
    ``directory`` has the signed entries as they stand in the topic. ``made`` is the time, as `times.write` writes it.
    """

    bus: str
    policy: str
    made: str
    entries: Iterable[Entry]
    logs: Mapping[int, Log]
    checkpoints: Mapping[int, bytes]
    directory: Sequence[bytes]


def evidence_of(case: str, source: Source) -> bytes:
    """Return the evidence of *case*, as far as the checkpoints reach; the header counts the later registrations.

    Raises:
        ProofError: a checkpoint does not have its form.
        LogError: ``state_damaged`` of a log.
    """
    entries = sorted(
        (each for each in source.entries if each.registration.subject == case),
        key=lambda each: (each.registration.partition, each.registration.number),
    )
    sizes = {partition: head_of(raw).size for partition, raw in source.checkpoints.items()}
    covered = [each for each in entries if each.registration.number <= sizes[each.registration.partition]]
    partitions = sorted({each.registration.partition for each in covered})
    schemas = dict(sorted(found for each in covered if each.said is not None for found in _schema(each.said)))
    counts = {
        "checkpoint": len(partitions),
        "directory": len(source.directory),
        "registration": len(covered),
        "schema": len(schemas),
    }
    named = {"bus": source.bus, "case": case, "made": source.made, "policy": source.policy}
    readme = packed("auditor/evidence/evidence.md").read_text(encoding="utf-8").format(count=len(covered), **named)
    program = Path(verifier.__file__).read_text(encoding="utf-8")
    return sealed([
        {"kind": "header", "format": verifier.FORMAT, "counts": counts, "later": len(entries) - len(covered), **named},
        {"kind": "readme", "text": readme},
        {"kind": "verifier", "text": program},
        *({"kind": "directory", "entry": json.loads(raw, limit=len(raw))} for raw in source.directory),
        *({"kind": "schema", "name": name, "text": text} for name, text in schemas.items()),
        *({"kind": "checkpoint", "note": source.checkpoints[each].decode(), "partition": each} for each in partitions),
        *(_registration(each, source.logs[each.registration.partition], sizes) for each in covered),
    ])  # fmt: skip


def sealed(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Return *lines* as canonical JSON, and behind them the trailer that counts and hashes them."""
    rows = [json.dumps(each) + b"\n" for each in lines]
    body = b"".join(rows)
    trailer = {"kind": "trailer", "lines": len(rows), "sha256": sha256(body).hexdigest()}
    return body + json.dumps(trailer) + b"\n"


def head_of(checkpoint: bytes) -> Checkpoint:
    """Return size and root of a signed note, or of the text of one; raise as `Note.parse` and `Checkpoint.parse`."""
    return Checkpoint.parse(Note.parse(checkpoint).text if b"\n\n" in checkpoint else checkpoint)


def _registration(entry: Entry, log: Log, sizes: Mapping[int, int]) -> dict[str, Any]:
    registration = entry.registration
    proof = log.inclusion_proof(registration.number, sizes[registration.partition])
    line = {
        "kind": "registration",
        "audience": _object(entry.audience.json()),
        "leaf": _object(registration.json()),
        "proof": [base64.encode(each) for each in proof],
        "signature": Proved.read("registration", entry.signed).mapping(),
    }
    return line if entry.said is None else {**line, "envelope": _envelope(entry.said)}


def _object(raw: bytes) -> dict[str, Any]:
    return json.loads(raw, limit=len(raw))


def _envelope(signed: Signed) -> dict[str, Any]:
    """Return the event as it stands in ``nrm.cases``, where no letter is."""
    record = signed.record.without_letter()
    return {"headers": {name: value.decode() for name, value in record.headers}, "value": signed.data.decode()}


def _schema(signed: Signed) -> Iterator[tuple[str, str]]:
    """Yield name and text of the event's schema; nothing for a type that this release does not know."""
    text = _document(signed.type, signed.version)
    if text:
        yield f"nrm.{signed.type}/v{signed.version}", text


@cache
def _document(type_: str, version: int) -> str:
    try:
        return documents((data_type(type_, version),))[f"nrm.{type_}/v{version}.schema.json"]
    except EventError:
        return ""
