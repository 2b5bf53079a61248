"""Test vectors of the wire, for partners who write their own client: ``python -m nrmbus.published.vectors write|check``.

Both commands compute every deterministic vector: ``write`` stores it, ``check`` compares it with the frozen file. Sealing
is random, so the letter is sealed once; ``write`` keeps an existing letter, and ``check`` opens it. Another
implementation sealed ``letter-go.json``, which is only read.
"""

import hashlib
import json as plain_json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type
from nrmbus.events.schemas import write_or_check
from nrmbus.wire import base64, dsse, ids, json, letter, material, statement, transaction
from nrmbus.wire.envelope import encode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SealingKey, SigningKey
from nrmbus.wire.registration import NOTHING_BEFORE, Answer, Audience, Delivery, Policy, Registration

FOLDER: Final = Path("schemas/vectors")

BUS: Final = "play-00112233445566aa"
CASE: Final = "00000000000000000000000000000001"
EVENT_ID: Final = "01930000-0000-7000-8000-000000000001"
EARLIER_ID: Final = "01930000-0000-7000-8000-000000000000"
TIME: Final = datetime(2026, 3, 2, 5, 0, 0, tzinfo=UTC)
KAFKA_KEYS: Final = (
    "21", "foobar", "a-little-bit-long-string", "a-little-bit-longer-string",
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", "abc", "",
)  # fmt: skip
"""Keys of Kafka's own test of its hash (UtilsTest.testMurmur2), and the empty key."""

Vector = dict[str, Any]


def seed(name: str) -> bytes:
    """Return the 32-byte seed of the key *name*: SHA-256 of its name. It is no secret, and no real key."""
    return hashlib.sha256(f"nrmbus/vectors/{name}".encode()).digest()


