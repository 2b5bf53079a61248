"""An unknown type is no error: the record waits with its case, in order, and is shown as unknown."""

from datetime import timedelta
from pathlib import Path

from agencies import CASE, NOW
from desk.earlier_release import DECIDED, SHARING, by_itself, consented, decided, outcome, parked
from desk.given import CANARY, desk_of
from generations import before_type, before_version
from nrmbus.client import verify_original
from nrmbus.desk.erasure import rounds

OTHER = "ef" * 16


class TestADeskOfAnEarlierRelease:
    async def test_parks_the_case_in_order_and_goes_on_with_others(self, tmp_path: Path) -> None:
        """An unknown version is no error: later records of the case wait, and another case is answered."""
        async with desk_of("fund", tmp_path) as given:
            said = [decided(given.registrar), consented(given.registrar), decided(given.registrar)]
            said += [decided(given.registrar, 1, OTHER)]
            with before_version(2):
                for record in said:
                    await given.hear(record)
            assert [record.consumer.committed for record in said] == [1] * 4

            assert await parked(given) == [(CASE, "UnknownVersion"), (CASE, "Behind"), (CASE, "UnknownVersion")]
            assert [row.subject for row in await given.rows("outbox") if row.origin == "procedure"] == [OTHER]

    async def test_leaves_its_letter_sealed_and_says_nothing_about_it(self, tmp_path: Path) -> None:
        """No receipt claims an opening, and no reading is recorded, even when the inbox is opened."""
        async with desk_of("fund", tmp_path) as given:
            decision = decided(given.registrar)
            with before_version(2):
                await given.hear(decision)
                answer = await given.door.get("/v1/inbox", params={"open": True, "actor": "S-1"})

            assert await given.rows("outbox") == await given.rows("reads") == []
            assert CANARY not in answer.text

    async def test_shows_it_as_unknown_with_its_original(self, tmp_path: Path) -> None:
        """The door shows type, version and the signed original, which verifies; it shows no data, since this release cannot read them."""
        async with desk_of("fund", tmp_path) as given:
            decision, consent = decided(given.registrar), consented(given.registrar)
            with before_version(2):
                await given.hear(decision)
                await given.hear(consent)
                shown = (await given.door.get("/v1/inbox")).json()["events"]
                signed = verify_original(shown[0], given.town.directory.any_verify_key)

            unknown, behind = shown
            assert (unknown["unknown"], unknown["parked"], unknown["type"], unknown["published"]) == (
                True,
                True,
                DECIDED,
                2,
            )
            assert unknown.keys().isdisjoint({"version", "data", "letter", "lost"})
            assert (signed.type, signed.version) == (DECIDED, 2)
            assert (behind["parked"], behind["data"]) == (True, SHARING)
            assert "unknown" not in behind

    async def test_says_of_the_case_that_it_waits_and_what_for(self, tmp_path: Path) -> None:
        """The case and one task say that the desk needs an upgrade, and that the rest then happens automatically."""
        async with desk_of("fund", tmp_path) as given:
            decision, consent = decided(given.registrar), consented(given.registrar)
            with before_version(2):
                await given.hear(decision)
                await given.hear(consent)
                case = (await given.door.get(f"/v1/cases/{CASE}")).json()
                (task,) = (await given.door.get("/v1/tasks")).json()["tasks"]

        sentence = (
            "This desk's release does not know identification.status_decided in version 2: "
            "upgrade the desk, which then lets the case through by itself, in order."
        )
        assert case["parked"] is True
        assert case["parked_because"] == {
            "error": "UnknownVersion", "sentence": sentence, "row": 1, "type": DECIDED, "published": 2,
            "since": "2026-03-02T05:00:00Z", "waiting": 2,
        }  # fmt: skip
        assert (task["kind"], task["case"], task["sentence"]) == ("parked", CASE, sentence)

    async def test_has_received_it_when_the_new_release_lets_it_through(self, tmp_path: Path) -> None:
        """A program that asks by time for what is new does not miss an event that nobody could read when it came.

        Given: a record of an unknown version that came at 05:00, and an upgrade two hours later.
        When: the case is let through.
        Then: the timeline has 05:00 as the time of receipt before, and 07:00 after.
        """
        async with desk_of("fund", tmp_path) as given:
            decision = decided(given.registrar)
            with before_version(2):
                await given.hear(decision)
                (before,) = (await given.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]
            given.clock.time = NOW + timedelta(hours=2)
            await by_itself(given)
            after = (await given.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]

        assert (before["unknown"], before["received"]) == (True, "2026-03-02T05:00:00Z")
        assert after[0]["received"] == "2026-03-02T07:00:00Z"
        assert after[0]["registered"] == before["registered"]

    async def test_lets_nothing_through_at_a_start_or_by_a_person(self, tmp_path: Path) -> None:
        """Without an upgrade the case stays parked, after every start and every release by hand."""
        async with desk_of("fund", tmp_path) as given:
            decision, consent = decided(given.registrar), consented(given.registrar)
            with before_version(2):
                await given.hear(decision)
                await given.hear(consent)
                before = await outcome(given)
                await by_itself(given)
                answer = await given.door.post(f"/v1/cases/{CASE}/release")

                assert answer.json() == {"case": CASE, "left": 2}
                assert await outcome(given) == before

    async def test_parks_a_type_that_it_does_not_have_in_the_same_way(self, tmp_path: Path) -> None:
        """A new type is distinguished from a new version of a known type."""
        async with desk_of("fund", tmp_path) as given:
            record = consented(given.registrar)
            with before_type("consent.given"):
                await given.hear(record)
                case = (await given.door.get(f"/v1/cases/{CASE}")).json()
            assert await parked(given) == [(CASE, "UnknownType")]
            assert case["parked_because"]["sentence"].startswith(
                "This desk's release does not know consent.given: upgrade"
            )
            await by_itself(given)

            assert await parked(given) == []

    async def test_finds_out_after_its_upgrade_that_an_order_was_forged(self, tmp_path: Path) -> None:
        """Given an order of erasure by an agency that may not give it, when the desk knows the type, then a task says so, nothing is erased, and the case goes on."""
        async with desk_of("fund", tmp_path) as given:
            await given.hear(decided(given.registrar, 1))
            order = given.registrar.event("special-unit", "access.erasure_due", {"ground": "retention"})
            with before_type("access.erasure_due"):
                await given.hear(given.registrar.register(order, to="fund"))
                await given.hear(consented(given.registrar))
            assert await parked(given) == [(CASE, "UnknownType"), (CASE, "Behind")]
            await by_itself(given)

            assert await parked(given) == []
            assert [row.kind for row in await given.rows("tasks") if row.done is None] == ["forged", "read"]
            assert await rounds.erase_due(given.desk) == ()
            (letter, *_) = await given.read()
            assert letter["letter"]["story"] == {"notes": CANARY}
            assert await given.desk.unaltered.is_altered(CASE) is False
