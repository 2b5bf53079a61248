"""A bundle of evidence: everything that was registered of one case, and what proves it to somebody who trusts nobody here.

It is made of plain arguments, so from wherever records, trees and checkpoints come; `verifier` reads it. The same
arguments give the same bytes.
"""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.log.log import Log
from nrmbus.events.errors import EventError
from nrmbus.events.registry import data_type
from nrmbus.events.schemas import documents
from nrmbus.wire import base64, json, statement
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import AUDIENCE, LETTER, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import Registration

_HERE: Final = Path(__file__).parent
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file: the earliest that a zip knows."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a bundle is made of.

    ``records`` are those of ``nrm.cases``, of other cases too, whose registrations the caller has verified; ``logs`` and
    ``checkpoints`` are those of each partition in which the case stands; a checkpoint is a signed note, or the text of
    one if nobody has signed it yet. ``directory`` has the signed entries as they stand in the topic. ``made`` is when,
    as `times.write` writes it.
    """

    bus: str
    policy: str
    made: str
    records: Iterable[Record]
    logs: Mapping[int, Log]
    checkpoints: Mapping[int, bytes]
    directory: Sequence[bytes]


def bundle(case: str, source: Source) -> bytes:
    """The zip for *case*, with what the checkpoints cover; what is later is left out, and counted in ``gaps.json``.

    Raises:
        WireError, ProofError: a record or a checkpoint has not its form.
        LogError: ``state_damaged`` of a log.
    """
    files: dict[str, bytes] = {
        "directory.jsonl": b"".join(raw + b"\n" for raw in source.directory),
        "verify.py": Path(verifier.__file__).read_bytes(),
    }
    rows: list[bytes] = []
    numbers: dict[str, list[int]] = {}
    later = 0
    for registration, record, statements in _of(case, source.records):
        partition, number = registration.partition, registration.number
        size = head_of(source.checkpoints[partition]).size
        if number > size:
            later += 1
            continue
        name = f"{partition}-{number}"
        rows.append(_row(registration, statements))
        numbers.setdefault(str(partition), []).append(number)
        proof = source.logs[partition].inclusion_proof(number, size)
        body = {"hashes": [base64.encode(each) for each in proof], "index": number - 1, "size": size}
        files[f"proofs/{name}.json"] = json.dumps(body) + b"\n"
        files[f"checkpoints/{partition}.note"] = source.checkpoints[partition]
        if MATERIAL in dict(record.headers):
            files[f"envelopes/{name}.json"] = _envelope(record)
            files |= _schema(record)
    files["registrations.jsonl"] = b"".join(row + b"\n" for row in rows)
    files["gaps.json"] = json.dumps({"later": later, "numbers": numbers}) + b"\n"
    text = (_HERE / "evidence.md").read_text(encoding="utf-8")
    named = {"bus": source.bus, "case": case, "made": source.made, "policy": source.policy}
    files["README.md"] = text.format(count=len(rows), **named).encode()
    manifest = {"format": verifier.FORMAT, "registrations": len(rows), **named}
    return packed(sealed(files, manifest))


def sealed(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """*files*, and beside them the *manifest* that lists them."""
    listed = {name: sha256(raw).hexdigest() for name, raw in files.items() if name != "manifest.json"}
    return {**files, "manifest.json": json.dumps({**manifest, "files": listed}) + b"\n"}


def packed(files: Mapping[str, bytes]) -> bytes:
    """The zip of *files*: sorted, with one time, and nothing of the machine that made it."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, raw in sorted(files.items()):
            info = zipfile.ZipInfo(name, _BEGINNING)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            archive.writestr(info, raw)
    return target.getvalue()


def head_of(checkpoint: bytes) -> Checkpoint:
    """Size and root of a signed note, or of the text of one. Raises as `Note.parse` and `Checkpoint.parse`."""
    return Checkpoint.parse(Note.parse(checkpoint).text if b"\n\n" in checkpoint else checkpoint)


def _of(case: str, records: Iterable[Record]) -> list[tuple[Registration, Record, Mapping[str, bytes]]]:
    found = []
    for each in records:
        record, statements = each.split()
        registration = Registration.parse(statement.body_of("registration", statements[REGISTRATION]))
        if registration.subject == case:
            found.append((registration, record, statements))
    return sorted(found, key=lambda each: (each[0].partition, each[0].number))


def _row(registration: Registration, statements: Mapping[str, bytes]) -> bytes:
    row: dict[str, Any] = {
        "leaf": registration.json().decode(),
        "number": registration.number,
        "partition": registration.partition,
        "statement": statements[REGISTRATION].decode(),
    }
    if AUDIENCE in statements:
        row["audience"] = statements[AUDIENCE].decode()
    return json.dumps(row)


def _envelope(record: Record) -> bytes:
    """The event as it stands in ``nrm.cases``; its letter is not there, and would not come along."""
    headers = [[name, value.decode()] for name, value in record.headers if name != LETTER]
    return (
        json.dumps({"headers": headers, "key": (record.key or b"").decode(), "value": (record.value or b"").decode()})
        + b"\n"
    )


def _schema(record: Record) -> dict[str, bytes]:
    """The schema of the event; nothing where this release does not know it."""
    _, _, name, version = dict(record.headers)["ce_dataschema"].decode().split(":")
    path = f"{name}/v{version}.schema.json"
    schema = _document(name.removeprefix("nrm."), int(version), path)
    return {f"schemas/{path}": schema} if schema else {}


@cache
def _document(type_: str, version: int, path: str) -> bytes:
    try:
        return documents((data_type(type_, version),))[path].encode()
    except EventError:
        return b""
