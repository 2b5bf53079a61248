"""A collector of spans: takes OTLP over HTTP on this machine, and keeps what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span, and who made it."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    links: list[str]
    """Trace and span of each, with a dash between."""


class Collector:
    """What came so far."""

    def __init__(self) -> None:
        self.url = ""
        self.raw: list[bytes] = []
        """Every request as it came."""
        self.spans: list[Span] = []

    def take(self, raw: bytes) -> None:
        """Take one request."""
        self.raw.append(raw)
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            service = next(
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {each.key: str(each.value) for each in span.attributes}
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    links = [f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links]
                    self.spans.append(Span(service, span.name, *ids, attributes, links))

    def named(self, name: str, service: str) -> list[Span]:
        """The spans called *name* of *service*."""
        return [span for span in self.spans if (span.name, span.service) == (name, f"nrmbus.{service}")]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs until the end of the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take what is exported."""
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_what: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
