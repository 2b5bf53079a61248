"""One span as this project keeps it: a closed list of identifiers, and when it began and ended. Nothing else fits in.

The same list in memory, as a line of a kept file, and as what goes out by OTLP. No case reference, no record key, no text.
"""

import json
import re
from typing import Final, NamedTuple

_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")
_WORD: Final = re.compile(r"[a-z0-9_]{1,64}")
_SERVICE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TYPE: Final = re.compile(r"[a-z_]{1,64}(\.[a-z_]{1,64})*")
_EVENT: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_LATEST: Final = 2**63 - 1


class Span(NamedTuple):
    """One service's work with one event. Times are nanoseconds since 1970 by the wall's clock of its machine.

    ``parent`` is empty at a trace's beginning; ``links`` name spans that are related otherwise, ``trace-span`` each.
    ``name`` is what was done (``create``, ``send``, ``register``, …), ``kind`` as OpenTelemetry has it, ``outcome`` and
    ``code`` what came of it, in the words of the log; empty where nothing was said. A span of several events has links
    instead of ``type`` and ``event``.
    """

    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    name: str
    kind: str
    service: str
    start: int
    end: int
    type: str
    event: str
    outcome: str
    code: str

    def line(self) -> bytes:
        """It as a line of JSON, with its end; what is empty is left out."""
        # By hand, since a registrar writes thousands a second; every value is of a shape that needs no escaping.
        more = "".join(
            f',"{name}":"{value}"'
            for name, value in (
                ("parent", self.parent), ("type", self.type), ("event", self.event), ("outcome", self.outcome),
                ("code", self.code), ("links", " ".join(self.links)),
            )
            if value
        )  # fmt: skip
        return (
            f'{{"trace":"{self.trace}","id":"{self.id}","name":"{self.name}","kind":"{self.kind}",'
            f'"service":"{self.service}","start":{self.start},"end":{self.end}{more}}}\n'
        ).encode()

    @classmethod
    def read(cls, line: bytes) -> "Span | None":
        """The span of a *line*; None of one that was torn, or is of no span. Members that it may not have are dropped."""
        try:
            body = json.loads(line)
            texts = {name: body.get(name, "") for name in cls._fields if name not in ("start", "end", "links")}
            links = tuple(body.get("links", "").split())
            span = cls(start=body["start"], end=body["end"], links=links, **texts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return span if span.fits else None

    @property
    def fits(self) -> bool:
        """Whether every value has the shape that its name has, so that it may be written as it is."""
        try:
            shapes = (
                (_TRACE, self.trace), (_SPAN, self.id), (_WORD, self.name), (_WORD, self.kind), (_SERVICE, self.service),
                *(
                    (shape, text)
                    for shape, text in (
                        (_SPAN, self.parent), (_TYPE, self.type), (_EVENT, self.event), (_WORD, self.outcome),
                        (_WORD, self.code),
                    )
                    if text != ""
                ),
            )  # fmt: skip
            return (
                all(shape.fullmatch(text) for shape, text in shapes)
                and all(is_link(each) for each in self.links)
                and all(type(each) is int and 0 <= each <= _LATEST for each in (self.start, self.end))
            )
        except TypeError:  # something that is no text at all
            return False


def type_shaped(text: str) -> bool:
    """Whether *text* may be an event's type."""
    return bool(_TYPE.fullmatch(text))


def event_shaped(text: str) -> bool:
    """Whether *text* may be an event's id."""
    return bool(_EVENT.fullmatch(text))


def word_shaped(text: str) -> bool:
    """Whether *text* may be an outcome or a code."""
    return bool(_WORD.fullmatch(text))


def is_link(text: str) -> bool:
    """Whether *text* names a span by its trace and its id."""
    trace, _, span = text.partition("-")
    return bool(_TRACE.fullmatch(trace) and _SPAN.fullmatch(span))
