"""Verifies a bundle of evidence, offline. One file: Python 3.11 or newer and `cryptography` 50 or newer, nothing else.

    python verify.py BUNDLE [--log KEY]... [--witness KEY]... [--quorum K] [--operator KEY] [--json]

BUNDLE is a zip or a folder. A KEY is a C2SP verifier key (name+id+base64). Get the keys from those whose keys they are,
and this file from elsewhere than the bundle: whoever forges one could put keys and a verifier of his own into it.

Exit status: 0 verified; 3 consistent, not anchored (everything fits together, and nobody whom you named vouches for it);
1 failed; 2 wrong usage. One line for each check; where one failed, one code of `CODES`.

Formats: RFC 9162 (tree), C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1 and v1.1.0-rc.1
(ML-DSA-44), DSSE 1.0.2, CloudEvents extensions/verifiability.md of July 2026, RFC 8032, FIPS 204, RFC 8785.
"""

import argparse
import gc
import json
import os
import re
import struct
import sys
import zlib
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

CODES: Final = {
    "bundle_unreadable": "There is no bundle there: neither a folder nor a zip that can be read.",
    "bundle_too_large": "It is larger, or has more files, than is read here.",
    "zip_odd": "The zip hides or contradicts something: bytes between entries, a comment, a cipher, a broken entry.",
    "name_unsafe": "The name of a file leads out of the bundle, or the file is no plain file.",
    "name_duplicate": "Two files have one name.",
    "file_missing": "A file that must be there is not.",
    "file_extra": "There is a file that belongs to nothing here.",
    "file_altered": "A file is not the one that the manifest lists.",
    "manifest_malformed": "The manifest has not the form of this version.",
    "count_differs": "There are not as many registrations as the manifest says, or none.",
    "directory_malformed": "An entry of the directory has not its form.",
    "directory_gap": "The directory's numbers have a gap, or do not begin with 1.",
    "operator_signature_invalid": "An entry of the directory is not signed by the operator's key that you gave.",
    "bus_differs": "This is of another bus, or of a bus for playing.",
    "registration_malformed": "A registration has not its form.",
    "number_differs": "A registration stands under another number or partition than it says.",
    "case_differs": "A registration is of another case.",
    "registration_duplicate": "Two registrations have one number.",
    "order_differs": "The registrations do not stand in the order of their numbers.",
    "chain_broken": "A registration does not name the digest of the one before it.",
    "sequence_gap": "The sender said something earlier about this case that is not here.",
    "leaf_differs": "What the registrar signed is not the leaf that is shown.",
    "registrar_key_unknown": "The key is not one that the directory has for the registrar.",
    "registrar_signature_invalid": "The registrar did not sign this registration.",
    "checkpoint_malformed": "The checkpoint has not the form of a C2SP signed note with origin, size and root.",
    "checkpoint_unsigned": "Nobody has signed the head of the log yet.",
    "origin_differs": "The checkpoint is of another bus, of another partition, or of a bus for playing.",
    "log_unknown": "No key that you gave for a log is of this log.",
    "log_signature_missing": "A key that you gave for this log has not signed the checkpoint.",
    "log_signature_invalid": "A signature in the log's name does not fit the checkpoint.",
    "cosignature_invalid": "A signature in the name of a witness that you gave does not fit the checkpoint.",
    "quorum_missing": "Fewer witnesses have co-signed the checkpoint than you ask for.",
    "proof_malformed": "The proof has not its form.",
    "size_differs": "The proof is for a tree of another size than the checkpoint's.",
    "index_differs": "The proof is for another leaf.",
    "index_outside_tree": "The checkpoint is older than the registration: its tree has no such leaf.",
    "inclusion_invalid": "The proof does not lead from this leaf to the root in the checkpoint.",
    "envelope_missing": "The envelope of a registered event is not here.",
    "envelope_unexpected": "There is an envelope of a refusal.",
    "envelope_malformed": "An envelope has not its form.",
    "envelope_differs": "The envelope is not the one that was registered.",
    "envelope_altered": "An attribute or the data of the event are not what its sender signed.",
    "other_event": "The registration is of another event than the envelope.",
    "sender_key_unknown": "The key is not one that the directory has for the sender.",
    "sender_signature_invalid": "The sender did not sign this envelope.",
    "audience_missing": "Whom the event was told to is not here.",
    "audience_differs": "Whom the event was told to is not what the registration commits to.",
    "key_weak": "The directory has a key under which one signature fits many messages.",
    "gap_report_differs": "The gap report does not say what is here.",
}  # fmt: skip
"""Every way to fail, one sentence each."""

