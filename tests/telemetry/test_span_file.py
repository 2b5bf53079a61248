"""Spans on one machine: a closed list of members, in files that are bounded, private, and readable after a torn line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, StatusCode, TraceFlags, Tracer

from nrmbus.telemetry import span_file, trace
from nrmbus.telemetry.allowed import Allowed
from nrmbus.telemetry.log import set_up_log
from nrmbus.telemetry.span_file import Span, SpanFile, kept
from spans import leave, line_of

CANARY = "CANARY-she-may-not-leave"
SPAN = Span(
    "a" * 32, "b" * 16, "c" * 16, (), "process", "consumer", "special-unit", 1_000, 2_000,
    "referral.submitted", "019cad0f-7f80-7ad8-9e34-2d4f9362444c", "handled", "",
)  # fmt: skip
ENDED = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))


def ended(number: int) -> ReadableSpan:
    """Return a span of the SDK that has ended, told apart by its *number*."""
    return ReadableSpan(name="process", context=ENDED, start_time=number, end_time=number + 1)


def test_a_kept_span_is_read_again(tmp_path: Path) -> None:
    """Every member is restored; a text selects the lines with that text."""
    batch = SPAN._replace(id="d" * 16, parent="", type="", event="", outcome="", links=(f"{'a' * 32}-{'b' * 16}",))
    leave(tmp_path, SPAN, batch)

    assert list(kept(tmp_path)) == [SPAN, batch]
    assert list(kept(tmp_path, SPAN.event)) == [SPAN]
    assert list(kept(tmp_path, "019cad10")) == []


def test_a_transaction_is_read_as_one_span_for_each_event(tmp_path: Path) -> None:
    """Each event's entry is below the creating span, in the event's trace, with its own result and the other as a link."""
    links = [
        {"trace": digit * 32, "span": digit * 16, "type": "case.closed", "event": f"e-{digit}", "outcome": outcome}
        for digit, outcome in (("1", "registered"), ("2", "refused"))
    ]
    body = json.loads(line_of(SPAN._replace(parent="", type="", event="", outcome="", name="register")))
    leave(tmp_path, body | {"links": links})
    first, second = kept(tmp_path)

    assert (first.trace, first.parent, first.event, first.outcome) == ("1" * 32, "1" * 16, "e-1", "registered")
    assert (second.trace, second.parent, second.event, second.outcome) == ("2" * 32, "2" * 16, "e-2", "refused")
    assert (first.links, second.links) == ((f"{'2' * 32}-{'2' * 16}",), (f"{'1' * 32}-{'1' * 16}",))
    assert len({first.id, second.id, SPAN.id}) == 3


def test_members_outside_the_list_are_not_read(tmp_path: Path) -> None:
    """P9: no case, no record key, no text; an added member is not read, and a value of another shape spoils the line."""
    body = json.loads(line_of(SPAN))
    assert body.keys() <= set(Span._fields)
    link = {"trace": "a" * 32, "span": "b" * 16, "event": "e-1"}
    leave(
        tmp_path,
        {**body, "case": CANARY},
        *({**body, name: CANARY + "<b>"} for name in body),
        {**body, "links": CANARY},
        *({**body, "links": [{**link, name: CANARY + "<b>"}]} for name in (*link, "type", "outcome", "code")),
    )

    assert list(kept(tmp_path)) == [SPAN]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The work of an agency on an event, and its time, concerns nobody else."""
    SpanFile(tmp_path, "ngo-a").export([ended(1)])
    folder = tmp_path / "spans"

    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "spans.jsonl")] == [0o700, 0o600]


