"""What somebody does who alters evidence and knows the format: he signs what he can, and writes the manifest anew."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, MutableMapping
from typing import Any

from auditor.evidence.given import LASTING, LOG, MANIFEST, ORIGIN, TIME, WITNESSES, Evidence
from nrmbus.published import vectors
from nrmbus.wire import json as canonical
from nrmbus.wire import statement
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import COSIGNATURE_ED25519, Checkpoint
from nrmbus.wire.log.cosignature import Cosigner, message
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, Note, Signature, key_id_of
from nrmbus.wire.record import REGISTRATION

Altered = MutableMapping[str, bytes]
Change = Callable[[Altered, Evidence], object]
ROWS, GAPS, NOTE, LEDGER = "registrations.jsonl", "gaps.json", "checkpoints/0.note", "directory.jsonl"
FIRST, SECOND, REFUSED, FOURTH, LAST = 0, 1, 2, 3, 4
FORGER = SigningKey(vectors.seed("forger"))


def rows(files: Altered, change: Callable[[list[Any]], object]) -> None:
    """Change the list of registrations."""
    read = [json.loads(row) for row in files[ROWS].splitlines()]
    change(read)
    files[ROWS] = b"".join(canonical.dumps(row) + b"\n" for row in read)


def part(name: str, change: Callable[[Any], object]) -> Change:
    """Change the JSON of one file."""

    def altered(files: Altered, _: Evidence) -> None:
        read = json.loads(files[name])
        change(read)
        files[name] = canonical.dumps(read) + b"\n"

    return altered


def row(index: int, signer: Callable[[Evidence], SigningKey] | None, **fields: Any) -> Change:
    """Change one registration; with a *signer*, sign it anew."""

    def altered(files: Altered, evidence: Evidence) -> None:
        def change(read: list[Any]) -> None:
            leaf = json.loads(read[index]["leaf"]) | fields
            raw = canonical.dumps(leaf)
            read[index]["leaf"] = raw.decode()
            if signer:
                read[index]["statement"] = statement.sign_bytes("registration", raw, signer(evidence)).decode()

        rows(files, change)

    return altered


def registrar(evidence: Evidence) -> SigningKey:
    """The real registrar, corrupted."""
    return evidence.bus.key


def without(*indices: int) -> Change:
    """Take registrations out, and every trace of them: files, count, gap report."""

    def altered(files: Altered, _: Evidence) -> None:
        numbers: list[int] = []

        def change(read: list[Any]) -> None:
            for index in sorted(indices, reverse=True):
                name = f"0-{read.pop(index)['number']}.json"
                files.pop(f"proofs/{name}")
                files.pop(f"envelopes/{name}", None)
            numbers.extend(each["number"] for each in read)

        rows(files, change)
        part(GAPS, lambda read: read.update(numbers={"0": numbers}))(files, _)
        manifest(files, _, registrations=len(numbers))

    return altered


def manifest(files: Altered, evidence: Evidence, **fields: Any) -> None:
    """Write the manifest anew with other *fields*."""
    listed = json.loads(evidence.files[MANIFEST]) | fields
    listed["files"] = {name: canonical.digest(raw) for name, raw in files.items() if name != MANIFEST}
    files[MANIFEST] = canonical.dumps(listed) + b"\n"


def saying(**fields: Any) -> Change:
    """The manifest with other *fields*; what is changed afterwards, it does not know."""
    return lambda files, evidence: manifest(files, evidence, **fields)


def put(name: str, raw: bytes) -> Change:
    """Put a file in."""
    return lambda files, _: files.update({name: raw})


def note(make: Callable[[Evidence], bytes]) -> Change:
    """Put another checkpoint in."""
    return lambda files, evidence: files.update({NOTE: make(evidence)})


def signed(text: bytes, *more: Signature, log: bool = True) -> bytes:
    """A checkpoint signed by the log, by two witnesses, or by whoever is given."""
    by = (LOG.sign(text), LASTING.cosign(text, TIME)) if log else ()
    return Note(text, (*by, *(more or [each.cosign(text, TIME) for each in WITNESSES[:2]]))).bytes()


def text(evidence: Evidence, origin: str = ORIGIN, size: int = 0, root: bytes = b"") -> bytes:
    """The text of a checkpoint that says something else."""
    head = evidence.log.head
    return Checkpoint(origin, size or head.size, root or head.root).text


def resized(size: int) -> Change:
    """Say another size in every proof."""

    def altered(files: Altered, evidence: Evidence) -> None:
        for name in [name for name in files if name.startswith("proofs/")]:
            part(name, lambda read: read.update(size=size))(files, evidence)

    return altered


def both(*changes: Change) -> Change:
    """One after the other."""
    return lambda files, evidence: [change(files, evidence) for change in changes]


def swap(first: str, second: str) -> Change:
    """Exchange two files."""
    return lambda files, _: files.update({first: files[second], second: files[first]})


def drop(name: str) -> Change:
    """Take a file out."""
    return lambda files, _: files.pop(name)


def older(evidence: Evidence) -> bytes:
    """The checkpoint of the first five, rightly signed."""
    frontier = merkle.Frontier()
    for number in range(1, 6):
        frontier.append(merkle.leaf_hash(evidence.log.registration(number)))
    return signed(text(evidence, size=5, root=frontier.root()))


def untimed(evidence: Evidence) -> bytes:
    """Co-signed by one without a time, which says nothing about larger trees."""
    head, witness = evidence.log.head.text, WITNESSES[1].verifier
    value = bytes(8) + SigningKey(vectors.seed("witness special-unit")).sign(
        message(COSIGNATURE_ED25519, witness.name, head, 0)
    )
    return signed(head, WITNESSES[0].cosign(head, TIME), Signature(witness.name, key_id_of(witness), value))


def lookalike(evidence: Evidence) -> bytes:
    """Signed by somebody else under the name and the key id of the log."""
    head = evidence.log.head.text
    forged = Signature(ORIGIN, key_id_of(LOG.verifier), FORGER.sign(head))
    return Note(head, (forged, LASTING.cosign(head, TIME), *(each.cosign(head, TIME) for each in WITNESSES))).bytes()


def odd(text: bytes) -> bytes:
    """Whatever the log's key can be made to sign."""
    return Note(text, (LOG.sign(text),)).bytes()


