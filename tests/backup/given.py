"""A backup without a bus: an invented history with its directory, checkpoint and inboxes, in files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agencies import cosignature, home, log_keys
from nrmbus.backup.records import Kept, Writer
from nrmbus.backup.store import Manifest, Partition, Store
from nrmbus.bus.folder import BusFolder
from nrmbus.environment import KEY_FILE
from nrmbus.wire import history
from nrmbus.wire.keys import keyfile
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of
from nrmbus.wire.log.merkle import Frontier, leaf_hash
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import WITNESS
from nrmbus.wire.record import Record
from registrar.given import Bus, as_record

MADE = "2026-11-27T12:00:00Z"
SECRET = b"a passphrase of the example"
SIGNED_AT = 1_772_427_600
MARKER = 1
"""Offsets that Kafka takes for itself behind each transaction."""


@contextmanager
def sealed_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusFolder]:
    """Yield the folder below *home* of a bus on another machine, whose keys are sealed under a key file beside it."""
    key = home / "key"
    key.touch(mode=0o600)
    key.write_bytes(SECRET)
    monkeypatch.setenv(KEY_FILE.name, str(key))
    keyfile.hold(keyfile.Passphrase(SECRET))
    folder = BusFolder(home / "home")
    folder.create(bootstrap="127.0.0.1:9", tls=False)
    yield folder
    keyfile.hold(None)


@cache
def spoken() -> tuple[Bus, dict[str, list[list[Record]]]]:
    """Return a bus on which something was said, and by topic the records of each transaction."""
    bus = Bus()
    shard = bus.shard()
    said = [bus.signal(shard), bus.consents(shard, "special-unit"), bus.signal(shard, case="cd" * 16)]
    topics: dict[str, list[list[Record]]] = {}
    for decision in said:
        for topic in dict.fromkeys(out.topic for out in decision.outs):
            records = [as_record(out) for out in decision.outs if out.topic == topic]
            topics.setdefault(topic, []).append(records)
    return bus, topics


def placed(transactions: Iterable[Sequence[Record]], marker: int = MARKER) -> list[Kept]:
    """Return the records of *transactions* at the offsets that Kafka gives them."""
    found, offset = list[Kept](), 0
    for records in transactions:
        for each in records:
            found.append(Kept(offset, SIGNED_AT * 1000 + offset, each.key, each.value, each.headers))
            offset += 1
        offset += marker
    return found


def witnessed(bus: Bus, note: bytes, time: int) -> dict[str, list[Kept]]:
    """Return the topics in which every witness co-signed the tree of the published *note* at *time*."""
    text = Note.parse(AddCheckpoint.parse(note).note).text
    agencies = [agency for agency, entry in bus.directory.entries.items() if entry.witness is not None]
    return {
        f"{WITNESS}{each}": placed([[Record(None, Note(text, (cosignature(each, text, time),)).bytes(), ())]])
        for each in agencies
    }


def checkpoint(bus: Bus, records: Iterable[Record], root: bytes | None = None) -> Record:
    """Return a published checkpoint of the tree over *records*; with another *root*, of another tree."""
    tree, origin = Frontier(), origin_of(bus.bus, 0)
    for each in records:
        tree.append(leaf_hash(history.read(each, history.plain).body))
    text = Checkpoint(origin, tree.size, root or tree.root()).text
    key, lasting = log_keys().signers(origin)
    note = Note(text, (key.sign(text), lasting.cosign(text, SIGNED_AT))).bytes()
    return Record(None, AddCheckpoint(0, (), note).bytes(), ())


def written(
    store: Store, topics: dict[str, list[Kept]], numbers: dict[str, tuple[int, str]]
) -> dict[str, dict[str, Partition]]:
    """Write *topics*, each with one partition, to *store*; *numbers* has the last number and digest of a topic."""
    records = {}
    for topic, found in topics.items():
        writer = Writer(store, f"{topic}/0", 0, 0, None)
        for each in found:
            writer.add(each)
        writer.number, writer.digest = numbers.get(topic, (0, ""))
        records[topic] = {"0": writer.done()}
    return records


def backup(
    path: Path,
    *,
    roots: Sequence[bytes | None] = (None,),
    without: Iterable[tuple[str, int]] = (),
    reworded: int | None = None,
    witnessed_at: int | None = None,
) -> Store:
    """Return a complete backup in *path*; *without* names records that are left out, by topic and place.

    *roots* are those of the published trees; None is the root of the history. *reworded* is the place of a registration whose event has other words than its sender signed.
    *witnessed_at* is the time at which every witness co-signed the history's tree; None if none did.
    """
    bus, said = spoken()
    left_out = set(without)
    cases = [record for records in said["nrm.cases"] for record in records]
    last = history.read(cases[-1], history.plain)
    topics = {
        "nrm.directory": placed([[Record(None, each, ()) for each in bus.directory.signed]], 0),
        "nrm.checkpoints": placed([[checkpoint(bus, cases, each) for each in roots]], 0),
        **{topic: placed(records) for topic, records in said.items()},
        **(witnessed(bus, checkpoint(bus, cases).value or b"", witnessed_at) if witnessed_at is not None else {}),
    }
    topics = {
        topic: [each for place, each in enumerate(found) if (topic, place) not in left_out]
        for topic, found in topics.items()
    }
    if reworded is not None:
        words = topics["nrm.cases"][reworded]
        topics["nrm.cases"][reworded] = words._replace(value=(words.value or b"").replace(b"false", b"true"))
    numbers = {topic: (sum(map(len, records)), "") for topic, records in said.items()}
    numbers["nrm.cases"] = (last.registration.number, last.digest)
    store = Store.at(path)
    with store.held():
        settings = {"bus": bus.bus, "created": MADE, "play": True, "bootstrap": "127.0.0.1:9", "tls": False}
        files = {
            "bus.json": store.put([json.dumps(settings).encode()]),
            "keys/operator.pub": store.put_file(home() / "keys" / "operator.pub"),
        }
        records = written(store, topics, numbers)
        manifest = Manifest(
            bus=bus.bus,
            generation=1,
            made=MADE,
            by="nrmbus",
            private_keys="sealed",
            signer=bus.operator.public.hex(),
            files=files,
            records=records,
        )
        store.publish(manifest, bus.operator.signing)
    return store


def replaced_while_open(monkeypatch: pytest.MonkeyPatch, path: Path, content: bytes, opening: int = 1) -> None:
    """Have somebody rename another file, with *content*, to *path* at its *opening*-th opening: that reader still reads the old file."""
    opened, openings = Path.open, count(1)

    def watched(self: Path, *how: Any, **more: Any) -> Any:
        file = opened(self, *how, **more)
        if self == path and next(openings) == opening:
            other = path.with_name("other")
            other.write_bytes(content)
            other.replace(path)
        return file

    monkeypatch.setattr(Path, "open", watched)
