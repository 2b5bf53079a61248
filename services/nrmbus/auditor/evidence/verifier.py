"""Offline verifier of the evidence of a case. This single file needs Python 3.11 and `cryptography` 50, or newer.

    python verify.py FILE [--log KEY]... [--witness KEY]... [--quorum K] [--operator KEY] [--json]

FILE is the evidence: one JSON object a line. A KEY is a C2SP verifier key (name+id+base64). Get each key from its owner,
and this program from the published release: a forger can put his own keys and his own program into a forged file.

Exit status: 0 verified; 3 consistent, not anchored (everything fits together, but nobody whom you named vouches for it);
1 failed; 2 wrong usage. The program prints one line for each check. A failed check has one code of `CODES`.

Formats: RFC 8785 (each line), RFC 9162 (tree), C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1
and v1.1.0-rc.1 (ML-DSA-44), DSSE 1.0.2, CloudEvents extensions/verifiability.md of July 2026, RFC 8032, FIPS 204.
"""

import argparse
import gc
import json
import os
import re
import sys
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

CODES: Final = {
    "evidence_unreadable": "There is no evidence here: the file is missing, empty, or no plain file.",
    "evidence_too_large": "The file has more bytes, more lines or longer lines than this program reads.",
    "line_malformed": "A line is cut, of no known form, or not one JSON object in its only spelling (RFC 8785).",
    "line_misplaced": "A line is missing, or stands where its kind does not belong.",
    "digest_differs": "The lines are not those that the last line counts and hashes.",
    "header_malformed": "The first line does not have the form of this version.",
    "count_differs": "There are not as many lines of a kind as the first line says, or no registration.",
    "directory_malformed": "An entry of the directory does not have the right form.",
    "directory_gap": "The directory's numbers have a gap, or do not begin with 1.",
    "operator_signature_invalid": "An entry of the directory is not signed by the operator's key that you gave.",
    "bus_differs": "This is of another bus, or of a bus for playing.",
    "registration_malformed": "A registration does not have the right form.",
    "case_differs": "A registration is of another case.",
    "registration_duplicate": "Two registrations have one number.",
    "order_differs": "The registrations do not stand in the order of their numbers.",
    "chain_broken": "A registration does not name the digest of the one before it.",
    "sequence_gap": "An earlier event of this sender about this case is missing here.",
    "registrar_key_unknown": "The directory does not have this key for the registrar.",
    "registrar_signature_invalid": "The registrar did not sign this registration, or not at this place of its transaction.",
    "checkpoint_missing": "There is no checkpoint for the partition of a registration.",
    "checkpoint_unexpected": "A partition has two checkpoints, or a checkpoint and no registration.",
    "checkpoint_malformed": "The checkpoint is not a C2SP signed note with origin, size and root.",
    "checkpoint_unsigned": "Nobody has signed the head of the log yet.",
    "origin_differs": "The checkpoint is of another bus, of another partition, or of a bus for playing.",
    "log_unknown": "No key that you gave for a log belongs to this log.",
    "log_signature_missing": "A key that you gave for this log has not signed the checkpoint.",
    "log_signature_invalid": "A signature in the log's name does not fit the checkpoint.",
    "cosignature_invalid": "A signature in the name of a witness that you gave does not fit the checkpoint.",
    "quorum_missing": "Fewer witnesses have co-signed the checkpoint than you ask for.",
    "proof_malformed": "The proof does not have the right form.",
    "index_outside_tree": "The checkpoint is older than the registration: its tree has no such leaf.",
    "inclusion_invalid": "The proof does not lead from this registration to the root in the checkpoint.",
    "envelope_missing": "The envelope of a registered event is not here.",
    "envelope_unexpected": "There is an envelope of a refused submission.",
    "envelope_malformed": "An envelope does not have the right form.",
    "envelope_differs": "The envelope is not the one that was registered.",
    "envelope_altered": "An attribute or the data of the event are not those that its sender signed.",
    "other_event": "The registration is of another event than the envelope.",
    "sender_key_unknown": "The directory does not have this key for the sender.",
    "sender_signature_invalid": "The sender did not sign this envelope.",
    "audience_missing": "The list of recipients of the event is not here.",
    "audience_differs": "The list of recipients is not the one that the registration commits to.",
    "key_weak": "The directory has a key under which one signature fits many messages.",
}  # fmt: skip
"""Every way to fail, one sentence each."""

