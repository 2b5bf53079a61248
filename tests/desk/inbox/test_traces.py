"""One trace leads through the desk, from the heard event to the desk's own event. No case is on any span."""

from pathlib import Path

import pytest

from agencies import CASE, SIGNAL
from desk.given import BED, CANARY, REF, desk_of
from nrmbus.telemetry.span_file import Span
from nrmbus.wire.envelope import decode
from spans import recorded

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAID = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """Return the spans of the test."""
    return recorded(monkeypatch)


def named(spans: list[Span], name: str, type_: str) -> Span:
    """Return the only span called *name* of an event of *type_*."""
    (span,) = [span for span in spans if (span.name, span.type) == (name, type_)]
    return span


async def test_what_a_procedure_says_belongs_to_the_trace_of_what_it_heard(tmp_path: Path, spans: list[Span]) -> None:
    """Request, offer and letter receipt are one trace, and the offer's own record carries it, signed."""
    async with desk_of("shelter", tmp_path) as given:
        asked = given.registrar.event(
            "special-unit", "shelter.bed_requested", BED, referral=REF, traceparent=SAID,
            parts={"coded": {"category": "women"}, "story": {"notes": CANARY}}, opens=["shelter"],
        )  # fmt: skip
        await given.hear(given.registrar.register(asked, to="shelter"))
        rows = await given.rows("outbox")
        (receipt,) = await given.out()

    heard = named(spans, "process", "shelter.bed_requested")
    said = named(spans, "create", "shelter.bed_offered")
    assert {row.traceparent.split("-")[1] for row in rows} == {TRACE}
    assert (said.trace, said.parent) == (TRACE, heard.id)
    assert (heard.trace, heard.parent, heard.outcome) == (TRACE, SAID.split("-")[2], "handled")
    assert decode(receipt).attributes["ce_traceparent"] == rows[0].traceparent
    told = repr(spans)
    assert CASE not in told
    assert "CANARY" not in told


async def test_what_a_person_says_begins_a_trace_of_its_own(tmp_path: Path, spans: list[Span]) -> None:
    """A case lives for months: each decision is a trace, and none is kept open."""
    async with desk_of("ngo-a", tmp_path) as given:
        for case in (CASE, "ef" * 16):
            await given.ask(type="case.signal_recorded", case=case, data=SIGNAL)
        rows = await given.rows("outbox")

    assert len({row.traceparent.split("-")[1] for row in rows}) == 2
    assert len(spans) == 2


async def test_an_error_is_on_a_span_without_its_text(
    tmp_path: Path, spans: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler's error ends the span, without the error's text."""

    def broken(*_: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr("nrmbus.shelter.procedure._asked", broken)
    monkeypatch.setattr("nrmbus.desk.inbox.settle.FIRST_WAIT", 0.0)
    async with desk_of("shelter", tmp_path) as given:
        asked = given.registrar.event("special-unit", "shelter.bed_requested", BED, referral=REF, traceparent=SAID)
        with pytest.raises(ValueError, match="CANARY"):
            await given.hear(given.registrar.register(asked, to="shelter"))

    failed = named(spans, "process", "shelter.bed_requested")
    assert failed.outcome == "failed"
    assert "CANARY" not in repr(failed)
