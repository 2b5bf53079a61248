"""An agency's events go out in turn, sealed to their readers at that moment, and are answered once."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.exc import OperationalError

from agencies import CASE, SIGNAL, town
from desk.given import CANARY, REF, FakeRegistrar, desk_of
from nrmbus.desk import relay
from nrmbus.desk.broker_clock import BrokerClock
from nrmbus.desk.http import views
from nrmbus.desk.outbox import queue
from nrmbus.desk.relay import through
from nrmbus.directory import RUNNING, SERVICES, Directory
from nrmbus.rules import Rules
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.record import Record
from patience import eventually

UNIT_CONSENT = {
    "purposes": ["services", "information_sharing"],
    "receivers": ["special-unit"],
    "given_by": "individual",
    "form": "written",
}
REFERRAL = {
    "mode": "referral",
    "reason": "FormalIdentification",
    "urgency": "emergency",
    "services": [],
    "child": False,
}


def signal_(**more: Any) -> dict[str, Any]:
    """Return an NGO's signal."""
    return {"type": "case.signal_recorded", "data": SIGNAL, "sealed": {"age_band": "25-34", "notes": CANARY}} | more


def consent(*receivers: str) -> dict[str, Any]:
    """Return a consent for *receivers*."""
    return {"type": "consent.given", "data": UNIT_CONSENT | {"receivers": list(receivers)}}


def readers(record: Record) -> dict[str, list[str]]:
    """Return the agencies that can open each part of a submission's letter."""
    letter = decode(record).letter()
    assert letter is not None
    return {part: sorted(letter.wraps(part)) for part in letter.parts}


def type_of(record: Record) -> str:
    """Return the type of a submission."""
    return decode(record).type


async def test_of_one_case_one_row_is_unanswered_and_cases_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """The second event of a case is signed and sent only after the first is answered; another case's goes at once."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        await given.ask(**consent("special-unit"))
        await given.ask(**signal_(case="ef" * 16))
        first = await given.out()

        assert sorted((decode(each).subject, decode(each).sequence) for each in first) == [(CASE, 1), ("ef" * 16, 1)]
        assert await given.out() == []
        await given.relay.once(whole=False)  # as at a commit, when rows that wait for an answer are not looked at
        assert len(given.sent) == 2
        waiting = [row for row in await given.rows("outbox") if row.state == "waiting"]
        assert [row.type for row in waiting] == ["consent.given"]
        assert waiting[0].sequence is None
        mine = next(each for each in first if decode(each).subject == CASE)
        await given.hear(given.registrar.register(mine, to="ngo-a"))
        (second,) = await given.out()
        assert (type_of(second), decode(second).sequence) == ("consent.given", 2)


async def test_a_letter_is_sealed_by_the_view_of_the_moment_when_its_turn_comes(tmp_path: Path) -> None:
    """A referral requested before the consent was registered is sealed after the registration: the special unit can open it."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(**signal_())
        await given.ask(**consent("special-unit"))
        referral = {
            "type": "referral.submitted",
            "ref": REF,
            "to": ["special-unit"],
            "data": REFERRAL,
            "legal_basis": "CoM 21/2008",
        }
        await given.ask(**referral, sealed={"name": CANARY})
        (consented,) = await given.out()
        await given.hear(given.registrar.register(consented, to="ngo-a"))
        (referred,) = await given.out()

        assert readers(referred)["identity"] == ["ngo-a", "special-unit"]
        assert readers(referred)["coded"] == ["ngo-a", "special-unit", "statistics"]
        assert decode(referred).attributes["ce_legalbasis"] == "CoM 21/2008"


async def test_a_letter_shows_its_coded_facts_to_statistics_and_its_story_to_nobody_yet(tmp_path: Path) -> None:
    """The unit reads only coarse facts of an adult's signal; the story stays with the NGO until she agrees."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = await given.said(**signal_())

        assert readers(sent) == {"coded": ["ngo-a", "special-unit", "statistics"], "story": ["ngo-a"]}


async def test_where_no_service_makes_figures_coded_facts_are_sealed_to_nobody_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No start of a bus admits an agency of statistics: an operator does, and its desk keeps the key."""
    assert "statistics" not in {*SERVICES, *RUNNING}
    monkeypatch.setattr(Directory, "of_role", lambda _, __: ())
    async with desk_of("ngo-a", tmp_path) as given:
        assert readers(await given.said(**signal_())) == {"coded": ["ngo-a", "special-unit"], "story": ["ngo-a"]}


