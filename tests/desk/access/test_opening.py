"""Withdrawn data stay closed, a letter waits for later deliveries, and a reading is recorded first."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL, town
from desk.given import CANARY, REF, FakeRegistrar, Given, Read, desk_of
from desk.store.given import statements
from generations import before_type
from nrmbus.desk.access import opening, written_parts
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox import verify
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.inbox.verify import Released
from nrmbus.desk.letters import letters
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.desk.state import parking
from nrmbus.wire.envelope import decode
from patience import PATIENCE, eventually

pytestmark = pytest.mark.usefixtures("kept")

CONSENT = {"purposes": ["information_sharing"], "receivers": ["vac"], "given_by": "individual", "form": "written"}
TAKEN_BACK = {"purposes": ["information_sharing"], "receivers": ["vac"]}
OTHER = "0f" * 16
REFUSED = {"purposes": ["information_sharing"], "receivers": ["vac"], "given_by": "individual"}
RECEIPTS = ("letter.opened", "letter.kept_shut", "letter.unreadable")


def supplied(registrar: FakeRegistrar, to: str = "vac", case: str = CASE) -> Read:
    """Return an NGO's sealed answer to a question of *to*."""
    sealed = {"story": {"answer": CANARY}}
    said: dict[str, Any] = {"referral": REF, "parts": sealed, "opens": (to,), "case": case}
    record = registrar.event("ngo-a", "referral.info_supplied", {"question": "language"}, **said)
    return registrar.register(record, to=to)


def withdrawn(registrar: FakeRegistrar, kind: str = "withdrawn", **more: Any) -> Read:
    """Return the person's withdrawal or refusal for vac, as the NGO publishes it."""
    data = (TAKEN_BACK if kind == "withdrawn" else REFUSED) | more
    return registrar.register(registrar.event("ngo-a", f"consent.{kind}", data), to="vac")


def consented(registrar: FakeRegistrar) -> Read:
    """Return the person's consent for vac."""
    return registrar.register(registrar.event("ngo-a", "consent.given", CONSENT), to="vac")


async def receipts(given: Given) -> list[str]:
    """Return the types of the desk's receipts for letters, in order."""
    return [row.type for row in await given.rows("outbox") if row.type in RECEIPTS]


async def readings(given: Given) -> list[tuple[str, str]]:
    """Return reader and purpose of each recorded opening, in order."""
    return [(row.who, row.purpose) for row in await given.rows("reads")]


