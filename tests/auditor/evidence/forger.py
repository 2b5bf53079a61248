"""A forger who knows the format: he signs what he can, and writes the trailer of the evidence again."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from auditor.evidence.given import LASTING, LOG, ORIGIN, TIME, WITNESSES, Evidence, Lines, of_kind
from nrmbus.published import vectors
from nrmbus.wire import dsse, statement
from nrmbus.wire import json as canonical
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import COSIGNATURE_ED25519, Checkpoint
from nrmbus.wire.log.cosignature import Cosigner, message
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Ed25519Signer, Note, Signature, key_id_of
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.transaction import Proved

Change = Callable[[Lines, Evidence], object]
FIRST, SECOND, REFUSED, FOURTH, LAST = 0, 1, 2, 3, 4
FORGER = SigningKey(vectors.seed("forger"))


def listed(lines: Lines, kind: str, change: Callable[[Lines], object]) -> None:
    """Change the list of the lines of one kind, in its place."""
    found = of_kind(lines, kind)
    at = lines.index(found[0])
    rest = [each for each in lines if each["kind"] != kind]
    change(found)
    lines[:] = [*rest[:at], *found, *rest[at:]]


def rows(change: Callable[[Lines], object]) -> Change:
    """Change the list of registrations."""
    return lambda lines, _: listed(lines, "registration", change)


def part(index: int, change: Callable[[Any], object]) -> Change:
    """Change the line of one registration."""
    return rows(lambda found: change(found[index]))


def proof(index: int, change: Callable[[list[Any]], object]) -> Change:
    """Change the proof of one registration."""
    return part(index, lambda row: change(row["proof"]))


def signature(index: int, change: Callable[[Any], object]) -> Change:
    """Change the registrar's signature of one registration, or the path that leads to it."""
    return part(index, lambda row: change(row["signature"]))


def one_level_up(read: Any) -> None:
    """Let the path begin one level higher, as if the node above the registration were a leaf."""
    read.update(place=read["place"] >> 1, size=read["size"] >> 1, path=read["path"][1:])


def as_a_delivery(lines: Lines, evidence: Evidence) -> None:
    """Have the registrar sign the bytes of the first registration as a delivery."""
    found = of_kind(lines, "registration")[FIRST]
    raw = statement.sign_bytes("delivery", canonical.dumps(found["leaf"]), registrar(evidence))
    found["signature"] = Proved.read("delivery", raw).mapping()


def envelope(index: int, change: Callable[[Any], object]) -> Change:
    """Change the envelope of one registration."""
    return part(index, lambda row: change(row["envelope"]))


def row(index: int, signer: Callable[[Evidence], SigningKey] | None, **fields: Any) -> Change:
    """Change the leaf of one registration; with a *signer*, sign it again."""

    def altered(lines: Lines, evidence: Evidence) -> None:
        found = of_kind(lines, "registration")[index]
        found["leaf"] |= fields
        if signer:
            raw = canonical.dumps(found["leaf"])
            found["signature"] = proved(statement.sign_bytes("registration", raw, signer(evidence)))

    return altered


def proved(raw: bytes) -> dict[str, Any]:
    """Return the member ``signature`` of a signed registration."""
    return Proved.read("registration", raw).mapping()


def registrar(evidence: Evidence) -> SigningKey:
    """Return the key of the real registrar, who is corrupt."""
    return evidence.bus.key


def without(*indices: int) -> Change:
    """Remove registrations and every trace of them."""

    def altered(lines: Lines, evidence: Evidence) -> None:
        rows(lambda found: [found.pop(index) for index in sorted(indices, reverse=True)])(lines, evidence)
        counted(lines, evidence)

    return altered


def counted(lines: Lines, _: Evidence) -> None:
    """Write the counts of the header again."""
    lines[0]["counts"] = {kind: len(of_kind(lines, kind)) for kind in lines[0]["counts"]}


def header(**fields: Any) -> Change:
    """Change the header."""
    return lambda lines, _: lines[0].update(fields)


def drop(kind: str) -> Change:
    """Remove the lines of one kind."""
    return lambda lines, _: lines.__setitem__(slice(None), [each for each in lines if each["kind"] != kind])


def again(kind: str, /, **fields: Any) -> Change:
    """Write one more line of a kind that is there, with other *fields*."""
    return lambda lines, _: listed(lines, kind, lambda found: found.append(found[-1] | fields))


def note(make: Callable[[Evidence], bytes]) -> Change:
    """Put another checkpoint in."""
    return lambda lines, evidence: of_kind(lines, "checkpoint")[0].update(note=make(evidence).decode())


def exchanged(name: str, first: int, second: int) -> Change:
    """Exchange the member *name* of two registrations."""

    def change(found: Lines) -> None:
        found[first][name], found[second][name] = found[second][name], found[first][name]

    return rows(change)


