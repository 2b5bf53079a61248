"""How long an auditor takes to start as its history grows: from a co-signed place, and from the beginning."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
from growth import History
from throughput import SENDERS, process

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Identity
from nrmbus.wire.log.checkpoint import witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note

COUNTS: Final = (1_000, 10_000, 100_000)
PATIENCE_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the beginning of the process: the first reading, a start from the beginning, one from a place, and its comparison."""

    count: int
    first: float
    without: float
    ready: float
    compared: float


@contextmanager
def _auditor(folder: BusFolder) -> Iterator[Callable[[str], Any]]:
    """Run the auditor until the end of the block; yield a GET at its door, which is None while there is no answer."""
    run = ["run", "auditor", "--keys-unprotected", "--data", str(folder.path)]
    door = folder.service("auditor") / "door.json"
    door.unlink(missing_ok=True)

    def get(path: str) -> Any:
        with suppress(FileNotFoundError, httpx.HTTPError):
            found = json.loads(door.read_bytes())
            headers = {"authorization": f"Bearer {found['token']}"}
            return httpx.get(found["url"] + path, headers=headers, trust_env=False)
        return None

    log = folder.path / "auditor.log"
    log.write_bytes(b"")
    with process([sys.executable, "-c", "from nrmbus.cli import main; main()", *run], log):
        yield get


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, "the auditor does not come so far"
        time.sleep(LOOK_SECONDS)


def _health(get: Callable[[str], Any]) -> dict[str, Any]:
    answer = get("/health")
    return {} if answer is None else dict(answer.json())


async def _cosign(folder: BusFolder, text: bytes) -> None:
    async with clients.producer(folder.as_operator) as producer:
        for each in SENDERS:
            name = witness_name(folder.settings.bus, each)
            cosigner = Cosigner(name, Identity.at(folder.agency(each).path, each).witness)
            note = Note(text, (cosigner.cosign(text, int(time.time())),)).bytes()
            await producer.send_and_wait(f"nrm.witness.{each}", note)


def started(history: History) -> Start:
    """Measure the starts on *history*, to which nothing was added yet."""
    folder, count = history.folder, history.count
    places = folder.service("auditor") / "starts"
    begun = time.perf_counter()
    with _auditor(folder) as get:
        _until(lambda: bool(_health(get).get("ready")))
        first = time.perf_counter() - begun
        _until(lambda: _health(get)["signed"] == {"0": count})
        _until(lambda: get("/checkpoint/0").status_code == HTTPStatus.OK)  # published, a moment after it is signed
        asyncio.run(_cosign(folder, Note.parse(get("/checkpoint/0").content).text))
        _until(lambda: _health(get)["cosigned"] == {"0": {"size": count, "witnesses": len(SENDERS)}})
    kept = places.with_name("kept")
    shutil.move(places, kept)
    begun = time.perf_counter()
    with _auditor(folder) as get:
        _until(lambda: bool(_health(get).get("ready")))
        without = time.perf_counter() - begun
    shutil.rmtree(places, ignore_errors=True)
    shutil.move(kept, places)
    begun = time.perf_counter()
    with _auditor(folder) as get:
        _until(lambda: bool(_health(get).get("ready")))
        ready = time.perf_counter() - begun
        _until(lambda: "start_compared" in (folder.path / "auditor.log").read_text())
        compared = time.perf_counter() - begun
    return Start(count, first, without, ready, compared)


def lines(found: Sequence[Start]) -> list[str]:
    """Return the table of *found*."""
    return [
        f"| start of an auditor after … registrations | {' | '.join(f'{each.count:,}' for each in found)} |",
        f"| --- |{' --- |' * len(found)}",
        _row("the first time, s", [each.first for each in found]),
        _row("again, from the beginning, s", [each.without for each in found]),
        _row("again, behind a co-signed checkpoint, s", [each.ready for each in found]),
        _row("… until everything before it is compared, s", [each.compared for each in found]),
    ]


def _row(name: str, values: Sequence[float]) -> str:
    return f"| {name} | {' | '.join(f'{each:.1f}' for each in values)} |"
