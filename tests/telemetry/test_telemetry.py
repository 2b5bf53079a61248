"""Logs and spans of a service hold identifiers, never content, and one trace spans sender and receivers."""

import ast
import errno
import inspect
import json
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from contract.tree import ROOT, files
from nrmbus.telemetry import counts, log, trace
from nrmbus.telemetry.span_file import Span
from patience import PATIENCE
from spans import recorded

CANARY = "CANARY-she-may-not-leave"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A test's logging to its own standard error must not write for the next test."""
    yield
    structlog.reset_defaults()


def _untimed(line: str) -> str:
    """Return *line* with the same time for all, and the time's form checked."""
    untimed, found = re.subn(r'"timestamp": "[0-9-]{10}T[0-9:]{8}(\.[0-9]{6})?Z"', '"timestamp": ""', line)
    assert found == 1, line
    return untimed


class Full:
    """Standard error on a disk that is full until it has room."""

    def __init__(self) -> None:
        self.has_room, self.lines = False, list[str]()

    def write(self, text: str) -> None:
        """Keep *text*, or fail as the system does."""
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.lines.append(text)

    def flush(self) -> None:
        """Fail as the system does."""
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")


def _unknown(path: Path) -> list[str]:
    """Return the fields and outcomes that the module in *path* writes out for a log line, and that no line may have."""
    found, text = list[str](), path.read_text(encoding="utf-8")
    if "report(" not in text and "handled(" not in text:
        return found
    for each in ast.walk(ast.parse(text)):
        match each:
            case ast.Call(
                func=ast.Attribute(attr="report" | "handled" as name) | ast.Name(id="report" | "handled" as name)
            ):
                found += [
                    f"{path.name}: {name}({key.arg}=…)"
                    for key in each.keywords
                    if key.arg and key.arg not in log.FIELDS
                ]
                said = each.args[0].value if each.args and isinstance(each.args[0], ast.Constant) else None
                if name == "handled" and said is not None and said not in counts.OUTCOMES:
                    found.append(f"{path.name}: handled({said!r})")
    return found


@pytest.mark.thorough
def test_every_line_that_a_service_writes_has_known_fields() -> None:
    """Given a field that no line may have, its line would lose it and read as an error; no module writes one out."""
    modules = [each for each in files(ROOT / "services") if each.suffix == ".py"]

    assert len(modules) > 100
    assert [each for path in modules for each in _unknown(path)] == []


