"""One recorded event of every type and version ever published: ``python -m nrmbus.published.golden write|check``.

Each file in ``schemas/golden/`` is a record of ``nrm.cases`` with its letter beside it. Every later release must read all
of them: signatures verify, the letter opens, data and letter fit their model, casts reach the newest and the lowest
version. ``write`` makes the missing records and changes no other; ``check`` reads them all.

Each file has keys of its own, which sign nothing else. Their private halves are not stored, except the seed of the
letter's reader: it is published in the file as a test vector, so that the letter opens for ever.
"""

import json as plain_json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from nrmbus.events.body import Body
from nrmbus.events.casting import cast
from nrmbus.events.errors import EventError
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES, data_type, versions
from nrmbus.events.schemas import FOLDER, write_or_check
from nrmbus.published.fidelity import broken
from nrmbus.published.gate import body_of, golden_name, published_files
from nrmbus.wire import base64, json, letter, statement
from nrmbus.wire.envelope import Signed, decode, encode, with_letter
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SealingKey, SigningKey, VerifyKey
from nrmbus.wire.names import outbox_of
from nrmbus.wire.record import AUDIENCE, REGISTRATION, SUBMITTED, Record
from nrmbus.wire.registration import (
    NOTHING_BEFORE,
    Audience,
    Policy,
    Registration,
    sign_registration,
    verify_registration,
)

BUS: Final = "play-00112233445566aa"
READER: Final = "example-unit"
BINARY: Final = frozenset({REGISTRATION})
"""Headers of a record that are no text."""
ABOUT: Final = (
    "A test vector about nobody: an event as recorded in nrm.cases, its letter, and who signed it was published with this"
    " schema. Every key was made for this file alone; the reader's seed is published on purpose and opens only this letter."
)

Golden = dict[str, Any]


def make(data: type[Data], folder: Path = FOLDER) -> Golden:
    """Return a golden record of *data*'s type and version, from its frozen full example in *folder*, with fresh keys.

    Raises OSError if schema or examples are not there yet, `nrmbus.events.errors.Invalid` if the example does not fit.
    """
    example = _example(folder, data)
    sender, registrar, publisher, reader = (
        SigningKey.generate(), SigningKey.generate(), SigningKey.generate(), SealingKey.generate(),
    )  # fmt: skip
    event = _event(example["event"], data)
    container = None
    if data.letter is not None:
        parts = data.letter.from_mapping(example["letter"]).parts()
        to = [(event.source, SealingKey.generate().seal_to), (READER, reader.seal_to)]
        container = letter.seal(
            parts, dict.fromkeys(parts, to), bus=BUS, source=event.source, id=event.id, subject=event.subject
        )
        event = Event(**{**dict(event), "sealeddigest": letter.Container.parse(container).digest})
    record = _registered(encode(event, sender), event, sender.kid, registrar)
    published = {"type": f"nrm.{data.type}", "version": data.version, "record": record.digest()}
    for name, path in published_files(data.type, data.version).items():
        published[name] = json.digest((folder / path).read_bytes())
    golden: Golden = {
        "about": ABOUT,
        "bus": BUS,
        "public": {
            "sender": base64.encode(sender.public),
            "registrar": base64.encode(registrar.public),
            "publisher": base64.encode(publisher.public),
        },
        "record": {
            "key": (record.key or b"").decode(),
            "value": (record.value or b"").decode(),
            "headers": {name: _written(name, value) for name, value in record.headers},
        },
        "publication": statement.sign("publication", published, publisher).decode(),
    }
    if container is not None:
        golden["letter"] = base64.encode(container)
        golden["reader"] = {"agency": READER, "published_test_seed": base64.encode(reader.seed)}
    return golden


def _written(name: str, value: bytes) -> str | dict[str, str]:
    """Return a header as text, or in base64 if its bytes are no text."""
    return {"base64": base64.encode(value)} if name in BINARY else value.decode()


def _example(folder: Path, data: type[Data]) -> dict[str, Any]:
    path = folder / published_files(data.type, data.version)["full"]
    example: dict[str, Any] = plain_json.loads(path.read_text(encoding="utf-8"))
    return example


def _event(example: Mapping[str, Any], data: type[Data]) -> Event:
    attributes = {
        name: example[name] for name in example if name in Event.model_fields and name not in ("data", "sealeddigest")
    }
    attributes |= {
        "source": example["source"].removeprefix("/agency/"),
        "type": data.type,
        "version": data.version,
        "data": {},
    }
    return Event(**{**dict(Event.from_mapping(attributes)), "data": data.from_mapping(example["data"])})