def _json() -> Vector:
    written: list[tuple[str, dict[str, Any]]] = [
        ("members are sorted", {"b": 1, "a": {"d": [], "c": {}}}),
        ("sorted by UTF-16 code units", {"\ufb33": 1, "\U0001f600": 2, "ə": 3, "1": 4}),
        ("the shortest escapes", {"a": '\u0000\b\t\n\u000b\f\r"\\/\u007f\u2028é'}),
        ("integers", {"a": [0, -1, json.MAX_INTEGER, -json.MAX_INTEGER]}),
        ("truth", {"a": [True, False]}),
    ]
    read = [
        ("not JSON", b"{"), ("no object", b"[]"), ("a string", b'"a"'), ("nothing", b""), ("two objects", b"{}{}"),
        ("BOM", b"\xef\xbb\xbf{}"), ("not UTF-8", b'{"a":"\xff"}'), ("a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}'),
        ("a lone surrogate", b'{"a":"\\ud800"}'), ("a member twice", b'{"a":1,"a":1}'),
        ("a member twice, escaped", b'{"a":1,"\\u0061":2}'), ("a member twice, below", b'{"a":[{"b":1,"b":2}]}'),
        ("null", b'{"a":null}'), ("null in a list", b'{"a":[null]}'), ("float", b'{"a":1.0}'), ("exponent", b'{"a":1e2}'),
        ("NaN", b'{"a":NaN}'), ("Infinity", b'{"a":-Infinity}'), ("2^53", b'{"a":9007199254740992}'), ("-0", b'{"a":-0}'),
        ("a thousand digits", b'{"a":' + b"9" * 1000 + b"}"), ("a leading zero", b'{"a":01}'),
        ("a control character", b'{"a":"\n"}'), ("17 levels", b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"),
    ]  # fmt: skip
    return {
        "about": "RFC 8785 as this bus writes it, and what it refuses to read. Canonical bytes and input are base64.",
        "canonical": [
            {"name": name, "canonical": base64.encode(json.dumps(value)), "sha256": json.digest(json.dumps(value))}
            for name, value in written
        ],
        "refused": [{"name": name, "input": base64.encode(raw), "code": _refused(raw)} for name, raw in read],
    }


def _refused(raw: bytes) -> str:
    try:
        json.loads(raw, limit=1 << 20)
    except WireError as error:
        return error.code
    raise AssertionError("a vector that must be refused was read")


def _ids() -> Vector:
    keys = [*KAFKA_KEYS, CASE, "0123456789abcdef0123456789abcdef"]
    return {
        "about": "Event ids (RFC 9562), and the partition of a key: (murmur2(key) & 0x7fffffff) mod P, as Kafka's Java.",
        "uuid7": {
            "milliseconds": 1_772_427_600_000,
            "random": "00112233445566778899",
            "id": ids.uuid7(1_772_427_600_000, bytes.fromhex("00112233445566778899")),
        },
        "said_by_itself": {
            "agency": "special-unit",
            "cause": EVENT_ID,
            "rule": "recovery",
            "id": ids.derived("special-unit", EVENT_ID, "recovery"),
        },
        "marked": {
            "agency": "special-unit",
            "mark": ids.mark_of("special-unit"),
            "id": ids.said_by_itself("special-unit", EVENT_ID, "recovery"),
        },
        "partitions": [
            {
                "key": key,
                "murmur2": ids.murmur2(key.encode()),
                "of_1": ids.partition_of(key, 1),
                "of_3": ids.partition_of(key, 3),
                "of_6": ids.partition_of(key, 6),
            }
            for key in keys
        ],
    }


P: Final = 2**255 - 19
ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
WEAK: Final[Mapping[str, int]] = {
    "identity": 1, "identity, signed": 1 | 1 << 255, "order 2": P - 1, "order 4": 0, "order 4, other": 1 << 255,
    "order 8": ORDER_8, "order 8, second": ORDER_8 | 1 << 255, "order 8, third": P - ORDER_8,
    "order 8, fourth": P - ORDER_8 | 1 << 255, "y = p": P, "y = p + 1": P + 1, "y = 2^255 - 1": (1 << 255) - 1,
}  # fmt: skip
"""Ed25519 points that no key may be: points of small order, and encodings that are not canonical."""


def _keys() -> Vector:
    signing, sealing = SigningKey.from_seed(seed("signing")), SealingKey.from_seed(seed("sealing"))
    return {
        "about": "Key pairs from their seeds, and Ed25519 public keys that are refused as weak_key. Keys are base64.",
        "ed25519": {
            "seed": base64.encode(signing.seed),
            "public": base64.encode(signing.public),
            "kid": signing.kid,
            "signature_of_nothing": base64.encode(signing.sign(b"")),
        },
        "xwing": {
            "seed": base64.encode(sealing.seed),
            "public": base64.encode(sealing.public),
            "kid": sealing.kid,
        },
        "weak": [{"name": name, "public": base64.encode(y.to_bytes(32, "little"))} for name, y in WEAK.items()],
    }


def event() -> Event:
    """Return the event of the envelope's vector."""
    data = data_type("referral.submitted", 1).from_mapping(
        {
            "to": ["special-unit"],
            "mode": "referral",
            "reason": "FormalIdentification",
            "urgency": "emergency",
            "services": ["safe_shelter", "health"],
            "child": False,
        }
    )
    return Event(
        id=EVENT_ID, source="ngo-a", type="referral.submitted", version=1, subject=CASE, time=TIME, recordedtime=TIME,
        sequence=3, actor="7041", policy="az@2022-04-29", data=data, legalbasis="CoM 21/2008 art. 7", consent=EARLIER_ID,
        referral="00000000000000000000000000000002", expectedversion=2, sealeddigest=json.digest(b"a letter"),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )  # fmt: skip


def _envelope() -> Vector:
    key = SigningKey.from_seed(seed("signing"))
    record = encode(event(), key)
    headers = {name: value.decode() for name, value in record.headers}
    envelope = base64.decode(headers["ce_dssematerial"], "signature_profile")
    payload, kid, signature = dsse.unwrap(material.PAYLOAD_TYPE, envelope)
    return {
        "about": "A signed event as a Kafka record: CloudEvents binary mode with dssematerial. Bytes are base64.",
        "public": base64.encode(key.public),
        "key": (record.key or b"").decode(),
        "value": (record.value or b"").decode(),
        "headers": headers,
        "payload": payload.decode(),
        "signed_bytes": base64.encode(dsse.pae(material.PAYLOAD_TYPE.encode(), payload)),
        "signature": base64.encode(signature),
        "kid": kid,
        "digest": json.digest(envelope),
        "record_digest": record.digest(),
    }


def _statements() -> Vector:
    key = SigningKey.from_seed(seed("registrar"))
    policy = Policy(name="az@2022-04-29", digest=json.digest(b"a profile"))
    told = Audience(salt="ab" * 16, recipients=("shelter", "special-unit"), earlier={"shelter": (EARLIER_ID,)})
    registered = Registration(
        bus=BUS, partition=0, number=1, time=TIME, source="ngo-a", subject=CASE, id=EVENT_ID, sequence=3,
        envelope=json.digest(b"an envelope"), key=SigningKey.from_seed(seed("signing")).kid, verdict="registered",
        policy=policy, audience=told.commitment(), previous=NOTHING_BEFORE,
    )  # fmt: skip
    refused = Registration(
        bus=BUS, partition=0, number=2, time=TIME, source="ngo-a", subject=CASE, id=EARLIER_ID, sequence=4,
        envelope=json.digest(b"another"), key=registered.key, verdict="refused", code="audience_changed", rule="W9",
        article="[D]", policy=policy, audience=told.commitment(), previous=registered.digest,
        seal_to={"story": ("special-unit",), "coded": ("special-unit", "statistics")},
    )  # fmt: skip
    delivery = Delivery(
        bus=BUS, to="special-unit", partition=0, inbox_number=1, registration=registered.digest, previous=NOTHING_BEFORE
    )
    answer = Answer(
        bus=BUS, to="ngo-a", partition=0, time=TIME, code="sequence_gap", topic="nrm.outbox.ngo-a", offset=4,
        sha256=json.digest(b"a record"), subject=CASE, id=EVENT_ID, expected_sequence=5,
    )  # fmt: skip
    stated: list[tuple[str, statement.Thing, Registration | Delivery | Answer]] = [
        ("registered", "registration", registered),
        ("refused", "registration", refused),
        ("delivery", "delivery", delivery),
        ("answer", "answer", answer),
    ]
    return {
        "about": "What the registrar says: canonical JSON, its digest, and the bytes of its header, in base64. A leaf is SHA-256(0x00 || JSON).",
        "public": base64.encode(key.public),
        "audience": {"json": told.json().decode(), "commitment": told.commitment()},
        "pae": {
            "type": "http://example.com/HelloWorld",
            "payload": "hello world",
            "signed_bytes": dsse.pae(b"http://example.com/HelloWorld", b"hello world").decode(),
        },
        "statements": [
            {
                "name": name,
                "thing": thing,
                "json": said.json().decode(),
                "digest": said.digest,
                "signed": base64.encode(statement.sign_bytes(thing, said.json(), key)),
            }
            for name, thing, said in stated
        ],
        "leaves": [
            {"name": said, "leaf": leaf.leaf().hex()}
            for said, leaf in (("registered", registered), ("refused", refused))
        ],
    }


def _transaction() -> Vector:
    key, secret = SigningKey.from_seed(seed("registrar")), seed("audience")[:16]
    said: list[tuple[transaction.Thing, bytes, bytes]] = []
    for number, salt in enumerate(islice(transaction.salts(secret), 18)):
        thing: transaction.Thing = "delivery" if number % 6 else "registration"
        said.append((thing, json.dumps({"bus": BUS, "number": number}), salt))
    hidden, alone = transaction.Transaction(), transaction.Transaction()
    for tree, statements in ((hidden, said), (alone, said[:1])):
        for thing, body, salt in statements:
            tree.add(thing, body, salt)
    hidden.hide(secret)
    trees = []
    for name, tree, statements in (("of eighteen statements, hidden", hidden, said), ("of one", alone, said[:1])):
        tree.sign(key)
        proofs = [tree.proved(number, thing, body) for number, (thing, body, _) in enumerate(statements)]
        first = transaction.Proved.read(statements[0][0], proofs[0])
        trees.append({
            "name": name, "size": first.size, "root": first.root().hex(), "signature": base64.encode(first.signature),
            "signed_bytes": dsse.pae(
                b"application/vnd.nrmbus.transaction.v1+json", json.dumps({"root": first.root().hex(), "size": first.size})
            ).decode(),
            "statements": [
                {
                    "thing": thing, "json": body.decode(), "salt": salt.hex(), "header": base64.encode(raw),
                    "place": transaction.Proved.read(thing, raw).place,
                    "path": [each.hex() for each in transaction.Proved.read(thing, raw).path],
                }
                for (thing, body, salt), raw in zip(statements, proofs, strict=True)
            ],
        })  # fmt: skip
    sound = hidden.proved(0, *said[0][:2])
    return {
        "about": "Registrations and deliveries of a transaction under one signature: salts, tree, and header of each. Refused headers have the code of the refusal.",
        "public": base64.encode(key.public),
        "kid": key.kid,
        "secret": secret.hex(),
        "transactions": trees,
        "refused": [
            {"name": name, "thing": thing, "header": base64.encode(raw), "code": code}
            for name, thing, raw, code in _unproved(sound)
        ],
    }


def _unproved(sound: bytes) -> list[tuple[str, transaction.Thing, bytes, str]]:
    path = 110 + 32 * sound[109]
    return [
        ("another form", "registration", b"nrs2" + sound[4:], "signature_profile"),
        ("as a delivery", "delivery", sound, "signature_profile"),
        ("renamed a delivery", "delivery", sound[:4] + b"\2" + sound[5:], "signature_invalid"),
        ("another key", "registration", sound[:5] + bytes(16) + sound[21:], "key_not_current"),
        ("another signature", "registration", sound[:21] + bytes(64) + sound[85:], "signature_invalid"),
        ("another salt", "registration", sound[:85] + bytes(16) + sound[101:], "signature_invalid"),
        ("another place", "registration", sound[:104] + bytes([sound[104] ^ 1]) + sound[105:], "signature_invalid"),
        ("an empty tree", "registration", sound[:101] + bytes(8) + sound[109:], "signature_profile"),
        ("a smaller tree", "registration", sound[:105] + (16).to_bytes(4) + sound[109:], "signature_profile"),
        ("a step less", "registration", sound[:109] + bytes([sound[109] - 1]) + sound[142:], "signature_profile"),
        ("an altered path", "registration", sound[:110] + bytes(32) + sound[142:], "signature_invalid"),
        ("an altered statement", "registration", sound[:-1] + b" ", "signature_invalid"),
        ("no statement", "registration", sound[:path], "signature_profile"),
    ]


def _containers() -> Vector:
    """Containers of zeros, which open for nobody: what is checked is their form alone."""
    kid, content = "xwing:" + "0" * 32, bytes(1040)
    wraps = tuple(letter.Wrap(to, kid, bytes(1168)) for to in ("shelter", "special-unit"))
    sealed = tuple(letter.Sealed(name, bytes(12), content, bytes(32), wraps) for name in ("coded", "story"))
    whole = letter.Container(sealed)
    sound = [("whole", whole.encoded())]
    sound += [(f"copy for {agency}", whole.copy_for(agency)) for agency in ("shelter", "special-unit", "statistics")]
    return {
        "about": "Containers of a letter, sound and refused; bytes are base64. They hold zeros and open for nobody. A refused one is the first sound one, of which `remove` bytes at `at` are replaced by `insert`.",
        "sealeddigest": whole.digest,
        "sound": [{"name": name, "container": base64.encode(raw)} for name, raw in sound],
        "refused": [
            {"name": name, "code": code, **_difference(sound[0][1], raw)} for name, raw, code in _malformed(sound[0][1])
        ],
    }


def _difference(sound: bytes, raw: bytes) -> Vector:
    shorter = min(len(sound), len(raw))
    at, end = next((at for at in range(shorter) if sound[at] != raw[at]), shorter), 0
    while end < shorter - at and sound[len(sound) - 1 - end] == raw[len(raw) - 1 - end]:
        end += 1
    return {"at": at, "remove": len(sound) - at - end, "insert": base64.encode(raw[at : len(raw) - end])}


def edited(sound: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the refused container of a *row* of the vector."""
    insert = base64.decode(row["insert"], "unreadable")
    return sound[: row["at"]] + insert + sound[row["at"] + row["remove"] :]


def _malformed(whole: bytes) -> list[tuple[str, bytes, str]]:
    begin, part = whole[:9], whole[9 : 9 + (len(whole) - 9) // 2]
    head, story = part[: part.index(b"\1\0\7shelter")], whole[9 + len(part) :]
    one = begin[:8] + b"\1"

    def with_size(size: int) -> bytes:
        return one + head[:52] + size.to_bytes(4) + head[56:] + part[len(head) :]

    return [(name, raw, "letter_malformed") for name, raw in (
        ("nothing", b""), ("half a beginning", begin[:6]), ("no count", begin[:8]), ("no part", begin[:8] + b"\0"),
        ("more parts than there are", begin[:8] + b"\x08" + whole[9:]), ("JSON, as before 0.1.0", b'{"parts":[],"suite":"nrm1"}'),
        ("a part less than counted", begin + part), ("a part more than counted", one + part + story),
        ("a byte behind the end", whole + b"\0"), ("a byte missing", whole[:-1]),
        ("a part twice", begin + part + part), ("parts in another order", begin + story + part),
        ("a part of an unknown name", one + part.replace(b"\0\5coded", b"\0\5plain")), ("a part of another kind", one + b"\2" + part[1:]),
        ("content that is longer than the container", with_size(2**32 - 1)), ("content of another size", with_size(1041)),
        ("no content", with_size(0)), ("content that takes the rest", with_size(len(part) - len(head) + 1040)),
        ("no wrap", one + head[:-1] + b"\0"), ("more wraps than a part may have", one + head[:-1] + b"\x41" + part[len(head) :]),
        ("a wrap more than there is", one + head[:-1] + b"\3" + part[len(head) :]),
        ("a reader twice", one + part.replace(b"\0\x0cspecial-unit", b"\0\7shelter")),
        ("readers in another order", one + part.replace(b"\0\7shelter", b"\0\7witness")),
        ("a reader that is no id", one + part.replace(b"\0\7shelter", b"\0\7Shelter")),
        ("a reader's name that is longer than the container", one + part.replace(b"\0\7shelter", b"\xff\xffshelter")),
        ("a reader without a name", one + part.replace(b"\0\7shelter", b"\0\0shelter")),
        ("a key that is no kid", one + part.replace(b"xwing:", b"xwing;")),
        ("a wrap of another kind", one + head + b"\2" + part[len(head) + 1 :]),
        ("half a digest", begin[:8] + b"\1\0" + bytes(31)),
    )] + [
        ("another suite", b"nrl1nrm2" + whole[8:], "suite_unknown"),
    ]  # fmt: skip


FIXED: Final[Mapping[str, Callable[[], Vector]]] = {
    "container.json": _containers,
    "envelope.json": _envelope,
    "ids.json": _ids,
    "json.json": _json,
    "keys.json": _keys,
    "statements.json": _statements,
    "transaction.json": _transaction,
}
"""Vectors that are a function of their input."""

READERS: Final = ("shelter", "special-unit", "statistics")
PLACE: Final = {"bus": BUS, "source": "special-unit", "id": EVENT_ID, "subject": CASE}
PARTS: Final[Mapping[Part, dict[str, Any]]] = {
    "coded": {"accessibility": False, "category": "women"},
    "story": {"notes": "An example, about nobody: ə, ğ, ı, ö, ş, ü and ç."},
}
AUDIENCE: Final[Mapping[Part, tuple[str, ...]]] = {
    "coded": ("shelter", "special-unit", "statistics"),
    "story": ("shelter", "special-unit"),
}


def _letter() -> Vector:
    keys = {reader: SealingKey.from_seed(seed(reader)).seal_to for reader in READERS}
    readers = {part: [(reader, keys[reader]) for reader in AUDIENCE[part]] for part in PARTS}
    container = letter.Container.parse(letter.seal(PARTS, readers, **PLACE))
    return {
        "about": "A letter, its readers' seeds, and what each may read; bytes are base64. Sealed once: a second sealing gives other bytes.",
        "place": PLACE,
        "readers": {reader: base64.encode(seed(reader)) for reader in READERS},
        "audience": {part: list(readers) for part, readers in AUDIENCE.items()},
        "parts": dict(PARTS),
        "container": base64.encode(container.encoded()),
        "sealeddigest": container.digest,
        "copies": {reader: base64.encode(container.copy_for(reader)) for reader in READERS},
    }


def opens(vector: Vector) -> bool:
    """Return True if digest and copies of a frozen letter are right, and each reader opens exactly its parts."""
    whole = letter.Container.parse(base64.decode(vector["container"], "letter_malformed"))
    for reader, written in vector["readers"].items():
        key = SealingKey.from_seed(base64.decode(written, "unreadable"))
        copy = letter.Container.parse(whole.copy_for(reader))
        due = {part: vector["parts"][part] for part, to in vector["audience"].items() if reader in to}
        if copy.digest != vector["sealeddigest"] or copy.open(reader, key, **vector["place"]) != due:
            return False
        if "copies" in vector and copy.encoded() != base64.decode(vector["copies"][reader], "letter_malformed"):
            return False
    return bool(whole.digest == vector["sealeddigest"])


LETTERS: Final = ("letter.json", "letter-go.json")


def _text(vector: Vector) -> str:
    return plain_json.dumps(vector, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _read(path: Path) -> Vector:
    vector: Vector = plain_json.loads(path.read_text(encoding="utf-8"))
    return vector


def write(folder: Path = FOLDER) -> list[str]:
    """Write every vector into *folder*, where a letter that is there stays; return the names of the written files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = FIXED if (folder / "letter.json").exists() else {**FIXED, "letter.json": _letter}
    for name, make in made.items():
        (folder / name).write_text(_text(make()), encoding="utf-8")
    return list(made)


def check(folder: Path = FOLDER) -> list[str]:
    """Return the names of the vectors in *folder* that differ from this code or are missing."""
    wrong = []
    for name, make in FIXED.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != _text(make()):
            wrong.append(name)
    for name in LETTERS:
        path, agrees = folder / name, False
        with suppress(FileNotFoundError, WireError, KeyError):
            agrees = opens(_read(path))
        if not agrees:
            wrong.append(name)
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Write every vector, or compare it with this code; return the exit code, 1 if one differs."""
    sentence = "{} is not what this code writes or opens: mend the code, or give the wire a new version"
    prog = "python -m nrmbus.published.vectors"
    return write_or_check(prog, main.__doc__, write, lambda each: map(sentence.format, check(each)), arguments, FOLDER)


if __name__ == "__main__":
    sys.exit(main())