def signed(text: bytes, *more: Signature, log: bool = True) -> bytes:
    """Return a checkpoint signed by the log, and by two witnesses or by the signers of *more*."""
    by = (LOG.sign(text), LASTING.cosign(text, TIME)) if log else ()
    return Note(text, (*by, *(more or [each.cosign(text, TIME) for each in WITNESSES[:2]]))).bytes()


def text(evidence: Evidence, origin: str = ORIGIN, size: int = 0, root: bytes = b"") -> bytes:
    """Return the text of a checkpoint with another origin, size or root."""
    head = evidence.log.head
    return Checkpoint(origin, size or head.size, root or head.root).text


def both(*changes: Change) -> Change:
    """Do one change after the other."""
    return lambda lines, evidence: [change(lines, evidence) for change in changes]


def older(evidence: Evidence) -> bytes:
    """Return the checkpoint of the first five, rightly signed."""
    frontier = merkle.Frontier()
    for number in range(1, 6):
        frontier.append(merkle.leaf_hash(evidence.log.registration(number)))
    return signed(text(evidence, size=5, root=frontier.root()))


def untimed(evidence: Evidence) -> bytes:
    """Return a checkpoint with a co-signature without a time, which says nothing about larger trees."""
    head, witness = evidence.log.head.text, WITNESSES[1].verifier
    value = bytes(8) + SigningKey(vectors.seed("witness special-unit")).sign(
        message(COSIGNATURE_ED25519, witness.name, head, 0)
    )
    return signed(head, WITNESSES[0].cosign(head, TIME), Signature(witness.name, key_id_of(witness), value))


def lookalike(evidence: Evidence) -> bytes:
    """Return a checkpoint that somebody else signed under the name and the key id of the log."""
    head = evidence.log.head.text
    forged = Signature(ORIGIN, key_id_of(LOG.verifier), FORGER.sign(head))
    return Note(head, (forged, LASTING.cosign(head, TIME), *(each.cosign(head, TIME) for each in WITNESSES))).bytes()


def odd(text: bytes) -> bytes:
    """Return *text*, which is no checkpoint, signed by the log."""
    return Note(text, (LOG.sign(text),)).bytes()


def extended(evidence: Evidence) -> bytes:
    """Return a checkpoint with one more line, which no witness co-signed."""
    return odd(evidence.log.head.text + b"fork\n")


def respelled(found: list[Any]) -> None:
    """Write the same hash with stray bits in its base64."""
    last = found[0][-2]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    found[0] = f"{found[0][:-2]}{digits[digits.index(last) + 1]}="


def replaced(evidence: Evidence) -> bytes:
    """Return a checkpoint that another pair of keys signed under the log's name."""
    head = evidence.log.head.text
    mine = Ed25519Signer(ORIGIN, FORGER).sign(head), Cosigner(ORIGIN, MLDSA44SigningKey(FORGER.seed)).cosign(head, TIME)
    return signed(head, *mine, *(each.cosign(head, TIME) for each in WITNESSES), log=False)


def attribute(name: str, value: str) -> Callable[[Any], object]:
    """Give an envelope another value of one header, or none."""

    def change(read: Any) -> None:
        read["headers"].pop(name, None)
        read["headers"] |= {name: value} if value else {}

    return change


def resigned(read: Any) -> None:
    """Sign the envelope as it is by somebody else."""
    body = json.loads(b64decode(read["headers"]["ce_dssematerial"]))
    raw = dsse.wrap(body["payloadType"], b64decode(body["payload"]), FORGER)
    read["headers"]["ce_dssematerial"] = b64encode(raw).decode()


def directory(change: Callable[[Lines], object]) -> Change:
    """Change the list of entries."""
    return lambda lines, _: listed(lines, "directory", change)


def entry(by: Callable[[Evidence], SigningKey], **fields: Any) -> Change:
    """Sign the last entry again, which is the registrar's, with other *fields*."""

    def altered(lines: Lines, evidence: Evidence) -> None:
        last = of_kind(lines, "directory")[-1]
        body = json.loads(statement.body_of("directory", canonical.dumps(last["entry"])))
        last["entry"] = json.loads(statement.sign("directory", body | fields, by(evidence)))

    return altered


def operator(evidence: Evidence) -> SigningKey:
    """Return the key of the real operator."""
    return evidence.bus.operator._key


def other_case(lines: Lines, evidence: Evidence) -> None:
    """Add a rightful registration of another case."""
    raw = dict(evidence.bus.history[0].headers)[REGISTRATION]
    leaf = json.loads(statement.body_of("registration", raw))
    again("registration", leaf=leaf, signature=proved(raw))(lines, evidence)