FORMAT: Final = "nrmbus-evidence/3"
TOTAL_LIMIT: Final = 1024 * 1024 * 1024
LINE_LIMIT: Final = 1024 * 1024
LINES_LIMIT: Final = 400_000
DEPTH_LIMIT: Final = 16
"""Bytes of the file, bytes of a line, lines, and levels of nesting within a line."""

FORMS: Final[dict[str, dict[str, type]]] = {
    "header": {},
    "readme": {"text": str},
    "verifier": {"text": str},
    "directory": {"entry": dict},
    "schema": {"name": str, "text": str},
    "checkpoint": {"note": str, "partition": int},
    "registration": {},
    "trailer": {"lines": int, "sha256": str},
}
"""The members of each kind of line, in the order in which the kinds stand; two kinds are looked at more closely later."""
ONCE: Final = ("header", "readme", "verifier", "trailer")
CORE: Final = (
    "ce_id", "ce_source", "ce_specversion", "ce_type", "content-type", "ce_dataschema", "ce_subject", "ce_time",
)  # fmt: skip
EXTENSIONS: Final = (
    "recordedtime", "sequence", "actor", "approver", "policy", "legalbasis", "consent", "referral", "incident",
    "correlationid", "causationid", "expectedversion", "dataclassification", "sealeddigest", "traceparent",
)  # fmt: skip
BUS: Final = re.compile(r"(?:play-)?[0-9a-f]{16}")


class Failed(Exception):
    """A failed check, with its code, and the number of the line if one line is at fault."""

    def __init__(self, code: str, line: int = 0) -> None:
        self.code, self.line = code, line
        super().__init__(f"{code}: {CODES[code]}" + f" (line {line})" * bool(line))


# -- reading strictly: text that two readers could understand in two ways is refused ----------------------------------


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object; raise ValueError if a name stands twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


DECODER: Final = json.JSONDecoder(object_pairs_hook=members, parse_float=int, parse_constant=int)  # int refuses 1.0
SPELLING: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)  # RFC 8785


def spelled(value: dict[str, Any]) -> bytes:
    """Return the canonical JSON of *value*."""
    return SPELLING.encode(value).encode()