class TestUnderAWithdrawnConsent:
    """P7: letters that were still closed when the person withdrew consent stay closed, for every reader and in every way."""

    @pytest.mark.parametrize("kind", ["withdrawn", "refused"])
    async def test_p7_a_letter_that_comes_later_is_not_opened_and_the_sender_hears_so(
        self, kind: str, tmp_path: Path
    ) -> None:
        """The desk does not open the letter either; the receipt claims neither an opening nor a failure."""
        async with desk_of("vac", tmp_path) as given:
            for record in (consented(given.registrar), withdrawn(given.registrar, kind), supplied(given.registrar)):
                await given.hear(record)

            assert await readings(given) == []
            assert await receipts(given) == ["letter.kept_shut"]
            (*_, shown) = (await given.door.get("/v1/inbox")).json()["events"]
            assert (shown["parts"], shown["shut"]) == ([], "consent_withdrawn")

    async def test_p7_a_letter_that_nobody_has_read_yet_stays_closed(self, tmp_path: Path) -> None:
        """The desk knows that the letter opens, but a person is told why it stays closed, and no reading is recorded."""
        async with desk_of("vac", tmp_path) as given:
            for record in (consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)):
                await given.hear(record)
            (_, shown, _) = await given.read(actor="S-17")

            assert shown["shut"] == "consent_withdrawn"
            assert "letter" not in shown or shown["letter"] == {}
            assert CANARY not in str(shown)
            assert await readings(given) == [("desk", "receipt")]
            assert [row.type for row in await given.rows("outbox") if row.type == "access.granted"] == []

    async def test_what_was_read_is_closed_until_the_agency_has_answered(self, tmp_path: Path) -> None:
        """Deleted letters stay closed; retained by a law, only letters that a person had read open again."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            await given.hear(supplied(given.registrar))
            assert (await given.read(actor="S-17"))[1]["letter"] == {"story": {"answer": CANARY}}
            await given.hear(supplied(given.registrar))
            await given.hear(withdrawn(given.registrar))
            before = await given.read(actor="S-17")
            await given.settle()  # the second letter's receipt is registered
            answer = {"type": "consent.stop_confirmed", "data": {"answer": "must_retain"}, "legal_basis": "Law 958-IIQ"}
            await given.registered(**answer)
            after = await given.read(actor="S-17", purpose="court")

        assert [shown.get("shut") for shown in before] == [None, "consent_withdrawn", "consent_withdrawn", None]
        assert [shown.get("shut") for shown in after] == [None, None, "consent_withdrawn", None]
        assert after[1]["letter"] == {"story": {"answer": CANARY}}

    async def test_an_agency_whose_access_was_ended_opens_nothing_more_whatever_law_it_names(
        self, tmp_path: Path
    ) -> None:
        """Given a letter that somebody there had read, the end of access shuts it, also after `must_retain`."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            await given.hear(supplied(given.registrar))
            assert (await given.read(actor="S-17"))[1]["letter"] == {"story": {"answer": CANARY}}
            ended = given.registrar.event("special-unit", "access.revoked", {"receivers": ["vac"]})
            await given.hear(given.registrar.register(ended, to="vac"))
            await given.settle()
            answer = {"type": "consent.stop_confirmed", "data": {"answer": "must_retain"}, "legal_basis": "Law 958-IIQ"}
            await given.registered(**answer)
            shown = await given.read(actor="S-17", purpose="court")

        assert shown[1]["shut"] == "consent_withdrawn"
        assert CANARY not in str(shown)

    async def test_an_agency_that_was_let_in_for_some_days_opens_nothing_more_afterwards(self, tmp_path: Path) -> None:
        """Given an access that was ended, and a consent for a day, when the day is over, then `must_retain` opens nothing."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            await given.hear(supplied(given.registrar))
            assert (await given.read(actor="S-17"))[1]["letter"] == {"story": {"answer": CANARY}}
            ended = given.registrar.event("special-unit", "access.revoked", {"receivers": ["vac"]})
            await given.hear(given.registrar.register(ended, to="vac"))
            await given.settle()
            answer = {"type": "consent.stop_confirmed", "data": {"answer": "must_retain"}, "legal_basis": "Law 958-IIQ"}
            await given.registered(**answer)
            last = f"{given.clock.time:%Y-%m-%d}"
            let_in = given.registrar.event("ngo-a", "consent.given", CONSENT | {"expires": last})
            await given.hear(given.registrar.register(let_in, to="vac"))
            assert (await given.read(actor="S-17", purpose="court"))[1]["letter"] == {"story": {"answer": CANARY}}
            given.clock.time += timedelta(days=2)
            shown = await given.read(actor="S-17", purpose="court")

        assert shown[1]["shut"] == "consent_withdrawn"
        assert CANARY not in str(shown)

    async def test_a_new_consent_opens_what_it_closed(self, tmp_path: Path) -> None:
        """The person's latest word holds: consent after a withdrawal opens letters again."""
        async with desk_of("vac", tmp_path) as given:
            for record in (withdrawn(given.registrar), supplied(given.registrar), consented(given.registrar)):
                await given.hear(record)
            await given.hear(supplied(given.registrar))
            shown = await given.read()

        assert [each.get("shut") for each in shown] == [None, "consent_withdrawn", None, None]
        assert shown[3]["letter"] == {"story": {"answer": CANARY}}

    async def test_p7_a_withdrawal_in_work_keeps_the_inbox_from_its_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another case is released meanwhile, by a person or by itself: the withdrawal is still not heard to its end."""
        async with desk_of("vac", tmp_path) as given:
            given.desk.end_of = lambda _: 3
            await given.hear(supplied(given.registrar, case=OTHER))
            prepare, goes_on = verify._prepare, asyncio.Event()

            async def slow(desk: Desk, record: Any) -> Any:
                if not isinstance(record.consumed, Released):
                    await goes_on.wait()
                return await prepare(desk, record)

            monkeypatch.setattr(verify, "_prepare", slow)
            hearing = asyncio.create_task(given.hear(withdrawn(given.registrar)))
            await eventually("the withdrawal is in work", lambda: given.desk.working)
            await release_by_itself(given.desk, given.inbox, (OTHER,))

            assert given.desk.working
            goes_on.set()
            await hearing
            assert not given.desk.working

    async def test_withdrawn_while_the_reading_is_being_put_on_record_it_stays_closed(self, tmp_path: Path) -> None:
        """The withdrawal is registered before the reading: the desk hears of it first, and does not open."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            await given.hear(supplied(given.registrar))
            (receipt,) = await given.out()
            await given.hear(given.registrar.register(receipt, to="vac"))
            asking = asyncio.ensure_future(given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"}))
            sent = await until_sent(given)
            await given.hear(withdrawn(given.registrar))
            await given.hear(given.registrar.register(sent, to="vac"))
            shown = (await asking).json()["events"]

            assert CANARY not in str(shown)
            assert await readings(given) == [("desk", "receipt")]

    async def test_a_word_that_this_release_cannot_read_may_be_a_withdrawal(self, tmp_path: Path) -> None:
        """A refusal or withdrawal of a later version waits for an upgrade; until then nobody reads the letters in question."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            await given.hear(supplied(given.registrar))
            await given.settle()
            word = withdrawn(given.registrar)
            with before_type("consent.withdrawn"):
                await given.hear(word)
                shown = (await given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"})).json()["events"]
                said = await given.out()

        assert CANARY not in str(shown)
        assert shown[1]["shut"] == "consent_withdrawn"
        assert [record for record in said if decode(record).type == "access.granted"] == []

    async def test_a_signal_rests_on_no_consent(self, tmp_path: Path) -> None:
        """The anonymous notice reaches the special unit though the person refuses it, and may be read."""
        async with desk_of("special-unit", tmp_path) as given:
            refused = REFUSED | {"receivers": ["special-unit"]}
            parts: dict[str, Any] = {"coded": {}, "story": {}}
            record = given.registrar.event("ngo-a", "case.signal_recorded", SIGNAL, parts=parts, opens=["special-unit"])
            said = given.registrar.event("ngo-a", "consent.refused", refused)
            await given.hear(given.registrar.register(record, to="special-unit"))
            await given.hear(given.registrar.register(said, to="special-unit"))
            (shown, _) = await given.read()

        assert "shut" not in shown


async def until_sent(given: Given) -> Any:
    """Return the next record that the desk sends."""
    sent: list[Any] = []

    async def some() -> list[Any]:
        sent.extend(await given.out())
        return sent

    await eventually("the desk sends", some)
    return sent[0]


class TestBeforeTheInboxIsRead:
    """A withdrawal may be behind a letter, so the desk opens nothing before it has read its inbox to the end."""

    async def test_p7_a_withdrawal_that_stands_behind_a_letter_keeps_it_closed(self, tmp_path: Path) -> None:
        """A letter and a withdrawal that came while the desk was down: the letter is stored closed, and stays closed."""
        async with desk_of("vac", tmp_path) as given:
            behind = [consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)]
            given.desk.end_of = lambda _: len(behind) + 1
            await given.hear(behind[0])
            await given.hear(behind[1])
            assert await readings(given) == []
            assert given.desk.ahead == {CASE: (0, 4)}
            await given.hear(behind[2])
            await release_by_itself(given.desk, given.inbox)

            assert await readings(given) == []
            assert await receipts(given) == ["letter.kept_shut"]
            assert await given.rows("parked") == []

    async def test_p7_nobody_has_it_opened_by_hand_meanwhile(self, tmp_path: Path) -> None:
        """A release by hand is refused until the desk has read the withdrawal behind the letter."""
        async with desk_of("vac", tmp_path) as given:
            letter, word = supplied(given.registrar), withdrawn(given.registrar)
            given.desk.end_of = lambda _: 3
            await given.hear(letter)
            answer = await given.door.post(f"/v1/cases/{CASE}/release")
            await given.hear(word)
            await release_by_itself(given.desk, given.inbox)

            assert (answer.status_code, answer.json()["code"]) == (503, "inbox_unread")
            assert await readings(given) == []
            assert await receipts(given) == ["letter.kept_shut"]

    async def test_without_one_the_letter_opens_once_the_end_is_read(self, tmp_path: Path) -> None:
        """The letter opens in the order of arrival, and no person has to act."""
        async with desk_of("vac", tmp_path) as given:
            behind = [consented(given.registrar), supplied(given.registrar), consented(given.registrar)]
            given.desk.end_of = lambda _: len(behind) + 1
            for record in behind:
                await given.hear(record)
            assert [row.error for row in await given.rows("parked")] == [parking.AHEAD, parking.BEHIND]
            assert [task.kind for task in await given.rows("tasks")] == ["read"]
            await release_by_itself(given.desk, given.inbox)

            assert await readings(given) == [("desk", "release")]
            assert await receipts(given) == ["letter.opened"]
            assert await given.rows("parked") == []
            assert given.desk.parked == set()

    async def test_the_last_record_of_the_inbox_waits_for_nothing(self, tmp_path: Path) -> None:
        """Behind the last letter is only the mark by which Kafka ends a transaction."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(consented(given.registrar))
            given.desk.end_of = lambda _: 3
            await given.hear(supplied(given.registrar))

            assert await readings(given) == [("desk", "receipt")]

    async def test_started_again_in_between_a_desk_goes_on(self, tmp_path: Path) -> None:
        """The letter of a desk killed before the end of its inbox waits in the ledger; the rest of the inbox decides."""
        registrar = FakeRegistrar(town())
        letter, word = supplied(registrar), withdrawn(registrar)
        async with desk_of("vac", tmp_path, registrar=registrar) as given:
            given.desk.end_of = lambda _: 3
            await given.hear(letter)
        async with desk_of("vac", tmp_path, registrar=registrar) as given:
            assert given.desk.parked == {CASE}
            await given.hear(word)
            await release_by_itself(given.desk, given.inbox)

            assert await receipts(given) == ["letter.kept_shut"]


class TestOnRecordBeforeItIsRead:
    """P4: a person's reading is registered, then on disk, and only then is anything opened."""

    async def test_p4_the_registrar_has_the_reading_before_the_letter_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The registered record names event, parts, purpose and the reader's number; nothing is opened before it comes back."""
        seen: list[tuple[int, int]] = []
        async with desk_of("vac", tmp_path) as given:
            record = supplied(given.registrar)
            await given.hear(record)
            whole = letters._open

            def watched(*args: Any) -> letters.Opened:
                with given.desk.seat.ledger.read() as other:  # a connection of its own sees what is committed
                    registered = "SELECT count(*) FROM outbox WHERE type = 'access.granted' AND verdict = 'registered'"
                    rows = "SELECT count(*) FROM reads WHERE who = 'S-17'"
                    seen.append(
                        (other.exec_driver_sql(registered).scalar_one(), other.exec_driver_sql(rows).scalar_one())
                    )
                return whole(*args)

            monkeypatch.setattr(letters, "_open", watched)
            (shown,) = await given.read(actor="S-17", purpose="supervision")
            (said,) = [each for each in map(decode, given.sent) if each.type == "access.granted"]

        assert seen == [(1, 1)]
        assert shown["letter"] == {"story": {"answer": CANARY}}
        assert (said.event().actor, said.event().subject) == ("S-17", CASE)
        assert said.event().data.to_mapping() == {
            "what": "letter", "purpose": "supervision", "parts": ["story"], "event": shown["id"],
        }  # fmt: skip

    async def test_p4_without_the_registrar_nothing_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sabotage: without an answer in time, or after a refusal, the letter stays shut, with its own code."""
        monkeypatch.setattr(opening, "WITHIN_SECONDS", 0.05)
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            alone = await given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"})
            (receipt,) = await given.out()
            await given.hear(given.registrar.register(receipt, to="vac"))
            monkeypatch.setattr(opening, "WITHIN_SECONDS", PATIENCE)
            asking = asyncio.ensure_future(given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"}))
            for _ in range(2):  # the first question is still in the outbox, and is answered first
                await given.hear(given.registrar.refuse(await until_sent(given), "unknown_case", "G-02"))
            refused = await asking

            assert (alone.status_code, alone.json()["code"]) == (503, "read_not_registered")
            assert (refused.status_code, refused.json()["code"]) == (409, "read_refused")
            assert CANARY not in alone.text + refused.text
            assert await readings(given) == [("desk", "receipt")]

    async def test_p4_agreed_to_while_others_are_put_on_record_a_letter_waits_for_a_record_of_its_own(
        self, tmp_path: Path
    ) -> None:
        """The letter was closed when the page was requested, so no reading of it was registered: it opens with the next request."""
        other = "ef" * 16
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            await given.hear(withdrawn(given.registrar))
            await given.hear(supplied(given.registrar, case=other))
            await given.settle()
            asking = asyncio.ensure_future(given.door.get("/v1/inbox", params={"open": True, "actor": "S-17"}))
            sent = await until_sent(given)
            await given.hear(consented(given.registrar))
            await given.hear(given.registrar.register(sent, to="vac"))
            first, _, second = (await asking).json()["events"]

            assert (first.get("letter"), first["shut"]) == ({}, "consent_withdrawn")
            assert second["letter"] == {"story": {"answer": CANARY}}
            assert (await given.read(actor="S-17"))[0]["letter"] == {"story": {"answer": CANARY}}

    async def test_nobody_reads_in_the_desks_name(self, tmp_path: Path) -> None:
        """A reader without a staff number is refused, and so is the desk's own purpose: either would pass as the desk's reading.

        Nor is a person's name: who reads has a number, and the envelope that says so stays.
        """
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            machines = [
                await given.door.get("/v1/inbox", params={"open": True, "actor": name})
                for name in ("desk", "Desk", letters.DESK, BY_ITSELF, "leyla", "CANARY-Alina")
            ]
            receipt = await given.door.get("/v1/inbox", params={"open": True, "actor": "S-1", "purpose": "receipt"})

            handed = await given.door.post(f"/v1/cases/{CASE}/reads", params={"what": "case", "actor": "leyla"})
            assert {each.json()["code"] for each in (*machines, receipt, handed)} == {"unknown_field"}
            assert await readings(given) == [("desk", "receipt")]

    async def test_no_program_says_at_the_door_that_it_was_allowed_to_read(self, tmp_path: Path) -> None:
        """Only the desk publishes ``access.granted``, for a reading that then happens."""
        async with desk_of("vac", tmp_path) as given:
            said = {
                "type": "access.granted",
                "case": CASE,
                "actor": "S-1",
                "data": {"what": "case", "purpose": "audit"},
            }
            answer = await given.door.post("/v1/events", json=said)

        assert answer.json()["code"] == "unknown_type"

    async def test_the_page_shows_who_has_read_what(self, tmp_path: Path) -> None:
        """The page lists the desk's own openings too, under the desk's name; of a case that is not here nobody hears that none read it."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            await given.read(actor="S-17")
            rows = (await given.door.get(f"/v1/cases/{CASE}/reads")).json()["reads"]
            other = await given.door.get(f"/v1/cases/{REF}/reads")

        assert [(row["who"], row["purpose"], row["part"]) for row in rows] == [
            ("desk", "receipt", "story"),
            ("S-17", "case_work", "story"),
        ]
        assert other.status_code == 404

    async def test_what_is_handed_on_as_a_whole_is_on_record_first(self, tmp_path: Path) -> None:
        """A report to the person or a case as evidence is handed on only with the registration's number."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            how = {"what": "person_report", "purpose": "person_request", "actor": "S-17"}
            answer = await given.during(given.door.post(f"/v1/cases/{CASE}/reads", params=how))
            nothing = await given.door.post("/v1/cases/x/reads", params=how)

        assert answer.json()["verdict"] == "registered"
        assert answer.json()["number"] > 0
        assert nothing.json()["code"] == "not_found"

    async def test_a_report_to_the_person_names_the_parts_in_which_something_is_written(self, tmp_path: Path) -> None:
        """Received and own letters are reported by which parts are empty, without their words; the desk's opening is in its table."""
        how = {"what": "person_report", "purpose": "person_request", "actor": "S-17"}
        async with desk_of("vac", tmp_path / "vac") as given:
            await given.hear(supplied(given.registrar))
            answer = await given.during(given.door.post(f"/v1/cases/{CASE}/reads", params=how))
            read = await readings(given)
        async with desk_of("ngo-a", tmp_path / "ngo-a") as given:
            await given.registered(
                type="case.signal_recorded", data=SIGNAL, sealed={"notes": CANARY, "age_band": "25-34"}
            )
            await given.registered(type="case.signal_recorded", data=SIGNAL, sealed={"notes": CANARY})
            own = await given.during(given.door.post(f"/v1/cases/{CASE}/reads", params=how))

        assert [(each["source"], each["parts"]) for each in answer.json()["written"]] == [("ngo-a", {"story": True})]
        assert [each["parts"] for each in own.json()["written"]] == [
            {"coded": True, "story": True},
            {"coded": False, "story": True},
        ]
        assert CANARY not in answer.text + own.text
        assert read == [("desk", "receipt"), ("desk", "person_request")]

    async def test_p7_what_must_stay_shut_is_not_opened_for_a_report_either(self, tmp_path: Path) -> None:
        """The report says nothing about a letter closed by the person's withdrawal, since nothing is known of it."""
        how = {"what": "person_report", "purpose": "person_request", "actor": "S-17"}
        async with desk_of("vac", tmp_path) as given:
            for record in (consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)):
                await given.hear(record)
            answer = await given.during(given.door.post(f"/v1/cases/{CASE}/reads", params=how))

        assert answer.json()["written"] == []

    async def test_a_case_that_is_read_is_not_opened(self, tmp_path: Path) -> None:
        """Only a report for the person shows which parts have content."""
        async with desk_of("vac", tmp_path) as given:
            await given.hear(supplied(given.registrar))
            how = {"what": "case", "actor": "S-17"}
            answer = await given.during(given.door.post(f"/v1/cases/{CASE}/reads", params=how))

        assert "written" not in answer.json()