class TestALogLine:
    def test_has_known_fields_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        """P9: a field outside the list is dropped with any content, and the line says so."""
        log.set_up_log("shelter")
        log.handled("registered", type="shelter.admitted", id="x", name=CANARY, key=CANARY)
        line = json.loads(capsys.readouterr().err)

        assert line["service"] == "shelter"
        assert line["outcome"] == "registered"
        assert line["error"] == "log_field_dropped"
        assert CANARY not in json.dumps(line)

    def test_of_a_transaction_is_written_with_the_others(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A batch is written at once, also after an error, and has the same lines as single messages."""
        log.set_up_log("registrar")
        events = [{"type": "case.closed", "id": f"e-{number}", "number": number, "partition": 0} for number in range(3)]
        for each in events:
            log.handled("registered", **each)
        one_by_one = capsys.readouterr().err

        with suppress(OSError), log.handled_together() as handled:
            for each in events:
                handled("registered", **each)
            assert not capsys.readouterr().err
            raise OSError("full")
        together = capsys.readouterr().err

        assert [_untimed(line) for line in together.splitlines()] == [
            _untimed(line) for line in one_by_one.splitlines()
        ]
        assert together.endswith("\n")

    def test_of_a_transaction_has_known_fields_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        """P9: the lines that are written together drop a field outside the list as well."""
        log.set_up_log("registrar")
        with log.handled_together() as handled:
            handled("registered", id="x", name=CANARY)
        written = capsys.readouterr().err

        assert json.loads(written)["error"] == "log_field_dropped"
        assert CANARY not in written

    def test_that_cannot_be_written_stops_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a full disk, then a service works without its log, and has it again when there is room."""
        full = Full()
        monkeypatch.setattr("sys.stderr", full)
        log.set_up_log("shelter")
        before = counts.handled().get(("registered", counts.NO_CODE), 0)

        log.report("started")
        log.handled("registered")
        with log.handled_together() as handled:
            handled("registered")
        full.has_room = True
        log.report("works")

        assert counts.handled()["registered", counts.NO_CODE] == before + 2
        assert [json.loads(line)["event"] for line in full.lines] == ["works"]

    def test_of_a_library_is_not_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        """P9: other libraries put keys and values into their messages; they stay silent."""
        log.set_up_log("shelter")
        logging.getLogger("aiokafka").error("could not send %s", CANARY)

        assert CANARY not in "".join(capsys.readouterr())


@pytest.fixture(name="spans")
def _spans(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    return recorded(monkeypatch)


class TestATrace:
    def test_goes_on_at_the_receiver(self, spans: list[Span]) -> None:
        """The span that handles an event has the creating span as parent, and its own events continue below."""
        with trace.produced("referral.submitted", "e-1") as made:
            pass
        with trace.consumed(event_type="referral.submitted", event_id="e-1", traceparent=made.traceparent) as handled:
            handled.result("handled")
            with trace.produced("letter.opened", "e-2"):
                pass
        first, inner, second = spans

        assert first.trace == second.trace == inner.trace == made.traceparent.split("-")[1]
        assert (first.parent, second.parent, inner.parent) == ("", first.id, second.id)
        assert [(each.name, each.kind, each.outcome) for each in (first, second)] == [
            ("create", "producer", ""),
            ("process", "consumer", "handled"),
        ]
        assert first.start <= first.end <= second.start <= inner.start <= inner.end <= second.end

    def test_of_work_on_several_events_names_them_all(self, spans: list[Span]) -> None:
        """A batch has a trace of its own, and a link to the span that made each event; an empty batch leaves no span."""
        with trace.joined("audit", [f"00-{'a' * 32}-{'b' * 16}-01", None, "no traceparent"]):
            pass
        with trace.joined("audit", []):
            pass

        (batch,) = spans
        assert (batch.links, batch.parent, batch.event) == ((f"{'a' * 32}-{'b' * 16}",), "", "")

    def test_of_a_transaction_has_the_result_of_each_event(self, spans: list[Span]) -> None:
        """One span per transaction still records the outcome of every event in the transaction."""
        with trace.joined("register") as transaction:
            transaction.judged("case.closed", "e-1", f"00-{'a' * 32}-{'b' * 16}-01", "registered", None)
            transaction.judged("case.closed", "e-2", f"00-{'c' * 32}-{'d' * 16}-01", "refused", "wrong_state")
            transaction.judged("case.closed", "e-3", None, "registered", None)

        assert [(each.trace, each.parent, each.event, each.outcome, each.code) for each in spans] == [
            ("a" * 32, "b" * 16, "e-1", "registered", ""),
            ("c" * 32, "d" * 16, "e-2", "refused", "wrong_state"),
        ]

    def test_is_signed_as_not_kept_where_nobody_keeps_it(self) -> None:
        """W3C's flag says so, and another store of spans still finds them joined."""
        with trace.produced("referral.submitted", "e-1") as made:
            assert made.traceparent.endswith("-00")
            with trace.produced("referral.submitted", "e-2") as inner:
                assert inner.traceparent.split("-")[1] == made.traceparent.split("-")[1]

    def test_never_holds_an_exceptions_text(self, spans: list[Span]) -> None:
        """P9: an exception may hold input, so the span records only the failure."""

        def fails() -> None:
            with trace.consumed(event_type="referral.submitted", event_id="e-1", traceparent=None):
                raise ValueError(CANARY)

        with pytest.raises(ValueError, match="CANARY"):
            fails()

        (span,) = spans
        assert span.outcome == "failed"
        assert CANARY not in repr(span)

    @pytest.mark.parametrize("text", [CANARY, "she may not leave", '","person":"x', "Ə", "a" * 65, ""])
    def test_takes_words_of_known_shapes_only(self, spans: list[Span], text: str) -> None:
        """P9: a type, an outcome or a parent that somebody made up is not written down."""
        made = trace.consumed(event_type=text, event_id=f"{text} ", traceparent=f"00-{text}-{'b' * 16}-01")
        with made as span:
            span.result(text, text)

        (kept,) = spans
        assert (kept.type, kept.event, kept.outcome, kept.code) == ("unknown", "unknown", "", "")
        assert kept.parent == ""


class Silent(SpanExporter):
    """Collector that answers a request only when the test allows an answer."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.askers: list[threading.Thread] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Note the thread that asks, and answer nothing yet."""
        del spans
        self.askers.append(threading.current_thread())
        self.answers.wait()
        return SpanExportResult.SUCCESS


class TestAnEnd:
    def test_of_a_service_does_not_wait_for_a_collector_that_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a silent collector, then a service ends while the last spans are under way."""
        silent = Silent()
        monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", lambda: silent)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example")
        monkeypatch.setattr(trace, "CLOSE_MS", 1)
        trace.set_up_trace("ngo-a")
        with trace.produced("referral.submitted", "e-1"):
            pass
        ending = threading.Thread(target=trace.shut_down)
        ending.start()
        ending.join(PATIENCE)
        waits = ending.is_alive()
        silent.answers.set()
        ending.join()

        assert not waits

    def test_the_sdk_bounds_no_end_of_its_own(self) -> None:
        """A trap of OpenTelemetry's SDK: a flush exports on the thread that asks, and a shutdown takes no limit.

        Without the trap, `_ToCollector` may go.
        """
        silent = Silent()
        silent.answers.set()
        processor = BatchSpanProcessor(silent, schedule_delay_millis=PATIENCE * 1000)
        trace._take("ngo-a", [processor])
        with trace.produced("referral.submitted", "e-1"):
            pass
        processor.force_flush(1)
        trace.shut_down()

        assert silent.askers == [threading.current_thread()]
        assert list(inspect.signature(BatchSpanProcessor.shutdown).parameters) == ["self"]
