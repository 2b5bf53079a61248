"""A document on a real bus: desks are killed while it goes, and those who may read the part read it."""

import json
import os
from functools import partial

import httpx
import pytest

from brokers import Broker
from desk.live import LiveBus, live, signal_of
from desk.test_live import CONSENT, about, quiet, rows
from patience import LONGEST_WAIT, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

AGENCIES = {"ngo-a": "ngo_outreach", "special-unit": "special_unit", "fund": "fund"}
CASE = "ab" * 16
CANARY = b"CANARY-of-a-document"
CAME = "SELECT count(*) FROM events WHERE type = 'document.chunk_sent'"


def asking(bus: LiveBus, agency: str) -> httpx.AsyncClient:
    """Return a client of the door of *agency*."""
    at = json.loads((bus.folder.agency(agency).path / "door.json").read_text())
    return httpx.AsyncClient(
        base_url=at["url"], headers={"authorization": f"Bearer {at['token']}"}, timeout=LONGEST_WAIT
    )


def has_more(bus: LiveBus, before: list[tuple[int]]) -> bool:
    """Return whether a chunk has come since *before*, or all have."""
    now = rows(bus, "special-unit", CAME)
    return now > before or now == [(13,)]


async def test_a_document_arrives_once_and_whole_though_desks_are_killed(broker: Broker) -> None:
    """SIGKILL of sender and receiver between two chunks: 13 chunks, each once; the fund, which may not, gets none of it."""
    content = b"%PDF-" + CANARY + os.urandom(1_200_000)
    async with live(broker, AGENCIES, run=list(AGENCIES)) as bus:
        async with bus.door("ngo-a") as ngo, asking(bus, "ngo-a") as http:
            await ngo.publish(signal_of(CASE), wait=LONGEST_WAIT)
            for each in ("special-unit", "fund"):
                await ngo.publish(about("consent.given", CONSENT | {"receivers": [each]}), wait=LONGEST_WAIT)
            up = (await http.post("/v1/documents", params={"case": CASE}, content=content)).json()
            sealed = {"health_file": {"name": f"{CANARY.decode()}.pdf", **up["file"]}}
            data = {"document_type": "medical_report", "chunks": up["chunks"]}
            said = about("document.shared", data, to=["fund", "special-unit"], document=up["document"], sealed=sealed)
            id = (await ngo.publish(said))["id"]
        for name in ("ngo-a", "special-unit"):
            before = rows(bus, "special-unit", CAME)
            await eventually("another chunk comes", partial(has_more, bus, before))
            bus.kill(name)
            bus.start(name)
        await bus.ready("ngo-a", "special-unit")
        await eventually("all chunks come", lambda: rows(bus, "special-unit", CAME) == [(13,)])
        await quiet(bus, *AGENCIES)

        once = "SELECT count(*), count(DISTINCT id) FROM events WHERE type = 'document.chunk_sent'"
        assert rows(bus, "ngo-a", once) == rows(bus, "fund", once) == [(13, 13)]
        assert rows(
            bus, "ngo-a", "SELECT (SELECT count(*) FROM documents) + (SELECT count(*) FROM document_pieces)"
        ) == [(0,)]
        for name, status in (("special-unit", 200), ("ngo-a", 200), ("fund", 403)):
            async with asking(bus, name) as http:
                answer = await http.get(f"/v1/documents/{id}", params={"actor": "S-1"})
            assert answer.status_code == status
            assert (answer.content == content) == (status == 200)
        everywhere = (bus.folder.path, broker.kafka.folder.kafka)
        clear = [
            path for each in everywhere for path in each.rglob("*") if path.is_file() and CANARY in path.read_bytes()
        ]
        assert clear == []