@pytest.mark.parametrize("killed", ["before signing", "before sending", "after sending"])
async def test_a_desk_killed_on_the_way_out_says_it_once(
    killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk killed between row, signature, sending and receipt sends the same bytes after its restart, and closes the row once."""
    registrar = FakeRegistrar(town())
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        await given.ask(**signal_())
        if killed == "before sending":

            async def never(_: Record) -> None:
                raise ConnectionError

            monkeypatch.setattr(given.relay, "_send", never)
        before = await given.out() if killed != "before signing" else []
        signed = [row.headers for row in await given.rows("outbox")]
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as given:
        (again,) = await given.out()
        if killed != "before signing":
            assert [row.headers for row in await given.rows("outbox")] == signed
        assert before in ([], [again])
        receipt = registrar.register(again, to="ngo-a")
        await given.hear(receipt)
        await given.hear(receipt)

        assert await given.out() == []
        assert [(row.state, row.verdict, row.receipts) for row in await given.rows("outbox")] == [
            ("closed", "registered", 2)
        ]
        assert len(await given.rows("events")) == 1


async def test_an_unanswered_row_is_sent_again_only_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some time the same bytes are sent again; a late receipt closes the row all the same."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = await given.said(**signal_())
        assert await given.out() == []
        monkeypatch.setattr("nrmbus.desk.relay.FIRST_PATIENCE", 0.0)

        assert await given.out() == [sent]
        assert [row.attempts for row in await given.rows("outbox")] == [2]
        await given.hear(given.registrar.register(sent, to="ngo-a"))
        assert await given.out() == []


async def test_the_relay_sends_a_record_as_it_was_signed(tmp_path: Path) -> None:
    """Between signature and topic no header is added, dropped or moved, and the ledger knows the record by its digest."""
    sent: list[tuple[str, Record]] = []

    class Producer:
        async def send_and_wait(
            self, topic: str, value: bytes, key: bytes, partition: int, *, headers: list[tuple[str, bytes]]
        ) -> SimpleNamespace:
            assert partition == 0
            sent.append((topic, Record(key, value, tuple(headers))))
            return SimpleNamespace(timestamp=(time.time() - 60) * 1000)

    async with desk_of("ngo-a", tmp_path) as given:
        given.relay._send = through(Producer(), "nrm.outbox.ngo-a", clock := BrokerClock(), 1)
        await given.ask(**signal_())
        await given.relay.once()
        ((topic, record),) = sent
        assert clock.ahead == pytest.approx(60, abs=5), "the answer tells the broker's time"
        names = [name for name, _ in record.headers]

        assert topic == "nrm.outbox.ngo-a"
        assert names[:2] == ["content-type", "ce_specversion"]
        assert names[-2:] == ["ce_dssematerial", "nrm_letter"]
        assert decode(record).letter() is not None
        assert [row.digest for row in await given.rows("outbox")] == [record.digest()]


async def test_nothing_is_signed_before_the_inbox_was_read_to_its_end(tmp_path: Path) -> None:
    """A waiting delivery may answer a row or change its readers, so the relay reads the inbox first after a start."""
    async with desk_of("ngo-a", tmp_path) as given:
        given.relay.caught_up.clear()
        await given.ask(**signal_())
        assert await given.out() == []
        given.relay.caught_up.set()

        assert [type_of(each) for each in await given.out()] == ["case.signal_recorded"]


async def test_a_desk_that_may_have_been_put_out_sends_nothing(tmp_path: Path) -> None:
    """Nothing leaves until the broker has confirmed the desk: no new event, and none that was signed before."""
    async with desk_of("ngo-a", tmp_path) as given:
        given.relay._may_send = lambda: False
        await given.ask(**signal_())
        assert [await given.out(), await given.out()] == [[], []]
        assert [row.attempts for row in await given.rows("outbox")] == [1], "it waits, and is not tried each second"
        given.relay._may_send = lambda: True

        assert [type_of(each) for each in await given.out()] == ["case.signal_recorded"]


async def test_a_changed_audience_is_sealed_again_by_itself_before_anything_else_of_the_case(tmp_path: Path) -> None:
    """The desk seals again, under a new id, to the readers that the registrar names, and the answer refers to the new id."""
    async with desk_of("ngo-a", tmp_path) as given:
        asked = await given.ask(**signal_())
        (sent,) = await given.out()
        await given.ask(**consent("special-unit"))
        seal_to = {"coded": ("special-unit", "statistics"), "story": ("special-unit",)}
        await given.hear(given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to=seal_to))
        (again,) = await given.out()

        assert type_of(again) == "case.signal_recorded"
        assert decode(again).id != decode(sent).id
        assert decode(again).sequence == 2, "a refusal counts"
        assert readers(again) == {"coded": ["ngo-a", "special-unit", "statistics"], "story": ["ngo-a", "special-unit"]}
        opened = decode(again).letter()
        assert opened is not None
        place = {"bus": given.desk.seat.bus, "source": "ngo-a", "id": decode(again).id, "subject": CASE}
        assert opened.open("special-unit", town().identities["special-unit"].sealing, **place)["story"] == {
            "notes": CANARY
        }
        await given.hear(given.registrar.register(again, to="ngo-a"))
        followed = (await given.door.get(f"/v1/events/{asked['id']}")).json()
        assert (followed["id"], followed["asked_id"], followed["verdict"]) == (
            decode(again).id,
            asked["id"],
            "registered",
        )


@pytest.mark.parametrize(
    ("notes", "story", "named"),
    [(CANARY, ("special-unit",), [["special-unit"]]), (CANARY, (), []), (None, ("special-unit",), [])],
    ids=["a reader that this desk did not expect", "no other reader", "a reader of an empty part"],
)
async def test_p2_a_person_looks_at_readers_that_the_registrar_adds(
    notes: str | None, story: tuple[str, ...], named: list[list[str]], tmp_path: Path
) -> None:
    """The desk seals to an agency that may read by the Rules, and a task names those of which its own view knew nothing; a reader of an empty part is no task."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_(sealed={"age_band": "25-34"} | ({"notes": notes} if notes else {})))
        (sent,) = await given.out()
        seal_to = {"coded": ("special-unit", "statistics"), "story": story}
        await given.hear(given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to=seal_to))
        (again,) = await given.out()

        tasks = [json.loads(row.about) for row in await given.rows("tasks") if row.event == decode(again).id]
        assert [each["agencies"] for each in tasks] == named
        assert all(each["sentence"].startswith("The registrar named these agencies") for each in tasks)


