"""Where the registrar's time goes, without a broker; and what a letter and a cast cost."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from aiokafka import ConsumerRecord

from nrmbus.directory import Directory, Identity, Operator
from nrmbus.events import cast, versions
from nrmbus.events.schemas import FOLDER
from nrmbus.play.load import POLICY, Agency, stream
from nrmbus.registrar.batch import check, read
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Agency as Admitted
from nrmbus.rules import Rules, load_profile
from nrmbus.wire import ids, letter
from nrmbus.wire.keys import SealingKey, SigningKey

BUS: Final = "0123456789abcdef"
EVENTS: Final = 4_000
LETTERS: Final = 200
READERS: Final = 4
STORY: Final = {"text": "A" * 2_000}
_Result = TypeVar("_Result")


def timed(count: int, work: Callable[[], _Result]) -> tuple[float, _Result]:
    """Microseconds for each of the *count* things that *work* does, and what it gives."""
    started = time.perf_counter()
    result = work()
    return (time.perf_counter() - started) / count * 1e6, result


def stages(home: Path, now: datetime, senders: dict[str, str]) -> dict[str, float]:
    """Microseconds an event on one thread: reading, verifying, judging and numbering, signing what is said."""
    operator = Operator(home)
    directory = Directory(BUS, SigningKey.from_seed((home / "keys" / "operator.seed").read_bytes()).verify_key)
    admitted: dict[str, Admitted] = {}
    agencies = []
    for name, role in senders.items():
        identity = Identity.at(home / name, name)
        entry = operator.entry(directory, identity, role, now.replace(year=now.year - 1))
        assert entry is not None
        directory.add(entry)
        admitted[name] = Admitted(name, role)
        agencies.append(Agency(identity, "fund", [ids.new_ref() for _ in range(100)]))
    records: list[Any] = [
        ConsumerRecord(each.topic, 0, number, 0, 0, each.record.key, each.record.value, None, 0, 0, each.record.headers)
        for number, each in enumerate(stream(agencies, now, 1, count=EVENTS))
    ]
    rules = Rules(load_profile(POLICY), admitted)
    shard = Shard(bus=BUS, partition=0, partitions=1, rules=rules, directory=directory, salt=lambda: bytes(16))
    key = SigningKey.generate()
    reading, incoming = timed(EVENTS, lambda: [read(each) for each in records])
    verifying, checked = timed(EVENTS, lambda: [check(each, directory, now) for each in incoming])
    assert not any(each.code for each in checked)
    submissions = [(each.signed, each.at) for each in incoming if each.signed]
    judging, decided = timed(EVENTS, lambda: [shard.take(signed, at, now) for signed, at in submissions])
    said = [statement for each in decided for out in each.outs for _, statement in out.statements]

    def sign_all() -> None:
        for each in said:
            each.sign(key)

    signing, _ = timed(EVENTS, sign_all)
    return {
        "read (headers, JSON, digests)": reading,
        "verify the sender's signature": verifying,
        "judge, number, route": judging,
        "sign registration and deliveries": signing,
    }


def letters() -> dict[str, float]:
    """Microseconds to seal a letter of one part of 2,000 characters to some readers, and to open one reader's copy."""
    keys = {f"agency-{number}": SealingKey.generate() for number in range(READERS)}
    to = [(agency, key.seal_to) for agency, key in keys.items()]
    names = [(ids.new_event_id(), ids.new_ref()) for _ in range(LETTERS)]
    sealing, sealed = timed(
        LETTERS,
        lambda: [
            letter.seal({"story": STORY}, {"story": to}, bus=BUS, source="agency-0", id=id_, subject=subject)
            for id_, subject in names
        ],
    )
    key = keys["agency-1"]

    def open_all() -> None:
        for raw, (id_, subject) in zip(sealed, names, strict=True):
            letter.Container.parse(raw).open("agency-1", key, bus=BUS, source="agency-0", id=id_, subject=subject)

    opening, _ = timed(LETTERS, open_all)
    return {f"seal to {READERS} readers": sealing, "open": opening}


def casts() -> dict[str, float]:
    """Microseconds to cast the fullest example of a referral, with its letter, to the version before or after."""
    steps, found = versions("referral.submitted"), {}
    for version, to in ((1, 2), (2, 1)):
        full = json.loads((FOLDER / "nrm.referral.submitted" / f"v{version}" / "full.json").read_text(encoding="utf-8"))
        data, sealed = full["event"]["data"], full["letter"]
        took, _ = timed(EVENTS, lambda: [cast(steps, version, to, data, sealed) for _ in range(EVENTS)])  # noqa: B023
        found[f"from version {version} to {to}"] = took
    return found