def levels(value: Any) -> int:
    """Return how deep *value* is nested."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


def plain(raw: bytes, code: str) -> dict[str, Any]:
    """Return one JSON object (I-JSON, RFC 7493, without floats); raise Failed with *code* for anything else."""
    try:
        value = DECODER.decode(raw.decode())
        if raw.count(b"[") + raw.count(b"{") > DEPTH_LIMIT and levels(value) > DEPTH_LIMIT:
            value = None
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Failed(code)
    return value


def closed(value: dict[str, Any], code: str, optional: dict[str, type] | None = None, /, **kinds: type) -> Any:
    """Return *value* if it has all members of *kinds*, and others only of *optional*, each of its type."""
    known = {**optional, **kinds} if optional else kinds
    named = kinds.keys() <= value.keys() <= known.keys()
    if not named or [*map(type, value.values())] != [known[name] for name in value]:
        raise Failed(code)
    return value


def unbase64(text: Any, code: str) -> bytes:
    """Return the bytes of base64 in its only spelling (RFC 4648 section 3.5)."""
    try:
        raw = a2b_base64(text, strict_mode=True)
    except (ValueError, TypeError):
        raise Failed(code) from None
    if b64encode(raw).decode() != text:
        raise Failed(code)
    return raw


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield each line of the file; raise Failed before more is in memory than this program reads."""
    if not path.is_file():  # a pipe might never answer
        raise Failed("evidence_unreadable")
    total = 0
    with path.open("rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(LINE_LIMIT + 1), b""), 1):
            total += len(raw)
            if len(raw) > LINE_LIMIT or total > TOTAL_LIMIT or number > LINES_LIMIT:
                raise Failed("evidence_too_large", number)
            yield raw


def line_of(raw: bytes) -> dict[str, Any]:
    """Return the object of one line; raise Failed for another spelling, or another form than its kind has."""
    code = "line_malformed"
    value = plain(raw, code)
    form = FORMS.get(str(value.get("kind")))
    if form is None or spelled(value) + b"\n" != raw:
        raise Failed(code)
    return closed(value, code, kind=str, **form) if form else value


# SHA-256 of a text: sources, types and policies come again and again.
digest: Final = lru_cache(8192)(lambda text: sha256(text.encode()).digest())


# -- signatures -------------------------------------------------------------------------------------------------------

P: Final = 2**255 - 19
ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


def ed25519(public: bytes) -> Ed25519PublicKey:
    """Return an Ed25519 key (RFC 8032); raise Failed for a point of small order and for a second spelling."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    if len(public) != 32 or y >= P or y in {0, 1, P - 1, ORDER_8, P - ORDER_8}:
        raise Failed("key_weak")
    return Ed25519PublicKey.from_public_bytes(public)


def kid_of(public: bytes) -> str:
    """Return the id by which signatures name an Ed25519 key."""
    return f"ed25519:{sha256(public).hexdigest()[:32]}"


def holds(key: Ed25519PublicKey | MLDSA44PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether *key* signed *message*."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def unwrap(envelope: dict[str, Any], payload_type: str, code: str) -> tuple[bytes, str, bytes, bytes]:
    """Return the parts of a DSSE envelope with one signature: payload, key id, signature, and the signed bytes (PAE)."""
    closed(envelope, code, payload=str, payloadType=str, signatures=list)
    one: Any = envelope["signatures"][0] if len(envelope["signatures"]) == 1 else None
    named = isinstance(one, dict) and one.keys() == {"keyid", "sig"} and isinstance(one["keyid"], str)
    if envelope["payloadType"] != payload_type or not named:
        raise Failed(code)
    payload = unbase64(envelope["payload"], code)
    return payload, one["keyid"], unbase64(one["sig"], code), pae(payload_type, payload)


class Key(NamedTuple):
    """A C2SP verifier key: ``kind`` 1 is Ed25519, 4 an Ed25519 cosignature, 6 an ML-DSA-44 cosignature."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the key id of C2SP signed-note: four bytes of SHA-256(name, 0x0A, kind, public key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @classmethod
    def read(cls, text: str, *kinds: int) -> "Key":
        """Return a key that *you* gave; raise ValueError if the text is none of these *kinds*."""
        name, _, rest = text.partition("+")
        written, _, material = rest.partition("+")
        raw = a2b_base64(material, strict_mode=True)
        key = cls(name, raw[0] if raw else 0, raw[1:])
        if key.kind not in kinds or key.id.hex() != written or not re.fullmatch(r"[!-*,-~]{1,255}", name):
            raise ValueError(f"this is no verifier key for this option: {name[:40]}+...")
        key.loaded()
        return key

    def loaded(self) -> Ed25519PublicKey | MLDSA44PublicKey:
        """Return the key for `cryptography`; raise ValueError for bytes that are no key."""
        try:
            return MLDSA44PublicKey.from_public_bytes(self.public) if self.kind == 6 else ed25519(self.public)
        except Failed:
            raise ValueError("a weak key") from None

    def signed_at(self, signature: bytes, checkpoint: "Checkpoint") -> int | None:
        """Return when this key signed *checkpoint*, in POSIX seconds; 0 without a time, None if it did not sign."""
        if self.kind == 1:  # C2SP signed-note: the text itself
            return 0 if holds(self.loaded(), signature, checkpoint.text) else None
        time = int.from_bytes(signature[:8], "big")
        if self.kind == 4:  # C2SP tlog-cosignature v1.0.1
            message = b"cosignature/v1\ntime %d\n" % time + checkpoint.text
        else:  # C2SP tlog-cosignature v1.1.0-rc.1: a struct that names signer, time, log, range of leaves, and root
            name, origin = self.name.encode(), checkpoint.origin.encode()
            message = b"".join((
                b"subtree/v1\n\0", bytes([len(name)]), name, time.to_bytes(8, "big"), bytes([len(origin)]), origin,
                bytes(8), checkpoint.size.to_bytes(8, "big"), checkpoint.root,
            ))  # fmt: skip
        return time if time < 2**63 and holds(self.loaded(), signature[8:], message) else None


class Checkpoint(NamedTuple):
    """The size and root of a log, the note's text, and its signatures, unverified: name, key id, signature."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def read(cls, raw: bytes) -> "Checkpoint":
        """Return the checkpoint of a note (C2SP signed-note), or of a bare text that nobody has signed."""
        code = "checkpoint_malformed"
        if len(raw) > 256 * 1024 or re.search(rb"[\x00-\x09\x0b-\x1f]", raw):
            raise Failed(code)
        text, blank, lines = raw.rpartition(b"\n\n")
        text, lines = (text + b"\n", lines) if blank else (raw, b"")
        match = re.fullmatch(rb"([!-~]{1,255})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/=]{44})\n", text)
        each_line = lines.decode(errors="replace").split("\n")[:-1]
        signed = [re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", line) for line in each_line]
        if not match or None in signed or (blank and (not signed or not lines.endswith(b"\n"))) or len(signed) > 1024:
            raise Failed(code)
        found = [(each[1], unbase64(each[2], code)) for each in signed if each]
        size, root = int(match[2]), unbase64(match[3].decode(), code)
        if len(root) != 32 or size >= 2**63 or any(len(value) <= 4 for _, value in found):
            raise Failed(code)
        signatures = tuple((name, value[:4], value[4:]) for name, value in found if blank)
        return cls(match[1].decode(), size, root, text, signatures)


# -- the tree: RFC 9162 section 2.1 -----------------------------------------------------------------------------------


def root_from(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the root to which *proof* leads from a leaf's hash (RFC 9162 section 2.1.3.2); None if the length is wrong."""
    place, last, reached = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            reached = sha256(b"\1" + each + reached).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            reached = sha256(b"\1" + reached + each).digest()
        place, last = place >> 1, last >> 1
    return reached if last == 0 else None


# -- the checks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """The keys that you believe: the log's, the witnesses', the operator's; and how many witnesses must have signed."""

    log: tuple[Key, ...] = ()
    witnesses: tuple[Key, ...] = ()
    quorum: int | None = None
    operator: Key | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a policy under which a signature would count for more than it is."""
        publics = [key.public for key in (*self.log, *self.witnesses)]
        if len(set(publics)) != len(publics) or {key.name for key in self.log} & self.names:
            raise ValueError("each key is for one name and one purpose")
        if not self.log and (self.witnesses or self.quorum is not None):
            raise ValueError("witnesses and a quorum need the log's key: --log KEY")
        if not 0 <= self.needed <= len(self.names):
            raise ValueError("the quorum is more than the witnesses that you name")

    @property
    def names(self) -> set[str]:
        """Return the names of the witnesses: a witness with two keys counts once."""
        return {key.name for key in self.witnesses}

    @property
    def needed(self) -> int:
        """Return how many witnesses must have co-signed: all that you name, unless you give a quorum."""
        return len(self.names) if self.quorum is None else self.quorum


class Line(NamedTuple):
    """One check: name, subject, result (``ok``, ``open``, or a code), and a sentence."""

    check: str
    about: str
    result: str
    says: str


def shown(text: str) -> str:
    """Return *text* without characters that end a line or steer a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


class Verification:
    """Evidence, checked. ``lines`` has each check; ``anchors`` says for each partition who vouches for it."""

    def __init__(self, path: Path, trust: Trust) -> None:
        """Check everything, in the order in which one check rests on another."""
        self.trust = trust
        self.lines: list[Line] = []
        self.anchors: dict[int, str | None] = {}
        self.found: dict[str, list[tuple[int, dict[str, Any]]]] = {kind: [] for kind in FORMS}
        self.header: dict[str, Any] = {}
        self._keys: dict[tuple[str, str], Ed25519PublicKey] = {}
        self._notes: dict[int, list[str]] = {}
        self._checkpoints: dict[int, Checkpoint] = {}
        self._leaves: dict[tuple[int, int], dict[str, Any]] = {}
        self._digests: dict[tuple[int, int], str] = {}
        self._last = (-1, 0)
        self._claims: dict[tuple[str, str, bytes, bytes], list[tuple[int, str]]] = {}
        if self._check("evidence", path.name, self._open, path) and self._check("header", "all", self._header):
            self._check("directory", "all", self._directory)
            for _, row in self.found["checkpoint"]:
                self._notes.setdefault(row["partition"], []).append(row["note"])
            for number, row in self.found["registration"]:
                self._registration(number, row)
            self._signatures()
            self._check("count", "all", self._count)
            sources: dict[str, list[dict[str, Any]]] = {}
            for _, leaf in sorted(self._leaves.items()):
                sources.setdefault(leaf["source"], []).append(leaf)
            for source, leaves in sorted(sources.items()):
                self._check("sequence", ascii(source)[1:-1], self._sequence, leaves)
            self._check("gaps", "all", self._gaps)

    def _check(self, name: str, about: str, work: Callable[..., str], *given: Any) -> bool:
        """Do *work* and note its sentence, or the code of its failure."""
        try:
            result, says = None, work(*given)
        except Failed as failed:
            result, says = failed.code, str(failed).partition(": ")[2]
        # Text of the evidence, and the name of its file, must look like no other line, and steer no terminal.
        self.lines.append(
            Line(name, shown(about), result or ("open" if says.startswith("not ") else "ok"), shown(says))
        )
        return result is None

    def _open(self, path: Path) -> str:
        """Read every line; nothing of the file is believed before its last line fits all others."""
        kinds, hashed, number = [*FORMS], sha256(), 0
        try:
            for number, raw in enumerate(lines_of(path), 1):
                line = line_of(raw)
                kind = line["kind"]
                after = kinds[kinds.index(kind) :]
                if any(self.found[each] for each in (after if kind in ONCE else after[1:])):
                    raise Failed("line_misplaced")
                self.found[kind].append((number, line))
                if kind != "trailer":
                    hashed.update(raw)
        except OSError:
            raise Failed("evidence_unreadable") from None
        except Failed as failed:
            raise Failed(failed.code, number) from None
        if not number:
            raise Failed("evidence_unreadable")
        if not all(self.found[kind] for kind in ONCE):
            raise Failed("line_misplaced")
        _, trailer = self.found["trailer"][0]
        if (trailer["lines"], trailer["sha256"]) != (number - 1, hashed.hexdigest()):
            raise Failed("digest_differs")
        return f"{number} lines, as the last one says"

    def _header(self) -> str:
        code = "header_malformed"
        header = closed(
            self.found["header"][0][1], code,
            kind=str, format=str, bus=str, case=str, made=str, policy=str, counts=dict, later=int,
        )  # fmt: skip
        bus, case = header["bus"], header["case"]
        named = BUS.fullmatch(bus) and re.fullmatch("[0-9a-f]{32}", case)
        if header["format"] != FORMAT or not named or header["later"] < 0:
            raise Failed(code)
        self.header = header
        return f"case {case} of bus {bus}"

    def _directory(self) -> str:
        code, bus, operator = "directory_malformed", self.header["bus"], self.trust.operator
        if operator and operator.name != f"nrmbus/{bus}/operator":
            raise Failed("bus_differs")
        rows = self.found["directory"]
        for number, (_, row) in enumerate(rows, 1):
            payload, kid, signature, signed = unwrap(row["entry"], "application/vnd.nrmbus.directory.v1+json", code)
            if operator and (kid != kid_of(operator.public) or not holds(operator.loaded(), signature, signed)):
                raise Failed("operator_signature_invalid")
            entry = plain(payload, code)
            if entry.get("number") != number:
                raise Failed("directory_gap")
            if entry.get("bus") != bus:
                raise Failed("bus_differs")
            if "admitters" in entry:  # their keys sign no registration
                continue
            public, agency = unbase64(entry.get("signing"), code), str(entry.get("agency"))
            self._keys[agency, kid_of(public)] = ed25519(public)
        entries = f"{len(rows)} entries"
        return (
            f"{entries}, signed by {operator.name}" if operator else f"not held against the operator's key: {entries}"
        )

    def _signed_by(self, who: str, kid: str, agency: str, signature: bytes, message: bytes) -> None:
        """Note the claim that *agency* signed *message* by the key with this id; `_signatures` verifies all claims.

        The id is a digest of the key, so a signature over the id is a signature over the key.
        """
        if (agency, kid) not in self._keys:
            raise Failed(f"{who}_key_unknown")
        claim = agency, kid, signature, message
        self._claims.setdefault(claim, []).append((len(self.lines), f"{who}_signature_invalid"))

    def _signatures(self) -> None:
        """Verify each claimed signature once, on all processors; a wrong signature fails every line that claims it."""
        processors, claims = os.cpu_count() or 1, [*self._claims]
        with ThreadPoolExecutor(processors) as pool:
            list(pool.map(self._settle, [claims[each::processors] for each in range(processors)]))

    def _settle(self, claims: Sequence[tuple[str, str, bytes, bytes]]) -> None:
        for claim in claims:
            agency, kid, signature, message = claim
            for at, code in () if holds(self._keys[agency, kid], signature, message) else self._claims[claim]:
                self.lines[at] = self.lines[at]._replace(result=code, says=CODES[code])

    # -- one registration: the registrar's statement on one event, a leaf of the tree --

    def _registration(self, line: int, row: dict[str, Any]) -> None:
        if not self._check("registration", f"line {line}", self._read, row):
            return
        leaf, raw = row["leaf"], spelled(row["leaf"])
        partition, number = place = leaf["partition"], leaf["number"]
        about = f"{partition}-{number}"
        if partition not in self.anchors:
            self.anchors[partition] = None
            if self._check("checkpoint", f"p{partition}", self._checkpoint, partition):
                self._check("witnesses", f"p{partition}", self._vouched, partition)
        self._check("chain", about, self._chain, place, leaf, sha256(raw).hexdigest())
        self._check("signature", about, self._signature, row["signature"], raw)
        if partition in self._checkpoints:
            self._check("inclusion", about, self._inclusion, place, raw, row["proof"])
        self._check("envelope", about, self._envelope, row.get("envelope"), leaf)
        self._check("audience", about, self._audience, row.get("audience"), leaf)

    def _read(self, row: dict[str, Any]) -> str:
        code = "registration_malformed"
        closed(row, code, {"audience": dict, "envelope": dict}, kind=str, leaf=dict, proof=list, signature=dict)
        leaf = closed(
            row["leaf"], code,
            {"accepts": list, "article": str, "code": str, "rule": str, "seal_to": dict},
            audience=str, bus=str, envelope=str, id=str, key=str, number=int, partition=int, policy=dict,
            previous=str, sequence=int, source=str, subject=str, time=str, verdict=str,
        )  # fmt: skip
        if leaf["verdict"] not in {"registered", "refused"} or leaf["number"] < 1:
            raise Failed(code)
        if leaf["bus"] != self.header["bus"]:
            raise Failed("bus_differs")
        if leaf["subject"] != self.header["case"]:
            raise Failed("case_differs")
        why = f" ({leaf['code']}, {leaf.get('rule')}, {leaf.get('article')})" if "code" in leaf else ""
        return f"number {leaf['number']}: {leaf['source']}, {leaf['time']}: {leaf['verdict']}{why}"

    def _chain(self, place: tuple[int, int], leaf: dict[str, Any], digest: str) -> str:
        known, last = place in self._leaves, self._last
        due = self._digests.get((place[0], place[1] - 1))
        self._last = max(place, last)
        self._leaves.setdefault(place, leaf)
        self._digests.setdefault(place, digest)
        if known:
            raise Failed("registration_duplicate")
        if place < last:
            raise Failed("order_differs")
        if due not in {None, leaf["previous"]}:
            raise Failed("chain_broken")
        return "its number is in turn" + (" and it names the one before it" if due else "")

    def _signature(self, said: dict[str, Any], leaf: bytes) -> str:
        """Check that the path leads from the registration to the root of its transaction, which the registrar signed."""
        code = "registration_malformed"
        closed(said, code, keyid=str, path=list, place=int, salt=str, sig=str, size=int)
        place, size, kid = said["place"], said["size"], said["keyid"]
        path = [unbase64(each, code) for each in said["path"]]
        salt = unbase64(said["salt"], code)
        if not 0 <= place < size < 2**32 or {*map(len, path)} - {32} or len(salt) != 16:
            raise Failed(code)
        hashed = sha256(b"\0" + salt + pae("application/vnd.nrmbus.registration.v1+json", leaf)).digest()
        root = root_from(place, size, hashed, path)
        if root is None:
            raise Failed(code)
        signed = pae("application/vnd.nrmbus.transaction.v1+json", spelled({"root": root.hex(), "size": size}))
        self._signed_by("registrar", kid, "registrar", unbase64(said["sig"], code), signed)
        return f"signed by the registrar's key {kid} with the others of its transaction"

    def _inclusion(self, place: tuple[int, int], leaf: bytes, proof: list[Any]) -> str:
        code, (partition, number) = "proof_malformed", place
        checkpoint = self._checkpoints[partition]
        hashes = [unbase64(each, code) for each in proof]
        if {*map(len, hashes)} - {32}:
            raise Failed(code)
        if number > checkpoint.size:
            raise Failed("index_outside_tree")
        # The size, like the root, comes from the checkpoint alone, and the place from the registration's own number.
        if root_from(number - 1, checkpoint.size, sha256(b"\0" + leaf).digest(), hashes) != checkpoint.root:
            raise Failed("inclusion_invalid")
        return f"leaf {number - 1} of the tree of {checkpoint.size}"

    def _envelope(self, envelope: dict[str, Any] | None, leaf: dict[str, Any]) -> str:
        if leaf["verdict"] == "refused" and envelope is not None:
            raise Failed("envelope_unexpected")
        if leaf["verdict"] == "refused":
            return "a refused submission has no envelope"
        if envelope is None:
            raise Failed("envelope_missing")
        code = "envelope_malformed"
        closed(envelope, code, headers=dict, value=str)
        headers: dict[str, Any] = dict(envelope["headers"])
        texts = [each for each in headers.values() if isinstance(each, str) and each]
        if len(texts) != len(headers) or re.search("[^ -~]", "".join(texts)):
            raise Failed(code)
        material = unbase64(headers.pop("ce_dssematerial", None), code)
        if sha256(material).hexdigest() != leaf["envelope"]:
            raise Failed("envelope_differs")
        kind = "https://cloudevents.io/verifiability/dsse/v0.1"
        payload, kid, signature, signed = unwrap(plain(material, code), kind, code)
        # CloudEvents verifiability: a hash over the hashes of the core attributes and the data, one over the others'.
        names = [name for name in EXTENSIONS if f"ce_{name}" in headers]
        core = [*(digest(headers.get(name, "")) for name in CORE), sha256(envelope["value"].encode()).digest()]
        extensions = [digest(headers[f"ce_{name}"]) for name in names]
        due = {
            "core": b64encode(sha256(b"".join(core)).digest()).decode(),
            "ext": b64encode(sha256(b"".join(extensions)).digest()).decode(),
            "signedextattrs": names,
        }
        if plain(payload, code) != due or headers.keys() - {*CORE, *(f"ce_{name}" for name in names)}:
            raise Failed("envelope_altered")
        named = [headers.get(name) for name in ("ce_id", "ce_source", "ce_subject", "ce_sequence")]
        registered = [leaf["id"], f"/agency/{leaf['source']}", leaf["subject"], str(leaf["sequence"])]
        if named != registered or kid != leaf["key"]:
            raise Failed("other_event")
        self._signed_by("sender", kid, leaf["source"], signature, signed)
        return f"{headers.get('ce_type')} signed by {leaf['source']} with {kid}"

    def _audience(self, audience: dict[str, Any] | None, leaf: dict[str, Any]) -> str:
        if audience is None:
            raise Failed("audience_missing")
        if sha256(spelled(audience)).hexdigest() != leaf["audience"]:
            raise Failed("audience_differs")
        told = audience.get("recipients")
        return f"told to {', '.join(map(str, told)) if isinstance(told, list) and told else 'nobody'}"

    # -- one partition: the head of the log, and its signers --

    def _checkpoint(self, partition: int) -> str:
        notes = self._notes.get(partition, [])
        if len(notes) != 1:
            raise Failed("checkpoint_unexpected" if notes else "checkpoint_missing")
        checkpoint = Checkpoint.read(notes[0].encode())
        if checkpoint.origin != f"nrmbus/{self.header['bus']}/p{partition}":
            raise Failed("origin_differs")
        self._checkpoints[partition] = checkpoint
        return f"{checkpoint.origin} at size {checkpoint.size}, root {checkpoint.root.hex()}"

    def _vouched(self, partition: int) -> str:
        checkpoint, trust = self._checkpoints[partition], self.trust
        if not trust.log:
            return "not anchored: no key of the log was given" + "; nobody has signed it" * (not checkpoint.signatures)
        if not checkpoint.signatures:
            raise Failed("checkpoint_unsigned")
        log = [key for key in trust.log if key.name == checkpoint.origin]
        if not log:
            raise Failed("log_unknown")
        signed = self._signed(checkpoint, log, "log_signature_invalid")
        if len(signed) < len(log):
            raise Failed("log_signature_missing")
        seen: dict[str, int] = {}
        for key, time in self._signed(checkpoint, trust.witnesses, "cosignature_invalid").items():
            if time:  # a co-signature without a time does not exclude a larger tree
                seen[key.name] = max(time, seen.get(key.name, 0))
        if len(seen) < trust.needed:
            raise Failed("quorum_missing")
        keys = ", ".join(f"{key.name}+{key.id.hex()}" for key in log)
        when = {name: datetime.fromtimestamp(min(at, 2**37), UTC) for name, at in sorted(seen.items())}
        named = ", ".join(f"{name} at {at:%Y-%m-%dT%H:%M:%SZ}" for name, at in when.items())
        by = f"signed by {keys}; {len(seen)} of {len(trust.names)} witnesses, quorum {trust.needed}"
        by += f": {named}" if named else ""
        if not trust.witnesses and trust.quorum is None:
            return f"not anchored: {by}; name witnesses, or say --quorum 0 to take the log's word alone"
        self.anchors[partition] = by
        return by

    def _signed(self, checkpoint: Checkpoint, keys: Sequence[Key], code: str) -> dict[Key, int]:
        """Return the *keys* that have signed, and when; raise Failed for a wrong signature in the name of one of them."""
        known = {(key.name, key.id): key for key in keys}
        found: dict[Key, int] = {}
        for name, key_id, value in checkpoint.signatures:
            if (key := known.get((name, key_id))) is not None:
                time = key.signed_at(value, checkpoint)
                if time is None:
                    raise Failed(code)
                found[key] = max(time, found.get(key, 0))
        return found

    # -- the whole: what is missing --

    def _count(self) -> str:
        here = {kind: len(rows) for kind, rows in self.found.items() if kind not in ONCE}
        if self.header["counts"] != here or not 0 < len(self._leaves) == here["registration"]:
            raise Failed("count_differs")
        if self._notes.keys() - self.anchors.keys():
            raise Failed("checkpoint_unexpected")
        return f"{len(self._leaves)} registrations"

    def _sequence(self, leaves: Sequence[dict[str, Any]]) -> str:
        """Check that a sender's own count of its events has no gap; only a used id may come with any number."""
        last = 0
        for leaf in leaves:
            if leaf["sequence"] == last + 1:
                last += 1
            elif leaf.get("code") != "id_reused":
                raise Failed("sequence_gap")
        return f"1 to {last}, none missing"

    def _gaps(self) -> str:
        return f"as it says: {self.header['later']} registrations later than the checkpoint"

    # -- the verdict --

    @property
    def failures(self) -> list[Line]:
        """Return the checks that failed."""
        return [line for line in self.lines if line.result in CODES]

    @property
    def verdict(self) -> tuple[int, str]:
        """Return the exit status and the last sentence."""
        if self.failures:
            return 1, f"FAILED: {', '.join(dict.fromkeys(line.result for line in self.failures))}"
        play = " (a bus for playing: nothing of this happened)" if self.header["bus"].startswith("play-") else ""
        if not all(self.anchors.values()):
            return 3, f"consistent, not anchored{play}: it fits together, and nobody whom you named vouches for it"
        return 0, f"verified{play}: " + "; ".join(str(by) for by in self.anchors.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify one file as the command line says; return the exit status."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # not every terminal has every letter
    parser = argparse.ArgumentParser(prog="verify.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--log", action="append", default=[], metavar="KEY", help="a key of the log; each must sign")
    parser.add_argument("--witness", action="append", default=[], metavar="KEY", help="a key of a witness")
    parser.add_argument("--quorum", type=int, metavar="K", help="how many witnesses must have co-signed (default: all)")
    parser.add_argument("--operator", metavar="KEY", help="the key that signs the directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    try:
        operator = Key.read(given.operator, 1) if given.operator else None
        log, witnesses = [Key.read(key, 1, 6) for key in given.log], [Key.read(key, 4, 6) for key in given.witness]
        trust = Trust(tuple(log), tuple(witnesses), given.quorum, operator)
    except ValueError as error:
        parser.error(str(error))
    done = Verification(given.file, trust)
    status, verdict = done.verdict
    if given.json:
        text = json.dumps({"status": status, "verdict": verdict, "checks": [*map(Line._asdict, done.lines)]}, indent=1)
    else:
        checks = [f"{line.result:<5} {line.check:<12} {line.about}: {line.says}" for line in done.lines]
        text = "\n".join([*checks, verdict])
    sys.stdout.write(text + "\n")
    return status


if __name__ == "__main__":
    gc.disable()  # everything that is read is needed to the end: a search for garbage would take a tenth of the time
    sys.exit(main())