@pytest.mark.parametrize("reader", ["fund", "court", "statistics", "police-x"])
async def test_p2_an_itinerary_is_sealed_to_nobody_that_neither_holds_the_case_nor_helps(
    reader: str, tmp_path: Path
) -> None:
    """A rogue registrar names a role that may never learn where the person will be: nothing is sealed, and a person looks."""
    async with desk_of("iom", tmp_path) as given:
        sent = await given.said(type="return.travel_arranged", data={"days": 14}, sealed={"itinerary": CANARY})
        seal_to = {"place": (reader,), "story": ()}
        await given.hear(given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to=seal_to))

        assert await given.out() == []
        last = (await given.rows("outbox"))[-1]
        assert (last.verdict, last.code, last.letter) == ("failed", "audience_not_allowed", None)
        assert [row.kind for row in await given.rows("tasks")] == ["not_sent"]


async def test_an_audience_that_never_settles_is_left_to_a_person(tmp_path: Path) -> None:
    """After a few tries the row stays refused, with the answer; the desk does not seal again for ever."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        for _ in range(queue.RESEAL_AT_MOST + 1):
            (sent,) = await given.out()
            await given.hear(
                given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to={"coded": (), "story": ()})
            )

        assert await given.out() == []
        last = (await given.rows("outbox"))[-1]
        assert (last.verdict, last.code, last.replaced_by) == ("refused", "audience_changed", None)


async def test_a_draft_whose_key_is_gone_stays_refused(tmp_path: Path) -> None:
    """The machine was lost, the ledger is from a backup and the agency has new keys: the inbox goes on."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        (sent,) = await given.out()
        new, seat = SealingKey.generate(), given.desk.seat
        seat.identity = replace(seat.identity, sealing=new, opening={new.kid: new})
        seal_to = {"coded": ("special-unit",), "story": ()}
        await given.hear(given.registrar.refuse(sent, "audience_changed", rule="W9", seal_to=seal_to))

        (row,) = await given.rows("outbox")
        assert (row.state, row.verdict, row.code, row.replaced_by) == ("closed", "refused", "audience_changed", None)
        assert seat.trouble is None