FORMAT: Final = "nrmbus-evidence/1"
TOTAL_LIMIT: Final = 256 * 1024 * 1024
ENTRIES_LIMIT: Final = 65_535
CORE: Final = (
    "ce_id", "ce_source", "ce_specversion", "ce_type", "content-type", "ce_dataschema", "ce_subject", "ce_time",
)  # fmt: skip
EXTENSIONS: Final = (
    "recordedtime", "sequence", "actor", "approver", "policy", "legalbasis", "consent", "referral", "incident",
    "correlationid", "causationid", "expectedversion", "dataclassification", "sealeddigest", "traceparent",
)  # fmt: skip
FIXED_FILES: Final = frozenset(
    {"README.md", "directory.jsonl", "gaps.json", "manifest.json", "registrations.jsonl", "verify.py"}
)
BUS: Final = re.compile(r"(?:play-)?[0-9a-f]{16}")
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
SCHEMA: Final = re.compile(r"schemas/nrm\.[a-z_.]{1,90}/v[1-9][0-9]{0,3}\.schema\.json")


class Failed(Exception):
    """A check that failed, with its code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"{code}: {CODES[code]}")


# -- reading strictly: whatever two readers could understand in two ways is refused -----------------------------------


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object; none may stand twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


DECODER: Final = json.JSONDecoder(object_pairs_hook=members, parse_float=int, parse_constant=int)  # so they are refused
SPELLING: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)  # RFC 8785


def plain(raw: bytes, code: str) -> Any:
    """Read one JSON object (I-JSON, RFC 7493, without floats)."""
    try:
        value = DECODER.decode(raw.decode())
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Failed(code)
    return value


def closed(raw: bytes, code: str, optional: dict[str, type] | None = None, **kinds: type) -> dict[str, Any]:
    """Read one JSON object with exactly the members of *kinds*, and some of the *optional* ones, each of its type."""
    value: dict[str, Any] = plain(raw, code)
    known = {**optional, **kinds} if optional else kinds
    named = kinds.keys() <= value.keys() <= known.keys()
    if not named or [*map(type, value.values())] != [known[name] for name in value]:
        raise Failed(code)
    return value


def unbase64(text: Any, code: str) -> bytes:
    """Read base64 in its one spelling (RFC 4648 section 3.5)."""
    try:
        raw = a2b_base64(text, strict_mode=True)
    except (ValueError, TypeError):
        raise Failed(code) from None
    if b64encode(raw).decode() != text:
        raise Failed(code)
    return raw


# SHA-256 of a text: sources, types and policies come again and again.
digest: Final = lru_cache(8192)(lambda text: sha256(text.encode()).digest())


# -- signatures -------------------------------------------------------------------------------------------------------

P: Final = 2**255 - 19
ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


def ed25519(public: bytes) -> Ed25519PublicKey:
    """An Ed25519 key (RFC 8032); refused if it is one of the points of small order, or spelled in a second way."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    if len(public) != 32 or y >= P or y in {0, 1, P - 1, ORDER_8, P - ORDER_8}:
        raise Failed("key_weak")
    return Ed25519PublicKey.from_public_bytes(public)