def extended(evidence: Evidence) -> bytes:
    """With a line for which no witness speaks."""
    return odd(evidence.log.head.text + b"fork\n")


def respelled(read: Any) -> None:
    """The same hash, with stray bits in its base64."""
    last = read["hashes"][0][-2]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    read["hashes"][0] = f"{read['hashes'][0][:-2]}{digits[digits.index(last) + 1]}="


def replaced(evidence: Evidence) -> bytes:
    """Signed by another pair of keys under the log's name."""
    head = evidence.log.head.text
    mine = Ed25519Signer(ORIGIN, FORGER).sign(head), Cosigner(ORIGIN, MLDSA44SigningKey(FORGER.seed)).cosign(head, TIME)
    return signed(head, *mine, *(each.cosign(head, TIME) for each in WITNESSES), log=False)


def header(name: str, value: str) -> Callable[[Any], object]:
    """Give an envelope another header."""

    def change(read: Any) -> None:
        kept = [pair for pair in read["headers"] if pair[0] != name]
        read["headers"] = [*kept, [name, value]] if value else kept

    return change


def resigned(read: Any) -> None:
    """Sign the envelope as it is by somebody else."""
    headers = dict(read["headers"])
    body = json.loads(b64decode(headers["ce_dssematerial"]))
    raw = statement.wrap(body["payloadType"], b64decode(body["payload"]), FORGER)
    header("ce_dssematerial", b64encode(raw).decode())(read)


def directory(change: Callable[[list[bytes], Evidence], object]) -> Change:
    """Change the list of entries."""

    def altered(files: Altered, evidence: Evidence) -> None:
        entries = files[LEDGER].splitlines()
        change(entries, evidence)
        files[LEDGER] = b"".join(each + b"\n" for each in entries)

    return altered


def entry(by: Callable[[Evidence], SigningKey], **fields: Any) -> Change:
    """Sign the last entry anew, with other *fields*."""

    def change(entries: list[bytes], evidence: Evidence) -> None:
        body = canonical.loads(statement.body_of("directory", entries[-1]), limit=65536)
        entries[-1] = statement.sign("directory", body | fields, by(evidence))

    return directory(change)


def operator(evidence: Evidence) -> SigningKey:
    """The real operator."""
    return evidence.bus._operator._key


def deep(read: list[Any]) -> None:
    """Nest something deeper than is read."""
    read[LAST]["leaf"] = '{"a":' + "[" * 5000 + "]" * 5000 + "}"


def other_case(evidence: Evidence) -> bytes:
    """A rightful registration, of another case."""
    raw = dict(evidence.bus.history[0].headers)[REGISTRATION]
    leaf = statement.body_of("registration", raw).decode()
    return canonical.dumps({"leaf": leaf, "number": 1, "partition": 0, "statement": raw.decode()}) + b"\n"
