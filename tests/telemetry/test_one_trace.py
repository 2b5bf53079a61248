"""One event on a real bus gives one trace over three services, and one line in each log without content."""

import asyncio
import json
from typing import Any

import pytest

from brokers import Broker
from canaries import holds
from collector import Collector, collecting
from collector import Span as Exported
from desk.live import live, log_of, signal_of
from nrmbus.auditor.reports.traces import spans_of
from nrmbus.bus.folder import BusFolder
from nrmbus.telemetry.log import FIELDS
from patience import LONGEST_WAIT, PATIENCE, eventually

pytestmark = pytest.mark.broker

CASE = "cd" * 16
TYPE = "case.signal_recorded"
TWO = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
STEPS = {
    ("ngo-a", "create"), ("ngo-a", "send"), ("registrar", "register"), ("ngo-a", "process"), ("special-unit", "process"),
}  # fmt: skip


async def came(collector: Collector, *wanted: tuple[str, str]) -> None:
    """Wait until a span of each (name, service) was exported; they come in half-second batches."""
    await eventually("the spans came", lambda: all(collector.named(*each) for each in wanted))


async def kept_as_sent(collector: Collector, folder: BusFolder, event: str) -> set[tuple[str, str]]:
    """Wait until this machine keeps exactly the exported spans of the event's trace; return service and operation of each."""
    done: set[tuple[str, str]] = set()
    async with asyncio.timeout(PATIENCE):
        while len(done) < len(STEPS):
            await asyncio.sleep(0.1)
            kept = spans_of(folder, event)
            sent = {id for each in collector.spans for one in kept[:1] for id in as_kept(each, one.trace)}
            if sent == {each.id for each in kept}:
                done = {(each.service, each.name) for each in kept if each.event == event}
    return done


def as_kept(span: Exported, trace: str) -> list[str]:
    """Return the ids of *span* in *trace*: for a transaction, one for each event of the trace."""
    makers = [id for of, _, id in (link.partition("-") for link in span.links) if of == trace]
    if span.name == "register":
        return [f"{int(span.id, 16) ^ int(maker, 16):016x}" for maker in makers]
    return [span.id] if trace == span.trace or makers else []


def lines(folder: BusFolder, service: str) -> list[dict[str, Any]]:
    """Return the lines of *service* after its first sentence."""
    said = log_of(folder, service).splitlines()
    return [json.loads(line) for line in said if "starts here, and says below what it does" not in line]


@pytest.mark.slow
async def test_one_event_is_one_trace_over_three_services(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: sender, registrar and receiver have spans of one trace; no span and no log line has case, person or content."""
    made, judged, processed = (
        (f"create {TYPE}", "ngo-a"),
        ("register", "registrar"),
        (f"process {TYPE}", "special-unit"),
    )
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with live(kafka, TWO, run=["ngo-a", "special-unit"]) as bus:
            async with bus.door("ngo-a") as door:
                published = await door.publish(signal_of(CASE), wait=LONGEST_WAIT)
            await came(collector, made, judged, processed)
            steps = await kept_as_sent(collector, bus.folder, published["id"])
            logs = {service: lines(bus.folder, service) for service in ("ngo-a", "registrar", "special-unit")}

    (first,), (third,) = (collector.named(*each) for each in (made, processed))
    assert first.trace == third.trace
    assert third.parent == first.id
    for span in (first, third):
        assert span.attributes["nrm.event.id"] == f'string_value: "{published["id"]}"\n'
        assert span.attributes.keys() - {"nrm.outcome"} == {"messaging.system", "nrm.event.type", "nrm.event.id"}
    transactions = [each for each in collector.named(*judged) if f"{first.trace}-{first.id}" in each.links]
    assert len(transactions) == 1, "the registrar's transaction is linked to what it judged"
    assert transactions[0].attributes.keys() == {"messaging.system"}
    assert steps == STEPS
    for secret in (CASE, "CANARY-"):
        assert not any(holds(raw, secret) for raw in collector.raw)
        assert not holds(json.dumps(logs).encode(), secret)
    check_log_lines(logs, published["id"])


def check_log_lines(logs: dict[str, list[dict[str, Any]]], event: str) -> None:
    """P10: each service logs one line about the event: id, result and time; only fields of the closed list."""
    for service, logged in logs.items():
        about = [line for line in logged if line.get("id") == event and line["outcome"] != "sent"]

        assert [line["outcome"] for line in about] == ["registered" if service == "registrar" else "handled"]
        assert {"service", "type", "id", "outcome", "number", "timestamp", "partition", "offset"} <= about[0].keys()
        assert about[0]["type"] == TYPE
        assert about[0]["service"] == service
        for line in logged:
            assert line.keys() <= FIELDS
            assert line.get("error") != "log_field_dropped"