def holds(key: Ed25519PublicKey | MLDSA44PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether *key* signed *message*."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def unwrap(raw: bytes, payload_type: str, code: str) -> tuple[bytes, str, bytes, bytes]:
    """Take a DSSE envelope with one signature apart: payload, key id, signature, and the bytes that are signed (PAE)."""
    envelope = closed(raw, code, payload=str, payloadType=str, signatures=list)
    one: Any = envelope["signatures"][0] if len(envelope["signatures"]) == 1 else None
    named = isinstance(one, dict) and one.keys() == {"keyid", "sig"} and isinstance(one["keyid"], str)
    if envelope["payloadType"] != payload_type or not named:
        raise Failed(code)
    payload, kind = unbase64(envelope["payload"], code), payload_type.encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    return payload, one["keyid"], unbase64(one["sig"], code), signed


class Key(NamedTuple):
    """A C2SP verifier key: ``kind`` 1 is Ed25519, 4 an Ed25519 cosignature, 6 an ML-DSA-44 cosignature."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The key id of C2SP signed-note: SHA-256(name, 0x0A, kind, public key), four bytes of it."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @classmethod
    def read(cls, text: str, *kinds: int) -> "Key":
        """Read a key that *you* gave; raises ValueError."""
        name, _, rest = text.partition("+")
        written, _, material = rest.partition("+")
        raw = a2b_base64(material, strict_mode=True)
        key = cls(name, raw[0] if raw else 0, raw[1:])
        if key.kind not in kinds or key.id.hex() != written or not re.fullmatch(r"[!-*,-~]{1,255}", name):
            raise ValueError(f"this is no verifier key for this option: {name[:40]}+…")
        key.loaded()
        return key

    def loaded(self) -> Ed25519PublicKey | MLDSA44PublicKey:
        """The key itself; raises ValueError for one that is none."""
        try:
            return MLDSA44PublicKey.from_public_bytes(self.public) if self.kind == 6 else ed25519(self.public)
        except Failed:
            raise ValueError("a weak key") from None

    def signed_at(self, signature: bytes, checkpoint: "Checkpoint") -> int | None:
        """When this key signed *checkpoint*, in POSIX seconds, 0 if it says no time; none if it did not."""
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
    """How large a log is, and its root, as the text of a note; and who says to have signed it: name, key id, signature."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def read(cls, raw: bytes) -> "Checkpoint":
        """Read a note (C2SP signed-note), or a bare text that nobody has signed."""
        code = "checkpoint_malformed"
        if len(raw) > 256 * 1024 or re.search(rb"[\x00-\x09\x0b-\x1f]", raw):
            raise Failed(code)
        text, blank, lines = raw.rpartition(b"\n\n")
        text, lines = (text + b"\n", lines) if blank else (raw, b"")
        match = re.fullmatch(rb"([!-~]{1,255})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/=]{44})\n", text)
        each_line = lines.decode(errors="replace").split("\n")[:-1]
        signed = [re.fullmatch(r"— ([^ +]+) ([A-Za-z0-9+/=]+)", line) for line in each_line]
        if not match or None in signed or (blank and (not signed or not lines.endswith(b"\n"))) or len(signed) > 64:
            raise Failed(code)
        found = [(each[1], unbase64(each[2], code)) for each in signed if each]
        size, root = int(match[2]), unbase64(match[3].decode(), code)
        if len(root) != 32 or size >= 2**63 or any(len(value) <= 4 for _, value in found):
            raise Failed(code)
        signatures = tuple((name, value[:4], value[4:]) for name, value in found if blank)
        return cls(match[1].decode(), size, root, text, signatures)


# -- the tree: RFC 9162 section 2.1 -----------------------------------------------------------------------------------


def root_from(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root to which *proof* leads from the hash of the leaf *index* (RFC 9162 section 2.1.3.2); none if it does not."""
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


# -- the bundle's files -----------------------------------------------------------------------------------------------

Found = Iterator[tuple[str, int, Callable[[], bytes]]]


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of a bundle, by its name; a zip is never unpacked to disk."""
    files: dict[str, bytes] = {}
    total = 0
    for name, size, read in in_folder(path) if path.is_dir() else in_zip(path):
        total += size
        if total > TOTAL_LIMIT or len(files) >= ENTRIES_LIMIT:
            raise Failed("bundle_too_large")
        if not NAME.fullmatch(name):
            raise Failed("name_unsafe")
        if name in files:
            raise Failed("name_duplicate")
        files[name] = read()
    return files


def in_folder(path: Path, levels: int = 3) -> Found:
    """Name, size and reader of each file of a folder."""
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if levels and entry.is_dir(follow_symlinks=False):
            yield from ((f"{entry.name}/{each[0]}", *each[1:]) for each in in_folder(Path(entry.path), levels - 1))
        elif entry.is_file(follow_symlinks=False):
            yield entry.name, entry.stat().st_size, Path(entry.path).read_bytes
        else:
            raise Failed("name_unsafe")  # a link, a pipe, a device; a folder deeper than any of ours


def in_zip(path: Path) -> Found:
    """The same of a zip without anything odd: entry after entry, then their list, then its end (APPNOTE 4.3)."""
    try:
        if path.stat().st_size > TOTAL_LIMIT:
            raise Failed("bundle_too_large")
        raw = path.read_bytes() if path.is_file() else b""  # a pipe might never answer
    except OSError:
        raise Failed("bundle_unreadable") from None
    if raw[:4] != b"PK\3\4" and b"PK\5\6" not in raw:
        raise Failed("bundle_unreadable")
    count, length, start = (int.from_bytes(raw[at : at + size], "little") for at, size in ((-12, 2), (-10, 4), (-6, 4)))
    end = struct.pack("<8s2H2IH", b"PK\5\6\0\0\0\0", count, count, length, start, 0)
    if raw[start + length :] != end:
        raise Failed("zip_odd")
    at, listed = 0, start
    for _ in range(count):
        said = struct.unpack("<4s4x2H4x3I5H2I", raw[listed : listed + 46].ljust(46, b"\0"))
        kind, flags, method, checksum, packed, size, *lengths, disk, _, mode, offset = said
        if mode >> 28 not in {0, 8}:
            raise Failed("name_unsafe")  # not a regular file
        name = raw[listed + 46 : listed + 46 + lengths[0]]
        # Before its bytes an entry says the same of itself as the list, in the same words.
        head = b"PK\3\4" + raw[listed + 6 : listed + 32] + name
        odd = kind != b"PK\1\2" or flags & ~0x800 or method not in {0, 8} or any(lengths[1:]) or disk
        if odd or offset != at or not raw.startswith(head, at):
            raise Failed("zip_odd")
        at, listed = at + len(head) + packed, listed + 46 + len(name)
        yield name.decode(errors="replace"), size, partial(unpacked, raw[at - packed : at], method, size, checksum)
    if at != start or listed != start + length:
        raise Failed("zip_odd")


def unpacked(raw: bytes, method: int, size: int, checksum: int) -> bytes:
    """One file of a zip; no more is unpacked than the list says, and nothing may be left over."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        whole = inflate.decompress(raw, size + 1) if method else raw
    except zlib.error:
        raise Failed("zip_odd") from None
    if len(whole) != size or zlib.crc32(whole) != checksum or (method and not inflate.eof) or inflate.unused_data:
        raise Failed("zip_odd")
    return whole


# -- the checks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """Whom you believe: the log's keys, the witnesses', how many of these must have signed, and the operator's key."""

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
        """The witnesses: one with two keys counts once."""
        return {key.name for key in self.witnesses}

    @property
    def needed(self) -> int:
        """How many must have co-signed: all that you name, unless you say otherwise."""
        return len(self.names) if self.quorum is None else self.quorum


class Line(NamedTuple):
    """One check: what, of what, how it ended (``ok``, ``open``, or a code), and what that means."""

    check: str
    about: str
    result: str
    says: str


class Verification:
    """A bundle, checked. ``lines`` has each check; ``anchors`` says of each partition who vouches for it."""

    def __init__(self, path: Path, trust: Trust) -> None:
        """Check everything, in the order in which one thing rests on another."""
        self.trust = trust
        self.files: dict[str, bytes] = {}
        self.lines: list[Line] = []
        self.anchors: dict[int, str | None] = {}
        self._keys: dict[tuple[str, str], Ed25519PublicKey] = {}
        self._checkpoints: dict[int, Checkpoint] = {}
        self._leaves: dict[tuple[int, int], dict[str, Any]] = {}
        self._digests: dict[tuple[int, int], str] = {}
        self._last = (-1, 0)
        self._claims: list[tuple[int, str, Ed25519PublicKey, bytes, bytes]] = []
        if self._check("bundle", path.name, self._open, path) and self._check("manifest", "all", self._manifest):
            self._check("directory", "all", self._directory)
            for position, raw in enumerate(self.files.get("registrations.jsonl", b"").splitlines(), 1):
                self._registration(position, raw)
            self._signatures()
            self._check("count", "all", self._count)
            for source in sorted({leaf["source"] for leaf in self._leaves.values()}):
                self._check("sequence", ascii(source)[1:-1], self._sequence, source)
            self._check("gaps", "all", self._gaps)
            self._check("files", "all", self._names)

    def _check(self, name: str, about: str, work: Callable[..., str], *given: Any) -> bool:
        """Do *work* and note a line: what it says, or the code that it failed with."""
        try:
            result, says = None, work(*given)
        except Failed as failed:
            result, says = failed.code, CODES[failed.code]
        # What a bundle says, and what its file is called, must look like no other line, and steer no terminal.
        about, says = ("".join(each if each.isprintable() else "?" for each in text) for text in (about, says))
        self.lines.append(Line(name, about, result or ("open" if says.startswith("not ") else "ok"), says))
        return result is None

    def _open(self, path: Path) -> str:
        self.files = files_of(path)
        return f"{len(self.files)} files"

    def _file(self, name: str) -> bytes:
        if name not in self.files:
            raise Failed("file_missing")
        return self.files[name]

    def _manifest(self) -> str:
        self.manifest = closed(
            self._file("manifest.json"), "manifest_malformed",
            format=str, bus=str, case=str, made=str, policy=str, registrations=int, files=dict,
        )  # fmt: skip
        bus, case = self.manifest["bus"], self.manifest["case"]
        if self.manifest["format"] != FORMAT or not BUS.fullmatch(bus) or not re.fullmatch("[0-9a-f]{32}", case):
            raise Failed("manifest_malformed")
        return f"case {case} of bus {bus}"

    def _directory(self) -> str:
        code, bus, operator = "directory_malformed", self.manifest["bus"], self.trust.operator
        if operator and operator.name != f"nrmbus/{bus}/operator":
            raise Failed("bus_differs")
        rows = self._file("directory.jsonl").splitlines()
        for number, raw in enumerate(rows, 1):
            payload, _, signature, signed = unwrap(raw, "application/vnd.nrmbus.directory.v1+json", code)
            if operator and not holds(operator.loaded(), signature, signed):
                raise Failed("operator_signature_invalid")
            entry = plain(payload, code)
            if entry.get("number") != number:
                raise Failed("directory_gap")
            if entry.get("bus") != bus:
                raise Failed("bus_differs")
            if "admitters" in entry:  # whose keys sign no registration
                continue
            public, agency = unbase64(entry.get("signing"), code), str(entry.get("agency"))
            self._keys[agency, f"ed25519:{sha256(public).hexdigest()[:32]}"] = ed25519(public)
        said = f"{len(rows)} entries"
        return f"{said}, signed by {operator.name}" if operator else f"not held against the operator's key: {said}"

    def _signed_by(self, who: str, kid: str, agency: str, signature: bytes, message: bytes) -> None:
        """Note that *agency* says to have signed *message*, by the key with this id, for `_signatures` to verify.

        The id is a digest of the key, so who signs an id has signed the key.
        """
        key = self._keys.get((agency, kid))
        if key is None:
            raise Failed(f"{who}_key_unknown")
        self._claims.append((len(self.lines), f"{who}_signature_invalid", key, signature, message))

    def _signatures(self) -> None:
        """Verify every signature that was claimed, on all processors; what does not hold fails the line that it stands in."""
        processors = os.cpu_count() or 1
        shares = [self._claims[each::processors] for each in range(processors)]
        with ThreadPoolExecutor(processors) as pool:
            list(pool.map(self._settle, shares))

    def _settle(self, claims: Sequence[tuple[int, str, Ed25519PublicKey, bytes, bytes]]) -> None:
        for at, code, key, signature, message in claims:
            if not holds(key, signature, message):
                self.lines[at] = self.lines[at]._replace(result=code, says=CODES[code])

    # -- one registration: the registrar's word on one event, which is one leaf of the tree --

    def _registration(self, position: int, raw: bytes) -> None:
        row: dict[str, Any] = {}
        leaf: dict[str, Any] = {}
        if not self._check("registration", f"line {position}", self._read, raw, row, leaf):
            return
        partition, number = place = row["partition"], row["number"]
        about = f"{partition}-{number}"
        if partition not in self.anchors:
            self.anchors[partition] = None
            if self._check("checkpoint", f"p{partition}", self._checkpoint, partition):
                self._check("witnesses", f"p{partition}", self._vouched, partition)
        self._check("chain", about, self._chain, place, leaf, sha256(row["leaf"].encode()).hexdigest())
        self._check("signature", about, self._signature, row)
        if partition in self._checkpoints:
            self._check("inclusion", about, self._inclusion, place, row["leaf"].encode())
        self._check("envelope", about, self._envelope, about, leaf)
        self._check("audience", about, self._audience, row, leaf)

    def _read(self, raw: bytes, row: dict[str, Any], leaf: dict[str, Any]) -> str:
        code = "registration_malformed"
        row |= closed(raw, code, {"audience": str}, leaf=str, number=int, partition=int, statement=str)
        leaf |= closed(
            row["leaf"].encode(), code,
            {"accepts": list, "article": str, "code": str, "rule": str, "seal_to": dict},
            audience=str, bus=str, envelope=str, id=str, key=str, number=int, partition=int, policy=dict,
            previous=str, sequence=int, source=str, subject=str, time=str, verdict=str,
        )  # fmt: skip
        verdict = leaf["verdict"] in {"registered", "refused"}
        if SPELLING.encode(leaf) != row["leaf"] or not verdict or leaf["number"] < 1:
            raise Failed(code)
        if (leaf["partition"], leaf["number"]) != (row["partition"], row["number"]):
            raise Failed("number_differs")
        if leaf["bus"] != self.manifest["bus"]:
            raise Failed("bus_differs")
        if leaf["subject"] != self.manifest["case"]:
            raise Failed("case_differs")
        why = f" ({leaf['code']}, {leaf.get('rule')}, {leaf.get('article')})" if "code" in leaf else ""
        return f"number {leaf['number']}: {leaf['source']}, {leaf['time']}: {leaf['verdict']}{why}"

    def _chain(self, place: tuple[int, int], leaf: dict[str, Any], digest: str) -> str:
        known, last = place in self._leaves, self._last
        due = "0" * 64 if place[1] == 1 else self._digests.get((place[0], place[1] - 1))
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

    def _signature(self, row: dict[str, Any]) -> str:
        code = "registration_malformed"
        kind = "application/vnd.nrmbus.registration.v1+json"
        payload, kid, signature, signed = unwrap(row["statement"].encode(), kind, code)
        if payload != row["leaf"].encode():
            raise Failed("leaf_differs")
        self._signed_by("registrar", kid, "registrar", signature, signed)
        return f"signed by the registrar's key {kid}"

    def _inclusion(self, place: tuple[int, int], leaf: bytes) -> str:
        code, (partition, number) = "proof_malformed", place
        checkpoint = self._checkpoints[partition]
        proof = closed(self._file(f"proofs/{partition}-{number}.json"), code, hashes=list, index=int, size=int)
        hashes = [unbase64(each, code) for each in proof["hashes"]]
        if {*map(len, hashes)} - {32}:
            raise Failed(code)
        # A proof does not bind the size: that, like the root, comes from the checkpoint alone.
        if proof["size"] != checkpoint.size:
            raise Failed("size_differs")
        if proof["index"] != number - 1:
            raise Failed("index_differs")
        if number > checkpoint.size:
            raise Failed("index_outside_tree")
        if root_from(number - 1, checkpoint.size, sha256(b"\0" + leaf).digest(), hashes) != checkpoint.root:
            raise Failed("inclusion_invalid")
        return f"leaf {number - 1} of the tree of {checkpoint.size}"

    def _envelope(self, about: str, leaf: dict[str, Any]) -> str:
        raw = self.files.get(f"envelopes/{about}.json")
        if leaf["verdict"] == "refused" and raw is not None:
            raise Failed("envelope_unexpected")
        if leaf["verdict"] == "refused":
            return "a refused submission has no envelope"
        if raw is None:
            raise Failed("envelope_missing")
        code = "envelope_malformed"
        read = closed(raw, code, headers=list, key=str, value=str)
        pairs = [pair for pair in read["headers"] if type(pair) is list and [*map(type, pair)] == [str, str]]
        headers: dict[str, str] = dict(pairs)
        text = "".join(headers.values())
        if len(headers) != len(read["headers"]) or not all(headers.values()) or re.search("[^ -~]", text):
            raise Failed(code)
        material = unbase64(headers.pop("ce_dssematerial", None), code)
        if sha256(material).hexdigest() != leaf["envelope"]:
            raise Failed("envelope_differs")
        payload, kid, signature, signed = unwrap(material, "https://cloudevents.io/verifiability/dsse/v0.1", code)
        # CloudEvents verifiability: a hash over the hashes of the core attributes and the data, one over the others'.
        names = [name for name in EXTENSIONS if f"ce_{name}" in headers]
        core = [*(digest(headers.get(name, "")) for name in CORE), sha256(read["value"].encode()).digest()]
        extensions = [digest(headers[f"ce_{name}"]) for name in names]
        due = {
            "core": b64encode(sha256(b"".join(core)).digest()).decode(),
            "ext": b64encode(sha256(b"".join(extensions)).digest()).decode(),
            "signedextattrs": names,
        }
        if plain(payload, code) != due or headers.keys() - {*CORE, *(f"ce_{name}" for name in names)}:
            raise Failed("envelope_altered")
        said = [headers.get(name) for name in ("ce_id", "ce_source", "ce_subject", "ce_sequence")]
        registered = [leaf["id"], f"/agency/{leaf['source']}", leaf["subject"], str(leaf["sequence"])]
        if said != registered or read["key"] != leaf["subject"] or kid != leaf["key"]:
            raise Failed("other_event")
        self._signed_by("sender", kid, leaf["source"], signature, signed)
        return f"{headers.get('ce_type')} signed by {leaf['source']} with {kid}"

    def _audience(self, row: dict[str, Any], leaf: dict[str, Any]) -> str:
        if "audience" not in row:
            raise Failed("audience_missing")
        if sha256(row["audience"].encode()).hexdigest() != leaf["audience"]:
            raise Failed("audience_differs")
        told = plain(row["audience"].encode(), "registration_malformed").get("recipients")
        return f"told to {', '.join(map(str, told)) if isinstance(told, list) and told else 'nobody'}"

    # -- one partition: the head of its log, and who vouches for it --

    def _checkpoint(self, partition: int) -> str:
        checkpoint = Checkpoint.read(self._file(f"checkpoints/{partition}.note"))
        if checkpoint.origin != f"nrmbus/{self.manifest['bus']}/p{partition}":
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
            if time:  # without a time it does not say that its maker saw no larger tree
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
        """Which of *keys* have signed, and when. Signatures of others say nothing; a wrong one in a known name fails."""
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
        rows = self._file("registrations.jsonl").count(b"\n")
        if not 0 < len(self._leaves) == self.manifest["registrations"] == rows:
            raise Failed("count_differs")
        return f"{len(self._leaves)} registrations"

    def _sequence(self, source: str) -> str:
        """A sender counts what he says of a case; only an id that was used before may come with any number."""
        last = 0
        for _, leaf in sorted(self._leaves.items()):
            if leaf["source"] == source and leaf["sequence"] == last + 1:
                last += 1
            elif leaf["source"] == source and leaf.get("code") != "id_reused":
                raise Failed("sequence_gap")
        return f"1 to {last}, none missing"

    def _gaps(self) -> str:
        said = plain(self._file("gaps.json"), "gap_report_differs")
        numbers: dict[str, list[int]] = {}
        for partition, number in sorted(self._leaves):
            numbers.setdefault(str(partition), []).append(number)
        later = said.pop("later", None)
        if said != {"numbers": numbers} or type(later) is not int or later < 0:
            raise Failed("gap_report_differs")
        return f"as it says: {later} registrations later than the checkpoint"

    def _names(self) -> str:
        numbered = {f"{kind}/{p}-{n}.json" for p, n in self._leaves for kind in ("proofs", "envelopes")}
        known = FIXED_FILES | numbered | {f"checkpoints/{p}.note" for p in self.anchors}
        listed, there = self.manifest["files"], self.files.keys() - {"manifest.json"}
        if FIXED_FILES - self.files.keys() or listed.keys() - there:
            raise Failed("file_missing")
        if there - listed.keys() or any(name not in known and not SCHEMA.fullmatch(name) for name in there):
            raise Failed("file_extra")
        if any(sha256(self.files[name]).hexdigest() != listed[name] for name in there):
            raise Failed("file_altered")
        return f"{len(self.files)}, each as the manifest lists it"

    # -- the verdict --

    @property
    def failures(self) -> list[Line]:
        """The checks that failed."""
        return [line for line in self.lines if line.result in CODES]

    @property
    def verdict(self) -> tuple[int, str]:
        """Exit status, and the sentence."""
        if self.failures:
            return 1, f"FAILED: {', '.join(dict.fromkeys(line.result for line in self.failures))}"
        play = " (a bus for playing: nothing of this happened)" if self.manifest["bus"].startswith("play-") else ""
        if not all(self.anchors.values()):
            return 3, f"consistent, not anchored{play}: it fits together, and nobody whom you named vouches for it"
        return 0, f"verified{play}: " + "; ".join(str(by) for by in self.anchors.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify one bundle, as the command line says; give the exit status."""
    parser = argparse.ArgumentParser(prog="verify.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
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
    done = Verification(given.bundle, trust)
    status, verdict = done.verdict
    if given.json:
        text = json.dumps({"status": status, "verdict": verdict, "checks": [*map(Line._asdict, done.lines)]}, indent=1)
    else:
        shown = [f"{line.result:<5} {line.check:<12} {line.about}: {line.says}" for line in done.lines]
        text = "\n".join([*shown, verdict])
    sys.stdout.write(text + "\n")
    return status


if __name__ == "__main__":
    gc.disable()  # what is read is kept to the end: looking through it for garbage would take a tenth of the time
    sys.exit(main())