async def test_who_withdrew_sees_who_has_not_answered(tmp_path: Path) -> None:
    """Since when and until when; then what it answered. The agency that owes the answer sees the duty too."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(consented(given.registrar))
        await given.hear(withdrawn(given.registrar))
        (mine,) = (await given.door.get(f"/v1/cases/{CASE}")).json()["stops"]
        await given.registered(type="consent.stop_confirmed", data={"answer": "deleted"})
        (after,) = (await given.door.get(f"/v1/cases/{CASE}")).json()["stops"]

    assert (mine["agency"], mine["answer"], mine["due"], mine["overdue"]) == (
        "vac",
        "missing",
        "2026-03-05T20:00:00Z",
        False,
    )
    assert (after["answer"], "due" in after) == ("deleted", False)


async def test_a_missing_answer_stays_visible_after_its_time(tmp_path: Path) -> None:
    """The missing answer stays visible days later, as overdue, at the agency that recorded the withdrawal."""
    async with desk_of("ngo-a", tmp_path) as given:
        signal = {"type": "case.signal_recorded", "data": SIGNAL}
        await given.registered(**signal)
        await given.registered(type="consent.given", data=CONSENT)
        bed = {"mode": "referral", "reason": "Other", "urgency": "normal", "services": [], "to": ["vac"]}
        await given.registered(type="referral.submitted", data=bed, ref=REF)
        await given.registered(type="consent.withdrawn", data=TAKEN_BACK)
        given.clock.time = given.clock.time.replace(day=30)
        (stop,) = (await given.door.get(f"/v1/cases/{CASE}")).json()["stops"]

    assert (stop["agency"], stop["answer"], stop["overdue"]) == ("vac", "missing", True)


async def test_p6_the_own_letter_of_a_case_that_is_due_for_erasure_opens_no_more(tmp_path: Path) -> None:
    """Neither for a report nor for who broke the glass, also before the erasure has reached the letter."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL, sealed={"notes": CANARY})
        before = await written_parts.written(given.desk, CASE)
        due = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        await given.hear(given.registrar.register(due, to="ngo-a"))

        assert [each["parts"]["story"] for each in before] == [True]
        assert await written_parts.written(given.desk, CASE) == []


async def test_what_closes_the_letters_of_a_case_is_read_once_for_all_of_them(tmp_path: Path) -> None:
    """Given more letters in a case whose view is not in memory, each further one is looked up by its key, and nothing more is asked about the case."""
    by_their_keys = 2
    async with desk_of("vac", tmp_path) as given:
        await given.hear(consented(given.registrar))

        async def asked(more: int) -> tuple[int, list[str]]:
            for _ in range(more):
                await given.hear(supplied(given.registrar))
            with given.desk.seat.ledger.read() as tx:
                rows = tx.execute(opening.with_letters("vac")).all()
            await given.desk.unaltered.look()  # at what was delivered since
            given.desk.cases._kept.clear()
            with statements() as found:
                to_open = await opening.to_open(given.desk, rows, who="S-17", purpose="court")
            return len(to_open.due), found

        (one, before), (four, after) = await asked(1), await asked(3)

    assert (one, four) == (1, 4)
    assert len(after) - len(before) <= 3 * by_their_keys, after