async def test_a_gap_is_filled_by_sending_again_in_order(tmp_path: Path) -> None:
    """If the registrar lacks an answered event, the desk sends the case again from there, in order and unchanged."""
    async with desk_of("ngo-a", tmp_path) as given:
        first = await given.registered(**signal_())
        second = await given.registered(**consent("special-unit"))
        third = await given.said(**consent("vac"))
        about = {"subject": CASE, "id": decode(third).id, "expected_sequence": 1}
        await given.hear(given.registrar.answer(third, "sequence_gap", **about))

        assert await given.out() == [first, second, third]
        assert await given.out() == []


async def test_a_restored_ledger_numbers_anew_what_the_registrar_already_counts(tmp_path: Path) -> None:
    """The registrar expects a higher number than this ledger knows: the row is signed again under that number."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = await given.said(**signal_())
        about = {"subject": CASE, "id": decode(sent).id, "expected_sequence": 4}
        await given.hear(given.registrar.answer(sent, "sequence_gap", **about))
        (again,) = await given.out()

        assert (decode(again).id, decode(again).sequence) == (decode(sent).id, 4)


async def test_what_could_not_be_read_is_closed_and_the_case_goes_on(tmp_path: Path) -> None:
    """The record is not resent for ever: a person gets a task, and the next event of the case takes the same number."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = await given.said(**signal_())
        await given.ask(**consent("special-unit"))
        await given.hear(given.registrar.answer(sent, "header_not_allowed"))
        (following,) = await given.out()

        assert (type_of(following), decode(following).sequence) == ("consent.given", 1)
        closed = (await given.door.get(f"/v1/events/{decode(sent).id}")).json()
        assert (closed["state"], closed["verdict"], closed["code"]) == ("closed", "failed", "header_not_allowed")
        assert [(row.kind, row.event) for row in await given.rows("tasks")] == [("not_sent", decode(sent).id)]


async def test_an_answer_about_a_record_that_the_desk_never_sent_is_a_task(tmp_path: Path) -> None:
    """A foreign record in this agency's outbox becomes a task for its people."""
    async with desk_of("ngo-a", tmp_path) as given:
        foreign = given.registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
        await given.hear(given.registrar.answer(foreign, "signature_invalid"))

        assert [row.kind for row in await given.rows("tasks")] == ["not_ours"]


async def test_a_refusal_closes_the_row_and_counts(tmp_path: Path) -> None:
    """The refused event reaches nobody and is no part of the case; the next one follows its number."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(**signal_())
        sent = await given.said(**consent("vac"))
        await given.hear(given.registrar.refuse(sent, "self_consent", rule="G-36"))

        answer = (await given.door.get(f"/v1/events/{decode(sent).id}")).json()
        assert (answer["verdict"], answer["code"], answer["rule"], answer["article"]) == (
            "refused",
            "self_consent",
            "G-36",
            "[D]",
        )
        assert [row.type for row in await given.rows("events")] == ["case.signal_recorded"]
        assert decode(await given.said(**consent("special-unit"))).sequence == 3


async def test_a_consent_for_three_is_three_events_and_none_names_another(tmp_path: Path) -> None:
    """Each receiver's consent is a separate event with its own id and answer."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(**signal_())
        answer = await given.ask(**consent("special-unit", "vac", "fund"))

        assert [part["receivers"] for part in answer["events"]] == [["special-unit"], ["vac"], ["fund"]]
        assert len({part["id"] for part in answer["events"]}) == 3
        clear = [
            json.loads(row.clear)["data"]["receivers"]
            for row in await given.rows("outbox")
            if row.type == "consent.given"
        ]
        assert clear == [["special-unit"], ["vac"], ["fund"]]