@pytest.mark.thorough
def test_the_oldest_go_first_and_the_files_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many spans there are, two files of a bounded size hold the newest."""
    monkeypatch.setattr(span_file, "FULL", 10_000)
    monkeypatch.setattr(span_file, "AT_ONCE", 1_000)
    SpanFile(tmp_path, "ngo-a").export([ended(number) for number in range(500)])
    sizes = [path.stat().st_size for path in (tmp_path / "spans").iterdir()]
    found = [each.start for each in kept(tmp_path)]

    assert len(sizes) <= 2
    assert max(sizes) < 10_000 + 1_000 + 250
    assert found == list(range(500 - len(found), 500))
    assert len(found) > 10_000 // 250


@pytest.mark.parametrize("torn", [line_of(SPAN)[:40], b"[]\n", b"\xff\x00\n", b"[" * 100_000 + b"\n"])
def test_a_torn_line_costs_no_other(tmp_path: Path, torn: bytes) -> None:
    """A service that was killed during a write leaves half a line; the next line is whole."""
    file = SpanFile(tmp_path, "ngo-a")
    file.export([ended(1)])
    with (tmp_path / "spans" / "spans.jsonl").open("ab") as half:
        half.write(torn)
    file.export([ended(2)])

    assert [each.start for each in kept(tmp_path)] == [1, 2]


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The trail never depends on spans: the service continues, and its log says once that spans are lost."""
    set_up_log("ngo-a")
    (tmp_path / "spans").write_text("in the way")
    file = SpanFile(tmp_path, "ngo-a")
    for number in range(3):
        file.export([ended(number)])

    assert capsys.readouterr().err.count("spans_not_kept") == 1
    assert list(kept(tmp_path)) == []


@pytest.fixture(name="clean")
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "NRMBUS_SPANS"):
        monkeypatch.delenv(name, raising=False)
    yield
    trace.shut_down()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("setting", "expected"), [("keep", 1), ("off", 0), (None, 1)])
def test_a_setting_keeps_them_off_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, expected: int
) -> None:
    """``NRMBUS_SPANS=off`` keeps none; without the setting they are kept."""
    if setting:
        monkeypatch.setenv("NRMBUS_SPANS", setting)
    trace.set_up_trace("ngo-a", tmp_path)
    with trace.produced("referral.submitted", "e-1"):
        pass
    trace.shut_down()

    assert [span.service for span in kept(tmp_path)] == ["ngo-a"] * expected


def leaky(tracer: Tracer) -> None:
    """End a span that has a canary wherever the SDK takes one."""
    span = tracer.start_span(f"process {CANARY}", attributes={"person": CANARY, "nrm.event.type": CANARY})
    span.set_attribute("nrm.outcome", CANARY)
    span.set_status(StatusCode.ERROR, CANARY)
    span.add_event(CANARY, {"person": CANARY})
    span.record_exception(ValueError(CANARY))
    span.add_link(ENDED, {"person": CANARY, "nrm.event.id": f"{CANARY} {CANARY}", "nrm.code": CANARY})
    span.end()


def test_nothing_outside_the_allow_list_goes_to_a_collector() -> None:
    """P9: a collector gets copies that hold what is allowed; the same span without the allow-list holds the canary."""
    sent, raw = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    for exporter in (Allowed(sent), raw):
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    leaky(provider.get_tracer("test"))

    assert "CANARY" in "".join(each.to_json() for each in raw.get_finished_spans())
    (span,) = sent.get_finished_spans()
    assert "CANARY" not in span.to_json()
    assert span.attributes == {"messaging.system": "kafka", "nrm.event.type": "unknown"}


@pytest.mark.usefixtures("clean")
def test_nothing_outside_the_allow_list_reaches_the_disk(tmp_path: Path) -> None:
    """P9: attributes that a library or a later change adds to a span, its links or events are left out of the file."""
    trace.set_up_trace("ngo-a", tmp_path)
    leaky(trace._Here.tracer)
    trace.shut_down()
    raw = b"".join(path.read_bytes() for path in (tmp_path / "spans").iterdir())

    assert b"CANARY" not in raw
    (kept_span,) = kept(tmp_path)
    assert (kept_span.name, kept_span.event, kept_span.outcome) == ("unknown", "unknown", "")


def test_a_provider_of_another_library_gets_no_span_of_ours(tmp_path: Path) -> None:
    """The tracer is our own: a global provider that some package installs sees nothing of what a service does."""
    seen: list[ReadableSpan] = []

    class Foreign(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            seen.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Foreign())
    with provider.get_tracer("foreign").start_as_current_span("foreign", links=[Link(ENDED)]) as foreign:
        trace.set_up_trace("ngo-a", tmp_path)
        with trace.produced("referral.submitted", "e-1") as made:
            assert made.traceparent.split("-")[1] != f"{foreign.get_span_context().trace_id:032x}"
        trace.shut_down()

    assert [each.name for each in seen] == ["foreign"]
