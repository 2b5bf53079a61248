"""A desk's metrics: behind the token, by name as in the list, and without a word of its cases."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE, SIGNAL
from desk.access.test_opening import consented, supplied
from desk.given import CANARY, Given, desk_of
from desk.webhooks.receiver import hear, hooks_of, receiving, says
from nrmbus.desk.http import measured
from nrmbus.telemetry import counts
from telemetry.test_metrics import samples, values


async def shown(given: Given) -> dict[str, float]:
    """The desk's metrics without labels."""
    answer = await given.door.get("/metrics")
    assert answer.status_code == 200, answer.text
    return values(answer.content)


async def test_nobody_reads_them_without_the_token(tmp_path: Path) -> None:
    """How many letters wait unopened is the agency's own affair."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get("/metrics", headers={"authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert b"nrmbus_" not in answer.content


async def test_the_oldest_event_without_an_answer_has_an_age(tmp_path: Path) -> None:
    """The age grows until the registrar answers, and is then 0."""
    async with desk_of("ngo-a", tmp_path) as here:
        assert (await shown(here))["nrmbus_outbox_oldest_seconds"] == 0
        record = await here.said(type="case.signal_recorded", data=SIGNAL)
        here.clock.time += timedelta(hours=2)
        waiting = await shown(here)
        await here.hear(here.registrar.register(record, to="ngo-a"))
        answered = await shown(here)

    assert (waiting["nrmbus_outbox_oldest_seconds"], waiting["nrmbus_outbox_open_events"]) == (7200, 1)
    assert (answered["nrmbus_outbox_oldest_seconds"], answered["nrmbus_outbox_open_events"]) == (0, 0)


async def test_a_letter_counts_as_unopened_until_a_person_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk opens a letter itself to handle it, which helps nobody yet."""
    monkeypatch.setattr(measured, "AGAIN_SECONDS", 0.0)
    async with desk_of("vac", tmp_path) as here:
        await here.hear(consented(here.registrar))
        before = await shown(here)
        await here.hear(supplied(here.registrar))
        unopened = await shown(here)
        await here.read(actor="S-17")
        opened = await shown(here)

    assert [each["nrmbus_letters_unopened"] for each in (before, unopened, opened)] == [0, 1, 0]


async def test_the_letters_are_counted_once_a_minute_at_most(tmp_path: Path) -> None:
    """A count reads the whole ledger, and a monitor may ask every second."""
    async with desk_of("vac", tmp_path) as here:
        await here.hear(consented(here.registrar))
        await shown(here)
        await here.hear(supplied(here.registrar))
        soon = await shown(here)

    assert soon["nrmbus_letters_unopened"] == 0


async def test_an_event_has_the_age_from_its_publication(tmp_path: Path) -> None:
    """Publisher, broker and registrar are part of the way; the receiver's desk sees all of it."""
    async with desk_of("vac", tmp_path) as here:
        counts.forget()
        record = consented(here.registrar)
        here.clock.time += timedelta(minutes=10)
        await here.hear(record)
        found = await shown(here)

    assert found["nrmbus_inbox_age_seconds_count"] == 1
    assert found["nrmbus_inbox_age_seconds_sum"] >= 600


async def test_a_code_of_the_rules_is_counted_under_its_name(tmp_path: Path) -> None:
    """The desk knows the codes of its profile, and no other text is a label."""
    async with desk_of("ngo-a", tmp_path) as here:
        counts.forget()
        code = next(iter(here.desk.seat.rules.profile.refusals.values())).code
        record = await here.said(type="case.signal_recorded", data=SIGNAL)
        await here.hear(here.registrar.refuse(record, code))
        found = samples((await here.door.get("/metrics")).content)

    assert {"outcome": "refused", "code": code} in [each.labels for each in found]


async def test_a_webhook_that_is_not_taken_has_an_age_and_a_stopped_one_is_counted(tmp_path: Path) -> None:
    """The agency's own system cannot say itself that it is told nothing; what was told has no age."""
    async with desk_of("shelter", tmp_path) as here, receiving() as receiver, hooks_of(here) as hooks:
        await hooks.add(receiver.url, "shelter.*")
        receiver.answer = says(503)
        await hear(here)
        await hooks.settle()
        here.clock.time += timedelta(hours=2)
        untold = await shown(here)
        receiver.answer = says(410)
        hooks.wall.go_on(minutes=2)
        await hooks.settle()
        gone = await shown(here)
        receiver.answer = says(204)
        (row,) = await here.rows("webhooks")
        await hooks.webhooks.enable(row.id)
        await hooks.settle()
        told = await shown(here)

    names = ("nrmbus_webhooks_stopped", "nrmbus_webhook_oldest_seconds")
    assert untold[names[0]] == 0
    assert untold[names[1]] >= 7200
    assert gone[names[0]] == 1
    assert [told[each] for each in names] == [0, 0]


async def test_no_content_case_or_agency_stands_there(tmp_path: Path) -> None:
    """P9: neither what a letter holds, nor which case, nor from whom."""
    async with desk_of("vac", tmp_path) as here:
        for record in (consented(here.registrar), supplied(here.registrar)):
            await here.hear(record)
        page = (await here.door.get("/metrics")).text
        agencies = [each for each in here.town.agencies if each not in {"registrar", "timekeeper", "auditor"}]

    assert "nrmbus_letters_unopened 1.0" in page
    assert [each for each in (CANARY, CASE, *agencies) if each in page] == []