async def test_an_event_names_only_the_consents_that_concern_its_recipients(tmp_path: Path) -> None:
    """Of several consents, a referral carries only the consent for its receiver, who learns of no other."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(**signal_())
        asked = await given.ask(**consent("special-unit", "vac"))
        for _ in range(2):
            (sent,) = await given.out()
            await given.hear(given.registrar.register(sent, to="ngo-a"))
        ids = [part["id"] for part in asked["events"]]
        referral = await given.said(
            type="referral.submitted",
            ref=REF,
            to=["special-unit"],
            data=REFERRAL,
            consent=ids,
            legal_basis="CoM 21/2008",
        )

        assert decode(referral).attributes["ce_consent"] == ids[0]


async def test_what_none_of_its_recipients_may_open_is_not_sent(tmp_path: Path) -> None:
    """The desk refuses money facts in a referral to the special unit by G-11, since the registrar sees no letter."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(**signal_())
        await given.registered(**consent("special-unit"))
        referral = {
            "type": "referral.submitted",
            "ref": REF,
            "to": ["special-unit"],
            "data": REFERRAL,
            "legal_basis": "CoM 21/2008",
        }
        asked = await given.ask(**referral, sealed={"income": CANARY})
        assert await given.out() == []

        answer = (await given.door.get(f"/v1/events/{asked['id']}")).json()
        assert (answer["verdict"], answer["code"], answer["rule"]) == ("refused", "part_not_allowed", "G-11")
        assert [each.kind for each in await given.rows("tasks")] == ["ask_first"], "the task of the signal alone"
        assert decode(await given.said(**consent("vac"))).sequence == 3, "what was not sent took no number"


async def test_a_draft_that_cannot_be_sealed_is_closed_with_a_code(tmp_path: Path) -> None:
    """Sabotage of the ledger: an altered draft is not sent, does not stop the relay, and a person is told."""
    async with desk_of("ngo-a", tmp_path) as given:
        asked = await given.ask(**signal_(sealed={"notes": CANARY}))
        (row,) = await given.rows("outbox")
        async with given.desk.seat.ledger.write() as tx:
            tx.exec_driver_sql("UPDATE outbox SET draft = ?", (b'{"suite":"nrm1","parts":[]}',))
        assert await given.out() == []

        answer = (await given.door.get(f"/v1/events/{asked['id']}")).json()
        assert (row.state, answer["verdict"], answer["code"]) == ("waiting", "failed", "letter_malformed")


async def test_a_day_with_which_the_rules_cannot_compute_is_closed_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registrar would refuse it too: the row does not wait for ever, and the next event of the case goes out."""
    whole, asked = Rules.judge, list[str]()

    def judge(self: Rules, *args: Any, **more: Any) -> Any:
        asked.append("")
        if len(asked) == 1:
            raise OverflowError("date value out of range")
        return whole(self, *args, **more)

    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        await given.ask(**consent("special-unit"))
        monkeypatch.setattr(Rules, "judge", judge)
        assert await given.out() == []
        (following,) = await given.out()

        assert type_of(following) == "consent.given"
        failed, _ = await given.rows("outbox")
        assert (failed.state, failed.verdict, failed.code) == ("closed", "failed", "unknown_field")


async def test_a_mistake_about_one_case_keeps_no_other_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If signing fails by a fault of ours, the row waits for a later try; the next case goes out at once."""
    whole = queue.sign

    def mistaken(seat: Any, cases: Any, tx: Any, row: Any) -> Any:
        if row.subject == CASE:
            raise RuntimeError(CANARY)
        return whole(seat, cases, tx, row)

    async with desk_of("ngo-a", tmp_path) as given:
        monkeypatch.setattr(queue, "sign", mistaken)
        await given.ask(**signal_())
        await given.ask(**signal_(case="ef" * 16))

        assert [decode(each).subject for each in await given.out()] == ["ef" * 16]
        monkeypatch.setattr(queue, "sign", whole)
        assert await given.out() == [], "with patience"
        monkeypatch.setattr("nrmbus.desk.relay.FIRST_PATIENCE", 0.0)
        assert [decode(each).subject for each in await given.out()][:1] == [CASE]


