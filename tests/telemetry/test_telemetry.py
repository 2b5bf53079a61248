"""What a service says about itself: identifiers, never a content, and one trace over sender and receivers."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nrmbus.telemetry import log, trace

CANARY = "CANARY-she-may-not-leave"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a test set up for its own standard error must not write for the next one."""
    yield
    structlog.reset_defaults()


class TestALogLine:
    def test_has_known_fields_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        """P9: a field that is not in the list is dropped, whatever it holds, and the line says that one was."""
        log.set_up_log("shelter")
        log.handled("registered", type="shelter.admitted", id="x", name=CANARY, key=CANARY)
        line = json.loads(capsys.readouterr().err)

        assert line["service"] == "shelter"
        assert line["outcome"] == "registered"
        assert line["error"] == "log_field_dropped"
        assert CANARY not in json.dumps(line)

    def test_of_a_library_is_not_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        """P9: other libraries put keys and values into their messages; they stay silent."""
        log.set_up_log("shelter")
        logging.getLogger("aiokafka").error("could not send %s", CANARY)

        assert CANARY not in "".join(capsys.readouterr())


@pytest.fixture(name="spans")
def _spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER", provider.get_tracer("nrmbus"))
    yield exporter
    provider.shutdown()


class TestATrace:
    def test_goes_on_at_the_receiver(self, spans: InMemorySpanExporter) -> None:
        """The span that handles an event has the one that made it as parent and as link."""
        with trace.produced("referral.submitted", "e-1") as traceparent:
            pass
        with trace.consumed(event_type="referral.submitted", event_id="e-1", traceparent=traceparent):
            assert (trace.current_traceparent() or "").split("-")[1] == (traceparent or "").split("-")[1]
        made, handled = spans.get_finished_spans()

        assert handled.parent is not None
        assert made.context is not None
        assert handled.parent.span_id == made.context.span_id
        assert [link.context.span_id for link in handled.links] == [made.context.span_id]
        assert handled.kind is api.SpanKind.CONSUMER

    def test_never_holds_an_exceptions_text(self, spans: InMemorySpanExporter) -> None:
        """P9: what a handler raises may hold what was put in; the span shows neither event nor status text."""

        def fails() -> None:
            with trace.consumed(event_type="referral.submitted", event_id="e-1", traceparent=None):
                raise ValueError(CANARY)

        with pytest.raises(ValueError, match="CANARY"):
            fails()

        assert CANARY not in "".join(span.to_json() for span in spans.get_finished_spans())