def _registered(submitted: Record, event: Event, kid: str, registrar: SigningKey) -> Record:
    """Return *submitted* with the registrar's headers of ``nrm.cases``."""
    earlier = {READER: event.consents}
    audience = Audience(salt=os.urandom(16).hex(), recipients=(READER,), earlier=earlier)
    registration = Registration(
        bus=BUS, partition=0, number=1, time=event.recordedtime, source=event.source, subject=event.subject, id=event.id,
        sequence=event.sequence, envelope=decode(submitted).digest, key=kid, verdict="registered",
        policy=Policy(name=event.policy, digest=json.digest(b"a profile")), audience=audience.commitment(),
        previous=NOTHING_BEFORE,
    )  # fmt: skip
    whole = submitted.with_header(REGISTRATION, sign_registration(registration, registrar))
    return whole.with_header(AUDIENCE, audience.json()).with_header(SUBMITTED, f"{outbox_of(event.source)}:0".encode())


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Make the missing golden records in *folder* (``schemas`` of a clone), and return their paths. None is overwritten.

    A version without schema or examples is skipped; the gate reports it.
    """
    written = []
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    for key, data in TYPES.items():
        path, owed = golden_name(*key), published_files(*key).values()
        if not (folder / path).exists() and all((folder / each).exists() for each in owed):
            made = plain_json.dumps(make(data, folder), ensure_ascii=False, indent=1) + "\n"
            (folder / path).write_text(made, encoding="utf-8")
            written.append(path)
    return tuple(written)


def check(folder: Path = FOLDER) -> Iterator[str]:
    """Yield one sentence for each golden record in *folder* that this code does not read as it must."""
    for name, version in TYPES:
        path = golden_name(name, version)
        code = ""
        try:
            golden = plain_json.loads((folder / path).read_text(encoding="utf-8"))
            yield from (f"schemas/{path}: {found}" for found in _wrong(golden, data_type(name, version), folder))
        except (WireError, EventError) as error:
            code = str(error)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            code = f"is missing, or no golden record ({type(error).__name__})"
        if code:
            yield f"schemas/{path}: {code}; restore the file, or mend the code: what was recorded is read for ever"


def _wrong(golden: Golden, data: type[Data], folder: Path) -> Iterator[str]:
    keys = {name: VerifyKey(base64.decode(public, "weak_key")) for name, public in golden["public"].items()}
    record = _record(golden["record"])
    published, _ = statement.verify(
        "publication", golden["publication"].encode(), {keys["publisher"].kid: keys["publisher"]}.__getitem__
    )
    due = {"type": f"nrm.{data.type}", "version": data.version, "record": record.digest()}
    for name, path in published_files(data.type, data.version).items():
        due[name] = json.digest((folder / path).read_bytes())
    yield from (f"`{name}` is not what was published" for name in sorted(due) if published.get(name) != due[name])

    submitted, added = record.split()
    signed = decode(submitted)
    signed.verify(keys["sender"])
    event = signed.event()
    if (event.type, event.version) != (data.type, data.version):
        yield "the record is of another type or version"
        return
    registration = verify_registration(added[REGISTRATION], {keys["registrar"].kid: keys["registrar"]}.__getitem__)
    yield from _unregistered(signed, registration, Audience.parse(added[AUDIENCE]))

    body = Body(event.data.to_mapping(), _opened(golden, signed, data))
    if body != body_of(_example(folder, data)):
        yield "the record says something else than the full example that it was made of"
    steps = versions(data.type)
    for to in sorted({min(steps), max(steps)}):
        found = cast(steps, data.version, to, body.data, body.letter)
        steps[to].from_mapping(found.data)
        if kind := steps[to].letter:
            kind.from_mapping(found.letter)
    yield from broken(steps, data.version, body)


def _record(written: Mapping[str, Any]) -> Record:
    headers = tuple((str(name), _bytes(value)) for name, value in written["headers"].items())
    return Record(written["key"].encode(), written["value"].encode(), headers)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.decode(value["base64"], "unreadable")


def _unregistered(signed: Signed, registration: Registration, audience: Audience) -> Iterator[str]:
    names = ("id", "source", "subject", "sequence")
    if any(getattr(registration, name) != getattr(signed, name) for name in names):
        yield "the registration is of another event"
    if (registration.envelope, registration.key, registration.verdict) != (signed.digest, signed.kid, "registered"):
        yield "the registration does not register this envelope"
    if registration.audience != audience.commitment():
        yield "the registration commits to another audience"


def _opened(golden: Golden, signed: Signed, data: type[Data]) -> dict[str, Any]:
    """Return the letter as one flat object, opened with the published seed."""
    if data.letter is None:
        return {}
    whole = decode(with_letter(signed.record, base64.decode(golden["letter"], "letter_malformed"))).letter()
    if whole is None:
        raise LetterClosed("missing")
    seed = base64.decode(golden["reader"]["published_test_seed"], "weak_key")
    place = {"bus": golden["bus"], "source": signed.source, "id": signed.id, "subject": signed.subject}
    parts = whole.open(golden["reader"]["agency"], SealingKey.from_seed(seed), **place)
    return data.letter.from_parts(parts).to_mapping()


def main(arguments: list[str] | None = None) -> int:
    """Make the records that the folder lacks, or read all of them; return the exit code, 1 if one cannot be read."""
    return write_or_check("python -m nrmbus.published.golden", main.__doc__, write, check, arguments)


if __name__ == "__main__":
    sys.exit(main())