async def test_a_ledger_that_is_full_stops_the_relay_only_as_long_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay looks again automatically once the disk has room."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**signal_())
        ledger, whole = given.desk.seat.ledger, given.desk.seat.ledger.write

        tries = 0

        def full() -> Any:
            nonlocal tries
            tries += 1
            raise OperationalError("BEGIN", {}, Exception("database or disk is full"))

        monkeypatch.setattr(ledger, "write", full)
        monkeypatch.setattr("nrmbus.desk.relay.LOOK_EVERY", 0.01)
        running = asyncio.create_task(given.relay.run())
        await eventually("the relay has looked again", lambda: tries > 2 or running.done())
        assert (running.done(), given.sent) == (False, [])
        monkeypatch.setattr(ledger, "write", whole)
        await eventually("the relay sends", lambda: given.sent)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert len(given.sent) == 1


@pytest.mark.parametrize("query", [relay.OPEN, relay.NEW, relay.UNANSWERED, views.OPEN_ROWS])
async def test_a_look_at_what_is_due_reads_no_answered_row(query: Select[Any], tmp_path: Path) -> None:
    """The relay looks at every commit, so a look costs the same however many events the agency has published."""
    async with desk_of("ngo-a", tmp_path) as given:
        with given.desk.seat.ledger.read() as tx:
            bare = str(query.compile(tx.engine, compile_kwargs={"literal_binds": True}))
            plan = [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {bare}")]

        assert not [step for step in plan if step.startswith("SCAN")], plan


async def test_many_cases_are_signed_in_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits together is committed together, and one event that cannot be signed holds up no other."""
    cases = [f"{number:02x}" * 16 for number in range(20)]
    whole = queue.sign

    def refusing(seat: Any, view: Any, tx: Any, row: Any) -> Any:
        return queue.Refused("too_large") if row.subject == cases[7] else whole(seat, view, tx, row)

    async with desk_of("ngo-a", tmp_path) as given:
        for case in cases:
            await given.ask(**signal_(case=case))
        monkeypatch.setattr(queue, "sign", refusing)
        before = given.desk.seat.ledger.count
        sent = await given.out()

        assert [decode(each).subject for each in sent] == [case for case in cases if case != cases[7]]
        assert given.desk.seat.ledger.count == before + 2, "one commit for all, and one for the event that was refused"
        assert [row.subject for row in await given.rows("outbox") if row.verdict == "failed"] == [cases[7]]


async def test_a_signature_makes_the_relay_look_again_only_where_a_case_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed event waits for its answer; after one that cannot be signed, the next event of the case is due."""
    async with desk_of("ngo-a", tmp_path) as given:
        changed = given.desk.seat.ledger.changed
        await given.ask(**signal_())
        changed.clear()
        assert len(await given.out()) == 1
        assert not changed.is_set()

        monkeypatch.setattr(queue, "sign", lambda *_: queue.Refused("too_large"))
        await given.ask(**signal_(case="ef" * 16))
        changed.clear()
        assert await given.out() == []
        assert changed.is_set()


@pytest.mark.parametrize("error", [OperationalError("", {}, Exception("full")), OSError(28, "No space left on device")])
async def test_a_disk_that_is_full_for_a_moment_ends_no_relay(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the ledger cannot be written, nor where the agency's next key cannot be taken into use."""
    monkeypatch.setattr(relay, "LOOK_EVERY", 0.01)
    async with desk_of("ngo-a", tmp_path) as given:
        looks = list[int]()

        async def once(*, whole: bool = True) -> None:
            del whole
            looks.append(1)
            if len(looks) == 1:
                raise error

        monkeypatch.setattr(given.relay, "once", once)
        running = asyncio.create_task(given.relay.run())
        await eventually("it looks again, or has ended", lambda: len(looks) > 2 or running.done())

        assert not running.done()
        running.cancel()
